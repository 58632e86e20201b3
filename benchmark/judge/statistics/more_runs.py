"""What more draws and seeds would bring to the prediction interval. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pandas as pd

from benchmark.judge.statistics.estimate import Variance, t_quantile
from benchmark.judge.statistics.prediction_interval import ESTIMATED_FROM, Question, Spread
from benchmark.judge.statistics.severity import half_widths


def power_table(
    ours: Spread,
    other_seeds: int,
    level: float,
    power: float,
    draws: Sequence[int],
    seeds: Sequence[int],
    training_set_sd: float,
) -> pd.DataFrame:
    """Return what more runs would bring: expected half width, and the smallest true difference
    found with this power, for another split of the same slices.

    One row per number of draws and seeds on each, at the spread measured now. The half width is the
    mean of `half_widths`, so that what is estimated from few seeds or draws costs what it will cost
    then: from `ESTIMATED_FROM` draws on what training sets bring is estimated, below it is the
    square of training_set_sd. Columns: draws, seeds, trainings, half_width, difference.
    `ValueError` where the spread between seeds is not known.
    """
    rows, question = [], Question.ANOTHER_SPLIT
    constant = Variance(training_set_sd**2)
    true = ours.sets if ours.draws >= ESTIMATED_FROM else constant
    for d, s in product(draws, seeds):
        tested = round(ours.tested / ours.draws) * d
        assumed = replace(
            ours, n=d * s, draws=d, fewest=s, tested=tested, seed_share=1 / (d * s),
            draw_share=1 / d, seeds=Variance(ours.known_seeds().value, d * (s - 1)),
            slices=Variance(ours.slices.value, ours.slices.df * d / ours.draws),
            sets=Variance(true.value, d - 1) if d >= ESTIMATED_FROM else constant,
        )  # fmt: skip
        error = assumed.error_of(question, other_seeds)
        half_width = float(half_widths(assumed, question, other_seeds, level).mean())
        found = half_width + t_quantile(power, error.df) * math.sqrt(error.value)
        rows.append((d, s, d * s, half_width, found))
    return pd.DataFrame(rows, columns=["draws", "seeds", "trainings", "half_width", "difference"])
