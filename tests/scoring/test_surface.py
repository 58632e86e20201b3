"""Border distances, what is made of them, and the core: by hand, laws, and MONAI's own distances.

A law's docstring quotes it.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from monai import metrics
from numpy.typing import NDArray
from scipy import ndimage
from strategies import law, mask_pairs, masks, seeds

from benchmark.scoring.surface import (
    BorderDistances,
    border_distances,
    bounding_box,
    core_sensitivity,
)

Mask = NDArray[np.bool_]
Pair = tuple[Mask, Mask]
Spacing = tuple[float, float]
CHENG = (0.49, 0.49)
NOTHING = np.zeros((64, 64), bool)


def block(top: int, left: int, height: int, width: int, shape: tuple[int, int] = (64, 64)) -> Mask:
    mask = np.zeros(shape, bool)
    mask[top : top + height, left : left + width] = True
    return mask


def measures(distances: BorderDistances, tolerance_mm: float = 1.0) -> list[float]:
    return [distances.nsd(tolerance_mm), distances.hd95_mm, distances.assd_mm]


class TestASquareOf20ShiftedBy3:
    """The border of a 20 x 20 square is 4 * 19 = 76 pixels. Shift it 3 columns to the right.

    From the first square's border to the second's (the other way is its mirror image), in pixels:
    top and bottom rows: columns 3 to 19 lie on the other's (2 * 17 of 0), columns 0, 1, 2 are 3, 2,
        1 away
    left column, inner 18: the other's left column is 3 away, and nothing is nearer: 18 of 3
    right column, inner 18: 3 from the other's right column, but its top and bottom rows are nearer
        for the first and last two rows (1, 2 and 2, 1): 14 of 3
    Together 34 of 0, 4 of 1, 4 of 2 and 34 of 3.
    """

    pair = block(20, 23, 20, 20), block(20, 20, 20, 20)
    distances = border_distances(*pair, CHENG)

    def test_the_distances(self) -> None:
        for side in (self.distances.predicted_mm, self.distances.truth_mm):
            pixels, counts = np.unique((side / 0.49).round(9), return_counts=True)
            assert (pixels.tolist(), counts.tolist()) == ([0, 1, 2, 3], [34, 4, 4, 34])

    def test_nsd_is_42_of_76_with_the_spacing_and_a_half_without(self) -> None:
        # 1 mm is 2.04 pixels: 34 + 4 + 4 of 76 are within; taken for 1 pixel, 34 + 4; 2 mm: all
        assert self.distances.nsd(1) == 42 / 76 == pytest.approx(0.553, abs=5e-4)
        assert border_distances(*self.pair, (1, 1)).nsd(1) == 38 / 76
        assert self.distances.nsd(2) == 1.0

    def test_hd95_is_3_pixels(self) -> None:
        # rank 0.95 * 75 = 71.25 of 76 sorted values, the last 34 of which are 3
        assert self.distances.hd95_mm == pytest.approx(1.47, abs=1e-12)

    def test_assd_is_a_pixel_and_a_half(self) -> None:
        # (4 * 1 + 4 * 2 + 34 * 3) / 76 = 114 / 76
        assert self.distances.assd_mm == pytest.approx(1.5 * 0.49, abs=1e-12)


def test_percentiles_are_interpolated_and_the_larger_one_counts() -> None:
    # a row of 11 pixels against its first: 0 to 10 columns away; rank 0.95 * 10 = 9.5 -> 9.5
    # columns of 2 mm. The other way 0. The mean over 11 + 1 border pixels is 55 / 12 columns
    distances = border_distances(block(5, 5, 1, 1), block(5, 5, 1, 11), (0.5, 2.0))
    assert distances.hd95_mm == 19.0
    assert distances.assd_mm == pytest.approx(110 / 12, abs=1e-12)
    assert border_distances(block(5, 5, 1, 11), block(5, 5, 1, 1), (0.5, 2.0)).hd95_mm == 19.0


def test_spacing_is_row_then_column() -> None:
    pixel, below, beside = block(5, 5, 1, 1), block(8, 5, 1, 1), block(5, 8, 1, 1)
    assert border_distances(pixel, below, (0.5, 2.0)).assd_mm == 1.5
    assert border_distances(pixel, beside, (0.5, 2.0)).assd_mm == 6.0


def test_a_tolerance_is_inclusive_whatever_a_product_rounds_to() -> None:
    distances = border_distances(block(5, 5, 1, 1), block(8, 5, 1, 1), (0.1, 0.1))
    assert 3 * 0.1 > 0.3
    assert distances.nsd(0.3) == 1.0
    assert distances.nsd(0.2999) == 0.0
    with pytest.raises(ValueError, match="tolerance -1 mm must not be negative"):
        distances.nsd(-1)


def test_a_border_has_a_4_neighbour_outside() -> None:
    """In a 5 x 5 block without one corner the pixel diagonal to the gap is inside."""
    gap = block(5, 5, 5, 5)
    gap[5, 5] = False
    # ring of 16, less the corner; (6, 6) is no border
    assert border_distances(gap, gap, CHENG).truth_mm.size == 15


def test_the_edge_of_the_image_is_border() -> None:
    """A mask of the whole image has a ring of border pixels: 2 * (6 + 8) - 4."""
    whole = np.ones((6, 8), bool)
    assert border_distances(whole, whole, CHENG).truth_mm.size == 24


def test_both_masks_empty_agree() -> None:
    assert measures(border_distances(NOTHING, NOTHING, CHENG)) == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("tolerance_mm", [0, 1, 1e6])
def test_one_mask_empty_is_as_far_as_the_image_goes(tolerance_mm: float) -> None:
    # 64 x 64 pixels of 0.5 x 2 mm: hypot(63 * 0.5, 63 * 2)
    far = math.hypot(31.5, 126)
    for pair in ((NOTHING, block(5, 5, 9, 9)), (block(5, 5, 9, 9), NOTHING)):
        distances = border_distances(*pair, (0.5, 2.0))
        assert measures(distances, tolerance_mm) == [0.0, far, far]


def test_a_missed_tumour_of_the_archive_is_354_mm_away() -> None:
    # 511 * 0.49 * sqrt(2) = 354.1
    nothing = np.zeros((512, 512), bool)
    distances = border_distances(nothing, block(200, 200, 30, 30, nothing.shape), CHENG)
    assert distances.hd95_mm == pytest.approx(354.1, abs=0.05)


@pytest.mark.parametrize("measure", [border_distances, core_sensitivity])
def test_other_dtypes_and_shapes_are_refused(measure: object) -> None:
    for pair in ((NOTHING.astype(np.uint8), NOTHING), (NOTHING, NOTHING[1:])):
        with pytest.raises(ValueError, match="need two bool masks of one shape"):
            measure(*pair, CHENG)  # type: ignore[operator]


def test_measures_are_python_floats() -> None:
    pair = block(5, 5, 4, 4), block(6, 5, 4, 4)
    distances = border_distances(*pair, CHENG)
    numbers = [*measures(distances), distances.diagonal_mm, core_sensitivity(*pair, CHENG)]
    assert {type(number) for number in numbers} == {float}


def test_the_core_of_a_block_by_hand() -> None:
    # 5 x 5: depth 1 in the outer ring, 2 in the next, 3 in the middle; at least 1.5: the inner
    # 3 x 3. The block's upper left 3 x 3 holds 4 of these 9 pixels
    truth = block(20, 20, 5, 5)
    ring = truth & ~block(21, 21, 3, 3)
    assert core_sensitivity(block(20, 20, 3, 3), truth, (1, 1)) == 4 / 9
    assert core_sensitivity(block(21, 21, 3, 3), truth, (1, 1)) == 1.0
    assert core_sensitivity(ring, truth, (1, 1)) == 0.0  # though 16 of 25 pixels are found
    # the image edge is outline too: the same block in the corner has the same core
    assert core_sensitivity(block(0, 0, 3, 3), block(0, 0, 5, 5), (1, 1)) == 4 / 9
    # rows of 1 mm, columns of 3 mm: depth is by rows alone, 1 2 3 2 1; three whole rows, 15 pixels
    assert core_sensitivity(block(21, 20, 1, 1), truth, (1.0, 3.0)) == 1 / 15


def test_exactly_half_as_deep_is_core() -> None:
    # 3 x 3: depth 1 around a middle of 2, so all nine; a pixel of 0.49 mm must not change that
    truth = block(20, 20, 3, 3)
    for spacing_mm in ((1.0, 1.0), CHENG, (0.1, 0.1)):
        assert core_sensitivity(block(20, 20, 1, 3), truth, spacing_mm) == 3 / 9


def test_the_core_of_nothing() -> None:
    assert core_sensitivity(NOTHING, NOTHING, CHENG) == 1.0
    assert core_sensitivity(block(5, 5, 2, 2), NOTHING, CHENG) == 0.0
    assert core_sensitivity(NOTHING, block(5, 5, 2, 2), CHENG) == 0.0


def test_the_box_around_a_mask() -> None:
    assert bounding_box(block(3, 7, 2, 5)) == (slice(3, 5), slice(7, 12))
    assert bounding_box(NOTHING) == (slice(0, 0), slice(0, 0))


# Laws


def blobs(seed: int) -> Pair:
    """Two smooth shapes of (24, 31) that overlap in part; some touch the edge of the image."""
    noise = np.random.default_rng(seed).normal(size=(2, 24, 31))
    smooth = ndimage.gaussian_filter(noise, (0, 3, 3))
    smooth[1] += smooth[0]
    first, second = (shape > np.quantile(shape, 0.8) for shape in smooth)
    return first, second


spacings = st.tuples(st.floats(0.1, 3), st.floats(0.1, 3))
tolerances = st.floats(0, 6)
scales = st.floats(0.1, 10)
pairs = mask_pairs() | seeds.map(blobs)
full = pairs.filter(lambda pair: bool(pair[0].any() and pair[1].any()))
with_truth = pairs.filter(lambda pair: bool(pair[1].any()))


def near(expected: list[float]) -> object:
    return pytest.approx(expected, rel=1e-9, abs=1e-12)


@law
@given(pairs, spacings, tolerances)
def test_measures_lie_in_range_and_are_symmetric(pair: Pair, spacing_mm: Spacing, t: float) -> None:
    """NSD in [0, 1]; HD95 and ASSD in [0, the image's diagonal]; truth and prediction may swap."""
    there, back = border_distances(*pair, spacing_mm), border_distances(*reversed(pair), spacing_mm)
    nsd, hd95, assd = measures(there, t)
    assert 0 <= nsd <= 1
    assert 0 <= min(hd95, assd) <= max(hd95, assd) <= there.diagonal_mm * (1 + 1e-12)
    assert measures(back, t) == near([nsd, hd95, assd])


@law
@given(pairs, spacings, tolerances)
def test_turning_the_image(pair: Pair, spacing_mm: Spacing, t: float) -> None:
    """Mirroring both masks changes nothing, nor does transposing them together with the spacing."""
    expected = near(measures(border_distances(*pair, spacing_mm), t))
    for turn in (np.flipud, np.fliplr):
        assert measures(border_distances(turn(pair[0]), turn(pair[1]), spacing_mm), t) == expected
    assert measures(border_distances(pair[0].T, pair[1].T, spacing_mm[::-1]), t) == expected


@law
@given(pairs, spacings, tolerances, scales)
def test_a_larger_scale(pair: Pair, spacing_mm: Spacing, t: float, scale: float) -> None:
    """Spacing and tolerance times c: NSD stays, HD95 and ASSD are c times as large."""
    nsd, hd95, assd = measures(border_distances(*pair, spacing_mm), t)
    scaled = border_distances(*pair, (scale * spacing_mm[0], scale * spacing_mm[1]))
    assert measures(scaled, scale * t) == near([nsd, scale * hd95, scale * assd])


@law
@given(pairs, spacings, tolerances, tolerances)
def test_a_wider_tolerance_is_kinder(pair: Pair, spacing_mm: Spacing, s: float, t: float) -> None:
    """NSD(s) <= NSD(t) wherever s <= t."""
    distances = border_distances(*pair, spacing_mm)
    assert distances.nsd(min(s, t)) <= distances.nsd(max(s, t))


@law
@given(masks() | seeds.map(lambda seed: blobs(seed)[0]), spacings)
def test_a_mask_is_no_distance_from_itself(mask: Mask, spacing_mm: Spacing) -> None:
    """A mask against itself, empty or not: NSD 1 at any tolerance, HD95 0, ASSD 0."""
    assert measures(border_distances(mask, mask, spacing_mm), 0) == [1.0, 0.0, 0.0]


@law
@given(full, spacings, tolerances, st.tuples(*[st.integers(0, 3)] * 4))
def test_background_around_the_image(
    pair: Pair, spacing_mm: Spacing, t: float, by: tuple[int, int, int, int]
) -> None:
    """Background around two masks, neither empty, changes nothing, though they touch the edge."""
    predicted, truth = (np.pad(mask, (by[:2], by[2:])) for mask in pair)
    expected = near(measures(border_distances(*pair, spacing_mm), t))
    assert measures(border_distances(predicted, truth, spacing_mm), t) == expected


@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
@law
@given(full, spacings, tolerances)
def test_distances_agree_with_monai(pair: Pair, spacing_mm: Spacing, t: float) -> None:
    """MONAI's surface Dice, HD95 and symmetric ASSD, which are float32 and NaN for empty masks."""
    distances = border_distances(*pair, spacing_mm)
    every = np.concatenate([distances.predicted_mm, distances.truth_mm])
    assume(np.abs(every - t).min() > 1e-5)  # float32 may say otherwise whether that is within t
    masks = [torch.from_numpy(mask.astype(np.float32))[None, None] for mask in pair]
    how = {"include_background": True, "spacing": list(spacing_mm)}
    theirs = (
        metrics.compute_surface_dice(*masks, [t], **how),
        metrics.compute_hausdorff_distance(*masks, percentile=95, **how),
        metrics.compute_average_surface_distance(*masks, symmetric=True, **how),
    )
    assert measures(distances, t) == pytest.approx(
        [float(value) for value in theirs], rel=1e-5, abs=1e-5
    )


@law
@given(pairs, spacings)
def test_borders_are_what_an_erosion_removes(pair: Pair, spacing_mm: Spacing) -> None:
    """There are as many distances as pixels that scipy's erosion by the 4-neighbour cross takes."""
    distances = border_distances(*pair, spacing_mm)
    expected = [np.count_nonzero(mask & ~ndimage.binary_erosion(mask)) for mask in pair]
    assert [distances.predicted_mm.size, distances.truth_mm.size] == expected


@law
@given(with_truth, spacings)
def test_the_core_is_found_where_all_is(pair: Pair, spacing_mm: Spacing) -> None:
    """It is 1 where the prediction holds all, 0 where none; found and missed parts come to 1."""
    predicted, truth = pair
    assert core_sensitivity(predicted | truth, truth, spacing_mm) == 1.0
    assert core_sensitivity(predicted & ~truth, truth, spacing_mm) == 0.0
    parts = (core_sensitivity(part, truth, spacing_mm) for part in (predicted & truth, ~predicted))
    assert sum(parts) == pytest.approx(1.0, abs=1e-12)


@law
@given(pairs, spacings, scales)
def test_the_core_turned_and_scaled(pair: Pair, spacing_mm: Spacing, scale: float) -> None:
    """Mirrors, transposition with the spacing, background around and a scale change nothing."""
    predicted, truth = pair
    expected = core_sensitivity(predicted, truth, spacing_mm)
    for turn in (np.flipud, np.fliplr, lambda mask: np.pad(mask, 2)):
        assert core_sensitivity(turn(predicted), turn(truth), spacing_mm) == expected
    assert core_sensitivity(predicted.T, truth.T, spacing_mm[::-1]) == expected
    scaled = (scale * spacing_mm[0], scale * spacing_mm[1])
    assert core_sensitivity(predicted, truth, scaled) == expected


@law
@given(with_truth, spacings)
def test_the_core_by_its_definition(pair: Pair, spacing_mm: Spacing) -> None:
    """Depth is the least distance to a pixel outside, beyond the image too; every pair measured."""
    predicted, truth = pair
    inside, outside = np.argwhere(truth) + 1, np.argwhere(~np.pad(truth, 1))
    depth = np.sqrt((((inside[:, None] - outside) * np.array(spacing_mm)) ** 2).sum(-1)).min(1)
    assume(np.abs(depth - depth.max() / 2).min() > 1e-9 or spacing_mm[0] == spacing_mm[1])
    core = depth >= depth.max() / 2 - 1e-9
    assert core_sensitivity(predicted, truth, spacing_mm) == predicted[truth][core].mean()
