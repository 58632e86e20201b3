"""The parts of a report in their order: which figures are drawn of what, with their tables, and
what is not drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.arm import ArmEntry
from benchmark.data.slices import SliceSet
from benchmark.errors import RecordError
from benchmark.judge.cells import Panel, data_of, protocol_of
from benchmark.judge.claims.evidence import ClaimVerdict, GridEvidence, Reading, grid_evidence
from benchmark.judge.claims.table import JudgedClaim, claims_table, on_its_terms
from benchmark.judge.comparisons.arms import arms_table, pairwise_comparisons
from benchmark.judge.comparisons.measures import agreement_table, boundaries_table, measured
from benchmark.judge.judgement import Judgement
from benchmark.judge.reference import DATASETS
from benchmark.report.figure import Figure, slugged
from benchmark.report.figures.boxes import box_figures, image_figures
from benchmark.report.figures.cell import cell_figures, curves
from benchmark.report.figures.cost import cost_figures
from benchmark.report.figures.data import data_figures
from benchmark.report.figures.grid_data import shared
from benchmark.report.figures.heat_maps import heat_figures, time_figures
from benchmark.report.figures.predictions import picture_figures
from benchmark.report.figures.verdicts import duel_figures, verdict_figures
from benchmark.report.page.contents import Chapter, Part
from benchmark.report.slices.stored_masks import reason

NO_PICTURES = (
    "Pictures of slices, the split, histograms and augmented examples are drawn from your own copy of the data only: "
    "give it with --data."
)


@dataclass(frozen=True, eq=False)
class Source:
    """root: the folder of runs; found: their judgement; arms: every arm; slices: the user's own
    copy, or None.
    """

    root: Path
    found: Judgement
    arms: Mapping[str, ArmEntry]
    slices: SliceSet | None

    @property
    def demonstration(self) -> bool:
        """True where every run is of drawn phantoms."""
        runs = self.found.collected.runs
        return bool(len(runs) and runs["phantom"].all())


def parts(source: Source) -> list[Part]:
    """What a reader wants to see first: the answers, pictures and the grid; a demonstration's
    answers come last.
    """
    made: dict[str, tuple[str, Callable[[Source], Iterator[Chapter]]]] = {
        "answers": ("Answers", _answers),
        "pictures": ("Truth and prediction", _pictures),
        "grid": ("The grid", _grids),
        "patients": ("By image against by patient", _patients),
        "claims": ("The claims", _claims),
        "arms": ("Arms against arms", _arms),
        "reference": ("The reference cell, closely", _reference),
        "inputs": ("The data", _inputs),
    }
    order = list(made)
    if source.demonstration:
        order = [
            "grid",
            "pictures",
            *(name for name in order if name not in ("grid", "pictures", "answers")),
            "answers",
        ]
    all_parts = [Part(name, made[name][0], tuple(made[name][1](source))) for name in order]
    answers = tuple(source.found.questions())
    all_parts = [
        replace(part, answers=answers) if part.slug == "answers" else part for part in all_parts
    ]
    return [part for part in all_parts if part.chapters]


def _answers(source: Source) -> Iterator[Chapter]:
    """The thesis's number beside ours, with the tables behind it."""
    found = source.found
    tables = (*found.patients()[:1], *found.verdicts())
    drawn = [
        replace(one, tables=tables) for one in verdict_figures(found) if one.slug == "headline"
    ]
    yield Chapter(figures=drawn, tables=() if drawn else tables)


def _pictures(source: Source) -> Iterator[Chapter]:
    """Truth, prediction and failure cases of the first panel of these slices on which the reference
    cell was run.
    """
    if source.slices is None:
        yield Chapter(notes=(NO_PICTURES,))
        return
    for panel in ordered(source.found):
        on = _ground(source.found, panel)
        if on.best and panel.runs["dataset_id"].iloc[0] == source.slices.dataset_id:
            lead = f"{on.best.name}, {panel.title}: stored predictions, and failure cases that fixed rules choose."
            try:
                first, *more = picture_figures(on, source.root, source.slices)
                own = _on_terms(source.found, panel)
                yield Chapter(lead=lead, figures=_named([first], own), more=_named(more, own))
            except RecordError as error:
                yield Chapter(lead=lead, notes=(reason(error, source.root),))
            return
    yield Chapter(notes=("No run of these slices is of the reference cell.",))


def _grids(source: Source) -> Iterator[Chapter]:
    """The map of each set of terms under which two cells or more were run, and of the first in any
    case.
    """
    found, alone, first = source.found, [], True
    for panel in ordered(found):
        own = _on_terms(found, panel)
        grid = shared(
            _ground(found, panel),
            found.reference.best_cell.dice_mean if _as_printed(found, panel) else None,
        )
        if grid and (first or len(grid.cells) > 1):
            mean, *more = heat_figures(grid)
            more += [*box_figures(grid), *image_figures(grid), *time_figures(grid)]
            yield Chapter(
                panel.title, _lead(own), _named([mean], own, panel), more=_named(more, own, panel)
            )
        elif grid:
            alone.append(panel.title)
        first = False
    if alone:
        yield Chapter(
            notes=(f"A map begins with two cells; one cell was run under: {'; '.join(alone)}.",)
        )


def _patients(source: Source) -> Iterator[Chapter]:
    drawn = [one for one in verdict_figures(source.found) if one.slug != "headline"]
    tables = tuple(source.found.patients()[1:])
    if drawn or tables:
        yield Chapter(figures=[*drawn[:-1], *(replace(one, tables=tables) for one in drawn[-1:])],
                      tables=() if drawn else tables)  # fmt: skip


def _claims(source: Source) -> Iterator[Chapter]:
    """Each set of terms with the claims that its runs can test; the others once, in one line."""
    found = source.found
    open_ones = [{one.claim.id for one in rows if not _testable(one)} for _, rows in found.claims]
    never = set.intersection(*open_ones) if open_ones else set()
    names = [claim.id for claim in found.reference.claims if claim.id in never]
    line = f"Not testable yet: {len(names)} of the {len(found.reference.claims)} claims ({', '.join(names)})."
    for panel, rows in found.claims:
        if tested := [one for one in rows if _testable(one)]:
            yield Chapter(
                tables=(claims_table(panel, tested, found.reference, found.tolerances),),
                opened=True,
            )
    if names:
        yield Chapter(lead=line)


def _testable(one: JudgedClaim) -> bool:
    return any(found.standing is not ClaimVerdict.NOT_TESTABLE for found in (one.text, one.swapped))


def _arms(source: Source) -> Iterator[Chapter]:
    found = source.found
    rule, arm = found.tolerances.contrasts, found.reference.best_cell.arm
    for panel in ordered(found):
        rows = pairwise_comparisons(panel, rule)
        tables = (arms_table(panel, rows, rule),) if len(rows) > 1 else ()
        drawn = [replace(one, tables=tables) for one in duel_figures(panel, found)]
        figures = _named([*drawn, *cost_figures(panel, arm)], _on_terms(found, panel), panel)
        if figures or tables:
            yield Chapter(panel.title, "", figures, tables=() if drawn else tables)


def _reference(source: Source) -> Iterator[Chapter]:
    """How the thesis's best cell was trained, and what its masks are like; the first set of terms
    is shown unfolded.
    """
    found, first = source.found, True
    for panel in ordered(found):
        on, figures, notes, sizes = (
            _ground(found, panel),
            list[Figure](),
            list[str](),
            found.tolerances.sizes,
        )
        if on.best:
            try:
                figures = curves(on.best, source.root)
            except RecordError as error:  # a history decides nothing
                notes.append(f"The loss curve: {reason(error, source.root)}")
            figures += cell_figures(on.best, sizes)
            if not measured(on.best):
                notes.append(
                    "Some runs lack areas or diameters, so their figures are not drawn; rescore the runs."
                )
        kinds = {"dice-by-area": boundaries_table, "agreement-longest-diameter": agreement_table}
        made = {
            slug: (table(panel, sizes),)
            for slug, table in kinds.items()
            if any(map(measured, panel.cells))
        }
        figures = [replace(one, tables=made.pop(one.slug, ())) for one in figures]
        figures = _named(figures, _on_terms(found, panel), panel)
        tables = tuple(table for left in made.values() for table in left)
        if figures or tables or notes:
            shown, folded = (figures, []) if first else ([], figures)
            yield Chapter(panel.title, "", shown, notes, tables, more=folded)
            first = False


def _inputs(source: Source) -> Iterator[Chapter]:
    if source.slices is not None:
        own = source.slices.dataset_id == source.found.reference.dataset_id
        yield Chapter(
            lead="What the networks are fed.", figures=_named(data_figures(source.slices), own)
        )


def ordered(found: Judgement) -> list[Panel]:
    """Panels of the thesis's terms first, then its image size, then those of most runs; phantoms
    last.
    """

    def place(panel: Panel) -> tuple[bool, bool, bool, int]:
        first = panel.runs.iloc[0]
        other_size = first["height"] != found.tolerances.dice.image_size
        return bool(first["phantom"]), not _on_terms(found, panel), other_size, -len(panel.runs)

    return sorted(found.panels, key=place)


def _on_terms(found: Judgement, panel: Panel) -> bool:
    return on_its_terms(panel, found.reference, found.tolerances)


def _ground(found: Judgement, panel: Panel) -> GridEvidence:
    return grid_evidence(
        panel, Reading.TEXT, found.reference, found.tolerances.claims, found.tolerances.sizes
    )


def _lead(own: bool) -> str:
    return (
        "On the thesis's terms."
        if own
        else "Not on the thesis's terms: nothing here stands beside its figures."
    )


def _named(figures: Sequence[Figure], own: bool, panel: Panel | None = None) -> list[Figure]:
    """The figures under names that say their panel; off the thesis's terms they redraw none of
    its.
    """
    prefix = [] if panel is None else [slug_of(panel)]
    return [
        replace(one, slug=slugged(*prefix, one.slug), thesis=one.thesis if own else "")
        for one in figures
    ]


def _as_printed(found: Judgement, panel: Panel) -> bool:
    """True where the printed mean is of the same experiment: its terms, size, and a precision it
    may have had.
    """
    first, rule = panel.runs.iloc[0], found.tolerances.dice
    of_size = first["height"] == first["width"] == rule.image_size
    return bool(_on_terms(found, panel) and of_size and first["precision"] in rule.precisions)


def slug_of(panel: Panel) -> str:
    """The terms of a panel as the beginning of file names: thesis-512x512-fp32."""
    first = panel.runs.iloc[0]
    data = data_of(first)
    words = [] if data in DATASETS else [data]
    return slugged(
        *words, protocol_of(panel.runs), f"{first['height']}x{first['width']}", first["precision"]
    )
