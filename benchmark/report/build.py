"""The report of a folder of runs: figures as PNG, SVG, PDF and CSV, sheets, page, and crate."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

from benchmark.data.slices import SliceSet
from benchmark.errors import SpecError
from benchmark.judge.reference import DATASETS
from benchmark.judge.tables import Table
from benchmark.report.chapters import NO_PICTURES, Source, ordered, parts
from benchmark.report.checklists.known import Known
from benchmark.report.checklists.sheet import CHECKLISTS, load, sheet, written
from benchmark.report.checklists.sheet import FORMS as SHEET_FORMS
from benchmark.report.crate import APACHE, CC_BY, Described, metadata, published, recorded
from benchmark.report.crate import NAME as CRATE
from benchmark.report.figure import FORMS, Figure, counted, inline, save
from benchmark.report.page.contents import Chapter, Content, Part
from benchmark.report.page.html import render
from benchmark.report.provenance import OWN_GRID, choices_table, machines_table
from benchmark.report.slices.gallery import gallery
from benchmark.runs.run_folder import file_sha256
from benchmark.storage.atomic import staging_folder, write_bytes

PAGE, FIGURES = "index.html", "figures"
SHEETS = [f"{slug}.{form}" for slug in CHECKLISTS for form in SHEET_FORMS]
SHEETS_LEAD = (
    "What journals ask of a study like this, answered as far as these runs and the pages of the "
    "repository can. Where only a person can answer, it says so: fill in a copy of a file."
)
CRATE_LEAD = (
    "Files of this report and the runs behind it, with their hashes, for machines to read: "
    "RO-Crate 1.1, profile Process Run Crate."
)
GENERATOR = 'name="generator" content="meningioma-bench'  # in every page of ours, and in no other
TITLE = "Does 0.898 hold? A rerun of a thesis on meningioma segmentation"
OWN_ARMS_TITLE = "How do your arms do? Meningioma segmentation beside the network of a thesis"
ATTRIBUTION = (
    "Pictures of slices: Cheng, Jun (2017). brain tumor dataset. figshare. "
    "https://doi.org/10.6084/m9.figshare.1512427. CC BY 4.0; windowed, cropped and outlined here."
)
OWN_DATA = (
    "Pictures of slices: of the data that this report was given, under their own licence. Where "
    "slices of the brain tumor dataset are among them: Cheng, Jun (2017). figshare. "
    "https://doi.org/10.6084/m9.figshare.1512427. CC BY 4.0."
)
LICENCE = (
    "Code: Apache-2.0. Slices of the brain tumor dataset: CC BY 4.0, not part of the repository. "
    "A research tool and no medical device."
)
CITATION = (
    "This benchmark: see CITATION.cff in its repository.\n"
    "The thesis: J. Suere, Développement et évaluation d'une intelligence artificielle basée U-Net "
    "pour la segmentation 2D automatique de méningiomes en IRM. Thesis in medicine, University of "
    "Poitiers, 2024.\n"
    "The thesis's data: Cheng, Jun (2017). brain tumor dataset. figshare. "
    "https://doi.org/10.6084/m9.figshare.1512427"
)


@dataclass(frozen=True)
class Written:
    """page: where it is; figures: how many were plotted, each in all `FORMS`."""

    page: Path
    figures: int


def write(source: Source, out: Path) -> Written:
    """Write everything beside a folder, then move it there: index.html first, which marks a report.

    A folder that holds an earlier report is brought up to date; figures of it that are no longer
    plotted are removed. Raises `SpecError` where out is a file, or a folder with other things and
    no report, and `OutputError` where the disk refuses; then the folder is as it was.
    """
    before = _earlier_slugs(out)
    _check_sheets(out)
    day = published(source.judgement, source.files)
    shown = _with_own_slugs(parts(source))  # what may fail comes first: nothing is written yet
    pictures = _gallery(source)
    sheets = {slug: sheet(load(slug), Known(source.judgement, source.files)) for slug in CHECKLISTS}
    folder = out / FIGURES
    with staging_folder(out) as staging:
        (staging / FIGURES).mkdir()
        figures = [figure for part in shown for figure in part.figures]
        drawings = {f.slug: inline(save(f, staging / FIGURES), f) for f in figures}
        for slug, table in sheets.items():
            for name, data in written(slug, table).items():
                write_bytes(staging / name, data)
        whole = content(source, shown, drawings, pictures, sheets)
        write_bytes(staging / PAGE, render(whole).encode())
        described = _described(source, whole, figures, day)
        crate = metadata(staging, described, source.judgement, source.files)
        write_bytes(staging / CRATE, crate)
        _check_sheets(out)  # again: a person may have written while figures were drawn
        folder.mkdir(exist_ok=True)
        others = sorted(path for path in staging.rglob("*") if path.is_file())
        for path in [staging / PAGE, *(path for path in others if path != staging / PAGE)]:
            path.replace(out / path.relative_to(staging))
    for slug in before - drawings.keys():
        for form in FORMS:
            (folder / f"{slug}.{form}").unlink(missing_ok=True)
    return Written(out / PAGE, len(drawings))


def _with_own_slugs(shown: Sequence[Part]) -> list[Part]:
    """The parts, each figure with a slug of its own: two sets of terms can be called the same."""
    taken: set[str] = set()

    def renamed(figure: Figure) -> Figure:
        slugs = (figure.slug if n == 1 else f"{figure.slug}-{n}" for n in count(1))
        slug = next(slug for slug in slugs if slug not in taken)
        taken.add(slug)
        return replace(figure, slug=slug)

    def chapter(own: Chapter) -> Chapter:
        return replace(own, figures=[*map(renamed, own.figures)], more=[*map(renamed, own.more)])

    return [replace(part, chapters=[*map(chapter, part.chapters)]) for part in shown]


def _earlier_slugs(out: Path) -> set[str]:
    """The figures of the report that a folder holds; `SpecError` for a folder of other things."""
    if out.exists() and not out.is_dir():
        raise SpecError(f"{out}: is a file; name a folder for the report")
    page = out / PAGE
    if page.is_file():
        text = page.read_text(encoding="utf-8", errors="replace")
        if GENERATOR in text:
            return set(re.findall(rf'href="{FIGURES}/([\w.-]+)\.csv"', text))
        raise SpecError(f"{out}: its {PAGE} is not a report of ours; choose another folder")
    others = [path for path in out.iterdir() if path.name[0] != "."] if out.is_dir() else []
    if any(path.name != FIGURES or not path.is_dir() or any(path.iterdir()) for path in others):
        raise SpecError(f"{out}: holds other files and no report; choose a folder of its own")
    return set()


def _check_sheets(out: Path) -> None:
    """Raise `SpecError` for a sheet that a person has changed, or laid there."""
    ours = recorded(out)
    for name in SHEETS:
        path = out / name
        if path.exists() and (not path.is_file() or ours.get(name) != file_sha256(path)):
            raise SpecError(
                f"{path}: is not as a report wrote it, and is left as it is; move it elsewhere, or "
                "choose another folder"
            )


def _for_reviewers(sheets: Mapping[str, Table]) -> Part:
    """The checklists as filled in, with their files, and the crate."""
    filled = Chapter(lead=SHEETS_LEAD, tables=tuple(sheets.values()), files=SHEETS)
    crate = Chapter(lead=CRATE_LEAD, files=(CRATE,))
    return Part("reviewers", "For reviewers", [filled, crate])


def _described(source: Source, page: Content, figures: Sequence[Figure], day: date) -> Described:
    """The report as its crate has it."""
    titles = {
        f"{FIGURES}/{f.slug}.{form}": f"{f.title} ({form})" for f in figures for form in FORMS
    }
    commands = {
        row["run_id"]: row["command"] or f"made with {OWN_GRID}" for row in source.commands.records
    }
    own = [APACHE] if source.judgement.looks else ["#licence"]
    slices = source.slices
    cheng = slices is not None and slices.dataset_id in DATASETS.values() and not slices.phantom
    licences = [*own, *([CC_BY] if cheng else [])]
    return Described(page.title, page.lead, day, {PAGE: page.title, **titles}, commands, licences)


def _gallery(source: Source) -> Mapping[str, Any] | None:
    if source.masks is None:
        return None
    return gallery(source.judgement.collected, source.masks, ordered(source.judgement))


def content(
    source: Source,
    shown: Sequence[Part],
    drawings: Mapping[str, str],
    pictures: Mapping[str, Any] | None,
    sheets: Mapping[str, Table],
) -> Content:
    """Everything on the page: the parts, drawings by slug, the gallery; how it was run and what
    reviewers ask for, the sheets by slug, last.
    """
    collected = source.judgement.collected
    phantoms = int(collected.runs["phantom"].sum())
    finished = counted(len(collected.runs), "finished run")
    unfinished = len(collected.unfinished)
    waiting = f", {unfinished} not finished" if unfinished else ""
    judged = "judged against the printed numbers and claims"
    if source.judgement.own_arms_alone:
        judged = "scored on held-out slices"
    lead = f"{finished}{waiting}, {judged}."
    if source.demonstration:
        lead = (
            f"{finished} on drawn phantoms{waiting}: they show what the benchmark does and say "
            "nothing about the thesis."
        )
    elif phantoms:
        lead += f" {phantoms} of them are of drawn phantoms, which say nothing about the thesis."
    title = OWN_ARMS_TITLE if source.judgement.own_arms_alone else TITLE
    return Content(
        title="A demonstration on drawn phantoms" if source.demonstration else title,
        lead=lead,
        parts=[*shown, *_how_it_was_run(source), _for_reviewers(sheets)],
        drawings=drawings,
        gallery=pictures,
        gallery_note=attribution(source.slices),
        attribution=[attribution(source.slices)] if source.slices is not None else [],
        licence=LICENCE,
        citation=CITATION,
    )


def _how_it_was_run(source: Source) -> list[Part]:
    """Every run, its command and machine, and what was decided where the thesis is silent."""
    collected = source.judgement.collected
    machines = machines_table(source.root, collected.runs)
    waiting = [f"{run_id}: {state}" for run_id, state in collected.unfinished]
    chapters = [
        Chapter(tables=(*source.judgement.runs(), source.commands, machines)),
        Chapter("Runs not finished", lines=waiting),
        Chapter("Runs that a later record of the same run replaces", lines=collected.superseded),
    ]
    chapters = [chapter for chapter in chapters if chapter.tables or chapter.lines]
    silent = "What was decided where the thesis is silent"
    choices = Part("choices", silent, [Chapter(tables=(choices_table(),))])
    return [Part("records", "How it was run", chapters), choices]


def attribution(slices: SliceSet | None) -> str:
    """Whose the pictures are, or why there are none."""
    if slices is None:
        return NO_PICTURES
    if slices.phantom:
        return "Pictures of slices: drawn phantoms."
    return ATTRIBUTION if slices.dataset_id in DATASETS.values() else OWN_DATA
