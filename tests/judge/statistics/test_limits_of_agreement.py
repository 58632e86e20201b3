"""Bias and limits of agreement with patients as the unit: by hand, from scipy and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from strategies import law
from worlds import rng

from benchmark.judge.statistics.estimate import clustered_mean
from benchmark.judge.statistics.limits_of_agreement import agreement, single_sd

PATIENTS = ["a", "a", "b", "b"]


def test_two_patients_by_hand() -> None:
    """1, 3 | 5, 7: mean 4; MSB 2 (2^2 + 2^2) / 1 = 16, MSW 4 / 2 = 2, n0 (4 - 8/4) / 1 = 2.

    Between (16 - 2) / 2 = 7, within 2: SD 3. Limits 4 -+ 1.96 x 3.
    """
    found = agreement(np.array([1.0, 3.0, 5.0, 7.0]), PATIENTS, [1, 2, 3, 4])
    assert found.bias.value == 4
    assert found.sd == pytest.approx(3)
    assert found.limits == pytest.approx((-1.88, 9.88))


def test_patients_that_differ_less_than_their_slices_bring_nothing() -> None:
    """0, 2 | 0, 2: MSB 0, MSW 2: the SD is that within patients."""
    assert single_sd(np.array([0.0, 2.0, 0.0, 2.0]), PATIENTS) == pytest.approx(np.sqrt(2))


def test_one_difference_a_patient_is_the_method_of_1986() -> None:
    x = rng(1).normal(size=9)
    assert single_sd(x, list("abcdefghi")) == pytest.approx(x.std(ddof=1))


def test_mean_squares_are_those_of_scipys_analysis_of_variance() -> None:
    """Unequal patients: F = MSB / MSW, MSW the variance pooled within them."""
    sizes = [1, 2, 5, 9]
    groups = [rng(2).normal(i, 1.0, size=n) for i, n in enumerate(sizes)]
    names = np.repeat(list("abcd"), sizes).tolist()
    n, within = sum(sizes), sum(((g - g.mean()) ** 2).sum() for g in groups) / (sum(sizes) - 4)
    between = stats.f_oneway(*groups).statistic * within
    n0 = (n - sum(size**2 for size in sizes) / n) / 3
    expected = np.sqrt((between - within) / n0 + within)
    assert single_sd(np.concatenate(groups), names) == pytest.approx(expected)


def test_of_equal_patients_it_is_a_mixed_models_variance() -> None:
    """REML is the analysis of variance where patients are equal."""
    import statsmodels.api as sm

    where = np.repeat(np.arange(8), 4)
    x = rng(3).normal(size=8)[where] * 2 + rng(4).normal(size=32)
    fitted = sm.MixedLM(x, np.ones_like(x), where).fit(reml=True)
    expected = np.sqrt(float(fitted.cov_re[0, 0]) + fitted.scale)
    assert single_sd(x, [str(i) for i in where]) == pytest.approx(expected, rel=1e-4)


def test_a_slice_of_several_trainings_counts_once_in_the_bias() -> None:
    """Slice 1 is 1 and 3 off, slice 2 is 5 off: (2 + 5) / 2, with patients as the unit."""
    found = agreement(np.array([1.0, 3.0, 5.0]), ["a", "a", "b"], [1, 1, 2])
    expected = clustered_mean(np.array([2.0, 5.0]), ["a", "b"])
    assert found.bias == expected
    assert found.sd == pytest.approx(single_sd(np.array([1.0, 3.0, 5.0]), ["a", "a", "b"]))


def test_one_patient_shows_no_spread_between_patients() -> None:
    with pytest.raises(ValueError, match="1 patient"):
        single_sd(np.array([1.0, 2.0]), ["a", "a"])


@law
@given(st.lists(st.floats(-9, 9), min_size=6, max_size=6), st.floats(-9, 9), st.floats(0.1, 9))
def test_another_unit_and_another_zero_change_nothing_else(
    values: list[float], zero: float, unit: float
) -> None:
    x, names = np.array(values), list("aabbbc")
    assert single_sd(x * unit + zero, names) == pytest.approx(single_sd(x, names) * unit, abs=1e-6)
    assert single_sd(x[::-1].copy(), names[::-1]) == pytest.approx(single_sd(x, names), abs=1e-9)
