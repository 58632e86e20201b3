"""How severe a verdict of reproduced is: how often it would be given, were the truth another. Pure.

Mayo's severity (Statistical Inference as Severe Testing, 2018): a claim is well tested only where
the test would probably have failed it, had it been false. So for a true difference d between the
mean Dice of two experiments, over splits and trainings, the chance that the number printed lies in
our interval and the interval is narrow enough,

    E over half widths w of 1[w <= max] (Phi((w + rounding - d) / sigma)
                                         - Phi((-w - rounding - d) / sigma))

sigma^2: the variance of the difference between our mean and another on another random split of the
same slices, at the spread measured now. w is drawn: each estimated variance is its value times a
chi-square over its degrees of freedom, independent of the mean, and the half width is worked out
from them as the rule does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.judge.statistics.estimate import Variance
from benchmark.judge.statistics.prediction_interval import Question, Spread

REPETITIONS = 10_000
KEY = 1502  # of the Philox stream: the same chance every time


def chance_of_reproduced(
    ours: Spread,
    differences: Sequence[float],
    other_seeds: int,
    *,
    level: float,
    max_half_width: float,
    rounding: float = 0.0,
    before: bool = False,
) -> list[float]:
    """Return the chance, in [0, 1], of a verdict of reproduced at each true difference in Dice.

    before: by the rule before 2026-11-30, which decided by the interval for other patients; the
    truth is always that of another split of the same slices. `ValueError` where the spread between
    seeds is not known.
    """
    from scipy.special import ndtr

    widths = (
        half_widths(ours.by_the_rule_before(), Question.OTHER_PATIENTS, other_seeds, level)
        if before
        else half_widths(ours, Question.ANOTHER_SPLIT, other_seeds, level)
    )
    narrow, reach = widths <= max_half_width, widths + rounding
    sigma = math.sqrt(ours.error_of(Question.ANOTHER_SPLIT, other_seeds).value)
    chances = []
    for difference in differences:
        if sigma:
            inside = ndtr((reach - difference) / sigma) - ndtr((-reach - difference) / sigma)
        else:
            inside = np.abs(difference) <= reach
        chances.append(float(np.mean(narrow * inside)))
    return chances


def half_widths(
    ours: Spread, question: Question, other_seeds: int, level: float
) -> NDArray[np.float64]:
    """Half widths (`REPETITIONS`,) that the rule would come to, were the spread as measured now."""
    from scipy.special import ndtri, stdtrit

    random = np.random.Generator(np.random.Philox(key=KEY))

    def measured(true: Variance) -> NDArray[np.float64]:
        if not true.value or not math.isfinite(true.df):
            return np.full(REPETITIONS, true.value)
        return np.asarray(true.value * random.chisquare(true.df, REPETITIONS) / true.df)

    sampling, seeds = ours.sampling(question).both, measured(ours.known_seeds())
    parts = [
        (measured(sampling), sampling.df),
        (seeds * (ours.seed_share + 1 / other_seeds), ours.known_seeds().df),
    ]
    if math.isinf(ours.sets.df):
        known = np.full(REPETITIONS, ours.sets.value * (ours.draw_share + 1))
        parts.append((known, math.inf))
    else:
        # what the draws' means show is r^2 with the slices and seeds that it is then freed from
        freed = ours.slices * (ours.draws / ours.tested)
        of_seeds = ours.draws * ours.seed_share
        shown = ours.sets.value + freed.value + ours.known_seeds().value * of_seeds
        beyond = measured(Variance(shown, ours.sets.df)) - measured(freed) - seeds * of_seeds
        parts.append((np.maximum(beyond, 0.0) * (ours.draw_share + 1), ours.sets.df))
    total = sum(part for part, _ in parts)
    squares = sum(part**2 / df for part, df in parts)
    finite = squares > 0
    df = np.where(finite, total**2 / np.where(finite, squares, 1.0), 1.0)
    p = (1 + level) / 2
    return np.asarray(np.where(finite, stdtrit(df, p), ndtri(p)) * np.sqrt(total))
