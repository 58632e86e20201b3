"""The prediction interval, by hand. t(0.975) is 4.302653 at 2 df and 12.706205 at 1."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from run_records import join, table
from scipy import stats

from benchmark.errors import RecordError
from benchmark.judge.cells import Cell, cell_of
from benchmark.judge.statistics.contrast import DICE, reduced
from benchmark.judge.statistics.estimate import NONE, Variance, clustered_mean
from benchmark.judge.statistics.prediction_interval import (
    Question,
    Sampling,
    between_slices,
    of_draws,
    sets_of,
    spread,
)
from benchmark.runs.collect import Collected

PATIENTS = ["a", "a", "b", "b"]
SD = 0.0  # of training sets, where the other parts are worked out
SPLIT, OTHERS = Question.ANOTHER_SPLIT, Question.OTHER_PATIENTS


def test_an_interval_of_equal_slices_holds_the_variance_between_seeds_alone() -> None:
    """0.88, 0.90, 0.92: s = 0.02; v = 0.0004 (1/3 + 1/3); 4.302653 sqrt(v) = 0.070262."""
    found = of_draws([np.array([[0.88, 0.90, 0.92]] * 4)], [PATIENTS], 708, SD)
    assert (found.mean, found.sd) == (pytest.approx(0.90), pytest.approx(0.02))
    assert (found.n, found.draws, found.fewest, found.tested) == (3, 1, 3, 4)
    for question in Question:
        assert found.half_width(question, 3, 0.95) == pytest.approx(0.070262, abs=1e-6)


def test_another_split_of_the_same_slices_holds_the_variance_between_slices_twice() -> None:
    """Slices at 0.8 and 1.0: S^2 = 4 x 0.01 / 3; of ten slices four are tested, v = 2 S^2 (1/4 -
    1/10) = 0.004. Their kurtosis is 1, so that df stay 3: t(0.975, 3) = 3.182446.
    """
    found = of_draws([np.array([[0.8] * 3, [0.8] * 3, [1.0] * 3, [1.0] * 3])], [PATIENTS], 10, SD)
    assert found.slices == Variance(pytest.approx(0.04 / 3), 3)
    assert found.half_width(SPLIT, 3, 0.95) == pytest.approx(3.182446 * math.sqrt(0.004), abs=1e-6)


def test_slices_that_are_all_tested_leave_nothing_to_another_split_of_them() -> None:
    """Our mean is the population's then, and so is that of another split: both test all four."""
    found = of_draws(
        [np.array([[0.8, 0.8], [0.8, 0.8], [1.0, 1.0], [1.0, 1.0]])], [PATIENTS], 4, SD
    )
    assert found.half_width(SPLIT, 3, 0.95) == 0
    assert found.half_width(OTHERS, 3, 0.95) > 1


def test_two_draws_of_a_population_are_each_a_part_of_it() -> None:
    """Draws of 2 of 10 slices, each at 0.8 and 1.0: S^2 = 0.02. Ours of four: S^2 (1/4 - 1/10);
    another's of two: S^2 (1/2 - 1/10).
    """
    dice = np.array([[0.8, 0.8], [1.0, 1.0]])
    sampling = of_draws([dice, dice], [["a", "b"], ["c", "d"]], 10, SD).sampling(SPLIT)
    assert (sampling.ours.value, sampling.another.value) == pytest.approx((0.003, 0.008))


def test_other_patients_hold_the_patients_variance_twice() -> None:
    """Equal seeds; patients at 0.8 and 1.0: SE 0.1, for ours and another's: v = 0.02, df 1."""
    found = of_draws([np.array([[0.8] * 3, [0.8] * 3, [1.0] * 3, [1.0] * 3])], [PATIENTS], 708, SD)
    assert found.patients.ours.value == found.patients.another.value == pytest.approx(0.01)
    half_width = 12.706205 * math.sqrt(0.02)
    assert found.half_width(OTHERS, 3, 0.95) == pytest.approx(half_width, abs=1e-6)


def test_variances_of_seeds_and_patients_add_with_satterthwaites_degrees_of_freedom() -> None:
    """v: seeds 0.1^2 2/3 = 1/150, df 2; two 1/50, df 1: 4/150, df 16 / (1/2 + 9/1) = 32/19."""
    dice = np.array([[0.7, 0.8, 0.9]] * 2 + [[0.9, 1.0, 1.1]] * 2)
    found = of_draws([dice], [PATIENTS], 708, SD)
    assert found.error_of(OTHERS, 3).df == pytest.approx(32 / 19)
    assert found.half_width(OTHERS, 3, 0.95) == pytest.approx(
        stats.t.ppf(0.975, 32 / 19) * math.sqrt(4 / 150)
    )


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_up_to_three_draws_take_a_stated_sd_of_training_sets_whatever_their_means(
    draws: int,
) -> None:
    """SD 0.03, of no degrees of freedom: 1.959964 sqrt(0.0009 (1/D + 1)). Two draws would show the
    0.02 of their means with one degree of freedom.
    """
    dice = [np.full((4, 3), value) for value in (0.8, 1.0, 0.9)][:draws]
    found = of_draws(dice, [[*"aabb"], [*"ccdd"], [*"eeff"]][:draws], 708, 0.03)
    assert found.sets == Variance(pytest.approx(0.0009))
    half_width = 1.959964 * math.sqrt(0.0009 * (1 / draws + 1))
    assert found.half_width(SPLIT, 3, 0.95) == pytest.approx(half_width, abs=1e-6)
    before = found.by_the_rule_before().sets
    assert (
        before
        == [NONE, Variance(pytest.approx(0.02), 1), Variance(pytest.approx(0.01), 2)][draws - 1]
    )


def test_four_draws_show_what_training_sets_bring() -> None:
    """Means 0.8 and 1.0 twice, else equal: r^2 = 0.04/3, df 3: 3.182446 sqrt(r^2 (1/4 + 1))."""
    dice = [np.full((4, 3), value) for value in (0.8, 1.0, 0.8, 1.0)]
    names = [[*"aabb"], [*"ccdd"], [*"eeff"], [*"gghh"]]
    found = of_draws(dice, names, 708, 0.5)
    assert (found.n, found.draws) == (12, 4)
    assert found.sets == Variance(pytest.approx(0.04 / 3), 3)
    # ours: over eight patients, four at each value: s^2 / 8 = (8 x 0.01 / 7) / 8
    assert found.patients.ours.value == pytest.approx(0.01 / 7)
    # within each draw all slices are alike, so another split of them brings nothing more
    half_width = 3.182446 * math.sqrt(0.05 / 3)
    assert found.half_width(SPLIT, 3, 0.95) == pytest.approx(half_width, abs=1e-6)
    only = replace(found, patients=Sampling(NONE, NONE))
    assert only.confidence().variance.value == pytest.approx(0.01 / 3)


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
# Squares of slices about their draw's mean: (1.7^2 + 3 x 0.6^2 + 7 x 0.5^2) / 11^2 and (1 + 1 + 4)
# / 30^2, over 10 + 2 degrees of freedom.
SLICES = (5.72 / 121 + 6 / 900) / 12
# Squares within each draw, over 1 + 2 degrees of freedom.
SEEDS = (2 * 0.01**2 + 2 * 0.03**2) / (1 + 2)
# Of the same two draws twice over: four means, two at each value.
SETS = (
    (8.2 / 11 - 1.3 / 3) ** 2 / 3
    - SLICES * (1 / 11 + 1 / 3) / 2
    - SEEDS * (1 / 2 + 1 / 3) / 2
)  # fmt: skip
# Eleven of fourteen slices are of two seeds each, three of three.
SEED_SHARE = 2 * (11 / (2 * 14)) ** 2 + 3 * (3 / (3 * 14)) ** 2
DRAW_SHARE = (11 / 14) ** 2 + (3 / 14) ** 2


def test_the_variances_of_draws_that_are_unlike_each_other_by_hand() -> None:
    found = of_draws(LOPSIDED, [FIRST, SECOND], 20, SD)
    assert (found.mean, found.n, found.draws) == (pytest.approx((8.2 + 1.3) / 14), 5, 2)
    assert (found.fewest, found.tested) == (2, 14)
    # of the four patients b is in both draws: one cluster of five slices, its mean the 0.8 and 0.4
    # of them
    means = np.concatenate([draw.mean(axis=1) for draw in LOPSIDED])
    ours = clustered_mean(means, FIRST + SECOND).variance
    both = (OF_FIRST + OF_SECOND) / 2  # known as well as ours: they are the same patients
    assert found.patients == Sampling(ours, Variance(pytest.approx(both), ours.df))
    assert found.slices.value == pytest.approx(SLICES)
    of_slices = found.sampling(SPLIT)
    assert of_slices.ours.value == pytest.approx(SLICES * (1 / 14 - 1 / 20))
    assert of_slices.another.value == pytest.approx(SLICES * (1 / 7 - 1 / 20))
    assert found.seeds == Variance(pytest.approx(SEEDS), 3)
    four = of_draws(LOPSIDED * 2, [FIRST, SECOND] * 2, 40, 0.5)
    assert four.sets == Variance(pytest.approx(SETS), 3)


def test_unequal_seeds_and_slices_weigh_as_their_trainings_do_in_the_mean() -> None:
    """Each training by its share of slices over the seeds on its draw; each draw by its slices."""
    found = of_draws(LOPSIDED, [FIRST, SECOND], 20, SD)
    assert found.seed_share == pytest.approx(SEED_SHARE)
    assert found.draw_share == pytest.approx(DRAW_SHARE)
    one = of_draws([LOPSIDED[1]], [SECOND], 20, SD)
    assert (one.seed_share, one.draw_share) == (pytest.approx(1 / 3), 1)
    found = reduced(lopsided_cell(), DICE)
    assert found.trainings == pytest.approx(SEED_SHARE)  # as in every contrast


def test_the_error_of_unlike_draws_adds_up() -> None:
    """Against a mean over four seeds on another draw: slices or patients, seeds df 6, training sets
    df 3.
    """
    found = of_draws(LOPSIDED * 2, [FIRST, SECOND] * 2, 40, SD)
    for question in Question:
        both = found.sampling(question).both
        parts = [
            (both.value, both.df),
            (SEEDS * (SEED_SHARE / 2 + 1 / 4), 6),
            (SETS * (DRAW_SHARE / 2 + 1), 3),
        ]
        v = sum(part for part, _ in parts)
        assert found.error_of(question, 4).value == pytest.approx(v)
        df = v**2 / sum(part**2 / df for part, df in parts)
        assert found.error_of(question, 4).df == pytest.approx(df)
    own = found.patients.ours.value + (SEEDS * SEED_SHARE + SETS * DRAW_SHARE) / 2
    assert found.confidence().variance.value == pytest.approx(own)


def test_two_variances_from_the_same_slices_know_no_more_than_the_poorer() -> None:
    assert Sampling(Variance(1.0, 3), Variance(2.0, 8)).both == Variance(3.0, 3)


def test_heavy_tails_leave_the_variance_between_slices_fewer_degrees_of_freedom() -> None:
    """One miss among nine alike: deviations -0.9 and nine of 0.1; fourth moment 0.6570 / 10 over
    squared second 0.09^2: kurtosis 8.1111, 5.1111 beyond 3; df = 2 / (2/9 + 5.1111/10).
    """
    found = between_slices([np.array([0.0, *[1.0] * 9])])
    assert found.value == pytest.approx(0.9 / 9)
    assert found.df == pytest.approx(2 / (2 / 9 + 0.51111), rel=1e-4)
    assert between_slices([np.array([0.0, 1.0] * 5)]).df == pytest.approx(9)
    with pytest.raises(ValueError, match="no draw has two slices"):
        between_slices([np.array([0.5])])


def lopsided(draw: int) -> Collected:
    """The first of the two on draws 1 and 3, the second on 2 and 4; no two share a slice."""
    dice, names = (LOPSIDED[0], FIRST) if draw % 2 else (LOPSIDED[1], SECOND)
    scores = dict(enumerate(dice.T.tolist()))
    return table(scores, names, first_slice=20 * (draw - 1), split_id=f"by-image-{draw}")


def lopsided_cell(*draws: int) -> Cell:
    runs = join(*map(lopsided, draws or (1, 2)))
    return cell_of(runs.runs, runs)


def test_what_training_sets_bring_to_a_cell_of_unlike_draws() -> None:
    """r^2 by the draws' shares, each draw's seeds counted for itself: two on one, three on the
    other; by patient what the patients of each fold bring stands in place of the slices'.
    """
    seeds, four = Variance(SEEDS, 6), lopsided_cell(1, 2, 3, 4)
    assert sets_of(four, seeds, 0.5) == Variance(pytest.approx(SETS * DRAW_SHARE / 2), 3)
    by_patient = replace(four, runs=four.runs.assign(split_unit="patient"))
    of_patients = SETS + SLICES * (1 / 11 + 1 / 3) / 2 - (OF_FIRST + OF_SECOND) / 2
    assert sets_of(by_patient, seeds, 0.5).value == pytest.approx(of_patients * DRAW_SHARE / 2)
    assert sets_of(lopsided_cell(1), seeds, 0.5) == Variance(0.25)
    assert sets_of(lopsided_cell(1, 2), seeds, 0.5) == Variance(pytest.approx(0.25 * DRAW_SHARE))
    alone = table(
        {1: [0.5, 0.6]}, ["e", "e"], first_slice=90, split_id="by-image-5"
    )  # one patient: no variance
    more = join(*map(lopsided, (1, 2, 3, 4)), alone)
    assert sets_of(cell_of(more.runs, more), seeds, 0.5) == NONE


def test_training_sets_bring_nothing_where_draws_differ_no_more_than_they_must() -> None:
    """Equal means: nothing is left for the training sets, and never less than nothing."""
    dice = np.array([[0.8, 0.9], [0.8, 0.9], [1.0, 1.1], [1.0, 1.1]])
    found = of_draws([dice] * 4, [[*"aabb"], [*"ccdd"], [*"eeff"], [*"gghh"]], 708, 0.5)
    assert found.sets == Variance(0.0, 3)


def test_one_seed_has_a_mean_and_no_interval() -> None:
    found = of_draws([np.array([[0.5], [0.7]])], [["a", "b"]], 708, SD)
    assert all(math.isnan(found.half_width(question, 3, 0.95)) for question in Question)
    assert math.isnan(found.sd)
    with pytest.raises(ValueError, match="two seeds"):
        found.confidence()


def test_the_smallest_margin_of_two_one_sided_tests() -> None:
    """Equal slices, 0.88, 0.90, 0.92: SE 0.02 / sqrt(3), t(0.95, 2) = 2.919986; 0.002 away."""
    found = of_draws([np.array([[0.88, 0.90, 0.92]] * 4)], [PATIENTS], 708, SD)
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
    assert spread(cell_of(both.runs, shuffled), 708, SD) == of_draws(dice, [PATIENTS] * 2, 708, SD)


@pytest.mark.parametrize("patients", [["a", "a", "b", None], ["a", "a", "a", "a"]])
def test_unknown_or_single_patients_are_refused(patients: list[str]) -> None:
    found = table({1: [0.5] * 4, 2: [0.6] * 4}, patients)
    with pytest.raises(RecordError, match=r"unet 5x5, alpha 0\.5: a patient is unknown, or alone"):
        spread(cell_of(found.runs, found), 708, SD)
