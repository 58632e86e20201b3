"""The parts of a report in their order: which figures, with their tables, and what is not shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from benchmark.arm import ArmEntry
from benchmark.data.slices import SliceSet
from benchmark.errors import RecordError
from benchmark.judge.answers import questions
from benchmark.judge.cells import Panel, data_of, protocol_of, size_of
from benchmark.judge.claims.evidence import GridEvidence, Reading, grid_evidence
from benchmark.judge.claims.may_be_best import best_table
from benchmark.judge.claims.table import claims_table, on_its_terms
from benchmark.judge.comparisons.arms import arms_table
from benchmark.judge.comparisons.measures import agreement_table, boundaries_table, measured
from benchmark.judge.comparisons.own_arms import no_reference
from benchmark.judge.comparisons.second_reader import WHOSE
from benchmark.judge.judgement import Judgement
from benchmark.judge.reference import DATASETS
from benchmark.judge.tables import Table
from benchmark.report.figure import Figure, slugged
from benchmark.report.figures.boxes import box_figures, image_figures
from benchmark.report.figures.cell import cell_figures, curves
from benchmark.report.figures.cost import cost_figures
from benchmark.report.figures.data import data_figures
from benchmark.report.figures.dice_by_patient import distribution_figures
from benchmark.report.figures.grid_data import shared
from benchmark.report.figures.heat_maps import heat_figures, time_figures
from benchmark.report.figures.predictions import missed_centres, picture_figures
from benchmark.report.figures.readers import reader_figures
from benchmark.report.figures.seeds_and_draws import seeds_and_draws_figures
from benchmark.report.figures.stopping import stopping_figures
from benchmark.report.figures.verdicts import arms_figures, headline_figures, patient_figures
from benchmark.report.page.contents import Chapter, Part
from benchmark.report.provenance import commands_table
from benchmark.report.run_files import RunFiles, read
from benchmark.report.slices.readers_differ import readers_differ
from benchmark.report.slices.stored_masks import StoredMasks, reason
from benchmark.runs.second_reading import second_reading_masks

NO_PICTURES = (
    "Pictures of slices, the split, histograms and augmented examples are drawn from your own copy "
    "of the data only: give it with --data."
)
OWN_TERMS = "On the thesis's terms."
OTHER_TERMS = "Not on the thesis's terms: nothing here stands beside its figures."


@dataclass(frozen=True, eq=False)
class Source:
    """root: the folder of runs, judged; arms: every arm; slices: the user's own copy, or None."""

    root: Path
    judgement: Judgement
    arms: Mapping[str, ArmEntry]
    slices: SliceSet | None

    @property
    def demonstration(self) -> bool:
        """True where every run is of phantoms."""
        runs = self.judgement.collected.runs
        return bool(len(runs) and runs["phantom"].all())

    @cached_property
    def files(self) -> list[RunFiles]:
        """Of the finished runs, each read once in a report."""
        return read(self.root, self.judgement.collected.runs["run_id"])

    @cached_property
    def commands(self) -> Table:
        """The command behind each finished run."""
        return commands_table(self.root, self.judgement.collected.runs, self.arms)

    @cached_property
    def masks(self) -> StoredMasks | None:
        """The stored predictions, each file read once in a report; None without slices."""
        scores = self.judgement.collected.scores
        return None if self.slices is None else StoredMasks(self.root, self.slices, scores)


def parts(source: Source) -> list[Part]:
    """What a reader wants to see first: a user's own arms before the thesis's, where he has some.

    A demonstration opens with pictures and ends with the answers, which its few epochs leave open.
    """
    all_parts = {
        "answers": ("Answers", _answers),
        "pictures": ("Truth and prediction", _pictures),
        "grid": ("The grid", _grids),
        "patients": ("By image against by patient", _patients),
        "readers": ("Two readers", _readers),
        "made-of": ("What the numbers are made of", _made_of),
        "claims": ("The claims", _claims),
        "arms": ("Arms against arms", _arms),
        "reference": ("The reference cell, closely", _reference),
        "inputs": ("The data", _inputs),
    }
    first: tuple[str, ...] = ("answers", "arms") if source.judgement.own_arms else ()
    first = ("grid", "pictures") if source.demonstration else first
    last = ("answers",) if source.demonstration else ()
    middle = (slug for slug in all_parts if slug not in first + last)
    made = []
    for slug in (*first, *middle, *last):
        title, chapters = all_parts[slug]
        answers = tuple(questions(source.judgement)) if slug == "answers" else ()
        made.append(Part(slug, title, tuple(chapters(source)), answers))
    return [part for part in made if part.chapters or part.answers]


def _answers(source: Source) -> Iterator[Chapter]:
    """The thesis's number beside ours, with the tables behind it and the rules that were changed;
    none for other arms alone.
    """
    judgement = source.judgement
    if judgement.own_arms_alone:
        return
    tables = (*judgement.patients()[:1], *judgement.verdicts(), *judgement.rules())
    yield _with_tables(Chapter(figures=headline_figures(judgement)), tables)


def _with_tables(chapter: Chapter, tables: tuple[Table, ...]) -> Chapter:
    """The chapter with tables beneath its last figure, or alone where it has none."""
    if not chapter.figures:
        return replace(chapter, tables=tables)
    *others, last = chapter.figures
    return replace(chapter, figures=[*others, replace(last, tables=tables)])


def _pictures(source: Source) -> Iterator[Chapter]:
    """Truth, prediction and failure cases of the first panel of these slices that has the cell; of
    others the centres alone, where enough trainings miss some.
    """
    if source.masks is None or source.slices is None:
        yield Chapter(notes=(NO_PICTURES,))
        return
    first = True
    for panel in ordered(source.judgement):
        evidence = _evidence(source.judgement, panel)
        if evidence.best and panel.runs["dataset_id"].iloc[0] == source.slices.dataset_id:
            lead = (
                f"{evidence.best.name}, {panel.title}: stored predictions, and failure cases that "
                "fixed rules choose."
            )
            own = _on_terms(source.judgement, panel)
            try:
                if first:
                    shown, *more = picture_figures(evidence, source.masks)
                    yield Chapter(lead=lead, figures=_named([shown], own), more=_named(more, own))
                elif figures := missed_centres(evidence, source.masks):
                    yield Chapter(lead=lead, more=_named(figures, own, panel))
            except RecordError as error:
                yield Chapter(lead=lead, notes=(reason(error, source.root),))
            first = False
    if first:
        yield Chapter(notes=("No run of these slices is of the reference cell.",))


def _grids(source: Source) -> Iterator[Chapter]:
    """The map of each set of terms with two cells or more, and of the first in any case."""
    judgement, alone = source.judgement, []
    for i, panel in enumerate(ordered(judgement)):
        own = _on_terms(judgement, panel)
        dice = judgement.reference.best_cell.dice_mean
        printed = dice if _as_printed(judgement, panel) else None
        grid = shared(_evidence(judgement, panel), printed)
        if grid and (i == 0 or len(grid.cells) > 1):
            mean, *more = heat_figures(grid)
            more += [*box_figures(grid), *image_figures(grid), *time_figures(grid)]
            lead, figures = OWN_TERMS if own else OTHER_TERMS, _named([mean], own, panel)
            yield Chapter(panel.title, lead, figures, more=_named(more, own, panel))
        elif grid:
            alone.append(panel.title)
    if alone:
        note = f"A map begins with two cells; one cell was run under: {'; '.join(alone)}."
        yield Chapter(notes=(note,))


def _patients(source: Source) -> Iterator[Chapter]:
    figures = patient_figures(source.judgement)
    tables = tuple(source.judgement.patients()[1:])
    if figures or tables:
        yield _with_tables(Chapter(figures=figures), tables)


def _readers(source: Source) -> Iterator[Chapter]:
    """How well two readers agree, and the arms against the second; with slices, where they differ
    most.
    """
    judgement, slices = source.judgement, source.slices
    tables = tuple(judgement.readers())
    if not tables or judgement.second is None:
        return
    yield _with_tables(Chapter(lead=WHOSE, figures=reader_figures(judgement)), tables)
    if slices is not None and slices.dataset_id == judgement.reference.dataset_id:
        differ = readers_differ(judgement.second, second_reading_masks(), slices)
        yield Chapter("Where they differ", figures=[differ])


def _made_of(source: Source) -> Iterator[Chapter]:
    """What the reference cell's Dice varies by, and what its split effect consists of."""
    judgement = source.judgement
    chapters = {
        "": (seeds_and_draws_figures(judgement), judgement.spread()),
        "Early stopping": (stopping_figures(judgement), judgement.stopping()),
        "Open choices": ([], judgement.choices()),
        "Patient by patient": (distribution_figures(judgement), judgement.by_patient()),
        "The leak, taken apart": ([], judgement.anatomy()),
    }
    for title, (figures, tables) in chapters.items():
        if figures or tables:
            chapter = Chapter(title, figures=figures, opened=not figures)
            yield _with_tables(chapter, tuple(tables))


def _claims(source: Source) -> Iterator[Chapter]:
    """Every claim on each set of terms, those nearest the thesis's opened."""
    judgement = source.judgement
    terms = judgement.reference, judgement.tolerances
    for i, (panel, rows) in enumerate(judgement.claims):
        best = best_table(panel, *terms)
        tables = (claims_table(panel, rows, *terms), *((best,) if best else ()))
        yield Chapter(tables=tables, opened=i == 0)


def _arms(source: Source) -> Iterator[Chapter]:
    judgement = source.judgement
    rule, arm = judgement.tolerances.contrasts, judgement.reference.best_cell.arm
    compared = {id(panel): rows for panel, rows in judgement.comparisons}
    for panel in ordered(judgement):
        rows = compared[id(panel)]
        tables = (arms_table(panel, rows, rule),) if len(rows) > 1 else ()
        arms = [figure for table in tables for figure in arms_figures(table, rule)]
        figures = [*(replace(f, tables=tables) for f in arms), *cost_figures(panel, arm)]
        lacks = panel in judgement.without_reference
        if figures or tables or lacks:
            lead = f"{no_reference(rule.reference)}. `compare` prints the command that makes it."
            named = _named(figures, _on_terms(judgement, panel), panel)
            yield Chapter(panel.title, lead if lacks else "", named, tables=() if arms else tables)


def _reference(source: Source) -> Iterator[Chapter]:
    """How the thesis's best cell was trained, and what its masks are like.

    The first set of terms is shown unfolded.
    """
    judgement, sizes, first = source.judgement, source.judgement.tolerances.sizes, True
    for panel in ordered(judgement):
        cell, figures, notes = _evidence(judgement, panel).best, list[Figure](), list[str]()
        if cell:
            try:
                figures = curves(cell, source.root)
            except RecordError as error:  # a history decides nothing
                notes.append(f"The loss curve: {reason(error, source.root)}")
            figures += cell_figures(cell, sizes)
            if not measured(cell):
                lack = "Some runs lack areas or diameters, so their figures are not drawn; rescore"
                notes.append(f"{lack} the runs.")
        tables = {}
        if any(map(measured, panel.cells)):
            tables["dice-by-area"] = boundaries_table(panel, sizes)
            tables["agreement-longest-diameter"] = agreement_table(panel, sizes)
        figures = [
            replace(f, tables=(tables.pop(f.slug),)) if f.slug in tables else f for f in figures
        ]
        figures = _named(figures, _on_terms(judgement, panel), panel)
        if figures or tables or notes:
            shown, folded = (figures, []) if first else ([], figures)
            yield Chapter(panel.title, "", shown, notes, tuple(tables.values()), more=folded)
            first = False


def _inputs(source: Source) -> Iterator[Chapter]:
    if source.slices is not None:
        own = source.slices.dataset_id == source.judgement.reference.dataset_id
        figures = _named(data_figures(source.slices), own)
        yield Chapter(lead="What the networks are fed.", figures=figures)


def ordered(judgement: Judgement) -> list[Panel]:
    """Panels of the thesis's terms, then its image size, then most runs first; phantoms last."""

    def place(panel: Panel) -> tuple[bool, bool, bool, int]:
        first = panel.runs.iloc[0]
        other_size = first["height"] != judgement.tolerances.dice.image_size
        return bool(first["phantom"]), not _on_terms(judgement, panel), other_size, -len(panel.runs)

    return sorted(judgement.panels, key=place)


def _on_terms(judgement: Judgement, panel: Panel) -> bool:
    return on_its_terms(panel, judgement.reference, judgement.tolerances)


def _evidence(judgement: Judgement, panel: Panel) -> GridEvidence:
    rules = judgement.tolerances
    return grid_evidence(panel, Reading.TEXT, judgement.reference, rules)


def _named(figures: Sequence[Figure], own: bool, panel: Panel | None = None) -> list[Figure]:
    """The figures named after their panel's terms, such as thesis-512x512-fp32-mean-dice.

    Off the thesis's terms they redraw none of its.
    """
    terms: list[str] = []
    if panel is not None:
        first = panel.runs.iloc[0]
        data = data_of(first)
        terms += [] if data in DATASETS else [data]
        terms += [protocol_of(panel.runs), size_of(first), first["precision"]]
    return [
        replace(f, slug=slugged(*terms, f.slug), thesis=f.thesis if own else "") for f in figures
    ]


def _as_printed(judgement: Judgement, panel: Panel) -> bool:
    """True where the printed mean is of the same experiment.

    Its terms, its size, and a precision that it may have had.
    """
    first, rule = panel.runs.iloc[0], judgement.tolerances.dice
    of_size = first["height"] == first["width"] == rule.image_size
    return bool(_on_terms(judgement, panel) and of_size and first["precision"] in rule.precisions)
