"""Which open cells were run before with an arm that has changed since. Imports no torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.errors import RecordError
from benchmark.runs.reader import read_spec
from benchmark.runs.run_folder import SPEC, RunFolder, RunState
from benchmark.runs.spec import RunSpec


@dataclass(frozen=True)
class EarlierRun:
    """A run of a folder that is an open cell's but for the source of its arm."""

    cell: RunSpec
    source: str | None
    finished: bool


def changed_arms(still_open: Iterable[RunSpec], folder: Path) -> list[str]:
    """Return a sentence for each arm of which cells were run here with another source."""
    arms: dict[str, list[EarlierRun]] = {}
    for earlier in _earlier(still_open, folder):
        arms.setdefault(earlier.cell.arm, []).append(earlier)
    return [_sentence(arm, runs) for arm, runs in arms.items()]


def _earlier(still_open: Iterable[RunSpec], folder: Path) -> Iterable[EarlierRun]:
    """Every such run under a folder; one that is damaged is passed over, for collect names it."""
    cells: dict[str, list[RunSpec]] = {}
    for spec in still_open:
        if spec.source is not None:
            cells.setdefault(_stem(spec.run_id), []).append(spec)
    for path in sorted(folder.iterdir()) if cells and folder.is_dir() else ():
        run = RunFolder(folder, path.name)
        if _stem(path.name) in cells and (run / SPEC).is_file():
            with contextlib.suppress(RecordError):
                there, _ = read_spec(run)
                for cell in cells[_stem(path.name)]:
                    if there != cell and replace(there, source=cell.source).digest == cell.digest:
                        yield EarlierRun(cell, there.source, run.state is RunState.DONE)


def _stem(run_id: str) -> str:
    """The readable part of a run_id, which does not tell the source."""
    return run_id.rpartition("_")[0]


def _sentence(arm: str, runs: list[EarlierRun]) -> str:
    n = len({run.cell.run_id for run in runs})
    cells = f"{n} of these cells {'was' if n == 1 else 'were'}"
    done = "run" if any(run.finished for run in runs) else "begun"
    since = f"{arm} has changed since {cells} {done}"
    if all(run.source is None for run in runs):
        since = f"{cells} {done} before the source of {arm} was recorded"
    again = "it is open again under a name of its own; the old run stays."
    many = "they are open again under names of their own; the old runs stay."
    return f"{since}: {again if n == 1 else many}"
