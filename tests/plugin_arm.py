"""Somebody else's arm, which needs nothing of ours but `FitReport`."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from benchmark.arm import FitReport


@dataclass
class Dimmer:
    """The brighter, the more a tumour."""

    gain: float = 0.5
    deterministic: ClassVar[bool] = True
    needs_click: ClassVar[bool] = False

    def fit(self, train: Any, val: Any, context: Any) -> FitReport:
        return FitReport(facts={"gain": self.gain})

    def predict(self, images: Any) -> Any:
        return (self.gain * (images + 1)).clip(0, 1).astype(np.float32)


@dataclass
class Demanding:
    gain: float


NOT_A_CLASS = 3
