"""The interval in which another three-seed mean on another random test set would fall: pure arithmetic.

Two independent sources of variance, added:

    v_seed  = s^2 (1/n + 1/m)    s: SD of our n seeds' means; m: seeds behind the other mean    df n - 1
    v_slice = 2 u^2              u: patient-clustered SE of one test set's mean; twice, for     df G - 1
                                 the other mean has a test set of its own
    half width = t(level, df) sqrt(v_seed + v_slice),  df after Satterthwaite

Sources: prediction interval for the mean of m future values, Hahn & Meeker, Statistical
Intervals (1991), section 4.8; cluster-robust variance with the factor G / (G - 1), Cameron &
Miller, J. Human Resources 50 (2015) 317, on a regression with only a constant; degrees of
freedom of a sum of variances, Satterthwaite, Biometrics Bulletin 2 (1946) 110. A first rule,
simple on purpose: it leaves out the variance that another training set adds, and u holds a
little of the seeds' variance too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Interval:
    """mean, over n seeds; sd of the seeds' means; half_width of the interval, with df degrees of freedom.

    sd and half_width are NaN where n is 1.
    """

    mean: float
    sd: float
    n: int
    half_width: float
    df: float


def clustered_se(values: NDArray[np.float64], clusters: Sequence[str]) -> tuple[float, int]:
    """Return the standard error of the mean of values (N,) in clusters, and its degrees of freedom G - 1.

    sqrt(G / (G - 1) * sum over clusters of (sum of deviations)^2) / N. Raises `ValueError`
    for fewer than two clusters.
    """
    names, where = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"{len(names)} cluster; the spread between patients needs at least 2")
    sums = np.bincount(where, weights=values - values.mean())
    g = len(names)
    return math.sqrt(g / (g - 1) * float(sums @ sums)) / len(values), g - 1


def prediction(dice: NDArray[np.float64], patients: Sequence[str], other_seeds: int, level: float) -> Interval:
    """Return the interval around the mean of dice (slices, seeds), patients naming each slice's.

    other_seeds is m of the formula above, level the coverage in (0, 1).
    """
    n = dice.shape[1]
    seed_means = dice.mean(axis=0)
    mean = float(seed_means.mean())
    if n < 2:
        return Interval(mean, math.nan, n, math.nan, math.nan)
    sd = float(seed_means.std(ddof=1))
    se, se_df = clustered_se(dice.mean(axis=1), patients)
    v_seed, v_slice = sd**2 * (1 / n + 1 / other_seeds), 2 * se**2
    total = v_seed + v_slice
    if total == 0:
        return Interval(mean, sd, n, 0.0, float(n - 1))
    df = total**2 / (v_seed**2 / (n - 1) + v_slice**2 / se_df)
    from scipy.special import stdtrit  # Student's t quantile; scipy.stats is slow to import

    return Interval(mean, sd, n, float(stdtrit(df, (1 + level) / 2)) * math.sqrt(total), df)
