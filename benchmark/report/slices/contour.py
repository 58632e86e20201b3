"""The outline of a mask, along the edges of its pixels: exact, so that what is drawn is what was
scored. Pure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.scoring.surface import bounding_box


def loops(mask: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Return the corners (V, 2) of each closed line around an (H, W) bool mask, as x (right) and y
    (down) in pixels.

    Pixel (r, c) covers x from c to c + 1 and y from r to r + 1. Filled by the even-odd rule, the
    lines give the mask back, with its holes and all its parts; each starts with a step along x. An
    empty mask has none.

    A corner is a point that an odd number of the four pixels around it belongs to. Along a row or a
    column of points the outline comes and goes, so its corners there are the ends of straight
    pieces, two by two.
    """
    rows, columns = bounding_box(mask)
    around = np.pad(mask[rows, columns], 1)
    odd = around[:-1, :-1] ^ around[:-1, 1:] ^ around[1:, :-1] ^ around[1:, 1:]
    y, x = np.nonzero(odd)  # by row: 2k and 2k + 1 are the ends of one piece
    by_column = np.lexsort((y, x))
    down = np.empty_like(by_column)
    down[by_column] = by_column[np.arange(len(x)) ^ 1]
    corners = np.stack([x + columns.start, y + rows.start], axis=1)
    return [corners[order] for order in _rings(down.tolist())]


def _rings(down: list[int]) -> list[list[int]]:
    """Follow the pieces, along x and along y in turn, until each corner has been passed once."""
    left, rings = [True] * len(down), []
    for start in range(len(down)):
        at, ring = start, list[int]()
        while left[at]:
            left[at] = left[at ^ 1] = False
            ring += [at, at ^ 1]
            at = down[at ^ 1]
        if ring:
            rings.append(ring)
    return rings


def svg_path(mask: NDArray[np.bool_]) -> str:
    """Return an (H, W) bool mask's outline as the `d` of an SVG path in pixels, for fill-rule
    evenodd; "" if empty.

    Relative steps along x and y in turn, such as "M3 5h2v1h-2z": the form that takes fewest
    letters.
    """
    return "".join(_ring_path(ring) for ring in loops(mask))


def _ring_path(ring: NDArray[np.int64]) -> str:
    steps = np.diff(ring, axis=0).sum(axis=1).tolist()  # of each, one coordinate is 0
    return (
        f"M{ring[0, 0]} {ring[0, 1]}"
        + "".join(f"{'hv'[i % 2]}{step}" for i, step in enumerate(steps))
        + "z"
    )
