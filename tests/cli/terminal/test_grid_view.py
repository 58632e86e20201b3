"""The grid as a table: what stands in it, how wide it is, and in which colours."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import pytest
from bench_forms import small_recipe
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style

from baselines import ARMS
from benchmark.cli.terminal.grid_table import brief, draw, entry_text, show
from benchmark.cli.terminal.grid_view import Entry, Share, view
from benchmark.planning.grid import expand, load_grid
from benchmark.planning.status import CellStatus, Epochs
from benchmark.planning.time_estimate import TimeEstimate
from benchmark.runs.run_folder import RunState
from benchmark.runs.spec import RunSpec
from benchmark.splits.split import Split

Capture = pytest.CaptureFixture[str]
DONE, RUNNING, PARTIAL, FAILED, PENDING = (
    RunState.DONE,
    RunState.RUNNING,
    RunState.PARTIAL,
    RunState.FAILED,
    RunState.PENDING,
)
REST = TimeEstimate(1200.0, 20, "like cells in runs")


def specs_of(grid: str, splits: int = 1) -> list[RunSpec]:
    there = [Split(f"by-image-{i + 1}", (1,), (2,), (3,)) for i in range(splits)]
    return expand(
        load_grid(grid),
        ARMS,
        small_recipe(),
        there,
        dataset_id="d",
        content_fingerprint="c",
        shape=(64, 64),
    )


def cell(spec: RunSpec, state: RunState, epochs: int = 0) -> CellStatus:
    return CellStatus(
        spec,
        state,
        Epochs((60.0,) * epochs, (0.5,) * epochs),
        0.0,
        TimeEstimate(0.0) if state is DONE else REST,
    )


def mixed() -> list[CellStatus]:
    """The thesis's 4 x 9 x 3: the first seed done but for the last three; one of the second runs,
    two of its own.
    """
    cells = []
    for i, spec in enumerate(specs_of("thesis")):
        states = {33: FAILED, 34: PARTIAL, 35: PARTIAL, 36: RUNNING}
        epochs = {34: 8, 35: 0, 36: 13}
        cells.append(cell(spec, states.get(i, DONE if i < 33 else PENDING), epochs.get(i, 0)))
    return cells


def drawn(cells: Sequence[CellStatus], width: int, height: int | None = None) -> list[str]:
    """The lines of the drawing, checked to lie within the width."""
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as got:
        console.print(draw(view(cells), console, height))
    lines = got.get().splitlines()
    assert max(cell_len(line) for line in lines) <= width
    return [line.rstrip() for line in lines]


def test_rows_are_kernels_and_columns_alphas() -> None:
    seen = view(mixed())
    assert seen.rows == ("unet 3x3", "unet 5x5", "unet 7x7", "unet 9x9")
    assert seen.columns == ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9")
    assert [len(row) for row in seen.entries] == [9] * 4
    assert {entry.total for row in seen.entries for entry in row if entry} == {3}


def test_an_entry_counts_its_seeds_and_splits_by_state() -> None:
    seen = view(mixed())
    assert seen.entries[0][0] == Entry(
        (Share(DONE, 1), Share(RUNNING, 1, (12,)), Share(PENDING, 1)), 2400.0
    )
    assert seen.entries[1][0] == Entry((Share(DONE, 1), Share(PENDING, 2)), 2400.0)
    assert [entry and entry.shares[0] for entry in seen.entries[3][6:]] == [
        Share(FAILED, 1), Share(PARTIAL, 1, (7,)), Share(PARTIAL, 1),
    ]  # fmt: skip
    assert seen.whole.shares == (
        Share(DONE, 33), Share(RUNNING, 1, (12,)), Share(PARTIAL, 2, (7,)), Share(FAILED, 1), Share(PENDING, 71),
    )  # fmt: skip
    pooled = view([cell(spec, PENDING) for spec in specs_of("thesis", splits=2)])
    assert {entry.total for row in pooled.entries for entry in row if entry} == {6}


def test_the_time_left_in_words() -> None:
    """75 cells of 20 minutes."""
    assert view(mixed()).time_left == "25 h 0 min (from like cells in runs)"
    assert (
        view(mixed(), at_once=3).time_left
        == "8 h 20 min, shared by 3 workers (from like cells in runs)"
    )
    first, second = specs_of("thesis")[:2]
    unknown = [cell(first, PENDING), CellStatus(second, PENDING, left=TimeEstimate(None))]
    assert (
        view(unknown).time_left
        == "20 min 0 s, and 1 cells of unknown cost (from like cells in runs)"
    )
    assert view([cell(first, DONE)]).time_left == "none"


def test_arms_without_alpha_have_a_column_of_their_own() -> None:
    seen = view([cell(spec, PENDING) for spec in specs_of("quick")], {"click-region-growing"})
    assert seen.columns == ("none", "0.1", "0.5", "0.9")
    there = {
        row: [entry is not None for entry in entries]
        for row, entries in zip(seen.rows, seen.entries, strict=True)
    }
    assert there["otsu"] == [True, False, False, False]
    assert there["click-region-growing (click)"] == [True, False, False, False]
    assert there["attention-unet"] == [False, False, True, False]
    assert there["unet 5x5"] == [False, True, True, True]
    assert there["unet 9x9"] == [False, False, True, False]


def test_a_grid_that_knows_no_alpha_has_one_column_without_a_name() -> None:
    cells = [
        cell(spec, DONE) for spec in specs_of("baselines") if spec.arm in ("otsu", "background")
    ]
    assert view(cells).columns == ()
    assert drawn(cells, 80)[:2] == ["background   done", "otsu         done"]


def test_rows_of_one_arm_are_told_apart_by_what_differs() -> None:
    one = next(spec for spec in specs_of("baselines") if spec.arm == "otsu")
    entry = ARMS["otsu"]
    other = RunSpec(**{**vars_of(one), "params": entry.resolve({"rim": 0.4})})
    assert view([cell(one, DONE), cell(other, DONE)]).rows == ("otsu rim=0.2", "otsu rim=0.4")


def vars_of(spec: RunSpec) -> dict[str, object]:
    return {name: getattr(spec, name) for name in spec.__dataclass_fields__}


@pytest.mark.parametrize(
    ("entry", "long", "short"),
    [
        (Entry((Share(DONE, 3),), 0.0), "3/3 done", "3 done"),
        (Entry((Share(DONE, 1),), 0.0), "done", "done"),
        (Entry((Share(PENDING, 3),), 2520.0), "3/3 pending\n~42 min", "3 pend\n42 min"),
        (Entry((Share(RUNNING, 1, (12,)),), None), "running\nepoch 12\n~?", "run\nep. 12\n?"),
        (
            Entry((Share(DONE, 1), Share(RUNNING, 2, (3, 12)), Share(PENDING, 9)), 18720.0),
            "1/12 done\n2/12 running\nepoch 3-12\n~5.2 h",
            "1 done\n2 run\nep. 3-12\n9 pend\n5.2 h",
        ),
        (Entry((Share(PARTIAL, 1, (7,)), Share(FAILED, 2)), 60.0), "1/3 partial\nepoch 7\n2/3 failed\n~1 min",
         "1 part\nep. 7\n2 fail\n1 min"),
        (None, "", ""),
    ],
)  # fmt: skip
def test_an_entry_in_words(entry: Entry | None, long: str, short: str) -> None:
    assert entry_text(entry).plain == long
    assert entry_text(entry, short=True).plain == short


def test_at_120_columns_every_word_is_written_out() -> None:
    lines = drawn(mixed(), 120)
    assert lines[0].split() == [
        "alpha",
        "0.1",
        "0.2",
        "0.3",
        "0.4",
        "0.5",
        "0.6",
        "0.7",
        "0.8",
        "0.9",
    ]
    assert lines[1].split("  ")[0] == "unet 3x3"
    assert re.split(r" {2,}", lines[1])[1:] == ["1/3 done"] * 9
    assert re.split(r" {2,}", lines[2])[1:] == ["1/3 running", *["~40 min"] * 8]
    assert [line.split() for line in lines[3:5]] == [["epoch", "12"], ["~40", "min"]]
    assert lines[-2:] == [
        "Cells: 33 done, 1 running, 2 partial (begun), 1 failed (tried again), 71 pending",
        "Time left: 25 h 0 min (from like cells in runs)",
    ]


def test_at_80_columns_words_are_shortened_and_nothing_is_lost() -> None:
    lines = drawn(mixed(), 80)
    assert lines[0].split() == [
        "alpha",
        "0.1",
        "0.2",
        "0.3",
        "0.4",
        "0.5",
        "0.6",
        "0.7",
        "0.8",
        "0.9",
    ]
    table = "\n".join(lines[:-3])
    assert re.findall(r"\d+ (?:run|part|fail)|ep\. \d+", table) == [
        "1 run",
        "ep. 12",
        "1 fail",
        "1 part",
        "1 part",
        "ep. 7",
    ]
    done = sum(int(n) for n in re.findall(r"(\d+) done", table))
    assert (done, sum(int(n) for n in re.findall(r"(\d+) pend", table))) == (33, 71)


def test_still_narrower_the_columns_are_drawn_in_pieces() -> None:
    heads = [line.split()[1:] for line in drawn(mixed(), 40) if line.startswith("alpha")]
    assert len(heads) > 1
    assert [alpha for head in heads for alpha in head] == [f"0.{i}" for i in range(1, 10)]


@pytest.mark.parametrize("height", [23, 18, 12, 5, 1])
@pytest.mark.parametrize("width", [120, 80])
def test_it_is_never_higher_than_it_may_be_as_long_as_its_foot_fits(
    width: int, height: int
) -> None:
    lines = drawn(mixed(), width, height)
    assert len(lines) <= max(height, 3)
    assert lines[-1].startswith("Time left: ")


def test_states_have_colours_that_the_colour_blind_tell_apart() -> None:
    """As a terminal of any kind is told them: what it makes of them, rich keeps for all later
    tests.
    """
    console = Console(width=120, file=io.StringIO())
    seen = {
        part.text: part.style for part in console.render(draw(view(mixed()), console)) if part.style
    }
    for words, colour in {
        "33 done": "#2C8FD1",
        "1 running": "bold #E69F00",
        "2 partial (begun)": "#009E73",
        "1 failed (tried again)": "bold #D55E00",
        "71 pending": "bright_black",
    }.items():
        assert seen[words] == Style.parse(colour)


def test_what_is_no_terminal_gets_plain_aligned_lines_of_any_length(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No escape codes, no blanks at ends; as long as need be, whatever COLUMNS says."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    show(view(mixed()))
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert output.isascii()
    lines = output.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    assert len(lines[1]) > 100
    starts = [match.start() for match in re.finditer(r"0\.\d", lines[0])]
    assert [match.start() for match in re.finditer(r"1/3 done|3/3 pending", lines[1])] == starts


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (5369, "89 min"),
        (5400, "1.5 h"),
        (35_819, "9.9 h"),
        (35_821, "10 h"),
    ],
)
def test_a_brief_time(seconds: float, words: str) -> None:
    assert brief(seconds) == words
