"""Where another mean over a few seeds, on another random split, would lie; what more runs bring.

Variances of four sources, added (`benchmark.judge.statistics.estimate`):

    ours    clustered by patient, of our mean over the test slices of our D draws
    fresh   clustered by patient, of one draw's mean; the average over ours
    seeds   s^2, between the seeds' means on one draw, pooled over ours
    sets    r^2, what the variance between our draws' means has beyond fresh and seeds: that of the
            training sets, D - 1 degrees of freedom; one draw cannot show it, and it counts as 0

    half width = t sqrt(ours + fresh + s^2 (1/n + 1/m) + r^2 (1/D + 1))

for n trainings of ours and a mean over m seeds on one other draw. How often such intervals hold
what they should, with one draw and with five, is simulated in
`tests/judge/statistics/test_coverage.py`.

Sources: prediction interval for the mean of m future values, Hahn & Meeker, Statistical
Intervals (1991), section 4.8; two one-sided tests, Schuirmann, J. Pharmacokinetics and
Biopharmaceutics 15 (1987) 657; why the split must vary too, Bouthillier et al., MLSys (2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import RecordError
from benchmark.judge.cells import Cell
from benchmark.judge.statistics.contrast import DICE, SLICE, reduced
from benchmark.judge.statistics.estimate import (
    NONE,
    Estimate,
    Variance,
    clustered_mean,
    pooled_variance,
    t_quantile,
)


@dataclass(frozen=True)
class Spread:
    """Our mean over slices and seeds, n trainings on some draws, and the four variances above.

    seeds is None where no draw has two of them.
    """

    mean: float
    n: int
    draws: int
    seeds: Variance | None
    ours: Variance
    fresh: Variance
    sets: Variance = NONE

    @property
    def sd(self) -> float:
        """SD between the seeds' means on one draw; NaN where it is not known."""
        return math.sqrt(self.seeds.value) if self.seeds else math.nan

    def error_of(self, other_seeds: int) -> Variance:
        """The variance of (our mean - another mean over other_seeds seeds on a fresh draw)."""
        # ours and fresh come from the same patients: their sum knows no more than the poorer
        patients = Variance(self.ours.value + self.fresh.value, min(self.ours.df, self.fresh.df))
        between = self.known_seeds() * (1 / self.n + 1 / other_seeds)
        return patients + between + self.sets * (1 / self.draws + 1)

    def half_width(self, other_seeds: int, level: float) -> float:
        """Half width of the prediction interval; NaN where the seeds' spread is not known."""
        if not self.seeds:
            return math.nan
        return Estimate(0.0, self.error_of(other_seeds)).half_width(level)

    def confidence(self) -> Estimate:
        """Our mean as an estimate of the arm's over patients, training sets and seeds."""
        seeds, sets = self.known_seeds() * (1 / self.n), self.sets * (1 / self.draws)
        return Estimate(self.mean, self.ours + seeds + sets)

    def smallest_margin(self, printed: float, level: float) -> float:
        """The smallest margin at which two one-sided tests at 1 - level call our mean equal."""
        ours = self.confidence()
        return abs(self.mean - printed) + t_quantile(level, ours.variance.df) * ours.se

    def known_seeds(self) -> Variance:
        """seeds; `ValueError` where it is not known."""
        if self.seeds is None:
            raise ValueError("no draw has two seeds, so the spread between them is not known")
        return self.seeds


def of_draws(dice: Sequence[NDArray[np.float64]], patients: Sequence[Sequence[str]]) -> Spread:
    """Measure the spread of (slices, seeds) scores on each draw, whose test sets share no slice.

    patients names each slice's; every test set needs two of them, else `ValueError`.
    """
    by_slice = [draw.mean(axis=1) for draw in dice]
    fresh = [clustered_mean(draw, names) for draw, names in zip(by_slice, patients, strict=True)]
    ours = clustered_mean(np.concatenate(by_slice), [name for names in patients for name in names])
    one_draw = _fresh(fresh)
    seeds = pooled_variance([draw.mean(axis=0).tolist() for draw in dice])
    sets = _sets([e.value for e in fresh], one_draw, [draw.shape[1] for draw in dice], seeds)
    n = sum(draw.shape[1] for draw in dice)
    return Spread(ours.value, n, len(dice), seeds, ours.variance, one_draw, sets)


def _fresh(draws: Sequence[Estimate]) -> Variance:
    """Of one draw's mean; the least df, not their sum: one patient is in several test sets."""
    value = float(np.mean([e.variance.value for e in draws]))
    return Variance(value, min(e.variance.df for e in draws))


def _sets(
    means: Sequence[float], fresh: Variance, n_seeds: Sequence[float], seeds: Variance | None
) -> Variance:
    if len(means) < 2:
        return NONE
    of_seeds = seeds.value * float(np.mean([1 / n for n in n_seeds])) if seeds else 0.0
    return Variance(max(0.0, float(np.var(means, ddof=1)) - fresh.value - of_seeds), len(means) - 1)


def spread(cell: Cell) -> Spread:
    """Measure the spread of a cell's Dice over its draws.

    Raises `RecordError` where a patient is unknown, or alone in a test set.
    """
    return of_draws(*_draws(cell))


def sets_of(cell: Cell, seeds: Variance) -> Variance:
    """What training sets bring to the variance of a cell's mean over its draws or folds, r^2 / D.

    Nothing where there is one draw, or where `spread` would refuse. seeds: the variance between.
    """
    by_slice = reduced(cell, DICE).by_slice.reset_index()
    draws = dict(list(by_slice.groupby("split_id")))
    patients = [draw["patient_id"] for draw in draws.values()]
    if any(names.isna().any() or names.nunique() < 2 for names in patients):
        return NONE
    means = [
        clustered_mean(draw["value"].to_numpy(dtype=float), draw["patient_id"].tolist())
        for draw in draws.values()
    ]
    rows = cell.rows["split_id"].value_counts()  # some slices may be of fewer seeds than others
    n_seeds = [rows[split] / len(draw) for split, draw in draws.items()]
    return _sets([e.value for e in means], _fresh(means), n_seeds, seeds) * (1 / max(len(draws), 1))


def _draws(cell: Cell) -> tuple[list[NDArray[np.float64]], list[list[str]]]:
    """Dice (slices, seeds) and the patients of the slices, draw by draw."""
    dice, patients = [], []
    for _, rows in cell.rows.groupby("split_id"):
        wide = rows.pivot_table(
            index=SLICE[1:], columns="seed", values="dice", dropna=False
        ).dropna(how="all")
        patients.append(wide.index.get_level_values("patient_id").tolist())
        dice.append(wide.to_numpy(dtype=float))
    if cell.rows["patient_id"].isna().any() or any(len(set(names)) < 2 for names in patients):
        raise RecordError(
            f"{cell.name}: a patient is unknown, or alone in a test set; rescore on slices with "
            "patients"
        )
    return dice, patients


def power_table(
    ours: Spread,
    other_seeds: int,
    level: float,
    power: float,
    draws: Sequence[int],
    seeds: Sequence[int],
) -> pd.DataFrame:
    """Return what more runs would bring: expected half width, and the smallest true difference
    found with this power.

    One row per number of draws and seeds on each, at the spread measured now. Columns:
    draws, seeds, trainings, half_width, difference.
    """
    rows = []
    for d, s in product(draws, seeds):
        between = Variance(ours.known_seeds().value, d * (s - 1))
        patients = Variance(ours.fresh.value / d, ours.fresh.df)
        assumed = replace(ours, n=d * s, draws=d, seeds=between, ours=patients)
        error = assumed.error_of(other_seeds)
        needed = t_quantile((1 + level) / 2, error.df) + t_quantile(power, error.df)
        half_width = assumed.half_width(other_seeds, level)
        rows.append((d, s, d * s, half_width, needed * math.sqrt(error.value)))
    return pd.DataFrame(rows, columns=["draws", "seeds", "trainings", "half_width", "difference"])
