"""Does a lower precision give the same Dice? Judged against the spread between seeds. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd
from tabulate import tabulate

from benchmark.reference import PrecisionRule
from benchmark.results import CONDITIONS

ALIKE = [*(name for name in CONDITIONS if name != "precision"), "arm", "params"]


class Agreement(StrEnum):
    """What a comparison of two precisions came to."""

    EQUIVALENT = "equivalent"
    DIFFERENT = "different"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Row:
    """One cell trained in two precisions from the same seeds: mean test Dice of each, SD between seeds, verdict."""

    arm: str
    params: str
    size: str
    split_id: str
    precision: str
    seeds: int
    plain_dice: float
    dice: float
    seed_sd: float
    agreement: Agreement


def precisions(runs: pd.DataFrame, rule: PrecisionRule) -> list[Row]:
    """Set every lower precision beside the plain one, over the seeds that both have. The order of runs is free."""
    trained = runs[runs["seed"].notna()]
    return [row for _, cell in trained.groupby(ALIKE) for row in _rows(cell, rule)]


def _rows(cell: pd.DataFrame, rule: PrecisionRule) -> Iterator[Row]:
    dice = cell.pivot_table(index="seed", columns="precision", values="test.dice_mean", aggfunc="mean")
    for name in dice.columns.drop(rule.plain, errors="ignore") if rule.plain in dice else ():
        both = dice[[rule.plain, name]].dropna()
        if both.empty:
            continue
        plain, other = (both[column].astype(float).to_numpy() for column in both)
        sd = math.sqrt((plain.var(ddof=1) + other.var(ddof=1)) / 2) if len(both) > 1 else math.nan
        first = cell.iloc[0]
        yield Row(
            arm=first["arm"],
            params=first["params"],
            size=f"{first['height']}x{first['width']}",
            split_id=first["split_id"],
            precision=str(name),
            seeds=len(both),
            plain_dice=float(plain.mean()),
            dice=float(other.mean()),
            seed_sd=sd,
            agreement=agreement(float(other.mean() - plain.mean()), sd, len(both), rule),
        )


def agreement(difference: float, seed_sd: float, seeds: int, rule: PrecisionRule) -> Agreement:
    """Decide on two means over so many seeds each, by the rule of `tolerances.toml`."""
    from scipy import stats

    if seeds < rule.min_seeds or not seed_sd >= 0:
        return Agreement.UNDECIDED
    if abs(difference) <= seed_sd:
        return Agreement.EQUIVALENT
    t = float(stats.t.ppf((1 + rule.level) / 2, 2 * seeds - 2))
    told_apart = abs(difference) > t * seed_sd * math.sqrt(2 / seeds)
    return Agreement.DIFFERENT if told_apart else Agreement.UNDECIDED


def precisions_text(rows: Sequence[Row], rule: PrecisionRule) -> str:
    """Return the rows as a table; an empty text where there are none."""
    if not rows:
        return ""
    head = ["arm", "params", "size", "split", "precision", "seeds", "Dice", f"Dice {rule.plain}", "difference"]
    cells = [
        [r.arm, r.params, r.size, r.split_id, r.precision, r.seeds, f"{r.dice:.4f}", f"{r.plain_dice:.4f}",
         f"{r.dice - r.plain_dice:+.4f}", f"{r.seed_sd:.4f}" if r.seeds > 1 else "", r.agreement.value]
        for r in rows
    ]  # fmt: skip
    return tabulate(cells, [*head, "SD of seeds", "verdict"], disable_numparse=True)
