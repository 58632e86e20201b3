"""Nyul standardisation, z-score and rescaling: pure array steps.

Nyul L.G., Udupa J.K., Zhang X., New variants of a method of MRI scale standardization,
IEEE Trans. Med. Imaging 19(2), 2000. Foreground is every pixel above the image's own mean:
on whole images a median 17 % of pixels are exactly 0 and the lower landmarks coincide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.preprocessing.level_table import Levels

STANDARD_SCALE = (0.0, 100.0)
TIE = 1e-9  # landmarks closer than this share of their span differ by rounding alone


@dataclass(frozen=True)
class Landmarks:
    """The learned standard histogram: percentiles of the foreground and their standard values."""

    percentiles: tuple[float, ...]
    values: tuple[float, ...]
    whole: bool = False


def image_landmarks(
    image: NDArray[np.generic], percentiles: tuple[float, ...], whole: bool = False
) -> NDArray[np.float64]:
    """Return the (P,) grey levels at the percentiles of one (H, W) image's foreground, or whole.

    Raises `DataError` for a constant image, which has no foreground.
    """
    pixels = image.astype(np.float64)
    foreground = pixels if whole else pixels[pixels > pixels.mean()]
    if foreground.size == 0 or pixels.min() == pixels.max():
        raise DataError(f"constant image: every pixel is {pixels.flat[0]:g}; remove the slice")
    return np.percentile(foreground, percentiles)


def fit_nyul(
    images: NDArray[np.generic], percentiles: tuple[float, ...], whole: bool = False
) -> Landmarks:
    """Learn the standard histogram of (N, H, W) images.

    Each image's landmarks are moved linearly so that its first and last lie on the standard
    scale 0 to 100; a standard landmark is their mean over images. An image whose first and
    last landmark coincide has no inner shape to teach and is left out; if all do, `DataError`.
    """
    rows = np.stack([image_landmarks(image, percentiles, whole) for image in images])  # (N, P)
    span = rows[:, -1] - rows[:, 0]
    rows, span = rows[span > 0], span[span > 0]
    if len(rows) == 0:
        why = "no image has more than one foreground grey level"
        raise DataError(f"{why}; Nyul's landmarks cannot be learned")
    low, high = STANDARD_SCALE
    moved = low + (rows - rows[:, :1]) / span[:, None] * (high - low)
    return Landmarks(tuple(percentiles), tuple(moved.mean(axis=0).tolist()), whole)


def apply_nyul(image: NDArray[np.generic], landmarks: Landmarks) -> NDArray[np.float64]:
    """Map one (H, W) image to the standard histogram, piecewise linearly and never decreasing.

    Beyond the outer landmarks the outer segments are continued. Coinciding landmarks count
    as one, at the mean of their standard values. An image with a single foreground grey
    level cannot be stretched: it is moved so that this level has the mean standard value,
    at its own scale.
    """
    own = image_landmarks(image, landmarks.percentiles, landmarks.whole)
    group = np.concatenate([[0], np.cumsum(np.diff(own) > TIE * (own[-1] - own[0]))])
    members = np.bincount(group)
    xs = own[np.searchsorted(group, np.arange(len(members)))]
    ys = np.bincount(group, weights=np.asarray(landmarks.values)) / members
    pixels = image.astype(np.float64)
    if len(xs) == 1:
        return pixels - xs[0] + ys[0]
    mapped = np.interp(pixels, xs, ys)
    first, last = (ys[1] - ys[0]) / (xs[1] - xs[0]), (ys[-1] - ys[-2]) / (xs[-1] - xs[-2])
    below, above = pixels < xs[0], pixels > xs[-1]
    mapped[below] = ys[0] + (pixels[below] - xs[0]) * first
    mapped[above] = ys[-1] + (pixels[above] - xs[-1]) * last
    return mapped


def zscore(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract the mean of one whole image and divide by its standard deviation (thesis, 2.4)."""
    sd = image.std()
    if not sd > 0:
        raise DataError(f"constant image: every pixel is {image.flat[0]:g}; it has no z-score")
    return (image - image.mean()) / sd


def rescale(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map the least pixel of one image to exactly -1 and the greatest to exactly 1."""
    low, high = image.min(), image.max()
    if not high > low:
        raise DataError(f"constant image: every pixel is {low:g}; it cannot be rescaled to [-1, 1]")
    return (image - low) / (high - low) * 2.0 - 1.0


def steps(image: NDArray[np.generic], landmarks: Landmarks) -> NDArray[np.float64]:
    """Run the three steps on one (H, W) image, each by a pixel's grey level alone; into [-1, 1]."""
    return rescale(zscore(apply_nyul(image, landmarks)))


def apply(images: NDArray[np.generic], landmarks: Landmarks) -> NDArray[np.float32]:
    """Run the three steps on (N, H, W) images; returns (N, H, W) float32 in [-1, 1]."""
    out = np.empty(images.shape, dtype=np.float32)
    for i, image in enumerate(images):
        out[i] = steps(image, landmarks)
    return out


def tabulate(images: NDArray[np.generic], landmarks: Landmarks) -> Levels:
    """Return the same numbers as `apply` for images of integers, as tables of their grey levels."""
    return Levels.of(images, partial(steps, landmarks=landmarks))
