"""Small pages for tests: hostile names, a table that is hard to sort, a gallery of squares."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from benchmark.judge.answers import Answer
from benchmark.judge.tables import Column, Ranked, Table
from benchmark.report.figure import Figure
from benchmark.report.page.contents import Chapter, Content, Part

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&amp;{{ 1 }}"
VOID = {"meta", "link", "input", "br", "img", "hr", "base", "source"}
SIDE = 64
DRAWN = ("lines", "wide", "further")


def table(title: str = "Dice of every arm.", **columns: list[str]) -> Table:
    """A table whose texts are its records."""
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return Table(title, records, [Column(name, name) for name in columns])


def arms() -> Table:
    """Nine arms that are hard to sort; one Dice and one share are missing.

    By number 0.9 comes before 0.8913 but 0.10 after 0.09, and "by-image-10" after "-9".
    """
    dice = [0.1, 0.89134, None, 0.89126, 0.9, 0.09, 0.5, 0.6, 0.7]
    shares = [(3, 318), (2, 106), None, (0, 106), (10, 100), (1, 318), (1, 2), (1, 4), (1, 5)]
    columns = {
        "split": [f"by-image-{n}" for n in (9, 10, 1, 2, 3, 4, 5, 6, 7)],
        "Dice": dice,
        "missed": [
            share and Ranked("{}/{}".format(*share), share[0] / share[1]) for share in shares
        ],
        "verdict": ["reproduced", "not reproduced", *["missing"] * 7],
    }
    whole = table(**columns)  # type: ignore[arg-type]
    shown = [replace(c, format="{:.3f}") if c.heading == "Dice" else c for c in whole.columns]
    return replace(whole, columns=shown, notes=("Synthetic.",))


def figure(slug: str = "lines", *tables: Table) -> Figure:
    words = f"Title of {slug}", f"Caption of {slug}.", f"Two lines, {slug}."
    return Figure(slug, *words, pd.DataFrame(), lambda data: None, "15", tables=tables)  # type: ignore[arg-type,return-value]


def drawing(width: int = 252, alt: str = "Two lines.") -> str:
    """252 points are one column of a journal, 518 are both."""
    named = f'role="img" aria-label="{alt}" class="figure"'
    return f'<svg viewBox="0 0 {width} 100" {named}><path d="M0 0L9 9"/></svg>'


def wide_table() -> Table:
    """Ten columns of twenty letters each, of which two are essential."""
    whole = table("Wide.", **{f"measure {n}": [f"{n} and then some more"] for n in range(10)})
    return replace(whole, essential=("measure 0", "measure 9"))


def page_of(*tables: Table) -> Content:
    """A page of these tables alone, unfolded."""
    return Content("", "", [Part("one", "One", [Chapter(tables=tables, opened=True)])])


def picture(level: int) -> str:
    out = io.BytesIO()
    Image.fromarray(np.full((SIDE, SIDE), level, dtype=np.uint8)).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def gallery(slices: int = 30, name: str = "unet 5x5, alpha 0.5") -> dict[str, Any]:
    """Slice n has 100 n mm2 and Dice n / 100 from the first run.

    The second, of otsu, tested slices 1 and 2.
    """
    terms = {"form": "64x64 fp32", "terms": "protocol thesis, phantoms", "split": "by-image-1"}
    shown, predicted = {}, {}
    for n in range(1, slices + 1):
        own = {"image": picture(40), "patient": f"P{n}", "mm2": 100.0 * n}
        shown[str(n)] = {**own, "truth": "M10 10L30 10L30 30Z"}
        predicted[str(n)] = {"d": "M12 10L32 10L32 30Z", "dice": n / 100, "mm2": 90.0}
    nothing = {"d": "", "dice": 0.0, "mm2": 0.0}
    unknown = {"d": "M1 1L2 2L3 1Z", "dice": None, "mm2": 1.0}
    lost = (("a", "elsewhere"), ("b", name), ("c", "elsewhere"))
    first = {"id": "first", "arm": name, **terms, "seed": 1, "click": False}
    second = {"id": "second", "arm": "otsu", **terms, "seed": None, "click": True}
    return {
        "height": SIDE, "width": SIDE, "slices": shown, "runs": [first, second],
        "outlines": {"first": predicted, "second": {"1": nothing, "2": unknown}},
        "left_out": [{"id": run_id, "why": why} for run_id, why in lost],
    }  # fmt: skip


def content(**changes: Any) -> Content:
    """A page with one of everything."""
    answers = [
        Answer("Does 0.898 hold?", "reproduced", ("0.898 lies in it.",)),
        Answer("Do its claims hold?", "1 confirmed, 1 undecided", ("One line.", "Another.")),
        Answer("What is left?", "lower by patient", ("0.84.",)),
    ]
    short = table("Short.", a=["1"])
    figures = [figure("lines", table("Beneath.", a=["1"])), figure("wide")]
    more, notes = [figure("further", wide_table())], ["No run of 9x9."]
    commands = table("Commands.", command=["nox -s reproduce"])
    records = [commands, table("Machines.", python=["3.12"])]
    waiting = Chapter("Runs not finished", lines=["one: failed", "two: partial"])
    choices = table("Choices.", key=[f"key {n}" for n in range(13)])
    grid = Chapter("All terms", "All cells.", figures, notes, more=more)
    width = {"wide": 518}
    whole: dict[str, Any] = {
        "title": "What was found",
        "lead": "3 runs.",
        "parts": [
            Part("answers", "Answers", [Chapter()], answers),
            Part("arms", "Every arm", [Chapter(tables=[arms(), short], opened=True)]),
            Part("grid", "The grid", [grid]),
            Part("records", "How it was run", [Chapter(tables=records), waiting]),
            Part("choices", "What was decided", [Chapter(tables=[choices], files=["a sheet.csv"])]),
        ],
        "drawings": {slug: drawing(width.get(slug, 252), figure(slug).alt) for slug in DRAWN},
        "gallery": gallery(),
        "gallery_note": "Drawn phantoms.",
        "attribution": ["Slices: https://doi.org/10.6084/m9.figshare.1512427"],
        "licence": "CC BY 4.0",
        "citation": "Cheng, J.\nbrain tumor dataset",
    }
    return Content(**{**whole, **changes})


def hostile() -> Content:
    """A page on which every text is hostile."""
    named = replace(figure(), slug=HOSTILE, title=HOSTILE, caption=HOSTILE, thesis=HOSTILE)
    nasty = replace(table(HOSTILE, **{HOSTILE: [HOSTILE]}), notes=(HOSTILE,))
    tables, more = [nasty, wide_table()], [figure()]
    files = [HOSTILE]
    chapter = Chapter(HOSTILE, HOSTILE, [named], [HOSTILE], tables, more, [HOSTILE], files=files)
    parts = [Part("nasty", HOSTILE, [chapter], [Answer(HOSTILE, HOSTILE, (HOSTILE,))])]
    texts: dict[str, Any] = dict.fromkeys(("title", "lead", "licence", "citation"), HOSTILE)
    texts |= {"gallery": gallery(name=HOSTILE), "gallery_note": HOSTILE, "attribution": [HOSTILE]}
    return content(parts=parts, drawings={HOSTILE: drawing(), "lines": drawing()}, **texts)


@dataclass
class Element:
    """One element of a parsed page; text is all the text within."""

    tag: str
    attributes: dict[str, str]
    parents: tuple[Element, ...]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """A page taken apart by the standard library; raises where tags do not nest."""

    source: str
    elements: list[Element] = field(default_factory=list)
    open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.source)
        self.close()
        assert not self.open, f"<{self.open[-1].tag}> is never closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, tuple(self.open))
        assert len(element.attributes) == len(attrs), f"<{tag}> has an attribute twice"
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1].tag == tag, f"</{tag}> within <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def all(self, *tags: str, **attributes: str) -> list[Element]:
        """Elements of these tags that have these attributes, in the page's order."""
        own = (e for e in self.elements if e.tag in tags)
        return [e for e in own if attributes.items() <= e.attributes.items()]

    def one(self, tag: str, **attributes: str) -> Element:
        (element,) = self.all(tag, **attributes)
        return element

    def within(self, parent: Element, *tags: str) -> list[Element]:
        return [e for e in self.all(*tags) if any(above is parent for above in e.parents)]
