"""A table as the page wants it: what its columns sort by, and which of them wait. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote

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
    values = [table.sort_values(place) for place in range(len(table.columns))]
    columns = [
        [_cell(text, None if by is None else by[i], by is not None) for i, text in enumerate(texts)]
        for texts, by in zip(table.texts.values(), values, strict=True)
    ]
    return HtmlTable(
        id=name,
        title=table.title,
        notes=table.notes,
        columns=list(table.texts),
        numeric=[by is not None for by in values],
        rows=list(zip(*columns, strict=True)),
        csv="data:text/csv;charset=utf-8," + quote(table.render("csv") + "\n"),
        lesser=lesser(table),
    )


def _cell(text: str, sort: float | None, numeric: bool) -> TableCell:
    """One cell; a verdict on the thesis gets the sign that the answers have."""
    kind = CLASSES.get(text, "")
    kinds = ("number" if numeric else "", "long" if len(text) > LENGTHY else "", kind)
    return TableCell(text, sort, " ".join(filter(None, kinds)), SIGNS.get(kind, ""))


def lesser(table: Table) -> list[bool]:
    """Of each shown column whether it waits: where all are too wide, those not essential."""
    needed = sum(_letters(name, texts) for name, texts in table.texts.items())
    wide = bool(table.essential) and needed > PAGE_LETTERS
    return [wide and name not in table.essential for name in table.texts]


def _letters(name: str, texts: Sequence[str]) -> int:
    """What a column needs: its longest text, or its heading's longest word with a sorting mark."""
    longest = max(map(len, texts), default=0)
    return max(min(longest, WRAPPED), *(len(word) + 2 for word in name.split(" "))) + GAP
