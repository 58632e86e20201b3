"""Run folders -> one row per finished run, all their scores, and what is not finished. Imports no torch.

A folder is read through its files alone and trusted only as far as its hashes go; anything
damaged is a `RecordError` naming the file and the cure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark import record
from benchmark.errors import RecordError
from benchmark.protocol import SplitRule
from benchmark.record import RunFolder, State
from benchmark.run_files import (
    CURE,
    SCORE_COLUMNS,
    Reader,
    canonical,
    read_result,
    read_scores,
    read_spec,
    same_number,
)
from benchmark.split import Split, read, rule_identity
from benchmark.summary import summarise

RECORDS = (record.SPEC, record.ENVIRONMENT, record.HISTORY, record.RESULT, record.FAILURE, record.CHECKPOINT)
DTYPES = {  # of the columns that every table of runs has
    "run_id": "str",
    "arm": "str",
    "params": "str",
    "kernel_size": "Int64",
    "alpha": "float64",
    "seed": "Int64",
    "protocol": "str",
    "protocol_hash": "str",
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
    """runs: one row per finished run, by run_id; scores: their slices, keyed by run_id; unfinished: (run_id, state).

    Beside `DTYPES`, runs has the columns fit.*, test.* and timing.* of result.json and
    timing.json. train, val and test count images of a shipped split, <NA> for any other
    split. protocol_hash leaves the precision out, which has a column of its own.
    """

    runs: pd.DataFrame
    scores: pd.DataFrame
    unfinished: tuple[tuple[str, State], ...]


def collect(root: Path, only: Container[str] | None = None) -> Collected:
    """Read every run under root, or those whose run_id is in only.

    A root that is not there holds no runs. Raises `RecordError` for a damaged run.
    """
    if root.exists() and not root.is_dir():
        raise RecordError(f"{root} is a file; give the folder that holds the runs")
    done: dict[str, RunFolder] = {}
    unfinished: list[tuple[str, State]] = []
    for folder in run_folders(root):
        if only is not None and folder.run_id not in only:
            continue
        if (state := folder.state) is State.DONE:
            done[folder.run_id] = folder
        else:
            unfinished.append((folder.run_id, state))
    rows, scores = [], []
    for run_id in sorted(done):
        row, table = read_run(done[run_id])
        rows.append(row)
        scores.append(table.assign(run_id=run_id))
    runs = pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(DTYPES))
    no_scores = pd.DataFrame(columns=["run_id", *SCORE_COLUMNS])
    return Collected(
        runs.astype(DTYPES), pd.concat(scores, ignore_index=True) if scores else no_scores, tuple(unfinished)
    )


def reproduction_folder() -> Path:
    """The folder of our own runs on the real slices, shipped with the package; it may be absent."""
    return Path(str(files("reference_results") / "reproduction"))


def run_folders(root: Path) -> Iterator[RunFolder]:
    """Yield the folders directly under root that hold a record or a lock, by name; other folders are none of ours."""
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if path.is_dir() and any((path / name).exists() for name in (*RECORDS, record.LOCK)):
            yield RunFolder(root, path.name)


def read_run(folder: RunFolder) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return one finished run as a row and its scores, both checked."""
    spec, result = Reader(folder / record.SPEC, read_spec(folder)), Reader(folder / record.RESULT, read_result(folder))
    timing = record.read_json(folder / record.TIMING)
    environment = record.read_json(folder / record.ENVIRONMENT)
    scores = read_scores(folder, result(f"sha256/{record.SCORES}"))
    for name, value in summarise(scores).items():
        if not same_number(result.table("test").get(name), value):
            raise RecordError(f"{result.path}: its {name} is not that of scores.csv; rescore the runs")
    if not isinstance(timing.get("fit_seconds"), int | float):
        raise RecordError(f"{folder / record.TIMING}: fit_seconds = {timing.get('fit_seconds')!r} is no time; {CURE}")
    split = shipped_splits().get(spec("spec/split_fingerprint"))
    if split and scores["slice_id"].tolist() != list(split.test):
        raise RecordError(f"{folder / record.SCORES}: its slices are not the test set of {split.split_id}; {CURE}")
    if type(timing.get("parameters")) is not int:
        raise RecordError(f"{folder / record.TIMING}: parameters = {timing.get('parameters')!r} is no count; {CURE}")
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
    return row, scores


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
    texts = {path.name: path.read_text(encoding="utf-8") for path in (files("reference_results") / "splits").iterdir()}
    fields = [read(text, name) for name, text in texts.items() if name.endswith(".json")]
    splits = [Split(f["split_id"], f["train"], f["val"], f["test"]) for f in fields]
    return {split.fingerprint: split for split in splits}


def identity_hash(values: Any) -> str:
    """12 hex digits of the sha256 over plain JSON values."""
    return hashlib.sha256(canonical(values).encode()).hexdigest()[:12]


def protocol_hash(protocol: Mapping[str, Any]) -> str:
    """Hash of a resolved protocol without its precision: variants of one name never mix."""
    training = {key: value for key, value in protocol.get("training", {}).items() if key != "precision"}
    return identity_hash({**protocol, "training": training})


def rule_text(split: Mapping[str, Any]) -> str:
    """The part of a [split] section that its unit uses, as canonical text."""
    try:
        return canonical(rule_identity(SplitRule(**split)))
    except TypeError:  # a section of another version
        return canonical(split)


def _short(commits: object) -> str:
    """Seven digits of each commit that worked on a run; "unknown" outside a git checkout."""
    return "+".join(name[:7] for name in str(commits).split("+")) if commits else "unknown"
