"""Overlap measures: by hand, the rule for empty masks, laws, and three other implementations.

A law's docstring quotes it.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from monai.metrics import DiceMetric
from numpy.typing import NDArray
from scipy.spatial import distance
from strategies import law, mask_pairs, masks

from benchmark.scoring.overlap import Counts, count

Mask = NDArray[np.bool_]
Pair = tuple[Mask, Mask]
MEASURES = ("dice", "iou", "sensitivity", "precision")
NOTHING = np.zeros((10, 12), bool)


def square(top: int, left: int, side: int = 4) -> Mask:
    mask = np.zeros((10, 12), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def measures(predicted: Mask, truth: Mask) -> list[float]:
    counts = count(predicted, truth)
    return [getattr(counts, name) for name in MEASURES]


def test_counts_of_two_squares_by_hand() -> None:
    # 4 x 4 squares, shifted by one column: 12 shared, 4 on either side, 100 of 120 elsewhere
    counts = count(square(2, 3), square(2, 4))
    assert counts == Counts(tp=12, fp=4, fn=4, tn=100)
    assert {type(value) for value in vars(counts).values()} == {int}
    assert {type(getattr(counts, name)) for name in MEASURES} == {float}


def test_measures_by_hand() -> None:
    # truth 4 x 4 = 16; prediction 2 x 2 = 4 inside it
    assert count(square(2, 3, side=2), square(2, 3)) == Counts(tp=4, fp=0, fn=12, tn=104)
    assert measures(square(2, 3, side=2), square(2, 3)) == [8 / 20, 4 / 16, 4 / 16, 1.0]


def test_missing_pixels_lower_sensitivity_and_extra_pixels_lower_precision() -> None:
    assert measures(square(2, 3, 3), square(2, 3))[2:] == [9 / 16, 1.0]
    assert measures(square(2, 3, 5), square(2, 3))[2:] == [1.0, 16 / 25]


def test_a_square_of_20_shifted_by_3() -> None:
    # 17 of 20 columns are shared: 2 * 340 / 800
    truth, predicted = np.zeros((2, 64, 64), bool)
    truth[20:40, 20:40] = predicted[20:40, 23:43] = True
    assert count(predicted, truth).dice == pytest.approx(0.85, abs=1e-15)


def test_both_masks_empty_is_1() -> None:
    assert measures(NOTHING, NOTHING) == [1.0] * 4


def test_exactly_one_mask_empty_is_0() -> None:
    assert measures(NOTHING, square(2, 3)) == [0.0] * 4
    assert measures(square(2, 3), NOTHING) == [0.0] * 4


def test_two_masks_that_do_not_meet_are_0() -> None:
    assert measures(square(0, 0), square(5, 5)) == [0.0] * 4


@pytest.mark.parametrize(
    ("predicted", "truth"),
    [
        (np.zeros((2, 2)), np.zeros((2, 2), bool)),
        (np.zeros((2, 2), bool), np.zeros((2, 2), np.uint8)),
        (np.zeros((2, 2), bool), np.zeros((2, 3), bool)),
        (np.zeros((1, 2, 2), bool), np.zeros((2, 2), bool)),
    ],
)
def test_other_dtypes_and_shapes_are_refused(predicted: Mask, truth: Mask) -> None:
    with pytest.raises(ValueError, match="need two bool masks of one shape"):
        count(predicted, truth)


@law
@given(mask_pairs())
def test_the_four_counts_are_every_pixel_once(pair: Pair) -> None:
    """Each pixel is exactly one of true and false positive, false and true negative."""
    pixels = [(bool(p), bool(t)) for p, t in zip(*(mask.ravel() for mask in pair), strict=True)]
    kinds = ((True, True), (True, False), (False, True), (False, False))
    assert count(*pair) == Counts(*map(pixels.count, kinds))


@law
@given(mask_pairs())
def test_the_measures_hang_together(pair: Pair) -> None:
    """dice = 2 iou / (1 + iou); it is the harmonic mean of sensitivity and precision, where these
    are not both 0; all lie in [0, 1], 0 <= iou <= dice; and dice is 1 only for equal masks.
    """
    dice, iou, sensitivity, precision = measures(*pair)
    assert dice == pytest.approx(2 * iou / (1 + iou), abs=1e-12)
    assert iou == pytest.approx(dice / (2 - dice), abs=1e-12)
    assert all(0 <= measure <= 1 for measure in (dice, iou, sensitivity, precision))
    assert iou <= dice
    assert (dice == 1.0) == bool((pair[0] == pair[1]).all())
    if sensitivity and precision:
        assert dice == pytest.approx(2 / (1 / sensitivity + 1 / precision), abs=1e-12)


@law
@given(mask_pairs())
def test_swapping_truth_and_prediction(pair: Pair) -> None:
    """Dice and IoU are symmetric; sensitivity and precision change places."""
    dice, iou, sensitivity, precision = measures(*pair)
    assert measures(*reversed(pair)) == [dice, iou, precision, sensitivity]


@law
@given(masks())
def test_a_mask_agrees_with_itself_wholly(mask: Mask) -> None:
    """A mask against itself is 1 in every measure, empty or not."""
    assert measures(mask, mask) == [1.0] * 4


@law
@given(mask_pairs())
def test_dice_agrees_with_monai(pair: Pair) -> None:
    """MONAI's DiceMetric wants masks as numbers 0 and 1; both empty is 1 there too."""
    predicted, truth = (torch.from_numpy(mask.astype(np.float32))[None, None] for mask in pair)
    metric = DiceMetric(include_background=True, reduction="none", ignore_empty=False)
    assert count(*pair).dice == pytest.approx(float(metric(predicted, truth)), abs=1e-6)


@law
@given(mask_pairs())
def test_dice_and_iou_agree_with_scipy(pair: Pair) -> None:
    """scipy's Dice and Jaccard dissimilarities are 1 minus these; it has no Dice of empty masks."""
    predicted, truth = (mask.ravel() for mask in pair)
    assume(predicted.any() or truth.any())
    assert count(*pair).dice == pytest.approx(1 - distance.dice(predicted, truth), abs=1e-12)
    assert count(*pair).iou == pytest.approx(1 - distance.jaccard(predicted, truth), abs=1e-12)
