"""A finished run read back from its files and checked; what cannot be trusted is a `RecordError`.

Its message names the file, what is wrong in it, and the cure.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import RecordError, SpecError
from benchmark.protocol import Recipe, override
from benchmark.runs import run_folder
from benchmark.runs.run_folder import RunFolder
from benchmark.runs.spec import READABLE, SCHEMA, RunSpec

CURE = run_folder.CURE
SCORE_COLUMNS = ("slice_id", "patient_id", "dice")  # the least a scores.csv holds
LAST_BITS = 1e-9  # what one processor computes otherwise than another stays below
MEASURED = ("slice_id", "tp", "fn", "dice", "sensitivity", "precision")  # numbers on every slice


@dataclass(frozen=True, eq=False)
class Timing:
    """What a run took. parameters: of its network; values: everything that timing.json holds."""

    fit_seconds: float
    parameters: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Environment:
    """Where a run happened. device: the card's name, or the kind of device.

    commit: seven digits of each commit that worked on it; "unknown" outside a git checkout.
    """

    device: str
    commit: str


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """One finished run, its scores and masks apart.

    schema: of the record, one of `READABLE`; phantom: True for generated slices; sha256: hashes of
    its files by name; fit: what the arm reported; test: the summary of its scores. timing and
    environment are read when they are first asked for: masks can be scored without them.
    """

    folder: RunFolder
    schema: int
    spec: RunSpec
    phantom: bool
    needs_click: bool
    sha256: Mapping[str, str]
    fit: Mapping[str, Any]
    test: Mapping[str, Any]

    @cached_property
    def timing(self) -> Timing:
        """timing.json after checking it."""
        path = self.folder / run_folder.TIMING
        values = run_folder.read_json(path)
        seconds, parameters = values.get("fit_seconds"), values.get("parameters")
        if not isinstance(seconds, int | float):
            raise RecordError(f"{path}: fit_seconds = {seconds!r} is no time; {CURE}")
        if type(parameters) is not int:
            raise RecordError(f"{path}: parameters = {parameters!r} is no count; {CURE}")
        return Timing(seconds, parameters, values)

    @cached_property
    def environment(self) -> Environment:
        """environment.json, what it lacks being unknown."""
        facts = run_folder.read_json(self.folder / run_folder.ENVIRONMENT)
        device = facts.get("gpu") or facts.get("device_kind") or "unknown"
        return Environment(device, short_commits(facts.get("git_commit")))

    @property
    def source(self) -> str:
        """sha256 of the source of an arm from outside; "" for one that this repository brings."""
        return self.spec.source or ""

    @property
    def run_id(self) -> str:
        """The name of its folder; of an earlier schema, spec.run_id is another."""
        return self.folder.run_id

    def hash_of(self, name: str) -> str:
        """The hash that result.json has of a file; `RecordError` where it has none."""
        if name not in self.sha256:
            path = self.folder / run_folder.RESULT
            raise RecordError(f"{path}: has no 'sha256/{name}'; {CURE}")
        return self.sha256[name]


@dataclass(frozen=True)
class JsonFile:
    """The content of one JSON file; `RecordError` names file, key that is missing, and the cure."""

    path: Path
    content: Mapping[str, Any]
    cure: str = CURE

    def __call__(self, where: str) -> Any:
        """Return the value at "key/key/key"."""
        value: Any = self.content
        for key in where.split("/"):
            if not isinstance(value, Mapping) or key not in value:
                raise RecordError(f"{self.path}: has no {where!r}; {self.cure}")
            value = value[key]
        return value

    def table(self, where: str) -> Mapping[str, Any]:
        """Return the object at "key/key/key"."""
        value = self(where)
        if not isinstance(value, Mapping):
            what = type(value).__name__
            raise RecordError(f"{self.path}: {where!r} is a {what}, not an object; {self.cure}")
        return value


def read_run(folder: RunFolder) -> FinishedRun:
    """Return a finished run after checking its spec and its result."""
    spec, schema = read_spec(folder)
    result = _result(folder)
    return FinishedRun(
        folder,
        schema,
        spec,
        phantom=bool(result("dataset/phantom")),
        needs_click=bool(result("needs_click")),
        sha256=result.table("sha256"),
        fit=result.table("fit"),
        test=result.table("test"),
    )


def read_spec(folder: RunFolder) -> tuple[RunSpec, int]:
    """Return the spec and its schema after checking that it is the run its folder is named for."""
    path = folder / run_folder.SPEC
    return parse_spec(JsonFile(path, run_folder.read_json(path)), folder.run_id)


def parse_spec(get: JsonFile, named: str) -> tuple[RunSpec, int]:
    """Return the spec of a file such as spec.json, and its schema; named: the run it must be of."""
    path, cure = get.path, get.cure
    stored, run_id = get.table("spec"), get.content.get("run_id")
    schema = stored.get("schema")
    if schema not in READABLE:
        readable = " and ".join(map(str, READABLE))
        raise RecordError(f"{path}: schema {schema!r}, but this version reads {readable}; {cure}")
    digest = hashlib.sha256(canonical(stored).encode()).hexdigest()
    if run_id != named:
        raise RecordError(f"{path}: belongs to run {run_id!r}; give the folder that name again")
    if not named.endswith(f"_{digest[:8]}"):
        raise RecordError(
            f"{path}: was changed after the run, for its hash is {digest[:8]}; {cure}"
        )
    shape = get("spec/shape")
    if not isinstance(shape, list) or len(shape) != 2:
        raise RecordError(f"{path}: shape = {shape!r} is no height and width; {cure}")
    if type(get("spec/seed")) not in (int, NoneType):  # a deterministic arm has none
        raise RecordError(f"{path}: seed = {get('spec/seed')!r} is no whole number; {cure}")
    for section in get.table("spec/protocol"):
        get.table(f"spec/protocol/{section}")
    try:
        recipe = _recipe(str(get("protocol")), canonical(get.table("spec/protocol")))
    except SpecError as error:
        raise RecordError(f"{path}: {error}; {cure}") from error
    spec = RunSpec(
        arm=get("spec/arm"),
        params=get.table("spec/params"),
        recipe=recipe,
        dataset_id=get("spec/dataset_id"),
        content_fingerprint=get("spec/content_fingerprint"),
        split_id=get("split_id"),
        split_fingerprint=get("spec/split_fingerprint"),
        shape=(shape[0], shape[1]),
        seed=get("spec/seed"),
        source=stored.get("source"),
    )
    _check_source(get, spec.source)
    return spec, schema


def _check_source(get: JsonFile, source: object) -> None:
    """Raise `RecordError` unless the file says of which package the arm with this source was."""
    if source is None and "arm_source" not in get.content:
        return
    told = [get(f"arm_source/{key}") for key in ("package", "version", "sha256")]
    if not all(isinstance(value, str) for value in told) or told[2] != source:
        raise RecordError(
            f"{get.path}: its arm_source is not the arm that the run was made with; {get.cure}"
        )


@lru_cache(maxsize=64)
def _recipe(name: str, protocol: str) -> Recipe:
    """The recipe whose identity is this canonical text; a key that it lacks has its default."""
    sections = json.loads(protocol)
    values = {f"{s}.{key}": value for s, keys in sections.items() for key, value in keys.items()}
    return override(Recipe(), name, values)


def _result(folder: RunFolder) -> JsonFile:
    """result.json after checking its schema and run_id."""
    path = folder / run_folder.RESULT
    get = JsonFile(path, run_folder.read_json(path))
    schema, run_id = get.content.get("schema"), get.content.get("run_id")
    if schema not in READABLE or run_id != folder.run_id:
        raise RecordError(
            f"{path}: schema {schema!r} of run {run_id!r}, not schema {SCHEMA} of "
            f"{folder.run_id}; {CURE}"
        )
    return get


def read_scores(run: FinishedRun) -> pd.DataFrame:
    """Return scores.csv, one row per test slice, after checking its hash and its numbers.

    patient_id is text, or None.
    """
    path, sha256 = run.folder / run_folder.SCORES, run.hash_of(run_folder.SCORES)
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
        for value in scores[name].tolist():
            if isinstance(value, str) or not math.isfinite(value):
                raise RecordError(f"{path}: {name} = {value!r} is no number; rescore the runs")
    if bad := [value for value in scores["dice"].tolist() if not 0 <= value <= 1]:
        raise RecordError(f"{path}: dice = {bad[0]!r} lies outside 0 to 1; rescore the runs")
    return scores


def read_predictions(run: FinishedRun) -> dict[int, NDArray[np.bool_]]:
    """Return slice number -> (H, W) bool of the stored test masks, after checking their hash."""
    path, sha256 = run.folder / run_folder.PREDICTIONS, run.hash_of(run_folder.PREDICTIONS)
    if not path.is_file() or run_folder.file_sha256(path) != sha256:
        raise RecordError(f"{path}: is not the file that result.json has the hash of; {CURE}")
    return run_folder.unpack_masks(path)


def parse_scores(content: bytes, path: Path) -> pd.DataFrame:
    """Parse scores.csv, floats bit for bit; `RecordError` names the path of any other table."""
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


def short_commits(recorded: str | None) -> str:
    """git_commit of environment.json for tables, which may break it: "68c2b73 + 18874a9" of a run
    that was resumed under another commit, "unknown" of one without.
    """
    return " + ".join(commit[:7] for commit in (recorded or "unknown").split("+"))


def canonical(values: Any) -> str:
    """Plain JSON values as one text: keys sorted, no spaces."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def same_number(stored: object, value: float) -> bool:
    """True where JSON holds this number; null is NaN, and sums may differ by `LAST_BITS`."""
    if stored is None or isinstance(stored, str | bool):
        return stored is None and value != value
    return isinstance(stored, int | float) and math.isclose(
        stored, value, rel_tol=LAST_BITS, abs_tol=LAST_BITS
    )
