"""What is told in lines while a grid runs, at a clock held by the test, and when it is stopped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from bench_forms import spec_of
from progress_forms import ROW, begun, everything, name

from baselines import ARMS
from benchmark.arm import ArmEntry
from benchmark.cli.devices import WorkerDevice
from benchmark.cli.terminal import progress
from benchmark.cli.terminal.progress import Lines, Silent, closing_summary, kept_epochs
from benchmark.cli.workers import _worker
from benchmark.data.slices import SliceSet
from benchmark.planning.request import PlannedRuns, Request, prepare
from benchmark.planning.status import GridStatus
from benchmark.protocol import Recipe
from benchmark.runs.run_folder import RunFolder, RunState
from benchmark.runs.runner import RunOptions
from benchmark.splits.split import make

Capture = pytest.CaptureFixture[str]
CKPT = "checkpoint.pt"


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def lines(planned: PlannedRuns) -> Lines:
    return Lines(planned.specs, planned.folder)


def test_a_grid_told_from_begin_to_end(
    clock: Clock, planned: PlannedRuns, lines: Lines, capsys: Capture
) -> None:
    first, second, third = planned.specs
    with lines as output:
        output.on_state(first, RunState.DONE)
        output.on_state(first, RunState.RUNNING)
        output.on_begin(second)
        output.on_note("as it is")
        output.on_epoch(second, [])  # of an arm without epochs
        clock.now += 2
        output.on_epoch(second, [ROW])
        output.on_epoch(second, [ROW, {**ROW, "epoch": 1, "val_dice": 0.125}])
        clock.now += 38
        output.on_state(second, RunState.DONE)
        output.on_begin(third)
        clock.now += 1
        output.on_state(third, RunState.FAILED)
    assert capsys.readouterr().out.splitlines() == [
        f"{name(1, 3)}: done, from before",
        f"{name(1, 3)}: left to the process that is running it",
        f"{name(2, 5)}: begins",
        "    as it is",
        "    epoch 0  validation Dice 0.250 (best 0.250)  2.0 s an epoch",
        "    epoch 1  validation Dice 0.125 (best 0.250)  2.0 s an epoch",
        f"{name(2, 5)}: done in 40 s",
        f"{name(3, 7)}: begins",
        f"{name(3, 7)}: failed in 1.0 s",
    ]


def test_the_time_left_of_all_cells_is_told_where_each_is_known(
    planned: PlannedRuns, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guess: costs of 0.878, 1.807, 3.200 at 200 a second, 16 + 4 / 3 images, 2 epochs; 3 s."""
    first = planned.specs[0]
    Lines(planned.specs, planned.folder, GridStatus(planned, ARMS)).on_begin(first)
    assert capsys.readouterr().out == f"{name(1, 3)}: begins  about 4.0 s left\n"
    costless = {**ARMS, "unet": ArmEntry("elsewhere:Arm", ARMS["unet"].defaults)}
    Lines(planned.specs, planned.folder, GridStatus(planned, costless)).on_begin(first)
    assert capsys.readouterr().out == f"{name(1, 3)}: begins\n"


def test_what_a_checkpoint_held_is_gone_on_after(
    planned: PlannedRuns, lines: Lines, capsys: Capture
) -> None:
    """Told once, before the first new epoch, which is told as ever."""
    (begun(planned, 0) / "checkpoint.pt").touch()
    lines.on_begin(planned.specs[0])
    lines.on_epoch(planned.specs[0], [ROW])
    lines.on_epoch(planned.specs[0], [ROW, {**ROW, "epoch": 1, "val_dice": 0.5}])
    assert capsys.readouterr().out.splitlines()[1:] == [
        "    goes on after epoch 0  validation Dice 0.250 (best 0.250)",
        "    epoch 1  validation Dice 0.500 (best 0.500)  2.0 s an epoch",
    ]


@pytest.mark.parametrize("again", [False, True], ids=["dropped", "dropped and written anew"])
def test_a_training_whose_checkpoint_was_dropped_starts_over(
    planned: PlannedRuns, lines: Lines, capsys: Capture, again: bool
) -> None:
    checkpoint = begun(planned, 0) / "checkpoint.pt"
    checkpoint.touch()
    os.utime(checkpoint, (1, 1))
    lines.on_begin(planned.specs[0])
    checkpoint.unlink()
    if again:
        checkpoint.touch()
    lines.on_epoch(planned.specs[0], [ROW])
    assert "goes on" not in capsys.readouterr().out


def test_a_line_is_never_wrapped(
    slices: SliceSet, recipe: Recipe, tmp_path: Path, capsys: Capture
) -> None:
    """A log file has no width, and whoever searches it wants whole lines."""
    arm = "region-growing"
    spec = spec_of(arm, ARMS[arm], slices, make(slices, recipe.split, 1), recipe)
    Lines([spec], tmp_path).on_begin(spec)
    (line,) = capsys.readouterr().out.splitlines()
    assert len(line) > 80
    assert line.endswith(": begins")


def test_a_worker_of_a_parent_that_shows_the_grid_is_silent(
    planned: PlannedRuns, capsys: Capture
) -> None:
    output = Silent(planned.specs, planned.folder)
    everything(output, planned)
    with pytest.raises(KeyboardInterrupt), output:
        raise KeyboardInterrupt
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("form", "silent"), [(Silent, True), (Lines, False)])
def test_a_worker_says_nothing_where_its_parent_shows_the_grid(
    form: type[Lines], silent: bool, tmp_path: Path, capsys: Capture, few_phantoms: None
) -> None:
    asked = Request(data="phantoms", only={"arm": ["otsu"]}, out=tmp_path / "out")
    runs = frozenset(spec.run_id for spec in prepare(asked, ARMS, say=None).specs)
    _worker(asked, runs, ARMS, WorkerDevice("cpu", 1), RunOptions(tmp_path / "out"), form)
    assert list(tmp_path.glob("out/*/result.json"))
    assert ("done in" in capsys.readouterr().out) == (not silent)


def test_the_last_line_of_a_call_that_was_stopped(planned: PlannedRuns, capsys: Capture) -> None:
    """How many cells are done; which go on and after which epoch, and which start anew.

    It is the exception's note, which `benchmark.__main__` tells when everything has ended.
    """
    import torch

    status = GridStatus(planned, ARMS)
    done = planned.folder / planned.specs[0].run_id
    done.mkdir(parents=True)
    (done / "result.json").write_text("{}")
    torch.save({"history": [ROW]}, begun(planned, 1) / "checkpoint.pt")
    last = begun(planned, 2)
    with (
        pytest.raises(KeyboardInterrupt) as caught,
        Lines(planned.specs, planned.folder, status),
    ):
        raise KeyboardInterrupt
    assert capsys.readouterr().out == ""
    head = "1 of 3 cells are done; the same command "
    (told,) = caught.value.__notes__
    assert told == (
        f"{head}goes on with unet(alpha=0.5, kernel_size=5) seed 1 on by-image-1 after epoch 0 "
        "(cut after epoch 1), starts unet(alpha=0.5, kernel_size=7) seed 1 on by-image-1 anew "
        "(cut after epoch 1, before its first checkpoint)"
    )
    (last / "history.csv").unlink()  # as of an arm without epochs
    torch.save({"history": [ROW, ROW]}, RunFolder(planned.folder, planned.specs[1].run_id) / CKPT)
    assert closing_summary(status) == (
        f"{head}goes on with unet(alpha=0.5, kernel_size=5) seed 1 on by-image-1 after epoch 1, "
        "starts unet(alpha=0.5, kernel_size=7) seed 1 on by-image-1 anew "
        "(cut, before its first checkpoint)"
    )
    (last / CKPT).write_bytes(b"an arm's own")
    assert closing_summary(status).endswith(" seed 1 on by-image-1 from its checkpoint")


def test_a_call_that_was_stopped_between_two_cells_runs_the_rest(planned: PlannedRuns) -> None:
    status = GridStatus(planned, ARMS)
    assert closing_summary(status) == "0 of 3 cells are done; the same command runs the rest"


def test_a_checkpoint_that_cannot_be_read_does_not_tell_what_it_holds(tmp_path: Path) -> None:
    assert kept_epochs(tmp_path / CKPT) == 0
    (tmp_path / CKPT).write_bytes(b"PK nothing")
    assert kept_epochs(tmp_path / CKPT) is None
