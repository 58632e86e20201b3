"""The three numbers that stand first: the thesis's, ours by image, ours by patient. Pure."""

from __future__ import annotations

import pandas as pd

from benchmark.cells import Cell, cell_of
from benchmark.collect import Collected
from benchmark.comparable import in_cell
from benchmark.contrast import DICE, between_seeds, contrast, mean
from benchmark.estimate import Variance
from benchmark.reference import Reference, Tolerances
from benchmark.tables import Table, between, digits


def headline(collected: Collected, reference: Reference, tolerances: Tolerances) -> Table:
    """The thesis's number, ours by image and ours by patient: its best cell at every size and precision that was run.

    Means over all test slices of all draws or folds, and over seeds.
    """
    cell, level = reference.best_cell, tolerances.leak.level
    runs = collected.runs.sort_values("run_id")
    runs = runs[(runs["recipe_hash"] == tolerances.recipe_hash) & (runs["dataset_id"] == reference.dataset_id)]
    runs = runs[in_cell(runs, cell.arm, cell.kernel_size, cell.alpha) & ~runs["phantom"]]
    rows: list[dict[str, object]] = [
        {"what": "thesis", "split": "image", "size": "512x512", "seeds": cell.seeds, "splits": 1,
         "slices": reference.split_sizes["test"], "dice": cell.dice_mean}
    ]  # fmt: skip
    terms = ["height", "width", "precision"]
    for _, part in runs.groupby(terms):
        cells = [cell_of(one, collected.scores) for _, one in part.groupby("split_unit")]
        spread = between_seeds(cells, DICE)
        rows += [_row(one, spread, level) for one in cells]
    numbers = pd.DataFrame(rows)
    sizes = (numbers["size"] != "512x512").astype(int)
    numbers = numbers.iloc[sizes.argsort(kind="stable")].reset_index(drop=True)
    shown = pd.DataFrame(
        {
            "": numbers["what"],
            "split": "by " + numbers["split"],
            "fed at": numbers["size"],
            "precision": numbers["precision"].fillna(""),
            "trainings": [f"{s} x {d}" for s, d in zip(numbers["seeds"], numbers["splits"], strict=True)],
            "test slices": numbers["slices"],
            "patients": [f"{n:.0f}" if n == n else "" for n in numbers["patients"]],
            "mean Dice": digits(numbers["dice"], 3),
            f"{level:.0%} interval": between(numbers["low"], numbers["high"], 3),
            "median": digits(numbers["median"], 3),
            "mean over patients": digits(numbers["dice_by_patient"], 3),
            "missed": [f"{x:.1%}" if x == x else "" for x in numbers["missed"]],
        }
    )
    title = f"{cell.arm} {cell.kernel_size}x{cell.kernel_size}, alpha {cell.alpha:g}: the thesis's best cell."
    note = "The interval is around our mean over patients and seeds to come; trainings: seeds x draws or folds, at most."
    return Table(title, numbers, shown, (note,))


def _row(cell: Cell, seeds: Variance | None, level: float) -> dict[str, object]:
    """One kind of split: over all its test slices, each averaged over its seeds first."""
    first, rows = cell.runs.iloc[0], cell.rows
    found = contrast([(1.0, cell)], DICE, seeds)
    low, high = found.interval(level) if found else (None, None)
    tumour = rows["tp"] + rows["fn"] > 0
    by_slice = rows.groupby(["patient_id", "slice_id"])["dice"].mean()
    return {
        "what": "ours",
        "split": first["split_unit"],
        "size": f"{first['height']}x{first['width']}",
        "precision": first["precision"],
        "seeds": len(cell.seeds),
        "splits": len(cell.splits),
        "trainings": len(cell.runs),
        "slices": rows["slice_id"].nunique(),
        "patients": rows["patient_id"].nunique(),
        "dice": mean(cell, DICE),
        "low": low,
        "high": high,
        "median": float(by_slice.median()),
        "dice_by_patient": float(by_slice.groupby("patient_id").mean().mean()),
        "missed": float((rows["tp"][tumour] == 0).mean()),
    }
