"""The three numbers that stand first: the thesis's, ours by image, ours by patient. Pure."""

from __future__ import annotations

import pandas as pd

from benchmark.judge.cells import Cell, cell_name, cell_of, protocol_of, size_of
from benchmark.judge.comparable import fitted_as_the_thesis, in_cell
from benchmark.judge.reference import Reference, Tolerances
from benchmark.judge.statistics.contrast import DICE, contrast, mean
from benchmark.judge.statistics.estimate import Estimate, Variance
from benchmark.judge.statistics.prediction_interval import sets_of
from benchmark.judge.statistics.spread_of_seeds import spreads
from benchmark.judge.tables import Column, Record, Table
from benchmark.runs.collect import Collected

FIELDS = ("what", "split", "protocol", "size", "precision", "seeds", "splits", "trainings",
          "slices", "patients", "dice", "low", "high", "median", "dice_by_patient",
          "missed")  # of a record; the thesis prints few of them # fmt: skip


def headline(collected: Collected, reference: Reference, tolerances: Tolerances) -> Table:
    """The thesis's number, ours by image and by patient: its best cell at every size and precision.

    Means over all test slices of all draws or folds, and over seeds. No row is of two protocols.
    """
    cell, level = reference.best_cell, tolerances.split_effect.level
    own = size_of(dict.fromkeys(("height", "width"), tolerances.dice.image_size))
    runs = fitted_as_the_thesis(collected.runs.sort_values("run_id"))
    runs = runs[runs["recipe_hash"] == tolerances.recipe_hash]
    runs = runs[(runs["dataset_id"] == reference.dataset_id) & ~runs["phantom"]]
    runs = runs[in_cell(runs, cell.arm, cell.kernel_size, cell.alpha)]
    thesis = {
        "what": "thesis",
        "split": "image",
        "protocol": "",
        "size": own,
        "precision": "",
        "seeds": cell.seeds,
        "splits": 1,
        "trainings": cell.seeds,
        "slices": reference.split_sizes["test"],
        "patients": pd.NA,
        "dice": cell.dice_mean,
    }
    rows: list[Record] = [dict.fromkeys(FIELDS) | thesis]
    for _, part in runs.groupby(["height", "width", "precision"]):
        splits = part.groupby(["split_unit", "protocol_hash"])
        cells = [cell_of(group, collected) for _, group in splits]
        varying, sd = spreads(cells, DICE), tolerances.dice.training_set_sd
        rows += [_row(cell, varying.of([cell]), sd, level) for cell in cells]
    rows.sort(key=lambda row: bool(row["size"] != own))
    interval = f"{level:.0%} interval"
    columns = (
        Column("", "what"),
        Column("split", "split", "by {}"),
        Column("protocol", "protocol"),
        Column("fed at", "size"),
        Column("precision", "precision"),
        Column("draws or folds", "splits"),
        Column("trainings", "trainings"),
        Column("test slices", "slices"),
        Column("patients", "patients"),
        Column("mean Dice", "dice", "{:.3f}"),
        Column(interval, ("low", "high"), "{:.3f} to {:.3f}"),
        Column("median", "median", "{:.3f}"),
        Column("mean over patients", "dice_by_patient", "{:.3f}"),
        Column("missed", "missed", "{:.1%}"),
    )
    title = f"{cell_name(cell.arm, cell.kernel_size, cell.alpha)}: the thesis's best cell."
    note = (
        "The interval says where the mean would lie with new patients, training sets and seeds; "
        "what training sets bring is a stated SD where there are fewer than four draws or folds. "
        "Every slice counts once, averaged over its seeds. Splits by image and by patient test "
        "different slices: do not compare these rows to judge the split; use the next table."
    )
    essential = ("", "split", "fed at", "precision", "trainings", "test slices", "mean Dice",
                 interval, "missed")  # fmt: skip
    return Table(title, rows, columns, (note,), essential)


def _row(
    cell: Cell, seeds: Variance | None, training_set_sd: float, level: float
) -> dict[str, object]:
    """One kind of split: over all its test slices, each averaged over its seeds first."""
    first, rows = cell.runs.iloc[0], cell.rows
    estimate = contrast([(1.0, cell)], DICE, seeds)
    if estimate and seeds:
        estimate = Estimate(
            estimate.value, estimate.variance + sets_of(cell, seeds, training_set_sd)
        )
    low, high = estimate.interval(level) if estimate else (None, None)
    tumours = rows[rows["tp"] + rows["fn"] > 0]
    missed = (tumours["tp"] == 0).groupby([tumours["split_id"], tumours["slice_id"]]).mean()
    by_slice = rows.groupby(["patient_id", "slice_id"], dropna=False)["dice"].mean()
    known = rows["patient_id"].notna().all()
    return {
        "what": "ours",
        "split": first["split_unit"],
        "protocol": protocol_of(cell.runs),
        "size": size_of(first),
        "precision": first["precision"],
        "seeds": len(cell.seeds),
        "splits": len(cell.splits),
        "trainings": len(cell.runs),
        "slices": rows["slice_id"].nunique(),
        "patients": rows["patient_id"].nunique() if known else pd.NA,
        "dice": mean(cell, DICE),
        "low": low,
        "high": high,
        "median": float(by_slice.median()),
        "dice_by_patient": by_slice.groupby("patient_id").mean().mean() if known else None,
        "missed": float(missed.mean()),
    }
