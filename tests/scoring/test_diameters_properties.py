"""Laws of the two diameters, every pair of points and every chord tried, and scikit-image's
outline.
"""

from __future__ import annotations

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
spacings = st.just((1.0, 1.0)) | st.tuples(st.floats(0.1, 3), st.floats(0.1, 3))


def blob(seed: int) -> Mask:
    """Smooth shapes of (24, 31), some of which touch the edge of the image."""
    noise = np.random.default_rng(seed).normal(size=(24, 31))
    smooth = ndimage.gaussian_filter(noise, 3)
    return smooth > np.quantile(smooth, 0.8)


shapes = masks((6, 7)) | seeds.map(blob)


def components(mask: Mask) -> list[Mask]:
    """The largest components, by scikit-image."""
    labels = label(mask, connectivity=2)
    sizes = np.bincount(labels.ravel())[1:]
    return [labels == i + 1 for i in np.flatnonzero(sizes == sizes.max(initial=0))]


one_shape = shapes.filter(lambda mask: bool(mask.any())).map(lambda mask: components(mask)[0])


def outline(component: Mask, spacing_mm: Spacing) -> Points:
    """Every point of the outline by scikit-image's marching squares, (P, 2) in mm."""
    contours = find_contours(np.pad(component, 2).astype(float), 0.5, fully_connected="high")
    return np.concatenate(contours) * np.array(spacing_mm)


def chord(hull: ConvexHull, through: Points, direction: Points) -> float:
    """Length of a line within a convex polygon: its half-planes cut it on either side."""
    slope, room = (
        hull.equations[:, :2] @ direction,
        -(hull.equations[:, :2] @ through + hull.equations[:, 2]),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        cut = room / slope
    return float(max(0.0, cut[slope > 1e-12].min() - cut[slope < -1e-12].max()))


def by_brute_force(mask: Mask, spacing_mm: Spacing) -> tuple[float, float]:
    """Every pair of outline points, and for the longest the chords through every corner and 41
    places more.
    """
    best = [0.0, 0.0]
    outlines = [outline(component, spacing_mm) for component in components(mask)]
    best[0] = max((pdist(points).max() for points in outlines), default=0.0)
    for points in outlines:
        hull = ConvexHull(points)
        corners = points[hull.vertices]
        for i, j in np.argwhere(squareform(pdist(corners)) >= best[0] * (1 - 1e-9)):
            along = (corners[j] - corners[i]) / np.hypot(*(corners[j] - corners[i]))
            across = np.array([-along[1], along[0]])
            places = [
                *corners,
                *(corners[i] + t * (corners[j] - corners[i]) for t in np.linspace(0.01, 0.99, 41)),
            ]
            best[1] = max(best[1], *(chord(hull, place, across) for place in places))
    return best[0], best[1]


def both(mask: Mask, spacing_mm: Spacing) -> tuple[float, float]:
    found = diameters(mask, spacing_mm)
    return found.longest_mm, found.perpendicular_mm


@law
@given(shapes, spacings)
def test_no_pair_of_points_is_farther_apart_and_no_chord_longer(
    mask: Mask, spacing_mm: Spacing
) -> None:
    """The longest of all pairs of outline points, and of all chords at right angles to it."""
    assert both(mask, spacing_mm) == pytest.approx(by_brute_force(mask, spacing_mm), rel=1e-7)


@law
@given(one_shape, spacings)
def test_the_longest_diameter_of_a_convex_shape_agrees_with_scikit_image(
    mask: Mask, spacing_mm: Spacing
) -> None:
    """feret_diameter_max outlines the hull redrawn in pixels, so a shape is compared once it is its
    own hull.
    """
    (region,) = regionprops(mask.astype(np.uint8))
    convex = np.pad(region.image_convex, 1)
    (region,) = regionprops(convex.astype(np.uint8), spacing=spacing_mm)
    assume((region.image_convex == region.image).all())
    assert diameters(convex, spacing_mm).longest_mm == pytest.approx(
        region.feret_diameter_max, rel=1e-9
    )


@law
@given(one_shape)
def test_redrawing_the_hull_in_pixels_adds_at_most_a_pixel(mask: Mask) -> None:
    """scikit-image's feret_diameter_max of any shape: the redrawn hull reaches half a pixel farther
    at either end.
    """
    (region,) = regionprops(mask.astype(np.uint8))
    assert -1e-9 <= region.feret_diameter_max - diameters(mask, (1.0, 1.0)).longest_mm <= 1


@law
@given(shapes, spacings)
def test_turning_the_image(mask: Mask, spacing_mm: Spacing) -> None:
    """Mirroring changes nothing, nor does transposing together with the spacing; so no quarter turn
    does.
    """
    expected = pytest.approx(both(mask, spacing_mm), rel=1e-9)
    for turned in (mask[::-1], mask[:, ::-1], mask[::-1, ::-1]):
        assert both(turned, spacing_mm) == expected
    assert both(mask.T, spacing_mm[::-1]) == expected
    assert both(np.rot90(mask), spacing_mm[::-1]) == expected


@law
@given(shapes, spacings, st.tuples(*[st.integers(0, 4)] * 4))
def test_the_place_in_the_image(
    mask: Mask, spacing_mm: Spacing, by: tuple[int, int, int, int]
) -> None:
    """Background around the image changes nothing."""
    assert both(np.pad(mask, (by[:2], by[2:])), spacing_mm) == both(mask, spacing_mm)


@law
@given(shapes, spacings, st.floats(0.1, 10))
def test_a_larger_scale(mask: Mask, spacing_mm: Spacing, scale: float) -> None:
    """Spacing times c: both diameters times c."""
    longest, perpendicular = both(mask, spacing_mm)
    scaled = both(mask, (scale * spacing_mm[0], scale * spacing_mm[1]))
    assert scaled == pytest.approx((scale * longest, scale * perpendicular), rel=1e-9)


@law
@given(shapes, spacings)
def test_no_perpendicular_is_longer_than_the_longest(mask: Mask, spacing_mm: Spacing) -> None:
    """0 <= perpendicular <= longest, and 0 only for an empty mask."""
    longest, perpendicular = both(mask, spacing_mm)
    assert 0 <= perpendicular <= longest * (1 + 1e-9)
    assert (perpendicular > 0) == bool(mask.any())


@law
@given(one_shape, spacings)
def test_the_hull_lies_between_their_rhombus_and_their_rectangle(
    mask: Mask, spacing_mm: Spacing
) -> None:
    """The hull holds the ends of both diameters, and a rectangle on them holds its slices: L P / 2
    <= area <= L P.
    """
    longest, perpendicular = both(mask, spacing_mm)
    area = ConvexHull(outline(mask, spacing_mm)).volume  # of a plane figure: its area
    assert longest * perpendicular / 2 <= area * (1 + 1e-9)
    assert area <= longest * perpendicular * (1 + 1e-9)


@law
@given(one_shape, spacings)
def test_a_larger_tumour_is_no_shorter(mask: Mask, spacing_mm: Spacing) -> None:
    """The longest diameter of a shape never exceeds that of a connected shape that holds it."""
    assert (
        diameters(mask, spacing_mm).longest_mm
        <= diameters(ndimage.binary_dilation(mask), spacing_mm).longest_mm
    )
