"""The best epoch against test Dice: how much of the noise between seeds is when a training stopped.

Early stopping keeps the epoch with the best validation Dice. Within a cell on one split, trainings
differ by their seed alone; what that difference has to do with the epoch that was kept is read off
a regression of test Dice on the logarithm of the epochs trained, with one slope and a level for
each cell and split.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from benchmark.judge.cells import SAME_CELL, TERMS, cell_name, size_of
from benchmark.judge.reference import Reference
from benchmark.judge.tables import Column, Ranked, Table
from benchmark.runs.collect import Collected

BEST_EPOCH = "fit.best_epoch"
FEWEST = 3  # degrees of freedom of the spread between seeds: a slope takes one of them
EVERY = "all"


def best_epochs(collected: Collected, reference: Reference) -> pd.DataFrame:
    """Every training on the thesis's slices that recorded its best epoch, by run_id.

    run_id, group (a number for each cell on one split under one set of terms), cell, size,
    precision, split_unit, split_id, seed, best_epoch (counted from 0), dice (mean over test
    slices).
    """
    runs = collected.runs.sort_values("run_id")
    runs = runs[(runs["dataset_id"] == reference.dataset_id) & ~runs["phantom"]]
    runs = runs[runs.get(BEST_EPOCH, pd.Series(np.nan, index=runs.index)).notna()]
    names = [
        cell_name(arm, None if pd.isna(kernel) else int(kernel), alpha)
        for arm, kernel, alpha in zip(runs["arm"], runs["kernel_size"], runs["alpha"], strict=True)
    ]
    keys = [*TERMS, *SAME_CELL, "split_id", "split_fingerprint"]
    columns = {"best_epoch": runs.get(BEST_EPOCH), "dice": runs.get("test.dice_mean")}
    made = runs[["run_id", "precision", "split_unit", "split_id", "seed"]].assign(
        **columns,
        group=runs.groupby(keys).ngroup(),
        cell=names,
        size=[size_of(run) for run in runs[["height", "width"]].to_dict("records")],
    )
    return made.reset_index(drop=True)


def stopping_table(trainings: pd.DataFrame, level_of: str = EVERY) -> Table | None:
    """One row per size and precision, and per size: how test Dice goes with the best epoch.

    None where no row has `FEWEST` degrees of freedom between seeds.
    """
    rows = []
    for size, of_size in trainings.groupby("size", sort=False):
        own = [(precision, part) for precision, part in of_size.groupby("precision")]
        for precision, part in [(level_of, of_size)] * (len(own) > 1) + own:
            row = within(part)
            if row:
                rows.append({"size": Ranked(str(size), _side(size)), "precision": precision, **row})
    if not rows:
        return None
    columns = (
        Column("fed at", "size"),
        Column("precision", "precision"),
        Column("trainings", "trainings"),
        Column("cells with two seeds on a split", "groups"),
        Column("correlation within them", "r", "{:.2f}"),
        Column("SD between seeds", "sd", "{:.4f}"),
        Column("SD given the best epoch", "sd_given", "{:.4f}"),
        Column("Dice for twice the epochs", "doubling", "{:+.4f}"),
    )
    note = (
        "Within a cell on one split trainings differ by their seed alone. Correlation of the "
        "logarithm of the epochs trained up to the best one and of mean test Dice, each minus its "
        "mean over the cell and split; the SD that is left given the best epoch is from one slope "
        "for all. The correlation does not say that a fixed number of epochs would do better."
    )
    title = "Early stopping and the noise between seeds: every training with a best epoch."
    kept = tuple(column.heading for column in columns if column.source != "groups")
    return Table(title, rows, columns, (note,), kept)


def _side(size: object) -> float:
    return float(str(size).split("x", maxsplit=1)[0])


def within(trainings: pd.DataFrame) -> dict[str, float] | None:
    """Correlation and regression within groups (rows of `best_epochs`); None below `FEWEST` degrees
    of freedom, or where nothing varies.

    r in [-1, 1]; sd: pooled SD of Dice between seeds; sd_given: pooled SD of what is left, one
    degree of freedom less for the slope; doubling: Dice that twice the epochs go with.
    """
    several = trainings[trainings.groupby("group")["group"].transform("size") > 1]
    groups = several["group"].nunique()
    df = len(several) - groups
    if df < FEWEST:
        return None
    x, y = np.log(several["best_epoch"] + 1), several["dice"]
    x, y = (of - of.groupby(several["group"]).transform("mean") for of in (x, y))
    squares = float(x @ x), float(y @ y)
    if min(squares) < 1e-12:
        return None
    slope = float(x @ y) / squares[0]
    left = y - slope * x
    return {
        "trainings": len(trainings),
        "groups": groups,
        "r": float(x @ y) / math.sqrt(squares[0] * squares[1]),
        "sd": math.sqrt(squares[1] / df),
        "sd_given": math.sqrt(float(left @ left) / (df - 1)),
        "doubling": slope * math.log(2),
    }
