"""Heat maps of the grid: mean Dice, both readings of its variance, and training time.

A number and a count in every cell; a cell that was not run stays empty. Nothing is interpolated.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmark.judge.cells import Cell
from benchmark.judge.reference import Reference
from benchmark.judge.statistics.contrast import DICE, mean, reduced
from benchmark.report import inks
from benchmark.report.figure import SMALL, WIDE, Canvas, Figure, canvas
from benchmark.report.figures.grid_data import SharedGrid, means_text, point_name

UNKNOWN = "\N{EN DASH}"
THOUSANDTHS = "x 10⁻³ Dice²"


def heat_figures(grid: SharedGrid) -> list[Figure]:
    """Mean and variance with n per cell, and the thesis's printed number marked."""
    printed, best = grid.printed, grid.evidence.reference.best_cell
    means, of_seeds, of_slices = (
        _numbers(grid, of)
        for of in (lambda cell: mean(cell, DICE), _variance_of_mean, _variance_over_slices)
    )
    of_best = (means["kernel_size"] == best.kernel_size) & np.isclose(means["alpha"], best.alpha)
    means["printed"] = pd.Series(printed, index=means.index, dtype=float).where(of_best)
    ring = f"Ringed: the one cell whose number the thesis prints, {printed:g}. " if printed else ""
    run = f"Cells run: {'; '.join(point_name(*point) for point in grid.cells)}."
    plot = partial(_plot, reference=grid.evidence.reference)
    return [
        Figure(
            "mean-dice",
            "Mean Dice",
            f"Mean over test slices, each averaged over its trainings (n): {grid.where}. {ring}"
            "Hatched cells were not run.",
            f"Heat map of mean Dice by kernel and alpha. {means_text(grid)}",
            means,
            partial(plot, unit="mean Dice", text="{:.3f}".format, printed=printed),
            "15",
        ),
        Figure(
            "variance-of-mean-dice",
            "Variance of the mean Dice between seeds",
            "Of the trainings' mean Dice on one split (n - 1), as the caption of the thesis's "
            f"figure reads: {grid.where}. A dash: one seed a split has no variance.",
            f"Heat map of the variance between seeds. {run}",
            of_seeds,
            partial(plot, unit=THOUSANDTHS, text=lambda x: f"{1e3 * x:.3f}"),
            "16 (as captioned)",
        ),
        Figure(
            "variance-over-slices",
            "Variance of Dice over the test slices",
            "Of single slices within a training (n - 1), averaged over trainings, as the thesis's "
            f"text reads: {grid.where}.",
            f"Heat map of the variance over test slices. {run}",
            of_slices,
            partial(plot, unit=THOUSANDTHS, text=lambda x: f"{1e3 * x:.1f}"),
            "16 (as its text says)",
        ),
    ]


def time_figures(grid: SharedGrid) -> list[Figure]:
    """Mean training time of every cell of the grid."""
    reference = grid.evidence.reference
    data = _numbers(grid, lambda cell: float(cell.runs["timing.fit_seconds"].mean()) / 60)
    data = data[["kernel_size", "alpha", "trainings", "value"]].assign(
        devices=[", ".join(sorted(set(cell.runs["device"]))) for cell in grid.cells.values()]
    )
    each = reference.hours * 60 / reference.trainings
    own = (
        f" The thesis's {reference.trainings} took {reference.hours:g} h on a laptop GPU, "
        f"{each:.1f} min each."
    )
    caption = (
        f"Mean minutes of one training ({', '.join(sorted(set(data['devices'])))}): {grid.where}. "
        "Early stopping decides how many epochs a training has, and what else a machine does how "
        f"long they take: a small kernel can take longer.{own if grid.printed is not None else ''}"
    )
    times = zip(grid.cells, data["value"], strict=True)
    alt = "; ".join(f"{point_name(*point)}: {minutes:.1f} min" for point, minutes in times)
    alt = f"Heat map of training time. {alt}."
    plot = partial(_plot, reference=reference, unit="minutes", text="{:.1f}".format)
    return [Figure("training-time", "Training time", caption, alt, data, plot)]


def _numbers(grid: SharedGrid, value: Callable[[Cell], float]) -> pd.DataFrame:
    """One row per cell that was run: kernel_size, alpha, trainings and a value, NaN if unknown."""
    rows = [(k, a, len(cell.runs), value(cell)) for (k, a), cell in grid.cells.items()]
    return pd.DataFrame(rows, columns=["kernel_size", "alpha", "trainings", "value"])


def _variance_of_mean(cell: Cell) -> float:
    """Between seeds of one split, averaged over splits; NaN with one seed each."""
    return float(reduced(cell, DICE).by_run.groupby("split_id").var(ddof=1).mean())


def _variance_over_slices(cell: Cell) -> float:
    return float(cell.rows.groupby(["split_id", "seed"])["dice"].var(ddof=1).mean())


def _plot(
    data: pd.DataFrame,
    reference: Reference,
    unit: str,
    text: Callable[[float], str],
    printed: float | None = None,
) -> Canvas:
    """unit: of the colour bar; text: a value in digits; printed: what is ringed at its cell."""
    from matplotlib.patches import Rectangle

    kernels, alphas, best = reference.kernels, reference.alphas, reference.best_cell
    colours = _colours(data["value"].dropna())
    whole, axes = canvas(WIDE, 2.9)
    by_point = {
        (row["kernel_size"], round(row["alpha"], 9)): row for row in data.to_dict("records")
    }
    for y, kernel in enumerate(kernels):
        for x, alpha in enumerate(alphas):
            row, ink = by_point.get((kernel, round(alpha, 9))), None
            lines = ["not run"]
            style: dict[str, Any] = {
                "fill": False,
                "edgecolor": inks.GRID,
                "linewidth": 0,
                "hatch": "///",
            }
            if row is not None:
                known = pd.notna(row["value"])
                lines = [text(row["value"]) if known else UNKNOWN, f"n = {row['trainings']}"]
                style["hatch"] = None
                if known:
                    colour = colours.to_rgba(np.asarray(row["value"]))
                    ink, style = ink_on(colour[:3]), {"facecolor": colour, "edgecolor": "none"}
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **style))
            if printed is not None and (kernel, alpha) == (best.kernel_size, best.alpha):
                ring: dict[str, Any] = {"edgecolor": inks.VERMILLION, "linewidth": 2.2, "zorder": 3}
                axes.add_patch(Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, fill=False, **ring))
                lines.append(f"thesis {printed:g}")
            _write(axes, x, y, lines, ink)
    axes.set(xlim=(-0.5, len(alphas) - 0.5), ylim=(len(kernels) - 0.5, -0.5))
    axes.set_xticks(range(len(alphas)), [f"{alpha:g}" for alpha in alphas])
    axes.set_yticks(range(len(kernels)), [f"{kernel}x{kernel}" for kernel in kernels])
    axes.set(xlabel="alpha (weight of false negatives)", ylabel="kernel, pixels")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if data["value"].nunique() > 1:
        style = {"label": unit, "fraction": 0.03, "pad": 0.01, "format": lambda x, _: text(x)}
        whole.colorbar(colours, ax=axes, **style).outline.set_visible(False)
    return whole


def _colours(known: pd.Series[float]) -> Any:
    """Colours from the least to the greatest of some values; of values all alike, the middle."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if high - low < 1e-12:
        low, high = low - abs(low) * 0.05 - 1e-6, high + abs(high) * 0.05 + 1e-6
    return ScalarMappable(Normalize(low, high), inks.SEQUENTIAL)


def ink_on(rgb: tuple[float, float, float]) -> str:
    """Black or white, whichever stands out more from an sRGB colour (each 0 to 1): over 4.58 to 1.

    Contrast and relative luminance are WCAG 2.2's; white and black are equally far from a luminance
    of 0.179.
    """
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb)
    return "#000000" if 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 else "#ffffff"


def _write(axes: Any, x: int, y: int, lines: list[str], ink: str | None) -> None:
    """The first line larger than those beneath; without an ink of its own in the page's."""
    style = {"ha": "center", "va": "center"} | ({} if ink is None else {"color": ink})
    for i, line in enumerate(lines):
        size = 8 if i == 0 and len(lines) > 1 else SMALL
        axes.text(x, y + (i - (len(lines) - 1) / 2) * 0.27, line, fontsize=size, **style)
