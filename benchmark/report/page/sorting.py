"""What the columns of a page's tables sort by: numbers, ranges and sizes by what they begin with.
Pure.
"""

from __future__ import annotations

import math
import re

import pandas as pd

from benchmark.judge.tables import Table

LEADING = re.compile(
    r"[<>~]?\s*(?P<below>under )?([+-]?\d+(?:\.\d+)?(?:e[+-]\d+)?)(?:/(\d+))?(?![\w.]|-\w)",
    re.ASCII,
)
SIZES = re.compile(r"(\d+)x\d")
MISSING = re.compile(r"(?:-(?: x \d+)?)?")  # "- x 2": no seeds, on two splits
ALL = -1e99  # what "all" sorts as: before every range


def sort_values(table: Table, place: int) -> list[float | None] | None:
    """What a shown column sorts by: the numbers' column of its name, else each text's leading
    number, else None.

    "0.9%" leads with 0.9, "3/318" with 3/318, "-0.1 to +0.2" with -0.1, "< 0.001" with 0.001 and
    "512x512" with 512; "under 663" comes just before 663, and among numbers "all" before all; an
    empty text or a dash is a missing number; one text that leads with none makes the column sort as
    text.
    """
    name, texts = table.shown.columns[place], texts_of(table.shown.iloc[:, [place]]).iloc[:, 0]
    if (
        name in table.numbers
        and pd.api.types.is_numeric_dtype(own := table.numbers[name])
        and own.dtype != bool
    ):
        return [None if pd.isna(value) else float(value) for value in own]
    led = [leading_number(text) for text in texts]
    if any(
        number is None and not MISSING.fullmatch(text)
        for text, number in zip(texts, led, strict=True)
    ):
        return None
    return led if any(number not in (None, ALL) for number in led) else None


def texts_of(shown: pd.DataFrame) -> pd.DataFrame:
    """What is shown as text; a missing value is an empty one, whatever the pandas."""
    return shown.astype(object).where(shown.notna(), "").astype(str)


def leading_number(text: str) -> float | None:
    """The number that a text begins with, as `sort_values` says; None for an empty text or another
    beginning.
    """
    if text == "all":
        return ALL
    if size := SIZES.match(text):
        return float(size[1])
    found = LEADING.match(text)
    of = float(found[3] or 1) if found else 0
    if not found or not of:
        return None
    number = float(found[2]) / of
    return math.nextafter(number, -math.inf) if found["below"] else number
