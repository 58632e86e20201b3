"""The cells of a grid as their folders show them, read anew while work goes on. No torch."""

from __future__ import annotations

import contextlib
import csv
import platform
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from types import MappingProxyType

from benchmark.arm import ArmEntry
from benchmark.planning.request import PlannedRuns
from benchmark.planning.time_estimate import (
    OURS,
    CostKey,
    TimeEstimate,
    TimingRecord,
    declared_gflop,
    estimate,
    left,
    remaining,
    timing_record,
    timing_records,
)
from benchmark.runs.collect import reproduction_folder
from benchmark.runs.run_folder import ENVIRONMENT, HISTORY, RunFolder, RunState
from benchmark.runs.spec import RunSpec

SNAPSHOT_SECONDS = 1.0  # between two: each takes the locks of cells that were begun for an instant
NOTHING_LEFT = TimeEstimate(0.0)


@dataclass(frozen=True)
class Epochs:
    """The finished epochs of a cell, as history.csv holds them: seconds and validation Dice."""

    seconds: tuple[float, ...] = ()
    dice: tuple[float, ...] = ()

    @property
    def last(self) -> int:
        """The number of the last one, from 0; -1 where there is none."""
        return len(self.dice) - 1


@dataclass(frozen=True)
class CellStatus:
    """A cell now. spent: seconds of its epochs, and since then while it runs; left: its rest.

    place: the other machine that runs it, or the task that it is queued in; else "".
    """

    spec: RunSpec
    state: RunState
    epochs: Epochs = Epochs()
    spent: float = 0.0
    left: TimeEstimate = NOTHING_LEFT
    place: str = ""


class GridStatus:
    """The cells of planned runs; `snapshot`, from any thread, tells how they are.

    What is known to be done is not looked at again. now: seconds since 1970; waiting: the run_ids
    that a batch system has in its queue, and the task of each; ended: those whose holder it knows
    to be gone; with_times: whether estimates learn from the folder's runs, each of which is opened;
    needs_click: names of the arms that are shown a click.
    """

    def __init__(
        self,
        planned: PlannedRuns,
        arms: Mapping[str, ArmEntry],
        now: Callable[[], float] = time.time,
        waiting: Mapping[str, str] = MappingProxyType({}),
        ended: Collection[str] = (),
        with_times: bool = True,
    ) -> None:
        self.specs, self.folder = planned.specs, planned.folder
        self.slices, split = len(planned.slices.slice_id), next(iter(planned.splits.values()))
        self.images = len(split.train) + len(split.val) / 3
        self.arms, self.now = arms, now
        self.waiting, self.ended = waiting, ended
        self.needs_click = frozenset(name for name, entry in arms.items() if entry.needs_click)
        self.began = self.taken = now()
        self.own = timing_records(self.folder, self.slices) if with_times else []
        self.ours = timing_records(reproduction_folder(), self.slices, ours=True)
        self.under_way: list[TimingRecord] = []
        self.sharing = 1.0
        self.keys = {spec.run_id: CostKey.of(spec.canonical()) for spec in self.specs}
        self.done: dict[str, CellStatus] = {}
        self.estimates: dict[CostKey, TimeEstimate] = {}
        self.guard = threading.Lock()
        self.cells = self._read(first=True)

    def snapshot(self, *, afresh: bool = False) -> tuple[CellStatus, ...]:
        """Every cell in the grid's order; folders are read once a second at most, unless afresh."""
        with self.guard:
            if afresh or not 0 <= self.now() - self.taken < SNAPSHOT_SECONDS:
                self.cells, self.taken = self._read(), self.now()
            return self.cells

    def shared(self, sharing: float) -> None:
        """From now on each device works on so many cells at once."""
        self.sharing = sharing
        self.estimates.clear()
        self.snapshot(afresh=True)

    def interrupted(self) -> list[CellStatus]:
        """Cells worked on since this object was made, and that nobody works on now."""
        return [
            cell
            for cell in self.snapshot(afresh=True)
            if cell.state is RunState.PARTIAL
            and changed(self._folder(cell.spec) / ENVIRONMENT) >= self.began - 1
        ]

    def seconds_in_all(self) -> float:
        """What every cell would take from its beginning, done or not; 0 for one not known."""
        return left(self._estimate(spec) for spec in self.specs)[0]

    def _folder(self, spec: RunSpec) -> RunFolder:
        return RunFolder(self.folder, spec.run_id)

    def _read(self, first: bool = False) -> tuple[CellStatus, ...]:
        cells = {s.run_id: self.done.get(s.run_id) or self._with_state(s) for s in self.specs}
        for run_id, cell in cells.items():
            if cell.state is RunState.DONE and run_id not in self.done:
                self.done[run_id] = cell
                record = None if first else timing_record(self.folder / run_id, self.slices)
                self.own += [record] if record else []
                self.estimates.clear()
        cells = {run_id: self._with_epochs(cell) for run_id, cell in cells.items()}
        under_way = [self._begun(cell) for cell in cells.values() if cell.epochs.seconds]
        if under_way != self.under_way:
            self.under_way = under_way
            self.estimates.clear()
        return tuple(c if c.state is RunState.DONE else self._open(c) for c in cells.values())

    def _with_state(self, spec: RunSpec) -> CellStatus:
        """A cell as its folder says, or as queued where it is neither done nor at work."""
        folder = self._folder(spec)
        state = folder.state
        if state is RunState.RUNNING and spec.run_id in self.ended:
            state = RunState.PARTIAL
        if state is RunState.RUNNING:
            node = folder.node
            return CellStatus(spec, state, place="" if node == platform.node() else node)
        if state is not RunState.DONE and spec.run_id in self.waiting:
            return CellStatus(spec, RunState.QUEUED, place=self.waiting[spec.run_id])
        return CellStatus(spec, state)

    def _with_epochs(self, cell: CellStatus) -> CellStatus:
        """With those that it has finished, where it was begun and is not done."""
        if cell.state in (RunState.DONE, RunState.PENDING):
            return cell
        return replace(cell, epochs=read_epochs(self._folder(cell.spec) / HISTORY))

    def _begun(self, cell: CellStatus) -> TimingRecord:
        """What the epochs of a cell that is not done teach."""
        seconds, gflop = cell.epochs.seconds, declared_gflop(cell.spec, self.arms[cell.spec.arm])
        return TimingRecord(self.keys[cell.spec.run_id], sum(seconds), median(seconds), gflop=gflop)

    def _open(self, cell: CellStatus) -> CellStatus:
        """A cell that is not done, with what is left of it."""
        folder, epochs = self._folder(cell.spec), cell.epochs
        whole, training = self._estimate(cell.spec), cell.spec.recipe.training
        rest, spent = remaining(whole, training, epochs.seconds), sum(epochs.seconds)
        if cell.state is RunState.RUNNING:
            last = max(changed(folder / HISTORY), changed(folder / ENVIRONMENT))
            since = max(0.0, self.now() - last) if last else 0.0
            spent += since
            if rest.seconds is not None and rest.epochs:  # no more than an epoch has gone by
                since = min(since, rest.seconds / rest.epochs)
                rest = replace(rest, seconds=rest.seconds - since)
        return replace(cell, spent=spent, left=rest)

    def _estimate(self, spec: RunSpec) -> TimeEstimate:
        """Of a cell from its beginning; made anew only after what teaches it has changed."""
        key = self.keys[spec.run_id]
        if key not in self.estimates:
            sources = {f"{self.folder}": [*self.own, *self.under_way], OURS: self.ours}
            entry = self.arms[spec.arm]
            self.estimates[key] = estimate(spec, self.images, entry, sources, self.sharing)
        return self.estimates[key]


def read_epochs(path: Path) -> Epochs:
    """Read history.csv; no epochs where it is absent or damaged, for it only serves to estimate."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, csv.Error):
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [(float(r["seconds"]), float(r["val_dice"])) for r in csv.DictReader(stream)]
        if rows and all(seconds >= 0 for seconds, _ in rows):
            return Epochs(*zip(*rows, strict=True))
    return Epochs()


def changed(path: Path) -> float:
    """When a file was written, in seconds since 1970; 0 where there is none."""
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0
