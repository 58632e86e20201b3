"""A checklist as a sheet: each item answered from the records, by a page, or left to a person.

Items are paraphrased; their numbers lead to the wording, which is in the sources named.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from itertools import groupby

from benchmark.judge.tables import Column, Ranked, Record, Table, rounded_csv
from benchmark.report.checklists import of_data, of_models, of_results
from benchmark.report.checklists.known import Answer, Known

ANSWERS: Mapping[str, Answer] = {**of_data.ANSWERS, **of_models.ANSWERS, **of_results.ANSWERS}
"""What records answer, by the names that items have."""
CHECKLISTS = ("claim-2024", "reforms")
FORMS = ("md", "csv")
RECORDS = "the records of the runs"
NO_RUN = "Not answered: no run is finished."
PHANTOMS = "Does not apply: drawn phantoms, of no patient."
UNKNOWN = "of slices that are not Cheng's no record tells it"
COPY = (
    "This file is written anew with each report, which refuses to where it was changed: fill in a "
    "copy."
)


class Answered(StrEnum):
    """Whether an item has an answer."""

    YES = "answered"
    PART = "in part"
    NO = "not answered"


@dataclass(frozen=True)
class Item:
    """records: the name of a function of `ANSWERS`, or says: a text, or neither, where a person
    alone can answer. see: the page behind says; yours: what is left to a person; of_cheng: says
    holds of Cheng's slices alone.
    """

    number: str
    section: str
    asks: str
    records: str = ""
    says: str = ""
    see: str = ""
    yours: str = ""
    of_cheng: bool = False

    def answer(self, known: Known) -> tuple[Answered, str, str]:
        """Whether it is answered for these runs, in which words, which are never empty, and from
        where.
        """
        if known.runs.empty and (self.records or self.of_cheng):
            return Answered.NO, NO_RUN, ""
        if self.of_cheng and known.phantoms:
            return Answered.YES, PHANTOMS, ""
        said, rest = self._said(known), self.yours
        if not said:
            return Answered.NO, f"Not answered: {rest or UNKNOWN}.", ""
        where = RECORDS if self.records else self.see
        if rest:
            return Answered.PART, f"{said} Not answered: {rest}.", where
        return Answered.YES, said, where

    def _said(self, known: Known) -> str:
        if self.records:
            return ANSWERS[self.records](known)
        return self.says if known.cheng or not self.of_cheng else ""


@dataclass(frozen=True)
class Checklist:
    """slug: of its file; source: where its items are worded."""

    slug: str
    title: str
    source: str
    items: tuple[Item, ...]


@cache
def load(slug: str) -> Checklist:
    """One of `CHECKLISTS`."""
    path = files("benchmark.report.checklists") / f"{slug}.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    items = tuple(Item(**item) for item in table["items"])
    return Checklist(slug, table["title"], table["source"], items)


def sheet(checklist: Checklist, known: Known) -> Table:
    """Every item with its answer; records: item, section, asks, answered, answer, from."""
    rows = []
    for place, item in enumerate(checklist.items):
        answered, words, where = item.answer(known)
        row = {"item": Ranked(item.number, place), "section": item.section, "asks": item.asks}
        rows.append(row | {"answered": answered.value, "answer": words, "from": where})
    columns = [Column(name, name) for name in rows[0]]
    counts = Counter(row["answered"] for row in rows)
    title = f"{checklist.title}: " + ", ".join(f"{counts[each]} {each}" for each in Answered) + "."
    notes = (f"{checklist.source}. Items in our own words; pages are of this repository.",)
    return Table(title, rows, columns, notes, ("item", "asks", "answered", "answer"))


def markdown(table: Table) -> str:
    """A sheet to paste into a manuscript's supplement: its sections as headings."""
    lines = [f"# {table.title}", *table.notes, COPY]
    for section, rows in groupby(table.records, lambda row: str(row["section"])):
        lines += [f"## {section}", *map(_paragraph, rows)]
    return "\n\n".join(lines) + "\n"


def _paragraph(row: Record) -> str:
    where = f" ({row['from']})" if row["from"] else ""
    return f"**{row['item']}. {row['asks']}.** {row['answer']}{where}"


def written(slug: str, table: Table) -> dict[str, bytes]:
    """The files of a sheet by name."""
    forms = {"md": markdown(table), "csv": rounded_csv(table.numbers)}
    return {f"{slug}.{form}": forms[form].encode() for form in FORMS}
