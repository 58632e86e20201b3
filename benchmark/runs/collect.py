"""Run folders -> one row per finished run, all their scores, and what is not finished. Imports no
torch.

A folder is read through its files alone and trusted only as far as its hashes go; anything
damaged is a `RecordError` naming the file and the cure.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.errors import RecordError
from benchmark.protocol import SplitRule
from benchmark.runs import cache as run_index
from benchmark.runs import run_folder
from benchmark.runs.cache import Facts
from benchmark.runs.reader import (
    CURE,
    SCORE_COLUMNS,
    Reader,
    canonical,
    read_result,
    read_scores,
    read_spec,
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
    "kernel_size": "Int64",
    "alpha": "float64",
    "seed": "Int64",
    "protocol": "str",
    "protocol_hash": "str",
    "recipe_hash": "str",
    "network_hash": "str",
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


@dataclass(frozen=True, eq=False)
class Collected:
    """runs: one row per finished run, by run_id; scores: their slices, keyed by run_id; unfinished:
    (run_id, state).

    Beside `DTYPES`, runs has the columns fit.*, test.* and timing.* of result.json and
    timing.json. train, val and test count images of a shipped split, <NA> for any other
    split. protocol_hash leaves the precision out, which has a column of its own, and
    recipe_hash also what decides how a test image may be known beforehand (`without_test`).
    superseded: finished runs in neither table, since the same run is there under a later schema.
    """

    runs: pd.DataFrame
    scores: pd.DataFrame
    unfinished: tuple[tuple[str, RunState], ...]
    superseded: tuple[str, ...] = ()


def collect(root: Path, only: Container[str] | None = None, *, indexed: bool = True) -> Collected:
    """Read every run under root, or those whose run_id is in only; indexed: just those that changed
    since last time.

    A root that is not there holds no runs. Raises `RecordError` for a damaged run.
    """
    if root.exists() and not root.is_dir():
        raise RecordError(f"{root} is a file; give the folder that holds the runs")
    states = {folder: folder.state for folder in run_folders(root)}
    finished = {folder.run_id for folder, state in states.items() if state is RunState.DONE}
    asked = {
        folder: state for folder, state in states.items() if only is None or folder.run_id in only
    }
    done = {folder.run_id: folder for folder, state in asked.items() if state is RunState.DONE}
    shipped = (
        root.resolve() == reproduction_folder().resolve()
    )  # nothing is written into the package
    code = _identity_of_code() if indexed and not shipped else None
    found = run_index.read_runs(root, done, finished, read_run, code)
    latest: dict[str, int] = {}
    for facts in found.facts.values():
        latest[facts.twin] = max(facts.schema, latest.get(facts.twin, 0))
    old = tuple(
        run_id for run_id in done if found.facts[run_id].schema < latest[found.facts[run_id].twin]
    )
    current = sorted(done.keys() - set(old))
    runs = pd.DataFrame(
        [found.facts[run_id].row for run_id in current], columns=None if current else list(DTYPES)
    )
    return Collected(
        runs.astype(DTYPES),
        found.scores(current) if current else pd.DataFrame(columns=["run_id", *SCORE_COLUMNS]),
        tuple(
            (folder.run_id, state) for folder, state in asked.items() if state is not RunState.DONE
        ),
        old,
    )


def reproduction_folder() -> Path:
    """The folder of our own runs on the real slices, shipped with the package; it may be absent."""
    return Path(str(files("reference_results") / "reproduction"))


def run_folders(root: Path) -> Iterator[RunFolder]:
    """Yield the folders directly under root that hold a record or a lock, by name; other folders
    are none of ours.
    """
    if not root.is_dir():
        return
    with os.scandir(root) as entries:
        paths = {entry.name: entry.path for entry in entries if entry.is_dir()}
    for name in sorted(paths):
        files = (f"{paths[name]}{os.sep}{file}" for file in (*RECORDS, run_folder.LOCK))
        if any(map(os.path.exists, files)):  # noqa: PTH110
            yield RunFolder(root, name)


def _identity_of_code() -> str:
    return run_index.identity(
        READERS, sorted((key, split.split_id) for key, split in shipped_splits().items())
    )


def read_run(folder: RunFolder) -> tuple[Facts, pd.DataFrame]:
    """Return what one finished run came to and its scores, both checked."""
    spec, result = (
        Reader(folder / run_folder.SPEC, read_spec(folder)),
        Reader(folder / run_folder.RESULT, read_result(folder)),
    )
    timing = run_folder.read_json(folder / run_folder.TIMING)
    environment = run_folder.read_json(folder / run_folder.ENVIRONMENT)
    scores = read_scores(folder, result(f"sha256/{run_folder.SCORES}"))
    for name, value in summarise(scores).items():
        if not same_number(result.table("test").get(name), value):
            raise RecordError(
                f"{result.path}: its {name} is not that of scores.csv; rescore the runs"
            )
    if not isinstance(timing.get("fit_seconds"), int | float):
        raise RecordError(
            f"{folder / run_folder.TIMING}: fit_seconds = {timing.get('fit_seconds')!r} is no time; {CURE}"
        )
    split = shipped_splits().get(spec("spec/split_fingerprint"))
    if split and scores["slice_id"].tolist() != list(split.test):
        raise RecordError(
            f"{folder / run_folder.SCORES}: its slices are not the test set of {split.split_id}; {CURE}"
        )
    if type(timing.get("parameters")) is not int:
        raise RecordError(
            f"{folder / run_folder.TIMING}: parameters = {timing.get('parameters')!r} is no count; {CURE}"
        )
    row = {
        "run_id": folder.run_id,
        **_identity(spec),
        "phantom": bool(result("dataset/phantom")),
        "needs_click": bool(result("needs_click")),
        "parameters": timing["parameters"],
        "commit": _short(environment.get("git_commit")),
        "device": environment.get("gpu") or environment.get("device_kind") or "unknown",
        **{f"fit.{key}": value for key, value in result.table("fit").items()},
        **{f"test.{key}": value for key, value in result.table("test").items()},
        **{f"timing.{key}": value for key, value in timing.items() if key != "parameters"},
    }
    fields = spec.table("spec")
    twin = hashlib.sha256(
        canonical({key: fields[key] for key in fields if key != "schema"}).encode()
    ).hexdigest()
    return Facts(row, fields["schema"], twin), scores


def _identity(get: Reader) -> dict[str, Any]:
    """The columns that decide what a run may be compared with."""
    params, protocol = get.table("spec/params"), get.table("spec/protocol")
    kernel, alpha = params.get("kernel_size"), params.get("alpha")
    split = shipped_splits().get(get("spec/split_fingerprint"))
    return {
        "arm": get("spec/arm"),
        "params": canonical(params),
        "kernel_size": kernel if type(kernel) is int else None,
        "alpha": float(alpha) if isinstance(alpha, int | float) else float("nan"),
        "seed": get("spec/seed"),
        "protocol": get("protocol"),
        "protocol_hash": protocol_hash(protocol),
        "recipe_hash": protocol_hash(without_test(protocol)),
        "network_hash": identity_hash(get("spec/protocol/network")),
        "split_unit": get("spec/protocol/split/unit"),
        "split_rule": rule_text(get.table("spec/protocol/split")),
        "split_id": get("split_id"),
        "split_fingerprint": get("spec/split_fingerprint"),
        **{name: len(getattr(split, name)) if split else None for name in ("train", "val", "test")},
        "height": get("spec/shape")[0],
        "width": get("spec/shape")[1],
        "precision": get("spec/protocol/training/precision"),
        "dataset_id": get("spec/dataset_id"),
        "content_fingerprint": get("spec/content_fingerprint"),
    }


@cache
def shipped_splits() -> Mapping[str, Split]:
    """The splits of the package by fingerprint."""
    splits = [stored.split for stored in split_files.shipped().values()]
    return {split.fingerprint: split for split in splits}


def identity_hash(values: Any) -> str:
    """12 hex digits of the sha256 over plain JSON values."""
    return hashlib.sha256(canonical(values).encode()).hexdigest()[:12]


def protocol_hash(protocol: Mapping[str, Any]) -> str:
    """Hash of a resolved protocol without its precision: variants of one name never mix."""
    training = {
        key: value for key, value in protocol.get("training", {}).items() if key != "precision"
    }
    return identity_hash({**protocol, "training": training})


def without_test(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved protocol without the rule of its split and the images that Nyul's histogram is
    fitted on.
    """
    preprocess = {
        key: value for key, value in protocol.get("preprocess", {}).items() if key != "nyul_fit"
    }
    return {
        **{key: value for key, value in protocol.items() if key != "split"},
        "preprocess": preprocess,
    }


def rule_text(split: Mapping[str, Any]) -> str:
    """The part of a [split] section that its unit uses, as canonical text."""
    try:
        return canonical(rule_identity(SplitRule(**split)))
    except TypeError:  # a section of another version
        return canonical(split)


def _short(commits: object) -> str:
    """Seven digits of each commit that worked on a run; "unknown" outside a git checkout."""
    return "+".join(name[:7] for name in str(commits).split("+")) if commits else "unknown"
