"""Distances between the borders of two masks, and how much of a tumour's core was found.

Tools differ by millimetres in what they call a border (Metrics Reloaded, Nat Methods 2024), so
there is one definition here, MONAI's without subvoxels: a border pixel is a pixel of the mask with
a 4-neighbour outside it, and what lies beyond the image is outside. Each border pixel counts once,
whatever length of outline it stands for. Distances are Euclidean, between pixel centres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.data.slices import Mask, Spacing
from benchmark.scoring.overlap import check_pair

SLACK = 1 + 1e-9  # 3 pixels of 0.1 mm are within 0.3 mm, though their float64 product is above it


@dataclass(frozen=True, eq=False)
class BorderDistances:
    """How far each border pixel of either mask is from the nearest one of the other, in mm.

    predicted_mm: (P,) float64, from the prediction's border pixels to the truth's; truth_mm:
    (T,) float64, the other way; zeros where the other mask is empty. diagonal_mm: between
    the centres of opposite corner pixels of the image, the largest distance there is.

    Both masks empty: NSD 1 and distances 0. Exactly one empty: NSD 0 and distances of
    diagonal_mm. So a missed tumour is never left out of a mean.
    """

    predicted_mm: NDArray[np.float64]
    truth_mm: NDArray[np.float64]
    diagonal_mm: float

    @property
    def _empty(self) -> float | None:
        """The distance where a mask is empty, None where neither is."""
        if self.predicted_mm.size and self.truth_mm.size:
            return None
        return self.diagonal_mm if self.predicted_mm.size or self.truth_mm.size else 0.0

    def nsd(self, tolerance_mm: float) -> float:
        """Normalised surface Dice, in [0, 1]: the share of both borders within tolerance_mm.

        Inclusive: (#{predicted <= t} + #{truth <= t}) / (P + T) (Nikolov et al. 2021; MONAI's
        compute_surface_dice). `ValueError` for a negative tolerance.
        """
        if not tolerance_mm >= 0:
            raise ValueError(f"tolerance {tolerance_mm} mm must not be negative")
        if self._empty is not None:
            return 0.0 if self.predicted_mm.size or self.truth_mm.size else 1.0
        return float(np.count_nonzero(self._all <= tolerance_mm * SLACK) / self._all.size)

    @property
    def hd95_mm(self) -> float:
        """Hausdorff distance at 95 %, in [0, diagonal_mm]: the larger of the two directed ones.

        95th percentiles, linearly interpolated (MONAI's compute_hausdorff_distance;
        surface-distance).
        """
        if self._empty is not None:
            return self._empty
        return float(max(np.percentile(self.predicted_mm, 95), np.percentile(self.truth_mm, 95)))

    @property
    def assd_mm(self) -> float:
        """Average symmetric surface distance, in [0, diagonal_mm]: the mean over both borders."""
        return float(self._all.mean()) if self._empty is None else self._empty

    @property
    def _all(self) -> NDArray[np.float64]:
        return np.concatenate([self.predicted_mm, self.truth_mm])


def border_distances(predicted: Mask, truth: Mask, spacing_mm: Spacing) -> BorderDistances:
    """Measure two (H, W) bool masks whose pixels are spacing_mm (row, column), both positive.

    Either mask may be empty. `ValueError` if dtype or shape differ.
    """
    check_pair(predicted, truth)
    height, width = truth.shape
    diagonal_mm = float(np.hypot((height - 1) * spacing_mm[0], (width - 1) * spacing_mm[1]))
    box = bounding_box(predicted | truth)  # no border pixel lies outside it; the rest costs time
    borders = _border(predicted[box]), _border(truth[box])
    there, back = (_to_nearest(a, b, spacing_mm) for a, b in (borders, borders[::-1]))
    return BorderDistances(there, back, diagonal_mm)


def core_sensitivity(predicted: Mask, truth: Mask, spacing_mm: Spacing) -> float:
    """Share of the truth's core that was found, in [0, 1]; 0 means that the very middle was missed.

    The core is the truth's pixels at least half as deep as its deepest one. Depth is the distance
    in mm to the nearest pixel outside the mask, and what lies beyond the image is outside. (H, W)
    bool masks; spacing_mm (row, column), both positive. Truth empty: 1 if the prediction is empty
    too, else 0. `ValueError` if dtype or shape differ. A measure of our own: sensitivity away from
    the disputed outline.
    """
    check_pair(predicted, truth)
    if not truth.any():
        return 0.0 if predicted.any() else 1.0
    box = bounding_box(truth)
    depth = ndimage.distance_transform_edt(np.pad(truth[box], 1), sampling=spacing_mm)[1:-1, 1:-1]
    core = depth * SLACK >= depth.max() / 2
    return float(np.count_nonzero(core & predicted[box]) / np.count_nonzero(core))


def bounding_box(mask: Mask) -> tuple[slice, slice]:
    """Rows and columns of the smallest box around an (H, W) bool mask; empty for an empty mask."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _border(mask: Mask) -> Mask:
    """Pixels that one erosion with the 4-neighbour cross removes, (H, W)."""
    around = np.pad(mask, 1)
    inside = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return mask & ~inside


def _to_nearest(start: Mask, goal: Mask, spacing_mm: Spacing) -> NDArray[np.float64]:
    """From each pixel of start to the nearest one of goal, in mm; zeros where goal is empty."""
    if not goal.any():
        return np.zeros(np.count_nonzero(start))
    to_goal: NDArray[np.float64] = ndimage.distance_transform_edt(~goal, sampling=spacing_mm)
    return to_goal[start]
