"""Figures of one cell: how its trainings went, its Dice by tumour size, and its sizes against the
truth's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from benchmark.report.figure import (
    BLUE,
    COLUMN,
    GRID,
    INK,
    MUTED,
    VERMILLION,
    WIDE,
    Figure,
    canvas,
    logarithmic,
)
from benchmark.runs.run_folder import HISTORY

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

THIRD_SEED = 452669  # the seed of the thesis's figure 12
NEIGHBOURS = 41  # slices of a running median


def cell_figures(cell: Cell, sizes: Sizes) -> list[Figure]:
    """The figures that this cell's scores allow."""
    return [*_by_area(cell, sizes), *_agreement(cell)]


def curves(cell: Cell, root: Path) -> list[Figure]:
    """Loss by epoch of the run from the thesis's third seed, else from the first, on the cell's
    first split.

    root is the folder of runs. None for an arm that trains nothing; `RecordError` where the history
    cannot be read.
    """
    split = min(cell.splits)
    runs = cell.runs[cell.runs["split_id"] == split].sort_values(["seed", "run_id"])
    if not cell.seeded:
        return []
    third = runs[runs["seed"] == THIRD_SEED]
    run = (third if len(third) else runs).iloc[0]
    path = root / run["run_id"] / HISTORY
    data = read_history(path)
    best = (
        int(run["fit.best_epoch"])
        if pd.notna(run.get("fit.best_epoch"))
        else int(data["val_dice"].idxmax())
    )
    if best not in data["epoch"].to_numpy():
        raise RecordError(
            f"{path}: has no epoch {best}, which result.json calls the best; copy the file again"
        )
    row = data.loc[data["epoch"] == best].iloc[0]
    caption = (
        f"{cell.name}, {split}, seed {run['seed']}: mean Tversky loss of training and validation images, and mean Dice "
        f"of validation images, after each epoch. Dotted: epoch {best}, whose weights were kept."
    )
    alt = (
        f"Training loss goes from {data['train_loss'].iloc[0]:.2f} to {data['train_loss'].iloc[-1]:.2f} over "
        f"{len(data)} epochs; the best validation Dice is {row['val_dice']:.3f}, in epoch {best}."
    )
    return [
        Figure(
            "loss-by-epoch",
            "Loss by epoch",
            caption,
            alt,
            data,
            partial(_draw_curves, best=best),
            "12",
        )
    ]


def read_history(path: Path) -> pd.DataFrame:
    """Read history.csv, one row per epoch; `RecordError` where it is not there or no such table."""
    try:
        data = pd.read_csv(path)
        return (
            data[["epoch", "train_loss", "val_loss", "val_dice"]]
            .astype(float)
            .astype({"epoch": int})
        )
    except (OSError, ValueError, KeyError) as error:
        raise RecordError(
            f"{path}: cannot be read ({error}); copy the file again, or do without its curve"
        ) from error


def _draw_curves(data: pd.DataFrame, best: int) -> Canvas:
    drawn, (left, right) = canvas(WIDE, 2.3, 1, 2)
    other = {"color": VERMILLION, "linestyle": "--", "marker": "s", "markersize": 2}
    left.plot(
        data["epoch"], data["train_loss"], color=BLUE, marker=".", markersize=3, label="training"
    )
    left.plot(data["epoch"], data["val_loss"], label="validation", **other)
    left.set(ylabel="Tversky loss", ylim=(0, None))
    left.legend()
    right.plot(data["epoch"], data["val_dice"], **other)
    right.set(ylabel="validation Dice", ylim=(0, 1))
    for axes in (left, right):
        axes.axvline(best, color=MUTED, linewidth=0.8, linestyle=":")
        axes.set(xlabel="epoch")
    return drawn


def _by_slice(cell: Cell, columns: list[str]) -> pd.DataFrame:
    """Each slice on each split averaged over its trainings."""
    return pd.DataFrame(
        {name: by_slice(cell.rows[name], cell.rows) for name in columns}
    ).reset_index()


def _by_area(cell: Cell, sizes: Sizes) -> list[Figure]:
    if "truth_mm2" not in cell.rows or cell.rows["truth_mm2"].isna().any():
        return []
    data = _by_slice(cell, ["dice", "truth_mm2"])
    data = (
        data[data["truth_mm2"] > 0].sort_values("truth_mm2", kind="stable").reset_index(drop=True)
    )
    if data.empty:
        return []
    medians = data.groupby(thirds(data["truth_mm2"], sizes), observed=True)["dice"].median()
    told = "; ".join(f"{size} {x:.3f}" for size, x in medians.items())
    low, high = sizes.edges_mm2
    caption = (
        f"{cell.name}: {len(data)} test slices of {_names(cell)}, each averaged over its trainings. Line: median of "
        f"the up to {NEIGHBOURS} slices around in order of area. Dotted: {low:g} and {high:g} mm², which part small, "
        "middle and large."
    )
    alt = f"Dice against the truth's area on a logarithmic axis. Medians of {told}."
    draw = partial(_draw_by_area, edges=sizes.edges_mm2)
    return [Figure("dice-by-area", "Dice against tumour area", caption, alt, data, draw)]


def _names(cell: Cell) -> str:
    return (
        f"{len(cell.splits)} splits" if len(cell.splits) > 2 else " and ".join(sorted(cell.splits))
    )


def _draw_by_area(data: pd.DataFrame, edges: tuple[float, float]) -> Canvas:
    drawn, axes = canvas(COLUMN, 2.5)
    axes.plot(
        data["truth_mm2"],
        data["dice"],
        ".",
        color=BLUE,
        alpha=0.45,
        markersize=3.5,
        markeredgewidth=0,
    )
    middle = (
        data["dice"]
        .rolling(NEIGHBOURS, center=True, min_periods=min(len(data), NEIGHBOURS // 2))
        .median()
    )
    axes.plot(data["truth_mm2"], middle, color=VERMILLION, linewidth=1.5)
    for edge in edges:
        axes.axvline(edge, color=MUTED, linewidth=0.7, linestyle=":")
    axes.set(xscale="log", ylim=(-0.03, 1.03), xlabel="area of the truth, mm²", ylabel="Dice")
    logarithmic(axes.xaxis)
    return drawn


def _agreement(cell: Cell) -> list[Figure]:
    """Bland and Altman's plots of area and longest diameter; bias and limits as `measures` has
    them.
    """
    return [_agreement_of(cell, row) for row in agreement(cell.rows)[:2]] if measured(cell) else []


def _agreement_of(cell: Cell, row: Mapping[str, Any]) -> Figure:
    of, name = SIZES[row["quantity"]], row["quantity"].replace("mm2", "mm²")
    drawn = {name: row[name] for name in ("bias", "lower_limit", "upper_limit")}
    data = _by_slice(cell, [f"truth_{of}", f"predicted_{of}"]).assign(**drawn)
    quantity, unit = name.split(", ")
    lines = (row["lower_limit"], row["bias"], row["upper_limit"])
    low, bias, high = (f"{x:+.1f} {unit}" for x in lines)
    caption = (
        f"{cell.name}, {_names(cell)}: predicted minus true {quantity} of {len(data)} test slices, each averaged over "
        f"its trainings. Line: bias, {bias}; dashed: limits of agreement, bias +- {LIMITS:g} SD of single "
        f"measurements, {low} and {high}."
    )
    alt = f"Bland-Altman plot of {quantity}: bias {bias}, limits of agreement {low} to {high}."
    draw = partial(_draw_agreement, of=of, name=name, lines=lines)
    slug = f"agreement-{quantity.replace(' ', '-')}"
    return Figure(
        slug, f"Predicted against true {quantity} (Bland-Altman)", caption, alt, data, draw
    )


def _draw_agreement(
    data: pd.DataFrame, of: str, name: str, lines: tuple[float, float, float]
) -> Canvas:
    drawn, axes = canvas(COLUMN, 2.5)
    truth, predicted, unit = data[f"truth_{of}"], data[f"predicted_{of}"], name.split(", ")[1]
    dots: dict[str, Any] = {"color": BLUE, "alpha": 0.45, "markersize": 3.5, "markeredgewidth": 0}
    axes.axhline(0, color=GRID, linewidth=0.7)
    axes.plot((truth + predicted) / 2, predicted - truth, ".", **dots)
    places = 0 if unit == "mm²" else 1
    for height, style in zip(lines, ("--", "-", "--"), strict=True):
        axes.axhline(height, color=VERMILLION, linewidth=1, linestyle=style)
        axes.annotate(f"{height:+.{places}f}", (1, height), xycoords=("axes fraction", "data"), xytext=(2, 0),
                      textcoords="offset points", va="center", fontsize=6.5, color=INK)  # fmt: skip
    axes.set(xlabel=f"mean of predicted and true {name}", ylabel=f"predicted - true {name}")
    return drawn
