"""The grid as a table: what stands in it, how wide it is, and in which colours."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from bench_forms import small_recipe
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style

from baselines import ARMS
from benchmark.cli.terminal.grid_table import brief, entry_text, fitted, grid_table, show, time_left
from benchmark.planning.grid import expand, load_grid
from benchmark.planning.status import CellStatus, Epochs
from benchmark.planning.time_estimate import TimeEstimate
from benchmark.runs.run_folder import RunState
from benchmark.runs.spec import RunSpec
from benchmark.splits.split import Split

Capture = pytest.CaptureFixture[str]
DONE, RUNNING, PARTIAL = RunState.DONE, RunState.RUNNING, RunState.PARTIAL
FAILED, PENDING = RunState.FAILED, RunState.PENDING
ALPHAS = [f"0.{i}" for i in range(1, 10)]


def specs_of(grid: str) -> list[RunSpec]:
    split, data = Split("by-image-1", (1,), (2,), (3,)), {"dataset_id": "d", "shape": (64, 64)}
    more: Any = {"content_fingerprint": "c", **data}
    return expand(load_grid(grid), ARMS, small_recipe(), [split], **more)


def cell(spec: RunSpec, state: RunState, epochs: int = 0, rest: float | None = 1200) -> CellStatus:
    own = TimeEstimate(rest, 20, "like cells in runs", own=True, cells=3)
    left = TimeEstimate(0.0) if state is DONE else own
    return CellStatus(spec, state, Epochs((60.0,) * epochs, (0.5,) * epochs), 0.0, left)


def mixed() -> list[CellStatus]:
    """The thesis's 4 x 9 x 3: the first seed done but for its last three; one more runs."""
    special = {33: (FAILED, 0), 34: (PARTIAL, 8), 35: (PARTIAL, 0), 36: (RUNNING, 13)}
    return [
        cell(spec, *special.get(i, (DONE if i < 33 else PENDING, 0)))
        for i, spec in enumerate(specs_of("thesis"))
    ]


def shown(cells: Sequence[CellStatus], width: int, height: int = 99, click: str = "") -> list[str]:
    """The lines of the grid on a terminal, checked to lie within the width."""
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as got:
        console.print(fitted(cells, {click}, 1, console, height))
    lines = got.get().splitlines()
    assert max(cell_len(line) for line in lines) <= width
    return [line.rstrip() for line in lines]


def test_at_120_columns_every_entry_counts_its_seeds_by_state() -> None:
    """Rows are kernels and columns alphas; a row's last lines tell the epoch and the time left."""
    lines = shown(mixed(), 120)
    assert lines[0].split() == ["alpha", *ALPHAS]
    assert re.match(r"unet 3x3 (1/3 done +){9}$", f"{lines[1]} ")
    assert re.match(r" +1/3 running (~40 min +){8}$", f"{lines[2]} ")
    assert [line.split() for line in lines[3:5]] == [["epoch", "12"], ["~40", "min"]]
    last_row = next(i for i, line in enumerate(lines) if line.startswith("unet 9x9"))
    assert lines[last_row].split()[-6:] == ["1/3", "failed", "1/3", "partial", "1/3", "partial"]
    assert lines[-3:] == [
        "",
        "Cells: 33 done, 1 running, 2 partial (begun), 1 failed (tried again), 71 pending",
        "Time left: 25 h 0 min (from 3 like cells in runs)",
    ]


def test_at_80_columns_words_are_wrapped_and_nothing_is_lost() -> None:
    lines = shown(mixed(), 80)
    assert lines[0].split() == ["alpha", *ALPHAS]
    table = " ".join("\n".join(lines[:-3]).split())
    counts = {word: table.count(word) for word in ("done", "running", "partial", "failed")}
    assert counts == {"done": 33, "running": 1, "partial": 2, "failed": 1}


@pytest.mark.parametrize("width", [120, 80])
@pytest.mark.parametrize("height", [30, 23, 12, 5, 1])
def test_it_is_never_higher_than_it_may_be_as_long_as_its_foot_fits(
    width: int, height: int
) -> None:
    """Where the table does not fit, it goes without times, and then altogether."""
    lines = shown(mixed(), width, height)
    assert len(lines) <= max(height, 3)
    assert lines[-1].startswith("Time left: ")


def test_arms_without_alpha_have_a_column_of_their_own() -> None:
    cells = [cell(spec, PENDING) for spec in specs_of("quick")]
    heading, *rows = shown(cells, 120, click="click-region-growing")
    assert heading.split() == ["alpha", "none", "0.1", "0.5", "0.9"]
    starts = [heading.index(word) for word in heading.split()[1:]]
    rows = [row for row in rows if "pending" in row and "Cells" not in row]
    arms = [row[: starts[0]].strip() for row in rows]
    pending = [[row[i : i + 7] == "pending" for i in starts] for row in rows]
    places = dict(zip(arms, pending, strict=True))
    assert places["otsu"] == [True, False, False, False]
    assert places["click-region-growing (click)"] == [True, False, False, False]
    assert places["attention-unet"] == [False, False, True, False]
    assert places["unet 5x5"] == [False, True, True, True]
    assert places["unet 9x9"] == [False, False, True, False]


def test_a_grid_that_knows_no_alpha_has_one_column_without_a_name() -> None:
    specs = [spec for spec in specs_of("baselines") if spec.arm in ("otsu", "background")]
    lines = shown([cell(spec, DONE) for spec in specs], 80)
    assert lines[:2] == ["background done", "otsu       done"]


def test_rows_of_one_arm_are_told_apart_by_what_differs() -> None:
    otsu = next(spec for spec in specs_of("baselines") if spec.arm == "otsu")
    other = replace(otsu, params=ARMS["otsu"].resolve({"rim": 0.4}))
    lines = shown([cell(otsu, DONE), cell(other, DONE)], 80)
    assert lines[:2] == ["otsu rim=0.2 done", "otsu rim=0.4 done"]


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ([(DONE, 0, 0)] * 3, "3/3 done"),
        ([(DONE, 0, 0)], "done"),
        ([(PENDING, 0, 840)] * 3, "3/3 pending\n~42 min"),
        ([(RUNNING, 13, None)], "running\nepoch 12\n~?"),
        (
            [(DONE, 0, 0), (RUNNING, 13, 60), (RUNNING, 4, 60), *[(PENDING, 0, 2080)] * 9],
            "1/12 done\n2/12 running\nepoch 3-12\n~5.2 h",
        ),
        (
            [(PARTIAL, 8, 20), (FAILED, 3, 20), (FAILED, 0, 20)],
            "1/3 partial\nepoch 7\n2/3 failed\n~1 min",
        ),
        ([], ""),
    ],
)
def test_an_entry_in_words(cells: list[tuple[RunState, int, float | None]], text: str) -> None:
    """What is pending is what the others leave over of the total."""
    spec = specs_of("thesis")[0]
    entry = [cell(spec, state, epochs, rest) for state, epochs, rest in cells]
    assert entry_text(entry).plain == text
    assert entry_text(entry, times=False).plain == re.sub(r"\n~.*", "", text)


def test_the_time_left_in_words() -> None:
    """75 cells of 20 minutes."""
    source = " (from 3 like cells in runs)"
    assert time_left(mixed()) == f"25 h 0 min{source}"
    assert time_left(mixed(), at_once=3) == f"8 h 20 min, shared by 3 workers{source}"
    known, unknown = specs_of("thesis")[:2]
    cells = [cell(known, PENDING), CellStatus(unknown, PENDING, left=TimeEstimate(None))]
    assert time_left(cells) == f"20 min 0 s, and 1 cells of unknown cost{source}"
    assert time_left([cell(known, DONE)]) == "none"
    assert time_left(cells[1:] * 2) == "not known before a first epoch (2 cells)"


def test_workers_share_no_cell_so_the_longest_is_the_least_that_is_left() -> None:
    one, two = specs_of("thesis")[:2]
    cells = [cell(one, PENDING, rest=600), cell(two, PENDING, rest=60)]
    assert time_left(cells, at_once=2).startswith("10 min 0 s, shared by 2 workers")


def test_what_was_not_learnt_on_this_machine_says_so() -> None:
    one, two = specs_of("thesis")[:2]
    strange = CellStatus(one, PENDING, left=TimeEstimate(60, 20, "our records: 2 cores of a kind"))
    then = "your machine's speed is known after the first cell"
    assert time_left([strange]) == f"1 min 0 s (from our records: 2 cores of a kind; {then})"
    assert then in time_left([strange, cell(two, PENDING, rest=10)])
    assert then not in time_left([strange, cell(two, PENDING, rest=100)])


def test_states_have_colours_that_the_colour_blind_tell_apart() -> None:
    """As a terminal of any kind is told them: what it makes of them, rich keeps for later tests."""
    console = Console(width=120, file=io.StringIO())
    view = fitted(mixed(), (), 1, console, 99)
    styles = {part.text: part.style for part in console.render(view) if part.style}
    for text, colour in {
        "33 done": "#2C8FD1",
        "1 running": "bold #E69F00",
        "2 partial (begun)": "#009E73",
        "1 failed (tried again)": "bold #D55E00",
        "71 pending": "bright_black",
    }.items():
        assert styles[text] == Style.parse(colour)


def test_what_is_no_terminal_gets_plain_aligned_lines_of_any_length(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No escape codes, no blanks at ends; as long as need be, whatever COLUMNS says."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    show(mixed())
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert output.isascii()
    lines = output.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    assert len(lines[1]) > 100
    starts = [match.start() for match in re.finditer(r"0\.\d", lines[0])]
    assert [match.start() for match in re.finditer(r"1/3 done|3/3 pending", lines[1])] == starts


def test_a_grid_of_no_cells_is_an_empty_table() -> None:
    assert grid_table([]).row_count == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (5369, "89 min"), (5400, "1.5 h"),
     (35_819, "9.9 h"), (35_821, "10 h")],
)  # fmt: skip
def test_a_brief_time(seconds: float, text: str) -> None:
    assert brief(seconds) == text
