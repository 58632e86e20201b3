"""A mean with its uncertainty, patients being the unit: pure arithmetic.

The mean over slices is a weighted mean of the patients' own means, patient g weighing
w_g = n_g / N. Its variance is cluster-robust and bias-reduced,

    v = sum over g of (sum of deviations of g / N)^2 / (1 - 2 w_g + sum of w^2)

which is unbiased where the patients' means vary alike, and its degrees of freedom are
Satterthwaite's under the same model, so that unequal patients count as fewer. With equal patients
both are the textbook's: the SE of the mean of G patient means, and G - 1. A plain percentile
bootstrap undercovers with 12 patients, and with 53; `tests/judge/statistics/test_coverage.py`
simulates this.

Sources: bias-reduced cluster-robust variance and its degrees of freedom, Bell & McCaffrey,
Survey Methodology 28 (2002) 169; Pustejovsky & Tipton, J. Business & Economic Statistics 36
(2018) 672; Satterthwaite, Biometrics Bulletin 2 (1946) 110; Holm, Scandinavian J. Statistics
6 (1979) 65.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.judge.reference import IntervalRule

FEW_IN_PART = "a part has {} slices of {} patients; an interval takes {} slices of {} patients"


@dataclass(frozen=True)
class Variance:
    """An estimated variance and its degrees of freedom; known exactly (or zero) with df
    infinite.
    """

    value: float
    df: float = math.inf

    def __mul__(self, factor: float) -> Variance:
        return Variance(self.value * factor, self.df)

    def __add__(self, other: Variance) -> Variance:
        """Sum of independent variances, df after Satterthwaite."""
        total = self.value + other.value
        spread = sum(part.value**2 / part.df for part in (self, other))
        return Variance(total, total**2 / spread if spread else max(self.df, other.df))


NONE = Variance(0.0)


@dataclass(frozen=True)
class Estimate:
    """A value and the variance of its error."""

    value: float
    variance: Variance

    @property
    def se(self) -> float:
        return math.sqrt(self.variance.value)

    def half_width(self, level: float) -> float:
        """Half width of the two-sided t interval with this coverage, level in (0, 1)."""
        return t_quantile((1 + level) / 2, self.variance.df) * self.se if self.se else 0.0

    def interval(self, level: float) -> tuple[float, float]:
        half = self.half_width(level)
        return self.value - half, self.value + half

    def p_value(self) -> float:
        """Two-sided p of the t test against 0; 1 for a value of 0 without spread, 0 for any other
        without.
        """
        if not self.se:
            return float(self.value == 0)
        from scipy.special import stdtr

        return float(2 * stdtr(self.variance.df, -abs(self.value) / self.se))

    def p_of_margin(self, margin: float) -> float:
        """p of two one-sided t tests against -margin and +margin, the larger: small where the true
        value lies between them; without spread 0 for a value that does, else 1.

        Source: Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15 (1987) 657.
        """
        if not self.se:
            return float(abs(self.value) >= margin)
        from scipy.special import stdtr

        return float(stdtr(self.variance.df, (abs(self.value) - margin) / self.se))

    def smallest_margin(self, level: float) -> float:
        """The margin of which `p_of_margin` is 1 - level."""
        return abs(self.value) + (t_quantile(level, self.variance.df) * self.se if self.se else 0.0)


def t_quantile(p: float, df: float) -> float:
    """Student's t quantile; the normal one for infinite df."""
    from scipy.special import ndtri, stdtrit  # scipy.stats is slow to import

    return float(stdtrit(df, p) if math.isfinite(df) else ndtri(p))


def clustered_mean(values: NDArray[np.float64], clusters: Sequence[str]) -> Estimate:
    """Return the mean of values (N,) whose clusters (patients) are named beside them, with its
    variance.

    `ValueError` for fewer than two clusters: one patient shows no spread between patients.
    """
    names, where = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"{len(names)} cluster; the spread between patients needs at least 2")
    share = np.bincount(where) / len(values)  # w
    mean = float(values.mean())
    sums = np.bincount(where, weights=values - mean) / len(values)
    factor = 1 / (1 - 2 * share + share @ share)
    # v is a quadratic form in the patients' means, of matrix B'B with B as below
    b = (np.diag(share) - np.outer(share, share)) * np.sqrt(factor)[:, None]
    form = b @ b.T
    return Estimate(
        mean, Variance(float(sums**2 @ factor), float(np.trace(form) ** 2 / (form**2).sum()))
    )


def clustered_share(
    hits: NDArray[np.bool_], clusters: Sequence[str], level: float
) -> tuple[float, float, float]:
    """Return the share of True among hits (N,) and its interval within [0, 1], patients being the
    unit.

    Clopper and Pearson's interval, Biometrika 26 (1934) 404, of as many independent slices as have
    the variance p (1 - p) / n that the patients show, no more than N, and fewer for what few
    patients leave unknown of it, (t(N - 1) / t(df))^2 of them (Korn & Graubard, Survey Methodology
    24 (1998) 193). Where none or all are True no spread shows, and n is the number of patients.
    """
    from scipy.special import betaincinv

    share, tail = clustered_mean(hits.astype(float), clusters), (1 - level) / 2
    p, variance = share.value, share.variance
    if p in (0.0, 1.0):
        far = 1 - tail ** (1 / len(set(clusters)))
        return p, *((0.0, far) if p == 0 else (1 - far, 1.0))
    most = p * (1 - p) / variance.value if variance.value else math.inf
    known = t_quantile(1 - tail, len(hits) - 1) / t_quantile(1 - tail, variance.df)
    n = min(most, len(hits)) * known**2
    low, high = betaincinv([p * n, p * n + 1], [n - p * n + 1, n - p * n], [tail, 1 - tail])
    return p, float(low), float(high)


def too_few(patients: Sequence[str | None], rule: IntervalRule) -> str:
    """Why a part of the slices gives no interval, patients being that of each; "" where it does."""
    found, needed = (len(patients), len(set(patients))), (rule.fewest_slices, rule.fewest_patients)
    enough = found[0] >= needed[0] and found[1] >= needed[1]
    return "" if enough else FEW_IN_PART.format(*found, *needed)


def pooled_variance(groups: Sequence[Sequence[float]]) -> Variance | None:
    """Pool the variance within groups; None where no group has two values, so that nothing is known
    of it.
    """
    df = sum(len(group) - 1 for group in groups if group)
    if df < 1:
        return None
    squares = sum(
        float(np.sum((np.asarray(g, dtype=float) - np.mean(g)) ** 2)) for g in groups if g
    )
    return Variance(squares / df, df)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given: each the family-wise level at which it
    is rejected.
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, p_values[i] * (len(p_values) - rank)))
        adjusted[i] = highest
    return adjusted
