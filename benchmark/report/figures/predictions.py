"""Truth and stored prediction over slices: the thesis's figures 18 to 22, cases found by rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from benchmark.data.slices import SliceSet
from benchmark.errors import RecordError
from benchmark.judge.cells import Cell, title_of
from benchmark.judge.claims.evidence import GridEvidence
from benchmark.judge.claims.image_claims import often_missed
from benchmark.judge.reference import ClaimRule, Sizes
from benchmark.report import inks
from benchmark.report.figure import WIDE, Canvas, Figure, canvas, counted
from benchmark.report.slices import contour_shape, failures
from benchmark.report.slices.crop import Crop, Key, crops, legend, show
from benchmark.report.slices.failures import FailureCases, case_heading
from benchmark.report.slices.stored_masks import StoredMasks, reason

MADE = (
    "Outlines follow pixel edges; the bar is 10 mm; black and white are the slice's 0.5 and 99.5 "
    "percentile."
)
NO_VESSELS = (
    "No source of these slices marks vessels: these are candidates for a reader's eye, and nothing "
    "more."
)
CENTRES = ("centres", "Large tumours whose centre was missed", "22")
FindCases = Callable[[pd.DataFrame, Sizes, ClaimRule], FailureCases]
PANEL = 1.76  # inches, of a picture without its words


@dataclass(frozen=True, eq=False)
class Scene:
    """where: which runs, in words; crops by run_id and slice; real: False for phantoms."""

    where: str
    crops: Mapping[Key, Crop]
    real: bool


def picture_figures(evidence: GridEvidence, masks: StoredMasks) -> list[Figure]:
    """Return figures 18 to 22 of the reference cell; a rule that found none says so.

    None at all where that cell was not run, or on other slices than these. Trainings whose
    predictions are lost, damaged or not those that were scored are left out, and captions name
    them. Raises `RecordError` if none is left.
    """
    cell, slices, sizes, rule = evidence.best, masks.slices, evidence.sizes, evidence.rule
    if cell is None or set(cell.runs["dataset_id"]) != {slices.dataset_id}:
        return []
    strands_mm2, lost = _strands_mm2(cell.runs["run_id"], masks)
    own = dict.fromkeys(run_id for run_id, _ in strands_mm2)
    if not own:
        raise RecordError(lost[0])
    rows = failures.rows_of(cell.runs, pd.concat([masks.scores[run_id] for run_id in own]))
    small = sizes.edges_mm2[0]

    def where_measured(kind: str, column: str, find: FindCases) -> FailureCases:
        lacking = evidence.lacking([evidence.printed], [column])
        return failures.unmeasured(kind, lacking) if lacking else find(rows, sizes, rule)

    right = where_measured(failures.RIGHT, "nsd_1mm", failures.small_right)
    centres = where_measured(failures.CENTRE, "core_sensitivity", failures.necrotic)
    thin = failures.strands(rows, strands_mm2)
    straight = failures.straight(rows, _straight_shares(rows, slices, small), small)
    examples = failures.standings(rows)
    shown = [
        ("lowest", "The lowest Dice", "", "", [failures.lowest(rows)]),
        ("small", "Small tumours", "19", "", [failures.small(rows, sizes), right]),
        ("vessels", "Thin bright parts of the truth that were left out", "20", NO_VESSELS, [thin]),
        ("straight", "Truths with straight edges", "21", "", [straight]),
        (*CENTRES, "", [centres]),
    ]
    tables = [examples.table, *(cases.table for *_, by_rule in shown for cases in by_rule)]
    scene = Scene(_where(cell, rows, lost), crops(tables, masks), not slices.phantom)
    return [_examples(examples, scene), *(_failures(*words, scene) for words in shown)]


def missed_centres(evidence: GridEvidence, masks: StoredMasks) -> list[Figure]:
    """Return figure 22 alone, where enough trainings miss the centre of a large tumour; else
    none. Raises `RecordError` for a run whose predictions are lost or damaged.
    """
    cell, sizes, rule = evidence.best, evidence.sizes, evidence.rule
    needed = ("core_sensitivity", "sensitivity", "truth_mm2")
    if cell is None or evidence.lacking([evidence.printed], needed):
        return []
    if not often_missed(cell.rows, sizes, rule)["example"].any():
        return []
    rows = failures.rows_of(cell.runs, pd.concat([masks.scores[i] for i in cell.runs["run_id"]]))
    cases = failures.necrotic(rows, sizes, rule)
    real = not masks.slices.phantom
    scene = Scene(_where(cell, rows, []), crops([cases.table], masks), real)
    return [_failures(*CENTRES, "", [cases], scene)]


def _strands_mm2(run_ids: Iterable[str], masks: StoredMasks) -> tuple[dict[Key, float], list[str]]:
    """The largest strand left out, by training and slice; why other trainings cannot be read."""
    areas, lost = {}, []
    for run_id in run_ids:
        try:
            for number, mask in masks.of(run_id).items():
                own = (*masks.slice_and_truth(number), mask, masks.slices.spacing_mm)
                areas[run_id, number] = contour_shape.left_out_strand_mm2(*own)
        except RecordError as error:
            lost.append(reason(error, masks.root))
    return areas, lost


def _straight_shares(rows: pd.DataFrame, slices: SliceSet, least_mm2: float) -> dict[int, float]:
    numbers = set(rows.loc[rows["truth_mm2"] >= least_mm2, "slice_id"])
    truths = {number: slices.masks[slices.row_of[number]] for number in numbers}
    return {number: contour_shape.straight_share(mask) for number, mask in truths.items()}


def _where(cell: Cell, rows: pd.DataFrame, lost: Sequence[str]) -> str:
    """Which runs, in words."""
    splits, trained = sorted(set(rows["split_id"])), counted(rows["run_id"].nunique(), "training")
    where = splits[0] if len(splits) == 1 else f"{len(splits)} splits, {splits[0]} to {splits[-1]}"
    tested = f"{rows['slice_id'].nunique()} test slices."
    words = f"{cell.name}, {title_of(cell.runs)}: {trained} on {where}; {tested}"
    return " ".join([words, *(f"Left out: {why}." for why in lost)])


def _examples(cases: FailureCases, scene: Scene) -> Figure:
    caption = f"From above: {cases.rule}; of each, the training nearest to that mean. {MADE}"
    alt = "Each slice with the outline of the truth, of the prediction, and of both."
    return Figure(
        slug="examples",
        title="Truth, prediction, and both",
        caption=f"{scene.where} {caption}",
        alt=f"{alt} {cases.sentence}",
        data=cases.table,
        plot=partial(_plot_examples, crops=scene.crops),
        thesis="18",
        pictures=scene.real,
    )


def _failures(
    slug: str, title: str, thesis: str, note: str, by_rule: Sequence[FailureCases], scene: Scene
) -> Figure:
    rules = [f"{cases.title}: {cases.rule}{cases.tally}." for cases in by_rule]
    filled = [cases.table for cases in by_rule if cases.met]
    return Figure(
        slug=f"failures-{slug}",
        title=title,
        caption=" ".join([scene.where, *rules, *([note] if note else []), MADE]),
        alt=" ".join([f"{title}.", *(f"{cases.title}: {cases.sentence}" for cases in by_rule)]),
        data=pd.concat(filled or [by_rule[0].table], ignore_index=True),
        plot=partial(_plot_failures, by_rule=by_rule, crops=scene.crops),
        thesis=thesis,
        pictures=bool(filled) and scene.real,
    )


def _plot_examples(data: pd.DataFrame, crops: Mapping[Key, Crop]) -> Canvas:
    whole, grid = canvas(5.2, len(data) * (PANEL + 0.5) + 0.3, len(data), 3, squeeze=False)
    for row, (truth, prediction, both) in zip(data.itertuples(), grid, strict=True):
        cut = crops[row.run_id, row.slice_id]
        show(truth, cut, predicted=False)
        show(prediction, cut, truth=False)
        show(both, cut)
        truth.set_title(f"{case_heading(row)}\ntruth", loc="left", fontsize=7)
        prediction.set_title("prediction", loc="left", fontsize=7)
        both.set_title("both", loc="left", fontsize=7)
    legend(whole)
    return whole


def _plot_failures(
    data: pd.DataFrame, by_rule: Sequence[FailureCases], crops: Mapping[Key, Crop]
) -> Canvas:
    height = sum(PANEL + 0.47 if cases.met else 0.4 for cases in by_rule) + 0.25
    ratios = {"squeeze": False, "height_ratios": [PANEL if c.met else 0.2 for c in by_rule]}
    whole, grid = canvas(WIDE, height, len(by_rule), failures.MOST, **ratios)
    for cases, line in zip(by_rule, grid, strict=True):
        for axes in line:
            axes.set_axis_off()
        for row, axes in zip(cases.table.itertuples(), line, strict=False):
            axes.set_axis_on()
            show(axes, crops[row.run_id, row.slice_id])
            axes.set_title(case_heading(row), loc="left", fontsize=7)
        first, words = line[0], f"{cases.title}: {cases.why_none}"
        if not cases.met:
            first.text(0, 0.5, words, transform=first.transAxes, va="center", color=inks.INK)
        elif len(by_rule) > 1:
            first.set_ylabel(cases.kind, fontsize=7.5)
    if any(cases.met for cases in by_rule):
        legend(whole)
    return whole
