"""What finished runs were read to, kept beside them: a later call reads only those whose files
changed.

An index is a shortcut and never evidence. An entry holds only while the size, times and inode of
every file that it was read from are the same, so nothing that was edited, restored or copied from
elsewhere is taken for what was read here; an index that is damaged, foreign or of other code is
made anew. Where none can be written there is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.runs import run_folder
from benchmark.runs.run_folder import RunFolder

FOLDER, FILE = ".index", "runs.npz"
FEWEST = 100  # finished runs; fewer are read about as fast, and their folder stays as it was
RACY_SECONDS = 2.0  # the coarsest clock of a file system (FAT): a change within it may leave size and times alone
FILES = (
    run_folder.SPEC,
    run_folder.ENVIRONMENT,
    run_folder.TIMING,
    run_folder.RESULT,
    run_folder.SCORES,
)  # that a run is read from
TEXT, NUMBERS = (
    "patient_id",
    ("int64", "float64"),
)  # what an index can hold; other tables are read each time


@dataclass(frozen=True)
class Facts:
    """What a run came to, its slices apart, in plain JSON values.

    row: its line in the table of runs; schema: of its spec; twin: the same for two runs
    whose specs differ in nothing but the schema.
    """

    row: dict[str, Any]
    schema: int
    twin: str


@dataclass(frozen=True, eq=False)
class Part:
    """The scores of runs whose tables have the same columns, one below the other; lengths: rows of
    each run.
    """

    run_ids: tuple[str, ...]
    lengths: NDArray[np.int64]
    table: pd.DataFrame

    @property
    def sound(self) -> bool:
        """True where lengths are counts, one for each run, that come to the length of the table."""
        counts = self.lengths.dtype.kind == "i" and bool((self.lengths >= 0).all())
        return (
            counts
            and len(self.lengths) == len(self.run_ids)
            and self.lengths.sum() == len(self.table)
        )

    def of(self, wanted: Collection[str]) -> Part:
        """The part that belongs to some runs."""
        keep = np.array([run_id in wanted for run_id in self.run_ids], dtype=bool)
        if keep.all():
            return self
        run_ids = tuple(run_id for run_id in self.run_ids if run_id in wanted)
        return Part(run_ids, self.lengths[keep], self.table[np.repeat(keep, self.lengths)])


@dataclass(frozen=True, eq=False)
class Index:
    """Facts and scores by run_id, and the stamp of the files behind them; None: too fresh to be
    told by one.
    """

    facts: dict[str, Facts] = field(default_factory=dict)
    stamps: dict[str, list[int] | None] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()

    def of(self, wanted: Collection[str]) -> Index:
        """The entries of some runs."""
        return Index(
            {run_id: facts for run_id, facts in self.facts.items() if run_id in wanted},
            {run_id: stamp for run_id, stamp in self.stamps.items() if run_id in wanted},
            tuple(part for whole in self.parts if (part := whole.of(wanted)).run_ids),
        )

    def __or__(self, other: Index) -> Index:
        """The entries of two indexes that share no run."""
        return Index(
            self.facts | other.facts, self.stamps | other.stamps, _alike(self.parts + other.parts)
        )

    def lasting(self) -> Index:
        """The entries that can be told from changed ones later, in tables that an index can
        hold.
        """
        plain = [
            p
            for p in self.parts
            if all(str(p.table[name].dtype) in NUMBERS for name in p.table if name != TEXT)
        ]
        return self.of({run_id for part in plain for run_id in part.run_ids if self.stamps[run_id]})

    def scores(self, run_ids: Sequence[str]) -> pd.DataFrame:
        """One table of these runs' slices, in this order, with a column run_id; there is at least
        one run.
        """
        rank = {run_id: i for i, run_id in enumerate(run_ids)}
        parts = self.of(rank).parts
        parts = tuple(sorted(parts, key=lambda part: min(rank[run_id] for run_id in part.run_ids)))
        tables = [
            part.table.assign(run_id=pd.Series(part.run_ids).repeat(part.lengths).array)
            for part in parts
        ]
        table = pd.concat(tables, ignore_index=True)
        ranks = np.concatenate(
            [np.repeat([rank[i] for i in part.run_ids], part.lengths) for part in parts]
        )
        if (np.diff(ranks) >= 0).all():
            return table
        return table.take(np.argsort(ranks, kind="stable")).reset_index(drop=True)


def read_runs(
    root: Path,
    folders: Mapping[str, RunFolder],
    finished: Collection[str],
    read: Callable[[RunFolder], tuple[Facts, pd.DataFrame]],
    code: str | None,
) -> Index:
    """Return what `read` gives for each folder, in order, from the index where its files are
    unchanged.

    finished names every finished run under root: what the index holds of others is dropped.
    code: identity of what reads, whose index is never used by other code; None: no index.
    What `read` raises is raised here, after what was read so far is kept.
    """
    kept = Index() if code is None else load(root, code)
    settled = {run_id: stamp(folder) for run_id, folder in folders.items()}
    known = kept.of(
        {run_id for run_id, seen in settled.items() if seen and seen == kept.stamps.get(run_id)}
    )
    facts: dict[str, Facts] = {}
    tables: dict[str, pd.DataFrame] = {}
    try:
        for run_id, folder in folders.items():
            if run_id not in known.facts:
                facts[run_id], tables[run_id] = read(folder)
    finally:
        parts = tuple(
            Part((run_id,), np.array([len(table)]), table) for run_id, table in tables.items()
        )
        found = known | Index(facts, {run_id: settled[run_id] for run_id in facts}, parts)
        lasting = (found | kept.of(set(finished) - set(folders))).lasting()
        if code is not None and (
            facts.keys() & lasting.facts.keys() or kept.facts.keys() - lasting.facts.keys()
        ):
            save(root, code, lasting)
    return found


def stamp(folder: RunFolder) -> list[int] | None:
    """Size, times and inode of each file of a run; None where one is missing, or changed a moment
    ago.
    """
    latest = time.time_ns() - int(RACY_SECONDS * 1e9)
    values: list[int] = []
    place = str(folder.path)
    for name in FILES:
        try:
            found = os.stat(f"{place}{os.sep}{name}")  # noqa: PTH116 - a Path for each file would cost more than this
        except OSError:
            return None
        if max(found.st_mtime_ns, found.st_ctime_ns) >= latest:
            return None
        values += found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
    return values


def _alike(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Join the parts whose tables have the same columns of the same types."""
    groups: dict[tuple[tuple[str, str], ...], list[Part]] = {}
    for part in parts:
        layout = tuple(zip(part.table, map(str, part.table.dtypes), strict=True))
        groups.setdefault(layout, []).append(part)
    return tuple(
        Part(
            tuple(run_id for part in group for run_id in part.run_ids),
            np.concatenate([part.lengths for part in group]),
            pd.concat([part.table for part in group], ignore_index=True),
        )
        if len(group) > 1
        else group[0]
        for group in groups.values()
    )


def save(root: Path, code: str, index: Index) -> None:
    """Write an index in one move; nothing where it would be short, or may not be written."""
    path = root / FOLDER / FILE
    if len(index.facts) < FEWEST:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return
    arrays: dict[str, NDArray[Any]] = {}
    layouts = []
    for i, part in enumerate(index.parts):
        codes, names = pd.factorize(part.table[TEXT], use_na_sentinel=False)
        layouts.append(
            {"columns": list(part.table), "names": [None if pd.isna(n) else n for n in names]}
        )
        arrays |= {f"{i}-runs": np.array(len(part.run_ids)), f"{i}-lengths": part.lengths}
        for j, name in enumerate(part.table):
            arrays[f"{i}-{j}"] = codes if name == TEXT else part.table[name].to_numpy()
    run_ids = [run_id for part in index.parts for run_id in part.run_ids]
    entries = [(run_id, index.stamps[run_id], vars(index.facts[run_id])) for run_id in run_ids]
    text = json.dumps({"code": code, "layouts": layouts, "entries": entries})
    temporary = path.with_name(f".{FILE}.{platform.node()}.{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        try:
            path.parent.mkdir(exist_ok=True)
            (path.parent / ".gitignore").write_text("*\n", encoding="utf-8")
            with temporary.open("wb") as stream:
                np.savez(stream, text=np.frombuffer(text.encode(), dtype=np.uint8), **arrays)  # type: ignore[arg-type]
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def load(root: Path, code: str) -> Index:
    """Read the index of a folder of runs; an empty one where there is none by this code, whole and
    sound.
    """
    try:
        with (
            (root / FOLDER / FILE).open("rb") as stream,
            np.load(stream, allow_pickle=False) as arrays,
        ):
            content = json.loads(arrays["text"].tobytes())
            if content["code"] != code:
                return Index()
            entries, parts = content["entries"], []
            run_ids = iter([run_id for run_id, _, _ in entries])
            for i, layout in enumerate(content["layouts"]):
                own, lengths = (
                    tuple(next(run_ids) for _ in range(arrays[f"{i}-runs"])),
                    arrays[f"{i}-lengths"],
                )
                columns: dict[str, Any] = {
                    name: arrays[f"{i}-{j}"] for j, name in enumerate(layout["columns"])
                }
                names = np.array([*layout["names"], None], dtype=object)
                columns[TEXT] = pd.Series(names[columns[TEXT]], dtype=object)
                parts.append(Part(own, lengths, pd.DataFrame(columns)))
        facts = {run_id: Facts(**values) for run_id, _, values in entries}
        sound = len(facts) == len(entries) and next(run_ids, None) is None
        sound = sound and all(isinstance(one.row, dict) for one in facts.values())
        if not sound or not all(part.sound for part in parts):
            return Index()
        return Index(facts, {run_id: seen for run_id, seen, _ in entries}, tuple(parts))
    except Exception:  # whatever bytes lie there, they are only a shortcut
        return Index()


def identity(modules: Iterable[str], *more: object) -> str:
    """A text that changes with the code of modules of this package, and with what else decides how
    runs are read.
    """
    digest = hashlib.sha256(repr(more).encode())
    for name in modules:
        module: Any = import_module(f"benchmark.{name}")
        digest.update(module.__loader__.get_data(module.__file__))
    return digest.hexdigest()
