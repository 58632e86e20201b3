"""One intensity threshold for all images, tuned on the training slices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baselines._keeping import Kept
from baselines._morphology import interior, thickest_component
from baselines._tuning import Segment, tune
from benchmark.arm import Cases, FitReport, FloatImages, ProbMaps, RunContext
from benchmark.errors import ArmError


@dataclass
class Threshold(Kept):
    """The thickest part inside the head that is brighter than one threshold.

    rim: how much of the head's radius is skin and bone, and left out. steps: thresholds tried,
    evenly spaced over [-1, 1]. tuning_slices: training slices they are tried on.
    """

    rim: float = 0.2
    steps: int = 50
    tuning_slices: int = 64
    threshold: float | None = field(default=None, init=False)

    deterministic: ClassVar[bool] = True
    needs_click: ClassVar[bool] = False

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        """Choose the threshold with the greatest mean Dice."""
        cuts = np.linspace(-1, 1, self.steps, endpoint=False)  # nothing is brighter than 1
        self.threshold, dice = tune(
            cuts.tolist(),
            len(train),
            self.tuning_slices,
            lambda i: self._prepare(train.images[i]),
            train.masks,
        )
        return FitReport(facts={"threshold": self.threshold, "tuning_dice": dice}, parameters=1)

    def predict(self, images: FloatImages) -> ProbMaps:
        """Return 0 or 1 (N, H, W). Raises `ArmError` before `fit`."""
        if self.threshold is None:
            raise ArmError("threshold: predict came before fit; fit the arm first")
        masks = [self._prepare(image)(self.threshold) for image in images]
        return np.stack(masks).astype(np.float32)

    def _prepare(self, image: NDArray[np.float32]) -> Segment:
        inside = interior(image, self.rim)
        return lambda cut: thickest_component(inside & (image > cut))
