"""What a page is made of, before it is written as HTML: parts, their chapters, and how figures
stand in rows. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from benchmark.judge.tables import Table
from benchmark.report.figure import Figure

WIDE_POINTS = 300  # a drawing wider than this takes the page's whole width


class Answer(Protocol):
    """A question, its verdict in a word or two ("1 confirmed, 2 undecided" too), and the sentences
    behind it.
    """

    @property
    def question(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def lines(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, eq=False)
class Chapter:
    """What belongs together within a part, under a heading where it has one.

    figures: each with its tables folded beneath; tables: those of no figure, folded but for opened;
    more: further figures, folded together; lines: a list; notes: what is not drawn, and why.
    """

    title: str = ""
    lead: str = ""
    figures: Sequence[Figure] = ()
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    more: Sequence[Figure] = ()
    lines: Sequence[str] = ()
    opened: bool = False


@dataclass(frozen=True, eq=False)
class Part:
    """A part of the page with its place in the contents; slug: its id; answers: cards that stand at
    its end.
    """

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
        return [
            table
            for chapter in self.chapters
            for part in (
                *(figure.tables for figure in chapter.figures),
                chapter.tables,
                *(f.tables for f in chapter.more),
            )
            for table in part
        ]


@dataclass(frozen=True, eq=False)
class Content:
    """All that the page shows, in its order. Texts are plain; a web address in the closing ones
    becomes a link.

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
    """A figure as the page wants it; kind: how much of a row it takes, as a class: "" for half,
    wide, or beside, which has its words to the right of it.
    """

    figure: Figure
    svg: str
    kind: str = ""

    @property
    def points(self) -> float:
        """The drawing's width in points, from its viewBox; `WIDE_POINTS` where it has none."""
        found = re.search(r'viewBox="\S+ \S+ ([\d.]+) ', self.svg)
        return float(found[1]) if found else WIDE_POINTS


def placed(figures: Sequence[Figure], drawings: Mapping[str, str]) -> list[Shown]:
    """Place drawings in rows: a wide one alone, narrow ones two by two; one that stays alone has
    its words beside it.

    Where a figure has tables, its row ends, for they follow over the whole width.
    """
    rows: list[list[Shown]] = [[]]
    for figure in figures:
        one = Shown(figure, drawings[figure.slug])
        wide = one.points > WIDE_POINTS
        if rows[-1] and (
            wide or len(rows[-1]) == 2 or rows[-1][-1].kind or rows[-1][-1].figure.tables
        ):
            rows.append([])
        rows[-1].append(replace(one, kind="wide" if wide else ""))
    return [
        replace(one, kind=one.kind or "beside") if len(row) == 1 else one
        for row in rows
        for one in row
    ]
