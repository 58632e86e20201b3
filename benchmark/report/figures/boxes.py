"""Box plots of the grid: Dice by kernel and alpha, by alpha, by kernel, and of every test image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmark.judge.comparisons.measures import THIRDS, thirds
from benchmark.judge.reference import Sizes
from benchmark.report.figure import (
    COLUMN,
    GRID,
    INK,
    KERNEL_COLOURS,
    MUTED,
    ORANGE,
    SKY,
    VERMILLION,
    WIDE,
    Figure,
    canvas,
    counted,
)
from benchmark.report.figures.grid_data import SharedGrid, dice_rows, means_told

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

SIZE_COLOURS = dict(zip(THIRDS, (SKY, ORANGE, VERMILLION), strict=True))
SIZE_MARKERS = dict(zip(THIRDS, ("v", "o", "s"), strict=True))


def box_figures(grid: SharedGrid) -> list[Figure]:
    """Dice of single slices pooled over seeds; each box that was not run says so."""
    data, reference = dice_rows(grid), grid.ground.reference
    how = "Median, quartiles, whiskers to 1.5 quartile ranges, dots beyond; n counts trainings, all their slices pooled."
    best = reference.best_cell
    printed = (
        ""
        if grid.printed is None
        else f" Dashed, at its cell: the one mean that the thesis prints, {grid.printed:g}."
    )
    mark = None if grid.printed is None else (best.kernel_size, best.alpha, grid.printed)
    both = partial(_draw_both, kernels=reference.kernels, alphas=reference.alphas, mark=mark)
    alphas = partial(
        _draw_by, of="alpha", values=reference.alphas, label="alpha (weight of false negatives)"
    )
    kernels = partial(_draw_by, of="kernel_size", values=reference.kernels, label="kernel, pixels")
    pooled = "Cells that were not run are missing from their box, so boxes may pool unlike cells until the grid is whole."
    return [
        Figure(
            "dice-by-kernel-and-alpha",
            "Dice by kernel and alpha",
            f"Test Dice of single slices, seeds pooled: {grid.where}. {how}{printed}",
            f"Box plots of test Dice, one row per kernel, one box per alpha. {means_told(grid)}",
            data,
            both,
            "13",
        ),
        Figure(
            "dice-by-alpha",
            "Dice by alpha, kernels pooled",
            f"{grid.where[0].upper()}{grid.where[1:]}. {how} {pooled}",
            f"Box plots of test Dice by alpha. {_medians(data, 'alpha')}",
            data,
            alphas,
            "14 (as captioned: by alpha)",
        ),
        Figure(
            "dice-by-kernel",
            "Dice by kernel, alphas pooled",
            f"{grid.where[0].upper()}{grid.where[1:]}. {how} {pooled}",
            f"Box plots of test Dice by kernel. {_medians(data, 'kernel_size')}",
            data,
            kernels,
            "14 (as its text says: by kernel)",
        ),
    ]


def _medians(data: pd.DataFrame, of: str) -> str:
    return (
        "Medians: "
        + "; ".join(f"{v:g}: {x:.3f}" for v, x in data.groupby(of)["dice"].median().items())
        + "."
    )


def _box(
    axes: object,
    values: Sequence[pd.Series[float]],
    places: Sequence[float],
    colours: Iterable[str],
) -> None:
    dots = {"marker": ".", "markersize": 2, "markerfacecolor": GRID, "markeredgecolor": "none"}
    found = axes.boxplot(  # type: ignore[attr-defined]
        [v.to_numpy() for v in values], positions=places, widths=0.62, patch_artist=True, flierprops=dots,
        medianprops={"color": INK, "linewidth": 1.2}, whiskerprops={"color": INK, "linewidth": 0.7},
        capprops={"color": INK, "linewidth": 0.7}, boxprops={"edgecolor": INK, "linewidth": 0.7}, manage_ticks=False,
    )  # fmt: skip
    for box, colour in zip(found["boxes"], colours, strict=True):
        box.set_facecolor(colour)
        box.set_alpha(0.75)


def _draw_both(
    data: pd.DataFrame,
    kernels: Sequence[int],
    alphas: Sequence[float],
    mark: tuple[int, float, float] | None,
) -> Canvas:
    """mark: kernel, alpha and Dice of the printed number."""
    drawn, rows = canvas(
        WIDE, 1.25 * len(kernels), len(kernels), sharex=True, sharey=True, squeeze=False
    )
    for axes, kernel in zip(rows[:, 0], kernels, strict=True):
        if mark and kernel == mark[0]:
            place = list(alphas).index(mark[1])
            axes.hlines(
                mark[2],
                place - 0.48,
                place + 0.48,
                color=INK,
                linewidth=1,
                linestyle="--",
                zorder=3,
            )
        part = data[data["kernel_size"] == kernel]
        _fill(axes, part, "alpha", alphas, KERNEL_COLOURS.get(kernel, GRID))
        axes.set(ylim=(-0.2, 1.03), ylabel=f"{kernel}x{kernel}\nDice", yticks=(0, 0.5, 1))
    axes.set_xticks(range(len(alphas)), [f"{alpha:g}" for alpha in alphas])
    axes.set(xlim=(-0.6, len(alphas) - 0.4), xlabel="alpha (weight of false negatives)")
    return drawn


def _draw_by(data: pd.DataFrame, of: str, values: Sequence[float], label: str) -> Canvas:
    drawn, axes = canvas(COLUMN, 2.3)
    _fill(axes, data, of, values, SKY)
    axes.set_xticks(
        range(len(values)), [f"{v}x{v}" if of == "kernel_size" else f"{v:g}" for v in values]
    )
    axes.set(
        xlim=(-0.6, len(values) - 0.4),
        ylim=(-0.17, 1.03),
        xlabel=label,
        ylabel="Dice of a test slice",
    )
    return drawn


def _fill(axes: Any, data: pd.DataFrame, of: str, values: Sequence[float], colour: str) -> None:
    """A box and its n for each value that was run, the words "not run" for each other."""
    for place, value in enumerate(values):
        part = data[(data[of] - value).abs() < 1e-9]
        if part.empty:
            axes.text(
                place,
                0.5,
                "not run",
                rotation=90,
                ha="center",
                va="center",
                fontsize=6.5,
                color=MUTED,
            )
            continue
        _box(axes, [part["dice"]], [place], [colour])
        n = len(part.drop_duplicates(["kernel_size", "alpha", "split_id", "seed"]))
        axes.text(place, -0.1, f"n={n}", ha="center", va="center", fontsize=6.5)


def image_figures(grid: SharedGrid) -> list[Figure]:
    """One box per test slice over all trainings, on the split with most of them; none where a slice
    has but one.
    """
    rows = dice_rows(grid)
    trainings = Counter(
        rows.drop_duplicates(["kernel_size", "alpha", "split_id", "seed"])["split_id"]
    )
    split = min(trainings, key=lambda name: (-trainings[name], name))
    if trainings[split] < 2:
        return []
    parts = [cell.rows for cell in grid.cells.values()]
    areas = pd.concat(parts).drop_duplicates("slice_id").set_index("slice_id")
    areas = areas["truth_mm2"] if "truth_mm2" in areas else areas["tp"] * float("nan")
    data = rows[rows["split_id"] == split].assign(truth_mm2=lambda d: d["slice_id"].map(areas))
    order = data.groupby("slice_id")["dice"].median().sort_values(kind="stable").index
    data = data.assign(rank=data["slice_id"].map({number: i + 1 for i, number in enumerate(order)}))
    data = data.sort_values(["rank", "kernel_size", "alpha", "seed"]).reset_index(drop=True)
    low, high = grid.ground.sizes.edges_mm2
    spread = data.groupby("slice_id")["dice"].agg(["min", "max"])
    steady = int((spread["max"] - spread["min"] < 0.05).sum())
    caption = (
        f"Every test slice of {split} over {trainings[split]} trainings of {counted(len(grid.cells), 'cell')}, by "
        f"median: thick, quartiles; thin, from worst to best; marker, median, by the truth's area: small under {low:g} "
        f"mm², large from {high:g} mm²."
    )
    alt = (
        f"{len(spread)} test slices sorted by median Dice. On {steady} of them best and worst training are less than "
        "0.05 apart."
    )
    return [
        Figure(
            "dice-by-image",
            "Dice of every test image",
            caption,
            alt,
            data,
            partial(_draw_images, sizes=grid.ground.sizes),
            "17",
        )
    ]


def _draw_images(data: pd.DataFrame, sizes: Sizes) -> Canvas:
    drawn, axes = canvas(WIDE, 2.6)
    of = data.groupby("rank")["dice"].quantile([0, 0.25, 0.5, 0.75, 1]).unstack()
    axes.vlines(of.index, of[0.0], of[1.0], color=GRID, linewidth=0.7)
    axes.vlines(of.index, of[0.25], of[0.75], color=INK, linewidth=2)
    area = data.groupby("rank")["truth_mm2"].first()
    size = thirds(area, sizes)
    for name in THIRDS:
        inside = size == name
        style = {
            "color": SIZE_COLOURS[name],
            "marker": SIZE_MARKERS[name],
            "linestyle": "none",
            "markersize": 3.2,
        }
        if inside.any():
            axes.plot(of.index[inside], of.loc[inside, 0.5], label=f"{name} tumour", **style)
    if size.isna().any():
        axes.plot(
            of.index[size.isna()], of.loc[size.isna(), 0.5], color=INK, marker=".", linestyle="none"
        )
    axes.set(
        xlim=(0, len(of) + 1),
        ylim=(-0.03, 1.03),
        xlabel="test slices, by median Dice",
        ylabel="Dice",
    )
    axes.legend(loc="lower right", ncols=3)
    return drawn
