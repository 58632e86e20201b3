"""Do trainings of all cells, on all splits, vary alike? And which spread a contrast is to use.

A group is the trainings of one cell on one split, of which two seeds or more tell a variance s_g^2
with n_g - 1 degrees of freedom. Where no test tells the groups apart, all are pooled into one s^2.
Where one does, a contrast has of each of its groups the variance of that group itself,

    v = sum over groups of c_g s_g^2        df = v^2 / sum over groups of (c_g s_g^2)^2 / (n_g - 1)

c_g being the group's share in the contrast, and df Satterthwaite's. A group with one seed borrows
what the contrast's other groups on its split come to; failing that, all cells on its split; failing
that, the contrast's groups on other splits.

The test is Bartlett's (Proc. Royal Society A 160 (1937) 268), by its Monte Carlo p (Barnard 1963;
Davison & Hinkley, Bootstrap Methods (1997), 4.2), since chi-square does not hold for groups of two:
exact whatever the sizes, where groups are independent and trainings vary normally. It notices
heavier tails than those, too, and then the groups' own spreads are used. It is of little power
against one group among many (0.27 against one of five with four times the SD), so "vary alike" is
never shown, only not refuted.

In simulations of contrasts of cells with 2 or 3 seeds, the groups' own variances hold 95 %
intervals better than one variance pooled over the contrast's groups, wherever their spreads or
their numbers of seeds differ: `tests/judge/statistics/test_spread_of_seeds.py`.

Sources of the degrees of freedom: Satterthwaite, Biometrics Bulletin 2 (1946) 110; Welch,
Biometrika 34 (1947) 28.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmark.judge.cells import Cell
from benchmark.judge.statistics.contrast import Statistic, reduced
from benchmark.judge.statistics.estimate import NONE, Variance, pooled_variance

DIFFER = (
    "Trainings of these cells differ in spread (p = {:.2g}), so each comparison uses that of its "
    "own cells and splits."
)
SIMULATED = 4999  # a p of 0.05 is then known to +- 0.006
SAME = 1e-9  # trainings that lie closer are equal but for rounding
KEY = 15  # of the simulation; any other gives the same p but for its error

Shares = Sequence[tuple[Cell, str, float]]  # a cell, a split of its own, and its c_g


@dataclass(frozen=True, eq=False)
class Spreads:
    """How far trainings under the same terms lie apart in a statistic.

    by_split: the statistic of every training, cell by cell; level: at which a test must tell the
    groups apart before they count as varying differently.
    """

    statistic: Statistic
    by_split: dict[str, list[tuple[float, ...]]]
    level: float

    @cached_property
    def pooled(self) -> Variance | None:
        """Of all groups in one; None without two seeds anywhere."""
        return pooled_variance(self._groups)

    @cached_property
    def p(self) -> float:
        """Of the test that all groups vary alike; 1 where fewer than two groups have two seeds."""
        return same_spread_p(self._groups)

    @property
    def heterogeneous(self) -> bool:
        return self.p < 1 - self.level

    @property
    def note(self) -> str:
        """What is to be told beside verdicts; "" where no difference in spread was shown."""
        return DIFFER.format(self.p) if self.heterogeneous else ""

    def of(self, cells: Iterable[Cell]) -> Variance | None:
        """Return the s^2 of a contrast of cells that weigh alike, but for sign, as `contrast` takes
        it.

        cells: on the splits of the contrast. None where their spread is not known.
        """
        whole = [(cell, reduced(cell, self.statistic)) for cell in cells if cell.seeded]
        shares = [
            (cell, split, on.trainings * (len(on.by_slice) / len(of.by_slice)) ** 2)
            for cell, of in whole
            for split, on in of.by_split.items()
        ]
        total = sum(share for *_, share in shares)
        found = self.variance(shares)
        return found * (1 / total) if found and total else found

    def variance(self, shares: Shares) -> Variance | None:
        """Return what trainings bring to the variance of a contrast; None where it is not known.

        Nothing where no cell trains.
        """
        if not shares:
            return NONE
        if not self.heterogeneous:
            total = sum(share for *_, share in shares)
            return self.pooled * total if self.pooled else None
        own = [reduced(cell, self.statistic).by_split[split].by_run for cell, split, _ in shares]
        parts = defaultdict[tuple[float, ...], float](float)  # c_g of each group that tells of it
        for (_, split, share), runs in zip(shares, own, strict=True):
            on_split = [there for (_, at, _), there in zip(shares, own, strict=True) if at == split]
            lenders = ([runs], on_split, self.by_split.get(split, []), own)
            known = next(filter(None, (_of_two(groups) for groups in lenders)), None)
            if known is None:
                return None
            df = sum(len(group) - 1 for group in known)
            for group in known:
                parts[group] += share * (len(group) - 1) / df
        return sum((_variance(group) * share for group, share in parts.items()), NONE)

    @cached_property
    def _groups(self) -> list[tuple[float, ...]]:
        return [group for groups in self.by_split.values() for group in groups]


def spreads(cells: Iterable[Cell], statistic: Statistic, level: float) -> Spreads:
    """Gather the trainings of cells under the same terms; arms without seeds have none."""
    by_split = defaultdict[str, list[tuple[float, ...]]](list)
    for cell in cells:
        if cell.seeded:
            for split, on in reduced(cell, statistic).by_split.items():
                by_split[split].append(on.by_run)
    return Spreads(statistic, dict(by_split), level)


def same_spread_p(groups: Iterable[Sequence[float]]) -> float:
    """Return the p of Bartlett's test that groups of values vary alike; see the head of this file.

    1 where fewer than two groups have two values, or no group's values differ. A group of equal
    values beside others that differ is the strongest evidence that there is.
    """
    known = sorted(_of_two(groups), key=len)
    variances = np.array([_variance(group).value for group in known])
    if len(known) < 2 or not variances.any():
        return 1.0
    df = np.array([len(group) - 1.0 for group in known])
    null = _simulated(tuple(df.tolist()))
    return float((1 + (null >= _bartlett(df, variances)).sum()) / (len(null) + 1))


@lru_cache(maxsize=64)
def _simulated(df: tuple[float, ...]) -> NDArray[np.float64]:
    """The statistic (SIMULATED,) of groups that vary alike; degrees of freedom are all it takes."""
    random = np.random.Generator(np.random.Philox(key=KEY))
    return _bartlett(np.array(df), random.chisquare(df, (SIMULATED, len(df))) / np.array(df))


def _bartlett(df: NDArray[np.float64], variances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bartlett's M of variances (..., groups); infinite where one of them is 0."""
    with np.errstate(divide="ignore"):
        pooled = np.log(variances @ df / df.sum())
        return np.asarray(df.sum() * pooled - np.log(variances) @ df)


def _of_two(groups: Iterable[Sequence[float]]) -> list[tuple[float, ...]]:
    """Those of two values or more."""
    return [tuple(group) for group in groups if len(group) > 1]


def _variance(group: Sequence[float]) -> Variance:
    value = float(np.var(group, ddof=1))
    return Variance(value if math.sqrt(value) > SAME else 0.0, len(group) - 1)
