"""One table in the four forms that people need: terminal, Markdown, LaTeX, CSV."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tabulate import MIN_PADDING, tabulate

SIGNIFICANT = 6  # digits of a number in CSV: more than any measure here means, fewer than processors differ in
FORMATS = {
    "text": "simple",
    "markdown": "github",
    "latex": "latex_booktabs",
    "csv": None,
}  # ours -> tabulate's
WIDTH = 100  # columns of a terminal that text keeps within
GAP = 2  # blanks between two columns of text


@dataclass(frozen=True, eq=False)
class Table:
    """numbers: one row per finding, full precision; shown: the same rows as a reader wants them,
    all strings.

    title stands above, notes below, each a line. essential: the columns of shown that a terminal or
    a page keeps where all of them are too wide for it; none named: all.
    """

    title: str
    numbers: pd.DataFrame
    shown: pd.DataFrame
    notes: tuple[str, ...] = ()
    essential: tuple[str, ...] = ()

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
        style = str(FORMATS[form])
        table = tabulate(
            self.shown.to_dict("list"), headers="keys", tablefmt=style, disable_numparse=True
        )
        mark = {"markdown": "**{}**\n", "latex": "% {}"}[form]
        note = {"latex": "% {}"}.get(form, "{}")
        return "\n".join(
            [
                mark.format(self.title),
                table,
                *([""] if self.notes else []),
                *map(note.format, self.notes),
            ]
        )

    def _lines(self) -> list[str]:
        """The table as text, no line wider than `WIDTH` unless one word is."""
        columns = {
            str(name): [str(text) for text in texts]
            for name, texts in self.shown.to_dict("list").items()
        }
        notes = list(self.notes)
        if self.essential and sum(natural(columns)) + GAP * (len(columns) - 1) > WIDTH:
            left_out = [name for name in columns if name not in self.essential]
            columns = {name: texts for name, texts in columns.items() if name in self.essential}
            notes.append(
                f"More columns in compare's other formats, such as --format markdown: {', '.join(left_out)}."
            )
        widths = fitted(columns)
        table = tabulate(
            columns,
            headers="keys",
            tablefmt=str(FORMATS["text"]),
            disable_numparse=True,
            maxcolwidths=widths,
            maxheadercolwidths=[max(width - MIN_PADDING, 1) for width in widths],
        )
        parts = [
            wrapped(self.title),
            table.splitlines(),
            *([[""]] if notes else []),
            *map(wrapped, notes),
        ]
        return [line for part in parts for line in part]


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
    """The width of each column as tabulate makes it: of its heading and some blanks, or its longest
    text.
    """
    return [max(len(name) + MIN_PADDING, *map(len, texts), 0) for name, texts in columns.items()]


def fitted(columns: Mapping[str, Sequence[str]]) -> list[int]:
    """Widths of columns that fit within `WIDTH`: headings are wrapped first, then the widest
    columns' texts.
    """
    widths, room = natural(columns), WIDTH - GAP * (len(columns) - 1)
    if sum(widths) > room:
        words = {name: max(map(len, name.split()), default=0) + MIN_PADDING for name in columns}
        widths = [max(words[name], *map(len, texts), 0) for name, texts in columns.items()]
    while sum(widths) > room:
        widths[widths.index(max(widths))] -= 1
    return [max(width, 1) for width in widths]


def csv_of(tables: Sequence[Table]) -> str:
    """Return the numbers of some tables as one `rounded_csv`, with a column for each name, empty
    where one lacks it.
    """
    parts = [
        one.numbers.astype(object).assign(table=one.title)[["table", *one.numbers]]
        for one in tables
    ]
    return rounded_csv(pd.concat(parts, ignore_index=True)).rstrip("\n") if parts else ""


def rounded_csv(frame: pd.DataFrame) -> str:
    """Return computed numbers as CSV, each to `SIGNIFICANT` digits; whole numbers as they are.

    >>> print(rounded_csv(pd.DataFrame({"dice": [0.873400154055, 2 / 3], "seconds": [7360000.0, None]})), end="")
    dice,seconds
    0.8734,7360000.0
    0.666667,
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


def digits(values: Iterable[float | None], n: int, *, sign: bool = False) -> list[str]:
    """To n decimals; nothing for NaN or None. sign: + before what is not negative."""
    return [
        "" if value is None or pd.isna(value) else f"{value:{'+' if sign else ''}.{n}f}"
        for value in values
    ]


def between(
    low: Iterable[float | None], high: Iterable[float | None], n: int, *, sign: bool = False
) -> list[str]:
    """Intervals as "low to high", to n decimals; nothing where an end is NaN or None."""
    ends = zip(digits(low, n, sign=sign), digits(high, n, sign=sign), strict=True)
    return [f"{a} to {b}" if a and b else "" for a, b in ends]
