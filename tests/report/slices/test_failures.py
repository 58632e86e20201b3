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
from benchmark.report.slices import contour_shape, failures
from benchmark.report.slices.failures import FailureCases

TOLERANCES = terms()[1]
SIZES, RULE = (
    TOLERANCES.sizes,
    TOLERANCES.claims,
)  # edges at 663 and 1263 mm2; centre missed below 0.5
SMALL, MIDDLE, LARGE = 100.0, 900.0, 1500.0
SPACING = (0.5, 0.5)


def rows(runs: dict[str, list[dict[str, Any]]]) -> pd.DataFrame:
    """Rows of these runs, each a list of slices numbered from 1 unless they say otherwise."""
    usual = {"patient_id": "1", "dice": 0.9, "truth_mm2": LARGE, "predicted_mm2": LARGE, "nsd_1mm": 0.8,
             "tp": 10, "sensitivity": 0.9, "core_sensitivity": 1.0}  # fmt: skip
    scores = [
        {"run_id": run_id, "slice_id": number, **usual, **one}
        for run_id, slices in runs.items()
        for number, one in enumerate(slices, 1)
    ]
    table = pd.DataFrame(
        {"run_id": list(runs), "split_id": "by-image-1", "seed": range(1, len(runs) + 1)}
    )
    return failures.rows_of(table.astype({"seed": "Int64"}), pd.DataFrame(scores))


def dices(**runs: list[float]) -> pd.DataFrame:
    return rows({run_id: [{"dice": value} for value in values] for run_id, values in runs.items()})


def numbers(cases: FailureCases) -> list[int]:
    return cases.table["slice_id"].tolist()


def test_each_row_knows_the_mean_of_its_slice() -> None:
    found = dices(a=[0.2, 1.0], b=[0.6, 1.0]).set_index(["run_id", "slice_id"])
    assert found["dice_mean"].to_dict() == {
        ("a", 1): 0.4,
        ("b", 1): 0.4,
        ("a", 2): 1.0,
        ("b", 2): 1.0,
    }
    assert set(found["trainings"]) == {2}


def test_lowest_first_by_the_mean_over_trainings() -> None:
    """Means 0.5, 0.4, 0.45: the lowest single Dice (slice 1, run b) decides nothing."""
    assert numbers(failures.lowest(dices(a=[0.9, 0.4, 0.4], b=[0.1, 0.4, 0.5]))) == [2, 3, 1]


def test_the_training_shown_is_the_one_nearest_to_the_mean() -> None:
    """Mean 0.5 of 0.1, 0.45 and 0.95: the middle one."""
    (case,) = failures.lowest(dices(a=[0.95], b=[0.45], c=[0.1])).table.to_dict("records")
    assert (case["run_id"], case["seed"], case["dice"]) == ("b", 2, 0.45)
    assert (case["value"], case["trainings"]) == (0.5, 3)


def test_ties_go_to_the_lower_slice_and_run() -> None:
    found = failures.lowest(dices(b=[0.4, 0.4], a=[0.6, 0.6])).table  # both runs are as near to 0.5
    assert found["slice_id"].tolist() == [1, 2]
    assert found["run_id"].tolist() == ["a", "a"]


def test_missed_tumours_come_first() -> None:
    assert numbers(failures.lowest(dices(a=[0.3, 0.0, 0.1]))) == [2, 3, 1]


def test_at_most_four_are_shown_and_all_are_counted() -> None:
    found = failures.lowest(dices(a=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))
    assert (numbers(found), found.found) == ([1, 2, 3, 4], 6)


def test_standings_of_eleven_slices() -> None:
    """Ranks 0 to 10: the 90th, 50th and 10th percentile are ranks 9, 5 and 1."""
    assert numbers(failures.standings(dices(a=[round(0.1 * i, 1) for i in range(11)]))) == [
        10,
        6,
        2,
    ]


def test_small_means_the_smallest_third_found_by_every_training() -> None:
    """Slice 1 is large, 2 was missed by one training, 4 is worse than 3."""
    of_a = [{"dice": 0.1}, {"dice": 0.2, "truth_mm2": SMALL}, {"dice": 0.5, "truth_mm2": SMALL},
            {"dice": 0.4, "truth_mm2": SMALL}]  # fmt: skip
    of_b = [of_a[0], {"dice": 0.0, "truth_mm2": SMALL, "tp": 0}, *of_a[2:]]
    assert numbers(failures.small(rows({"a": of_a, "b": of_b}), SIZES)) == [4, 3]


@pytest.mark.parametrize(("area", "met"), [(662.9, 1), (663.0, 0)])
def test_the_edge_of_the_smallest_third_is_outside_it(area: float, met: int) -> None:
    assert failures.small(rows({"a": [{"truth_mm2": area}]}), SIZES).found == met


def test_right_outlines_of_low_dice() -> None:
    """Outlines that look right have a mean Dice of (0.95 + 0.8 + 0.9 + 0.95) / 4 = 0.9: slice 2
    alone is below it.
    """
    found = rows(
        {
            "a": [
                {"dice": 0.95, "nsd_1mm": 0.95},
                {"dice": 0.8, "nsd_1mm": 0.9, "truth_mm2": SMALL},
                {"dice": 0.9, "nsd_1mm": 1.0, "truth_mm2": SMALL},
                {"dice": 0.95, "nsd_1mm": 0.95, "truth_mm2": SMALL},
                {"dice": 0.1, "nsd_1mm": 0.89, "truth_mm2": SMALL},  # does not look right
            ]
        }
    )
    cases = failures.small_right(found, SIZES, RULE)
    assert numbers(cases) == [2]
    assert cases.table["value"].tolist() == [0.9]
    assert "0.900, lowest" in cases.rule


def test_missed_centres_by_the_least_of_the_core() -> None:
    """Slice 3 is not large, of 4 too little was found as a whole, of 5 the core is just found."""
    found = rows(
        {
            "a": [
                {"core_sensitivity": 0.4},
                {"core_sensitivity": 0.1},
                {"core_sensitivity": 0.0, "truth_mm2": MIDDLE},
                {"core_sensitivity": 0.0, "sensitivity": 0.49},
                {"core_sensitivity": 0.5, "sensitivity": 0.5},
            ],
            "b": [{"core_sensitivity": 0.3}, {}, {}, {}, {}],
        }
    )
    cases = failures.necrotic(found, RULE, SIZES)
    assert numbers(cases) == [2, 1]
    assert cases.table["run_id"].tolist() == ["a", "b"]  # the training that missed most of it


def test_none_is_shown_where_none_meets_the_rule() -> None:
    """ "never the nearest one dressed as a case"."""
    cases = failures.necrotic(rows({"a": [{"core_sensitivity": 0.51}]}), RULE, SIZES)
    assert (cases.found, len(cases.table)) == (0, 0)
    assert "slice_id" in cases.table


@law
@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1), st.sampled_from([MIDDLE, LARGE])),
        min_size=1,
        max_size=8,
    )
)
def test_the_cases_are_the_claims_own(slices: list[tuple[float, float, float]]) -> None:
    """The same predicate as the claim necrotic-centres, which counts the large tumours it is true
    of.
    """
    table = rows(
        {
            "a": [
                {"core_sensitivity": c, "sensitivity": s, "truth_mm2": area}
                for c, s, area in slices
            ]
        }
    )
    wanted = table[(table["truth_mm2"] >= SIZES.edges_mm2[1]) & centre_missed(table, RULE)]
    assert failures.necrotic(table, RULE, SIZES).found == len(wanted)


@law
@given(seeds)
def test_the_order_of_rows_decides_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = pd.DataFrame(
        {
            "run_id": np.repeat(["a", "b", "c"], 6),
            "slice_id": np.tile(np.arange(6), 3),
            "patient_id": "1",
            "dice": rng.integers(0, 4, 18) / 4,
            "truth_mm2": LARGE,
            "predicted_mm2": LARGE,
        }
    )
    runs = pd.DataFrame({"run_id": ["a", "b", "c"], "split_id": "by-image-1", "seed": [1, 2, None]})
    mixed = scores.sample(frac=1, random_state=seed % 2**32)
    one, other = (failures.lowest(failures.rows_of(runs, table)).table for table in (scores, mixed))
    pd.testing.assert_frame_equal(one, other)


def test_measures_of_the_truth_from_a_least_value() -> None:
    table = dices(a=[0.9, 0.8, 0.7], b=[0.9, 0.8, 0.7])
    cases = failures.by_truth(table, {1: 0.5, 2: 0.7, 3: 0.4}, 0.5, "kind", "rule", "share")
    assert (numbers(cases), cases.table["value"].tolist()) == ([2, 1], [0.7, 0.5])


def test_measures_of_a_run_show_that_run() -> None:
    table = dices(a=[0.9, 0.8], b=[0.9, 0.8])
    values = {("a", 1): 3.0, ("b", 1): 8.0, ("a", 2): 6.0, ("b", 2): 6.0}
    cases = failures.by_run(table, values, 5.0, "kind", "rule", "area")
    assert cases.table[["slice_id", "run_id", "value"]].to_numpy().tolist() == [
        [1, "b", 8.0],
        [2, "a", 6.0],
    ]


def shape(points: list[tuple[int, int]], side: int = 128) -> NDArray[np.bool_]:
    mask = np.zeros((side, side), dtype=bool)
    mask[polygon(*zip(*points, strict=True))] = True
    return mask


def a_disk(radius: float, side: int = 128) -> NDArray[np.bool_]:
    mask = np.zeros((side, side), dtype=bool)
    mask[disk((side // 2, side // 2), radius)] = True
    return mask


@pytest.mark.parametrize(
    "corners",
    [
        [(20, 20), (20, 90), (90, 90), (90, 20)],
        [(10, 60), (60, 110), (110, 60), (60, 10)],
        [(20, 30), (30, 100), (100, 80), (70, 15)],
    ],
)
def test_quadrilaterals_are_straight(corners: list[tuple[int, int]]) -> None:
    """ "any quadrilateral 1", but for the last pixels at its corners."""
    assert contour_shape.straight_share(shape(corners)) > 0.9


def test_discs_are_not_straight() -> None:
    """A chord that stays within t of a circle of radius r spans 2 acos(1 - t/r): 23 degrees at 50,
    4 of them 0.26.
    """
    assert 0.2 < contour_shape.straight_share(a_disk(50)) < 0.35
    assert (
        contour_shape.straight_share(a_disk(30)) < contour_shape.LEAST_STRAIGHT
    )  # about the edge of the smallest third


def test_an_empty_mask_is_not_straight() -> None:
    assert contour_shape.straight_share(np.zeros((8, 8), dtype=bool)) == 0


def with_tail(
    width: int, grey: int = 200
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """A bright disc of 40 pixels across with a tail of 30 x width pixels to the right; image,
    truth, disc alone.
    """
    body = a_disk(20)
    truth = body.copy()
    truth[64 : 64 + width, 84:114] = True
    image = np.where(truth, np.uint8(200), np.uint8(50))
    image[truth & ~body] = grey
    return image, truth, body


def test_a_thin_bright_tail_left_out_is_found() -> None:
    """30 x 6 pixels of 0.5 mm, 45 mm2, of which the disc's own curve hides a little."""
    image, truth, body = with_tail(6)
    assert 40 <= contour_shape.left_out_strand_mm2(image, truth, body, SPACING) <= 45


def test_no_strand_is_found_where_it_is_no_failure() -> None:
    image, truth, body = with_tail(6)
    assert contour_shape.left_out_strand_mm2(image, truth, truth, SPACING) == 0  # predicted
    assert (
        contour_shape.left_out_strand_mm2(image, truth, np.zeros_like(truth), SPACING) == 0
    )  # nothing found at all
    assert (
        contour_shape.left_out_strand_mm2(image, body, body, SPACING) == 0
    )  # no tail in the truth


def test_dark_or_thick_parts_are_no_strands() -> None:
    """Halfway between 200 and 50 is 125; 20 pixels of 0.5 mm are 10 mm."""
    assert contour_shape.left_out_strand_mm2(*with_tail(6, grey=120), SPACING) == 0
    assert contour_shape.left_out_strand_mm2(*with_tail(6, grey=130), SPACING) > 0
    assert (
        contour_shape.left_out_strand_mm2(*with_tail(20), SPACING) < contour_shape.LEAST_STRAND_MM2
    )  # its corners at most


def test_a_rim_left_out_all_around_is_no_strand() -> None:
    """A prediction two pixels too small leaves out a rim that is thin itself, but no thin part of
    the truth.
    """
    truth = a_disk(30)
    image = np.where(truth, np.uint8(200), np.uint8(50))
    assert contour_shape.left_out_strand_mm2(image, truth, a_disk(28), SPACING) == 0


@pytest.mark.parametrize(("width", "thin"), [(9, True), (11, False)])
def test_thin_is_less_than_five_millimetres(width: int, thin: bool) -> None:
    """9 pixels of 0.5 mm are 4.5 mm, 11 are 5.5 mm; of a thick tail its corners alone are thin."""
    area = contour_shape.left_out_strand_mm2(*with_tail(width), SPACING)
    assert (area > 0.8 * 30 * width * 0.25) == thin


def test_the_area_is_in_square_millimetres_whatever_the_pixels() -> None:
    """Of 0.5 x 0.25 mm: 30 x 6 pixels are 22.5 mm2, less what the disc's own curve hides."""
    assert 19 <= contour_shape.left_out_strand_mm2(*with_tail(6), (0.5, 0.25)) <= 22.5


def test_pixel_size_decides_what_is_thin() -> None:
    """The tail of 6 pixels is 3 mm wide at 0.5 mm a pixel, and 6 mm at 1 mm."""
    image, truth, body = with_tail(6)
    assert (
        contour_shape.left_out_strand_mm2(image, truth, body, (1.0, 1.0))
        < contour_shape.LEAST_STRAND_MM2
    )
