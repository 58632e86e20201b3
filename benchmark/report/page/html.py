"""One HTML file from what was judged and drawn: it asks no network for anything and opens from
disk. Pure.

Text from runs (arms' names, notes, captions) is escaped by the template, JSON inside a script
element too. The page's own policy forbids every request, and every script but its own, whose hash
it names.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from benchmark import __version__
from benchmark.judge.claims.evidence import ClaimVerdict
from benchmark.judge.tables import Table
from benchmark.judge.verdicts import Verdict
from benchmark.report.figure import FORMS
from benchmark.report.page.columns import lesser
from benchmark.report.page.contents import Content, placed
from benchmark.report.page.sorting import sort_values, texts_of

FILTERED = 6  # rows; a longer table has a box to filter it
LENGTHY = 40  # letters; a longer text is set in lines
DECIDED: Mapping[str, str] = MappingProxyType(
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
    """text as shown; sort: what its column sorts it by, None where a number is missing or the
    column sorts as text.

    kinds: how it is set, as classes: number, long, good, bad or open; sign: what says good, bad or
    open beside colour.
    """

    text: str
    sort: float | None
    kinds: str
    sign: str


@dataclass(frozen=True)
class HtmlTable:
    """A table as the page wants it; numeric: of each column, whether it sorts by number; csv: its
    numbers as a link.

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


def render(content: Content) -> str:
    """Return the whole page. The same content gives the same text.

    Raises `ValueError` where the gallery holds NaN or infinity, which JSON cannot: give null.
    """
    script, style = _text("page.js"), _text("page.css")
    tables = [table for part in content.parts for table in part.tables]
    page = _template().render(
        content=content,
        sheets={
            table: html_table(table, f"table-{number}") for number, table in enumerate(tables, 1)
        },
        placed=partial(placed, drawings=content.drawings),
        tone=css_class,
        signs=SIGNS,
        forms=FORMS,
        style=Markup(style),
        script=Markup(script),
        policy=policy(script),
        version=__version__,
    )
    return page.rstrip() + "\n"


def policy(script: str) -> str:
    """The page's Content-Security-Policy: pictures from the file itself, one script, nothing from
    anywhere else.

    Styles must be free: every mark of a drawing carries its own.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = (
        "default-src 'none'",
        "img-src data:",
        "style-src 'unsafe-inline'",
        f"script-src 'sha256-{digest}'",
    )
    return "; ".join((*rules, "base-uri 'none'", "form-action 'none'"))


def css_class(verdict: str) -> str:
    """good, bad, open, or found for another result; of several ("1 confirmed, 2 undecided"), bad,
    then open wins.
    """
    found = {DECIDED.get(re.sub(r"^\d+ ", "", part), "found") for part in verdict.split(", ")}
    return next(one for one in ("bad", "open", "found", "good") if one in found)


def html_table(table: Table, name: str) -> HtmlTable:
    """Prepare a table for the page; name: its id there."""
    shown = texts_of(table.shown)
    values = [sort_values(table, place) for place in range(shown.shape[1])]
    rows = [
        [
            cell(text, None if by is None else by[row], numeric=by is not None)
            for text, by in zip(texts, values, strict=True)
        ]
        for row, texts in enumerate(shown.itertuples(index=False, name=None))
    ]
    csv = "data:text/csv;charset=utf-8," + quote(table.render("csv") + "\n")
    waiting = lesser(table)
    return HtmlTable(
        name,
        table.title,
        table.notes,
        list(shown),
        [by is not None for by in values],
        rows,
        csv,
        waiting,
    )


def cell(text: str, sort: float | None, *, numeric: bool) -> TableCell:
    """Prepare one cell; a verdict on the thesis gets the sign that the answers have."""
    kind = DECIDED.get(text, "")
    kinds = ("number" if numeric else "", "long" if len(text) > LENGTHY else "", kind)
    return TableCell(text, sort, " ".join(filter(None, kinds)), SIGNS.get(kind, ""))


def _text(name: str) -> str:
    return files("benchmark.report.page").joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    made = Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {
        "allow_nan": False,
        "ensure_ascii": False,
        "separators": (",", ":"),
    }
    return made.get_template("page.html.j2")
