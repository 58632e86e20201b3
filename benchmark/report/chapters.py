"""The chapters of a report: which figures are drawn of what, and what is not drawn and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.arm import ArmEntry
from benchmark.data.slices import SliceSet
from benchmark.errors import RecordError
from benchmark.judge.cells import Panel, data_of, protocol_of
from benchmark.judge.claims_table import on_its_terms
from benchmark.judge.ground import Ground, Reading, ground
from benchmark.judge.measures import measured
from benchmark.judge.reference import DATASETS
from benchmark.judge.sections import Judgement
from benchmark.report.box_figures import box_figures, image_figures
from benchmark.report.cost_figures import cost_figures
from benchmark.report.data_figures import data_figures
from benchmark.report.figure import Figure, slugged
from benchmark.report.heat_figures import heat_figures, time_figures
from benchmark.report.picture_figures import picture_figures
from benchmark.report.run_figures import cell_figures, curves
from benchmark.report.shared_grid import shared
from benchmark.report.stored import reason
from benchmark.report.verdict_figures import duel_figures, verdict_figures

NO_PICTURES = (
    "Pictures of slices, the split, histograms and augmented examples are drawn from your own copy of the data only: "
    "give it with --data."
)


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


def chapters(source: Source) -> Iterator[Plan]:
    """The chapters of figures in their order: verdicts, each set of terms, pictures, data."""
    found = source.found
    yield Plan("The verdicts, drawn", "", verdict_figures(found), () if found.collected.runs.size else ("No run yet.",))
    panels = ordered(found)
    for panel in panels:
        yield _panel(source, panel, first=panel is panels[0])
    if source.slices is None:
        yield Plan("Pictures", "", (), (NO_PICTURES,))
        return
    yield _pictures(source, panels, source.slices)
    own = source.slices.dataset_id == found.reference.dataset_id
    yield Plan("The data", "What the networks are fed.", _beside_the_thesis(data_figures(source.slices), own), ())


def _pictures(source: Source, panels: Sequence[Panel], slices: SliceSet) -> Plan:
    """Truth, prediction and failure cases of the first panel of these slices on which the reference cell was run."""
    title = "Truth and prediction"
    for panel in panels:
        on = _ground(source.found, panel)
        if on.best and panel.runs["dataset_id"].iloc[0] == slices.dataset_id:
            lead = f"{on.best.name}, {panel.title}: stored predictions, and failure cases found by rule."
            try:
                figures = picture_figures(on, source.root, slices)
                return Plan(title, lead, _beside_the_thesis(figures, _on_terms(source.found, panel)))
            except RecordError as error:
                return Plan(title, lead, (), (reason(error, source.root),))
    return Plan(title, "", (), ("No run of these slices is of the reference cell.",))


def ordered(found: Judgement) -> list[Panel]:
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
    own, best = _on_terms(found, panel), found.reference.best_cell
    grid = shared(on, best.dice_mean if own and _as_printed(found, panel) else None)
    figures = [*duel_figures(panel, found)]
    notes = []
    if grid and (first or len(grid.cells) > 1):
        figures += [*box_figures(grid), *heat_figures(grid), *image_figures(grid), *time_figures(grid)]
    elif grid:
        notes.append("One cell of the grid was run under these terms; the grid's figures begin with two.")
    figures += cost_figures(panel, best.arm)
    if on.best:
        try:
            figures += curves(on.best, source.root)
        except RecordError as error:  # a history decides nothing
            notes.append(f"The loss curve: {reason(error, source.root)}")
        figures += cell_figures(on.best, found.tolerances.sizes)
        if not measured(on.best):
            notes.append("Some runs lack areas or diameters, so their figures are not drawn; rescore the runs.")
    prefix = slug_of(panel)
    named = [replace(figure, slug=slugged(prefix, figure.slug)) for figure in _beside_the_thesis(figures, own)]
    lead = "On the thesis's terms." if own else "Not on the thesis's terms: none of this is beside its figures."
    return Plan(panel.title, lead, named, tuple(notes))


def _beside_the_thesis(figures: Sequence[Figure], own: bool) -> list[Figure]:
    """The figures, which redraw none of the thesis's where they are not on its terms."""
    return [replace(figure, thesis=figure.thesis if own else "") for figure in figures]


def _as_printed(found: Judgement, panel: Panel) -> bool:
    """True where the printed mean is of the same experiment: fed at its size, in a precision it may have had."""
    first, rule = panel.runs.iloc[0], found.tolerances.dice
    return bool(first["height"] == first["width"] == rule.image_size and first["precision"] in rule.precisions)


def slug_of(panel: Panel) -> str:
    """The terms of a panel as the beginning of file names: thesis-512x512-fp32."""
    first = panel.runs.iloc[0]
    data = data_of(first)
    words = [] if data in DATASETS else [data]
    return slugged(*words, protocol_of(panel.runs), f"{first['height']}x{first['width']}", first["precision"])
