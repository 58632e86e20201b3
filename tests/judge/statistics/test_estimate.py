"""A mean with its uncertainty, every expected value derived by hand or by an independent route."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from worlds import DRAWS, patients, rng, slices_of

from benchmark.judge.statistics.estimate import (
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
ONE_THREE_SEVEN = (1, 3, 7)  # slices of each patient


def test_the_error_of_two_equal_patients_by_hand() -> None:
    """0.8, 0.8 | 1.0, 1.0: two patients' means 0.8 and 1.0: s = 0.1414, s / sqrt(2) = 0.1, df 1."""
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
    """a: 0, 0, 0; b: 1. Means of variance 1/2; 3/4, 1/4 of them: (9/16 + 1/16) / 2. Two: df 1."""
    found = clustered_mean(np.array([0.0, 0.0, 0.0, 1.0]), list("aaab"))
    assert found.value == 0.25
    assert found.variance.value == pytest.approx(0.3125)
    assert found.variance.df == pytest.approx(1)


def test_the_variance_is_unbiased_where_patients_means_vary_alike() -> None:
    """Exactly: a quadratic form's expectation sums v over unit vectors of patients' means."""
    sizes = [1, 2, 3, 10]
    names = np.repeat(list("abcd"), sizes).tolist()
    expected = sum(
        clustered_mean(np.repeat(unit, sizes), names).variance.value for unit in np.eye(4)
    )
    share = np.array(sizes) / sum(sizes)
    assert expected == pytest.approx(share @ share)


def test_patients_of_one_three_and_seven_slices_by_hand() -> None:
    """Means 0, 1, 0 over 11 slices: mean 3/11; sums of deviations / 11 are -3, 24 and -21 over 121.

    1 - 2w + sum of w^2 is (121 - 22 + 59) / 121 for the first, 114/121 and 26/121 for the others.
    """
    patients = np.repeat(list("abc"), ONE_THREE_SEVEN).tolist()
    found = clustered_mean(np.repeat([0.0, 1.0, 0.0], ONE_THREE_SEVEN), patients)
    assert found.value == pytest.approx(3 / 11)
    assert found.variance.value == pytest.approx((3**2 / 158 + 24**2 / 114 + 21**2 / 26) / 121)


@pytest.mark.parametrize("sizes", [ONE_THREE_SEVEN, (1,) * 9 + (9,)])
def test_the_degrees_of_freedom_are_those_of_a_quadratic_form_in_patients_means(
    sizes: tuple[int, ...],
) -> None:
    """v = m'Am; where the means m vary alike, Satterthwaite's are (tr A)^2 / tr(A^2), less than of
    equal patients.

    A from v itself: A_ij = (v(e_i + e_j) - v(e_i) - v(e_j)) / 2, for v(2 e_i) is 4 v(e_i).
    """
    names, units = [str(i) for i in np.repeat(range(len(sizes)), sizes)], np.eye(len(sizes))

    def variance(means: NDArray[np.float64]) -> float:
        return clustered_mean(np.repeat(means, sizes), names).variance.value

    form = np.array(
        [[(variance(e + f) - variance(e) - variance(f)) / 2 for f in units] for e in units]
    )
    df = clustered_mean(np.arange(float(sum(sizes))), names).variance.df
    assert df == pytest.approx(np.trace(form) ** 2 / np.trace(form @ form))
    assert df < len(sizes) - 1


def test_one_patient_cannot_show_a_spread() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        clustered_mean(np.array([0.1, 0.2]), ["a", "a"])


def test_a_sum_of_variances_after_satterthwaite() -> None:
    """1/150, df 2; 1/50, df 1: (4/150)^2 / (1/150^2/2 + 3^2/150^2/1) = 16 / (1/2 + 9) = 32/19."""
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


def test_where_no_or_every_slice_hits_the_far_end_is_clopper_and_pearsons_of_patients() -> None:
    """Three patients of 1, 3 and 7 slices are three trials, not eleven; 53 of one slice are 53."""
    for sizes in (ONE_THREE_SEVEN, (1,) * 53):
        n, names = len(sizes), [str(i) for i in np.repeat(range(len(sizes)), sizes)]
        none, every = (
            clustered_share(np.full(len(names), hit), names, 0.95) for hit in (False, True)
        )
        exact = [stats.binomtest(hits, n).proportion_ci(0.95, "exact") for hits in (0, n)]
        assert none == (0, 0, pytest.approx(exact[0].high))
        assert every == (1, pytest.approx(exact[1].low), 1)


def test_a_share_of_single_slices_is_clopper_and_pearson_s_of_the_n_they_show() -> None:
    """3 of 20: v = p (1 - p) / 19, so 2.85 of 19, whose ends are quantiles of beta laws."""
    found = clustered_share(np.arange(20) < 3, [str(i) for i in range(20)], 0.95)
    ends = stats.beta.ppf([0.025, 0.975], [2.85, 3.85], [17.15, 16.15])
    assert found == (0.15, *(pytest.approx(end) for end in ends))


def test_patients_whose_slices_differ_by_chance_are_no_more_than_their_slices() -> None:
    """Half of each of two patients: no spread shows between them, which says little; it is 4 slices
    at most, and with one degree of freedom in place of three 4 (3.1824 / 12.7062)^2 = 0.2509.
    """
    share, low, high = clustered_share(np.array([True, False] * 2), PATIENTS, 0.95)
    n = 4 * (3.182446 / 12.706205) ** 2
    ends = stats.beta.ppf([0.025, 0.975], [n / 2, n / 2 + 1], [n / 2 + 1, n / 2])
    assert (share, low, high) == (0.5, pytest.approx(ends[0]), pytest.approx(ends[1]))
    assert (low < 0.01, high > 0.99) == (True, True)


@pytest.mark.parametrize("unlike", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("draws", [1, 5])
def test_a_small_share_lies_beyond_either_end_as_rarely_as_the_level_says(
    share: float, unlike: bool, draws: int
) -> None:
    """0.025 of each side, on the slices of one draw or five; unlike patients are so with a
    correlation of 0.2 between slices of one. The t interval missed 0.05 by its upper end in 0.08 to
    0.12 of the worlds. Of few patients with hits spread is told too small where they are unlike:
    over five draws, the upper end misses 0.02 in 0.07 of the worlds, 0.05 in 0.05, 0.1 in 0.04.
    """
    tested = np.concatenate([slices_of(split) for split in DRAWS[:draws]])
    clusters = [patients()[i] for i in tested]
    names, where = np.unique(clusters, return_inverse=True)
    random, worlds, beyond = rng(3), 1000, np.zeros(2)
    for _ in range(worlds):
        of = random.beta(share * 4, (1 - share) * 4, len(names)) if unlike else share
        hits = random.random(len(where)) < np.broadcast_to(of, len(names))[where]
        _, low, high = clustered_share(hits, clusters, 0.95)
        beyond += low > share, high < share
    below, above = beyond / worlds
    assert below <= 0.04
    few = unlike and draws == 5
    assert above <= ({0.02: 0.09, 0.05: 0.07, 0.1: 0.055}[share] if few else 0.04)
    if draws == 5:
        assert below + above > 0.005  # and no end is so far off that it never misses


def test_two_one_sided_tests_are_those_of_statsmodels() -> None:
    """With one slice a patient: the larger p of t tests against -0.2 and 0.2."""
    from statsmodels.stats.weightstats import DescrStatsW

    x = np.array([0.1, 0.2, -0.1, 0.15, 0.02])
    found = clustered_mean(x, list("abcde"))
    p, *_ = DescrStatsW(x).ttost_mean(-0.2, 0.2)
    assert found.p_of_margin(0.2) == pytest.approx(p)


@pytest.mark.parametrize("value", [-0.3, 0.0, 0.1])
@pytest.mark.parametrize("df", [3.0, math.inf])
def test_the_smallest_margin_is_where_both_tests_just_pass(value: float, df: float) -> None:
    """It is the farther end of the interval at 2 level - 1, and p there is 1 - level."""
    found = Estimate(value, Variance(0.01, df))
    margin = found.smallest_margin(0.95)
    assert found.p_of_margin(margin) == pytest.approx(0.05)
    assert margin == pytest.approx(max(map(abs, found.interval(0.9))))


def test_without_spread_a_value_within_the_margin_is_equivalent_and_no_other() -> None:
    known = Estimate(0.1, NONE)
    assert (known.p_of_margin(0.2), known.p_of_margin(0.1)) == (0, 1)
    assert known.smallest_margin(0.95) == 0.1
