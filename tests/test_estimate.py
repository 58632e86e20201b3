"""A mean with its uncertainty, every expected value derived by hand or by an independent route."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmark.judge.estimate import (
    NONE,
    Estimate,
    Variance,
    clustered_mean,
    clustered_share,
    holm,
    pooled_variance,
    t_quantile,
)

PATIENTS = ["a", "a", "b", "b"]


def test_two_equal_patients() -> None:
    """0.8, 0.8 | 1.0, 1.0: the mean of two patients' means 0.8 and 1.0: s = 0.1414, s / sqrt(2) = 0.1, df 1."""
    found = clustered_mean(np.array([0.8, 0.8, 1.0, 1.0]), PATIENTS)
    assert (found.value, found.se) == (pytest.approx(0.9), pytest.approx(0.1))
    assert found.variance.df == pytest.approx(1)
    assert found.half_width(0.95) == pytest.approx(12.706205 * 0.1, abs=1e-6)


def test_one_slice_a_patient_is_the_textbook() -> None:
    """SE s / sqrt(n) and n - 1 degrees of freedom: scipy's own interval."""
    x = np.array([0.1, 0.2, 0.3, 0.7])
    found = clustered_mean(x, list("abcd"))
    assert found.variance.df == pytest.approx(3)
    low, high = stats.t.interval(0.95, 3, x.mean(), stats.sem(x))
    assert found.interval(0.95) == (pytest.approx(low), pytest.approx(high))
    assert found.p_value() == pytest.approx(stats.ttest_1samp(x, 0).pvalue)


def test_unequal_patients_by_hand() -> None:
    """a: 0, 0, 0; b: 1. Means 0 and 1 have variance 1/2, so 3/4 and 1/4 of them (9/16 + 1/16) / 2. Two: df 1."""
    found = clustered_mean(np.array([0.0, 0.0, 0.0, 1.0]), list("aaab"))
    assert found.value == 0.25
    assert found.variance.value == pytest.approx(0.3125)
    assert found.variance.df == pytest.approx(1)


def test_the_variance_is_unbiased_where_patients_means_vary_alike() -> None:
    """Exactly: v is a quadratic form, so its expectation is the sum of v over unit vectors of patients' means."""
    sizes = [1, 2, 3, 10]
    names = np.repeat(list("abcd"), sizes).tolist()
    expected = sum(clustered_mean(np.repeat(unit, sizes), names).variance.value for unit in np.eye(4))
    share = np.array(sizes) / sum(sizes)
    assert expected == pytest.approx(share @ share)


def test_unequal_patients_count_as_fewer() -> None:
    """Ten patients, one of them with half of all slices: fewer than the nine degrees of freedom of equal ones."""
    sizes = [1] * 9 + [9]
    values = np.arange(18.0)
    found = clustered_mean(values, np.repeat(list("abcdefghij"), sizes).tolist())
    assert 1 < found.variance.df < 4
    assert clustered_mean(values[:10], list("abcdefghij")).variance.df == pytest.approx(9)


def test_one_patient_cannot_show_a_spread() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        clustered_mean(np.array([0.1, 0.2]), ["a", "a"])


def test_a_sum_of_variances_after_satterthwaite() -> None:
    """1/150 with df 2 and 1/50 with df 1: (4/150)^2 / (1/150^2/2 + 3^2/150^2/1) = 16 / (1/2 + 9) = 32/19."""
    total = Variance(1 / 150, 2) + Variance(1 / 50, 1)
    assert (total.value, total.df) == (pytest.approx(4 / 150), pytest.approx(32 / 19))
    assert Variance(0.5, 3) + NONE == Variance(0.5, 3)
    assert Variance(0.5, 3) * 2 == Variance(1.0, 3)


def test_an_estimate_without_spread() -> None:
    """No error: an interval of its own value, p 0 unless it is 0."""
    assert Estimate(0.3, Variance(0.0, 4)).interval(0.95) == (0.3, 0.3)
    assert Estimate(0.3, NONE).p_value() == 0
    assert Estimate(0.0, NONE).p_value() == 1


def test_quantiles_of_infinite_df_are_the_normal_ones() -> None:
    assert t_quantile(0.975, math.inf) == pytest.approx(1.959964, abs=1e-6)
    assert t_quantile(0.975, 3) == pytest.approx(stats.t.ppf(0.975, 3))


def test_pooling_within_groups() -> None:
    """0, 2 | 5 | 1, 2, 3: squares 2 + 0 + 2 over 1 + 0 + 2 degrees of freedom."""
    assert pooled_variance([[0, 2], [5], [1, 2, 3]]) == Variance(pytest.approx(4 / 3), 3)
    assert pooled_variance([[1.0], [2.0]]) is None
    assert pooled_variance([]) is None


def test_holm_by_hand() -> None:
    """0.01, 0.04, 0.03: 3 x 0.01, then 2 x 0.03, then max(0.06, 0.04)."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_shares() -> None:
    """None of 53 patients: Clopper and Pearson's upper end is 1 - 0.025^(1/53) = 0.0672 (scipy's beta quantile)."""
    names = [str(i) for i in range(53)]
    value, low, high = clustered_share(np.zeros(53, dtype=bool), names, 0.95)
    assert (value, low) == (0, 0)
    assert high == pytest.approx(stats.beta.ppf(0.975, 1, 53))
    assert clustered_share(np.ones(53, dtype=bool), names, 0.95) == (1, pytest.approx(1 - high), 1)
    assert clustered_share(np.array([True, False, False]), list("abc"), 0.95)[1:] == (0.0, 1.0)  # cut to [0, 1]
