"""Cells as their folders show them, at a clock that the test holds."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from bench_forms import spec_of

from baselines import ARMS
from benchmark.data.slices import SliceSet
from benchmark.planning import status as surveying
from benchmark.planning.grid import Grid
from benchmark.planning.request import Job
from benchmark.planning.status import CellStatus, Epochs, GridStatus, read_epochs
from benchmark.planning.time_estimate import TimeEstimate, TimingRecord
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
    monkeypatch.setattr(surveying, "reproduction_folder", lambda: tmp_path / "shipped")


@pytest.fixture
def job(slices: SliceSet, tmp_path: Path) -> Job:
    """Three alphas of one kernel."""
    split = make(slices, THESIS.split, 1)
    specs = [
        spec_of("unet", ARMS["unet"], slices, split, THESIS, alpha=alpha)
        for alpha in (0.1, 0.5, 0.9)
    ]
    return Job(slices, {split.split_id: split}, specs, Grid("some", (), (1,)), tmp_path / "runs")


def write(job: Job, place: int, at: float = NOW, **files: str) -> Path:
    """Files of one cell, named without their ending, as of a moment."""
    folder = job.folder / job.specs[place].run_id
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / (f"{name}.csv" if name == "history" else f"{name}.json")
        path.write_text(text)
        os.utime(path, (at, at))
    return folder


def finish(job: Job, place: int, seconds: float) -> None:
    timing = {
        "fit_seconds": 9,
        "predict_seconds": 1,
        "seconds_per_epoch": seconds,
        "train_gflop_per_image": 10,
    }
    write(
        job,
        place,
        spec=json.dumps({"spec": job.specs[place].canonical()}),
        timing=json.dumps(timing),
        result=json.dumps({"fit": {"stopped_early": True, "stop_epoch": 19}}),
    )


def test_states_and_epochs_are_read_off_the_folders(job: Job) -> None:
    finish(job, 0, 3.0)
    write(job, 1, spec="{}", history=HISTORY)
    cells = GridStatus(job, ARMS, Clock()).look()
    assert [cell.state for cell in cells] == [RunState.DONE, RunState.PARTIAL, RunState.PENDING]
    assert [cell.spec for cell in cells] == job.specs
    assert cells[0] == CellStatus(job.specs[0], RunState.DONE)
    assert (cells[1].epochs, cells[1].spent) == (Epochs((2.0, 4.0), (0.25, 0.125)), 6.0)
    # 20 epochs as of the finished one: 18 more at its own median of 3 s; the last at the 3 s of the
    # finished one
    assert cells[1].left == TimeEstimate(54.0, 18, "their own epochs")
    assert cells[2].left == TimeEstimate(60.0, 20, f"like cells in {job.folder}")


def test_of_the_epoch_that_a_cell_is_in_what_has_gone_by_is_taken_off(job: Job) -> None:
    """38 of the guessed 40 epochs at 3 s; 2 s into one, and then for so long that it must be about
    to end.
    """
    folder, clock = write(job, 0, spec="{}", history=HISTORY), Clock()
    with RunFolder(job.folder, folder.name).lock():
        clock.now = NOW + 2
        survey = GridStatus(job, ARMS, clock)
        cell = survey.look()[0]
        assert (cell.state, cell.spent, cell.left.seconds) == (RunState.RUNNING, 8.0, 38 * 3.0 - 2)
        clock.now = NOW + 500
        assert survey.look()[0].left.seconds == 37 * 3.0


def test_a_cell_that_ended_meanwhile_teaches_the_others(job: Job) -> None:
    clock = Clock()
    survey = GridStatus(job, ARMS, clock)
    assert survey.look()[1].left.learnt.startswith("a guess")
    finish(job, 0, 3.0)
    clock.now += 1
    assert survey.look()[1].left == TimeEstimate(60.0, 20, f"like cells in {job.folder}")
    assert len(survey.own) == 1
    clock.now += 1
    survey.look()
    assert len(survey.own) == 1  # learnt once


def test_folders_are_looked_at_once_a_second_unless_asked_afresh(job: Job) -> None:
    clock = Clock()
    survey = GridStatus(job, ARMS, clock)
    write(job, 0, spec="{}")
    clock.now += 0.9
    assert survey.look()[0].state is RunState.PENDING
    assert survey.look(afresh=True)[0].state is RunState.PARTIAL
    write(job, 1, spec="{}")
    clock.now += 1
    assert survey.look()[1].state is RunState.PARTIAL
    write(job, 2, spec="{}")
    clock.now -= 3600  # a clock set back must not stop the looking
    assert survey.look()[2].state is RunState.PARTIAL


def test_what_is_done_is_not_looked_at_again(job: Job) -> None:
    finish(job, 0, 3.0)
    survey = GridStatus(job, ARMS, Clock())
    (job.folder / job.specs[0].run_id / "result.json").unlink()
    assert survey.look(afresh=True)[0].state is RunState.DONE


def test_cells_cut_are_those_begun_since_then_that_nobody_works_on(job: Job) -> None:
    write(job, 0, NOW - 100, spec="{}", environment="{}")
    write(job, 1, NOW + 1, spec="{}", environment="{}")
    write(job, 2, NOW + 1, spec="{}", environment="{}")
    survey = GridStatus(job, ARMS, Clock())
    with RunFolder(job.folder, job.specs[2].run_id).lock():
        assert [cell.spec for cell in survey.cut()] == [job.specs[1]]


def test_our_records_teach_where_the_folder_does_not(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(job, 0, 3.0)
    job.folder.rename(tmp_path / "shipped")
    assert GridStatus(job, ARMS, Clock()).look()[1].left == TimeEstimate(
        60.0, 20, "like cells in our records"
    )


def test_arms_that_are_shown_a_click_are_known(job: Job) -> None:
    assert GridStatus(job, ARMS).needs_click == {"click-region-growing"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "epoch,seconds\n0,1.0\n",
        HISTORY + "2,0.9",
        HISTORY + "2,0.9,0.8,high,4.0\n",
        HISTORY.replace("4.0", "-4.0"),
    ],
)
def test_a_damaged_history_has_no_epochs(tmp_path: Path, text: str) -> None:
    (tmp_path / "history.csv").write_text(text)
    assert read_epochs(tmp_path / "history.csv") == Epochs()


def test_no_history_has_no_epochs(tmp_path: Path) -> None:
    assert read_epochs(tmp_path / "history.csv") == Epochs()
    assert Epochs().last == -1


def test_a_lesson_of_a_damaged_cell_is_passed_over(job: Job) -> None:
    survey = GridStatus(job, ARMS, Clock())
    write(job, 0, result="{")
    assert survey.look(afresh=True)[0].state is RunState.DONE
    none: list[TimingRecord] = []
    assert survey.own == none


def test_a_grid_takes_as_long_in_all_whatever_is_done(job: Job) -> None:
    """Else a grid that is gone on with could be shared among other threads than before, and its
    bits change.
    """
    finish(job, 0, 3.0)
    write(job, 1, spec="{}", history=HISTORY)
    assert (
        GridStatus(job, ARMS, Clock()).seconds_in_all() == 3 * 20 * 3.0
    )  # cells, epochs and seconds of the finished one
