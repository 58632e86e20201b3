"""An outline filled by the even-odd rule is its mask again, pixel for pixel."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from matplotlib.path import Path
from numpy.typing import NDArray
from strategies import law, masks

from benchmark.report.slices.contour import loops, svg_path


def corners_of(text: str) -> list[list[tuple[int, int]]]:
    """Corners of each closed line of an SVG path of M, h, v and z, as a browser would find them."""
    lines: list[list[tuple[int, int]]] = []
    for command, numbers in re.findall(r"([Mhvz])([-\d ]*)", text):
        if command == "M":
            x, y = map(int, numbers.split())
            lines.append([(x, y)])
        elif command != "z":
            x, y = lines[-1][-1]
            lines[-1].append((x + int(numbers), y) if command == "h" else (x, y + int(numbers)))
    return lines


def filled(text: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) bool: pixel centres inside an odd number of windings, counted by matplotlib."""
    rows, columns = np.indices(shape)
    centres = np.column_stack([columns.ravel() + 0.5, rows.ravel() + 0.5])
    inside = np.zeros(rows.size, dtype=bool)
    for line in corners_of(text):
        inside ^= Path([*line, line[0]], closed=True).contains_points(centres)
    return inside.reshape(shape)


@law
@given(masks((6, 9)))
def test_the_path_filled_is_the_mask(mask: NDArray[np.bool_]) -> None:
    """Holes, several parts and parts that touch at a corner included."""
    np.testing.assert_array_equal(filled(svg_path(mask), mask.shape), mask)


@law
@given(masks((6, 9)))
def test_every_line_runs_along_pixel_edges_and_turns_at_each_corner(
    mask: NDArray[np.bool_],
) -> None:
    for line in loops(mask):
        steps = np.roll(line, -1, axis=0) - line
        assert not steps[0::2, 1].any()  # along x first, then along y, and so on
        assert not steps[1::2, 0].any()
        assert np.abs(steps).sum(axis=1).all()


@law
@given(masks((6, 9)))
def test_path_and_loops_are_the_same_corners(mask: NDArray[np.bool_]) -> None:
    corners = [[tuple(corner) for corner in line.tolist()] for line in loops(mask)]
    assert corners_of(svg_path(mask)) == corners


@pytest.mark.parametrize(
    ("pixels", "path"),
    [
        ([], ""),
        ([(5, 3)], "M3 5h1v1h-1z"),
        # pixel (r, c) covers x from c to c + 1 and y from r to r + 1
        ([(5, 3), (5, 4)], "M3 5h2v1h-2z"),
        ([(0, 0), (7, 9)], "M0 0h1v1h-1zM9 7h1v1h-1z"),
    ],
)
def test_paths_by_hand(pixels: list[tuple[int, int]], path: str) -> None:
    mask = np.zeros((8, 10), dtype=bool)
    for pixel in pixels:
        mask[pixel] = True
    assert svg_path(mask) == path


def test_a_ring_has_an_outer_and_an_inner_line() -> None:
    mask = np.ones((5, 5), dtype=bool)
    mask[2, 2] = False
    assert sorted(len(line) for line in loops(mask)) == [4, 4]
