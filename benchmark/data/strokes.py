"""What the parts of a phantom share: the skull; soft edges, waves and spots in head coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DURA = 0.86  # the inner side of the skull, as a part of the head's radius


def edge(distance: Floats, pixel: float) -> Floats:
    """Return 1 inside (distance < 0), 0 outside, with a ramp as wide as a pixel: partial volume."""
    return np.clip(0.5 - distance / max(pixel, 0.01), 0, 1)


def waves(
    rng: np.random.Generator, grid: Floats, place: float, low: float, high: float, count: int
) -> Floats:
    """Return smooth noise (size, size) of unit variance, wave numbers low to high, gliding with
    place.
    """
    angle, phase = rng.uniform(0, 2 * np.pi, (2, count, 1))
    number = rng.uniform(low, high, (count, 1))
    phase = phase + 0.35 * place * rng.normal(0, 1, (count, 1))
    across = number * np.cos(angle) * grid + phase
    down = number * np.sin(angle) * grid
    even, odd = (np.einsum("ph,pw->hw", part(down), part(across)) for part in (np.cos, np.sin))
    return np.asarray((even - odd) * np.sqrt(2 / count))


def spots(grid: Floats, points: Floats, width: Floats) -> Floats:
    """Return round soft spots (size, size) at points (P, 2) as x, y, at most 1; faint if thin."""
    seen = np.hypot(width, 1 / len(grid))[:, None]
    across = np.exp(-(((grid - points[:, :1]) / seen) ** 2)) * width[:, None] / seen
    down = np.exp(-(((grid - points[:, 1:]) / seen) ** 2))
    return np.asarray(np.minimum(np.einsum("ph,pw->hw", down, across), 1))
