"""The grid as it is drawn on a terminal while it runs, and which output is one."""

from __future__ import annotations

import errno
import io
import re

import pytest
from progress_forms import begun, everything, name
from rich.console import Console

from baselines import ARMS
from benchmark.cli.terminal.progress import LiveGrid, at_work_lines, terminal
from benchmark.planning.request import PlannedRuns
from benchmark.planning.status import CellStatus, Epochs, GridStatus
from benchmark.planning.time_estimate import TimeEstimate
from benchmark.runs.run_folder import RunState


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
