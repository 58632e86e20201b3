"""Does a lower precision give the same Dice? Two one-sided tests over pairs of one seed. Pure.

Trainings of one seed share their first weights, their order of slices and their augmentation, so
they are pairs: the mean of their differences has a t interval of (seeds - 1) degrees of freedom,
whatever a pair has in common and however unlike the two precisions spread. The test of two
independent groups has not: where pairs have half of their variance in common its size at the margin
is 0.02 in place of 0.05, and where one precision spreads four times as far, 0.07.
`tests/judge/comparisons/test_precisions.py` simulates both.

Source: two one-sided tests, Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15 (1987) 657.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from benchmark.judge.cells import SAME_CELL, size_of, with_sources
from benchmark.judge.comparisons.runs import CONDITIONS
from benchmark.judge.reference import PrecisionRule
from benchmark.judge.statistics.estimate import Estimate, Variance
from benchmark.judge.tables import Column, Table

ALIKE = [*(name for name in CONDITIONS if name != "precision"), *SAME_CELL]


class Equivalence(StrEnum):
    """What a comparison of two precisions came to."""

    EQUIVALENT = "equivalent"
    DIFFERENT = "different"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class PrecisionRow:
    """One cell in two precisions from the same seeds: mean test Dice, SD between seeds, verdict.

    difference: lower minus plain; low, high: its interval at 1 - 2 (1 - level), None for one seed.
    """

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
    difference: float
    low: float | None
    high: float | None
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
        first, difference = cell.iloc[0], paired_difference(plain.tolist(), other.tolist())
        low, high = difference.interval(2 * rule.level - 1) if len(both) > 1 else (None, None)
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
            difference=difference.value,
            low=low,
            high=high,
            agreement=judge_precision(difference, len(both), name in collapsed, rule),
        )


def paired_difference(plain: Sequence[float], other: Sequence[float]) -> Estimate:
    """Return the mean of other minus plain, mean Dice of the same seeds in one order.

    Of one seed without any variance, which nothing can show.
    """
    pairs = np.subtract(other, plain)
    n = len(pairs)
    spread = Variance(float(pairs.var(ddof=1)) / n, n - 1) if n > 1 else Variance(0.0)
    return Estimate(float(pairs.mean()), spread)


def judge_precision(
    difference: Estimate, seeds: int, collapsed: bool, rule: PrecisionRule
) -> Equivalence:
    """Decide on a difference in mean Dice over some seeds, by `tolerances.toml`'s rule.

    collapsed: a training in the lower precision did, so that it cannot count as equivalent.
    """
    if seeds < rule.min_seeds:
        return Equivalence.UNDECIDED
    low, high = difference.interval(2 * rule.level - 1)  # both one-sided tests at 1 - level
    if -rule.margin < low and high < rule.margin and not collapsed:
        return Equivalence.EQUIVALENT
    low, high = difference.interval(rule.level)
    return Equivalence.DIFFERENT if low > 0 or high < 0 else Equivalence.UNDECIDED


def precisions_table(rows: Sequence[PrecisionRow], rule: PrecisionRule) -> Table:
    """The rows as a table; seeds' SDs and the interval are empty for one seed."""
    interval = f"{2 * rule.level - 1:.0%} interval"
    columns = (
        Column("arm", "arm"),
        Column("params", "params"),
        Column("size", "size"),
        Column("split", "split_id"),
        Column("precision", "precision"),
        Column("seeds", "seeds"),
        Column("Dice", "dice", "{:.4f}"),
        Column(f"Dice {rule.plain}", "plain_dice", "{:.4f}"),
        Column("difference", "difference", "{:+.4f}"),
        Column(interval, ("low", "high"), "{:+.3f} to {:+.3f}"),
        Column("SD of seeds", "sd", "{:.4f}"),
        Column(f"SD {rule.plain}", "plain_sd", "{:.4f}"),
        Column("verdict", "agreement"),
    )
    essential = ("arm", "size", "split", "precision", "seeds", "Dice", f"Dice {rule.plain}",
                 "difference", interval, "verdict")  # fmt: skip
    title = f"Lower precisions, against {rule.plain}."
    note = (
        f"Over pairs of one seed. Equivalent: {rule.min_seeds} seeds or more, none collapsed, and "
        f"the interval within -{rule.margin:g} to +{rule.margin:g} (two one-sided tests)."
    )
    return Table(title, [vars(row) for row in rows], columns, (note,), essential)
