"""Laws of the overlap measures, and three independent implementations of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from monai.metrics import DiceMetric
from numpy.typing import NDArray
from scipy.spatial import distance
from strategies import law, mask_pairs, masks

from benchmark.scoring.overlap import count

Mask = NDArray[np.bool_]
MEASURES = ("dice", "iou", "sensitivity", "precision")


@law
@given(mask_pairs())
def test_the_four_counts_are_every_pixel_once(pair: tuple[Mask, Mask]) -> None:
    """Each pixel is exactly one of true positive, false positive, false negative and true
    negative.
    """
    predicted, truth = pair
    found = count(predicted, truth)
    kinds = [(bool(p), bool(t)) for p, t in zip(predicted.ravel(), truth.ravel(), strict=True)]
    expected = [
        kinds.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False))
    ]
    assert [found.tp, found.fp, found.fn, found.tn] == expected
    assert sum(expected) == truth.size


@law
@given(mask_pairs())
def test_dice_follows_from_iou(pair: tuple[Mask, Mask]) -> None:
    """dice = 2 iou / (1 + iou), and iou = dice / (2 - dice)."""
    found = count(*pair)
    assert found.dice == pytest.approx(2 * found.iou / (1 + found.iou), abs=1e-12)
    assert found.iou == pytest.approx(found.dice / (2 - found.dice), abs=1e-12)


@law
@given(mask_pairs())
def test_swapping_truth_and_prediction(pair: tuple[Mask, Mask]) -> None:
    """Dice and IoU are symmetric; sensitivity and precision change places."""
    there, back = count(*pair), count(*reversed(pair))
    assert (there.dice, there.iou) == (back.dice, back.iou)
    assert (there.sensitivity, there.precision) == (back.precision, back.sensitivity)


@law
@given(mask_pairs())
def test_every_measure_lies_in_its_bounds(pair: tuple[Mask, Mask]) -> None:
    """Every measure lies in [0, 1], and 0 <= iou <= dice."""
    found = count(*pair)
    assert all(0 <= getattr(found, name) <= 1 for name in MEASURES)
    assert found.iou <= found.dice


@law
@given(mask_pairs())
def test_dice_is_the_harmonic_mean(pair: tuple[Mask, Mask]) -> None:
    """Dice is the harmonic mean of sensitivity and precision, wherever these are not both 0."""
    found = count(*pair)
    assume(found.tp > 0)
    harmonic = 2 / (1 / found.sensitivity + 1 / found.precision)
    assert found.dice == pytest.approx(harmonic, abs=1e-12)


@law
@given(masks())
def test_a_mask_agrees_with_itself_wholly(mask: Mask) -> None:
    """A mask against itself is 1 in every measure, empty or not."""
    assert all(getattr(count(mask, mask), name) == 1.0 for name in MEASURES)


@law
@given(mask_pairs())
def test_only_agreement_is_1(pair: tuple[Mask, Mask]) -> None:
    """Dice is 1 if and only if the masks are equal."""
    assert (count(*pair).dice == 1.0) == bool((pair[0] == pair[1]).all())


@law
@given(mask_pairs())
def test_dice_agrees_with_monai(pair: tuple[Mask, Mask]) -> None:
    """MONAI's DiceMetric on thresholded masks, which it wants as numbers 0 and 1: both empty is 1
    there too.
    """
    predicted, truth = (torch.from_numpy(mask.astype(np.float32))[None, None] for mask in pair)
    metric = DiceMetric(include_background=True, reduction="none", ignore_empty=False)
    assert count(*pair).dice == pytest.approx(float(metric(predicted, truth)), abs=1e-6)


@law
@given(mask_pairs())
def test_dice_and_iou_agree_with_scipy(pair: tuple[Mask, Mask]) -> None:
    """scipy's Dice and Jaccard dissimilarities are 1 minus these; of two empty masks it has none of
    the first.
    """
    predicted, truth = (mask.ravel() for mask in pair)
    assume(predicted.any() or truth.any())
    assert count(*pair).dice == pytest.approx(1 - distance.dice(predicted, truth), abs=1e-12)
    assert count(*pair).iou == pytest.approx(1 - distance.jaccard(predicted, truth), abs=1e-12)
