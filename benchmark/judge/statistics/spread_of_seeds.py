"""The spread of trainings that a contrast uses, and whether all cells on all splits vary alike.

A group is the trainings of one cell on one split, of which two seeds or more tell a variance s_g^2
with n_g - 1 degrees of freedom. A contrast has of each of its groups the variance of that group
itself,

    v = sum over groups of c_g s_g^2        df = v^2 / sum over groups of (c_g s_g^2)^2 / (n_g - 1)

c_g being the group's share in the contrast, and df Satterthwaite's. A group with one seed borrows
what the contrast's other groups on its split come to; failing that, all cells on its split; failing
that, the contrast's groups on other splits; failing that, all cells on all splits.

Nothing is pooled before it must be. Few and small as groups are, no test tells them apart when it
should (at 5 % Bartlett's has a power of 0.27 against one of five groups with four times the SD, and
intervals would hold the truth in 70 to 90 of 100 cases), and each added run may turn it, and with
it every interval (Zimmerman, Brit. J. Mathematical & Statistical Psychology 57 (2004) 173). The p
of that test is told all the same. It is Bartlett's (Proc. Royal Society A 160 (1937) 268), by its
Monte Carlo p (Barnard 1963; Davison & Hinkley, Bootstrap Methods (1997), 4.2), since chi-square
does not hold for groups of two: exact whatever the sizes, where groups are independent and
trainings vary normally. It notices heavier tails than those, too.

The groups' own variances hold 95 % intervals better than one variance pooled over the contrast's
groups, where their spreads or their numbers of seeds differ (0.92 against 0.84, where the cell with
fewer seeds varies more). From either, what patients and trainings do together is taken, which the
patients' variance holds already (`crossed`).

Sources of the degrees of freedom: Satterthwaite, Biometrics Bulletin 2 (1946) 110; Welch,
Biometrika 34 (1947) 28.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmark.judge.cells import Cell
from benchmark.judge.statistics.contrast import Statistic, between_seeds, reduced
from benchmark.judge.statistics.crossed import crossed, net
from benchmark.judge.statistics.estimate import NONE, Variance

NOTE = (
    "That trainings of these cells vary alike is not shown (Bartlett's test: p = {:.2g}), so each "
    "comparison uses the spread of its own cells and splits."
)
SIMULATED = 4999  # a p of 0.05 is then known to +- 0.006
SAME = 1e-9  # trainings that lie closer are equal but for rounding
KEY = 15  # of the simulation; any other gives the same p but for its error

Shares = Sequence[tuple[Cell, str, float]]  # a cell, a split of its own, and its c_g
Trained = tuple[Cell, tuple[float, ...]]  # a cell on one split, the statistic of each training


@dataclass(frozen=True, eq=False)
class Spreads:
    """How far trainings of cells under the same terms lie apart in a statistic."""

    cells: tuple[Cell, ...]
    statistic: Statistic

    @cached_property
    def p(self) -> float:
        """Of the test that all groups vary alike; 1 where fewer than two groups have two seeds."""
        return same_spread_p(runs for _, runs in self._groups)

    @property
    def note(self) -> str:
        """What is to be told beside verdicts; "" where nothing can differ."""
        return NOTE.format(self.p) if self.p < 1 else ""

    @cached_property
    def pooled(self) -> Variance | None:
        """Of a training, were all groups alike; None without two seeds anywhere."""
        return pooled(self.cells, self.statistic)

    def on(self, split: str) -> Variance | None:
        """The same of the groups on one split; of all, where none there has two seeds."""
        there = [cell for cell, _ in self._by_split.get(split, [])]
        return pooled(there, self.statistic) or self.pooled

    def of(self, cells: Iterable[Cell]) -> Variance | None:
        """Return the variance per training that `contrast` takes for cells that weigh alike, but
        for sign.

        cells: on the splits of the contrast. None where their spread is not known.
        """
        whole = [(cell, reduced(cell, self.statistic)) for cell in cells if cell.seeded]
        shares = [
            (cell, split, on.trainings * (len(on.by_slice) / len(of.by_slice)) ** 2)
            for cell, of in whole
            for split, on in of.by_split.items()
        ]
        found, total = self.variance(shares), sum(share for *_, share in shares)
        return found * (1 / total) if found and total else found

    def variance(self, shares: Shares) -> Variance | None:
        """Return what trainings bring to the variance of a contrast; None where nothing is known.

        Nothing where no cell trains.
        """
        own = [self._group(cell, split) for cell, split, _ in shares]
        parts = defaultdict[Trained, float](float)  # c_g of each group that tells of it
        for (_, split, share), group in zip(shares, own, strict=True):
            there = [its for its, (_, at, _) in zip(own, shares, strict=True) if at == split]
            lenders = ([group], there, self._by_split.get(split, []), own, self._groups)
            known = next(filter(None, map(_of_two, lenders)), None)
            if known is None:
                return None
            df = sum(len(runs) - 1 for _, runs in known)
            for lender in known:
                parts[lender] += share * (len(lender[1]) - 1) / df
        seeds = sum((_variance(runs) * share for (_, runs), share in parts.items()), NONE)
        both = [crossed([cell], self.statistic) for cell, _ in parts]
        if not all(both):
            return seeds
        shared = zip(both, parts.values(), strict=True)
        return net(seeds, sum((i2 * share for i2, share in shared if i2), NONE))

    def _group(self, cell: Cell, split: str) -> Trained:
        of = reduced(cell, self.statistic).by_split.get(split)
        return on_split(cell, split), of.by_run if of else ()

    @cached_property
    def _by_split(self) -> Mapping[str, list[Trained]]:
        """The cells on each split, and the statistic of every training there."""
        found = defaultdict[str, list[Trained]](list)
        for cell in self.cells:
            for split in reduced(cell, self.statistic).by_split:
                found[split].append(self._group(cell, split))
        return found

    @cached_property
    def _groups(self) -> list[Trained]:
        return [group for of in self._by_split.values() for group in of]


def spreads(cells: Iterable[Cell], statistic: Statistic) -> Spreads:
    """The spreads of cells under the same terms; arms without seeds have none."""
    return Spreads(tuple(cell for cell in cells if cell.seeded), statistic)


def pooled(cells: Sequence[Cell], statistic: Statistic) -> Variance | None:
    """The variance of a training beyond what patients show, one for all cells and splits; None
    without two seeds anywhere.
    """
    seeds = between_seeds(cells, statistic)
    return net(seeds, crossed(cells, statistic)) if seeds else None


@lru_cache(maxsize=1024)
def on_split(cell: Cell, split: str) -> Cell:
    """The part of a cell on one split, the same one each time."""
    return cell.on([split])


def same_spread_p(groups: Iterable[Sequence[float]]) -> float:
    """Return the p of Bartlett's test that groups of values vary alike; see the head of this file.

    1 where fewer than two groups have two values, or no group's values differ. A group of equal
    values beside others that differ is the strongest evidence that there is.
    """
    known = sorted((group for group in groups if len(group) > 1), key=len)
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


def _of_two(groups: Iterable[Trained]) -> list[Trained]:
    """Those of two trainings or more."""
    return [group for group in groups if len(group[1]) > 1]


def _variance(group: Sequence[float]) -> Variance:
    value = float(np.var(group, ddof=1))
    return Variance(value if math.sqrt(value) > SAME else 0.0, len(group) - 1)
