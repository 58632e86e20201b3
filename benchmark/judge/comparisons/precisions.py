"""Does a lower precision give the same Dice? Judged against the spread between seeds. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import mean, stdev, variance

import pandas as pd

from benchmark.judge.cells import SAME_CELL, size_of, with_sources
from benchmark.judge.comparisons.runs import CONDITIONS
from benchmark.judge.reference import PrecisionRule
from benchmark.judge.tables import Column, Table

ALIKE = [*(name for name in CONDITIONS if name != "precision"), *SAME_CELL]


class Equivalence(StrEnum):
    """What a comparison of two precisions came to."""

    EQUIVALENT = "equivalent"
    DIFFERENT = "different"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class PrecisionRow:
    """One cell in two precisions from the same seeds: mean test Dice, SD between seeds, verdict."""

    arm: str
    params: str
    size: str
    split_id: str
    precision: str
    seeds: int
    plain_dice: float
    dice: float
    plain_sd: float
    sd: float
    agreement: Equivalence


def precisions(runs: pd.DataFrame, rule: PrecisionRule) -> list[PrecisionRow]:
    """Set every lower precision beside the plain one, over the seeds that both have."""
    return [row for _, cell in with_sources(runs).groupby(ALIKE) for row in _rows(cell, rule)]


def _rows(cell: pd.DataFrame, rule: PrecisionRule) -> Iterator[PrecisionRow]:
    known = cell.reindex(columns=["fit.collapsed"])["fit.collapsed"]  # not every arm says it
    collapsed = set(cell.loc[known.astype(object).fillna(False).astype(bool), "precision"])
    means = {"index": "seed", "columns": "precision", "values": "test.dice_mean"}
    dice = cell.pivot_table(**means, aggfunc="mean")
    for name in dice.columns.drop(rule.plain, errors="ignore") if rule.plain in dice else ():
        both = dice[[rule.plain, name]].dropna()
        if both.empty:
            continue
        plain, other = (both[column].astype(float) for column in both)
        first = cell.iloc[0]
        yield PrecisionRow(
            arm=first["arm"],
            params=first["params"],
            size=size_of(first),
            split_id=first["split_id"],
            precision=str(name),
            seeds=len(both),
            plain_dice=float(plain.mean()),
            dice=float(other.mean()),
            plain_sd=float(plain.std()),
            sd=float(other.std()),
            agreement=judge_precision(plain.tolist(), other.tolist(), name in collapsed, rule),
        )


def judge_precision(
    plain: Sequence[float], other: Sequence[float], collapsed: bool, rule: PrecisionRule
) -> Equivalence:
    """Decide on the mean Dice of the same seeds in two precisions, by `tolerances.toml`'s rule.

    collapsed: a training in the lower precision did, so that it cannot count as equivalent.
    """
    from scipy import stats

    if len(plain) < rule.min_seeds:
        return Equivalence.UNDECIDED
    difference = mean(other) - mean(plain)
    pooled = math.sqrt((variance(plain) + variance(other)) / 2)
    if abs(difference) <= stdev(plain) and not collapsed:
        return Equivalence.EQUIVALENT
    t = float(stats.t.ppf((1 + rule.level) / 2, 2 * len(plain) - 2))
    differs = abs(difference) > t * pooled * math.sqrt(2 / len(plain))
    return Equivalence.DIFFERENT if differs else Equivalence.UNDECIDED


def precisions_table(rows: Sequence[PrecisionRow], rule: PrecisionRule) -> Table:
    """The rows as a table; seeds' SDs are empty for one seed."""
    columns = (
        Column("arm", "arm"),
        Column("params", "params"),
        Column("size", "size"),
        Column("split", "split_id"),
        Column("precision", "precision"),
        Column("seeds", "seeds"),
        Column("Dice", "dice", "{:.4f}"),
        Column(f"Dice {rule.plain}", "plain_dice", "{:.4f}"),
        Column("difference", lambda row: row["dice"] - row["plain_dice"], "{:+.4f}"),
        Column("SD of seeds", "sd", "{:.4f}"),
        Column(f"SD {rule.plain}", "plain_sd", "{:.4f}"),
        Column("verdict", "agreement"),
    )
    essential = ("arm", "size", "split", "precision", "seeds", "Dice", f"Dice {rule.plain}",
                 "difference", "verdict")  # fmt: skip
    title = "Lower precisions, against the variation between seeds."
    return Table(title, [vars(row) for row in rows], columns, (), essential)
