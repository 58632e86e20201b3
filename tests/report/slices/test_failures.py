"""Failure cases are found by their rules: which slices, in which order, shown as which training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from run_records import terms
from skimage.draw import disk, polygon
from strategies import law, seeds

from benchmark.judge.claims.image_claims import centre_missed
from benchmark.report.slices import failures
from benchmark.report.slices.contour_shape import (
    LEAST_STRAIGHT,
    LEAST_STRAND_MM2,
    left_out_strand_mm2,
    straight_share,
)
from benchmark.report.slices.failures import FailureCases

SIZES, RULE = terms()[1].sizes, terms()[1].claims  # edges at 663 and 1263 mm2; missed below 0.5
SMALL, MIDDLE, LARGE = 100.0, 900.0, 1500.0
SPACING = (0.5, 0.5)
USUAL = {"patient_id": "1", "dice": 0.9, "truth_mm2": LARGE, "predicted_mm2": LARGE, "nsd_1mm": 0.8,
         "tp": 10, "sensitivity": 0.9, "core_sensitivity": 1.0}  # fmt: skip


def rows(**runs: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows of these runs, each a list of slices numbered from 1."""
    scores = [
        {"run_id": run_id, "slice_id": number, **USUAL, **changes}
        for run_id, slices in runs.items()
        for number, changes in enumerate(slices, 1)
    ]
    table = pd.DataFrame({"run_id": list(runs), "split_id": "by-image-1"})
    table["seed"] = pd.array(range(1, len(runs) + 1), dtype="Int64")
    return failures.rows_of(table, pd.DataFrame(scores))


def dices(**runs: list[float]) -> pd.DataFrame:
    return rows(**{run_id: [{"dice": dice} for dice in values] for run_id, values in runs.items()})


def numbers(cases: FailureCases) -> list[int]:
    return cases.table["slice_id"].tolist()


def test_each_row_knows_the_mean_of_its_slice() -> None:
    table = dices(a=[0.2, 1.0], b=[0.6, 1.0])
    assert dict(zip(table["slice_id"], table["dice_mean"], strict=True)) == {1: 0.4, 2: 1.0}
    assert (len(table), set(table["trainings"])) == (4, {2})


def test_lowest_first_by_the_mean_over_trainings_missed_tumours_among_them() -> None:
    """Means 0.5, 0.4, 0.45: the lowest single Dice (slice 1, run b) decides nothing."""
    assert numbers(failures.lowest(dices(a=[0.9, 0.4, 0.4], b=[0.1, 0.4, 0.5]))) == [2, 3, 1]
    assert numbers(failures.lowest(dices(a=[0.3, 0.0, 0.1]))) == [2, 3, 1]


def test_the_training_shown_is_the_one_nearest_to_the_mean() -> None:
    """Mean 0.5 of 0.1, 0.45 and 0.95: the middle one."""
    (case,) = failures.lowest(dices(a=[0.95], b=[0.45], c=[0.1])).table.to_dict("records")
    assert (case["run_id"], case["seed"], case["dice"]) == ("b", 2, 0.45)
    assert (case["value"], case["trainings"]) == (0.5, 3)


def test_ties_go_to_the_lower_slice_and_run() -> None:
    table = failures.lowest(dices(b=[0.4, 0.4], a=[0.6, 0.6])).table  # both are as near to 0.5
    assert table["slice_id"].tolist() == [1, 2]
    assert table["run_id"].tolist() == ["a", "a"]


def test_at_most_four_are_shown_and_all_are_counted() -> None:
    cases = failures.lowest(dices(a=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))
    assert (numbers(cases), cases.met, cases.tally) == ([1, 2, 3, 4], 6, " (4 of 6 shown)")


def test_standings_of_eleven_slices() -> None:
    """Ranks 0 to 10: the 90th, 50th and 10th percentile are ranks 9, 5 and 1."""
    cases = failures.standings(dices(a=[round(0.1 * i, 1) for i in range(11)]))
    assert numbers(cases) == [10, 6, 2]


def test_small_means_the_smallest_third_found_by_every_training() -> None:
    """Slice 1 is large, 2 was missed by one training, 4 is worse than 3."""
    small = [{"dice": dice, "truth_mm2": SMALL} for dice in (0.2, 0.5, 0.4)]
    missed = {"dice": 0.0, "truth_mm2": SMALL, "tp": 0}
    table = rows(a=[{"dice": 0.1}, *small], b=[{"dice": 0.1}, missed, *small[1:]])
    assert numbers(failures.small(table, SIZES)) == [4, 3]


@pytest.mark.parametrize(("area", "met"), [(662.9, 1), (663.0, 0)])
def test_the_edge_of_the_smallest_third_is_outside_it(area: float, met: int) -> None:
    assert failures.small(rows(a=[{"truth_mm2": area}]), SIZES).met == met


def test_right_outlines_of_low_dice() -> None:
    """The mean Dice of right outlines is (0.95 + 0.8 + 0.9 + 0.95) / 4 = 0.9: slice 2 is below."""
    slices = [(0.95, 0.95, LARGE), (0.8, 0.9, SMALL), (0.9, 1.0, SMALL), (0.95, 0.95, SMALL),
              (0.1, 0.89, SMALL)]  # fmt: skip  # the last does not look right
    names = ("dice", "nsd_1mm", "truth_mm2")
    table = rows(a=[dict(zip(names, values, strict=True)) for values in slices])
    cases = failures.small_right(table, SIZES, RULE)
    assert numbers(cases) == [2]
    assert cases.table["value"].tolist() == [0.9]
    assert "0.900, lowest" in cases.rule


def test_missed_centres_by_the_least_of_the_core() -> None:
    """Slice 3 is not large, of 4 too little was found as a whole, of 5 the core is just found."""
    a = [
        {"core_sensitivity": 0.4},
        {"core_sensitivity": 0.1},
        {"core_sensitivity": 0.0, "truth_mm2": MIDDLE},
        {"core_sensitivity": 0.0, "sensitivity": 0.49},
        {"core_sensitivity": 0.5, "sensitivity": 0.5},
    ]
    cases = failures.necrotic(rows(a=a, b=[{"core_sensitivity": 0.3}, {}, {}, {}, {}]), SIZES, RULE)
    assert numbers(cases) == [2, 1]
    assert cases.table["run_id"].tolist() == ["a", "b"]  # the training that missed most of it


def test_none_is_shown_where_none_meets_the_rule() -> None:
    """Never the nearest one dressed as a case."""
    cases = failures.necrotic(rows(a=[{"core_sensitivity": 0.51}]), SIZES, RULE)
    assert (cases.met, len(cases.table)) == (0, 0)
    assert "slice_id" in cases.table


SLICE = st.tuples(st.floats(0, 1), st.floats(0, 1), st.sampled_from([MIDDLE, LARGE]))


@law
@given(st.lists(SLICE, min_size=1, max_size=8))
def test_the_cases_are_the_claims_own(slices: list[tuple[float, float, float]]) -> None:
    """The same predicate as the claim necrotic-centres, which counts those it is true of."""
    names = ("core_sensitivity", "sensitivity", "truth_mm2")
    table = rows(a=[dict(zip(names, values, strict=True)) for values in slices])
    wanted = table[(table["truth_mm2"] >= SIZES.edges_mm2[1]) & centre_missed(table, RULE)]
    assert failures.necrotic(table, SIZES, RULE).met == len(wanted)


@law
@given(seeds)
def test_the_order_of_rows_decides_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    runs = pd.DataFrame({"run_id": ["a", "b", "c"], "split_id": "by-image-1", "seed": [1, 2, None]})
    scores = pd.DataFrame({"run_id": np.repeat(["a", "b", "c"], 6)}).assign(
        **{**USUAL, "slice_id": np.tile(np.arange(6), 3), "dice": rng.integers(0, 4, 18) / 4}
    )
    mixed = scores.sample(frac=1, random_state=seed % 2**32)
    first, other = (failures.lowest(failures.rows_of(runs, part)).table for part in (scores, mixed))
    pd.testing.assert_frame_equal(first, other)


def test_straight_truths_from_a_least_share() -> None:
    shares = {1: LEAST_STRAIGHT, 2: 0.7, 3: LEAST_STRAIGHT - 0.01}
    table = dices(a=[0.9, 0.8, 0.7], b=[0.9, 0.8, 0.7])
    cases = failures.straight(table, shares, SIZES.edges_mm2[0])
    assert (numbers(cases), cases.table["value"].tolist()) == ([2, 1], [0.7, LEAST_STRAIGHT])


def test_strands_show_the_run_that_left_them_out() -> None:
    areas = {("a", 1): 3.0, ("b", 1): 8.0, ("a", 2): LEAST_STRAND_MM2, ("b", 2): LEAST_STRAND_MM2}
    table = failures.strands(dices(a=[0.9, 0.8], b=[0.9, 0.8]), areas).table
    assert table["slice_id"].tolist() == [1, 2]
    assert table["run_id"].tolist() == ["b", "a"]
    assert table["value"].tolist() == [8.0, 5.0]


def shape(indices: tuple[NDArray[np.int64], ...]) -> NDArray[np.bool_]:
    mask = np.zeros((128, 128), dtype=bool)
    mask[indices] = True
    return mask


def a_disk(radius: float) -> NDArray[np.bool_]:
    return shape(disk((64, 64), radius))


@pytest.mark.parametrize(
    "corners",
    [
        [(20, 20), (20, 90), (90, 90), (90, 20)],
        [(10, 60), (60, 110), (110, 60), (60, 10)],
        [(20, 30), (30, 100), (100, 80), (70, 15)],
    ],
)
def test_quadrilaterals_are_straight(corners: list[tuple[int, int]]) -> None:
    """Any quadrilateral has 1, but for the last pixels at its corners."""
    assert straight_share(shape(polygon(*zip(*corners, strict=True)))) > 0.9


def test_discs_and_nothing_are_not_straight() -> None:
    """A chord that stays within t of a circle of radius r spans 2 acos(1 - t/r).

    23 degrees at 50, 4 of them 0.26; a radius of 30 is about the edge of the smallest third.
    """
    assert 0.2 < straight_share(a_disk(50)) < 0.35
    assert straight_share(a_disk(30)) < LEAST_STRAIGHT
    assert straight_share(np.zeros((8, 8), dtype=bool)) == 0


def left_out(width: int, grey: int = 200, spacing_mm: tuple[float, float] = SPACING) -> float:
    """Of a bright disc 40 pixels across with a tail of 30 x width pixels, the disc alone found."""
    body = a_disk(20)
    truth = body.copy()
    truth[64 : 64 + width, 84:114] = True
    image = np.where(truth, np.uint8(200), np.uint8(50))
    image[truth & ~body] = grey
    assert left_out_strand_mm2(image, truth, truth, spacing_mm) == 0
    assert left_out_strand_mm2(image, truth, np.zeros_like(truth), spacing_mm) == 0  # none found
    assert left_out_strand_mm2(image, body, body, spacing_mm) == 0  # no tail in the truth
    return left_out_strand_mm2(image, truth, body, spacing_mm)


@pytest.mark.parametrize(
    ("width", "grey", "spacing_mm", "least", "most"),
    [
        # 30 x 6 pixels of 0.5 mm are 45 mm2, of which the disc's own curve hides a little
        (6, 200, SPACING, 40, 45),
        (6, 200, (0.5, 0.25), 19, 22.5),  # whatever the pixels
        # halfway between 200 and 50 is 125: what is darker is no strand
        (6, 130, SPACING, 40, 45),
        (6, 120, SPACING, 0, 0),
        # thin is less than 5 mm: 9 pixels of 0.5 mm are 4.5; of a thick tail corners are at most
        (9, 200, SPACING, 0.8 * 9 * 30 * 0.25, 9 * 30 * 0.25),
        (11, 200, SPACING, 0, 0.8 * 11 * 30 * 0.25),
        (20, 200, SPACING, 0, LEAST_STRAND_MM2 - 1e-9),
        (6, 200, (1.0, 1.0), 0, LEAST_STRAND_MM2 - 1e-9),  # 6 mm wide
    ],
)
def test_a_thin_bright_tail_left_out_is_found_in_square_millimetres(
    width: int, grey: int, spacing_mm: tuple[float, float], least: float, most: float
) -> None:
    assert least <= left_out(width, grey, spacing_mm) <= most


def test_a_rim_left_out_all_around_is_no_strand() -> None:
    """A prediction two pixels too small leaves out a rim that is no thin part of the truth."""
    truth = a_disk(30)
    image = np.where(truth, np.uint8(200), np.uint8(50))
    assert left_out_strand_mm2(image, truth, a_disk(28), SPACING) == 0
