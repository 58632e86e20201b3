"""What patients and trainings do together, so that no interval counts it twice. Pure.

A training errs on a patient in its own way (that it stops early costs one patient more than
another). This shows between the patients of one training, and so in a variance clustered by
patient; and it shows between the means of trainings, and so in s^2. Patients and trainings are
crossed, and what both count is to be taken from their sum once:

    v = v_patient + (s^2 - i^2) sum of shares^2

i^2 is the variance of one training's statistic by what patients and trainings do together. With
S trainings of one cell on one split, e what is left of the pseudo-values after each slice's mean
over trainings and each training's own mean, and w and the factor f = 1/(1 - 2 w_g + sum of w^2) of
`benchmark.judge.statistics.estimate`,

    i^2 = sum over trainings and patients of f_g (sum of e over the slices of g / N)^2 / (S - 1)

Without it, intervals of contrasts of alike cells hold the truth in up to 98 of 100 worlds
(`tests/judge/statistics/test_contrast_coverage.py`).

It is taken from an s^2 of `FEWEST_DF` degrees of freedom or more. Of fewer, two seeds of two cells
say, s^2 is so rough that s^2 - i^2 is often cut to 0, and the interval is narrow exactly where
trainings happen to lie close: it would hold the truth in 0.92 of the worlds in which one cell
varies by 0.023 and the other by 0.003, in 0.69 of those in which it was cut. So what patients and
trainings do together stays in it twice there: 0.94 then, 0.98 for cells that vary little alike, by
intervals that are narrower in the median, since the degrees of freedom of a difference are fewer.

Sources: two-way clustering, Cameron, Gelbach & Miller, J. Business & Economic Statistics 29 (2011)
238; the same for readers who read the same cases, Gallas, Academic Radiology 13 (2006) 353.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmark.judge.cells import Cell
from benchmark.judge.statistics.contrast import Statistic, pseudo_values
from benchmark.judge.statistics.estimate import NONE, Variance

FEWEST_DF = 3  # of an s^2 that i^2 is taken from


def crossed_variance(values: NDArray[np.float64], clusters: Sequence[str]) -> Variance:
    """i^2 of the trainings (S, N) of one cell on one split, slices' patients named beside.

    `ValueError` for fewer than two trainings or patients.
    """
    names, where = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    if len(values) < 2 or len(names) < 2:
        raise ValueError(f"{len(values)} trainings, {len(names)} patients; it takes two of each")
    left = values - values.mean(axis=0)
    left = left - left.mean(axis=1, keepdims=True)
    share = np.bincount(where) / values.shape[1]  # w
    sums = np.stack([np.bincount(where, weights=e) for e in left]) / values.shape[1]
    factor = 1 / (1 - 2 * share + share @ share)
    df = len(values) - 1
    return Variance(float((sums**2 @ factor).sum()) / df, df / float(share @ share))


def crossed(cells: Iterable[Cell], statistic: Statistic) -> Variance | None:
    """Pool i^2 of a statistic over cells and splits as `between_seeds` pools s^2.

    Only slices that every training of the split tested enter. None where no cell has two
    trainings on a split, or its patients are unknown or alone.
    """
    found = [group for cell in cells if cell.seeded for group in _by_split(cell, statistic)]
    total = sum(weight for _, weight in found)
    if not total:
        return None
    value = sum(part.value * weight for part, weight in found) / total
    return Variance(value, sum(part.df for part, _ in found))


@lru_cache(maxsize=512)
def _by_split(cell: Cell, statistic: Statistic) -> tuple[tuple[Variance, int], ...]:
    """i^2 on each split that can tell it, and how many more trainings than one tell it."""
    (slices, of_slice), (runs, of_run) = cell.numbered
    wide, found = np.full((len(runs), len(slices)), np.nan), []
    wide[of_run, of_slice] = pseudo_values(cell.rows, of_slice, of_run, statistic)
    for split in range(len(runs.levels[0])):  # slices have the same
        here = slices.codes[0] == split
        trained = wide[runs.codes[0] == split][:, here]
        known = ~np.isnan(trained).any(axis=0)
        patients = slices[here][known].get_level_values("patient_id")
        if len(trained) > 1 and not patients.isna().any() and patients.nunique() > 1:
            found.append((crossed_variance(trained[:, known], patients.tolist()), len(trained) - 1))
    return tuple(found)


def net(seeds: Variance, both: Variance | None) -> Variance:
    """s^2 - i^2: what trainings bring that patients do not show already; seeds itself without i^2
    or with fewer than `FEWEST_DF`.

    `NONE` where i^2 is the larger; else with Satterthwaite's degrees of freedom for a difference.
    """
    if both is None or round(seeds.df, 9) < FEWEST_DF:
        return seeds
    value = seeds.value - both.value
    spread = seeds.value**2 / seeds.df + both.value**2 / both.df
    return Variance(value, value**2 / spread) if value > 0 else NONE
