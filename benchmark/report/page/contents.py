"""What a page is made of before it is HTML: parts, chapters, and figures in rows. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmark.judge.answers import Answer
from benchmark.judge.tables import Table
from benchmark.report.figure import Figure

WIDE_POINTS = 300  # a drawing wider than this takes the page's whole width


@dataclass(frozen=True, eq=False)
class Chapter:
    """What belongs together within a part, under a heading where it has one.

    figures: each with its tables folded beneath; tables: those of no figure, folded but for opened;
    more: further figures, folded together; lines: a list; notes: what is not shown, and why; files:
    names of files beside the page.
    """

    title: str = ""
    lead: str = ""
    figures: Sequence[Figure] = ()
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    more: Sequence[Figure] = ()
    lines: Sequence[str] = ()
    opened: bool = False
    files: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Part:
    """A part of the page, named in its contents; slug: its id; answers: cards that stand first."""

    slug: str
    title: str
    chapters: Sequence[Chapter]
    answers: Sequence[Answer] = ()

    @property
    def figures(self) -> list[Figure]:
        return [figure for chapter in self.chapters for figure in (*chapter.figures, *chapter.more)]

    @property
    def tables(self) -> list[Table]:
        """In the order in which they stand on the page."""
        tables: list[Table] = []
        for chapter in self.chapters:
            tables += [table for figure in chapter.figures for table in figure.tables]
            tables += chapter.tables
            tables += [table for figure in chapter.more for table in figure.tables]
        return tables


@dataclass(frozen=True, eq=False)
class Content:
    """All that the page shows, in its order. Texts are plain; addresses in the closing ones link.

    lead: what was judged - folder, number of runs; drawings: of each figure's slug its drawing as
    an element of the page (`figure.inline`), its files are in figures/; gallery: slices, runs and
    outlines, None where there are none to show; gallery_note: whose pictures they are; attribution:
    lines that the licence of the data asks for; citation: how to cite, its line breaks kept.
    """

    title: str
    lead: str
    parts: Sequence[Part] = ()
    drawings: Mapping[str, str] = field(default_factory=dict)
    gallery: Mapping[str, Any] | None = None
    gallery_note: str = ""
    attribution: Sequence[str] = ()
    licence: str = ""
    citation: str = ""


@dataclass(frozen=True)
class Shown:
    """A figure as the page wants it, with its drawing.

    kind: how much of a row it takes, as a class: "" for half, wide, or beside, which has its words
    to the right of it.
    """

    figure: Figure
    svg: str
    kind: str = ""

    @property
    def points(self) -> float:
        """The drawing's width in points, from its viewBox; `WIDE_POINTS` where it has none."""
        match = re.search(r'viewBox="\S+ \S+ ([\d.]+) ', self.svg)
        return float(match[1]) if match else WIDE_POINTS


def placed(figures: Sequence[Figure], drawings: Mapping[str, str]) -> list[Shown]:
    """Place drawings in rows: a wide one alone, narrow ones two by two.

    One that stays alone has its words beside it. Where a figure has tables, its row ends, for they
    follow over the whole width.
    """
    rows: list[list[Shown]] = []
    for figure in figures:
        shown = Shown(figure, drawings[figure.slug])
        wide = shown.points > WIDE_POINTS
        full = not rows or len(rows[-1]) == 2 or rows[-1][-1].kind or rows[-1][-1].figure.tables
        if full or wide:
            rows.append([])
        rows[-1].append(replace(shown, kind="wide" if wide else ""))
    for row in rows:
        if len(row) == 1 and not row[0].kind:
            row[0] = replace(row[0], kind="beside")
    return [shown for row in rows for shown in row]
