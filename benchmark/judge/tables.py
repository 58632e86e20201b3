"""One table in the four forms that people need: terminal, Markdown, LaTeX, CSV.

A table is made once, from records through columns: its CSV is the records in full precision, what
people see is each column's text, and beside every text stands the value that it was made from.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from tabulate import MIN_PADDING, tabulate

SIGNIFICANT = 6  # digits in CSV: more than any measure here means, fewer than processors differ in
FORMATS = {"text": "simple", "markdown": "github", "latex": "latex_booktabs", "csv": None}
"""Our names -> tabulate's."""
WIDTH = 100  # columns of a terminal that text keeps within
LINE, PARAGRAPH = 40, "p{4cm}"  # of LaTeX: the longest text on one line; how longer ones are set
GAP = 2  # blanks between two columns of text

Record = Mapping[str, Any]


class Ranked(str):
    """A text that sorts by a number: "512x512" by 512, "under 663 mm2" before "663 mm2 on"."""

    rank: float

    def __new__(cls, text: str, rank: float) -> Ranked:
        made = super().__new__(cls, text)
        made.rank = rank
        return made


@dataclass(frozen=True)
class Column:
    """What stands under one heading: where its value comes from and how that is shown.

    source: a field of the record, several fields, or record -> value; format: of the value, as
    `str.format` takes it ("{:.3f}", for several "{} to {}"), or value -> text.

    >>> Column("95% interval", ("low", "high"), "{:.2f} to {:.2f}").text({"low": 0.1, "high": 0.2})
    '0.10 to 0.20'
    """

    heading: str
    source: str | tuple[str, ...] | Callable[[Record], object]
    format: str | Callable[[Any], str] = "{}"

    def value(self, record: Record) -> Any:
        """What a record has here, a tuple where several are shown; None where one of its fields is
        None, NaN or NA.
        """
        if callable(self.source):
            value = self.source(record)
        elif isinstance(self.source, tuple):
            value = tuple(record[name] for name in self.source)
            return None if any(map(missing, value)) else value
        else:
            value = record[self.source]
        return None if missing(value) else value

    def text(self, record: Record) -> str:
        """What is shown of a record; empty where it has no value."""
        value = self.value(record)
        if value is None:
            return ""
        if callable(self.format):
            return self.format(value)
        return self.format.format(*(value if isinstance(value, tuple) else (value,)))


def missing(value: object) -> bool:
    """True for None, NaN and NA."""
    return value is None or (not isinstance(value, tuple) and bool(pd.isna(value)))


def rank(value: object) -> float | None:
    """What a column's value sorts by: itself, its own rank, or the first of several; None for
    nothing. `TypeError` for plain text and booleans, which have no number.
    """
    first = value[0] if isinstance(value, tuple) else value
    if missing(first):
        return None
    if isinstance(first, Ranked):
        return first.rank
    if isinstance(first, bool | np.bool_) or not isinstance(first, int | float | np.number):
        raise TypeError(f"{first!r} is no number")
    return float(first)


@dataclass(frozen=True, eq=False)
class Table:
    """records: one per row, all with the same fields, in full; columns: what is shown of them.

    title stands above, notes below, each a line. essential: the headings of the columns that a
    terminal or a page keeps where all of them are too wide for it; none named: all.
    """

    title: str
    records: Sequence[Record]
    columns: Sequence[Column]
    notes: tuple[str, ...] = ()
    essential: tuple[str, ...] = ()

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """The records as a frame, a column for each field; of no record, the fields shown alone."""
        fields = [column.source for column in self.columns if isinstance(column.source, str)]
        return pd.DataFrame(list(self.records), columns=None if self.records else fields)

    @cached_property
    def shown(self) -> pd.DataFrame:
        """The texts, a row per record, under the headings."""
        return pd.DataFrame(self.texts, dtype=object)

    @cached_property
    def texts(self) -> dict[str, list[str]]:
        """The texts of each column, by heading."""
        return {
            column.heading: [column.text(record) for record in self.records]
            for column in self.columns
        }

    def sort_values(self, place: int) -> list[float | None] | None:
        """What a page sorts a column by: the `rank` of each value; None where it sorts as text, for
        it has a value without a number, or no value.
        """
        try:
            ranks = [rank(self.columns[place].value(record)) for record in self.records]
        except TypeError:
            return None
        return ranks if any(number is not None for number in ranks) else None

    def render(self, form: str = "text") -> str:
        """Return the table in one of `FORMATS`; csv is `rounded_csv` of the numbers, the title in a
        first column.

        Text keeps within `WIDTH`: with the essential columns alone where all are wider, then with
        words wrapped.
        """
        if form == "csv":
            return csv_of([self])
        if form == "text":
            return "\n".join(self._lines())
        style, title, note = str(FORMATS[form]), "**{}**\n", "{}"
        table = tabulate(self.texts, headers="keys", tablefmt=style, disable_numparse=True)
        if form == "latex":
            title = note = "% {}"
            widths = natural(self.texts)
            wide = "".join(PARAGRAPH if width > LINE else "l" for width in widths)
            table = table.replace("{" + "l" * len(widths) + "}", "{" + wide + "}", 1)
        notes = ["", *map(note.format, self.notes)] if self.notes else []
        return "\n".join([title.format(self.title), table, *notes])

    def _lines(self) -> list[str]:
        """The table as text, no line wider than `WIDTH` unless one word is."""
        columns, notes = self.texts, list(self.notes)
        if self.essential and sum(natural(columns)) + GAP * (len(columns) - 1) > WIDTH:
            left_out = [name for name in columns if name not in self.essential]
            columns = {name: texts for name, texts in columns.items() if name in self.essential}
            where = "compare's other formats, such as --format markdown"
            notes.append(f"More columns in {where}: {', '.join(left_out)}.")
        widths = fitted(columns)
        table = tabulate(
            columns,
            headers="keys",
            tablefmt=str(FORMATS["text"]),
            disable_numparse=True,
            maxcolwidths=widths,
            maxheadercolwidths=[max(width - MIN_PADDING, 1) for width in widths],
        )
        lines = [*wrapped(self.title), *table.splitlines(), *([""] if notes else [])]
        return [*lines, *(line for note in notes for line in wrapped(note))]


def wrapped(text: str, indent: str = "") -> list[str]:
    """Text as lines of at most `WIDTH` columns; words, paths and numbers stay whole."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def natural(columns: Mapping[str, Sequence[str]]) -> list[int]:
    """The width of each column as tabulate makes it: heading and some blanks, or longest text."""
    return [max(len(name) + MIN_PADDING, *map(len, texts), 0) for name, texts in columns.items()]


def fitted(columns: Mapping[str, Sequence[str]]) -> list[int]:
    """Widths that fit within `WIDTH`: headings are wrapped first, then the widest texts."""
    widths, room = natural(columns), WIDTH - GAP * (len(columns) - 1)
    words = {name: max(map(len, name.split()), default=0) + MIN_PADDING for name in columns}
    if sum(widths) > room:
        widths = [max(words[name], *map(len, texts), 0) for name, texts in columns.items()]
    while sum(widths) > room:
        # a heading's words stay whole as long as the texts of another column can yield
        spare = [w - own for w, own in zip(widths, words.values(), strict=True)]
        yields = [w if more > 0 else 0 for w, more in zip(widths, spare, strict=True)]
        widths[int(np.argmax(yields if any(yields) else widths))] -= 1
    return [max(width, 1) for width in widths]


def csv_of(tables: Sequence[Table]) -> str:
    """The numbers of some tables as one `rounded_csv`, with a column for each name, empty where one
    lacks it.
    """
    parts = []
    for table in tables:
        numbers = table.numbers.astype(object)
        numbers.insert(0, "table", table.title)
        parts.append(numbers)
    return rounded_csv(pd.concat(parts, ignore_index=True)).rstrip("\n") if parts else ""


def rounded_csv(frame: pd.DataFrame) -> str:
    """Return computed numbers as CSV, each to `SIGNIFICANT` digits; whole numbers as they are.

    >>> print(rounded_csv(pd.DataFrame({"dice": [0.873400154055], "seconds": [7360000.0]})), end="")
    dice,seconds
    0.8734,7360000.0
    """
    text: str = frame.map(_rounded).to_csv(index=False, lineterminator="\n")
    return text


def _rounded(value: object) -> object:
    if not isinstance(value, float | np.floating) or not math.isfinite(value) or value.is_integer():
        return value
    return float(f"{value:.{SIGNIFICANT}g}")


def render(tables: Sequence[Table], form: str) -> str:
    """Return tables one below the other, in csv as one; nothing for no table."""
    return csv_of(tables) if form == "csv" else "\n\n".join(table.render(form) for table in tables)
