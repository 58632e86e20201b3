"""Which of several cells may be the best: each one's chance, and a model confidence set.

Cells are held against a base each, on the splits that both were run on: d_c is what the cell has
above the base, each averaged over its seeds and splits weighted as `groups.combined` does. So a run
that is added for one cell takes nothing away from another. Two cells that are not the base meet
through it. The errors of all d_c together have the covariance

    V = sum over patients of r_g r_g' + sum over trainings of s_j^2 t_j t_j'

r_g (K,): what patient g's slices pull each d by, times the root of the factor that reduces the bias
in `clustered_mean`, 0 where a cell has no slice of his; t_j (K,): what training j weighs in each d;
s_j^2: the variance between seeds beyond what patients show already (`crossed`), that of all cells
on a split (two seeds of one cell alone say too little to set 36 against each other).

Draws of d + error, error normal with covariance V divided by a chi-square over its degrees of
freedom (Satterthwaite's of a difference, the fewest of all cells'), are a *confidence distribution*
of the true differences (Schweder & Hjort, Confidence, Likelihood, Probability, Cambridge 2016): the
share of draws above a value is the p of the t test that the truth is no more. A cell's chance of
being the best is the share of draws in which it has the highest mean. It takes every cell as it was
measured, shrinks nothing and knows nothing beforehand: so the cell that came out first has a chance
that is rather too high, the more so the more cells there are. It is not the chance that a claim is
true.

The model confidence set is Hansen, Lunde & Nason's, Econometrica 79 (2011) 453, with the range
statistic: as long as the largest |t| of all pairs is beyond what the same cells would show were all
alike, the cell is left out that lies farthest, in its own standard errors, below another. What is
left holds the best cell with a probability of at least the level; it is small where much is known.
(Their T_max sets cells against the mean of all, and so does not see one that leads the rest.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.judge.cells import Cell
from benchmark.judge.statistics.contrast import DICE, SLICE, common, reduced
from benchmark.judge.statistics.estimate import NONE, Variance, clustered_mean
from benchmark.judge.statistics.spread_of_seeds import Spreads

DRAWS = 20_000  # a chance of 0.95 is then known to +- 0.003
STREAM = (20240905, 36)  # of the draws, the same for all
ROUNDING = 1e-9  # what arithmetic can leave of an exact tie

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a covariance (K, K): roots (n, K), whose products sum to it, and its degrees of
    freedom.
    """

    roots: Floats
    df: float


@dataclass(frozen=True, eq=False)
class Race:
    """K cells' differences from their bases, lead (K,), 0 of a base, and the parts of what they
    vary by.
    """

    lead: Floats
    parts: tuple[Part, ...]

    @cached_property
    def roots(self) -> Floats:
        """Of all parts, (n, K): their products sum to the covariance."""
        return np.concatenate([part.roots for part in self.parts])

    @cached_property
    def df(self) -> float:
        """Degrees of freedom of the difference that has the fewest; infinite where none varies."""
        of = [((part.roots**2).sum(axis=0), part.df) for part in self.parts]
        total = sum((value for value, _ in of), np.zeros(len(self.lead)))
        spread = sum((value**2 / df for value, df in of), np.zeros(len(self.lead)))
        known = spread > 0
        return float((total[known] ** 2 / spread[known]).min(initial=np.inf))

    @cached_property
    def errors(self) -> Floats:
        """Draws (K, `DRAWS`) of what may be added to the differences; the same at every call."""
        random = np.random.Generator(np.random.Philox(key=np.array(STREAM, dtype=np.uint64)))
        draws = random.standard_normal((DRAWS, len(self.roots))) @ self.roots
        if np.isfinite(self.df):
            spread = random.chisquare(self.df, DRAWS) / self.df  # 0 at times for df far below 1
            draws /= np.sqrt(np.maximum(spread, ROUNDING))[:, None]
        return np.ascontiguousarray(draws.T)

    def chances(self) -> Floats:
        """Each cell's chance (K,) of having the highest mean; they sum to 1, ties share theirs."""
        draws = self.lead[:, None] + self.errors
        first = draws >= draws.max(axis=0) - ROUNDING
        shares: Floats = (first / first.sum(axis=0)).mean(axis=1)
        return shares

    def none_better(self, gain: float) -> float:
        """The chance that no cell is better than its base by more than gain."""
        within = self.lead[:, None] + self.errors <= gain + ROUNDING
        return float(within.all(axis=0).mean())

    def confidence_set(self, level: float, among: Sequence[int] = ()) -> list[int]:
        """Those of the cells (of all where none is named) that may be the best, in their order.

        With one cell, that one.
        """
        members = list(among or range(len(self.lead)))
        left, out, found, se = list(members), list[int](), list[float](), self._se
        ahead = self.lead[None, :] - self.lead[:, None]
        t = np.where(np.abs(ahead) > ROUNDING, ahead, 0.0) / se
        while len(left) > 1:
            behind = t[np.ix_(left, left)].max(axis=1)  # how far each lies below another
            found.append(float(behind.max()))
            out.append(left.pop(int(behind.argmax())))
        largest = np.zeros(DRAWS)  # |t| of all pairs so far, were all cells alike
        inside, kept = left, 1
        for last, t_found in zip(reversed(out), reversed(found), strict=True):
            for other in inside:
                apart = np.abs(self.errors[last] - self.errors[other]) / se[last, other]
                np.maximum(largest, apart, out=largest)
            inside = [*inside, last]
            if np.mean(largest >= t_found) >= 1 - level:
                kept = len(inside)  # the largest set that no test tells apart
        return [cell for cell in members if cell in inside[:kept]]

    @cached_property
    def _se(self) -> Floats:
        """Standard errors (K, K) of the differences between cells; no less than `ROUNDING`."""
        squares = ((self.roots[:, :, None] - self.roots[:, None, :]) ** 2).sum(axis=0)
        return np.maximum(np.sqrt(squares), ROUNDING)


def race_of(
    differences: Floats,
    patients: Sequence[str],
    trainings: Sequence[Part],
    weights: Floats | None = None,
) -> Race:
    """The race of differences (N, K) on N slices, NaN where a cell or its base was not tested.

    patients: of the slices; trainings: parts of the covariance beside that of the patients;
    weights (N, K): of a slice in its cell's mean, all alike where none are given. `ValueError`
    where a cell has no slice, or the slices of one are of fewer than two patients.
    """
    every = np.asarray(patients, dtype=str)
    names, where = np.unique(every, return_inverse=True)
    there = ~np.isnan(differences)
    n = there.sum(axis=0)
    if not n.all():
        raise ValueError("a cell has no slice in common with its base; leave it out")
    weight = there / n if weights is None else weights
    lead = np.nansum(differences * weight, axis=0)
    of_patient = np.zeros((len(names), len(where)))
    of_patient[where, np.arange(len(where))] = 1.0
    pulls = of_patient @ np.where(there, (differences - lead) * weight, 0.0)
    share = of_patient @ there / n  # (G, K)
    roots = pulls / np.sqrt(1 - 2 * share + (share**2).sum(axis=0))
    patterns = np.unique(there, axis=1).T  # one for all cells, as a rule
    df = min(
        clustered_mean(np.zeros(slices.sum()), every[slices].tolist()).variance.df
        for slices in patterns
    )
    return Race(lead, (Part(roots, df), *trainings))


def race(
    cells: Sequence[Cell], bases: Sequence[Cell], spreads: Spreads, fewest_seeds: int = 1
) -> Race | None:
    """Race cells for mean Dice, each against its base, on the slices that both were tested on; of
    the splits, on those where both have so many seeds (see `common`) if there are some.

    Each shares a split with its base; spreads: of Dice, under the same terms. None where no cell
    has two seeds, a patient is unknown, or the slices of a cell are of fewer than two.
    """
    if spreads.pooled is None:
        return None
    values: list[pd.Series[float]] = []
    weights: list[pd.Series[float]] = []
    rows = defaultdict[tuple[str, int], Floats](lambda: np.zeros(len(cells)))
    for k, (cell, base) in enumerate(zip(cells, bases, strict=True)):
        mine, its = (reduced(each, DICE).by_split for each in (cell, base))
        firm = common([cell, base], fewest_seeds)[0].splits
        shared = sorted(mine.keys() & its.keys() & firm)
        pairs = {split: (mine[split].by_slice - its[split].by_slice).dropna() for split in shared}
        knows = {
            split: len(pairs[split]) / ((mine[split].trainings + its[split].trainings) or 1.0)
            for split in shared
        }
        share = {split: known / sum(knows.values()) for split, known in knows.items()}
        values.append(pd.concat(pairs, names=SLICE[:1]))
        weights.append(
            pd.concat(
                {split: pair * 0 + share[split] / len(pair) for split, pair in pairs.items()},
                names=SLICE[:1],
            )
        )
        for split in shared if cell is not base else ():
            for each, sign, on in ((cell, 1, mine[split]), (base, -1, its[split])):
                rows[split, id(each)][k] += sign * share[split] * on.trainings**0.5
    if any(_too_few(value) for value in values):
        return None
    differences, weight = (pd.concat(each, axis=1, sort=True) for each in (values, weights))
    patients = differences.index.get_level_values("patient_id").tolist()
    trainings = _parts(rows, spreads)
    return race_of(differences.to_numpy(dtype=float), patients, trainings, weight.to_numpy())


def _too_few(values: pd.Series[float]) -> bool:
    patients = values.index.get_level_values("patient_id")
    return bool(patients.isna().any() or patients.nunique() < 2)


def _parts(rows: Mapping[tuple[str, int], Floats], spreads: Spreads) -> list[Part]:
    """What trainings bring: a part for each spread."""
    own = {split: spreads.on(split) or NONE for split in sorted({split for split, _ in rows})}
    by_spread = defaultdict[Variance, list[Floats]](list)
    for (split, _), row in rows.items():
        by_spread[own[split]].append(row)
    return [
        Part(np.array(found) * spread.value**0.5, spread.df) for spread, found in by_spread.items()
    ]
