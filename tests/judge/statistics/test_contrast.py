"""A difference between cells that are unlike in patients, draws, seeds and slices; by hand, or by
leaving patients out.

The whole chain, from rows of scores to a variance and its degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from run_records import join, table, terms

from benchmark.judge.cells import Cell, cell_of
from benchmark.judge.claims.image_claims import signed_sum, small_and_large
from benchmark.judge.statistics.contrast import (
    DICE,
    LOG_SD,
    Statistic,
    between_seeds,
    contrast,
    mean,
    reduced,
)
from benchmark.judge.statistics.estimate import Estimate, Variance, clustered_mean
from benchmark.runs.collect import Collected

FIRST, SECOND = [*"abbbccccccc"], [*"bbd"]  # patients of the slices of two draws; b is in both
SIZES = terms()[1].sizes


def cell(*parts: Collected) -> Cell:
    whole = join(*parts)
    return cell_of(whole.runs, whole)


def on_first(by_patient: tuple[float, float, float], *seeds: float) -> Collected:
    """A Dice for each patient of the first draw, and what each training adds to it."""
    dice = np.repeat(by_patient, [1, 3, 7])
    return table({i: (dice + seed).tolist() for i, seed in enumerate(seeds)}, FIRST)


def on_second(dice: list[float], *seeds: float) -> Collected:
    of = {i: [x + seed for x in dice] for i, seed in enumerate(seeds)}
    return table(of, SECOND, first_slice=20, split_id="by-image-2")


def unseeded(dice: Sequence[float], patients: list[str], **more: Any) -> Collected:
    """Of an arm without seeds: no variance but that between patients."""
    return table({None: dice}, patients, **more)  # type: ignore[dict-item]


ONE = (on_first((0.9, 0.8, 0.7), -0.01, 0.0, 0.01), on_second([0.4, 0.4, 0.5], -0.02, 0.02))
TWO = (on_first((0.7, 0.8, 0.8), -0.03, 0.03), on_second([0.3, 0.5, 0.2], 0.0))


def test_the_variance_between_seeds_is_pooled_within_each_draw_of_each_cell() -> None:
    """Squares 0.0002 (df 2), 0.0008 (1), 0.0018 (1) and none of the single training: 0.0028 / 4."""
    assert between_seeds([cell(*ONE), cell(*TWO)], DICE) == Variance(
        pytest.approx(0.0028 / 4), pytest.approx(4)
    )


def test_a_weighted_difference_of_unlike_cells_by_hand() -> None:
    """2 x one - other on 14 slices, of which 11 are of the first draw.

    A training's share in its cell's mean: one's 11/14 over three seeds and 3/14 over two; other's
    11/14 over two, 3/14.
    """
    cells = [cell(*ONE), cell(*TWO)]
    found = contrast([(2.0, cells[0]), (-1.0, cells[1])], DICE, between_seeds(cells, DICE))
    slices = [1.1, *[0.8] * 3, *[0.6] * 7, 0.5, 0.3, 0.8]  # 2 x 0.9 - 0.7 and so on
    patients = clustered_mean(np.array(slices), FIRST + SECOND)
    trainings = 4 * (3 * (11 / 42) ** 2 + 2 * (3 / 28) ** 2) + 2 * (11 / 28) ** 2 + (3 / 14) ** 2
    seeds = 0.0007 * trainings
    assert found is not None
    assert found.value == pytest.approx(sum(slices) / 14)
    assert found.variance.value == pytest.approx(patients.variance.value + seeds)
    squares = patients.variance.value**2 / patients.variance.df + seeds**2 / 4
    assert found.variance.df == pytest.approx(found.variance.value**2 / squares)


def test_a_slice_that_several_draws_tested_is_one_slice_at_its_mean_where_slices_are_paired() -> (
    None
):
    """Slice 20 of b is 0.4 in one draw, 0.8 in another: 0.6; 21 of b 0.4, 22 of d 0.6. Else 0.3."""
    draw = unseeded([0.4, 0.4, 0.6], SECOND, first_slice=20, split_id="by-image-2")
    again = unseeded([0.8], ["b"], first_slice=20, split_id="by-image-3")
    other = cell(unseeded([0.3] * 3, SECOND, first_slice=20, split_id="by-patient-1"))
    parts = [(1.0, cell(draw, again)), (-1.0, other)]
    assert contrast(parts, DICE, None) is None  # no slice of the one's splits is of the other's
    found = contrast(parts, DICE, None, by_slice=True)
    expected = clustered_mean(np.array([0.3, 0.1, 0.3]), SECOND)
    assert found is not None
    assert (found.value, found.se) == (pytest.approx(expected.value), pytest.approx(expected.se))


# What enters a statistic.

DETECTED = Statistic(
    "mean of the detected", lambda rows: rows["dice"].where(rows["dice"] > 0).to_numpy(dtype=float)
)


def test_a_slice_enters_from_every_seed_once_from_one_and_pulls_only_where_it_does() -> None:
    """Of 0.9, 0.6, 0.3 the mean is 0.6; of 0.8, 0.6 it is 0.7, and each pulls at it 3/2 as much as
    one of three.

    So 0.85, 0.7 and 0.55 stand beside 0.9, 0.6 and 0.3. The fourth slice enters from no seed.
    """
    there = cell(table({1: [0.9, 0.6, 0.3, 0.0], 2: [0.8, 0.0, 0.6, 0.0]}, list("abcd")))
    found = reduced(there, DETECTED)
    assert found.by_slice.tolist() == pytest.approx([0.875, 0.65, 0.425])
    assert found.by_run.tolist() == pytest.approx([0.6, 0.7])
    assert (mean(there, DETECTED), found.trainings) == (pytest.approx(0.65), pytest.approx(1 / 2))


def test_a_run_from_which_no_slice_enters_has_no_statistic() -> None:
    """Nor a share in the mean: that of the other seed is 1."""
    found = reduced(cell(table({1: [0.9, 0.6], 2: [0.0, 0.0]}, list("ab"))), DETECTED)
    assert (found.by_slice.tolist(), found.trainings) == ([0.9, 0.6], 1)
    assert found.by_run.tolist() == [pytest.approx(0.75)]


def test_the_log_sd_is_that_of_the_slices_themselves() -> None:
    """0.7 and 0.9 lie 0.1 from their mean; n - 1 would make 0.1414 of it."""
    found = reduced(cell(unseeded([0.7, 0.9], ["a", "b"])), LOG_SD)
    assert found.by_run.tolist() == [pytest.approx(math.log(0.1))]
    assert found.trainings == 0  # nothing was trained


# Against the jackknife: the same statistic of the scores with one patient after another left out.


def small_minus_large_directly(dice: NDArray[np.float64], area: NDArray[np.float64]) -> float:
    low, high = SIZES.edges_mm2
    return float(dice[area < low].mean() - dice[area >= high].mean())


@pytest.mark.parametrize(
    ("estimated", "direct"),
    [
        (lambda cell: contrast([(1.0, cell)], DICE, None), lambda dice, area: dice.mean()),
        (
            lambda cell: contrast([(1.0, cell)], LOG_SD, None),
            lambda dice, area: math.log(np.std(dice)),
        ),
        (lambda cell: signed_sum(small_and_large(cell, SIZES, 0.0)), small_minus_large_directly),
    ],
    ids=["mean", "log SD", "small minus large"],
)
def test_the_variance_of_a_statistic_is_about_that_of_the_jackknife(
    estimated: Callable[[Cell], Estimate | None], direct: Callable[..., float]
) -> None:
    """300 patients of 1, 3 and 7 slices, who differ by more than their slices do; two thirds of
    these are middling.

    (G - 1) / G x the sum of squares of what leaving one patient out makes of it; the value itself
    is exact.
    """
    rng, who = np.random.default_rng(12), np.repeat(range(300), [1, 3, 7] * 100)
    dice = rng.normal(0.8, 0.04, 300)[who] + rng.normal(0, 0.02, len(who))
    area = rng.choice([100.0, 900.0, 900.0, 900.0, 900.0, 2000.0], len(who))
    measures = {"truth_mm2": area.tolist(), "nsd_1mm": [1.0] * len(who)}
    runs = unseeded(dice.tolist(), who.astype(str).tolist(), measures=measures)
    found = estimated(cell(runs))
    without = np.array([direct(dice[who != i], area[who != i]) for i in range(300)])
    assert found is not None
    assert found.value == pytest.approx(direct(dice, area))
    assert found.variance.value == pytest.approx(
        299 / 300 * ((without - without.mean()) ** 2).sum(), rel=0.05
    )
