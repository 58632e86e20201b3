"""Every training of the reference cell with its interval, grouped by draw or fold."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pandas as pd

from benchmark.judge.cells import Cell, protocol_of, size_of
from benchmark.judge.comparisons.headline import headline
from benchmark.judge.comparisons.reference_trainings import KINDS, ReferenceTrainings
from benchmark.judge.judgement import Judgement
from benchmark.judge.statistics.contrast import DICE, between_seeds, contrast, mean
from benchmark.judge.statistics.estimate import Variance, clustered_mean
from benchmark.report import inks
from benchmark.report.figure import SMALL, WIDE, Canvas, Figure, canvas, counted
from benchmark.report.figures.verdicts import COLOURS, MARKERS

ROW, MARGIN = 0.145, 0.6  # inches: a row, and what is not rows
TITLE, TRAINING, SPLIT, ALL = "title", "training", "split", "all"  # what a row shows
WIDTHS = {TRAINING: 0.9, SPLIT: 1.8, ALL: 2.6}
SIZES = {TRAINING: 2.6, SPLIT: 4.0, ALL: 5.5}


def seeds_and_draws_figures(judgement: Judgement) -> list[Figure]:
    """One figure of all terms that the cell was run on; none below two trainings."""
    found = judgement.reference_trainings
    trainings = sum(own.trainings for own in found)
    if trainings < 2:
        return []
    level, rule = judgement.tolerances.split_effect.level, judgement.tolerances.dice
    whole = headline(judgement.collected, judgement.reference, judgement.tolerances).numbers
    rows = [row for own in _in_order(found, rule.image_size) for row in _rows(own, whole, level)]
    data = pd.DataFrame(rows)
    cell = next(iter(found[0].cells.values()))
    caption = (
        f"{cell.name}: mean test Dice of each of its {trainings} trainings, thin, with a "
        f"{level:.0%} interval whose unit are the patients; of each draw or fold, with the "
        "variation between seeds; and of all, thick, as in the table of the thesis's best cell, "
        "with that between training sets. Dashed, where the terms are the thesis's: its printed "
        "mean."
    )
    alt = f"{counted(trainings, 'training')}. Means of all: {_told(data)}."
    printed = judgement.reference.best_cell.dice_mean
    terms = {f"{size_of({'height': rule.image_size, 'width': rule.image_size})}, {precision}"
             for precision in rule.precisions}  # fmt: skip
    plot = partial(_plot, printed=printed, terms=frozenset(terms))
    title = "Seeds, draws and folds"
    return [Figure("seeds-and-draws", title, caption, alt, data, plot)]


def _in_order(found: list[ReferenceTrainings], image_size: int) -> list[ReferenceTrainings]:
    """The thesis's image size first."""

    def height(own: ReferenceTrainings) -> int:
        return int(next(iter(own.cells.values())).runs["height"].iloc[0])

    return sorted(found, key=lambda own: height(own) != image_size)


def _told(data: pd.DataFrame) -> str:
    rows = data[data["row"] == ALL].itertuples()
    return "; ".join(f"{row.terms}, by {row.kind}: {row.dice:.3f}" for row in rows)


def _rows(
    trainings: ReferenceTrainings, whole: pd.DataFrame, level: float
) -> Iterator[dict[str, Any]]:
    """The rows of one set of terms: row, terms, kind, label, dice, low, high."""
    spread = between_seeds(trainings.cells.values(), DICE)
    for kind in KINDS:
        if kind not in trainings.cells:
            continue
        cell = trainings.cells[kind]
        own = {"terms": trainings.terms, "kind": kind}
        yield own | {"row": TITLE, "label": f"{trainings.terms}, by {kind}"}
        for row in _of_splits(cell, spread, level):
            yield own | row
        yield own | _of_all(whole, trainings.terms, kind, cell)


def _of_splits(cell: Cell, spread: Variance | None, level: float) -> Iterator[dict[str, Any]]:
    for name in sorted(cell.splits):
        of = cell.on([name])
        if len(cell.splits) > 1:
            estimate = contrast([(1.0, of)], DICE, spread)
            low, high = estimate.interval(level) if estimate else (None, None)
            yield {"row": SPLIT, "label": name, "dice": mean(of, DICE), "low": low, "high": high}
        for seed, rows in of.rows.groupby("seed"):
            low, high = _interval(rows, level)
            where = "" if len(cell.splits) > 1 else f"{name}, "
            yield {
                "row": TRAINING,
                "label": f"{where}seed {seed}",
                "dice": float(rows["dice"].mean()),
                "low": low,
                "high": high,
            }


def _interval(rows: pd.DataFrame, level: float) -> tuple[float, float] | tuple[None, None]:
    """Of the mean of one training's rows, over patients; none without two known ones."""
    patients = rows["patient_id"]
    if patients.isna().any() or patients.nunique() < 2:
        return None, None
    return clustered_mean(rows["dice"].to_numpy(float), patients.tolist()).interval(level)


def _of_all(whole: pd.DataFrame, terms: str, kind: str, cell: Cell) -> dict[str, Any]:
    """The row of the headline's table on these terms and this kind of split."""
    same = (whole["what"] == "ours") & (whole["split"] == kind)
    same &= whole["size"].astype(str) + ", " + whole["precision"].astype(str) == terms
    same &= whole["protocol"].astype(str) == protocol_of(cell.runs)
    row = whole[same].iloc[0]
    label = f"all {len(cell.runs)} trainings"
    return {"row": ALL, "label": label, "dice": row["dice"], "low": row["low"], "high": row["high"]}


def _plot(data: pd.DataFrame, printed: float, terms: frozenset[str]) -> Canvas:
    kinds = [kind for kind in KINDS if (data["kind"] == kind).any()]
    sides = [data[data["kind"] == kind].reset_index(drop=True) for kind in kinds]
    rows = max(map(len, sides))
    whole, axes = canvas(WIDE, MARGIN + ROW * rows, 1, len(kinds), sharex=True, squeeze=False)
    for one, side in zip(axes[0], sides, strict=True):
        _plot_side(one, side, printed, terms)
        one.set(ylim=(rows - 0.4, -0.8), xlabel="mean test Dice")
    return whole


def _plot_side(axes: Any, side: pd.DataFrame, printed: float, terms: frozenset[str]) -> None:
    rows = side.to_dict("records")
    for y, row in enumerate(rows):
        if row["row"] == TITLE:
            continue
        colour, marker = COLOURS[row["kind"]], MARKERS[row["kind"]]
        if pd.notna(row["low"]):
            style = {"color": colour, "linewidth": WIDTHS[row["row"]]}
            axes.plot([row["low"], row["high"]], [y, y], **style)
        face = "none" if row["row"] == TRAINING else colour
        style = {"color": colour, "marker": marker, "markersize": SIZES[row["row"]]}
        axes.plot(row["dice"], y, linestyle="none", markerfacecolor=face, **style)
    _mark(axes, side, printed, terms)
    axes.set_yticks(range(len(rows)), side["label"], fontsize=SMALL)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row["row"] in (TITLE, ALL) else "normal")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=inks.GRID, linewidth=0.4, alpha=0.6)


def _mark(axes: Any, side: pd.DataFrame, printed: float, terms: frozenset[str]) -> None:
    """The printed mean over the rows of its own terms; none by patient."""
    own = side.index[side["terms"].isin(terms) & (side["kind"] == "image")]
    if len(own):
        dashed = {"color": inks.MUTED, "linewidth": 1, "linestyle": "--", "zorder": 0}
        axes.plot([printed, printed], [own[0] + 0.4, own[-1] + 0.5], **dashed)
        where = {"ha": "center", "va": "center", "fontsize": SMALL}
        axes.annotate(f"thesis {printed:g}", (printed, own[0]), **where)
