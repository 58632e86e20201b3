"""Where another mean over a few seeds, on another random split, would lie; how near ours is; what more runs bring.

Variances of three sources, added (`benchmark.estimate`):

    seeds   s^2: between the seeds' means on one split, pooled over our splits
    ours    u^2: clustered by patient, of our mean over the test slices of our D splits
    fresh   w^2: clustered by patient, of one split's mean; the average over our splits

    half width = t sqrt(s^2 (1/n + 1/m) + u^2 + w^2)        n trainings of ours, m behind the other mean

Sources: prediction interval for the mean of m future values, Hahn & Meeker, Statistical
Intervals (1991), section 4.8; two one-sided tests, Schuirmann, J. Pharmacokinetics and
Biopharmaceutics 15 (1987) 657. Another training set brings a variance of its own, which is
left out; patients as the unit more than make up for it where the other split is a random
one of the same slices (simulated in `tests/test_interval_properties.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.cells import Cell
from benchmark.contrast import DICE, between_seeds, pseudo_values
from benchmark.errors import RecordError
from benchmark.estimate import Estimate, Variance, clustered_mean, t_quantile


@dataclass(frozen=True)
class Spread:
    """Our mean over slices and seeds, n trainings on some draws, and the three variances above.

    seeds is None where no draw has two of them.
    """

    mean: float
    n: int
    draws: int
    seeds: Variance | None
    ours: Variance
    fresh: Variance

    @property
    def sd(self) -> float:
        """SD between the seeds' means on one split; NaN where it is not known."""
        return math.sqrt(self.seeds.value) if self.seeds else math.nan

    def error_of(self, other_seeds: int) -> Variance:
        """The variance of (our mean - another mean over other_seeds seeds on a fresh split)."""
        return self.ours + self.fresh + self._known() * (1 / self.n + 1 / other_seeds)

    def half_width(self, other_seeds: int, level: float) -> float:
        """Half width of the prediction interval; NaN where the spread between seeds is not known."""
        if not self.seeds:
            return math.nan
        return Estimate(0.0, self.error_of(other_seeds)).half_width(level)

    def confidence(self) -> Estimate:
        """Our mean as an estimate of what the arm comes to on average over patients and seeds."""
        return Estimate(self.mean, self.ours + self._known() * (1 / self.n))

    def smallest_margin(self, printed: float, level: float) -> float:
        """The smallest margin at which two one-sided tests at 1 - level call our mean equivalent to a printed one."""
        ours = self.confidence()
        return abs(self.mean - printed) + t_quantile(level, ours.variance.df) * ours.se

    def _known(self) -> Variance:
        if self.seeds is None:
            raise ValueError("no split has two seeds, so the spread between them is not known")
        return self.seeds


def spread(cell: Cell) -> Spread:
    """Measure the spread of a cell's Dice over its splits, whose test sets share no slice.

    Raises `RecordError` where a patient is unknown or a test set holds fewer than two of them.
    """
    values = pseudo_values(cell, DICE)
    if values["patient_id"].isna().any() or (values.groupby("split_id")["patient_id"].nunique() < 2).any():
        raise RecordError(f"{cell.name}: a patient is unknown, or a test set has one alone; rescore on slices with more")
    by_slice = values.groupby(["split_id", "slice_id", "patient_id"])["value"].mean().reset_index()
    ours = _clustered(by_slice)
    fresh = [_clustered(part) for _, part in by_slice.groupby("split_id")]
    df = min(one.variance.df for one in fresh)  # not their sum: one patient is in several test sets
    mean_fresh = Variance(sum(one.variance.value for one in fresh) / len(fresh), df)
    return Spread(ours.value, len(cell.runs.drop_duplicates(["split_id", "seed"])), len(fresh),
                  between_seeds([cell], DICE), ours.variance, mean_fresh)  # fmt: skip


def _clustered(rows: pd.DataFrame) -> Estimate:
    return clustered_mean(rows["value"].to_numpy(dtype=float), rows["patient_id"].tolist())


def power_table(
    found: Spread, other_seeds: int, level: float, power: float, draws: Sequence[int], seeds: Sequence[int]
) -> pd.DataFrame:
    """Return what more runs would bring: expected half width, and the smallest true difference found with this power.

    One row per number of draws and seeds on each, at the spread measured now. Columns:
    draws, seeds, trainings, half_width, difference.
    """
    rows = []
    for d in draws:
        for s in seeds:
            assumed = Spread(found.mean, d * s, d, Variance(found._known().value, d * (s - 1)),
                             Variance(found.fresh.value / d, found.fresh.df), found.fresh)  # fmt: skip
            error = assumed.error_of(other_seeds)
            needed = t_quantile((1 + level) / 2, error.df) + t_quantile(power, error.df)
            half = assumed.half_width(other_seeds, level)
            rows.append((d, s, d * s, half, needed * math.sqrt(error.value)))
    return pd.DataFrame(rows, columns=["draws", "seeds", "trainings", "half_width", "difference"])
