"""Which columns of a wide table wait behind its switch for more columns. Pure."""

from __future__ import annotations

import pandas as pd

from benchmark.judge.tables import Table

PAGE_LETTERS = 112  # what stands side by side on a page of 1280 pixels
GAP, WRAPPED = (
    3,
    26,
)  # letters between two columns; of a longer text, what its column needs at least


def lesser(table: Table) -> list[bool]:
    """Of each column of a table as it is shown, whether it waits: where all are too wide, those not
    essential.
    """
    shown = table.shown
    needed = sum(_letters(str(name), shown.iloc[:, place]) for place, name in enumerate(shown))
    wide = bool(table.essential) and needed > PAGE_LETTERS
    return [wide and name not in table.essential for name in shown]


def _letters(name: str, texts: pd.Series[str]) -> int:
    """What a column needs: its longest text, or the longest word of its heading with the mark of
    the order.
    """
    longest = max((len(str(text)) for text in texts), default=0)
    return max(min(longest, WRAPPED), *(len(word) + 2 for word in name.split(" "))) + GAP
