"""Best epoch against test Dice, training by training."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmark.judge.comparisons.stopping import best_epochs, within
from benchmark.judge.judgement import Judgement
from benchmark.report import inks
from benchmark.report.figure import WIDE, Canvas, Figure, canvas, counted, logarithmic
from benchmark.report.figures.verdicts import COLOURS, MARKERS

OTHER = (inks.GREEN, "^")  # of a kind of split that is neither by image nor by patient


def stopping_figures(judgement: Judgement) -> list[Figure]:
    """The trainings at the size that has most of them; none where seeds do not tell enough."""
    every = best_epochs(judgement.collected, judgement.reference)
    if every.empty:
        return []
    size = every["size"].astype(str).value_counts().index[0]
    data = every[every["size"].astype(str) == size].reset_index(drop=True)
    row = within(data)
    if row is None:
        return []
    own = data.groupby("group")
    trained = np.log2(data["best_epoch"] + 1)
    several = own["group"].transform("size") > 1
    data = data.assign(
        doublings=(trained - trained.groupby(data["group"]).transform("mean")).where(several),
        dice_from_mean=(data["dice"] - own["dice"].transform("mean")).where(several),
        doubling=row["doubling"],
    )
    cells = data["cell"].nunique()
    caption = (
        f"Left: every training at {size} ({len(data)} of {counted(cells, 'cell')}) by the "
        "epoch whose weights were kept, counted from 1; lines join trainings of one cell on one "
        f"split, which differ by their seed alone. Right: these, each less the mean of its cell "
        f"and split: correlation {row['r']:.2f}. The SD between seeds is {row['sd']:.4f}; given "
        f"the best epoch, {row['sd_given']:.4f} is left."
    )
    alt = (
        f"Within cells and splits, test Dice rises with the best epoch: {row['doubling']:+.3f} "
        f"for twice the epochs, correlation {row['r']:.2f}."
    )
    title = "Early stopping and the noise between seeds"
    return [Figure("best-epoch", title, caption, alt, data, _plot)]


def _plot(data: pd.DataFrame) -> Canvas:
    whole, (left, right) = canvas(WIDE, 2.8, 1, 2)
    for _, group in data[data["doublings"].notna()].groupby("group"):
        path = group.sort_values("best_epoch")
        left.plot(path["best_epoch"] + 1, path["dice"], color=inks.GRID, linewidth=0.8, zorder=1)
    for (unit, precision), part in data.groupby(["split_unit", "precision"]):
        colour, marker = COLOURS.get(unit, OTHER[0]), MARKERS.get(unit, OTHER[1])
        face = colour if precision == "fp32" else "none"
        style = {"color": colour, "marker": marker, "markersize": 4, "markerfacecolor": face}
        style |= {"linestyle": "none"}
        left.plot(part["best_epoch"] + 1, part["dice"], label=f"by {unit}, {precision}", **style)
        right.plot(part["doublings"], part["dice_from_mean"], **style)
    ends = np.array([data["doublings"].min(), data["doublings"].max()])
    right.plot(ends, ends * data["doubling"].iloc[0], color=inks.INK, linewidth=1)
    left.set(xscale="log", xlabel="best epoch", ylabel="mean test Dice")
    logarithmic(left.xaxis)
    left.legend(loc="lower right")
    right.set(xlabel="doublings of the best epoch, from the mean", ylabel="Dice, from the mean")
    for axes in (left, right):
        axes.grid(color=inks.GRID, linewidth=0.4, alpha=0.6)
    return whole
