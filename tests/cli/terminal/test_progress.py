"""What is told while a grid runs: lines at a clock held by the test, and the grid on a terminal."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_forms import ROOT, TINY, spec_of, start
from rich.console import Console

from baselines import ARMS
from benchmark.__main__ import main
from benchmark.arm import ArmEntry
from benchmark.cli.devices import WorkerDevice
from benchmark.cli.terminal import progress
from benchmark.cli.terminal.progress import (
    Lines,
    LiveGrid,
    Silent,
    at_work_lines,
    closing_summary,
    kept_epochs,
    terminal,
)
from benchmark.cli.workers import _worker
from benchmark.data.slices import SliceSet
from benchmark.planning import status as status_module
from benchmark.planning.grid import Grid
from benchmark.planning.request import PlannedRuns, Request, prepare
from benchmark.planning.status import CellStatus, Epochs, GridStatus
from benchmark.planning.time_estimate import TimeEstimate
from benchmark.protocol import Recipe
from benchmark.runs.run_folder import RunFolder, RunState
from benchmark.runs.runner import RunOptions
from benchmark.splits.split import make

Capture = pytest.CaptureFixture[str]
CKPT = "checkpoint.pt"
ROW = {"epoch": 0, "train_loss": 0.9, "val_loss": 0.8, "val_dice": 0.25, "seconds": 2.0}
HISTORY = "epoch,train_loss,val_loss,val_dice,seconds\n0,0.9,0.8,0.25,2.0\n1,0.9,0.8,0.125,4.0\n"


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
def planned(
    slices: SliceSet, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PlannedRuns:
    """Three kernels, two epochs each."""
    monkeypatch.setattr(status_module, "reproduction_folder", lambda: tmp_path / "shipped")
    split, unet = make(slices, recipe.split, 1), ARMS["unet"]
    specs = [spec_of("unet", unet, slices, split, recipe, kernel_size=k) for k in (3, 5, 7)]
    grid = Grid("some", (), (1,))
    return PlannedRuns(slices, {split.split_id: split}, specs, grid, tmp_path / "runs")


@pytest.fixture
def lines(planned: PlannedRuns) -> Lines:
    return Lines(planned.specs, planned.folder)


def begun(planned: PlannedRuns, place: int) -> RunFolder:
    """A cell with two epochs behind it."""
    folder = RunFolder(planned.folder, planned.specs[place].run_id)
    folder.path.mkdir(parents=True)
    for name, text in {"spec.json": "{}", "environment.json": "{}", "history.csv": HISTORY}.items():
        (folder / name).write_text(text)
    return folder


def name(place: int, kernel: int) -> str:
    return f"[{place}/3] unet(alpha=0.5, kernel_size={kernel}) seed 1"


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


def everything(output: Lines, planned: PlannedRuns) -> None:
    """All that can be told, once."""
    output.on_state(planned.specs[0], RunState.DONE)
    output.on_begin(planned.specs[1])
    output.on_note("a note")
    output.on_epoch(planned.specs[1], [ROW])
    output.on_state(planned.specs[1], RunState.DONE)


def test_a_worker_of_a_parent_that_shows_the_grid_is_silent(
    planned: PlannedRuns, capsys: Capture
) -> None:
    output = Silent(planned.specs, planned.folder)
    everything(output, planned)
    with pytest.raises(KeyboardInterrupt), output:
        raise KeyboardInterrupt
    assert capsys.readouterr().out == ""


def screen(width: int = 100, height: int = 30) -> Console:
    return Console(width=width, height=height, file=io.StringIO(), force_terminal=True)


def test_on_a_terminal_only_what_the_grid_does_not_show_is_told_above_it(
    planned: PlannedRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.setenv("TERM", "xterm")  # a dumb one is shown the last picture alone
    console = screen()
    with LiveGrid(GridStatus(planned, ARMS), console) as output:
        everything(output, planned)
    assert isinstance(console.file, io.StringIO)
    text = re.sub(r"\x1b\[[0-9;?]*\w", "", console.file.getvalue())
    assert "    a note" in text
    assert f"{name(2, 5)}: done in " in text
    for line in ("from before", "begins", "an epoch"):
        assert line not in text
    assert text.count("Cells: 0 done, 0 running") > 1


@pytest.mark.parametrize("height", [9, 30])
def test_the_picture_is_no_higher_than_the_terminal_and_shows_the_cells_at_work(
    planned: PlannedRuns, height: int
) -> None:
    console = screen(80, height)
    with begun(planned, 1).lock():
        frame = LiveGrid(GridStatus(planned, ARMS), console).frame()
        rows = console.render_lines(frame, pad=False)
        lines = ["".join(part.text for part in row) for row in rows]
    assert len(lines) <= height
    assert lines[-2] == "unet(alpha=0.5, kernel_size=5) seed 1 on by-image-1"
    shown = r"  epoch 1  Dice 0\.125 \(best 0\.250\)  \S+  \d\.\d s, about 0\.0 s left"
    assert re.match(shown, lines[-1])
    assert any(line.startswith("unet 5x5") for line in lines) == (height == 30)


def test_a_cell_at_work_in_words(planned: PlannedRuns) -> None:
    spec, running = planned.specs[0], RunState.RUNNING
    begins = at_work_lines(CellStatus(spec, running, left=TimeEstimate(None)))
    epochs = Epochs((2.0,) * 8, (0.5,) * 8)
    at_eight = at_work_lines(CellStatus(spec, running, epochs, 16.0, TimeEstimate(24.0, 12)))
    console = Console(width=100, file=io.StringIO(), color_system=None)
    with console.capture() as got:
        console.print(*begins, *at_eight, sep="\n")
    lines = [line.rstrip() for line in got.get().splitlines() if line.strip()]
    assert re.fullmatch(r"  begins  \S* *0\.0 s", lines[1])
    assert lines[3].startswith("  epoch 7  Dice 0.500 (best 0.500)  ")
    assert lines[3].endswith("16 s, about 24 s left")


def test_a_disk_that_does_not_answer_ends_no_training(
    planned: PlannedRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = LiveGrid(GridStatus(planned, ARMS), screen())

    def broken() -> None:
        raise OSError(errno.EIO, "no answer")

    monkeypatch.setattr(output.status, "snapshot", broken)
    assert "no answer" in str(output.frame())


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


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdout", "kind", "drawable"),
    [(Tty, "xterm", True), (Tty, "dumb", False), (io.StringIO, "xterm", False)],
)
def test_only_a_terminal_that_can_move_its_cursor_is_one(
    stdout: type[io.StringIO], kind: str, drawable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where colours are forced: a picture drawn again and again would fill a log file."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setattr("sys.stdout", stdout())
    assert (terminal() is not None) == drawable


@pytest.mark.parametrize(("form", "silent"), [(Silent, True), (Lines, False)])
def test_a_worker_says_nothing_where_its_parent_shows_the_grid(
    form: type[Lines], silent: bool, tmp_path: Path, capsys: Capture, few_phantoms: None
) -> None:
    asked = Request(data="phantoms", only={"arm": ["otsu"]}, out=tmp_path / "out")
    runs = frozenset(spec.run_id for spec in prepare(asked, ARMS, say=None).specs)
    _worker(asked, runs, ARMS, WorkerDevice("cpu", 1), RunOptions(tmp_path / "out"), form)
    assert list(tmp_path.glob("out/*/result.json"))
    assert ("done in" in capsys.readouterr().out) == (not silent)


# A process with everything imported, which forks a child for each line of arguments, with few
# phantoms and a checkpoint after every epoch, not once a minute; epochs of a tenth of a second
DRIVER = """
import os, sys, time
from functools import partial

import baselines.unet
from benchmark.runs import runner
from benchmark.__main__ import main
from benchmark.data import phantoms
from benchmark.runs.run_folder import RunFolder

write_history = RunFolder.write_history
RunFolder.write_history = lambda *words: (time.sleep(0.1), write_history(*words))
phantoms.make = partial(phantoms.make, patients=8, slices_per_patient=3)
runner.RunOptions = partial(runner.RunOptions, checkpoint_every_seconds=0)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        print("child", os.getpid(), flush=True)
        code = main(line.split())
        sys.stdout.flush()
        os._exit(code)
    print("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
LONG = TINY.replace("= 2\n", '= 30\n"training.patience" = 30\n')
GRID = f"""{LONG}
[[arms]]
name = "otsu"

[[arms]]
name = "unet"
alpha = 0.5
"""


class Screen:
    """The driver on a pseudo-terminal of 100 x 30, and what its latest child has written there."""

    def __init__(self, cwd: Path) -> None:
        self.ours, theirs = os.openpty()
        size = {"COLUMNS": "100", "LINES": "30", "TERM": "xterm-256color", "PYTHONPATH": f"{ROOT}"}
        command = [sys.executable, "-c", DRIVER]
        self.child = start(command, cwd, size, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.raw = ""

    @property
    def text(self) -> str:
        """Without escape codes."""
        return re.sub(r"\x1b\[[0-9;?]*\w", "", self.raw).replace("\r", "")

    def run(self, command: str) -> None:
        assert self.child.stdin is not None
        self.raw = ""
        self.child.stdin.write(f"{command}\n")
        self.child.stdin.flush()

    def wait_for(self, pattern: str, seconds: float = 120) -> str:
        """Read until the text has the pattern; return its group."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < end, self.text
            self.raw += os.read(self.ours, 65536).decode(errors="replace")
        return found[1]

    def close(self) -> None:
        self.child.communicate()
        os.close(self.ours)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Screen]:
    (tmp_path / "tiny.toml").write_text(GRID)
    screen = Screen(tmp_path)
    yield screen
    screen.close()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a system with pseudo-terminals")
def test_on_a_terminal_a_grid_that_is_stopped_goes_on_and_ends(driver: Screen) -> None:
    """Ctrl-C in the midst of a training; the same command shows what is done, and goes on."""
    command = "reproduce --data phantoms --grid tiny.toml --out out --threads 1"
    driver.run(command)
    pid = driver.wait_for(r"child (\d+)")
    driver.wait_for(r"(epoch \d+)  Dice")
    os.kill(int(pid), signal.SIGINT)
    assert driver.wait_for(r"exit (\d+)") == "130"
    assert "\x1b[" in driver.raw
    assert re.search(r"unet 5x5 +running", driver.text)
    last = " ".join(driver.text[driver.text.rindex("stopped; 1 of 2 cells are done; ") :].split())
    (kept,) = re.findall(r"command goes on with unet\(.* after epoch (\d+) .*exit 130", last)
    driver.run(command)
    assert driver.wait_for(r"exit (\d+)") == "0"
    assert "Grid tiny: 2 cells, 1 done" in driver.text
    assert f"goes on after epoch {kept} " in driver.text
    cells = "Cells: 2 done, 0 running, 0 partial (begun), 0 failed (tried again), 0 pending"
    assert cells in driver.text


def test_elsewhere_no_escape_code_is_written(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, few_phantoms: None
) -> None:
    """By `plan` and `reproduce`, even where a terminal is claimed by TERM."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    (tmp_path / "tiny.toml").write_text(GRID.replace("30", "1"))
    options = "--data phantoms --grid tiny.toml --out out"
    for command in (f"plan {options}", f"reproduce {options} --threads 1", f"plan {options}"):
        assert main(command.split()) == 0
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert re.search(r"unet 5x5 +pending", output)
    assert "    epoch 0  validation Dice " in output
    assert re.search(r"unet 5x5 +done", output)
