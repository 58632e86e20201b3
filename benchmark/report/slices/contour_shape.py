"""What no score says of a tumour's outline: straight edges, and thin bright parts that hang on it.

Rules for finding slices that a reader should look at, not measures of quality. Pure.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.data.slices import Mask, Spacing
from benchmark.scoring.surface import bounding_box

STRAIGHT_PIXELS = 1.0  # how near the outline stays to a straight edge: what plotting on pixels adds
LONGEST_EDGES = 4
LEAST_STRAIGHT = 0.45  # a disc of 663 mm2 at 0.49 mm a pixel has 0.33
STRAND_MM = 5.0  # a part of the truth that no disc of this diameter fits into is thin
AROUND_MM = 5.0
LEAST_STRAND_MM2 = 5.0  # less is the corner of a polygon


def straight_share(mask: Mask) -> float:
    """Share, 0 to 1, of an (H, W) bool mask's longest contour made up by its four longest edges.

    The outline is the middle of each pixel edge (marching squares at 0.5), its edges those of
    Douglas and Peucker at `STRAIGHT_PIXELS`. A disc of 50 pixels' radius has 0.3, any quadrilateral
    1. An empty mask has 0.
    """
    from skimage.measure import approximate_polygon, find_contours

    contours = find_contours(np.pad(mask[bounding_box(mask)], 1).astype(np.float64), 0.5)
    if not contours:
        return 0.0
    corners = approximate_polygon(max(contours, key=len), STRAIGHT_PIXELS)
    edges = np.sort(np.hypot(*np.diff(corners, axis=0).T))
    return float(edges[-LONGEST_EDGES:].sum() / edges.sum())


def left_out_strand_mm2(
    image: NDArray[np.generic],
    truth: Mask,
    predicted: Mask,
    spacing_mm: Spacing,
) -> float:
    """Area of the largest thin, bright part of the truth that the prediction leaves out, else 0.

    (H, W) image and bool masks. Thin: no disc of `STRAND_MM` that lies in the truth covers it.
    Bright: its mean grey level is nearer to the median of the tumour that was found than to that of
    the `AROUND_MM` around the truth. Parts join through all 8 neighbours. Nothing found, or an
    empty truth, gives 0.
    """
    if not (truth & predicted).any():
        return 0.0
    margins = [math.ceil(AROUND_MM / side) + 1 for side in spacing_mm]
    box = tuple(
        slice(max(side.start - margin, 0), side.stop + margin)
        for side, margin in zip(bounding_box(truth), margins, strict=True)
    )
    grey, truth, predicted = image[box].astype(np.float64), truth[box], predicted[box]
    outside_mm = ndimage.distance_transform_edt(~truth, sampling=spacing_mm)
    around = grey[(outside_mm > 0) & (outside_mm <= AROUND_MM)]
    if not around.size:
        return 0.0
    tumour, brain = float(np.median(grey[truth & predicted])), float(np.median(around))
    if tumour <= brain:  # then nothing of it is bright
        return 0.0
    labels, count = ndimage.label(_thin(truth, spacing_mm) & ~predicted, structure=np.ones((3, 3)))
    means = np.asarray(ndimage.mean(grey, labels, np.arange(1, count + 1)))
    pixels = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    largest = pixels[means >= (tumour + brain) / 2].max(initial=0)
    return float(largest * spacing_mm[0] * spacing_mm[1])


def _thin(mask: Mask, spacing_mm: Spacing) -> Mask:
    """What an opening by a disc of `STRAND_MM` takes away.

    Distances are between pixel centres, half a pixel more than to the edge.
    """
    radius_mm = STRAND_MM / 2 + min(spacing_mm) / 2
    inside_mm = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing_mm)[1:-1, 1:-1]
    deep = inside_mm >= radius_mm
    if not deep.any():
        return mask
    thin: Mask = mask & (ndimage.distance_transform_edt(~deep, sampling=spacing_mm) > radius_mm)
    return thin
