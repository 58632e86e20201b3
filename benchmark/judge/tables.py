"""One table in the four forms that people need: terminal, Markdown, LaTeX, CSV."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tabulate import tabulate

SIGNIFICANT = 6  # digits of a number in CSV: more than any measure here means, fewer than processors differ in
FORMATS = {"text": "simple", "markdown": "github", "latex": "latex_booktabs", "csv": None}  # ours -> tabulate's


@dataclass(frozen=True, eq=False)
class Table:
    """numbers: one row per finding, full precision; shown: the same rows as a reader wants them, all strings.

    title stands above, notes below, each a line. essential: the columns of shown that a narrow place keeps where all
    of them are too wide for it; none named: all.
    """

    title: str
    numbers: pd.DataFrame
    shown: pd.DataFrame
    notes: tuple[str, ...] = ()
    essential: tuple[str, ...] = ()

    def render(self, form: str = "text") -> str:
        """Return the table in one of `FORMATS`; csv is `rounded_csv` of the numbers, the title in a first column."""
        if form == "csv":
            return csv_of([self])
        style = str(FORMATS[form])
        table = tabulate(self.shown.to_dict("list"), headers="keys", tablefmt=style, disable_numparse=True)
        mark = {"markdown": "**{}**\n", "latex": "% {}"}.get(form, "{}")
        note = {"latex": "% {}"}.get(form, "{}")
        return "\n".join([mark.format(self.title), table, *([""] if self.notes else []), *map(note.format, self.notes)])


def csv_of(tables: Sequence[Table]) -> str:
    """Return the numbers of some tables as one `rounded_csv`, with a column for each name, empty where one lacks it."""
    parts = [one.numbers.astype(object).assign(table=one.title)[["table", *one.numbers]] for one in tables]
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
    return ["" if value is None or pd.isna(value) else f"{value:{'+' if sign else ''}.{n}f}" for value in values]


def between(low: Iterable[float | None], high: Iterable[float | None], n: int, *, sign: bool = False) -> list[str]:
    """Intervals as "low to high", to n decimals; nothing where an end is NaN or None."""
    ends = zip(digits(low, n, sign=sign), digits(high, n, sign=sign), strict=True)
    return [f"{a} to {b}" if a and b else "" for a, b in ends]
