"""One HTML file from what was judged and drawn: it asks no network for anything and opens from disk. Pure.

Text from runs (arms' names, notes, captions) is escaped by the template, JSON inside a script element too.
The page's own policy forbids every request, and every script but its own, whose hash it names.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import count
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from benchmark import __version__
from benchmark.judge.compare import Verdict
from benchmark.judge.ground import Standing
from benchmark.judge.tables import Table
from benchmark.report.figure import Figure
from benchmark.report.sorting import sort_values, texts_of

LONG = 12  # rows; a longer table waits folded
FILTERED = 6  # rows; a longer table has a box to filter it
LENGTHY = 40  # letters; a longer text is set in lines
WIDE_POINTS = 300  # a drawing wider than this takes the page's whole width
DECIDED: Mapping[str, str] = MappingProxyType(
    {
        Verdict.REPRODUCED: "good",
        Verdict.NOT_REPRODUCED: "bad",
        Verdict.INCONCLUSIVE: "open",
        Verdict.NOT_COMPARABLE: "open",
        Verdict.MISSING: "open",
        Standing.CONFIRMED: "good",
        Standing.CONTRADICTED: "bad",
        Standing.UNDECIDED: "open",
        Standing.NOT_TESTABLE: "open",
        "not known yet": "open",
    }
)
SIGNS = MappingProxyType({"good": "\N{CHECK MARK}", "bad": "\N{MULTIPLICATION X}", "open": "?", "found": "\N{BULLET}"})


class Answer(Protocol):
    """A question, its verdict in a word or two ("1 confirmed, 2 undecided" too), and the sentences behind it."""

    @property
    def question(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def lines(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, eq=False)
class Shown:
    """A figure and its drawing as an element of the page (`figure.inline`); its files are in figures/, by slug."""

    figure: Figure
    svg: str

    @property
    def points(self) -> float:
        """The drawing's width in points, from its viewBox; `WIDE_POINTS` where it has none."""
        found = re.search(r'viewBox="\S+ \S+ ([\d.]+) ', self.svg)
        return float(found[1]) if found else WIDE_POINTS

    @property
    def wide(self) -> bool:
        return self.points > WIDE_POINTS


@dataclass(frozen=True)
class Chapter:
    """Some figures under one heading; notes: what is not drawn, and why."""

    title: str
    lead: str = ""
    figures: Sequence[Shown] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Content:
    """All that the page shows, in its order. Texts are plain; a web address in the closing ones becomes a link.

    lead: what was judged - folder, number of runs; tables: headings, each with its tables;
    gallery: slices, runs and outlines, None where there are none to show; gallery_note: whose pictures
    they are, or why there are none; choices: what was decided where the thesis was silent; attribution:
    lines that the licence of the data asks for; citation: how to cite, its line breaks kept; unfinished,
    superseded: runs that were not judged, each with a word of its state.
    """

    title: str
    lead: str
    answers: Sequence[Answer]
    tables: Sequence[tuple[str, Sequence[Table]]] = ()
    chapters: Sequence[Chapter] = ()
    gallery: Mapping[str, Any] | None = None
    gallery_note: str = ""
    commands: Sequence[Table] = ()
    environments: Sequence[Table] = ()
    choices: Sequence[Table] = ()
    attribution: Sequence[str] = ()
    licence: str = ""
    citation: str = ""
    unfinished: Sequence[str] = ()
    superseded: Sequence[str] = ()


@dataclass(frozen=True)
class Cell:
    """text as shown; sort: what its column sorts it by, None where a number is missing or the column sorts as text.

    kinds: how it is set, as classes: number, long, good, bad or open; sign: what says good, bad or open beside colour.
    """

    text: str
    sort: float | None
    kinds: str
    sign: str


@dataclass(frozen=True)
class Sheet:
    """A table as the page wants it; numeric: of each column, whether it sorts by number; csv: its numbers as a link."""

    id: str
    title: str
    notes: Sequence[str]
    columns: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Sequence[Cell]]
    csv: str

    @property
    def folded(self) -> bool:
        return len(self.rows) > LONG

    @property
    def filtered(self) -> bool:
        return len(self.rows) > FILTERED


def render(content: Content) -> str:
    """Return the whole page. The same content gives the same text.

    Raises `ValueError` where the gallery holds NaN or infinity, which JSON cannot: give null.
    """
    script, style = _text("page.js"), _text("page.css")
    numbers = count(1)
    groups = {
        name: [(heading, [sheet(table, f"table-{next(numbers)}") for table in tables]) for heading, tables in part]
        for name, part in (
            ("tables", content.tables),
            ("records", (("Commands", content.commands), ("Environments", content.environments))),
            ("choices", (("", content.choices),)),
        )
    }
    page = _template().render(
        content=content,
        **groups,
        tone=tone,
        signs=SIGNS,
        style=Markup(style),
        script=Markup(script),
        policy=policy(script),
        version=__version__,
    )
    return page.rstrip() + "\n"


def policy(script: str) -> str:
    """The page's Content-Security-Policy: pictures from the file itself, one script, nothing from anywhere else.

    Styles must be free: every mark of a drawing carries its own.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = ("default-src 'none'", "img-src data:", "style-src 'unsafe-inline'", f"script-src 'sha256-{digest}'")
    return "; ".join((*rules, "base-uri 'none'", "form-action 'none'"))


def tone(verdict: str) -> str:
    """good, bad, open, or found for another result; of several ("1 confirmed, 2 undecided"), bad, then open wins."""
    found = {DECIDED.get(re.sub(r"^\d+ ", "", part), "found") for part in verdict.split(", ")}
    return next(one for one in ("bad", "open", "found", "good") if one in found)


def sheet(table: Table, name: str) -> Sheet:
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
    return Sheet(name, table.title, table.notes, list(shown), [by is not None for by in values], rows, csv)


def cell(text: str, sort: float | None, *, numeric: bool) -> Cell:
    """Prepare one cell; a verdict on the thesis gets the sign that the answers have."""
    kind = DECIDED.get(text, "")
    kinds = ("number" if numeric else "", "long" if len(text) > LENGTHY else "", kind)
    return Cell(text, sort, " ".join(filter(None, kinds)), SIGNS.get(kind, ""))


def _text(name: str) -> str:
    return files("benchmark.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    made = Environment(
        loader=FunctionLoader(_text), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.policies["json.dumps_kwargs"] = {"allow_nan": False, "ensure_ascii": False, "separators": (",", ":")}
    return made.get_template("page.html.j2")
