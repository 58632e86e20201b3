"""The report of a folder of runs, put together and written: figures as PNG, SVG and CSV, and the page last."""

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
from benchmark.judge.sections import SECTIONS
from benchmark.placing import room_in, write_bytes
from benchmark.report.chapters import NO_PICTURES, Source, chapters, ordered
from benchmark.report.figure import Figure, counted, inline, save
from benchmark.report.gallery import gallery
from benchmark.report.page import Chapter, Content, Shown, render
from benchmark.report.provenance import choices_table, commands_table, machines_table

PAGE, FIGURES = "index.html", "figures"
GENERATOR = 'name="generator" content="meningioma-bench'  # in every page of ours, and in no other
TITLES = {
    "verdicts": "The printed numbers",
    "patients": "Patients",
    "claims": "The claims",
    "arms": "Arms against arms",
    "measures": "Measures beyond Dice",
    "runs": "Every run",
}
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
    """page: where it is; figures: how many were drawn, each in three files."""

    page: Path
    figures: int


def write(source: Source, out: Path) -> Written:
    """Draw and write everything into a folder: figures/ first, index.html last and whole.

    A folder that holds an earlier report is brought up to date; figures of it that are no longer
    drawn are removed. Raises `SpecError` where out is a file, or a folder with other things and no report, and
    `OutputError` where the disk refuses; then the folder is as it was.
    """
    before = _earlier(out)
    plans = list(chapters(source))  # what may fail comes first: nothing is written yet
    pictures = _gallery(source)
    folder = out / FIGURES
    drawn: set[str] = set()
    shown = []
    with room_in(out) as room:
        (room / FIGURES).mkdir()
        for plan in plans:
            figures = [_named_apart(figure, drawn) for figure in plan.figures]
            drawings = [Shown(figure, inline(save(figure, room / FIGURES), figure)) for figure in figures]
            shown.append(Chapter(plan.title, plan.lead, drawings, plan.notes))
        write_bytes(room / PAGE, render(content(source, shown, pictures)).encode())
        folder.mkdir(exist_ok=True)
        for path in [*sorted((room / FIGURES).iterdir()), room / PAGE]:
            path.replace(out / path.relative_to(room))
    for slug in before - drawn:
        for form in ("png", "svg", "csv"):
            (folder / f"{slug}.{form}").unlink(missing_ok=True)
    return Written(out / PAGE, len(drawn))


def _named_apart(figure: Figure, taken: set[str]) -> Figure:
    """The figure under a name of its own, which is then taken: two sets of terms can be called the same."""
    slug = next(s for n in count(1) if (s := figure.slug if n == 1 else f"{figure.slug}-{n}") not in taken)
    taken.add(slug)
    return replace(figure, slug=slug)


def _earlier(out: Path) -> set[str]:
    """The slugs of the report that a folder holds; `SpecError` for a folder of other things."""
    if out.exists() and not out.is_dir():
        raise SpecError(f"--out {out}: is a file; name a folder for the report")
    page = out / PAGE
    if page.is_file():
        text = page.read_text(encoding="utf-8", errors="replace")
        if GENERATOR in text:
            return set(re.findall(rf'href="{FIGURES}/([\w.-]+)\.csv"', text))
        raise SpecError(f"--out {out}: its {PAGE} is not a report of ours; choose another folder")
    if out.is_dir() and any(path.name != FIGURES and path.name[0] != "." for path in out.iterdir()):
        raise SpecError(f"--out {out}: holds other files and no report; choose a folder of its own")
    return set()


def _gallery(source: Source) -> Mapping[str, Any] | None:
    if source.slices is None:
        return None
    return gallery(source.found.collected, source.root, source.slices, ordered(source.found))


def content(source: Source, shown: Sequence[Chapter], pictures: Mapping[str, Any] | None) -> Content:
    """Everything on the page, chapters of figures and gallery given."""
    found, runs, slices = source.found, source.found.collected.runs, source.slices
    unfinished = found.collected.unfinished
    waiting = f", {len(unfinished)} not finished" if unfinished else ""
    phantoms = int(runs["phantom"].sum())
    drawn = f" {phantoms} of them are of drawn phantoms, which say nothing about the thesis." if phantoms else ""
    return Content(
        title="Does 0.898 hold? A rerun of a thesis on meningioma segmentation",
        lead=f"{counted(len(runs), 'finished run')}{waiting}, judged against the printed numbers and claims.{drawn}",
        answers=found.questions(),
        tables=[(title, tables) for name, title in TITLES.items() if (tables := SECTIONS[name](found))],
        chapters=shown,
        gallery=pictures,
        gallery_note=attribution(slices),
        unfinished=[f"{run_id}: {state}" for run_id, state in unfinished],
        superseded=list(found.collected.superseded),
        commands=[commands_table(source.root, runs, source.arms)],
        environments=[machines_table(source.root, runs)],
        choices=[choices_table()],
        attribution=[attribution(slices)] if slices is not None else [],
        licence=LICENCE,
        citation=CITATION,
    )


def attribution(slices: SliceSet | None) -> str:
    """Whose the pictures are, or why there are none."""
    if slices is None:
        return NO_PICTURES
    if slices.phantom:
        return "Pictures of slices: drawn phantoms."
    return ATTRIBUTION if slices.dataset_id in DATASETS.values() else OWN_DATA
