"""The report of a folder of runs, put together and written: figures as PNG, SVG, PDF and CSV, and
the page last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from benchmark.data.slices import SliceSet
from benchmark.errors import SpecError
from benchmark.judge.reference import DATASETS
from benchmark.report.chapters import NO_PICTURES, Source, ordered, parts
from benchmark.report.figure import FORMS, Figure, counted, inline, save
from benchmark.report.page.contents import Chapter, Content, Part
from benchmark.report.page.html import render
from benchmark.report.provenance import choices_table, commands_table, machines_table
from benchmark.report.slices.gallery import gallery
from benchmark.storage.atomic import staging_folder, write_bytes

PAGE, FIGURES = "index.html", "figures"
GENERATOR = 'name="generator" content="meningioma-bench'  # in every page of ours, and in no other
TITLE = "Does 0.898 hold? A rerun of a thesis on meningioma segmentation"
ATTRIBUTION = (
    "Pictures of slices: Cheng, Jun (2017). brain tumor dataset. figshare. "
    "https://doi.org/10.6084/m9.figshare.1512427. CC BY 4.0; windowed, cropped and outlined here."
)
OWN_DATA = (
    "Pictures of slices: of the data that this report was given, under their own licence. Where slices of the brain "
    "tumor dataset are among them: Cheng, Jun (2017). figshare. https://doi.org/10.6084/m9.figshare.1512427. CC BY 4.0."
)
LICENCE = "Code: Apache-2.0. Slices: CC BY 4.0, not part of the repository. A research tool and no medical device."
CITATION = """\
This benchmark: see CITATION.cff in its repository.
The thesis: J. Suere, Développement et évaluation d'une intelligence artificielle basée U-Net pour la segmentation 2D \
automatique de méningiomes en IRM. Thesis in medicine, University of Poitiers, 2024.
The data: Cheng, Jun (2017). brain tumor dataset. figshare. https://doi.org/10.6084/m9.figshare.1512427"""


@dataclass(frozen=True)
class Written:
    """page: where it is; figures: how many were drawn, each in all `FORMS`."""

    page: Path
    figures: int


def write(source: Source, out: Path) -> Written:
    """Draw and write everything beside a folder, then move it there: index.html first, by which a
    report is known.

    A folder that holds an earlier report is brought up to date; figures of it that are no longer
    drawn are removed. Raises `SpecError` where out is a file, or a folder with other things and no
    report, and `OutputError` where the disk refuses; then the folder is as it was.
    """
    before = _earlier(out)
    shown = _named_apart(parts(source))  # what may fail comes first: nothing is written yet
    pictures = _gallery(source)
    folder = out / FIGURES
    with staging_folder(out) as room:
        (room / FIGURES).mkdir()
        drawings = {
            one.slug: inline(save(one, room / FIGURES), one)
            for part in shown
            for one in part.figures
        }
        write_bytes(room / PAGE, render(content(source, shown, drawings, pictures)).encode())
        folder.mkdir(exist_ok=True)
        for path in [room / PAGE, *sorted((room / FIGURES).iterdir())]:
            path.replace(out / path.relative_to(room))
    for slug in before - drawings.keys():
        for form in FORMS:
            (folder / f"{slug}.{form}").unlink(missing_ok=True)
    return Written(out / PAGE, len(drawings))


def _named_apart(shown: Sequence[Part]) -> list[Part]:
    """The same parts, each figure under a name of its own: two sets of terms can be called the
    same.
    """
    taken: set[str] = set()

    def apart(figure: Figure) -> Figure:
        slug = next(
            s
            for n in count(1)
            if (s := figure.slug if n == 1 else f"{figure.slug}-{n}") not in taken
        )
        taken.add(slug)
        return replace(figure, slug=slug)

    def renamed(chapter: Chapter) -> Chapter:
        return replace(
            chapter, figures=[*map(apart, chapter.figures)], more=[*map(apart, chapter.more)]
        )

    return [replace(part, chapters=[*map(renamed, part.chapters)]) for part in shown]


def _earlier(out: Path) -> set[str]:
    """The slugs of the report that a folder holds; `SpecError` for a folder of other things."""
    if out.exists() and not out.is_dir():
        raise SpecError(f"{out}: is a file; name a folder for the report")
    page = out / PAGE
    if page.is_file():
        text = page.read_text(encoding="utf-8", errors="replace")
        if GENERATOR in text:
            return set(re.findall(rf'href="{FIGURES}/([\w.-]+)\.csv"', text))
        raise SpecError(f"{out}: its {PAGE} is not a report of ours; choose another folder")
    theirs = [path for path in out.iterdir() if path.name[0] != "."] if out.is_dir() else []
    if any(path.name != FIGURES or not path.is_dir() or any(path.iterdir()) for path in theirs):
        raise SpecError(f"{out}: holds other files and no report; choose a folder of its own")
    return set()


def _gallery(source: Source) -> Mapping[str, Any] | None:
    if source.slices is None:
        return None
    return gallery(source.found.collected, source.root, source.slices, ordered(source.found))


def content(
    source: Source,
    shown: Sequence[Part],
    drawings: Mapping[str, str],
    pictures: Mapping[str, Any] | None,
) -> Content:
    """Everything on the page: the parts, their drawings by slug, and the gallery given; how it was
    run comes last.
    """
    runs, unfinished = source.found.collected.runs, source.found.collected.unfinished
    waiting = f", {len(unfinished)} not finished" if unfinished else ""
    phantoms = int(runs["phantom"].sum())
    finished = f"{counted(len(runs), 'finished run')}{waiting}"
    lead = f"{finished}, judged against the printed numbers and claims."
    if source.demonstration:
        done = counted(len(runs), "finished run")
        lead = f"{done} on drawn phantoms{waiting}: they show what the benchmark does and say nothing about the thesis."
    elif phantoms:
        lead += f" {phantoms} of them are of drawn phantoms, which say nothing about the thesis."
    return Content(
        title="A demonstration on drawn phantoms" if source.demonstration else TITLE,
        lead=lead,
        parts=[*shown, *_how(source)],
        drawings=drawings,
        gallery=pictures,
        gallery_note=attribution(source.slices),
        attribution=[attribution(source.slices)] if source.slices is not None else [],
        licence=LICENCE,
        citation=CITATION,
    )


def _how(source: Source) -> list[Part]:
    """Every run, the command and the machine behind it, and what was decided where the thesis is
    silent.
    """
    collected = source.found.collected
    made = (
        commands_table(source.root, collected.runs, source.arms),
        machines_table(source.root, collected.runs),
    )
    waiting = [f"{run_id}: {state}" for run_id, state in collected.unfinished]
    lists = {
        "Runs not finished": waiting,
        "Runs that a later record of the same run replaces": collected.superseded,
    }
    chapters = [
        Chapter(tables=(*source.found.runs(), *made)),
        *(Chapter(k, lines=v) for k, v in lists.items() if v),
    ]
    silent = "What was decided where the thesis is silent"
    return [
        Part("records", "How it was run", chapters),
        Part("choices", silent, [Chapter(tables=(choices_table(),))]),
    ]


def attribution(slices: SliceSet | None) -> str:
    """Whose the pictures are, or why there are none."""
    if slices is None:
        return NO_PICTURES
    if slices.phantom:
        return "Pictures of slices: drawn phantoms."
    return ATTRIBUTION if slices.dataset_id in DATASETS.values() else OWN_DATA
