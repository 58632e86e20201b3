"""What is told while a grid runs, at a clock that the test holds."""

from __future__ import annotations

import pytest
from bench_forms import spec_of

from baselines import ARMS
from benchmark import progress
from benchmark.data.slices import SliceSet
from benchmark.progress import GridProgress, span
from benchmark.protocol import Recipe
from benchmark.record import State
from benchmark.spec import RunSpec
from benchmark.split import make

Capture = pytest.CaptureFixture[str]


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(progress, "time", one)
    return one


@pytest.fixture
def specs(slices: SliceSet, recipe: Recipe) -> list[RunSpec]:
    split = make(slices, recipe.split, 1)
    return [spec_of("unet", ARMS["unet"], slices, split, recipe, kernel_size=kernel, alpha=0.5) for kernel in (3, 5, 7)]


ROW = {"epoch": 0, "train_loss": 0.9, "val_loss": 0.8, "val_dice": 0.25, "seconds": 2.0}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (60, "1 min 0 s"),
        (3599.4, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (108 * 3600, "108 h 0 min"),
    ],
)
def test_words_for_a_time(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_a_grid_told_from_begin_to_end(clock: Clock, specs: list[RunSpec], capsys: Capture) -> None:
    with GridProgress(specs, [10.0, 20.0, 30.0]) as told:
        told.on_state(specs[0], State.DONE)  # 20 + 30 s are left
        told.on_begin(specs[1])
        clock.now += 2
        told.on_epoch(specs[1], [ROW])
        told.on_epoch(specs[1], [ROW, {**ROW, "epoch": 1, "val_dice": 0.125}])
        clock.now += 38
        told.on_state(specs[1], State.DONE)  # 40 s where 20 were expected: the last will take 60
        told.on_begin(specs[2])
        clock.now += 1
        told.on_state(specs[2], State.FAILED)
    assert capsys.readouterr().out.splitlines() == [
        "[1/3] unet(alpha=0.5, kernel_size=3) seed 1: done, from before",
        "[2/3] unet(alpha=0.5, kernel_size=5) seed 1: begins  about 50 s left",
        "    epoch 0  validation Dice 0.250 (best 0.250)  2.0 s an epoch",
        "    epoch 1  validation Dice 0.125 (best 0.250)  2.0 s an epoch",
        "[2/3] unet(alpha=0.5, kernel_size=5) seed 1: done in 40 s",
        "[3/3] unet(alpha=0.5, kernel_size=7) seed 1: begins  about 1 min 0 s left",
        "[3/3] unet(alpha=0.5, kernel_size=7) seed 1: failed in 1.0 s",
    ]


def test_a_cell_of_another_process_is_said_to_be_left_to_it(
    clock: Clock, specs: list[RunSpec], capsys: Capture
) -> None:
    with GridProgress(specs, [1.0, 1.0, 1.0]) as told:
        told.on_state(specs[0], State.RUNNING)
    assert capsys.readouterr().out == (
        "[1/3] unet(alpha=0.5, kernel_size=3) seed 1: left to the process that is running it\n"
    )


def test_where_an_estimate_is_missing_no_time_is_promised(clock: Clock, specs: list[RunSpec], capsys: Capture) -> None:
    with GridProgress(specs, [1.0, None, 1.0]) as told:
        told.on_begin(specs[0])
    assert capsys.readouterr().out.endswith("begins\n")


def test_an_arm_without_epochs_says_nothing(clock: Clock, specs: list[RunSpec], capsys: Capture) -> None:
    with GridProgress(specs, [1.0] * 3) as told:
        told.on_epoch(specs[0], [])
    assert capsys.readouterr().out == ""


def test_a_line_is_never_wrapped(clock: Clock, slices: SliceSet, recipe: Recipe, capsys: Capture) -> None:
    """A log file has no width, and whoever searches it wants whole lines."""
    entry = ARMS["region-growing"]
    spec = spec_of("region-growing", entry, slices, make(slices, recipe.split, 1), recipe)
    with GridProgress([spec], [None]) as told:
        told.on_begin(spec)
    (line,) = capsys.readouterr().out.splitlines()
    assert len(line) > 80
    assert line.endswith(": begins")
