"""The report of a folder of runs, put together and written: figures as PNG, SVG and CSV, and the page last."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from benchmark.arm import ArmEntry
from benchmark.data.slices import SliceSet
from benchmark.errors import RecordError, SpecError
from benchmark.judge.cells import Panel, data_of, protocol_of
from benchmark.judge.claims_table import on_its_terms
from benchmark.judge.ground import Ground, Reading, ground
from benchmark.judge.sections import SECTIONS, Judgement
from benchmark.record import write_bytes
from benchmark.report.box_figures import box_figures, image_figures
from benchmark.report.cost_figures import cost_figures
from benchmark.report.data_figures import data_figures
from benchmark.report.figure import Figure, inline, save
from benchmark.report.gallery import gallery
from benchmark.report.heat_figures import heat_figures, time_figures
from benchmark.report.page import Chapter, Content, Shown, render
from benchmark.report.picture_figures import picture_figures
from benchmark.report.provenance import choices_table, commands_table, machines_table
from benchmark.report.run_figures import cell_figures, curves
from benchmark.report.shared_grid import shared
from benchmark.report.verdict_figures import duel_figures, verdict_figures

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
NO_PICTURES = (
    "Pictures of slices, the split, histograms and augmented examples are drawn from your own copy of the data only: "
    "give it with --data."
)
ATTRIBUTION = (
    "Pictures of slices: Cheng, Jun (2017). brain tumor dataset. figshare. "
    "https://doi.org/10.6084/m9.figshare.1512427. CC BY 4.0; windowed, cropped and outlined here."
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


@dataclass(frozen=True, eq=False)
class Source:
    """root: the folder of runs; found: their judgement; arms: every arm; slices: the user's own copy, or None."""

    root: Path
    found: Judgement
    arms: Mapping[str, ArmEntry]
    slices: SliceSet | None


@dataclass(frozen=True, eq=False)
class Plan:
    """A chapter before its figures are drawn."""

    title: str
    lead: str
    figures: Sequence[Figure]
    notes: Sequence[str] = ()


def write(source: Source, out: Path) -> Written:
    """Draw and write everything into a folder: figures/ first, index.html last and whole.

    A folder that holds an earlier report is brought up to date; figures of it that are no longer
    drawn are removed. Raises `SpecError` where out is a file, or a folder with other things and no report.
    """
    before = _earlier(out)
    folder = out / FIGURES
    folder.mkdir(parents=True, exist_ok=True)
    plans = list(chapters(source))
    drawn: set[str] = set()
    shown = []
    for plan in plans:
        figures = [_named_apart(figure, drawn) for figure in plan.figures]
        pictures = [Shown(figure, inline(save(figure, folder), figure)) for figure in figures]
        shown.append(Chapter(plan.title, plan.lead, pictures, plan.notes))
    write_bytes(out / PAGE, render(content(source, shown)).encode())
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
    if out.is_dir() and any(path.name != FIGURES for path in out.iterdir()):
        raise SpecError(f"--out {out}: holds other files and no report; choose a folder of its own")
    return set()


def chapters(source: Source) -> Iterator[Plan]:
    """The chapters of figures in their order: verdicts, each set of terms, pictures, data."""
    found = source.found
    yield Plan("The verdicts, drawn", "", verdict_figures(found), () if found.collected.runs.size else ("No run yet.",))
    panels = _ordered(found)
    for panel in panels:
        yield _panel(source, panel, first=panel is panels[0])
    if source.slices is None:
        yield Plan("Pictures", "", (), (NO_PICTURES,))
        return
    yield _pictures(source, panels, source.slices)
    yield Plan("The data", "What the networks are fed.", data_figures(source.slices), ())


def _pictures(source: Source, panels: Sequence[Panel], slices: SliceSet) -> Plan:
    """Truth, prediction and failure cases of the first panel of these slices on which the reference cell was run."""
    title = "Truth and prediction"
    for panel in panels:
        on = _ground(source.found, panel)
        if on.best and panel.runs["dataset_id"].iloc[0] == slices.dataset_id:
            lead = f"{on.best.name}, {panel.title}: stored predictions, and failure cases found by rule."
            return Plan(title, lead, picture_figures(on, source.root, slices))
    return Plan(title, "", (), ("No run of these slices is of the reference cell.",))


def _ordered(found: Judgement) -> list[Panel]:
    """Panels of the thesis's terms first, then its image size, then those of most runs; phantoms last."""

    def place(panel: Panel) -> tuple[bool, bool, bool, int]:
        first = panel.runs.iloc[0]
        other_size = first["height"] != found.tolerances.dice.image_size
        return bool(first["phantom"]), not _on_terms(found, panel), other_size, -len(panel.runs)

    return sorted(found.panels, key=place)


def _on_terms(found: Judgement, panel: Panel) -> bool:
    return on_its_terms(panel, found.reference, found.tolerances)


def _ground(found: Judgement, panel: Panel) -> Ground:
    return ground(panel, Reading.TEXT, found.reference, found.tolerances.claims, found.tolerances.sizes)


def _panel(source: Source, panel: Panel, *, first: bool) -> Plan:
    """The figures of one set of terms. A grid of one cell is drawn for the first panel alone."""
    found = source.found
    on = _ground(found, panel)
    grid = shared(on)
    figures = [*duel_figures(panel, found)]
    notes = []
    if grid and (first or len(grid.cells) > 1):
        figures += [*box_figures(grid), *heat_figures(grid), *image_figures(grid), *time_figures(grid)]
    elif grid:
        notes.append("One cell of the grid was run under these terms; the grid's figures begin with two.")
    figures += cost_figures(panel)
    if on.best:
        try:
            figures += curves(on.best, source.root)
        except RecordError as error:  # a history decides nothing
            notes.append(f"No curve: {error}")
        figures += cell_figures(on.best, found.tolerances.sizes)
    prefix = slug_of(panel)
    named = [replace(figure, slug=f"{prefix}-{figure.slug}") for figure in figures]
    lead = "On the thesis's terms." if _on_terms(found, panel) else ""
    return Plan(panel.title, lead, named, tuple(notes))


def slug_of(panel: Panel) -> str:
    """The terms of a panel as the beginning of file names: thesis-512x512-fp32."""
    first = panel.runs.iloc[0]
    data = data_of(first)
    words = [] if data == "cheng-meningioma" else [data]
    words += [protocol_of(panel.runs), f"{first['height']}x{first['width']}", first["precision"]]
    return re.sub(r"[^\w.]+", "-", "-".join(words)).strip("-")


def content(source: Source, shown: Sequence[Chapter]) -> Content:
    """Everything on the page, chapters of figures given."""
    found, runs, slices = source.found, source.found.collected.runs, source.slices
    pictures = gallery(found.collected, source.root, slices) if slices is not None else None
    real = slices is not None and not slices.phantom
    unfinished = found.collected.unfinished
    waiting = f", {len(unfinished)} not finished" if unfinished else ""
    phantoms = int(runs["phantom"].sum())
    drawn = f" {phantoms} of them are of drawn phantoms, which say nothing about the thesis." if phantoms else ""
    return Content(
        title="Does 0.898 hold? A rerun of a thesis on meningioma segmentation",
        lead=f"{len(runs)} finished runs{waiting}, judged against the printed numbers and claims.{drawn}",
        answers=found.questions(),
        tables=[(title, tables) for name, title in TITLES.items() if (tables := SECTIONS[name](found))],
        chapters=shown,
        gallery=pictures,
        gallery_note=_gallery_note(slices),
        commands=[commands_table(source.root, runs, source.arms)],
        environments=[machines_table(source.root, runs)],
        choices=[choices_table()],
        attribution=[ATTRIBUTION] if real else [],
        licence=LICENCE,
        citation=CITATION,
    )


def _gallery_note(slices: SliceSet | None) -> str:
    if slices is None:
        return NO_PICTURES
    return "Drawn phantoms." if slices.phantom else ATTRIBUTION
