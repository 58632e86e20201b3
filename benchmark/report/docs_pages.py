"""Pages whose tables and figures come from records.

`python -m benchmark.report.docs_pages PAGE ...` makes them anew. Between
`<!-- table: SECTION: TITLE -->` and `<!-- end -->` of a page stands the one table of a section of
the shipped records' judgement whose title starts so, after `<!-- answers -->` its three answers,
after `<!-- commands -->` the steps of the plan that made the records, and after
`<!-- figure: SLUG -->` the one of `page_figures` of this name, which lies in docs/figures as SVG
and CSV. The one figure that shows slices, `outlined-slices`, is made anew with `--data PATH` alone;
its words come from the records. Where the records or their answers are others than at the last
look, one more is put into `reference_results/looks.toml` first.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

from benchmark import data
from benchmark.data.slices import SliceSet
from benchmark.errors import BenchmarkError, SpecError
from benchmark.judge.answers import answers
from benchmark.judge.judgement import SECTIONS, Judgement
from benchmark.judge.looks import Look, names_hash, rules_hash
from benchmark.judge.shipped import shipped
from benchmark.judge.tables import Table
from benchmark.planning.command import DATA
from benchmark.planning.evidence import commands, load_plan
from benchmark.report.figure import Figure, save
from benchmark.report.figures.dice_by_patient import distribution_figures
from benchmark.report.figures.readers import reader_figures
from benchmark.report.figures.seeds_and_draws import seeds_and_draws_figures
from benchmark.report.figures.stopping import stopping_figures
from benchmark.report.figures.verdicts import verdict_figures
from benchmark.report.slices import outlined_slices
from benchmark.runs.collect import reproduction_folder
from benchmark.runs.environment import commit
from benchmark.storage.atomic import write_bytes

WHAT = r"answers|commands|table: (?P<section>\w+): (?P<title>[^\n]+)|figure: (?P<slug>[^\n]+)"
PLACE = re.compile(rf"(<!-- (?P<what>{WHAT}) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)
FIGURES = Path("docs") / "figures"


def fill(page: str, judgement: Judgement, figures: str = FIGURES.as_posix()) -> str:
    """Return a page with every marked place filled in; figures: the way to them from the page.

    Raises `SpecError` for a table or figure that is not there.
    """

    @cache
    def tables(section: str) -> Sequence[Table]:
        return SECTIONS[section](judgement) if section in SECTIONS else ()

    @cache
    def by_slug() -> Mapping[str, Figure]:
        named = {figure.slug: figure for figure in page_figures(judgement)}
        if outlined_slices.SLUG in figures_of(page):
            named[outlined_slices.SLUG] = outlined_slices.outlined(judgement, reproduction_folder())
        return named

    def content(place: re.Match[str]) -> str:
        if place["section"]:
            table = _table(tables(place["section"]), place["section"], place["title"])
            text = table.render("markdown")
        elif place["slug"]:
            text = _image(by_slug(), place["slug"], figures)
        else:
            commanded = place["what"] == "commands"
            lines = commands_of(judgement) if commanded else answers(judgement)
            text = "```\n" + "\n".join(lines) + "\n```"
        return f"{place[1]}{text}\n{place['end']}"

    return PLACE.sub(content, page)


def _table(tables: Sequence[Table], section: str, title: str) -> Table:
    named = [table for table in tables if table.title.startswith(title)]
    if len(named) != 1:
        raise SpecError(
            f"{len(named)} tables of section {section!r} start with {title!r}; there must be one"
        )
    return named[0]


def _image(by_slug: Mapping[str, Figure], slug: str, figures: str) -> str:
    if slug not in by_slug:
        raise SpecError(f"no figure of a page is called {slug!r}; there are {', '.join(by_slug)}")
    form = "webp" if slug == outlined_slices.SLUG else "svg"
    return f"![{by_slug[slug].alt}]({figures}/{slug}.{form})\n\n*{by_slug[slug].caption}*"


def commands_of(judgement: Judgement) -> list[str]:
    """The commands of the plan that made the runs judged, a line each."""
    made = commands(load_plan(), judgement.collected.runs)
    return [f"nox -s reproduce -- --data {DATA} {shlex.join(words)}" for words in made]


def look_of(judgement: Judgement, day: date, commit_of_code: str) -> Look:
    """What the runs judged say, as the log of looks has it."""
    run_ids = judgement.collected.runs["run_id"].tolist()
    names, rules, plan = names_hash(run_ids), rules_hash(), load_plan().hash
    return Look(day, commit_of_code, len(run_ids), names, rules, plan, judgement.in_short)


def log_look(log: Path, looks: Sequence[Look], look: Look) -> tuple[Look, ...]:
    """The looks with this one, which the log gets where it does not agree with the last."""
    if looks and looks[-1].agrees(look):
        return tuple(looks)
    before = log.read_text(encoding="utf-8").rstrip("\n")
    write_bytes(log, f"{before}\n\n{look.as_toml()}".encode())
    return (*looks, look)


def figures_of(page: str) -> list[str]:
    """The slugs of the figures that a page shows."""
    return [place["slug"] for place in PLACE.finditer(page) if place["slug"]]


def page_figures(judgement: Judgement) -> list[Figure]:
    """The figures that a page may show: the verdicts, and what their numbers are made of."""
    kinds = (verdict_figures, reader_figures, seeds_and_draws_figures, stopping_figures,
             distribution_figures)  # fmt: skip
    return [figure for figures_of in kinds for figure in figures_of(judgement)]


def make(path: Path, judgement: Judgement, slices: SliceSet | None = None) -> None:
    """Fill in one page of a checkout, whose root is the working directory, and make its figures.

    The one that shows slices is left as it is where none are given.
    """
    page = path.read_text(encoding="utf-8")
    way = Path(os.path.relpath(FIGURES, path.parent)).as_posix()
    path.write_text(fill(page, judgement, way), encoding="utf-8", newline="\n")
    wanted = set(figures_of(page))
    for figure in page_figures(judgement):
        if figure.slug in wanted:
            FIGURES.mkdir(parents=True, exist_ok=True)
            save(figure, FIGURES, ("svg", "csv"))
    if slices and outlined_slices.SLUG in wanted:
        figure = outlined_slices.outlined(judgement, reproduction_folder(), slices)
        outlined_slices.save_picture(figure, FIGURES)


def main(words: Sequence[str]) -> None:
    """Fill in the pages named, with the slices given; a mistake ends it with one line."""
    about = "Make pages anew from the shipped records."
    parser = argparse.ArgumentParser(prog="nox -s pages --", description=about)
    add = parser.add_argument
    add("pages", nargs="+", type=Path, help="Markdown files, from the root of the repository")
    add("--data", help="the 708 slices, to draw the picture of outlined slices anew")
    options = parser.parse_args(words)
    try:
        judgement = shipped()
        facts = str(commit()["git_commit"] or "unknown")
        look = look_of(judgement, datetime.now(UTC).date(), facts[:7])
        looks = log_look(reproduction_folder().parent / "looks.toml", judgement.looks, look)
        judgement = replace(judgement, looks=looks)
        slices = data.load(options.data) if options.data else None
        for page in options.pages:
            make(page, judgement, slices)
    except BenchmarkError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
