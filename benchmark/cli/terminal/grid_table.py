"""A grid as one table of states: arms and kernels down, alphas across; and what is left of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmark.planning.status import CellStatus
from benchmark.planning.time_estimate import left, sources_text, span
from benchmark.runs.run_folder import RunState
from benchmark.runs.spec import RunSpec

# In the order shown. After Okabe and Ito, whom the colour-blind can follow, the blue lighter for
# dark screens; a word always stands beside.
COLOURS = {
    RunState.DONE: "#2C8FD1",
    RunState.RUNNING: "bold #E69F00",
    RunState.PARTIAL: "#009E73",
    RunState.QUEUED: "#CC79A7",
    RunState.FAILED: "bold #D55E00",
    RunState.PENDING: "bright_black",
}
UNTIL_THEN = "your machine's speed is known after the first cell"
MEANING = {RunState.PARTIAL: " (begun)", RunState.FAILED: " (tried again)"}
PLACE = {RunState.RUNNING: "on", RunState.QUEUED: "in"}  # a machine, a task of a batch system
UNLIMITED = 10_000  # columns: a file has no width

Row = tuple[str, tuple[tuple[str, Any], ...]]  # an arm and its parameters but alpha


def show(cells: Sequence[CellStatus], needs_click: Collection[str] = ()) -> None:
    """Print a grid: as wide as the terminal, else plain lines as long as they need to be."""
    console = Console()
    wide = not console.file.isatty()
    if wide:
        console = Console(width=UNLIMITED)
    table = grid_table(cells, needs_click, gap=3 if wide else 1)
    with console.capture() as shown:
        console.print(table, Text(), summary(cells), sep="\n")
    print("\n".join(line.rstrip() for line in shown.get().splitlines()))


def fitted(
    cells: Sequence[CellStatus],
    needs_click: Collection[str],
    at_once: int,
    console: Console,
    height: int,
) -> RenderableType:
    """The table and the summary in so many lines; without times, or without the table, if need be.

    needs_click: arms that are marked as shown a click; at_once: processes that share what is left.
    """
    below = Group(Text(), summary(cells, at_once))
    for times in (True, False):
        view = Group(grid_table(cells, needs_click, times=times), below)
        if len(console.render_lines(view, pad=False)) <= height:
            return view
    return below


def grid_table(
    cells: Iterable[CellStatus],
    needs_click: Collection[str] = (),
    *,
    gap: int = 1,
    times: bool = True,
) -> Table:
    """Rows in the order of the cells; columns by alpha, "none" being that of arms without alpha.

    Where no arm knows alpha there is one column without a name. gap: blanks between columns; times:
    whether entries tell the time left, and rows of several lines stand apart.
    """
    entries: dict[Row, dict[float | None, list[CellStatus]]] = {}
    for cell in cells:
        entries.setdefault(_row(cell.spec), defaultdict(list))[_alpha(cell.spec)].append(cell)
    alphas = {alpha for row in entries.values() for alpha in row}
    columns = sorted(alphas, key=lambda alpha: (alpha is not None, alpha))
    named = columns not in ([], [None])
    table = Table(
        box=None, padding=(0, gap, 0, 0), pad_edge=False, show_header=named, header_style="bold"
    )
    for heading in ["alpha", *("none" if a is None else f"{a:g}" for a in columns)]:
        table.add_column(heading, overflow="fold")
    tall_before = False
    for name, row in zip(_names(entries, needs_click), entries.values(), strict=True):
        texts = [entry_text(row.get(alpha, []), times) for alpha in columns]
        tall = any("\n" in text.plain for text in texts)
        if times and table.row_count and (tall or tall_before):
            table.add_row()
        table.add_row(name, *texts)
        tall_before = tall
    return table


def entry_text(cells: Sequence[CellStatus], times: bool = True) -> Text:
    """A line for each state, the last epochs of those begun, and the time left of all of them.

    cells: those that differ in seed and split alone; none: no text.
    """
    lines = []
    for state, colour in COLOURS.items():
        alike = [cell for cell in cells if cell.state is state]
        if not alike or (state is RunState.PENDING and len(alike) < len(cells)):
            continue  # pending is what the others leave over of the total
        count = f"{len(alike)}/{len(cells)} " if len(cells) > 1 else ""
        lines.append(Text(f"{count}{state}", colour))
        last = sorted({cell.epochs.last for cell in alike if cell.epochs.dice})
        if places := sorted({cell.place for cell in alike if cell.place}):
            lines.append(Text(f"{PLACE[state]} {', '.join(places)}", colour))
        if last and state in (RunState.RUNNING, RunState.PARTIAL, RunState.QUEUED):
            reached = f"{last[0]}-{last[-1]}" if len(last) > 1 else f"{last[0]}"
            lines.append(Text(f"epoch {reached}", colour))
    if times and any(cell.state is not RunState.DONE for cell in cells):
        seconds, unknown = left(cell.left for cell in cells)
        lines.append(Text("~?" if unknown else f"~{brief(seconds)}"))
    return Text("\n").join(lines)


def summary(cells: Sequence[CellStatus], at_once: int = 1) -> Text:
    """How many cells are in each state, each in its colour; and the time left."""
    states = [cell.state for cell in cells]
    counts = [
        Text(f"{states.count(state)} {state}{MEANING.get(state, '')}", colour)
        for state, colour in COLOURS.items()
        if state is not RunState.QUEUED or state in states
    ]
    line = Text("Cells: ").append_text(Text(", ").join(counts))
    return line.append(f"\nTime left: {time_left(cells, at_once)}")


def time_left(cells: Iterable[CellStatus], at_once: int = 1) -> str:
    """What is left of cells: how long, of how many that is not known, and where it was learnt.

    The last cell is one worker's, so it is never less than the longest of them.
    """
    rest = [cell.left for cell in cells if cell.state is not RunState.DONE]
    if not rest:
        return "none"
    seconds, unknown = left(rest)
    if unknown == len(rest):
        return f"not known before a first epoch ({unknown} cells)"
    longest = max(rest, key=lambda one: one.seconds or 0.0)
    seconds = max(seconds / at_once, longest.seconds or 0.0)
    shared = f", shared by {at_once} workers" if at_once > 1 else ""
    more = f", and {unknown} cells of unknown cost" if unknown else ""
    sources = f"from {text}" if (text := sources_text(rest)) else ""
    if not longest.own:
        sources += f"{'; ' if sources else ''}{UNTIL_THEN}"
    return f"{span(seconds)}{shared}{more} ({sources})"


def brief(seconds: float) -> str:
    """A time in at most 6 characters, up to 9999 hours.

    >>> [brief(s) for s in (0.2, 40, 200, 5400, 18600, 360000)]
    ['0 s', '40 s', '3 min', '1.5 h', '5.2 h', '100 h']
    """
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    if seconds < 89.5 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 9.95 * 3600 else f"{seconds / 3600:.0f} h"


def _alpha(spec: RunSpec) -> float | None:
    alpha = spec.params.get("alpha")
    return alpha if isinstance(alpha, int | float) else None


def _row(spec: RunSpec) -> Row:
    return spec.arm, tuple(sorted((k, v) for k, v in spec.params.items() if k != "alpha"))


def _names(rows: Collection[Row], needs_click: Collection[str]) -> list[str]:
    """Each row's arm, its kernel, and the parameters in which it differs from others of its arm."""
    names = []
    for arm, params in rows:
        alike = [dict(others) for name, others in rows if name == arm]
        parts = [arm, *(f"{value}x{value}" for key, value in params if key == "kernel_size")]
        parts += [
            f"{key}={value}"
            for key, value in params
            if key != "kernel_size" and any(others.get(key) != value for others in alike)
        ]
        names.append(" ".join([*parts, "(click)"] if arm in needs_click else parts))
    return names
