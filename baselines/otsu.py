"""Otsu's threshold in each image on its own: the classical method that learns nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines._keeping import Kept
from baselines._morphology import depth, head, otsu_threshold, radius, thickest_component
from benchmark.arm import Cases, FitReport, FloatImages, ProbMaps, RunContext


@dataclass(frozen=True)
class Otsu(Kept):
    """The thickest part inside the head that is brighter than Otsu's threshold over the head.

    rim: how much of the head's radius is skin and bone, and left out. Taking the threshold over
    the whole head, bright skin included, sets it higher than over the brain, and better:
    between brain and enhancement, not between fluid and brain.
    """

    rim: float = 0.2

    deterministic: ClassVar[bool] = True
    needs_click: ClassVar[bool] = False

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        """Learn nothing: every image has its own threshold."""
        return FitReport()

    def predict(self, images: FloatImages) -> ProbMaps:
        """Return 0 or 1 (N, H, W); all 0 for a constant image."""
        return np.stack([self._outlined(image) for image in images]).astype(np.float32)

    def _outlined(self, image: NDArray[np.float32]) -> NDArray[np.bool_]:
        whole = head(image)
        cut = otsu_threshold(image[whole])
        if cut is None:
            return np.zeros(image.shape, dtype=bool)
        inside = depth(whole) > self.rim * radius(whole)
        return thickest_component(inside & (image > cut))
