"""Cells as their folders show them, at a clock that the test holds."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from bench_forms import spec_of

from baselines import ARMS
from benchmark.data.slices import SliceSet
from benchmark.planning import status as status_module
from benchmark.planning.grid import Grid
from benchmark.planning.request import PlannedRuns
from benchmark.planning.status import CellStatus, Epochs, GridStatus, read_epochs
from benchmark.planning.time_estimate import TimeEstimate
from benchmark.protocol import Recipe, override
from benchmark.runs.run_folder import RunFolder, RunState
from benchmark.splits.split import make

THESIS = override(Recipe(), "thesis", {})
NOW = 1_800_000_000.0
HISTORY = "epoch,train_loss,val_loss,val_dice,seconds\n0,0.9,0.8,0.25,2.0\n1,0.9,0.8,0.125,4.0\n"


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _no_records_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(status_module, "reproduction_folder", lambda: tmp_path / "shipped")


@pytest.fixture
def planned(slices: SliceSet, tmp_path: Path) -> PlannedRuns:
    """Three alphas of one kernel."""
    split, unet = make(slices, THESIS.split, 1), ARMS["unet"]
    specs = [spec_of("unet", unet, slices, split, THESIS, alpha=alpha) for alpha in (0.1, 0.5, 0.9)]
    grid = Grid("some", (), (1,))
    return PlannedRuns(slices, {split.split_id: split}, specs, grid, tmp_path / "runs")


def write(planned: PlannedRuns, place: int, at: float = NOW, **files: str) -> RunFolder:
    """Files of one cell, named without their ending, as of a moment."""
    folder = RunFolder(planned.folder, planned.specs[place].run_id)
    folder.path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / (f"{name}.csv" if name == "history" else f"{name}.json")
        path.write_text(text)
        os.utime(path, (at, at))
    return folder


def finish(planned: PlannedRuns, place: int, seconds: float) -> None:
    timing = {"fit_seconds": 9, "predict_seconds": 1, "seconds_per_epoch": seconds}
    spec = json.dumps({"spec": planned.specs[place].canonical()})
    dataset = {"slices": len(planned.slices)}
    result = {"fit": {"stopped_early": True, "stop_epoch": 19}, "dataset": dataset}
    timing = {**timing, "train_gflop_per_image": 10}
    environment = {"gpu": None, "cores": 2, "threads": 1, "processor": "AMD EPYC"}
    texts = {"timing": timing, "result": result, "environment": environment}
    write(planned, place, spec=spec, **{name: json.dumps(text) for name, text in texts.items()})


def test_states_and_epochs_are_read_off_the_folders(planned: PlannedRuns) -> None:
    """The second has 23 of 25 epochs left at its own median of 3 s, the third 25 as both.

    25 are the mean of the first one's 20 and the guess of 30; a cell takes a second besides.
    """
    finish(planned, 0, 3.0)
    write(planned, 1, spec="{}", history=HISTORY)
    status = GridStatus(planned, ARMS, Clock())
    cells, specs = status.snapshot(), planned.specs
    own, like = "their own epochs", f"like cells in {planned.folder}"
    begun = Epochs((2.0, 4.0), (0.25, 0.125))
    assert cells == (
        CellStatus(specs[0], RunState.DONE),
        CellStatus(specs[1], RunState.PARTIAL, begun, 6.0, TimeEstimate(69.0, 23, own, own=True)),
        CellStatus(
            specs[2], RunState.PENDING, left=TimeEstimate(76.0, 25, like, own=True, cells=2)
        ),
    )
    assert status.needs_click == {"click-region-growing"}
    # whatever is done: else a grid gone on with could be shared among other threads, and change
    assert status.seconds_in_all() == 3 * 76.0


def test_of_the_epoch_that_a_cell_is_in_what_has_gone_by_is_taken_off(planned: PlannedRuns) -> None:
    """28 of the guessed 30 epochs at 3 s; 2 s into one, and then so long that it must be ending."""
    folder, clock = write(planned, 0, spec="{}", history=HISTORY), Clock()
    with folder.lock():
        clock.now = NOW + 2
        status = GridStatus(planned, ARMS, clock)
        cell = status.snapshot()[0]
        assert (cell.state, cell.spent, cell.left.seconds) == (RunState.RUNNING, 8.0, 28 * 3.0 - 2)
        clock.now = NOW + 500
        assert status.snapshot()[0].left.seconds == 27 * 3.0


def test_a_cell_that_ended_meanwhile_teaches_the_others_once(planned: PlannedRuns) -> None:
    clock = Clock()
    status = GridStatus(planned, ARMS, clock)
    assert status.snapshot()[1].left.source.startswith("a guess")
    finish(planned, 0, 3.0)
    for _ in range(2):
        clock.now += 1
        left = status.snapshot()[1].left
        assert left == TimeEstimate(76.0, 25, f"like cells in {planned.folder}", True, 1)
        assert len(status.own) == 1


def test_epochs_of_a_cell_that_runs_teach_the_others(planned: PlannedRuns) -> None:
    """At a median of 2, then of 3 seconds an epoch, whose number stays a guess."""
    clock, (first, second) = Clock(), (HISTORY[: HISTORY.index("1,0.9")], HISTORY)
    status = GridStatus(planned, ARMS, clock)
    for text, pace in ((first, 2.0), (second, 3.0)):
        write(planned, 0, spec="{}", history=text)
        clock.now += 1
        left = status.snapshot()[1].left
        like = f"like cells in {planned.folder}"
        assert left == TimeEstimate(30 * pace + 1, 30, like, own=True, cells=1)


def test_folders_are_read_once_a_second_unless_asked_afresh(planned: PlannedRuns) -> None:
    clock = Clock()
    status = GridStatus(planned, ARMS, clock)
    write(planned, 0, spec="{}")
    clock.now += 0.9
    assert status.snapshot()[0].state is RunState.PENDING
    assert status.snapshot(afresh=True)[0].state is RunState.PARTIAL
    write(planned, 1, spec="{}")
    clock.now += 1
    assert status.snapshot()[1].state is RunState.PARTIAL
    write(planned, 2, spec="{}")
    clock.now -= 3600  # a clock set back must not stop the reading
    assert status.snapshot()[2].state is RunState.PARTIAL


def test_what_is_done_is_not_looked_at_again(planned: PlannedRuns) -> None:
    finish(planned, 0, 3.0)
    status = GridStatus(planned, ARMS, Clock())
    (planned.folder / planned.specs[0].run_id / "result.json").unlink()
    assert status.snapshot(afresh=True)[0].state is RunState.DONE


def test_interrupted_cells_are_those_begun_since_then_that_nobody_works_on(
    planned: PlannedRuns,
) -> None:
    for place, at in enumerate((NOW - 100, NOW + 1, NOW + 1)):
        last = write(planned, place, at, spec="{}", environment="{}")
    status = GridStatus(planned, ARMS, Clock())
    with last.lock():
        assert [cell.spec for cell in status.interrupted()] == [planned.specs[1]]


def test_our_records_teach_where_the_folder_does_not(planned: PlannedRuns, tmp_path: Path) -> None:
    """One thread of two cores took 3 s an epoch: both take half; each of two cells at once, 3 s."""
    finish(planned, 0, 3.0)
    planned.folder.rename(tmp_path / "shipped")
    status = GridStatus(planned, ARMS, Clock())
    ours = "our records: 2 cores of AMD EPYC"
    assert status.snapshot()[1].left == TimeEstimate(1.5 * 25 + 1, 25, ours)
    status.shared(2)
    assert status.snapshot()[1].left == TimeEstimate(2 * 1.5 * 25 + 1, 25, ours)


@pytest.mark.parametrize(
    "text",
    [None, "", "epoch,seconds\n0,1.0\n", HISTORY + "2,0.9", HISTORY + "2,0.9,0.8,high,4.0\n",
     HISTORY.replace("4.0", "-4.0")],
)  # fmt: skip
def test_an_absent_or_damaged_history_has_no_epochs(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "history.csv").write_text(text)
    assert read_epochs(tmp_path / "history.csv") == Epochs()
    assert Epochs().last == -1


def test_the_timing_of_a_damaged_cell_is_passed_over(planned: PlannedRuns) -> None:
    status = GridStatus(planned, ARMS, Clock())
    write(planned, 0, result="{")
    assert status.snapshot(afresh=True)[0].state is RunState.DONE
    assert status.own == []
