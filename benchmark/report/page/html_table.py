"""A table as the page wants it: what its columns sort by, and which of them wait. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote

import pandas as pd

from benchmark.judge.claims.evidence import ClaimVerdict
from benchmark.judge.tables import Table
from benchmark.judge.verdicts import Verdict

FILTERED = 6  # rows; a longer table has a box to filter it
LENGTHY = 40  # letters; a longer text is set in lines
PAGE_LETTERS = 112  # what stands side by side on a page of 1280 pixels
# letters between two columns; of a longer text, what its column needs at least
GAP, WRAPPED = 3, 26
CLASSES: Mapping[str, str] = MappingProxyType(
    {
        Verdict.REPRODUCED: "good",
        Verdict.NOT_REPRODUCED: "bad",
        Verdict.INCONCLUSIVE: "open",
        Verdict.NOT_COMPARABLE: "open",
        Verdict.MISSING: "open",
        ClaimVerdict.CONFIRMED: "good",
        ClaimVerdict.CONTRADICTED: "bad",
        ClaimVerdict.UNDECIDED: "open",
        ClaimVerdict.NOT_TESTABLE: "open",
        "not known yet": "open",
    }
)
SIGNS = MappingProxyType(
    {"good": "\N{CHECK MARK}", "bad": "\N{MULTIPLICATION X}", "open": "?", "found": "\N{BULLET}"}
)
LEADING = re.compile(
    r"[<>~]?\s*(?P<below>under )?([+-]?\d+(?:\.\d+)?(?:e[+-]\d+)?)(?:/(\d+))?(?![\w.]|-\w)",
    re.ASCII,
)
SIZES = re.compile(r"(\d+)x\d")
MISSING = re.compile(r"(?:-(?: x \d+)?)?")  # "- x 2": no seeds, on two splits
ALL = -1e99  # what "all" sorts as: before every range


@dataclass(frozen=True)
class TableCell:
    """text as shown; sort: the number that sorts it, None if missing or its column sorts as text.

    kinds: how it is set, as classes: number, long, good, bad or open; sign: what says good, bad or
    open beside colour.
    """

    text: str
    sort: float | None
    kinds: str
    sign: str


@dataclass(frozen=True)
class HtmlTable:
    """numeric: of each column, whether it sorts by number; csv: the table's numbers as a link.

    lesser: of each column, whether it waits behind the switch for more columns.
    """

    id: str
    title: str
    notes: Sequence[str]
    columns: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Sequence[TableCell]]
    csv: str
    lesser: Sequence[bool]

    @property
    def filtered(self) -> bool:
        return len(self.rows) > FILTERED


def css_class(verdict: str) -> str:
    """good, bad, open, or found for another result.

    Of several ("1 confirmed, 2 undecided"), bad, then open wins.
    """
    classes = {CLASSES.get(re.sub(r"^\d+ ", "", part), "found") for part in verdict.split(", ")}
    return next(name for name in ("bad", "open", "found", "good") if name in classes)


def html_table(table: Table, name: str) -> HtmlTable:
    """Prepare a table for the page; name: its id there."""
    shown = texts_of(table.shown)
    values = [sort_values(table, place) for place in range(shown.shape[1])]
    columns = [
        [
            _cell(text, None if by is None else by[row], by is not None)
            for row, text in enumerate(own)
        ]
        for own, by in zip((shown.iloc[:, i] for i in range(shown.shape[1])), values, strict=True)
    ]
    rows = list(zip(*columns, strict=True))
    numeric = [by is not None for by in values]
    csv = "data:text/csv;charset=utf-8," + quote(table.render("csv") + "\n")
    waiting = lesser(table)
    return HtmlTable(name, table.title, table.notes, list(shown), numeric, rows, csv, waiting)


def _cell(text: str, sort: float | None, numeric: bool) -> TableCell:
    """One cell; a verdict on the thesis gets the sign that the answers have."""
    kind = CLASSES.get(text, "")
    kinds = ("number" if numeric else "", "long" if len(text) > LENGTHY else "", kind)
    return TableCell(text, sort, " ".join(filter(None, kinds)), SIGNS.get(kind, ""))


def texts_of(shown: pd.DataFrame) -> pd.DataFrame:
    """What is shown as text; a missing value is an empty one, whatever the pandas."""
    return shown.astype(object).where(shown.notna(), "").astype(str)


def sort_values(table: Table, place: int) -> list[float | None] | None:
    """What a shown column sorts by: the numbers' column of its name, else each text's leading
    number, else None.

    "0.9%" leads with 0.9, "3/318" with 3/318, "-0.1 to +0.2" with -0.1, "< 0.001" with 0.001 and
    "512x512" with 512; "under 663" comes just before 663, and among numbers "all" before all; an
    empty text or a dash is a missing number; one text that leads with none makes the column sort as
    text.
    """
    name, texts = table.shown.columns[place], texts_of(table.shown.iloc[:, [place]]).iloc[:, 0]
    own = table.numbers.get(name)
    if own is not None and pd.api.types.is_numeric_dtype(own) and own.dtype != bool:
        return [None if pd.isna(value) else float(value) for value in own]
    led = [leading_number(text) for text in texts]
    pairs = zip(texts, led, strict=True)
    if any(number is None and not MISSING.fullmatch(text) for text, number in pairs):
        return None
    return led if any(number not in (None, ALL) for number in led) else None


def leading_number(text: str) -> float | None:
    """The number that a text begins with, as `sort_values` says; None if it begins otherwise."""
    if text == "all":
        return ALL
    if size := SIZES.match(text):
        return float(size[1])
    match = LEADING.match(text)
    of = float(match[3] or 1) if match else 0
    if not match or not of:
        return None
    number = float(match[2]) / of
    return math.nextafter(number, -math.inf) if match["below"] else number


def lesser(table: Table) -> list[bool]:
    """Of each shown column whether it waits: where all are too wide, those not essential."""
    needed = sum(_letters(str(name), texts) for name, texts in table.shown.items())
    wide = bool(table.essential) and needed > PAGE_LETTERS
    return [wide and name not in table.essential for name in table.shown]


def _letters(name: str, texts: pd.Series[str]) -> int:
    """What a column needs: its longest text, or its heading's longest word with a sorting mark."""
    longest = max((len(str(text)) for text in texts), default=0)
    return max(min(longest, WRAPPED), *(len(word) + 2 for word in name.split(" "))) + GAP
