"""What the classical arms know without learning: where a head's inside is, that a mass is thick.

Lengths are parts of the head's radius, sqrt(area / pi), so one value serves every image size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

BINS = 256
FAINT = 0.65  # of the way up to Otsu's air-head threshold, where the head begins: brain is dark

Mask = NDArray[np.bool_]


def otsu_threshold(values: NDArray[np.float32]) -> float | None:
    """Return Otsu's cut (1979) of values of any shape, in 256 bins; the bright part is > cut.

    None where there are no two different values.
    """
    if values.size == 0 or values.min() == values.max():
        return None
    return float(threshold_otsu(values, nbins=BINS))


def head(image: NDArray[np.float32]) -> Mask:
    """Return the filled head of an image (H, W), its largest bright part; False where constant."""
    cut = otsu_threshold(image)
    if cut is None:
        return np.zeros(image.shape, dtype=bool)
    darkest = float(image.min())
    bright = image > darkest + FAINT * (cut - darkest)
    reach = max(1, min(image.shape) // 100)
    closed = ndimage.binary_closing(np.pad(bright, reach), iterations=reach)
    inner = closed[reach:-reach, reach:-reach]
    return largest_component(ndimage.binary_fill_holes(inner))


def interior(image: NDArray[np.float32], rim: float) -> Mask:
    """Return the head without its rim of skin and bone, rim head-radii thick. May be empty."""
    whole = head(image)
    return depth(whole) > rim * radius(whole)


def radius(mask: Mask) -> float:
    """Return the radius, in pixels, of the disc that has the mask's area."""
    return float(np.sqrt(mask.sum() / np.pi))


def depth(mask: Mask) -> NDArray[np.float64]:
    """Return each pixel's distance in pixels to the nearest one outside, or beyond the image."""
    return np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1])


def component_at(mask: Mask, pixel: tuple[int, int]) -> Mask:
    """Return the 4-connected component that holds the pixel (row, column); all False if none."""
    labels, _ = ndimage.label(mask)
    return np.asarray((labels == labels[pixel]) & mask)


def largest_component(mask: Mask) -> Mask:
    """Return the component with the most pixels; all False where the mask is empty."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    return np.asarray(labels == np.bincount(labels.ravel())[1:].argmax() + 1)


def deepest_pixel(mask: Mask) -> tuple[int, int]:
    """Return the (row, column) farthest from the mask's edge; of equals the first as one reads."""
    row, column = np.unravel_index(int(depth(mask).argmax()), mask.shape)
    return int(row), int(column)


def thickest_component(mask: Mask) -> Mask:
    """Return, holes filled, the component that holds the largest disc; all False of an empty mask.

    A mass is thick, vessels and skull are thin.
    """
    thickest = np.zeros_like(mask)
    if mask.any():
        box = ndimage.find_objects(mask.view(np.uint8))[0]  # only where there is something
        part = mask[box]
        thickest[box] = ndimage.binary_fill_holes(component_at(part, deepest_pixel(part)))
    return thickest


def without_necks(mask: Mask, pixel: tuple[int, int], width: float) -> Mask:
    """Return the part of a mask that a disc of this width in pixels reaches from a pixel.

    Where no part of the mask is as wide, the disc shrinks to 0.6 of the widest. The pixel must
    be in the mask.
    """
    inner = depth(mask)
    half = min(width / 2, 0.6 * float(inner.max()))
    core = inner > half
    nearest = ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True)
    row, column = nearest[:, *pixel]
    core = component_at(core, (int(row), int(column)))
    return np.asarray(mask & (ndimage.distance_transform_edt(~core) <= half + 0.5))
