"""The chance of "reproduced", against limits by hand and a plain simulation."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from strategies import costly

from benchmark.judge.statistics.estimate import NONE, Variance
from benchmark.judge.statistics.prediction_interval import (
    Question,
    Sampling,
    Spread,
    of_draws,
)
from benchmark.judge.statistics.severity import chance_of_reproduced, half_widths

# 106 of 708 slices at SD 0.137, three trainings at SD 0.0035: ours at 512x512.
PATIENTS = Sampling(Variance(0.00028, 16), Variance(0.00028, 16))
OURS = Spread(
    mean=0.889, n=3, draws=1, fewest=3, tested=106, population=708, slices=Variance(0.0188, 11),
    patients=PATIENTS, seeds=Variance(0.000012, 2), sets=NONE, seed_share=1 / 3, draw_share=1,
)  # fmt: skip
SIGMA = math.sqrt(0.0188 * 2 * (1 / 106 - 1 / 708) + 0.000012 * 2 / 3)


def chance(ours: Spread, *differences: float, limit: float = 0.06, **more: Any) -> list[float]:
    return chance_of_reproduced(ours, differences, 3, level=0.95, max_half_width=limit, **more)


def known(ours: Spread) -> Spread:
    """The same variances, known exactly."""
    exact = Variance(ours.slices.value), Variance(ours.seeds.value if ours.seeds else 0.0)
    return replace(ours, slices=exact[0], seeds=exact[1])


def test_variances_that_are_known_give_the_normal_probabilities() -> None:
    """|N(d, sigma)| <= 1.959964 sigma: 0.95 at no difference, 0.5 at one of the half width."""
    half = 1.959964 * SIGMA
    found = chance(known(OURS), 0.0, half, 0.02)
    expected = stats.norm.cdf(half, 0.02, SIGMA) - stats.norm.cdf(-half, 0.02, SIGMA)
    assert found == pytest.approx([0.95, 0.5, expected], abs=1e-4)


def test_rounding_is_added_to_the_reach_but_not_to_the_width() -> None:
    found = chance(known(OURS), 0.0, limit=1.959965 * SIGMA, rounding=0.001)
    reach = 1.959964 + 0.001 / SIGMA
    assert found == pytest.approx([2 * stats.norm.cdf(reach) - 1], abs=1e-5)


def test_an_interval_that_is_never_narrow_enough_is_never_reproduced() -> None:
    assert chance(OURS, 0.0, limit=0.001) == [0.0]
    assert chance(known(OURS), 0.0, limit=1.95 * SIGMA) == [0.0]


def test_no_spread_at_all_tells_every_difference_from_none() -> None:
    still = replace(OURS, slices=NONE, seeds=Variance(0.0, 2))
    assert chance(still, 0.0, 0.0004, 0.0006, rounding=0.0005) == [1.0, 1.0, 0.0]


def test_the_chance_is_the_same_on_either_side_and_falls_with_the_difference() -> None:
    found = chance(OURS, *np.linspace(-0.12, 0.12, 13))
    assert found == pytest.approx(found[::-1])
    assert found[6:] == sorted(found[6:], reverse=True)
    assert found[-1] < 0.01 < 0.94 < found[6] < 0.96


@costly
@given(st.floats(0, 0.1), st.floats(0, 0.1), st.floats(0.0001, 0.05), st.integers(1, 5))
def test_a_greater_difference_is_never_reproduced_more_often(
    one: float, other: float, slices: float, draws: int
) -> None:
    ours = replace(OURS, slices=Variance(slices, 11), draws=draws, tested=106 * draws,
                   sets=Variance(0.0001, draws - 1 if draws > 3 else math.inf))  # fmt: skip
    less, more = chance(ours, *sorted((one, other)))
    assert less >= more - 1e-12


def test_the_rule_before_says_reproduced_more_often_at_a_difference_that_matters() -> None:
    now, before = (chance(OURS, 0.05, before=before)[0] for before in (False, True))
    assert now < before - 0.1


@pytest.mark.parametrize("draws", [1, 2, 5])
def test_it_is_what_a_plain_simulation_of_slices_and_trainings_comes_to(draws: int) -> None:
    """Normal slices (SD 0.14) of which 106 a draw of 708 are tested, 3 trainings each (SD 0.01) on
    training sets (SD 0.006): 1500 times judged from what is found, against the chance at the true
    spread. Both are known to about 0.02.
    """
    random = np.random.Generator(np.random.Philox(key=15))
    slices, seeds, sets = 0.14, 0.01, 0.006
    names = [[str(i) for i in range(106)] for _ in range(draws)]
    said = {0.0: 0, 0.03: 0}

    def trained(values: NDArray[np.float64]) -> NDArray[np.float64]:
        own = sets * random.standard_normal() + seeds * random.standard_normal(3)
        return np.asarray(values[:, None] + own)

    for _ in range(1500):
        population = slices * random.standard_normal(708)
        order = random.permutation(708)
        tested = [trained(population[order[i * 106 : i * 106 + 106]]) for i in range(draws)]
        found = of_draws(tested, names, 708, sets)
        half = found.half_width(Question.ANOTHER_SPLIT, 3, 0.95)
        other = trained(population[random.permutation(708)[:106]]).mean()
        for true in said:
            said[true] += half <= 0.045 and abs(found.mean - other - true) <= half
    truth = replace(
        found, slices=Variance(slices**2, 106 * draws - draws),
        seeds=Variance(seeds**2, 2 * draws),
        sets=Variance(sets**2, draws - 1 if draws > 3 else math.inf),
    )  # fmt: skip
    counted = [n / 1500 for n in said.values()]
    assert chance(truth, *said, limit=0.045) == pytest.approx(counted, abs=0.03)


def test_half_widths_spread_about_the_one_of_the_spread_measured() -> None:
    """Their middle is near it: a chi-square over its df has its median just below 1."""
    for question in Question:
        middle = float(np.median(half_widths(OURS, question, 3, 0.95)))
        assert middle == pytest.approx(OURS.half_width(question, 3, 0.95), rel=0.05)


def test_seeds_whose_spread_is_not_known_are_refused() -> None:
    with pytest.raises(ValueError, match="no draw has two seeds"):
        chance(replace(OURS, seeds=None), 0.0)
