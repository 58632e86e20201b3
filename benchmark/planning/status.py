"""The cells of a job as their folders show them, looked at again and again while work goes on.
Imports no torch.
"""

from __future__ import annotations

import contextlib
import csv
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.arm import ArmEntry
from benchmark.planning.request import Job
from benchmark.planning.time_estimate import (
    TimeEstimate,
    TimingRecord,
    estimate,
    left,
    timing_record,
    timing_records,
)
from benchmark.runs.collect import reproduction_folder
from benchmark.runs.run_folder import ENVIRONMENT, HISTORY, RunFolder, RunState
from benchmark.runs.spec import RunSpec

LOOK_SECONDS = (
    1.0  # between two looks: each takes the locks of cells that were begun for an instant
)
NOTHING_LEFT = TimeEstimate(0.0)


@dataclass(frozen=True)
class Epochs:
    """The finished epochs of a cell, as history.csv holds them: seconds of each, validation Dice of
    each.
    """

    seconds: tuple[float, ...] = ()
    dice: tuple[float, ...] = ()

    @property
    def last(self) -> int:
        """The number of the last one, from 0; -1 where there is none."""
        return len(self.dice) - 1


@dataclass(frozen=True)
class CellStatus:
    """A cell now. spent: seconds of its finished epochs and since then, while it runs; left: what
    is left of it.
    """

    spec: RunSpec
    state: RunState
    epochs: Epochs = Epochs()
    spent: float = 0.0
    left: TimeEstimate = NOTHING_LEFT


class GridStatus:
    """The cells of a job; `look`, from any thread, tells how they are. What is known to be done is
    not looked at again.

    now: seconds since 1970; needs_click: names of the arms that are shown a click.
    """

    def __init__(
        self, job: Job, arms: Mapping[str, ArmEntry], now: Callable[[], float] = time.time
    ) -> None:
        self.specs, self.folder, self.dataset_id = job.specs, job.folder, job.slices.dataset_id
        self.needs_click, self.now = (
            frozenset(name for name, entry in arms.items() if entry.needs_click),
            now,
        )
        self.began = self.looked = now()
        split = next(iter(job.splits.values()))
        self.images = len(split.train) + len(split.val) / 3
        self.own = timing_records(self.folder, self.dataset_id)
        self.sources: Mapping[str, list[TimingRecord]] = {
            f"{self.folder}": self.own,
            "our records": timing_records(reproduction_folder(), self.dataset_id),
        }
        self.done: dict[str, CellStatus] = {}
        self.estimates: dict[tuple[str, int, int], TimeEstimate] = {}
        self.guard = threading.Lock()
        self.cells = self._look(first=True)

    def look(self, *, afresh: bool = False) -> tuple[CellStatus, ...]:
        """Every cell in the job's order; at most one look a second at the folders, unless
        afresh.
        """
        with self.guard:
            if afresh or not 0 <= self.now() - self.looked < LOOK_SECONDS:
                self.cells, self.looked = self._look(), self.now()
            return self.cells

    def cut(self) -> list[CellStatus]:
        """Cells that were begun or gone on with since the survey was made, and that nobody works on
        now.
        """
        return [
            cell
            for cell in self.look(afresh=True)
            if cell.state is RunState.PARTIAL
            and changed(self._folder(cell.spec) / ENVIRONMENT) >= self.began - 1
        ]

    def seconds_in_all(self) -> float:
        """What every cell would take from its beginning, done or not; 0 for one of which nothing is
        known.
        """
        return left(self._estimate(spec, Epochs()) for spec in self.specs)[0]

    def _folder(self, spec: RunSpec) -> RunFolder:
        return RunFolder(self.folder, spec.run_id)

    def _look(self, first: bool = False) -> tuple[CellStatus, ...]:
        found = {
            s.run_id: self.done.get(s.run_id) or CellStatus(s, self._folder(s).state)
            for s in self.specs
        }
        for run_id, cell in found.items():
            if cell.state is RunState.DONE and run_id not in self.done:
                self.done[run_id] = cell
                learnt = None if first else timing_record(self.folder / run_id, self.dataset_id)
                self.own += [learnt] if learnt else []
        return tuple(
            cell if cell.state is RunState.DONE else self._open(cell) for cell in found.values()
        )

    def _open(self, cell: CellStatus) -> CellStatus:
        """A cell that is not done, with its epochs and what is left of it."""
        folder = self._folder(cell.spec)
        epochs = Epochs() if cell.state is RunState.PENDING else read_epochs(folder / HISTORY)
        rest = self._estimate(cell.spec, epochs)
        spent = sum(epochs.seconds)
        if cell.state is RunState.RUNNING:
            last = max(changed(folder / HISTORY), changed(folder / ENVIRONMENT))
            since = max(0.0, self.now() - last) if last else 0.0
            spent += since
            if (
                rest.seconds is not None and rest.epochs
            ):  # no more than the epoch that it is in has gone by
                rest = replace(rest, seconds=rest.seconds - min(since, rest.seconds / rest.epochs))
        return CellStatus(cell.spec, cell.state, epochs, spent, rest)

    def _estimate(self, spec: RunSpec, epochs: Epochs) -> TimeEstimate:
        """Made anew only after another epoch or another finished cell."""
        key = (spec.run_id, len(epochs.seconds), len(self.own))
        if key not in self.estimates:
            self.estimates[key] = estimate(spec, self.images, self.sources, epochs.seconds)
        return self.estimates[key]


def read_epochs(path: Path) -> Epochs:
    """Read history.csv; no epochs where it is absent or damaged, for it only serves to look and to
    estimate.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, csv.Error):
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [
                (float(row["seconds"]), float(row["val_dice"])) for row in csv.DictReader(stream)
            ]
        if rows and all(seconds >= 0 for seconds, _ in rows):
            return Epochs(*zip(*rows, strict=True))
    return Epochs()


def changed(path: Path) -> float:
    """When a file was written, in seconds since 1970; 0 where there is none."""
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0
