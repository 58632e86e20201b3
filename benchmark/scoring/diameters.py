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

from benchmark.data.slices import Mask, Spacing
from benchmark.scoring.surface import bounding_box

Point = tuple[int, int]  # row and column in half pixels: outline points are whole numbers
TIE = 1 - 1e-9  # lengths this close are equal: float64 rounding must not choose between them


@dataclass(frozen=True)
class Diameters:
    """Longest diameter of a tumour, and its longest perpendicular, never longer; in mm, from 0."""

    longest_mm: float
    perpendicular_mm: float


def diameters(mask: Mask, spacing_mm: Spacing) -> Diameters:
    """Measure the largest component of an (H, W) bool mask; spacing_mm (row, column) is positive.

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
    labels, components = ndimage.label(mask[bounding_box(mask)], structure=np.ones((3, 3)))
    if not components:
        return Diameters(0.0, 0.0)
    pixels = np.bincount(labels.ravel())[1:]
    largest = [labels == label + 1 for label in np.flatnonzero(pixels == pixels.max())]
    measured = [_of_hull(_hull(_outermost(component)), spacing_mm) for component in largest]
    longest = max(each.longest_mm for each in measured)
    tied = [each.perpendicular_mm for each in measured if each.longest_mm >= longest * TIE]
    return Diameters(longest, max(tied))


def _outermost(mask: Mask) -> set[Point]:
    """The outline points of each row's first and last pixel: the hull's corners are among them."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    points = set()
    for row, left, right in (2 * np.stack([rows, first, last], axis=1)).tolist():
        points |= {(row, left - 1), (row, right + 1)}
        points |= {(row + half, column) for half in (-1, 1) for column in (left, right)}
    return points


def _hull(points: Iterable[Point]) -> NDArray[np.int64]:
    """Corners of the convex hull, (V, 2) in order around it, V >= 4: Andrew's monotone chain."""
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
    """Positive where the way from a over b to c turns one way, negative the other, 0 straight."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _of_hull(corners: NDArray[np.int64], spacing_mm: Spacing) -> Diameters:
    """Diameters of a convex polygon given by its corners in order, in half pixels."""
    points = corners * (np.array(spacing_mm) / 2)
    lengths = np.hypot(*(points[:, None] - points).transpose(2, 0, 1))
    longest = lengths.max()
    pairs = np.argwhere(np.triu(lengths >= longest * TIE))
    return Diameters(float(longest), max(_perpendicular(points, int(i), int(j)) for i, j in pairs))


def _perpendicular(points: NDArray[np.float64], i: int, j: int) -> float:
    """Longest chord of a convex polygon (V, 2) at right angles to its longest diameter.

    That goes from corner i to j > i. No point lies farther along it than its ends, so they part the
    outline into two sides, each a function of the place along it. Their distance is concave and
    bends at corners only: a corner has the largest.
    """
    along = (points[j] - points[i]) / np.hypot(*(points[j] - points[i]))
    across = np.array([-along[1], along[0]])
    place, height = points @ along, points @ across
    ways = np.arange(i, j + 1), np.r_[j : len(points), : i + 1][::-1]
    first, second = (np.interp(place, place[way], height[way]) for way in ways)
    return float(np.abs(first - second).max())
