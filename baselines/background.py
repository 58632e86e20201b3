"""The arm that never finds anything: what every other arm must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from baselines._keeping import Kept
from benchmark.arm import Cases, FitReport, FloatImages, ProbMaps, RunContext


@dataclass(frozen=True)
class Background(Kept):
    """All background: probability 0 everywhere."""

    deterministic: ClassVar[bool] = True
    needs_click: ClassVar[bool] = False

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        """Learn nothing."""
        return FitReport()

    def predict(self, images: FloatImages) -> ProbMaps:
        """Return zeros (N, H, W)."""
        return np.zeros(images.shape, dtype=np.float32)
