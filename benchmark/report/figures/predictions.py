"""Truth and stored prediction over the slices: the thesis's figures 18 to 22, their cases found by
rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.slices import SliceSet
from benchmark.errors import RecordError
from benchmark.judge.cells import Cell, title_of
from benchmark.judge.claims.evidence import GridEvidence
from benchmark.report.figure import INK, WIDE, Figure, canvas, counted
from benchmark.report.slices import contour_shape, failures
from benchmark.report.slices.case_text import count, heading, named, none, told
from benchmark.report.slices.crop import Crop, crop, legend, show
from benchmark.report.slices.failures import FailureCases
from benchmark.report.slices.stored_masks import reason, stored_masks
from benchmark.runs.reader import read_run, read_scores
from benchmark.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

Key = tuple[str, int]  # run_id and slice number
Pair = tuple[Key, int, NDArray[np.bool_]]  # a stored mask and the place of its slice in the set
MADE = "Outlines follow pixel edges; the bar is 10 mm; black and white are the slice's 0.5 and 99.5 percentile."
NO_VESSELS = "No source of these slices marks vessels: these are candidates for a reader's eye, and nothing more."
PANEL = 1.76  # inches, of a picture without its words


@dataclass(frozen=True, eq=False)
class Scene:
    """where: which runs, in words; crops by run_id and slice; real: False for drawn phantoms."""

    where: str
    crops: Mapping[Key, Crop]
    real: bool


@dataclass(frozen=True, eq=False)
class Read:
    """scores of the trainings that could be read, one row per run and slice; strands_mm2: the
    largest thin bright part of the truth that was left out, by run_id and slice; lost: what is
    wrong with the others, one line each.
    """

    scores: pd.DataFrame
    strands_mm2: Mapping[Key, float]
    lost: Sequence[str]


def picture_figures(on: GridEvidence, root: Path, slices: SliceSet) -> list[Figure]:
    """Return figures 18 to 22 of the reference cell from the predictions under root; a rule that
    found none says so.

    None at all where that cell was not run, or on other slices than these. Trainings whose
    predictions are lost, damaged or not those that were scored are left out, and captions name
    them. Raises `RecordError` if none is left.
    """
    cell = on.best
    if cell is None or set(cell.runs["dataset_id"]) != {slices.dataset_id}:
        return []
    read = _read(cell.runs["run_id"].tolist(), root, slices)
    rows = failures.rows_of(cell.runs, read.scores)
    examples = failures.standings(rows)
    shown = [
        ("failures-lowest", "The lowest Dice", "", "", [failures.lowest(rows)]),
        ("failures-small", "Small tumours", "19", "", [
            failures.small(rows, on.sizes),
            _measured(on, failures.RIGHT, "nsd_1mm", lambda: failures.small_right(rows, on.sizes, on.rule))]),
        ("failures-vessels", "Thin bright parts of the truth that were left out", "20", NO_VESSELS, [
            strands(rows, read.strands_mm2)]),
        ("failures-straight", "Truths with straight edges", "21", "", [straight(rows, slices, on.sizes.edges_mm2[0])]),
        ("failures-centres", "Large tumours whose centre was missed", "22", "", [
            _measured(on, failures.CENTRE, "core_sensitivity", lambda: failures.necrotic(rows, on.rule, on.sizes))]),
    ]  # fmt: skip
    keys = {
        key
        for cases in [examples, *(one for *_, found in shown for one in found)]
        for key in _keys(cases.table)
    }
    scene = Scene(
        _where(cell, rows, read.lost), _crops(keys, rows, root, slices), not slices.phantom
    )
    return [_examples(examples, scene), *(_failures(*words, scene) for words in shown)]


def _measured(
    on: GridEvidence, kind: str, column: str, find: Callable[[], FailureCases]
) -> FailureCases:
    """What a rule finds where every training has the column that it reads."""
    lacking = on.lacking([on.printed], [column])
    return failures.unmeasured(kind, lacking) if lacking else find()


def _read(run_ids: Sequence[str], root: Path, slices: SliceSet) -> Read:
    """Read the trainings of a cell, the masks of one in memory at a time."""
    scores, areas, lost = [], {}, []
    for run_id in run_ids:
        try:
            own = _scores(RunFolder(root, run_id))
            areas.update(
                {key: _strand_mm2(slices, i, mask) for key, i, mask in _stored(own, root, slices)}
            )
            scores.append(own)
        except RecordError as error:
            lost.append(reason(error, root))
    if not scores:
        raise RecordError(lost[0])
    return Read(pd.concat(scores), areas, lost)


def _strand_mm2(slices: SliceSet, i: int, mask: NDArray[np.bool_]) -> float:
    return contour_shape.left_out_strand_mm2(
        slices.images[i], slices.masks[i], mask, slices.spacing_mm
    )


def strands(rows: pd.DataFrame, areas_mm2: Mapping[Key, float]) -> FailureCases:
    """Find thin bright parts of the truth that a prediction leaves out, given the largest by run_id
    and slice.
    """
    rule = (
        f"parts of the truth less than {contour_shape.STRAND_MM:g} mm wide that a training left out, their mean grey nearer "
        f"to the median of the tumour found than to that of the {contour_shape.AROUND_MM:g} mm around the truth; "
        f"{contour_shape.LEAST_STRAND_MM2:g} mm² or more, largest first"
    )
    return failures.by_run(
        rows, areas_mm2, contour_shape.LEAST_STRAND_MM2, "candidate", rule, "left_out_mm2"
    )


def straight(rows: pd.DataFrame, slices: SliceSet, least_mm2: float) -> FailureCases:
    """Find truths with straight edges among tumours of least_mm2 or more, on which pixels do not
    decide.
    """
    numbers = rows.loc[rows["truth_mm2"] >= least_mm2, "slice_id"].unique().tolist()
    shares = {
        number: contour_shape.straight_share(slices.masks[slices.row_of[number]])
        for number in numbers
    }
    rule = (
        f"tumours of {least_mm2:g} mm² or more, by the share of the truth's outline that its four longest straight "
        f"edges make up (Douglas and Peucker, {contour_shape.STRAIGHT_PIXELS:g} pixel), {contour_shape.LEAST_STRAIGHT:g} or more, "
        "largest first"
    )
    return failures.by_truth(
        rows, shares, contour_shape.LEAST_STRAIGHT, "straight edges", rule, "straight_share"
    )


def _scores(folder: RunFolder) -> pd.DataFrame:
    """A run's scores as they stand: those of a cell may be means of one seed's runs on two forms of
    the files.
    """
    return read_scores(read_run(folder)).assign(run_id=folder.run_id)


def _stored(rows: pd.DataFrame, root: Path, slices: SliceSet) -> Iterator[Pair]:
    """Every stored mask of the runs in rows, one run in memory at a time."""
    for run_id, part in rows.groupby("run_id"):
        for number, mask in stored_masks(RunFolder(root, str(run_id)), part, slices).items():
            yield (str(run_id), number), slices.row_of[number], mask


def _keys(table: pd.DataFrame) -> list[Key]:
    return list(zip(table["run_id"], table["slice_id"], strict=True))


def _crops(keys: set[Key], rows: pd.DataFrame, root: Path, slices: SliceSet) -> dict[Key, Crop]:
    """Cut out each case; every run is read once."""
    needed = rows[rows["run_id"].isin({run_id for run_id, _ in keys})]
    return {
        key: crop(slices.images[i], slices.masks[i], mask, slices.spacing_mm)
        for key, i, mask in _stored(needed, root, slices)
        if key in keys
    }


def _where(cell: Cell, rows: pd.DataFrame, lost: Sequence[str]) -> str:
    """Which runs, in words."""
    splits, runs = sorted(set(rows["split_id"])), rows["run_id"].nunique()
    where = splits[0] if len(splits) == 1 else f"{len(splits)} splits, {splits[0]} to {splits[-1]}"
    trained = counted(runs, "training")
    words = f"{cell.name}, {title_of(cell.runs)}: {trained} on {where}; {rows['slice_id'].nunique()} test slices."
    return " ".join([words, *(f"Left out: {why}." for why in lost)])


def _examples(cases: FailureCases, scene: Scene) -> Figure:
    return Figure(
        slug="examples",
        title="Truth, prediction, and both",
        caption=f"{scene.where} From above: {cases.rule}; of each, the training nearest to that mean. {MADE}",
        alt=f"Each slice with the outline of the truth, of the prediction, and of both. {told(cases)}",
        data=cases.table,
        draw=partial(_draw_examples, crops=scene.crops),
        thesis="18",
        pictures=scene.real,
    )


def _failures(
    slug: str, title: str, thesis: str, note: str, found: Sequence[FailureCases], scene: Scene
) -> Figure:
    rules = [f"{named(one)}: {one.rule}{count(one)}." for one in found]
    filled = [one.table for one in found if one.found]
    return Figure(
        slug=slug,
        title=title,
        caption=" ".join([scene.where, *rules, *([note] if note else []), MADE]),
        alt=" ".join([f"{title}.", *(f"{named(one)}: {told(one)}" for one in found)]),
        data=pd.concat(filled or [found[0].table], ignore_index=True),
        draw=partial(_draw_failures, found=found, crops=scene.crops),
        thesis=thesis,
        pictures=bool(filled) and scene.real,
    )


def _draw_examples(data: pd.DataFrame, crops: Mapping[Key, Crop]) -> Canvas:
    words = (("truth", True, False), ("prediction", False, True), ("both", True, True))
    drawn, axes = canvas(5.2, len(data) * (PANEL + 0.5) + 0.3, len(data), 3, squeeze=False)
    for row, line in zip(data.itertuples(), axes, strict=True):
        for (name, truth, predicted), one in zip(words, line, strict=True):
            show(one, crops[row.run_id, row.slice_id], truth=truth, predicted=predicted)
            one.set_title(
                f"{heading(row)}\n{name}" if name == "truth" else name, loc="left", fontsize=7
            )
    legend(drawn)
    return drawn


def _draw_failures(
    data: pd.DataFrame, found: Sequence[FailureCases], crops: Mapping[Key, Crop]
) -> Canvas:
    height = sum(PANEL + 0.47 if one.found else 0.4 for one in found) + 0.25
    ratios = [PANEL if one.found else 0.2 for one in found]
    drawn, axes = canvas(
        WIDE, height, len(found), failures.MOST, squeeze=False, height_ratios=ratios
    )
    for cases, line in zip(found, axes, strict=True):
        for one in line:
            one.set_axis_off()
        for row, one in zip(cases.table.itertuples(), line, strict=False):
            one.set_axis_on()
            show(one, crops[row.run_id, row.slice_id])
            one.set_title(heading(row), loc="left", fontsize=7)
        if not cases.found:
            words = f"{named(cases)}: {none(cases)}"
            line[0].text(0, 0.5, words, transform=line[0].transAxes, va="center", color=INK)
        elif len(found) > 1:
            line[0].set_ylabel(cases.kind, fontsize=7.5)
    if any(one.found for one in found):
        legend(drawn)
    return drawn
