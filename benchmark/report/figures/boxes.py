"""Box plots of the grid: Dice by kernel and alpha, by alpha, by kernel, and of every test image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd

from benchmark.judge.comparisons.measures import THIRDS, thirds
from benchmark.judge.reference import Sizes
from benchmark.report import inks
from benchmark.report.figure import COLUMN, SMALL, WIDE, Canvas, Figure, canvas, counted
from benchmark.report.figures.grid_data import TRAINING, SharedGrid, dice_rows, means_text

SIZE_COLOURS = dict(zip(THIRDS, (inks.SKY, inks.ORANGE, inks.VERMILLION), strict=True))
SIZE_MARKERS = dict(zip(THIRDS, ("v", "o", "s"), strict=True))
STEADY = 0.05  # Dice: less between best and worst training
HOW = (
    "Median, quartiles, whiskers to 1.5 quartile ranges, dots beyond; n counts trainings, all "
    "their slices pooled."
)
POOLED = (
    "Cells that were not run are missing from their box, so boxes may pool unlike cells until the "
    "grid is whole."
)
ALPHA = "alpha (weight of false negatives)"


def box_figures(grid: SharedGrid) -> list[Figure]:
    """Dice of single slices pooled over seeds; each box that was not run says so."""
    data, reference, printed = dice_rows(grid), grid.evidence.reference, grid.printed
    kernels, alphas, best = reference.kernels, reference.alphas, reference.best_cell
    dashed, mark = "", None
    if printed is not None:
        dashed = f" Dashed, at its cell: the one mean that the thesis prints, {printed:g}."
        mark = (best.kernel_size, best.alpha, printed)
    pooled = f"{grid.where[0].upper()}{grid.where[1:]}. {HOW} {POOLED}"
    return [
        Figure(
            "dice-by-kernel-and-alpha",
            "Dice by kernel and alpha",
            f"Test Dice of single slices, seeds pooled: {grid.where}. {HOW}{dashed}",
            f"Box plots of test Dice, one row per kernel, one box per alpha. {means_text(grid)}",
            data,
            partial(_plot_both, kernels=kernels, alphas=alphas, mark=mark),
            "13",
        ),
        Figure(
            "dice-by-alpha",
            "Dice by alpha, kernels pooled",
            pooled,
            f"Box plots of test Dice by alpha. {_medians(data, 'alpha')}",
            data,
            partial(_plot_by, of="alpha", values=alphas, label=ALPHA),
            "14 (as captioned: by alpha)",
        ),
        Figure(
            "dice-by-kernel",
            "Dice by kernel, alphas pooled",
            pooled,
            f"Box plots of test Dice by kernel. {_medians(data, 'kernel_size')}",
            data,
            partial(_plot_by, of="kernel_size", values=kernels, label="kernel, pixels"),
            "14 (as its text says: by kernel)",
        ),
    ]


def _medians(data: pd.DataFrame, of: str) -> str:
    medians = data.groupby(of)["dice"].median().items()
    return f"Medians: {'; '.join(f'{value:g}: {dice:.3f}' for value, dice in medians)}."


def _plot_both(
    data: pd.DataFrame,
    kernels: Sequence[int],
    alphas: Sequence[float],
    mark: tuple[int, float, float] | None,
) -> Canvas:
    """mark: kernel, alpha and Dice of the printed number."""
    n = len(kernels)
    whole, rows = canvas(WIDE, 1.25 * n, n, sharex=True, sharey=True, squeeze=False)
    for axes, kernel in zip(rows[:, 0], kernels, strict=True):
        if mark and kernel == mark[0]:
            x, style = list(alphas).index(mark[1]), {"linewidth": 1, "linestyle": "--", "zorder": 3}
            axes.hlines(mark[2], x - 0.48, x + 0.48, color=inks.INK, **style)
        part = data[data["kernel_size"] == kernel]
        _fill(axes, part, "alpha", alphas, inks.KERNEL_COLOURS.get(kernel, inks.GRID))
        axes.set(ylim=(-0.2, 1.03), ylabel=f"{kernel}x{kernel}\nDice", yticks=(0, 0.5, 1))
    axes.set_xticks(range(len(alphas)), [f"{alpha:g}" for alpha in alphas])
    axes.set(xlim=(-0.6, len(alphas) - 0.4), xlabel=ALPHA)
    return whole


def _plot_by(data: pd.DataFrame, of: str, values: Sequence[float], label: str) -> Canvas:
    whole, axes = canvas(COLUMN, 2.3)
    _fill(axes, data, of, values, inks.SKY)
    names = [f"{value}x{value}" if of == "kernel_size" else f"{value:g}" for value in values]
    axes.set_xticks(range(len(values)), names)
    axes.set(xlim=(-0.6, len(values) - 0.4), ylim=(-0.17, 1.03))
    axes.set(xlabel=label, ylabel="Dice of a test slice")
    return whole


def _fill(axes: Any, data: pd.DataFrame, of: str, values: Sequence[float], colour: str) -> None:
    """A box and its n for each value that was run, the words "not run" for each other."""
    text = {"ha": "center", "va": "center", "fontsize": SMALL}
    for x, value in enumerate(values):
        part = data[(data[of] - value).abs() < 1e-9]
        if part.empty:
            axes.text(x, 0.5, "not run", rotation=90, color=inks.MUTED, **text)
            continue
        _box(axes, x, part["dice"], colour)
        axes.text(x, -0.1, f"n={len(part.drop_duplicates(TRAINING))}", **text)


def _box(axes: Any, x: int, dice: pd.Series[float], colour: str) -> None:
    dots = {"marker": ".", "markersize": 2, "markerfacecolor": inks.GRID, "markeredgecolor": "none"}
    thin = {"color": inks.INK, "linewidth": 0.7}
    boxes = axes.boxplot(
        [dice.to_numpy()],
        positions=[x],
        widths=0.62,
        patch_artist=True,
        flierprops=dots,
        medianprops={"color": inks.INK, "linewidth": 1.2},
        whiskerprops=thin,
        capprops=thin,
        boxprops={"edgecolor": inks.INK, "linewidth": 0.7},
        manage_ticks=False,
    )  # fmt: skip
    (box,) = boxes["boxes"]
    box.set_facecolor(colour)
    box.set_alpha(0.75)


def image_figures(grid: SharedGrid) -> list[Figure]:
    """One box per test slice over the trainings on the split with most; none where there is one."""
    rows = dice_rows(grid)
    trainings = rows.drop_duplicates(TRAINING)["split_id"].value_counts().to_dict()
    split = min(trainings, key=lambda name: (-trainings[name], name))
    if trainings[split] < 2:
        return []
    slices = pd.concat([cell.rows for cell in grid.cells.values()]).drop_duplicates("slice_id")
    slices = slices.reindex(columns=["slice_id", "truth_mm2"]).set_index("slice_id")
    data = rows[rows["split_id"] == split]
    data = data.assign(truth_mm2=data["slice_id"].map(slices["truth_mm2"]))
    order = data.groupby("slice_id")["dice"].median().sort_values(kind="stable").index
    data = data.assign(rank=data["slice_id"].map({number: i for i, number in enumerate(order, 1)}))
    data = data.sort_values(["rank", "kernel_size", "alpha", "seed"]).reset_index(drop=True)
    low, high = grid.evidence.sizes.edges_mm2
    spread = data.groupby("slice_id")["dice"].agg(["min", "max"])
    steady = int((spread["max"] - spread["min"] < STEADY).sum())
    caption = (
        f"Every test slice of {split} over {trainings[split]} trainings of "
        f"{counted(len(grid.cells), 'cell')}, by median: thick, quartiles; thin, from worst to "
        f"best; marker, median, by the truth's area: small under {low:g} mm², large from {high:g} "
        "mm²."
    )
    alt = (
        f"{len(spread)} test slices sorted by median Dice. On {steady} of them best and worst "
        f"training are less than {STEADY:g} apart."
    )
    plot = partial(_plot_images, sizes=grid.evidence.sizes)
    return [Figure("dice-by-image", "Dice of every test image", caption, alt, data, plot, "17")]


def _plot_images(data: pd.DataFrame, sizes: Sizes) -> Canvas:
    whole, axes = canvas(WIDE, 2.6)
    of = data.groupby("rank")["dice"].quantile([0, 0.25, 0.5, 0.75, 1]).unstack()
    axes.vlines(of.index, of[0.0], of[1.0], color=inks.GRID, linewidth=0.7)
    axes.vlines(of.index, of[0.25], of[0.75], color=inks.INK, linewidth=2)
    size = thirds(data.groupby("rank")["truth_mm2"].first(), sizes)
    for name in THIRDS:
        own = of.loc[size == name, 0.5]
        style = {"color": SIZE_COLOURS[name], "marker": SIZE_MARKERS[name], "markersize": 3.2}
        if len(own):
            axes.plot(own.index, own, label=f"{name} tumour", linestyle="none", **style)
    unknown = of.loc[size.isna(), 0.5]
    if len(unknown):
        axes.plot(unknown.index, unknown, color=inks.INK, marker=".", linestyle="none")
    axes.set(xlim=(0, len(of) + 1), ylim=(-0.03, 1.03))
    axes.set(xlabel="test slices, by median Dice", ylabel="Dice")
    axes.legend(loc="lower right", ncols=3)
    return whole
