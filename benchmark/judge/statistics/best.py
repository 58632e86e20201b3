"""Which of several cells may be the best: each one's chance, and a model confidence set.

Cells are held against a base each, on the splits that both were run on: d_c is the mean over those
slices of the cell's value minus the base's, each averaged over its seeds. So a run that is added
for one cell takes nothing away from another, and cells that share all their splits come to the same
whatever the base. Two cells that are not the base meet through it. The errors of all d_c together
have the covariance

    V = sum over patients of r_g r_g' + s^2 sum over trainings of t_j t_j'

r_g (K,): the sums of patient g's deviations from d, over n_c, times the root of the factor that
reduces the bias in `clustered_mean`, 0 where a cell has no slice of that patient; t_j (K,): what
training j weighs in each d; s^2: the variance between seeds.

Draws of d + error, error normal with covariance V whose two parts are divided by a chi-square over
its degrees of freedom each (patients': the fewest of all cells), are a *confidence distribution* of
the true differences (Schweder & Hjort, Confidence, Likelihood, Probability, Cambridge 2016): the
share of draws above a value is the p of the test that the truth is no more. A cell's chance of
being the best is the share of draws in which it has the highest mean. It takes every cell as it was
measured, shrinks nothing and knows nothing beforehand: so the cell that came out first has a chance
that is rather too high, the more so the more cells there are. It is not the chance that a claim is
true.

The model confidence set is Hansen, Lunde & Nason's, Econometrica 79 (2011) 453, with the range
statistic: as long as the largest |t| of all pairs is beyond what the same cells would show were all
alike, the cell is left out that lies farthest, in its own standard errors, below another. What is
left holds the best cell with a probability of at least the level; it is small where much is known.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.judge.cells import Cell
from benchmark.judge.statistics.contrast import DICE, reduced
from benchmark.judge.statistics.estimate import Variance, clustered_mean

DRAWS = 20_000  # a chance of 0.95 is then known to +- 0.003
STREAM = (20240905, 36)  # of the draws, the same for all
ROUNDING = 1e-9  # what arithmetic can leave of an exact tie

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Race:
    """K cells' differences from their bases, with all that they vary by.

    lead (K,): the differences, 0 of a base; patients (G, K), trainings (T, K): roots of their
    covariance, the second in units of the SD between seeds; patients_df: degrees of freedom of the
    first; seeds: the variance between seeds.
    """

    lead: Floats
    patients: Floats
    trainings: Floats
    patients_df: float
    seeds: Variance

    @cached_property
    def errors(self) -> Floats:
        """Draws (K, `DRAWS`) of what may be added to the differences; the same at every call."""
        random = np.random.Generator(np.random.Philox(key=np.array(STREAM, dtype=np.uint64)))
        total = np.zeros((DRAWS, len(self.lead)))
        parts = ((self.patients, self.patients_df), (self._trainings, self.seeds.df))
        for roots, df in parts:
            part = random.standard_normal((DRAWS, len(roots))) @ roots
            part *= np.sqrt(df / random.chisquare(df, DRAWS))[:, None] if np.isfinite(df) else 1.0
            total += part
        return np.ascontiguousarray(total.T)

    @property
    def _trainings(self) -> Floats:
        return self.trainings * self.seeds.value**0.5

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
        left, out, found = list(among or range(len(self.lead))), list[int](), list[float]()
        members, se = list(left), self._se
        ahead = self.lead[None, :] - self.lead[:, None]
        t = np.where(np.abs(ahead) > ROUNDING, ahead, 0.0) / se
        while len(left) > 1:
            behind = t[np.ix_(left, left)].max(axis=1)  # how far each lies below another
            found.append(float(behind.max()))
            out.append(left.pop(int(behind.argmax())))
        largest = np.zeros(DRAWS)  # |t| of all pairs so far, were all cells alike
        inside, kept = left, 0
        for i in reversed(range(len(out))):
            for other in inside:
                apart = np.abs(self.errors[out[i]] - self.errors[other]) / se[out[i], other]
                np.maximum(largest, apart, out=largest)
            inside = [*inside, out[i]]
            if not np.mean(largest >= found[i]) < 1 - level:
                kept = len(inside)  # the first test that does not tell them apart ends it
        return [cell for cell in members if cell in inside[: max(kept, 1)]]

    @cached_property
    def _se(self) -> Floats:
        """Standard errors (K, K) of the differences between cells; no less than `ROUNDING`."""
        roots = np.concatenate([self.patients, self._trainings])
        squares = ((roots[:, :, None] - roots[:, None, :]) ** 2).sum(axis=0)
        return np.maximum(np.sqrt(squares), ROUNDING)


def race_of(
    differences: Floats, patients: Sequence[str], trainings: Floats, seeds: Variance
) -> Race:
    """The race of differences (N, K) on N slices, NaN where a cell or its base was not tested.

    patients: of the slices; trainings (T, K): what each weighs in each cell's mean difference.
    `ValueError` where a cell has no slice or the slices of one are of fewer than two patients.
    """
    names, where = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    there = ~np.isnan(differences)
    n = there.sum(axis=0)
    if not n.all():
        raise ValueError("a cell has no slice in common with its base; leave it out")
    lead = np.nansum(differences, axis=0) / n
    deviations = np.where(there, differences - lead, 0.0) / n
    of_patient = np.zeros((len(names), len(where)))
    of_patient[where, np.arange(len(where))] = 1.0
    share = of_patient @ there / n  # (G, K)
    roots = of_patient @ deviations / np.sqrt(1 - 2 * share + (share**2).sum(axis=0))
    every = np.asarray(patients, dtype=str)
    patterns = np.unique(there, axis=1).T  # alike for all cells, as a rule
    df = min(
        clustered_mean(np.zeros(slices.sum()), every[slices].tolist()).variance.df
        for slices in patterns
    )
    return Race(lead, roots, trainings, df, seeds)


def race(cells: Sequence[Cell], bases: Sequence[Cell], seeds: Variance) -> Race | None:
    """Race cells for mean Dice, each against its base, on the slices that both were tested on.

    Each shares a split with its base. None where a patient is unknown, or the slices of a cell are
    of fewer than two.
    """
    pairs = [_pair(cell, base) for cell, base in zip(cells, bases, strict=True)]
    differences = pd.concat(pairs, axis=1, sort=True)
    patients = differences.index.get_level_values("patient_id")
    if patients.isna().any() or any(
        pair.index.get_level_values("patient_id").nunique() < 2 for pair in pairs
    ):
        return None
    trainings = _trainings(cells, bases, pairs)
    return race_of(differences.to_numpy(dtype=float), patients.tolist(), trainings, seeds)


def _pair(cell: Cell, base: Cell) -> pd.Series[float]:
    """What a cell has above its base, by slice."""
    mine, its = (reduced(each, DICE).by_slice for each in (cell, base))
    return (mine - its).dropna()


def _trainings(
    cells: Sequence[Cell], bases: Sequence[Cell], pairs: Sequence[pd.Series[float]]
) -> Floats:
    """What the trainings weigh in the difference (T, K), those of one cell on one split in one row:
    n seeds together as one that weighs 1 / sqrt(n) of them.
    """
    rows: dict[Hashable, Floats] = {}
    for k, (cell, base, pair) in enumerate(zip(cells, bases, pairs, strict=True)):
        if cell is base:
            continue
        by_split = pair.groupby(level="split_id").size() / len(pair)
        for each, sign in ((cell, 1.0), (base, -1.0)):
            seeds = each.runs.groupby("split_id")["seed"].nunique()
            for split, share in by_split.items() if each.seeded else ():
                row = rows.setdefault((id(each), split), np.zeros(len(cells)))
                row[k] += sign * share / seeds[split] ** 0.5
    return np.array(list(rows.values())).reshape(-1, len(cells))
