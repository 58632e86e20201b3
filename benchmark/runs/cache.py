"""What finished runs were read to, kept beside them in SQLite: a later call reads what has changed.

A cache is a shortcut and never evidence. An entry holds only while the size, times and inode of
every file that it was read from are the same, so nothing that was edited, restored or copied from
elsewhere is taken for what was read here. Other code has a file of its own, a damaged file is
removed, and where none can be written there is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.runs import run_folder
from benchmark.runs.run_folder import RunFolder

FOLDER = ".index"
FEWEST = 100  # finished runs; fewer are read about as fast, and their folder stays as it was
RACY_SECONDS = 2.0  # the coarsest clock of a file system: a change within it may leave no trace
PATIENCE_SECONDS = 5.0  # with another process that writes
FILES = (run_folder.SPEC, run_folder.ENVIRONMENT, run_folder.TIMING, run_folder.RESULT,
         run_folder.SCORES)  # that a run is read from  # fmt: skip
TEXT, NUMBERS = "patient_id", ("int64", "float64")  # what is kept; other tables are read each time
TABLE = "CREATE TABLE IF NOT EXISTS runs (run_id TEXT PRIMARY KEY, stamp TEXT, crc INT, run BLOB)"
SOUND = {  # errors that say nothing of the file itself
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one run in plain numbers: one record of `numbers` and one patient per slice."""

    columns: list[str]
    patients: list[str | None]
    numbers: NDArray[np.void]


@dataclass(frozen=True, eq=False)
class ReadRun:
    """What a run was read to.

    row: its line in the table of runs, in plain JSON values; schema: of its spec; digest: the same
    for two runs whose specs differ in nothing but the schema.
    """

    row: dict[str, Any]
    schema: int
    digest: str
    scores: Scores | pd.DataFrame

    @classmethod
    def of(cls, row: dict[str, Any], schema: int, digest: str, scores: pd.DataFrame) -> ReadRun:
        """Pack the scores where they are plain numbers."""
        kinds = {name: str(scores[name].dtype) for name in scores if name != TEXT}
        if not set(kinds.values()) <= set(NUMBERS):
            return cls(row, schema, digest, scores)
        numbers = np.empty(len(scores), dtype=list(kinds.items()))
        for name in kinds:
            numbers[name] = scores[name].to_numpy()
        return cls(row, schema, digest, Scores(list(scores), scores[TEXT].tolist(), numbers))

    def encode(self) -> bytes | None:
        """Return the bytes that `decode` reads; None where the scores are more than numbers."""
        if not isinstance(self.scores, Scores):
            return None
        columns, patients, numbers = vars(self.scores).values()
        facts = [self.row, self.schema, self.digest]
        lines = [json.dumps(values) for values in (facts, [columns, patients, numbers.dtype.descr])]
        return "\n".join([*lines, ""]).encode() + numbers.tobytes()

    @classmethod
    def decode(cls, content: bytes) -> ReadRun:
        facts, layout, numbers = content.split(b"\n", 2)
        columns, patients, dtype = _layout(layout)
        row, schema, digest = json.loads(facts)
        return cls(row, schema, digest, Scores(columns, patients, np.frombuffer(numbers, dtype)))


@lru_cache(maxsize=64)
def _layout(line: bytes) -> tuple[list[str], list[str | None], np.dtype[np.void]]:
    """Columns, patients and kinds of numbers, which thousands of runs share."""
    columns, patients, kinds = json.loads(line)
    return columns, patients, np.dtype([(name, kind) for name, kind in kinds])


def scores_table(runs: Mapping[str, ReadRun]) -> pd.DataFrame:
    """One table of the slices of one run or more, in this order, with a column run_id."""
    groups: dict[object, list[str]] = {}
    for run_id, run in runs.items():
        own = run.scores
        layout = (*own.columns, own.numbers.dtype) if isinstance(own, Scores) else run_id
        groups.setdefault(layout, []).append(run_id)
    rank = {run_id: i for i, run_id in enumerate(runs)}
    tables, ranks = [], []
    for run_ids in groups.values():
        table, lengths = _joined([runs[run_id].scores for run_id in run_ids])
        tables.append(table.assign(run_id=pd.Series(run_ids).repeat(lengths).array))
        ranks.append(np.repeat([rank[run_id] for run_id in run_ids], lengths))
    joined, order = pd.concat(tables, ignore_index=True), np.concatenate(ranks)
    if len(tables) == 1:
        return joined
    return joined.take(np.argsort(order, kind="stable")).reset_index(drop=True)


def _joined(group: list[Scores | pd.DataFrame]) -> tuple[pd.DataFrame, list[int]]:
    """The scores of runs whose tables have the same columns, as one, and the rows of each run."""
    if isinstance(group[0], pd.DataFrame):
        return group[0], [len(group[0])]
    parts = [part for part in group if isinstance(part, Scores)]
    numbers = np.concatenate([part.numbers for part in parts])
    patients = pd.Series([name for part in parts for name in part.patients], dtype=object)
    columns = {name: patients if name == TEXT else numbers[name] for name in parts[0].columns}
    return pd.DataFrame(columns), [len(part.numbers) for part in parts]


def read_runs(
    root: Path,
    folders: Mapping[str, RunFolder],
    finished: Collection[str],
    read: Callable[[RunFolder], ReadRun],
    code: str | None,
) -> dict[str, ReadRun]:
    """Return what `read` gives for each folder, from the cache where its files are unchanged.

    finished names every finished run under root: entries of others are dropped. code: identity of
    what reads, whose cache no other code uses; None: no cache. What `read` raises is raised here,
    after what was read so far is kept.
    """
    if code is None or len(finished) < FEWEST:
        return {run_id: read(folder) for run_id, folder in folders.items()}
    path = root / FOLDER / f"{code}.sqlite"
    stamps = {run_id: stamp(folder) for run_id, folder in folders.items()}
    known, stored = load(path, stamps)
    fresh: dict[str, ReadRun] = {}
    try:
        return {
            run_id: known.get(run_id) or fresh.setdefault(run_id, read(folder))
            for run_id, folder in folders.items()
        }
    finally:
        rows = [
            (run_id, seen, _crc(seen, content), content)
            for run_id, run in fresh.items()
            if (seen := stamps[run_id]) and (content := run.encode())
        ]
        if rows or stored - set(finished):
            save(path, rows, stored - set(finished))


def stamp(folder: RunFolder) -> str:
    """Size, times and inode of each file of a run; "" where one is missing or just changed."""
    latest = time.time_ns() - int(RACY_SECONDS * 1e9)
    values: list[int] = []
    for name in FILES:
        try:
            facts = os.stat(f"{folder.path}{os.sep}{name}")  # noqa: PTH116 - a Path costs more
        except OSError:
            return ""
        if max(facts.st_mtime_ns, facts.st_ctime_ns) >= latest:
            return ""
        values += facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino
    return " ".join(map(str, values))


def load(path: Path, stamps: Mapping[str, str]) -> tuple[dict[str, ReadRun], set[str]]:
    """Return the runs that have these stamps, and the run_id of every entry."""
    known: dict[str, ReadRun] = {}
    stored: set[str] = set()

    def work(store: sqlite3.Connection) -> None:
        stored.update(run_id for (run_id,) in store.execute("SELECT run_id FROM runs"))
        ask = "SELECT crc, run FROM runs WHERE run_id = ? AND stamp = ?"
        for run_id in stored & stamps.keys():
            for crc, content in store.execute(ask, (run_id, stamps[run_id])):
                if isinstance(content, bytes) and crc == _crc(stamps[run_id], content):
                    known[run_id] = ReadRun.decode(content)

    if path.is_file():
        _use(path, work)
    return known, stored


def save(path: Path, rows: list[tuple[str, str, int, bytes]], gone: Iterable[str]) -> None:
    """Keep rows and drop what is gone, in one transaction; files of other code are removed."""

    def work(store: sqlite3.Connection) -> None:
        store.executemany("DELETE FROM runs WHERE run_id = ?", [(run_id,) for run_id in gone])
        store.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", rows)

    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        (path.parent / ".gitignore").write_text("*\n", encoding="utf-8")
        for other in path.parent.iterdir():
            if not other.name.startswith((".gitignore", path.name)):
                other.unlink()
    _use(path, work)


def _use(path: Path, work: Callable[[sqlite3.Connection], None]) -> None:
    """Do work in one transaction, or not at all; a damaged file is removed, a busy one left."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE_SECONDS)) as store, store:
            store.execute(TABLE)
            work(store)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in SOUND:
            for damaged in (path, path.with_name(f"{path.name}-journal")):
                with contextlib.suppress(OSError):
                    damaged.unlink(missing_ok=True)


def _crc(seen: str, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(seen.encode()))


def code_identity(modules: Iterable[str], *more: object) -> str:
    """Return 16 hex digits over the code of modules of this package, and what else decides."""
    digest = hashlib.sha256(repr(more).encode())
    for name in modules:
        module: Any = import_module(f"benchmark.{name}")
        digest.update(module.__loader__.get_data(module.__file__))
    return digest.hexdigest()[:16]
