"""The choice of one number by the Dice it gives on training slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.scoring.overlap import count as count_pixels

Segment = Callable[[float], NDArray[np.bool_]]  # candidate -> mask (H, W) of one slice


def tune(
    candidates: Sequence[float],
    slices: int,
    count: int,
    prepare: Callable[[int], Segment],
    masks: NDArray[np.bool_],
) -> tuple[float, float]:
    """Return the candidate with the greatest mean Dice, the first of equals, and that Dice.

    Tried on `count` of the `slices` training slices, evenly spaced by place (all, where there
    are not as many). prepare(place) does the work that no candidate changes, once per slice.
    """
    places = np.unique(np.linspace(0, slices - 1, min(count, slices)).round().astype(int))
    scores = np.zeros((len(places), len(candidates)))
    for row, place in zip(scores, places, strict=True):
        segment = prepare(int(place))
        row[:] = [count_pixels(segment(candidate), masks[place]).dice for candidate in candidates]
    mean = scores.mean(axis=0)
    best = int(mean.argmax())
    return float(candidates[best]), float(mean[best])
