"""The view of a grid drawn for a terminal of any width, in colours; or as plain text for anything
else.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from benchmark.cli.terminal.grid_view import ORDER, Entry, GridView
from benchmark.runs.run_folder import RunState

# after Okabe and Ito, whom the colour-blind can follow, the blue lighter for dark screens; a word
# always stands beside
COLOURS = {
    RunState.DONE: "#2C8FD1",
    RunState.RUNNING: "bold #E69F00",
    RunState.PARTIAL: "#009E73",
    RunState.FAILED: "bold #D55E00",
    RunState.PENDING: "bright_black",
}
SHORT = {
    RunState.DONE: "done",
    RunState.RUNNING: "run",
    RunState.PARTIAL: "part",
    RunState.FAILED: "fail",
    RunState.PENDING: "pend",
}
MEANING = {RunState.PARTIAL: " (begun)", RunState.FAILED: " (tried again)"}
UNLIMITED = 10_000  # columns: a file has no width


def show(seen: GridView) -> None:
    """Print a view to stdout: as wide as the terminal, else plain lines as long as they need to
    be.
    """
    console = Console()
    if not console.file.isatty():
        console = Console(width=UNLIMITED)
    with console.capture() as drawn:
        console.print(draw(seen, console))
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def draw(seen: GridView, console: Console, height: int | None = None) -> RenderableType:
    """The table, what its words mean, how many cells are in each state, and the time left.

    height: lines that it may take; where even the shortest form takes more, the table is left out.
    """
    below = Group(Text(), legend(seen.whole), Text(f"Time left: {seen.time_left}"))
    for tables in _forms(seen):
        drawn = Group(*tables, below)
        fits = all(_width(table, console) <= console.width for table in tables)
        if fits and (height is None or len(console.render_lines(drawn, pad=False)) <= height):
            return drawn
    return below


def legend(whole: Entry) -> Text:
    """How many cells are in each state, each in its colour."""
    counts = {share.state: share.count for share in whole.shares}
    parts = [
        Text(f"{counts.get(state, 0)} {state}{MEANING.get(state, '')}", COLOURS[state])
        for state in ORDER
    ]
    return Text("Cells: ").append_text(Text(", ").join(parts))


def entry_text(entry: Entry | None, short: bool = False, times: bool = True) -> Text:
    """A line for each state, then one for the time left. short: 7 characters at most for up to 99
    cells of an entry.
    """
    if entry is None:
        return Text()
    lines = []
    for share in entry.shares:
        if share.state is RunState.PENDING and len(entry.shares) > 1 and not short:
            continue  # what the others leave over of the total
        count = (
            ""
            if entry.total == 1
            else f"{share.count} "
            if short
            else f"{share.count}/{entry.total} "
        )
        lines.append(
            Text(f"{count}{SHORT[share.state] if short else share.state}", COLOURS[share.state])
        )
        if share.epochs:
            reached = "-".join(
                str(epoch) for epoch in dict.fromkeys((share.epochs[0], share.epochs[-1]))
            )
            lines.append(Text(f"{'ep.' if short else 'epoch'} {reached}", COLOURS[share.state]))
    if times and any(share.state is not RunState.DONE for share in entry.shares):
        words = "?" if entry.seconds is None else brief(entry.seconds)
        lines.append(Text(words if short else f"~{words}"))
    return Text("\n").join(lines)


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


def _forms(seen: GridView) -> Iterator[list[Table]]:
    """Ways to draw the table, the best first: roomy, without times, short, and short in several
    pieces.
    """
    columns = range(len(seen.entries[0]) if seen.entries else 0)
    for short, times in ((False, True), (False, False), (True, True), (True, False)):
        for gap, apart in ((3, 1), (1, 1), (1, 0)):
            yield [_table(seen, columns, short=short, times=times, gap=gap, apart=apart)]
    for at_once in range(len(columns) - 1, 0, -1):
        pieces = [columns[first : first + at_once] for first in range(0, len(columns), at_once)]
        yield [_table(seen, piece, short=True, times=True, gap=1, apart=0) for piece in pieces]


def _table(
    seen: GridView, columns: range, *, short: bool, times: bool, gap: int, apart: int
) -> Table:
    """Some columns of the grid. gap: blanks between columns; apart: 1 for a blank line beside rows
    of several lines.
    """
    texts = [[entry_text(row[column], short, times) for column in columns] for row in seen.entries]
    table = Table(
        box=None,
        padding=(0, gap, 0, 0),
        pad_edge=False,
        show_header=bool(seen.columns),
        header_style="bold",
    )
    table.add_column("alpha", no_wrap=True)
    for column in columns:
        table.add_column(seen.columns[column] if seen.columns else "", no_wrap=True)
    tall = [any("\n" in text.plain for text in row) for row in texts]
    for i, (name, row) in enumerate(zip(seen.rows, texts, strict=True)):
        if apart and any(tall[max(0, i - 1) : i + 1]) and i:
            table.add_row()
        table.add_row(name, *row)
    return table


def _width(table: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(width=UNLIMITED), table).maximum
