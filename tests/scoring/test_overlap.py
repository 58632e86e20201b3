"""Overlap measures: numbers derived by hand, and the one rule for empty masks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.scoring.overlap import Counts, count

MEASURES = ("dice", "iou", "sensitivity", "precision")


def square(top: int, left: int, side: int = 4) -> NDArray[np.bool_]:
    mask = np.zeros((10, 12), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_counts_of_two_squares_by_hand() -> None:
    # 4 x 4 squares, shifted by one column: 12 shared, 4 on either side, 100 of 120 elsewhere
    assert count(square(2, 3), square(2, 4)) == Counts(tp=12, fp=4, fn=4, tn=100)


def test_measures_by_hand() -> None:
    # truth 4 x 4 = 16; prediction 2 x 2 = 4 inside it
    found = count(square(2, 3, side=2), square(2, 3))
    assert found == Counts(tp=4, fp=0, fn=12, tn=104)
    assert found.dice == 8 / 20
    assert found.iou == 4 / 16
    assert found.sensitivity == 4 / 16
    assert found.precision == 1.0


def test_missing_pixels_lower_sensitivity_and_extra_pixels_lower_precision() -> None:
    few, many = count(square(2, 3, 3), square(2, 3)), count(square(2, 3, 5), square(2, 3))
    assert (few.sensitivity, few.precision) == (9 / 16, 1.0)
    assert (many.sensitivity, many.precision) == (1.0, 16 / 25)


def test_a_square_of_20_shifted_by_3() -> None:
    # 17 of 20 columns are shared: 2 * 340 / 800
    truth, predicted = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    truth[20:40, 20:40] = predicted[20:40, 23:43] = True
    assert count(predicted, truth).dice == pytest.approx(0.85, abs=1e-15)


@pytest.mark.parametrize("name", MEASURES)
def test_both_masks_empty_is_1(name: str) -> None:
    nothing = np.zeros((10, 12), bool)
    assert getattr(count(nothing, nothing), name) == 1.0


@pytest.mark.parametrize("name", MEASURES)
def test_exactly_one_mask_empty_is_0(name: str) -> None:
    nothing = np.zeros((10, 12), bool)
    assert getattr(count(nothing, square(2, 3)), name) == 0.0
    assert getattr(count(square(2, 3), nothing), name) == 0.0


@pytest.mark.parametrize("name", MEASURES)
def test_two_masks_that_do_not_meet_are_0_and_two_equal_ones_1(name: str) -> None:
    assert getattr(count(square(0, 0), square(5, 5)), name) == 0.0
    assert getattr(count(square(2, 3), square(2, 3)), name) == 1.0


@pytest.mark.parametrize(
    ("predicted", "truth"),
    [
        (np.zeros((2, 2)), np.zeros((2, 2), bool)),
        (np.zeros((2, 2), bool), np.zeros((2, 2), np.uint8)),
        (np.zeros((2, 2), bool), np.zeros((2, 3), bool)),
        (np.zeros((1, 2, 2), bool), np.zeros((2, 2), bool)),
    ],
)
def test_other_dtypes_and_shapes_are_refused(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> None:
    with pytest.raises(ValueError, match="need two bool masks of one shape"):
        count(predicted, truth)


def test_counts_are_python_numbers() -> None:
    found = count(square(2, 3), square(2, 4))
    assert all(type(value) is int for value in (found.tp, found.fp, found.fn, found.tn))
    assert all(type(getattr(found, name)) is float for name in MEASURES)
