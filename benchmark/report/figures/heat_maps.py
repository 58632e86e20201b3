"""Heat maps of the grid: mean Dice, both readings of its variance, and training time."""

from __future__ import annotations

import pandas as pd

from benchmark.judge.cells import Cell
from benchmark.judge.statistics.contrast import DICE, mean, reduced
from benchmark.report.figure import Figure
from benchmark.report.figures.grid_data import SharedGrid, means_told
from benchmark.report.figures.heat_map import heat_map


def heat_figures(grid: SharedGrid) -> list[Figure]:
    """Mean and variance with n per cell, and the thesis's printed number marked."""
    reference, printed = grid.ground.reference, grid.printed
    best = (reference.best_cell.kernel_size, reference.best_cell.alpha)
    table = [
        {
            "kernel_size": kernel,
            "alpha": alpha,
            "trainings": len(cell.runs),
            "mean": mean(cell, DICE),
            "variance_of_mean": _variance_of_mean(cell),
            "variance_over_slices": _variance_over_slices(cell),
        }
        for (kernel, alpha), cell in grid.cells.items()
    ]
    numbers = pd.DataFrame(table)

    def data(column: str) -> pd.DataFrame:
        return numbers[["kernel_size", "alpha", "trainings", column]].rename(
            columns={column: "value"}
        )

    ringed = (
        ""
        if printed is None
        else f"Ringed: the one cell whose number the thesis prints, {printed:g}. "
    )
    means = data("mean")
    of_best = (means["kernel_size"] == best[0]) & ((means["alpha"] - best[1]).abs() < 1e-9)
    means = means.assign(printed=pd.Series(printed, index=means.index, dtype=float).where(of_best))
    told = "; ".join(f"{r['kernel_size']}x{r['kernel_size']}, alpha {r['alpha']:g}" for r in table)
    thousandths = "x 10⁻³ Dice²"
    return [
        Figure(
            "mean-dice",
            "Mean Dice",
            f"Mean over test slices, each averaged over its trainings (n): {grid.where}. {ringed}Hatched cells were "
            "not run.",
            f"Heat map of mean Dice by kernel and alpha. {means_told(grid)}",
            means,
            heat_map(reference, "mean Dice", lambda x: f"{x:.3f}", printed),
            "15",
        ),
        Figure(
            "variance-of-mean-dice",
            "Variance of the mean Dice between seeds",
            "Of the trainings' mean Dice on one split (n - 1), as the caption of the thesis's figure reads: "
            f"{grid.where}. A dash: one seed a split has no variance.",
            f"Heat map of the variance between seeds. Cells run: {told}.",
            data("variance_of_mean"),
            heat_map(reference, thousandths, lambda x: f"{1e3 * x:.3f}"),
            "16 (as captioned)",
        ),
        Figure(
            "variance-over-slices",
            "Variance of Dice over the test slices",
            "Of single slices within a training (n - 1), averaged over trainings, as the thesis's text reads: "
            f"{grid.where}.",
            f"Heat map of the variance over test slices. Cells run: {told}.",
            data("variance_over_slices"),
            heat_map(reference, thousandths, lambda x: f"{1e3 * x:.1f}"),
            "16 (as its text says)",
        ),
    ]


def _variance_of_mean(cell: Cell) -> float:
    """Between seeds of one split, averaged over splits; NaN with one seed each."""
    return float(reduced(cell, DICE).by_run.groupby("split_id").var(ddof=1).mean())


def _variance_over_slices(cell: Cell) -> float:
    return float(cell.rows.groupby(["split_id", "seed"])["dice"].var(ddof=1).mean())


def time_figures(grid: SharedGrid) -> list[Figure]:
    """Mean training time of every cell of the grid."""
    reference = grid.ground.reference
    rows = [
        {
            "kernel_size": kernel,
            "alpha": alpha,
            "trainings": len(cell.runs),
            "value": float(cell.runs["timing.fit_seconds"].mean()) / 60,
            "devices": ", ".join(sorted(set(cell.runs["device"]))),
        }
        for (kernel, alpha), cell in grid.cells.items()
    ]
    data = pd.DataFrame(rows)
    each = reference.hours * 60 / reference.trainings
    own = f" The thesis's {reference.trainings} took {reference.hours:g} h on a laptop GPU, {each:.1f} min each."
    caption = (
        f"Mean minutes of one training ({', '.join(sorted(set(data['devices'])))}): {grid.where}. Early stopping "
        "decides how many epochs a training has, and what else a machine does how long they take: a small kernel can "
        f"take longer.{own if grid.printed is not None else ''}"
    )
    told = "; ".join(
        f"{r['kernel_size']}x{r['kernel_size']}, alpha {r['alpha']:g}: {r['value']:.1f} min"
        for r in rows
    )
    draw = heat_map(reference, "minutes", lambda x: f"{x:.1f}")
    return [
        Figure(
            "training-time",
            "Training time",
            caption,
            f"Heat map of training time. {told}.",
            data,
            draw,
        )
    ]
