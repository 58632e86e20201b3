"""Figures of one cell: its trainings, its Dice by tumour size, its sizes against the truth's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.errors import RecordError
from benchmark.judge.cells import Cell
from benchmark.judge.comparisons.measures import (
    LIMITS,
    SIZES,
    agreement,
    by_slice,
    measured,
    thirds,
)
from benchmark.judge.reference import Sizes
from benchmark.report import inks
from benchmark.report.figure import COLUMN, SMALL, WIDE, Canvas, Figure, canvas, logarithmic
from benchmark.runs.run_folder import HISTORY

THIRD_SEED = 452669  # the seed of the thesis's figure 12
NEIGHBOURS = 41  # slices of a running median
DOTS: dict[str, Any] = {"color": inks.BLUE, "alpha": 0.45, "markersize": 3.5, "markeredgewidth": 0}


def cell_figures(cell: Cell, sizes: Sizes) -> list[Figure]:
    """The figures that this cell's scores allow."""
    return [*_by_area(cell, sizes), *_agreement(cell)]


def curves(cell: Cell, root: Path) -> list[Figure]:
    """Loss by epoch on the cell's first split: of the thesis's third seed's run, else of the first.

    root is the folder of runs. None for an arm that trains nothing; `RecordError` where the history
    cannot be read.
    """
    if not cell.seeded:
        return []
    split = min(cell.splits)
    runs = cell.runs[cell.runs["split_id"] == split].sort_values(["seed", "run_id"])
    third = runs[runs["seed"] == THIRD_SEED]
    run = (third if len(third) else runs).iloc[0]
    path = root / run["run_id"] / HISTORY
    data, best = read_history(path), run.get("fit.best_epoch")
    best = int(data["val_dice"].idxmax() if pd.isna(best) else best)
    if best not in data["epoch"].to_numpy():
        raise RecordError(
            f"{path}: has no epoch {best}, which result.json calls the best; copy the file again"
        )
    row, losses = data.loc[data["epoch"] == best].iloc[0], data["train_loss"]
    caption = (
        f"{cell.name}, {split}, seed {run['seed']}: mean Tversky loss of training and validation "
        "images, and mean Dice of validation images, after each epoch. Dotted: epoch "
        f"{best}, whose weights were kept."
    )
    alt = (
        f"Training loss goes from {losses.iloc[0]:.2f} to {losses.iloc[-1]:.2f} over {len(data)} "
        f"epochs; the best validation Dice is {row['val_dice']:.3f}, in epoch {best}."
    )
    plot = partial(_plot_curves, best=best)
    return [Figure("loss-by-epoch", "Loss by epoch", caption, alt, data, plot, "12")]


def read_history(path: Path) -> pd.DataFrame:
    """Read history.csv, one row per epoch; `RecordError` where it is not there or no such table."""
    try:
        data = pd.read_csv(path)[["epoch", "train_loss", "val_loss", "val_dice"]]
        return data.astype(float).astype({"epoch": int})
    except (OSError, ValueError, KeyError) as error:
        raise RecordError(
            f"{path}: cannot be read ({error}); copy the file again, or do without its curve"
        ) from error


def _plot_curves(data: pd.DataFrame, best: int) -> Canvas:
    whole, (left, right) = canvas(WIDE, 2.3, 1, 2)
    training = {"color": inks.BLUE, "marker": ".", "markersize": 3, "label": "training"}
    validation = {"color": inks.VERMILLION, "linestyle": "--", "marker": "s", "markersize": 2}
    left.plot(data["epoch"], data["train_loss"], **training)
    left.plot(data["epoch"], data["val_loss"], label="validation", **validation)
    left.set(ylabel="Tversky loss", ylim=(0, None))
    left.legend()
    right.plot(data["epoch"], data["val_dice"], **validation)
    right.set(ylabel="validation Dice", ylim=(0, 1))
    for axes in (left, right):
        axes.axvline(best, color=inks.MUTED, linewidth=0.8, linestyle=":")
        axes.set(xlabel="epoch")
    return whole


def _by_slice(cell: Cell, columns: list[str]) -> pd.DataFrame:
    """Each slice on each split averaged over its trainings."""
    means = {name: by_slice(cell.rows[name], cell.rows) for name in columns}
    return pd.DataFrame(means).reset_index()


def _by_area(cell: Cell, sizes: Sizes) -> list[Figure]:
    if "truth_mm2" not in cell.rows or cell.rows["truth_mm2"].isna().any():
        return []
    data = _by_slice(cell, ["dice", "truth_mm2"])
    data = data[data["truth_mm2"] > 0].sort_values("truth_mm2", kind="stable", ignore_index=True)
    if data.empty:
        return []
    medians = data.groupby(thirds(data["truth_mm2"], sizes), observed=True)["dice"].median()
    low, high = sizes.edges_mm2
    caption = (
        f"{cell.name}: {len(data)} test slices of {_splits(cell)}, each averaged over its "
        f"trainings. Line: median of the up to {NEIGHBOURS} slices around in order of area. "
        f"Dotted: {low:g} and {high:g} mm², which part small, middle and large."
    )
    words = "; ".join(f"{size} {dice:.3f}" for size, dice in medians.items())
    alt = f"Dice against the truth's area on a logarithmic axis. Medians of {words}."
    plot = partial(_plot_by_area, edges=sizes.edges_mm2)
    return [Figure("dice-by-area", "Dice against tumour area", caption, alt, data, plot)]


def _splits(cell: Cell) -> str:
    names = sorted(cell.splits)
    return f"{len(names)} splits" if len(names) > 2 else " and ".join(names)


def _plot_by_area(data: pd.DataFrame, edges: tuple[float, float]) -> Canvas:
    whole, axes = canvas(COLUMN, 2.5)
    axes.plot(data["truth_mm2"], data["dice"], ".", **DOTS)
    least = min(len(data), NEIGHBOURS // 2)
    middle = data["dice"].rolling(NEIGHBOURS, center=True, min_periods=least).median()
    axes.plot(data["truth_mm2"], middle, color=inks.VERMILLION, linewidth=1.5)
    for edge in edges:
        axes.axvline(edge, color=inks.MUTED, linewidth=0.7, linestyle=":")
    axes.set(xscale="log", ylim=(-0.03, 1.03), xlabel="area of the truth, mm²", ylabel="Dice")
    logarithmic(axes.xaxis)
    return whole


def _agreement(cell: Cell) -> list[Figure]:
    """Bland and Altman's plots of area and longest diameter; limits as `measures` has them."""
    return [_agreement_of(cell, row) for row in agreement(cell.rows)[:2]] if measured(cell) else []


def _agreement_of(cell: Cell, row: Mapping[str, Any]) -> Figure:
    of, name = SIZES[row["quantity"]], row["quantity"].replace("mm2", "mm²")
    limits = {key: row[key] for key in ("bias", "lower_limit", "upper_limit")}
    data = _by_slice(cell, [f"truth_{of}", f"predicted_{of}"]).assign(**limits)
    quantity, unit = name.split(", ")
    bias, low, high = (f"{value:+.1f} {unit}" for value in limits.values())
    caption = (
        f"{cell.name}, {_splits(cell)}: predicted minus true {quantity} of {len(data)} test "
        f"slices, each averaged over its trainings. Line: bias, {bias}; dashed: limits of "
        f"agreement, bias +- {LIMITS:g} SD of single measurements, {low} and {high}."
    )
    alt = f"Bland-Altman plot of {quantity}: bias {bias}, limits of agreement {low} to {high}."
    slug = f"agreement-{quantity.replace(' ', '-')}"
    title = f"Predicted against true {quantity} (Bland-Altman)"
    plot = partial(_plot_agreement, of=of, name=name, digits=0 if unit == "mm²" else 1)
    return Figure(slug, title, caption, alt, data, plot)


def _plot_agreement(data: pd.DataFrame, of: str, name: str, digits: int) -> Canvas:
    whole, axes = canvas(COLUMN, 2.5)
    truth, predicted = data[f"truth_{of}"], data[f"predicted_{of}"]
    axes.axhline(0, color=inks.GRID, linewidth=0.7)
    axes.plot((truth + predicted) / 2, predicted - truth, ".", **DOTS)
    beside: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center"}
    beside |= {
        "xytext": (2, 0),
        "textcoords": "offset points",
        "fontsize": SMALL,
        "color": inks.INK,
    }
    for column, style in (("lower_limit", "--"), ("bias", "-"), ("upper_limit", "--")):
        y = data[column].iloc[0]
        axes.axhline(y, color=inks.VERMILLION, linewidth=1, linestyle=style)
        axes.annotate(f"{y:+.{digits}f}", (1, y), **beside)
    axes.set(xlabel=f"mean of predicted and true {name}", ylabel=f"predicted - true {name}")
    return whole
