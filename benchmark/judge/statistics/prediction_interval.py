"""Where another mean over a few seeds, on another random split, would lie.

Two questions, and an interval for each. `Question.ANOTHER_SPLIT`: another random split by image of
the same N slices. They are a finite population, and a split takes a simple random sample of them
without replacement, whosever they are; so of the variance S^2 between slices

    ours     S^2/M (1 - M/N)   of our mean over the M slices that our D disjoint test sets hold
    another  S^2/n (1 - n/N)   of the mean over another test set, n = M/D

and the two are independent given the population. `Question.OTHER_PATIENTS`: a split of as many
slices of patients that nobody has seen. Then both means vary as their patients do:

    ours     clustered by patient, of our mean (`benchmark.judge.statistics.estimate`)
    another  clustered by patient, of one draw's mean; the average over ours

What trainings bring is added to either:

    seeds    s^2, between the seeds' means on one draw, pooled over ours
    sets     r^2, of the training sets: what the variance between our draws' means has beyond S^2/n
             and s^2, D - 1 degrees of freedom; of fewer than `ESTIMATED_FROM` draws, which cannot
             show it or show next to nothing, the square of a constant of the rules, as if known

    half width = t sqrt(ours + another + s^2 (sum a^2 + 1/m) + r^2 (sum b^2 + 1))

for a mean over m seeds on one other draw; a: the share of each training of ours in our mean, b:
that of each draw. S^2 is that of slices averaged over seeds, so it holds a little of their
residual; Dice has heavy tails, which leave S^2 the fewer degrees of freedom the higher the kurtosis
of our slices. How often such intervals hold what they should, with one draw and with five, is
simulated in `tests/judge/statistics/test_prediction_coverage.py`. Two draws would show r^2 with one
degree of freedom, so that a second draw that agrees with the first would widen the interval.

Sources: sampling without replacement, Cochran, Sampling Techniques (1977), chapter 2; degrees of
freedom of a variance, O'Neill, American Statistician 68 (2014) 282; prediction interval for the
mean of m future values, Hahn & Meeker, Statistical Intervals (1991), section 4.8; two one-sided
tests, Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15 (1987) 657; why the split must vary
too, Bouthillier et al., MLSys (2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
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
)

ESTIMATED_FROM = 4  # draws, of which what training sets bring is estimated


class Question(StrEnum):
    """What the other mean, that ours is set against, is a mean of."""

    ANOTHER_SPLIT = "another random split of the same slices"
    OTHER_PATIENTS = "other patients"


@dataclass(frozen=True)
class Sampling:
    """What the choice of test slices brings to the variance of our mean and of another."""

    ours: Variance
    another: Variance

    @property
    def both(self) -> Variance:
        """Of the difference; both are known from our slices, so their df do not add."""
        df = min(self.ours.df, self.another.df)
        return Variance(self.ours.value + self.another.value, df)


@dataclass(frozen=True)
class Spread:
    """Our mean over slices and seeds, n trainings on some draws, and the variances above.

    fewest: seeds on the draw that has fewest. slices: S^2 between slices, of which population are N
    and tested are M. seeds: s^2, None where no draw has two. seed_share, draw_share: the sums of
    a^2 and b^2. shown: what the draws show of sets, however few they are; nothing by one.
    """

    mean: float
    n: int
    draws: int
    fewest: int
    tested: int
    population: int
    slices: Variance
    patients: Sampling
    seeds: Variance | None
    sets: Variance
    seed_share: float
    draw_share: float
    shown: Variance = NONE

    @property
    def sd(self) -> float:
        """SD between the seeds' means on one draw; NaN where it is not known."""
        return math.sqrt(self.seeds.value) if self.seeds else math.nan

    def sampling(self, question: Question) -> Sampling:
        """What the choice of slices brings under a question."""
        if question is Question.OTHER_PATIENTS:
            return self.patients
        ours = without_replacement(self.tested, self.population)
        another = without_replacement(self.tested / self.draws, self.population)
        return Sampling(self.slices * ours, self.slices * another)

    def error_of(self, question: Question, other_seeds: int) -> Variance:
        """The variance of (our mean - another mean over other_seeds seeds on another draw)."""
        between = self.known_seeds() * (self.seed_share + 1 / other_seeds)
        return self.sampling(question).both + between + self.sets * (self.draw_share + 1)

    def half_width(self, question: Question, other_seeds: int, level: float) -> float:
        """Half width of the prediction interval; NaN where the seeds' spread is not known."""
        if not self.seeds:
            return math.nan
        return Estimate(0.0, self.error_of(question, other_seeds)).half_width(level)

    def by_the_rule_before(self) -> Spread:
        """As judged before 2026-11-30: training sets bring what any number of draws shows."""
        return replace(self, sets=self.shown)

    def confidence(self) -> Estimate:
        """Our mean as an estimate of the arm's over patients, training sets and seeds."""
        seeds, sets = self.known_seeds() * self.seed_share, self.sets * self.draw_share
        return Estimate(self.mean, self.patients.ours + seeds + sets)

    def smallest_margin(self, printed: float, level: float) -> float:
        """The smallest margin at which two one-sided tests at 1 - level call our mean equal."""
        return Estimate(self.mean - printed, self.confidence().variance).smallest_margin(level)

    def known_seeds(self) -> Variance:
        """seeds; `ValueError` where it is not known."""
        if self.seeds is None:
            raise ValueError("no draw has two seeds, so the spread between them is not known")
        return self.seeds


def without_replacement(sample: float, population: int) -> float:
    """Var of the mean of a simple random sample, in units of S^2 (Cochran 1977, theorem 2.2)."""
    return max(0.0, 1 / sample - 1 / population)


def between_slices(draws: Sequence[NDArray[np.float64]]) -> Variance:
    """S^2 of the values (n,) of each draw, pooled; its degrees of freedom by their kurtosis.

    The variance of S^2 is S^4 (2 / (M - D) + excess / M), so the df 2 over that bracket: M - D for
    normal values, fewer for heavy tails, and never more. `ValueError` for single slices alone.
    """
    slices = pooled_variance([draw.tolist() for draw in draws])
    if slices is None:
        raise ValueError("no draw has two slices, so the spread between them is not known")
    off = np.concatenate([draw - draw.mean() for draw in draws])
    second = float(np.mean(off**2))
    excess = max(0.0, float(np.mean(off**4)) / second**2 - 3) if second else 0.0
    return Variance(slices.value, 2 / (2 / slices.df + excess / len(off)))


def of_draws(
    dice: Sequence[NDArray[np.float64]],
    patients: Sequence[Sequence[str]],
    population: int,
    training_set_sd: float,
) -> Spread:
    """Measure the spread of (slices, seeds) scores on each draw, whose test sets share no slice.

    patients names each slice's; every test set needs two of them, else `ValueError`. population:
    how many slices there are to draw from. training_set_sd: what training sets are taken to bring
    where there are fewer than `ESTIMATED_FROM` draws, in Dice.
    """
    by_slice = [draw.mean(axis=1) for draw in dice]
    means = [clustered_mean(draw, names) for draw, names in zip(by_slice, patients, strict=True)]
    ours = clustered_mean(np.concatenate(by_slice), [name for names in patients for name in names])
    slices = between_slices(by_slice)
    seeds = pooled_variance([draw.mean(axis=0).tolist() for draw in dice])
    n_slices, n_seeds = (np.array([draw.shape[axis] for draw in dice]) for axis in (0, 1))
    share = n_slices / n_slices.sum()
    between = slices.value * float(np.mean(1 / n_slices))
    shown = _shown([e.value for e in means], between, n_seeds.tolist(), seeds)
    return Spread(
        mean=ours.value,
        n=int(n_seeds.sum()),
        draws=len(dice),
        fewest=int(n_seeds.min()),
        tested=int(n_slices.sum()),
        population=population,
        slices=slices,
        patients=Sampling(ours.variance, Variance(_of_one(means), ours.variance.df)),
        seeds=seeds,
        sets=shown if len(dice) >= ESTIMATED_FROM else Variance(training_set_sd**2),
        seed_share=float(np.sum(share**2 / n_seeds)),
        draw_share=float(np.sum(share**2)),
        shown=shown,
    )


def _of_one(draws: Sequence[Estimate]) -> float:
    """The variance of one draw's mean, the average over ours."""
    return float(np.mean([e.variance.value for e in draws]))


def _shown(
    means: Sequence[float], tested: float, n_seeds: Sequence[float], seeds: Variance | None
) -> Variance:
    """r^2 as the draws show it; tested: what other slices or patients bring to the variance between
    their means.
    """
    if len(means) < 2:
        return NONE
    of_seeds = seeds.value * float(np.mean([1 / n for n in n_seeds])) if seeds else 0.0
    beyond = float(np.var(means, ddof=1)) - tested - of_seeds
    return Variance(max(0.0, beyond), len(means) - 1)


def spread(cell: Cell, population: int, training_set_sd: float) -> Spread:
    """Measure the spread of a cell's Dice over its draws, of population slices.

    Raises `RecordError` where a patient is unknown, or alone in a test set.
    """
    return of_draws(*_draws(cell), population, training_set_sd)


def sets_of(cell: Cell, seeds: Variance, training_set_sd: float) -> Variance:
    """What training sets bring to the variance of a cell's mean over its draws or folds: r^2 times
    the draws' squared shares.

    Of fewer than `ESTIMATED_FROM` the constant's square in place of r^2; nothing where `spread`
    would refuse. seeds: the variance between. Draws by image are samples of the same slices, folds
    by patient are of other patients.
    """
    by_slice = reduced(cell, DICE).by_slice.reset_index()
    draws = dict(list(by_slice.groupby("split_id")))
    patients = [draw["patient_id"] for draw in draws.values()]
    if any(names.isna().any() or names.nunique() < 2 for names in patients):
        return NONE
    values = [draw["value"].to_numpy(dtype=float) for draw in draws.values()]
    share = np.array([len(draw) for draw in values]) / max(len(by_slice), 1)
    if len(draws) < ESTIMATED_FROM:
        return Variance(training_set_sd**2) * float(share @ share)
    if set(cell.runs["split_unit"]) == {"image"}:
        tested = between_slices(values).value * float(np.mean([1 / len(draw) for draw in values]))
    else:
        pairs = zip(values, patients, strict=True)
        tested = _of_one([clustered_mean(draw, names.tolist()) for draw, names in pairs])
    rows = cell.rows["split_id"].value_counts()  # some slices may be of fewer seeds than others
    n_seeds = [rows[split] / len(draw) for split, draw in draws.items()]
    means = [float(draw.mean()) for draw in values]
    return _shown(means, tested, n_seeds, seeds) * float(share @ share)


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
