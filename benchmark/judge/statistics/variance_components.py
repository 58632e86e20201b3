"""What a score varies by: components of variance of crossed and nested factors, by REML.

    y = X b + sum over factors of (effect of the row's level) + residual

all effects independent and normal. The restricted likelihood is statsmodels' `MixedLM`, its factors
given as sparse indicators; it is maximised over the logarithms of the components' ratios to the
residual variance, which the likelihood profiles out: `MixedLM.fit` climbs by a gradient that costs
ten likelihoods of some 2600 scores of 1000 levels.
Intervals are Satterthwaite's, as SAS gives them: df = 2 / Var(log v), from the curvature.

Sources: Patterson & Thompson, Biometrika 58 (1971) 545; Lindstrom & Bates, JASA 83 (1988) 1014;
Satterthwaite, Biometrics Bulletin 2 (1946) 110; Seabold & Perktold, SciPy (2010) 92.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.judge.statistics.estimate import Variance

RESIDUAL = "residual"
LEAST, MOST = -14.0, 14.0  # bounds of log (component / residual): an SD of 1/1000 of its, or 1000
START = (0.0, -4.0)  # log ratio of factors with many levels, such as patients; of the others
ENOUGH = 1e-7  # change of the log-likelihood, as a share of it, that ends the search
STEP = 0.1  # of the differences that give the curvature
FEWEST_DF = 1.0  # below it the records do not bound a component

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Component:
    """The variance that a factor brings to one score, with the factor's levels; of the residual the
    number of scores. variance.value is 0 where none shows; its df are then infinite.
    """

    name: str
    levels: int
    variance: Variance

    @property
    def sd(self) -> float:
        return math.sqrt(self.variance.value)

    def interval(self, level: float) -> tuple[float, float] | None:
        """Ends of the SD's interval with this coverage; None where the records do not bound it."""
        from scipy.special import chdtri

        df = self.variance.df
        if not (FEWEST_DF <= df < math.inf):
            return None
        tails = ((1 - level) / 2, (1 + level) / 2)
        low, high = (self.sd * math.sqrt(df / float(chdtri(df, tail))) for tail in tails)
        return low, high


def variance_components(
    values: Vector, fixed: Vector, factors: Mapping[str, Sequence[str]]
) -> list[Component] | None:
    """Return the components of values (N,), in the order of factors, the residual last.

    fixed: (N, K), columns of the mean, full rank; factors: the level of each row, by factor. None
    where the values do not tell a residual from the factors: all equal, no more rows than a factor
    has levels, or a likelihood that has no maximum.
    """
    levels = {name: np.unique(list(of), return_inverse=True) for name, of in factors.items()}
    numbers = {name: (len(names), where) for name, (names, where) in levels.items()}
    few = any(count < 2 or count >= len(values) for count, _ in numbers.values())
    if few or np.ptp(values) == 0:
        return None
    loss, scale = _likelihood(values, fixed, numbers)
    found = _minimum(loss, np.array([count for count, _ in numbers.values()]))
    if found is None:
        return None
    residual, ratios = scale(found), np.where(found > LEAST + 1, np.exp(found), 0.0)
    log_variances = _log_variances(loss, scale, found, len(values) - fixed.shape[1])
    sizes = [*(count for count, _ in numbers.values()), len(values)]
    return [
        Component(name, size, Variance(ratio * residual, 2 / spread if spread else math.inf))
        for name, size, ratio, spread in zip(
            [*factors, RESIDUAL], sizes, [*ratios.tolist(), 1.0], log_variances, strict=True
        )
    ]


def _likelihood(
    values: Vector, fixed: Vector, numbers: Mapping[str, tuple[int, NDArray[np.intp]]]
) -> tuple[Callable[[Vector], float], Callable[[Vector], float]]:
    """Minus the restricted log-likelihood, and the residual variance, at log ratios (factors,)."""
    from scipy import sparse
    from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams, VCSpec

    rows, n = np.arange(len(values)), len(values)
    indicators = [
        [sparse.csr_array((np.ones(n), (rows, where)), shape=(n, count))]
        for count, where in numbers.values()
    ]
    names = list(numbers)
    columns = [[[f"{name}{i}" for i in range(count)]] for name, (count, _) in numbers.items()]
    model: Any = MixedLM(values, fixed, np.zeros(n), exog_vc=VCSpec(names, columns, indicators))
    model.cov_pen = None  # as `fit` sets it where no penalty is asked for
    none = np.zeros((0, 0))

    def loss(log_ratios: Vector) -> float:
        parameters = MixedLMParams.from_components(
            fe_params=np.zeros(fixed.shape[1]), cov_re=none, vcomp=np.exp(log_ratios)
        )
        return -float(model.loglike(parameters))

    def scale(log_ratios: Vector) -> float:
        ratios = np.exp(log_ratios)
        means, _ = model.get_fe_params(none, ratios)
        return float(model.get_scale(means, none, ratios))

    return loss, scale


def _minimum(loss: Callable[[Vector], float], levels: NDArray[np.int64]) -> Vector | None:
    """Where the loss is least; None where it falls towards a residual of 0, or is not found.

    Searched in units of the error that so many levels (factors,) would leave a log variance.
    """
    from scipy.optimize import minimize

    unit = np.sqrt(2 / levels)
    start = np.where(levels > levels.max() / 10, *START)
    bounds = [(LEAST / each, MOST / each) for each in unit]
    found = minimize(
        lambda steps: loss(steps * unit),
        start / unit,
        method="L-BFGS-B",
        bounds=bounds,
        options={"ftol": ENOUGH},
    )
    at = found.x * unit
    at_end = bool((at > MOST - 1).any())
    return at if found.success and np.isfinite(found.fun) and not at_end else None


def _log_variances(
    loss: Callable[[Vector], float], scale: Callable[[Vector], float], at: Vector, df: int
) -> list[float]:
    """Variance of the log of each component, the residual's last, from the curvature at the
    maximum; 0 for a component of 0, infinite where there is no curvature.

    Given the ratios, the log of the residual variance has variance 2 / df around `scale`.
    """
    free = [i for i, x in enumerate(at) if x > LEAST + 1]
    steps = {i: STEP * np.eye(len(at))[i] for i in free}
    middle = loss(at)
    ends = {i: (loss(at + step), loss(at - step)) for i, step in steps.items()}
    curvature = np.diag([(sum(ends[i]) - 2 * middle) / STEP**2 for i in free])
    for (a, i), (b, j) in combinations(enumerate(free), 2):
        both = loss(at + steps[i] + steps[j]) + loss(at - steps[i] - steps[j])
        mixed = (both - sum(ends[i]) - sum(ends[j]) + 2 * middle) / (2 * STEP**2)
        curvature[a, b] = curvature[b, a] = mixed
    gradient = np.array(
        [np.log(scale(at + step) / scale(at - step)) / (2 * STEP) for step in steps.values()]
    )
    spreads = [0.0] * len(at)
    if free and np.linalg.eigvalsh(curvature)[0] <= 0:
        return [*(math.inf if i in free else 0.0 for i in range(len(at))), 2 / df]
    covariance = np.linalg.inv(curvature) if free else np.zeros((0, 0))
    for a, i in enumerate(free):
        along = gradient + np.eye(len(free))[a]
        spreads[i] = float(along @ covariance @ along) + 2 / df
    return [*spreads, float(gradient @ covariance @ gradient) + 2 / df]
