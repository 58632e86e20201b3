"""Run folders -> one row per finished run, all their scores, and what is not finished.

A folder is read through its files alone and trusted only as far as its hashes go; anything
damaged is a `RecordError` naming the file and the cure. Imports no torch.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.errors import BenchmarkError, RecordError, SpecError
from benchmark.protocol import Recipe, SplitRule
from benchmark.runs import cache, run_folder
from benchmark.runs.cache import ReadRun
from benchmark.runs.reader import (
    CURE,
    SCORE_COLUMNS,
    FinishedRun,
    canonical,
    read_run,
    read_scores,
    same_number,
)
from benchmark.runs.run_folder import RunFolder, RunState
from benchmark.scoring.summary import summarise
from benchmark.splits import files as split_files
from benchmark.splits.split import Split, rule_identity

RECORDS = (
    run_folder.SPEC,
    run_folder.ENVIRONMENT,
    run_folder.HISTORY,
    run_folder.RESULT,
    run_folder.FAILURE,
    run_folder.CHECKPOINT,
)
READERS = (  # decide what is read
    "protocol",
    "runs.cache",
    "runs.collect",
    "runs.reader",
    "runs.run_folder",
    "runs.spec",
    "scoring.summary",
    "splits.files",
    "splits.split",
)
DTYPES = {  # of the columns that every table of runs has
    "run_id": "str",
    "arm": "str",
    "params": "str",
    "source": "str",
    "kernel_size": "Int64",
    "alpha": "float64",
    "seed": "Int64",
    "protocol": "str",
    "protocol_hash": "str",
    "recipe_hash": "str",
    "network_hash": "str",
    "changed_settings": "str",
    "split_unit": "str",
    "split_rule": "str",
    "split_id": "str",
    "split_fingerprint": "str",
    "train": "Int64",
    "val": "Int64",
    "test": "Int64",
    "height": "int64",
    "width": "int64",
    "precision": "str",
    "dataset_id": "str",
    "content_fingerprint": "str",
    "phantom": "bool",
    "needs_click": "bool",
    "parameters": "int64",
    "device": "str",
    "commit": "str",
}
NO_RUNS = pd.DataFrame(columns=list(DTYPES))
NO_SCORES = pd.DataFrame(columns=["run_id", *SCORE_COLUMNS])


@dataclass(frozen=True, eq=False)
class Collected:
    """The runs of a folder as tables.

    runs: one row per finished run, by run_id; scores: their slices, keyed by run_id; unfinished:
    (run_id, state). Beside `DTYPES`, runs has the columns fit.*, test.* and timing.* of result.json
    and timing.json. train, val and test count images of a shipped split, <NA> for any other split.
    protocol_hash leaves the precision out, which has a column of its own, and recipe_hash also what
    decides how a test image may be known beforehand (`without_test`). changed_settings: of the
    function of that name, as canonical text. source: sha256 of the source of an arm from outside,
    "" for one that this repository brings. superseded: finished runs in neither table, since the
    same run is there under a later schema.
    """

    runs: pd.DataFrame
    scores: pd.DataFrame
    unfinished: tuple[tuple[str, RunState], ...]
    superseded: tuple[str, ...] = ()


def collect(root: Path, only: Container[str] | None = None, *, indexed: bool = True) -> Collected:
    """Read every run under root, or those whose run_id is in only.

    indexed: just those that changed since last time. A root that is not there holds no runs.
    Raises `RecordError` for a damaged run.
    """
    if root.exists() and not root.is_dir():
        raise RecordError(f"{root} is a file; give the folder that holds the runs")
    states = {folder: folder.state for folder in run_folders(root)}
    finished = {folder.run_id: folder for folder, s in states.items() if s is RunState.DONE}
    asked = {i: folder for i, folder in finished.items() if only is None or i in only}
    packaged = (reproduction_folder().resolve(), superseded_folder().resolve())
    shipped = root.resolve() in packaged  # the package is left as it is
    code = _identity_of_code() if indexed and not shipped else None
    runs = cache.read_runs(root, asked, finished, read_table_row, code)
    old = _superseded(runs)
    current = {run_id: runs[run_id] for run_id in sorted(runs.keys() - set(old))}
    rows = pd.DataFrame([run.row for run in current.values()]) if current else NO_RUNS
    unfinished = tuple(
        (folder.run_id, state)
        for folder, state in states.items()
        if state is not RunState.DONE and (only is None or folder.run_id in only)
    )
    scores = cache.scores_table(current) if current else NO_SCORES.copy()
    return Collected(rows.astype(DTYPES), scores, unfinished, old)


def _superseded(runs: Mapping[str, ReadRun]) -> tuple[str, ...]:
    """Those of which the same spec is there under a later schema."""
    latest: dict[str, int] = {}
    for run in runs.values():
        latest[run.digest] = max(run.schema, latest.get(run.digest, 0))
    return tuple(run_id for run_id, run in runs.items() if run.schema < latest[run.digest])


def reproduction_folder() -> Path:
    """The folder of our own runs on the real slices, shipped with the package; it may be absent."""
    return Path(str(files("reference_results") / "reproduction"))


def superseded_folder() -> Path:
    """The folder of our trainings that later ones replaced; `superseded.toml` beside it says why.

    They are no runs of ours for any other purpose than to tell of them.
    """
    return Path(str(files("reference_results") / "superseded"))


def run_folders(root: Path) -> Iterator[RunFolder]:
    """Yield the folders directly under root that hold a record or a lock, by name."""
    if not root.is_dir():
        return
    with os.scandir(root) as entries:
        paths = {entry.name: entry.path for entry in entries if entry.is_dir()}
    for name in sorted(paths):
        files = (f"{paths[name]}{os.sep}{file}" for file in (*RECORDS, run_folder.LOCK))
        if any(map(os.path.exists, files)):
            yield RunFolder(root, name)


def refuse_mixing(root: Path, phantom: bool) -> None:
    """Raise `SpecError` where phantoms and real slices would share one folder of runs."""
    for path in sorted(root.glob(f"*/{run_folder.SPEC}")):
        try:
            there = bool(run_folder.read_json(path).get("phantom", False))
        except BenchmarkError:
            continue  # `collect` names damaged folders; this is only about mixing
        if there != phantom:
            kinds = {True: "phantoms", False: "real slices"}
            raise SpecError(
                f"{root} holds runs on {kinds[there]}, and these would be runs on "
                f"{kinds[phantom]}; give another folder with --out"
            )


def _identity_of_code() -> str:
    splits = sorted((key, split.split_id) for key, split in shipped_splits().items())
    return cache.code_identity(READERS, splits)


def read_table_row(folder: RunFolder) -> ReadRun:
    """Return the row and the scores of one finished run, checked against each other."""
    run = read_run(folder)
    scores = read_scores(run)
    for name, value in summarise(scores).items():
        if not same_number(run.test.get(name), value):
            path = folder / run_folder.RESULT
            raise RecordError(f"{path}: its {name} is not that of scores.csv; rescore the runs")
    split = shipped_splits().get(run.spec.split_fingerprint)
    if split and scores["slice_id"].tolist() != list(split.test):
        path = folder / run_folder.SCORES
        raise RecordError(f"{path}: its slices are not the test set of {split.split_id}; {CURE}")
    return ReadRun.of(_row(run, split), run.schema, run.spec.digest, scores)


def _row(run: FinishedRun, split: Split | None) -> dict[str, Any]:
    """The row of a run in the table; split: the shipped one that it ran on."""
    spec = run.spec
    kernel, alpha = spec.params.get("kernel_size"), spec.params.get("alpha")
    return {
        "run_id": run.run_id,
        "arm": spec.arm,
        "params": canonical(spec.params),
        "source": run.source,
        "kernel_size": kernel if type(kernel) is int else None,
        "alpha": float(alpha) if isinstance(alpha, int | float) else float("nan"),
        "seed": spec.seed,
        **_protocol_columns(spec.recipe),
        "split_id": spec.split_id,
        "split_fingerprint": spec.split_fingerprint,
        **{name: len(getattr(split, name)) if split else None for name in ("train", "val", "test")},
        "height": spec.shape[0],
        "width": spec.shape[1],
        "precision": spec.recipe.training.precision,
        "dataset_id": spec.dataset_id,
        "content_fingerprint": spec.content_fingerprint,
        "phantom": run.phantom,
        "needs_click": run.needs_click,
        "parameters": run.timing.parameters,
        "commit": run.environment.commit,
        "device": run.environment.device,
        **{f"fit.{key}": value for key, value in run.fit.items()},
        **{f"test.{key}": value for key, value in run.test.items()},
        **{f"timing.{k}": value for k, value in run.timing.values.items() if k != "parameters"},
    }


def _protocol_columns(recipe: Recipe) -> dict[str, str]:
    """The columns that decide whether two runs have the same protocol."""
    protocol = recipe.identity()
    return {
        "protocol": recipe.name,
        "protocol_hash": protocol_hash(protocol),
        "recipe_hash": protocol_hash(without_test(protocol)),
        "network_hash": identity_hash(protocol["network"]),
        "changed_settings": canonical(changed_settings(protocol)),
        "split_unit": recipe.split.unit,
        "split_rule": rule_text(recipe.split),
    }


@lru_cache(maxsize=1)
def shipped_splits() -> Mapping[str, Split]:
    """The splits of the package by fingerprint."""
    splits = [stored.split for stored in split_files.shipped().values()]
    return {split.fingerprint: split for split in splits}


def identity_hash(values: Any) -> str:
    """12 hex digits of the sha256 over plain JSON values."""
    return hashlib.sha256(canonical(values).encode()).hexdigest()[:12]


def protocol_hash(protocol: Mapping[str, Any]) -> str:
    """Hash of a resolved protocol without its precision: variants of one name never mix."""
    return identity_hash(_without(protocol, "training", "precision"))


def changed_settings(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a resolved protocol, by section.key, that differ from protocol thesis."""
    thesis = Recipe().identity()
    return {
        f"{section}.{key}": value
        for section, values in protocol.items()
        for key, value in values.items()
        if value != thesis[section][key]
    }


def without_test(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved protocol without its split and the images that Nyul's histogram is fitted on."""
    rest = {key: value for key, value in protocol.items() if key != "split"}
    return _without(rest, "preprocess", "nyul_fit")


def _without(protocol: Mapping[str, Any], section: str, key: str) -> dict[str, Any]:
    values = {name: value for name, value in protocol[section].items() if name != key}
    return {**protocol, section: values}


def rule_text(rule: SplitRule) -> str:
    """The part of a split rule that its unit uses, as canonical text."""
    return canonical(rule_identity(rule))
