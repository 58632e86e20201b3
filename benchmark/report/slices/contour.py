"""The outline of a mask along the edges of its pixels: what is shown is what was scored. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.data.slices import Mask
from benchmark.scoring.surface import bounding_box


def loops(mask: Mask) -> list[NDArray[np.int64]]:
    """Return the corners (V, 2) of each closed line around an (H, W) bool mask, x right and y down.

    In pixels: (r, c) covers x from c to c + 1 and y from r to r + 1. Filled by the even-odd rule,
    the lines give the mask back, with its holes and all its parts; each starts with a step along x.
    An empty mask has none.

    A corner is a point that an odd number of the four pixels around it belongs to. Along a row or a
    column of points the outline comes and goes, so its corners there are the ends of straight
    pieces, two by two.
    """
    rows, columns = bounding_box(mask)
    around = np.pad(mask[rows, columns], 1)
    odd = around[:-1, :-1] ^ around[:-1, 1:] ^ around[1:, :-1] ^ around[1:, 1:]
    y, x = np.nonzero(odd)  # by row: corners 2k and 2k + 1 are the ends of one piece along x
    by_column = np.lexsort((y, x))
    down = np.empty_like(by_column)  # of each corner the other end of its piece along y
    down[by_column] = by_column[np.arange(len(x)) ^ 1]
    corners = np.stack([x + columns.start, y + rows.start], axis=1)
    ends, left, lines = down.tolist(), set(range(len(x))), []
    for corner in range(len(x)):
        line = []
        while corner in left:  # along x, then along y, until the line closes
            line += [corner, corner ^ 1]
            left -= {corner, corner ^ 1}
            corner = ends[corner ^ 1]
        if line:
            lines.append(corners[line])
    return lines


def svg_path(mask: Mask) -> str:
    """Return an (H, W) bool mask's outline as the `d` of an SVG path in pixels; "" if it is empty.

    For fill-rule evenodd. Relative steps along x and y in turn, such as "M3 5h2v1h-2z": the form
    that takes fewest letters.
    """
    return "".join(map(_loop_path, loops(mask)))


def _loop_path(loop: NDArray[np.int64]) -> str:
    steps = np.diff(loop, axis=0).sum(axis=1).tolist()  # of each, one coordinate is 0
    path = "".join(f"{'hv'[i % 2]}{step}" for i, step in enumerate(steps))
    return f"M{loop[0, 0]} {loop[0, 1]}{path}z"
