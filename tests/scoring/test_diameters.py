"""The two diameters: shapes by hand, laws, every pair and chord tried, and scikit-image's outline.

A law's docstring quotes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform
from skimage.measure import find_contours, label, regionprops
from strategies import law, masks, seeds

from benchmark.scoring.diameters import diameters

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
Spacing = tuple[float, float]


def pixels(text: str) -> Mask:
    """ "##. ..." -> two rows of three."""
    return np.array([[letter == "#" for letter in line] for line in text.split()])


def measured(mask: Mask | str, spacing_mm: Spacing = (1.0, 1.0)) -> tuple[float, float]:
    found = diameters(pixels(mask) if isinstance(mask, str) else mask, spacing_mm)
    return found.longest_mm, found.perpendicular_mm


def test_a_pixel_is_as_long_and_wide_as_its_sides_and_a_row_as_long_as_its_number() -> None:
    # outline from half a pixel before the first centre to half a pixel after the last, half a
    # pixel above and below
    assert measured("... .#. ...") == (1.0, 1.0)
    assert measured("... .#. ...", (0.5, 2.0)) == pytest.approx((2.0, 0.5))
    assert measured("##### .....") == (5.0, 1.0)
    assert measured("##### .....", (0.5, 2.0)) == pytest.approx((10.0, 0.5))


def test_the_diameters_of_a_rectangle_by_hand() -> None:
    # 3 x 4 pixels: from the middle of the first column's left edge to the middle of the last one's
    # right edge, 2 down and 4 across: sqrt(20). At right angles a chord goes 3 down, from top to
    # bottom, and 1.5 across
    expected = pytest.approx((math.sqrt(20), 1.5 * math.sqrt(5)))
    assert measured("####. ####. ####.") == expected


def test_the_diameters_of_an_l_by_hand() -> None:
    # (row, column): the ends are (-0.5, 0) and (2.5, 2), or their mirror image: sqrt(13). At right
    # angles, along (-2, 3) from the corner (2.5, 0) to the hull's long side, column = row + 0.5:
    # 3 s = 2.5 - 2 s + 0.5 gives s = 0.6
    assert measured("#.. #.. ###") == pytest.approx((math.sqrt(13), 0.6 * math.sqrt(13)))


@pytest.mark.parametrize("radius", [3.2, 7.5, 20.0, 41.3])
def test_a_disc_is_its_diameter_within_a_pixel(radius: float) -> None:
    """The outline lies within half a pixel of pixel centres that lie within the radius."""
    row, column = np.mgrid[:96, :96]
    disc = np.hypot(row - 47.3, column - 46.8) <= radius
    assert all(abs(length - 2 * radius) <= 1 for length in measured(disc))


def test_pixels_that_touch_at_a_corner_are_one_tumour() -> None:
    # from (-0.5, 0) to (1.5, 1): 2 down and 1 across
    assert measured("#.. .#. ...")[0] == pytest.approx(math.sqrt(5))


def test_the_largest_component_is_measured_and_of_several_the_longest() -> None:
    """By number of pixels: the block of four, not the longer row of three."""
    # 2 x 2: from (0, -0.5) to (1, 1.5), sqrt(5); at right angles 2 down and 1 across as well
    block = pytest.approx((math.sqrt(5), math.sqrt(5)))
    assert measured("##... ##... ..... ..###") == block
    assert measured("##.. ##.. .... ####") == measured("#### .... ##.. ##..") == (4.0, 1.0)


def test_holes_and_bays_do_not_count_nor_does_the_edge_of_the_image() -> None:
    """Chords are those of the hull: a ring is as wide as the block that it encloses."""
    block = np.ones((4, 4), bool)
    assert measured("#### #..# #..# ####") == measured(block) == measured(np.pad(block, 2))


@pytest.mark.parametrize("turn", [lambda mask: mask, np.flipud, np.fliplr, np.rot90, np.transpose])
def test_of_equal_pairs_the_one_with_the_longest_perpendicular(
    turn: Callable[[Mask], Mask],
) -> None:
    """Three pairs are sqrt(10) apart, whichever comes first.

    From (0, -0.5) to (1, 2.5), which is (1, 3); from (2, -0.5) to (1, 2.5), (-1, 3); from (2.5, 0)
    to (-0.5, 1), (-3, 1). The first and the last are at right angles: each other's perpendicular.
    """
    expected = pytest.approx((math.sqrt(10), math.sqrt(10)))
    assert measured(turn(pixels("##. #.# #.."))) == expected


@pytest.mark.parametrize("shape", [".##. ..## #.#.", "#.## ...# .###"])
def test_rounding_does_not_choose_between_pairs(shape: str) -> None:
    """Ties are exact in whole pixels; at 0.49 mm they differ in the last bits, the answer not."""
    expected = pytest.approx([0.49 * length for length in measured(shape)])
    assert measured(shape, (0.49, 0.49)) == expected


def test_nothing_is_no_length() -> None:
    assert measured(np.zeros((4, 5), bool), (0.49, 0.49)) == (0.0, 0.0)
    assert {type(length) for length in measured("##. ..#")} == {float}


@pytest.mark.parametrize(
    "mask", [np.zeros((3, 3)), np.zeros((3, 3), np.uint8), np.zeros((1, 3, 3), bool)]
)
def test_other_arrays_are_refused(mask: Mask) -> None:
    with pytest.raises(ValueError, match="need one bool mask"):
        diameters(mask, (1.0, 1.0))


# Laws


def blob(seed: int) -> Mask:
    """Smooth shapes of (24, 31), some of which touch the edge of the image."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(24, 31)), 3)
    return smooth > np.quantile(smooth, 0.8)


def components(mask: Mask) -> list[Mask]:
    """The largest components, by scikit-image."""
    labels = label(mask, connectivity=2)
    sizes = np.bincount(labels.ravel())[1:]
    return [labels == i + 1 for i in np.flatnonzero(sizes == sizes.max(initial=0))]


spacings = st.just((1.0, 1.0)) | st.tuples(st.floats(0.1, 3), st.floats(0.1, 3))
shapes = masks((6, 7)) | seeds.map(blob)
one_shape = shapes.filter(lambda mask: bool(mask.any())).map(lambda mask: components(mask)[0])


def outline(component: Mask, spacing_mm: Spacing) -> Points:
    """Every point of the outline by scikit-image's marching squares, (P, 2) in mm."""
    contours = find_contours(np.pad(component, 2).astype(float), 0.5, fully_connected="high")
    return np.concatenate(contours) * np.array(spacing_mm)


def chord(hull: ConvexHull, through: Points, direction: Points) -> float:
    """Length of a line within a convex polygon: its half-planes cut it on either side."""
    normals, offsets = hull.equations[:, :2], hull.equations[:, 2]
    slope, room = normals @ direction, -(normals @ through + offsets)
    with np.errstate(divide="ignore", invalid="ignore"):
        cut = room / slope
    return float(max(0.0, cut[slope > 1e-12].min() - cut[slope < -1e-12].max()))


def by_brute_force(mask: Mask, spacing_mm: Spacing) -> tuple[float, float]:
    """Every pair of outline points; for the longest the chords through corners and 41 places."""
    outlines = [outline(component, spacing_mm) for component in components(mask)]
    longest = max((float(pdist(points).max()) for points in outlines), default=0.0)
    perpendicular = 0.0
    for points in outlines:
        hull = ConvexHull(points)
        corners = points[hull.vertices]
        for i, j in np.argwhere(squareform(pdist(corners)) >= longest * (1 - 1e-9)):
            along = (corners[j] - corners[i]) / np.hypot(*(corners[j] - corners[i]))
            across = np.array([-along[1], along[0]])
            between = np.linspace(0.01, 0.99, 41)[:, None] * (corners[j] - corners[i]) + corners[i]
            chords = (chord(hull, place, across) for place in (*corners, *between))
            perpendicular = max(perpendicular, *chords)
    return longest, perpendicular


@law
@given(shapes, spacings)
def test_no_pair_is_farther_apart_and_no_chord_longer(mask: Mask, spacing_mm: Spacing) -> None:
    """The longest of all pairs of outline points, and of all chords at right angles to it."""
    assert measured(mask, spacing_mm) == pytest.approx(by_brute_force(mask, spacing_mm), rel=1e-7)


@law
@given(one_shape, spacings)
def test_convex_shapes_agree_with_scikit_image(mask: Mask, spacing_mm: Spacing) -> None:
    """feret_diameter_max is of the hull redrawn in pixels: a shape must be its own hull."""
    (region,) = regionprops(mask.astype(np.uint8))
    convex = np.pad(region.image_convex, 1)
    (region,) = regionprops(convex.astype(np.uint8), spacing=spacing_mm)
    assume((region.image_convex == region.image).all())
    assert measured(convex, spacing_mm)[0] == pytest.approx(region.feret_diameter_max, rel=1e-9)


@law
@given(one_shape)
def test_redrawing_the_hull_adds_at_most_a_pixel(mask: Mask) -> None:
    """scikit-image's redrawn hull of any shape reaches half a pixel farther at either end."""
    (region,) = regionprops(mask.astype(np.uint8))
    assert -1e-9 <= region.feret_diameter_max - measured(mask)[0] <= 1


@law
@given(shapes, spacings, st.tuples(*[st.integers(0, 4)] * 4), st.floats(0.1, 10))
def test_turning_moving_and_scaling_the_image(
    mask: Mask, spacing_mm: Spacing, by: tuple[int, int, int, int], scale: float
) -> None:
    """Mirrors and background around the image change nothing, nor does transposing together with
    the spacing, so no quarter turn does; spacing times c gives both diameters times c.
    """
    longest, perpendicular = measured(mask, spacing_mm)
    expected = pytest.approx((longest, perpendicular), rel=1e-9)
    for turned in (mask[::-1], mask[:, ::-1], mask[::-1, ::-1]):
        assert measured(turned, spacing_mm) == expected
    assert measured(mask.T, spacing_mm[::-1]) == expected
    assert measured(np.rot90(mask), spacing_mm[::-1]) == expected
    assert measured(np.pad(mask, (by[:2], by[2:])), spacing_mm) == (longest, perpendicular)
    scaled = measured(mask, (scale * spacing_mm[0], scale * spacing_mm[1]))
    assert scaled == pytest.approx((scale * longest, scale * perpendicular), rel=1e-9)


@law
@given(shapes, spacings)
def test_no_perpendicular_is_longer_than_the_longest(mask: Mask, spacing_mm: Spacing) -> None:
    """0 <= perpendicular <= longest, and 0 only for an empty mask."""
    longest, perpendicular = measured(mask, spacing_mm)
    assert 0 <= perpendicular <= longest * (1 + 1e-9)
    assert (perpendicular > 0) == bool(mask.any())


@law
@given(one_shape, spacings)
def test_the_hull_lies_between_rhombus_and_rectangle(mask: Mask, spacing_mm: Spacing) -> None:
    """The hull holds the ends of both, and a rectangle on them the hull: L P / 2 <= area <= L P."""
    longest, perpendicular = measured(mask, spacing_mm)
    area = ConvexHull(outline(mask, spacing_mm)).volume  # of a plane figure: its area
    assert longest * perpendicular / 2 <= area * (1 + 1e-9)
    assert area <= longest * perpendicular * (1 + 1e-9)


@law
@given(one_shape, spacings)
def test_a_larger_tumour_is_no_shorter(mask: Mask, spacing_mm: Spacing) -> None:
    """The longest diameter of a shape never exceeds that of a connected shape that holds it."""
    larger = ndimage.binary_dilation(mask)
    assert measured(mask, spacing_mm)[0] <= measured(larger, spacing_mm)[0]
