"""The prediction interval, by hand. t(0.975) is 4.302653 at 2 df and 12.706205 at 1."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from run_records import join, table
from scipy import stats

from benchmark.errors import RecordError
from benchmark.judge.cells import cell_of
from benchmark.judge.statistics.estimate import NONE, Variance, clustered_mean
from benchmark.judge.statistics.prediction_interval import (
    Spread,
    of_draws,
    power_table,
    sets_of,
    spread,
)

PATIENTS = ["a", "a", "b", "b"]


def test_a_prediction_interval_of_equal_slices_holds_the_variance_between_seeds_alone() -> None:
    """0.88, 0.90, 0.92: s = 0.02; v = 0.0004 (1/3 + 1/3); 4.302653 sqrt(v) = 0.070262."""
    found = of_draws([np.array([[0.88, 0.90, 0.92]] * 4)], [PATIENTS])
    assert (found.mean, found.sd) == (pytest.approx(0.90), pytest.approx(0.02))
    assert (found.n, found.draws) == (3, 1)
    assert found.half_width(3, 0.95) == pytest.approx(0.070262, abs=1e-6)


def test_a_prediction_interval_of_equal_seeds_holds_the_patients_variance_twice() -> None:
    """Equal seeds; patients at 0.8 and 1.0: SE 0.1, for ours and the fresh: v = 0.02, df 1."""
    found = of_draws([np.array([[0.8] * 3, [0.8] * 3, [1.0] * 3, [1.0] * 3])], [PATIENTS])
    assert found.ours.value == found.fresh.value == pytest.approx(0.01)
    assert found.half_width(3, 0.95) == pytest.approx(12.706205 * math.sqrt(0.02), abs=1e-6)


def test_variances_of_seeds_and_patients_add_with_satterthwaites_degrees_of_freedom() -> None:
    """v: seeds 0.1^2 2/3 = 1/150, df 2; two 1/50, df 1: 4/150, df 16 / (1/2 + 9/1) = 32/19."""
    found = of_draws([np.array([[0.7, 0.8, 0.9]] * 2 + [[0.9, 1.0, 1.1]] * 2)], [PATIENTS])
    assert found.error_of(3).df == pytest.approx(32 / 19)
    assert found.half_width(3, 0.95) == pytest.approx(
        stats.t.ppf(0.975, 32 / 19) * math.sqrt(4 / 150)
    )


def test_two_draws_show_what_training_sets_bring() -> None:
    """Means 0.8 and 1.0, else equal: r^2 = 0.02, df 1: 12.706205 sqrt(0.02 (1/2 + 1))."""
    found = of_draws([np.full((4, 3), 0.8), np.full((4, 3), 1.0)], [PATIENTS, ["c", "c", "d", "d"]])
    assert (found.n, found.draws) == (6, 2)
    assert found.sets == Variance(pytest.approx(0.02), 1)
    # ours: over four patients, two at each value: s^2 / 4 = (4 x 0.01 / 3) / 4
    assert found.ours.value == pytest.approx(0.04 / 3 / 4)
    only = Spread(0.9, 6, 2, NONE, NONE, NONE, found.sets)
    assert only.half_width(3, 0.95) == pytest.approx(12.706205 * math.sqrt(0.03), abs=1e-6)
    assert only.confidence().variance.value == pytest.approx(0.01)


# Draws that are unlike each other: patients of 1, 3 and 7 slices under two seeds; of 2 (b again)
# and 1 under three.
FIRST, SECOND = ["a", *"bbb", *"ccccccc"], ["b", "b", "d"]
LOPSIDED = [
    np.array([0.9, *[0.8] * 3, *[0.7] * 7])[:, None] + [-0.01, 0.01],
    np.array([0.4, 0.4, 0.5])[:, None] + [-0.03, 0.0, 0.03],
]
# One draw's mean. First: (0.9 + 2.4 + 4.9) / 11; sums of deviations / 11 are 1.7, 1.8 and -3.5 over
# 121, to be squared over 158/121, 114/121 and 26/121 (as in test_estimate). Second: two patients'
# means, 2/3 and 1/3 of them.
OF_FIRST = (1.7**2 / 158 + 1.8**2 / 114 + 3.5**2 / 26) / 121
OF_SECOND = 0.1**2 / 2 * (4 / 9 + 1 / 9)
SEEDS = (2 * 0.01**2 + 2 * 0.03**2) / (
    1 + 2
)  # squares within each draw, over 1 + 2 degrees of freedom
SETS = (8.2 / 11 - 1.3 / 3) ** 2 / 2 - (OF_FIRST + OF_SECOND) / 2 - SEEDS * (1 / 2 + 1 / 3) / 2


def test_the_four_variances_of_draws_that_are_unlike_each_other_by_hand() -> None:
    found = of_draws(LOPSIDED, [FIRST, SECOND])
    assert (found.mean, found.n, found.draws) == (pytest.approx((8.2 + 1.3) / 14), 5, 2)
    # of the four patients b is in both draws: one cluster of five slices, its mean the 0.8 and 0.4
    # of them
    means = np.concatenate([draw.mean(axis=1) for draw in LOPSIDED])
    assert found.ours == clustered_mean(means, FIRST + SECOND).variance
    both = (OF_FIRST + OF_SECOND) / 2
    assert found.fresh == Variance(pytest.approx(both), pytest.approx(1))  # df of the poorer draw
    assert found.seeds == Variance(pytest.approx(SEEDS), 3)
    assert found.sets == Variance(pytest.approx(SETS), 1)


def test_the_error_of_unlike_draws_adds_the_four_and_patients_know_no_more_than_the_poorer() -> (
    None
):
    """Against a mean over four seeds on another draw; df: patients 1, seeds 3, training sets 1."""
    found = of_draws(LOPSIDED, [FIRST, SECOND])
    patients = found.ours.value + found.fresh.value
    parts = [(patients, 1), (SEEDS * (1 / 5 + 1 / 4), 3), (SETS * (1 / 2 + 1), 1)]
    v = sum(part for part, _ in parts)
    assert found.ours.df > 1.1
    assert found.error_of(4).value == pytest.approx(v)
    assert found.error_of(4).df == pytest.approx(v**2 / sum(part**2 / df for part, df in parts))
    own = found.ours.value + SEEDS / 5 + SETS / 2
    assert found.confidence().variance.value == pytest.approx(own)


def test_what_training_sets_bring_to_a_cell_of_unlike_draws() -> None:
    """r^2 / D, each draw's seeds counted for itself: two on the first, three on the second."""
    one = table(dict(enumerate(LOPSIDED[0].T.tolist())), FIRST)
    two = table(
        dict(enumerate(LOPSIDED[1].T.tolist())), SECOND, first_slice=20, split_id="by-image-2"
    )
    cells = [cell_of(found.runs, found) for found in (one, two, join(one, two))]
    assert sets_of(cells[2], Variance(SEEDS, 3)) == Variance(pytest.approx(SETS / 2), 1)
    assert sets_of(cells[0], Variance(SEEDS, 3)) == NONE
    alone = table(
        {1: [0.5, 0.6]}, ["e", "e"], first_slice=30, split_id="by-image-3"
    )  # one patient: no variance
    more = join(one, two, alone)
    assert sets_of(cell_of(more.runs, more), Variance(SEEDS, 3)) == NONE


def test_training_sets_bring_nothing_where_draws_differ_no_more_than_they_must() -> None:
    """Equal means: nothing is left for the training sets, and never less than nothing."""
    dice = np.array([[0.8, 0.9], [0.8, 0.9], [1.0, 1.1], [1.0, 1.1]])
    assert of_draws([dice, dice], [PATIENTS, ["c", "c", "d", "d"]]).sets == Variance(0.0, 1)


def test_one_seed_has_a_mean_and_no_interval() -> None:
    found = of_draws([np.array([[0.5], [0.7]])], [["a", "b"]])
    assert math.isnan(found.half_width(3, 0.95))
    assert math.isnan(found.sd)
    with pytest.raises(ValueError, match="two seeds"):
        found.confidence()


def test_the_smallest_margin_of_two_one_sided_tests() -> None:
    """Equal slices, 0.88, 0.90, 0.92: SE 0.02 / sqrt(3), t(0.95, 2) = 2.919986; 0.002 away."""
    found = of_draws([np.array([[0.88, 0.90, 0.92]] * 4)], [PATIENTS])
    margin = found.smallest_margin(0.898, 0.95)
    assert margin == pytest.approx(0.002 + 2.919986 * 0.02 / math.sqrt(3), abs=1e-6)
    t = (found.mean - 0.898 - margin) / (0.02 / math.sqrt(3))
    assert stats.t.cdf(t, 2) == pytest.approx(0.05, abs=1e-6)  # the one-sided test is just passed


def test_a_cell_spreads_as_its_scores_do_in_whatever_order() -> None:
    """Two draws with other slices and seeds of their own; the order of rows is free."""
    one = table({1: [0.7, 0.8, 0.9, 0.8], 2: [0.8, 0.8, 0.9, 0.9]}, PATIENTS)
    two = table({1: [0.6, 0.5, 0.9, 0.9]}, PATIENTS, first_slice=10, split_id="by-image-2")
    both = join(one, two)
    dice = [
        np.array([[0.7, 0.8, 0.9, 0.8], [0.8, 0.8, 0.9, 0.9]]).T,
        np.array([[0.6, 0.5, 0.9, 0.9]]).T,
    ]
    shuffled = replace(both, scores=both.scores.sample(frac=1, random_state=1))
    assert spread(cell_of(both.runs, shuffled)) == of_draws(dice, [PATIENTS] * 2)


@pytest.mark.parametrize("patients", [["a", "a", "b", None], ["a", "a", "a", "a"]])
def test_unknown_or_single_patients_are_refused(patients: list[str]) -> None:
    found = table({1: [0.5] * 4, 2: [0.6] * 4}, patients)
    with pytest.raises(RecordError, match=r"unet 5x5, alpha 0\.5: a patient is unknown, or alone"):
        spread(cell_of(found.runs, found))


def test_more_draws_and_seeds_narrow_the_interval_as_computed_by_hand() -> None:
    """At s = 0.02, fresh 0.0004 (20 df), r^2 = 0.0001 (4 df): 2 draws of 3 seeds; then no wider."""
    patients = Variance(0.0004, 20)
    measured = Spread(0.9, 3, 1, Variance(0.0004, 2), patients, patients, Variance(0.0001, 4))
    table = power_table(measured, 3, 0.95, 0.8, (1, 2, 5), (3, 10)).set_index(["draws", "seeds"])
    parts = [(0.0004 * (1 / 6 + 1 / 3), 4), (0.0002 + 0.0004, 20), (0.0001 * (1 / 2 + 1), 4)]
    v = sum(part for part, _ in parts)
    df = v**2 / sum(part**2 / df for part, df in parts)
    assert table.loc[(2, 3), "half_width"] == pytest.approx(stats.t.ppf(0.975, df) * math.sqrt(v))
    expected = (stats.t.ppf(0.975, df) + stats.t.ppf(0.8, df)) * math.sqrt(v)
    assert table.loc[(2, 3), "difference"] == pytest.approx(expected)
    assert table["trainings"].tolist() == [3, 10, 6, 20, 15, 50]
    widths = [table.loc[row, "half_width"] for row in ((5, 10), (2, 3), (1, 3))]
    assert widths[0] < widths[1] < widths[2]
