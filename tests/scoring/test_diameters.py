"""The two diameters of shapes whose outlines can be written down."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.scoring.diameters import Diameters, diameters

Mask = NDArray[np.bool_]


def pixels(text: str) -> Mask:
    """ "##. ..." -> two rows of three."""
    return np.array([[letter == "#" for letter in line] for line in text.split()])


def measured(mask: Mask, spacing_mm: tuple[float, float] = (1.0, 1.0)) -> tuple[float, float]:
    found = diameters(mask, spacing_mm)
    return found.longest_mm, found.perpendicular_mm


def test_a_pixel_is_as_long_and_wide_as_its_sides() -> None:
    assert measured(pixels("... .#. ...")) == (1.0, 1.0)
    assert measured(pixels("... .#. ..."), (0.5, 2.0)) == pytest.approx((2.0, 0.5))


def test_a_row_of_pixels_is_as_long_as_their_number() -> None:
    # outline from half a pixel before the first centre to half a pixel after the last, half a pixel
    # above and below
    assert measured(pixels("##### .....")) == (5.0, 1.0)
    assert measured(pixels("##### ....."), (0.5, 2.0)) == pytest.approx((10.0, 0.5))


def test_the_diameters_of_a_rectangle_by_hand() -> None:
    # 3 x 4 pixels: from the middle of the first column's left edge to the middle of the last one's
    # right edge, 2 down and 4 across: sqrt(20). At right angles a chord goes 3 down, from top to
    # bottom, and 1.5 across
    assert measured(pixels("####. ####. ####.")) == pytest.approx(
        (math.sqrt(20), 1.5 * math.sqrt(5))
    )


def test_the_diameters_of_an_l_by_hand() -> None:
    # (row, column): the ends are (-0.5, 0) and (2.5, 2), or their mirror image: sqrt(13). At right
    # angles, along (-2, 3) from the corner (2.5, 0) to the hull's long side, column = row + 0.5: 3
    # s = 2.5 - 2 s + 0.5 gives s = 0.6
    assert measured(pixels("#.. #.. ###")) == pytest.approx((math.sqrt(13), 0.6 * math.sqrt(13)))


@pytest.mark.parametrize("radius", [3.2, 7.5, 20.0, 41.3])
def test_a_disc_is_its_diameter_within_a_pixel(radius: float) -> None:
    """The outline lies within half a pixel of pixel centres that lie within the radius, either
    way.
    """
    row, column = np.mgrid[:96, :96]
    disc = np.hypot(row - 47.3, column - 46.8) <= radius
    for length in measured(disc):
        assert abs(length - 2 * radius) <= 1


def test_pixels_that_touch_at_a_corner_are_one_tumour() -> None:
    # from (-0.5, 0) to (1.5, 1): 2 down and 1 across
    assert measured(pixels("#.. .#. ..."))[0] == pytest.approx(math.sqrt(5))


def test_the_largest_component_is_measured() -> None:
    """By number of pixels: the block of four, not the longer row of three."""
    # 2 x 2: from (0, -0.5) to (1, 1.5), sqrt(5); at right angles 2 down and 1 across as well
    assert measured(pixels("##... ##... ..... ..###")) == pytest.approx(
        (math.sqrt(5), math.sqrt(5))
    )


def test_of_components_of_one_size_the_longest_is_measured() -> None:
    assert measured(pixels("##.. ##.. .... ####")) == (4.0, 1.0)
    assert measured(pixels("#### .... ##.. ##..")) == (4.0, 1.0)


def test_holes_and_bays_do_not_count() -> None:
    """Chords are those of the hull: a ring is as wide as the block that it encloses."""
    ring, block = pixels("#### #..# #..# ####"), np.ones((4, 4), bool)
    assert measured(ring) == measured(block)


@pytest.mark.parametrize("turn", [lambda mask: mask, np.flipud, np.fliplr, np.rot90, np.transpose])
def test_of_pairs_of_one_length_the_one_with_the_longest_perpendicular(
    turn: Callable[[Mask], Mask],
) -> None:
    """Three pairs are sqrt(10) apart, whichever comes first.

    From (0, -0.5) to (1, 2.5), which is (1, 3); from (2, -0.5) to (1, 2.5), (-1, 3); from (2.5, 0)
    to (-0.5, 1), (-3, 1). The first and the last are at right angles, so each is the other's
    perpendicular.
    """
    assert measured(turn(pixels("##. #.# #.."))) == pytest.approx((math.sqrt(10), math.sqrt(10)))


@pytest.mark.parametrize("shape", [".##. ..## #.#.", "#.## ...# .###"])
def test_rounding_does_not_choose_between_pairs(shape: str) -> None:
    """In whole pixels ties are exact; in pixels of 0.49 mm they differ in the last bits, and the
    answer must not.
    """
    assert measured(pixels(shape), (0.49, 0.49)) == pytest.approx(
        [0.49 * length for length in measured(pixels(shape))]
    )


def test_nothing_is_no_length() -> None:
    assert diameters(np.zeros((4, 5), bool), (0.49, 0.49)) == Diameters(0.0, 0.0)


def test_the_edge_of_the_image_is_as_any_other_place() -> None:
    assert measured(np.ones((3, 4), bool)) == measured(np.pad(np.ones((3, 4), bool), 2))


def test_lengths_are_python_floats() -> None:
    assert {type(length) for length in measured(pixels("##. ..#"))} == {float}


@pytest.mark.parametrize(
    "mask", [np.zeros((3, 3)), np.zeros((3, 3), np.uint8), np.zeros((1, 3, 3), bool)]
)
def test_other_arrays_are_refused(mask: Mask) -> None:
    with pytest.raises(ValueError, match="need one bool mask"):
        diameters(mask, (1.0, 1.0))
