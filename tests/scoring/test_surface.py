"""Border distances, what is made of them, and the core: numbers derived by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.scoring.surface import (
    BorderDistances,
    border_distances,
    bounding_box,
    core_sensitivity,
)

Mask = NDArray[np.bool_]
CHENG = (0.49, 0.49)


def block(top: int, left: int, height: int, width: int, shape: tuple[int, int] = (64, 64)) -> Mask:
    mask = np.zeros(shape, bool)
    mask[top : top + height, left : left + width] = True
    return mask


NOTHING = np.zeros((64, 64), bool)


class TestASquareOf20ShiftedBy3:
    """The border of a 20 x 20 square is 4 * 19 = 76 pixels. Shift it 3 columns to the right.

    From the first square's border to the second's (the other way is its mirror image), in pixels:
    top and bottom rows:    columns 3 to 19 lie on the other's (2 * 17 of 0), columns 0, 1, 2 are 3, 2, 1 away
    left column, inner 18:  the other's left column is 3 away, and nothing is nearer: 18 of 3
    right column, inner 18: 3 from the other's right column, but its top and bottom rows are nearer for the
                            first and last two rows (1, 2 and 2, 1): 14 of 3
    Together 34 of 0, 4 of 1, 4 of 2 and 34 of 3.
    """

    found = border_distances(block(20, 23, 20, 20), block(20, 20, 20, 20), CHENG)

    def test_the_distances(self) -> None:
        for side in (self.found.predicted_mm, self.found.truth_mm):
            values, counts = np.unique((side / 0.49).round(9), return_counts=True)
            assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {
                0: 34,
                1: 4,
                2: 4,
                3: 34,
            }

    def test_nsd_is_42_of_76_with_the_spacing_and_a_half_without(self) -> None:
        # 1 mm is 2.04 pixels: 34 + 4 + 4 of 76 are within it; taken for 1 pixel, 34 + 4; 2 mm is
        # 4.08 pixels: all
        assert self.found.nsd(1) == 42 / 76 == pytest.approx(0.553, abs=5e-4)
        assert (
            border_distances(block(20, 23, 20, 20), block(20, 20, 20, 20), (1, 1)).nsd(1) == 38 / 76
        )
        assert self.found.nsd(2) == 1.0

    def test_hd95_is_3_pixels(self) -> None:
        # rank 0.95 * 75 = 71.25 of 76 sorted values, the last 34 of which are 3
        assert self.found.hd95_mm == pytest.approx(1.47, abs=1e-12)

    def test_assd_is_a_pixel_and_a_half(self) -> None:
        # (4 * 1 + 4 * 2 + 34 * 3) / 76 = 114 / 76
        assert self.found.assd_mm == pytest.approx(1.5 * 0.49, abs=1e-12)


def test_percentiles_are_interpolated_and_the_larger_one_counts() -> None:
    # a row of 11 pixels against its first: 0 to 10 columns away; rank 0.95 * 10 = 9.5 -> 9.5
    # columns of 2 mm. The other way 0. The mean over 11 + 1 border pixels is 55 / 12 columns
    found = border_distances(block(5, 5, 1, 1), block(5, 5, 1, 11), (0.5, 2.0))
    assert found.hd95_mm == 19.0
    assert found.assd_mm == pytest.approx(110 / 12, abs=1e-12)
    assert border_distances(block(5, 5, 1, 11), block(5, 5, 1, 1), (0.5, 2.0)).hd95_mm == 19.0


def test_spacing_is_row_then_column() -> None:
    one, below, beside = block(5, 5, 1, 1), block(8, 5, 1, 1), block(5, 8, 1, 1)
    assert border_distances(one, below, (0.5, 2.0)).assd_mm == 1.5
    assert border_distances(one, beside, (0.5, 2.0)).assd_mm == 6.0


def test_a_tolerance_is_inclusive_whatever_a_product_rounds_to() -> None:
    found = border_distances(block(5, 5, 1, 1), block(8, 5, 1, 1), (0.1, 0.1))
    assert 3 * 0.1 > 0.3
    assert found.nsd(0.3) == 1.0
    assert found.nsd(0.2999) == 0.0


def test_a_border_has_a_4_neighbour_outside() -> None:
    """A 5 x 5 block without one corner: the pixel diagonal to the gap has all four neighbours, so
    it is inside.
    """
    gap = block(5, 5, 5, 5)
    gap[5, 5] = False
    # ring of 16, less the corner; (6, 6) is no border
    assert border_distances(gap, gap, CHENG).truth_mm.size == 15


def test_the_edge_of_the_image_is_border() -> None:
    """A mask of the whole image has a ring of border pixels: 2 * (6 + 8) - 4."""
    whole = np.ones((6, 8), bool)
    assert border_distances(whole, whole, CHENG).truth_mm.size == 24


def test_both_masks_empty_agree() -> None:
    found = border_distances(NOTHING, NOTHING, CHENG)
    assert (found.nsd(1), found.hd95_mm, found.assd_mm) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("tolerance_mm", [0, 1, 1e6])
def test_one_mask_empty_is_as_far_as_the_image_goes(tolerance_mm: float) -> None:
    # 64 x 64 pixels of 0.5 x 2 mm: hypot(63 * 0.5, 63 * 2)
    far = math.hypot(31.5, 126)
    for pair in ((NOTHING, block(5, 5, 9, 9)), (block(5, 5, 9, 9), NOTHING)):
        found = border_distances(*pair, (0.5, 2.0))
        assert (found.nsd(tolerance_mm), found.hd95_mm, found.assd_mm) == (0.0, far, far)


def test_a_missed_tumour_of_the_archive_is_354_mm_away() -> None:
    # 511 * 0.49 * sqrt(2) = 354.1
    nothing = np.zeros((512, 512), bool)
    found = border_distances(nothing, block(200, 200, 30, 30, nothing.shape), CHENG)
    assert found.hd95_mm == pytest.approx(354.1, abs=0.05)


def test_a_negative_tolerance_is_refused() -> None:
    with pytest.raises(ValueError, match="tolerance -1 mm must not be negative"):
        border_distances(NOTHING, NOTHING, CHENG).nsd(-1)


@pytest.mark.parametrize("measure", [border_distances, core_sensitivity])
def test_other_dtypes_and_shapes_are_refused(measure: object) -> None:
    for pair in ((NOTHING.astype(np.uint8), NOTHING), (NOTHING, NOTHING[1:])):
        with pytest.raises(ValueError, match="need two bool masks of one shape"):
            measure(*pair, CHENG)  # type: ignore[operator]


def test_measures_are_python_floats() -> None:
    found = border_distances(block(5, 5, 4, 4), block(6, 5, 4, 4), CHENG)
    numbers = (found.nsd(1), found.hd95_mm, found.assd_mm, found.diagonal_mm)
    assert {type(number) for number in numbers} == {float}
    assert isinstance(found, BorderDistances)
    assert type(core_sensitivity(block(5, 5, 4, 4), block(6, 5, 4, 4), CHENG)) is float


def test_the_core_of_a_block_by_hand() -> None:
    # 5 x 5: depth 1 in the outer ring, 2 in the next, 3 in the middle; at least 1.5: the inner 3 x
    # 3. The block's upper left 3 x 3 holds 4 of these 9 pixels
    truth = block(20, 20, 5, 5)
    assert core_sensitivity(block(20, 20, 3, 3), truth, (1, 1)) == 4 / 9
    assert core_sensitivity(block(21, 21, 3, 3), truth, (1, 1)) == 1.0
    assert core_sensitivity(truth & ~block(21, 21, 3, 3), truth, (1, 1)) == 0.0


def test_exactly_half_as_deep_is_core() -> None:
    # 3 x 3: depth 1 around a middle of 2, so all nine; a pixel of 0.49 mm must not change that
    truth = block(20, 20, 3, 3)
    for spacing_mm in ((1.0, 1.0), CHENG, (0.1, 0.1)):
        assert core_sensitivity(block(20, 20, 1, 3), truth, spacing_mm) == 3 / 9


def test_depth_is_in_mm() -> None:
    # rows of 1 mm, columns of 3 mm: depth is by rows alone, 1 2 3 2 1; at least 1.5: three whole
    # rows, 15 pixels
    truth = block(20, 20, 5, 5)
    assert core_sensitivity(block(21, 20, 1, 1), truth, (1.0, 3.0)) == 1 / 15


def test_the_image_edge_is_outline_to_the_core() -> None:
    # the same 5 x 5 block in the corner has the same core
    assert core_sensitivity(block(0, 0, 3, 3), block(0, 0, 5, 5), (1, 1)) == 4 / 9


def test_a_middle_can_be_missed_though_most_was_found() -> None:
    # a ring of 16 of 25 pixels: sensitivity 0.64, core 0
    truth = block(20, 20, 5, 5)
    ring = truth & ~block(21, 21, 3, 3)
    assert np.count_nonzero(ring) / np.count_nonzero(truth) == 0.64
    assert core_sensitivity(ring, truth, CHENG) == 0.0


def test_the_core_of_nothing() -> None:
    assert core_sensitivity(NOTHING, NOTHING, CHENG) == 1.0
    assert core_sensitivity(block(5, 5, 2, 2), NOTHING, CHENG) == 0.0
    assert core_sensitivity(NOTHING, block(5, 5, 2, 2), CHENG) == 0.0


def test_the_box_around_a_mask() -> None:
    assert bounding_box(block(3, 7, 2, 5)) == (slice(3, 5), slice(7, 12))
    assert bounding_box(NOTHING) == (slice(0, 0), slice(0, 0))
