"""The two diameters by which radiologists measure a tumour on a slice.

The longest diameter and the longest one at right angles to it: Macdonald's bidimensional
measurement (J Clin Oncol 1990), kept by the RANO criteria (Wen et al., J Clin Oncol 2010) and by
those for meningioma (Huang et al., Neuro-Oncology 2019). A reader draws them by eye; here they are
those of the convex hull.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.scoring.surface import bounding_box

Point = tuple[
    int, int
]  # row and column of a point in half pixels: outline points are whole numbers
TIE = 1 - 1e-9  # lengths this close are equal: float64 rounding must not choose between them


@dataclass(frozen=True)
class Diameters:
    """Longest diameter of a tumour and its longest perpendicular, in mm; 0 <= perpendicular_mm <=
    longest_mm.
    """

    longest_mm: float
    perpendicular_mm: float


def diameters(mask: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> Diameters:
    """Measure the largest component of an (H, W) bool mask whose pixels are spacing_mm (row,
    column), both positive.

    Components join through all 8 neighbours; the one with the most pixels is measured. Its outline
    is the middle of each pixel edge, half a pixel from the centres (marching squares at 0.5), so a
    row of n pixels is n pixels long. longest_mm is the distance of the two outline points farthest
    apart; perpendicular_mm the longest chord of the outline's convex hull at right angles to it,
    which always crosses it. Where several pairs of points, or of components, tie within a
    billionth, the pair with the longest perpendicular is taken: turning or mirroring the image
    changes nothing. An empty mask gives 0 and 0; `ValueError` for another dtype or number of axes.
    """
    if mask.dtype != bool or mask.ndim != 2:
        raise ValueError(f"need one bool mask (H, W), got {mask.dtype} {mask.shape}")
    labels, found = ndimage.label(mask[bounding_box(mask)], structure=np.ones((3, 3)))
    if not found:
        return Diameters(0.0, 0.0)
    pixels = np.bincount(labels.ravel())[1:]
    largest = np.flatnonzero(pixels == pixels.max()) + 1
    measured = [
        _of_hull(_hull(_outermost(labels == label)), spacing_mm) for label in largest.tolist()
    ]
    longest = max(one.longest_mm for one in measured)
    return Diameters(
        longest, max(one.perpendicular_mm for one in measured if one.longest_mm >= longest * TIE)
    )


def _outermost(mask: NDArray[np.bool_]) -> set[Point]:
    """The outline points among which are all corners of the hull: those of the first and last pixel
    of each row.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    points = set()
    for row, left, right in zip(
        (2 * rows).tolist(), (2 * first).tolist(), (2 * last).tolist(), strict=True
    ):
        points |= {(row, left - 1), (row, right + 1)}
        points |= {(row + half, column) for half in (-1, 1) for column in (left, right)}
    return points


def _hull(points: Iterable[Point]) -> NDArray[np.int64]:
    """Corners of the convex hull, (V, 2) in order around it, V >= 4: Andrew's monotone chain, exact
    in integers.
    """
    ordered = sorted(points)
    corners: list[Point] = []
    for way in (ordered, ordered[::-1]):
        chain: list[Point] = []
        for point in way:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        corners += chain[:-1]
    return np.array(corners)


def _turn(a: Point, b: Point, c: Point) -> int:
    """Positive where the way from a over b to c turns one way, negative the other, 0 straight
    on.
    """
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _of_hull(corners: NDArray[np.int64], spacing_mm: tuple[float, float]) -> Diameters:
    """Diameters of a convex polygon given by its corners in order, in half pixels."""
    points = corners * (np.array(spacing_mm) / 2)
    lengths = np.hypot(*(points[:, None] - points).transpose(2, 0, 1))
    longest = lengths.max()
    pairs = np.argwhere(np.triu(lengths >= longest * TIE))
    return Diameters(float(longest), max(_perpendicular(points, int(i), int(j)) for i, j in pairs))


def _perpendicular(points: NDArray[np.float64], i: int, j: int) -> float:
    """Longest chord of a convex polygon (V, 2) at right angles to its longest diameter, from corner
    i to j > i.

    No point lies farther along the diameter than its ends, so they part the outline into two sides,
    each a function of the place along it. Their distance is concave and bends at corners only: a
    corner has the largest.
    """
    along = (points[j] - points[i]) / np.hypot(*(points[j] - points[i]))
    across = np.array([-along[1], along[0]])
    place, height = points @ along, points @ across
    one = np.arange(i, j + 1)
    other = np.r_[j : len(points), : i + 1][::-1]
    sides = [np.interp(place, place[side], height[side]) for side in (one, other)]
    return float(np.abs(sides[0] - sides[1]).max())
