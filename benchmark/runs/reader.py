"""The files of one finished run, read and checked: what cannot be trusted is a `RecordError` with
its cure.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import RecordError
from benchmark.runs import run_folder
from benchmark.runs.run_folder import RunFolder
from benchmark.runs.spec import READABLE, SCHEMA

CURE = "remove the run's folder to have it run again"
SCORE_COLUMNS = ("slice_id", "patient_id", "dice")  # the least a scores.csv holds
LAST_BITS = 1e-9  # what one processor computes otherwise than another stays below
MEASURED = (
    "slice_id",
    "tp",
    "fn",
    "dice",
    "sensitivity",
    "precision",
)  # numbers on every slice of a finished run


def read_spec(folder: RunFolder) -> dict[str, Any]:
    """Return spec.json after checking that it is the run its folder is named for."""
    path = folder / run_folder.SPEC
    content = run_folder.read_json(path)
    spec = Reader(path, content).table("spec")
    if spec.get("schema") not in READABLE:
        raise RecordError(
            f"{path}: schema {spec.get('schema')!r}, but this version reads {' and '.join(map(str, READABLE))}; {CURE}"
        )
    digest = hashlib.sha256(canonical(spec).encode()).hexdigest()
    if content.get("run_id") != folder.run_id:
        raise RecordError(
            f"{path}: belongs to run {content.get('run_id')!r}; give the folder that name again"
        )
    if not folder.run_id.endswith(f"_{digest[:8]}"):
        raise RecordError(
            f"{path}: was changed after the run, for its hash is {digest[:8]}; {CURE}"
        )
    return content


def read_result(folder: RunFolder) -> dict[str, Any]:
    """Return result.json after checking its schema and run_id."""
    path = folder / run_folder.RESULT
    result = run_folder.read_json(path)
    if result.get("schema") not in READABLE or result.get("run_id") != folder.run_id:
        found = f"schema {result.get('schema')!r} of run {result.get('run_id')!r}"
        raise RecordError(f"{path}: {found}, not schema {SCHEMA} of {folder.run_id}; {CURE}")
    return result


def read_scores(folder: RunFolder, sha256: str) -> pd.DataFrame:
    """Return scores.csv, one row per test slice, after checking its hash; patient_id is text, or
    None.
    """
    path = folder / run_folder.SCORES
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be read ({error}); rescore the runs, or {CURE}"
        ) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise RecordError(
            f"{path}: is not the file that result.json has the hash of; "
            f"rescore the runs from their predictions, or {CURE}"
        )
    scores = parse_scores(content, path)
    for name in MEASURED:
        if name not in scores:
            raise RecordError(f"{path}: has no column {name!r}; rescore the runs")
        if bad := [
            value
            for value in scores[name].tolist()
            if isinstance(value, str) or not math.isfinite(value)
        ]:
            raise RecordError(f"{path}: {name} = {bad[0]!r} is no number; rescore the runs")
    if bad := [value for value in scores["dice"].tolist() if not 0 <= value <= 1]:
        raise RecordError(f"{path}: dice = {bad[0]!r} lies outside 0 to 1; rescore the runs")
    return scores


def read_predictions(folder: RunFolder) -> dict[int, NDArray[np.bool_]]:
    """Return slice number -> (H, W) bool of the stored test masks, after checking their hash."""
    sha256 = Reader(folder / run_folder.RESULT, read_result(folder))(
        f"sha256/{run_folder.PREDICTIONS}"
    )
    path = folder / run_folder.PREDICTIONS
    if not path.is_file() or run_folder.file_sha256(path) != sha256:
        raise RecordError(f"{path}: is not the file that result.json has the hash of; {CURE}")
    return run_folder.unpack_masks(path)


def parse_scores(content: bytes, path: Path) -> pd.DataFrame:
    """Parse scores.csv with its floats bit for bit; `RecordError` names the path where it is no
    such table.
    """
    try:
        scores = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    except ValueError as error:
        raise RecordError(f"{path}: is no table ({error}); {CURE}") from error
    if missing := [name for name in SCORE_COLUMNS if name not in scores]:
        raise RecordError(f"{path}: has no column {missing[0]!r}; {CURE}")
    patients = scores["patient_id"].astype(object)
    numbers = {name: _numbers(scores[name].tolist()) for name in scores if name != "patient_id"}
    return scores.assign(**numbers, patient_id=patients.where(patients != "", None))


def _numbers(texts: list[str]) -> list[Any]:
    """Return whole numbers, else floats (nothing is NaN), else the texts: Python's own parsing is
    exact.
    """
    with contextlib.suppress(ValueError):
        return [int(text) for text in texts]
    with contextlib.suppress(ValueError):
        return [float(text or "nan") for text in texts]
    return texts


def field(path: Path, content: Mapping[str, Any], where: str) -> Any:
    """Return the value at "key/key/key"; `RecordError` names the file and key where it is
    missing.
    """
    value: Any = content
    for key in where.split("/"):
        if not isinstance(value, Mapping) or key not in value:
            raise RecordError(f"{path}: has no {where!r}; {CURE}")
        value = value[key]
    return value


@dataclass(frozen=True)
class Reader:
    """The content of one JSON file, with `field`'s errors."""

    path: Path
    content: Mapping[str, Any]

    def __call__(self, where: str) -> Any:
        return field(self.path, self.content, where)

    def table(self, where: str) -> Mapping[str, Any]:
        value = self(where)
        if not isinstance(value, Mapping):
            raise RecordError(
                f"{self.path}: {where!r} is a {type(value).__name__}, not an object; {CURE}"
            )
        return value


def canonical(values: Any) -> str:
    """Plain JSON values as one text: keys sorted, no spaces."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def same_number(stored: object, value: float) -> bool:
    """True where JSON holds this number; null stands for NaN, and sums may differ by
    `LAST_BITS`.
    """
    if stored is None or isinstance(stored, str | bool):
        return stored is None and value != value
    return isinstance(stored, int | float) and math.isclose(
        stored, value, rel_tol=LAST_BITS, abs_tol=LAST_BITS
    )
