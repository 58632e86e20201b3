"""Real kills: a training killed or stopped again and again ends with the bits of a whole one."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from bench_forms import ROOT, bits, process, small_recipe

from baselines import ARMS
from benchmark.arm import Cases, RunContext
from benchmark.runs.model_file import unpack
from benchmark.runs.run_folder import read_json
from benchmark.training.seeding import make_deterministic

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork"),
]

# A process with everything imported, which forks a child for each folder named to it. Like
# `reproduce`, but with a checkpoint after every epoch, and without the seconds that importing costs
# at every restart.
DRIVER = """
import faulthandler, os, sys
from pathlib import Path

import torch
import baselines.attention_unet, baselines.unet
from baselines import ARMS
from bench_forms import small_recipe, small_slices, spec_of
from benchmark.__main__ import Terminated, sigterm_stops
from benchmark.runs.prepared_data import PreparedData
from benchmark.runs.runner import RunOptions, run_grid
from benchmark.splits.split import make

torch.set_num_threads(1)
long = dict(training__max_epochs=4, training__patience=4, network__channels=[4, 8, 8])
slices, recipe = small_slices(), small_recipe(**long)
split = make(slices, recipe.split, 1)
specs = [spec_of("unet", ARMS["unet"], slices, split, recipe, kernel_size=3),
         spec_of("attention-unet", ARMS["attention-unet"], slices, split, recipe)]

def say(*words):
    print(*words, flush=True)

def work(out):
    say("child", os.getpid())
    options = RunOptions(out, checkpoint_every_seconds=0, keep_models=True,
                         on_begin=lambda spec: say("begins", spec.arm),
                         on_epoch=lambda spec, history: say("epoch", spec.arm, len(history)),
                         on_state=lambda spec, state: say(state, spec.arm))
    run_grid(specs, PreparedData(slices, {split.split_id: split}, ARMS), options)
    say("all")

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(300, exit=True)  # a child that hangs fails the test
        try:
            with sigterm_stops():
                work(Path(line.strip()))
        except Terminated:
            say("stopped")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    say("gone")
"""


class Driver:
    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child = child

    def lines(self, out: Path) -> Iterator[list[str]]:
        """Run the grid into a folder; yield the words of each line until that child is gone."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(f"{out}\n")
        self.child.stdin.flush()
        while (line := self.child.stdout.readline().split()) != ["gone"]:
            assert line, "the driver ended"
            yield line


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """One process whose children are killed, so that each begins at once."""
    folder = tmp_path_factory.mktemp("driver")
    with (folder / "errors").open("w+", encoding="utf-8") as errors:
        child = process(
            ["-c", DRIVER], folder, [ROOT / "tests"], stdin=subprocess.PIPE, stderr=errors
        )
        yield Driver(child)
        child.communicate()
        errors.seek(0)
        assert (child.returncode, errors.read()) == (0, "")


@pytest.fixture(scope="module")
def never_killed(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken")
    assert list(driver.lines(out))[-1] == ["all"]
    return out


@pytest.fixture(scope="module")
def unbroken(never_killed: Path) -> dict[str, bytes]:
    return bits(never_killed)


@pytest.mark.parametrize("name", ["unet", "attention-unet"])
def test_the_grid_that_was_never_killed_trained_as_one_call_of_fit_does(
    never_killed: Path, cases: dict[str, Cases], name: str
) -> None:
    """The records that the killed grids are held to have the bits of a fit in this process."""
    (path,) = never_killed.glob(f"{name}_*/model.pt")
    make_deterministic("cpu")
    arm = ARMS[name].load()(**ARMS[name].resolve({"kernel_size": 3} if name == "unet" else {}))
    recipe = small_recipe(training__max_epochs=4, training__patience=4, network__channels=[4, 8, 8])
    report = arm.fit(cases["train"], cases["val"], RunContext(recipe, seed=1))
    history = pd.read_csv(path.with_name("history.csv"))
    for column in ("train_loss", "val_loss", "val_dice"):
        assert history[column].tolist() == [row[column] for row in report.history]
    kept = unpack(path.read_bytes(), path).state
    assert kept.keys() == arm.state().keys()
    assert all(torch.equal(value, kept[key]) for key, value in arm.state().items())


def kill_after(
    driver: Driver, out: Path, lines: int, seconds: float, how: signal.Signals = signal.SIGKILL
) -> bool:
    """Kill the run so many seconds after that line (0: it has just begun); True if too late."""
    heard: list[list[str]] = []
    pid = 0
    for line in driver.lines(out):
        if line[0] == "child":
            pid = int(line[1])
        heard.append(line)
        if len(heard) == lines + 1:
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
                os.kill(pid, how)
    return heard[-1] == ["all"]


def test_killed_again_and_again_a_grid_ends_with_the_same_bits(
    driver: Driver, unbroken: dict[str, bytes], tmp_path: Path
) -> None:
    """Killed right after the start, in the midst of epochs, and right after a chosen epoch line."""
    dice = random.Random(20240719)
    points = [(0, 0.0), (1, dice.uniform(0.0, 0.2)), (2, 0.0)]  # begun; in the first epoch; after
    points += [(dice.randint(2, 4), dice.uniform(0.0, 0.3)) for _ in range(3)]
    for lines, seconds in points:
        if kill_after(driver, tmp_path, lines, seconds):
            break
    assert list(driver.lines(tmp_path))[-1] == ["all"]
    assert len(unbroken) == 6
    assert bits(tmp_path) == unbroken
    timings = [read_json(path) for path in tmp_path.glob("*/timing.json")]
    assert any(timing["resumed"] for timing in timings)
    assert not list(tmp_path.glob("*/*.tmp"))
    assert not list(tmp_path.glob("*/checkpoint.pt"))


def test_told_to_stop_a_training_goes_on_where_it_was(
    driver: Driver, unbroken: dict[str, bytes], tmp_path: Path
) -> None:
    """SIGTERM after two epochs, as before a time limit: the next call begins with the third."""
    heard: list[list[str]] = []
    pid = 0
    for line in driver.lines(tmp_path):
        pid = int(line[1]) if line[0] == "child" else pid
        heard.append(line)
        if line == ["epoch", "unet", "2"]:
            os.kill(pid, signal.SIGTERM)
    assert heard[-1] == ["stopped"]
    reached = max(int(line[2]) for line in heard if line[:2] == ["epoch", "unet"])
    assert not list(tmp_path.glob("*/failure.json"))
    again = list(driver.lines(tmp_path))
    epochs = [int(line[2]) for line in again if line[:2] == ["epoch", "unet"]]
    assert epochs == [*range(epochs[0], 5)]
    assert epochs[0] in (reached, reached + 1)  # it may have been stopped before it could tell
    assert again[-1] == ["all"]
    assert bits(tmp_path) == unbroken


def test_stopped_at_any_moment_the_bits_are_the_same(
    driver: Driver, unbroken: dict[str, bytes], tmp_path: Path
) -> None:
    dice = random.Random(20241009)
    for lines in (0, 1, 2, 3):
        if kill_after(driver, tmp_path, lines, dice.uniform(0.0, 0.2), signal.SIGTERM):
            break
    assert list(driver.lines(tmp_path))[-1] == ["all"]
    assert bits(tmp_path) == unbroken
    assert not list(tmp_path.glob("*/*.tmp"))
