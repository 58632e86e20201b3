"""Clusters of grey levels: k-means in each image's brain, its brightest clusters the tumour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines._keeping import Kept
from baselines._morphology import interior, thickest_component
from baselines._tuning import tune
from benchmark.arm import Cases, FitReport, FloatImages, ProbMaps, RunContext
from benchmark.errors import ArmError

CHOICES = tuple((k, bright) for k in range(2, 9) for bright in range(1, min(k, 4)))
ROUNDS = 300  # of Lloyd's; means of some hundred grey levels settle in tens

Choice = tuple[int, int]  # clusters, and how many of the brightest are the tumour's


@dataclass
class Clusters(Kept):
    """The thickest part inside the head whose grey levels are in the brightest clusters.

    How many clusters there are (2 to 8), and how many of them are bright (1 to 3), is chosen on
    training slices. rim: how much of the head's radius is skin and bone, and left out.
    tuning_slices: training slices the choice is tried on.
    """

    rim: float = 0.2
    tuning_slices: int = 64
    clusters: int | None = field(default=None, init=False)
    bright: int | None = field(default=None, init=False)

    deterministic: ClassVar[bool] = True
    needs_click: ClassVar[bool] = False

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        """Choose both numbers together, with the greatest mean Dice."""

        def prepare(place: int) -> Callable[[float], NDArray[np.bool_]]:
            segment = self._prepare(train.images[place])
            return lambda number: segment(CHOICES[int(number)])

        numbers = range(len(CHOICES))
        best, dice = tune(numbers, len(train), self.tuning_slices, prepare, train.masks)
        self.clusters, self.bright = CHOICES[int(best)]
        facts = {"clusters": self.clusters, "bright": self.bright, "tuning_dice": dice}
        return FitReport(facts=facts, parameters=2)

    def predict(self, images: FloatImages) -> ProbMaps:
        """Return 0 or 1 (N, H, W); all 0 where there are fewer grey levels than clusters.

        Raises `ArmError` before `fit`.
        """
        if self.clusters is None or self.bright is None:
            raise ArmError("clusters: predict came before fit; fit the arm first")
        chosen = self.clusters, self.bright
        return np.stack([self._prepare(image)(chosen) for image in images]).astype(np.float32)

    def _prepare(self, image: NDArray[np.float32]) -> Callable[[Choice], NDArray[np.bool_]]:
        inside = interior(image, self.rim)
        centres = cache(lambda k: k_means(image[inside], k))

        def segment(chosen: Choice) -> NDArray[np.bool_]:
            k, bright = chosen
            means = centres(k)
            if means is None:
                return np.zeros(image.shape, dtype=bool)
            cut = (means[k - bright] + means[k - bright - 1]) / 2  # nearer to a bright mean
            return thickest_component(inside & (image > cut))

        return segment


def k_means(values: NDArray[np.float32], k: int) -> NDArray[np.float64] | None:
    """Return the k means (k,), ascending, that Lloyd's algorithm (1982; MacQueen 1967) ends at.

    It begins at the middles of k parts of equally many values, so that nothing is drawn, and goes
    on until no value changes its cluster. None where there are fewer than k different values.
    """
    levels, counts = np.unique(values.astype(np.float64), return_counts=True)
    if len(levels) < k:
        return None
    number, total = (np.concatenate([[0], np.cumsum(n)]) for n in (counts, counts * levels))
    starts = np.searchsorted(number[1:], (np.arange(k) + 0.5) / k * number[-1])
    starts = np.maximum.accumulate(np.maximum(starts - np.arange(k), 0)) + np.arange(k)  # differ
    means, ends = levels[np.minimum(starts, len(levels) - k + np.arange(k))], None
    for _ in range(ROUNDS):
        inner = np.searchsorted(levels, (means[1:] + means[:-1]) / 2, side="right")
        before, ends = ends, np.array([0, *inner, len(levels)])
        if before is not None and np.array_equal(before, ends):
            break
        size = np.diff(number[ends])
        means = np.where(size > 0, np.diff(total[ends]) / np.maximum(size, 1), means)
    return means
