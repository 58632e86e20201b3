"""Moving slices to the size a network is fed, and probabilities back to the size that is scored."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray


def downsample(images: NDArray[np.generic], shape: tuple[int, int]) -> NDArray[np.generic]:
    """Resize (N, H, W) by averaging over each new pixel's area; float32, or as is if it fits."""
    if images.shape[1:] == shape:
        return images
    rows, columns = (_shares(n, m) for n, m in zip(images.shape[1:], shape, strict=True))
    out = np.empty((len(images), *shape), dtype=np.float32)
    for i, image in enumerate(images):
        out[i] = rows @ image.astype(np.float64) @ columns.T
    return out


def _shares(n: int, m: int) -> NDArray[np.float64]:
    """(m, n) share of each of n old pixels in each of m new ones along an axis; rows sum to 1."""
    edges = np.arange(m + 1) * n / m
    ends = np.minimum(edges[1:, None], np.arange(1, n + 1))
    starts = np.maximum(edges[:-1, None], np.arange(n))
    return (ends - starts).clip(min=0) * m / n


def downsample_masks(masks: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Resize (N, H, W) bool: a new pixel is tumour where at least half of its area is."""
    if masks.shape[1:] == shape:
        return masks
    shares = np.asarray(downsample(masks, shape), np.float32)
    return shares >= 0.5 - 1e-6  # rounding, where the area is exactly half


def upsample_probability(maps: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resize (N, h, w) probabilities to (N, H, W) bilinearly; values stay in [0, 1]."""
    if maps.shape[1:] == shape:
        return maps
    tensor = torch.from_numpy(np.ascontiguousarray(maps))[:, None]
    resized = F.interpolate(tensor, size=shape, mode="bilinear", align_corners=False)
    return resized[:, 0].clamp(0, 1).numpy()


def scaled_spacing(
    spacing_mm: tuple[float, float], original: tuple[int, int], shape: tuple[int, int]
) -> tuple[float, float]:
    """Pixel size in mm after resizing from the original shape."""
    return (spacing_mm[0] * original[0] / shape[0], spacing_mm[1] * original[1] / shape[1])
