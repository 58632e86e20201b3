"""Models that are no network: what a spy is fed it keeps; and images to feed it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.arm import FloatImages
from benchmark.inference.trained_model import TrainedModel
from benchmark.preprocessing.nyul import Landmarks

SQUARE = 0.49  # mm


@dataclass
class Spy:
    """Keeps what it is fed, and marks what lies above a level."""

    level: float = 0.0
    fed: list[NDArray[np.float32]] = field(default_factory=list)

    def predict(self, images: FloatImages) -> NDArray[np.float32]:
        self.fed.append(images)
        return (images > self.level).astype(np.float32)


def model_around(arm: Any, shape: tuple[int, int] = (64, 64)) -> TrainedModel:
    """A model of square pixels of 0.49 mm around an arm that is fed 64 x 64."""
    marks = Landmarks((1.0, 50.0, 99.0), (0.0, 50.0, 100.0))
    return TrainedModel("a_run_0", arm, marks, (64, 64), shape, (SQUARE, SQUARE), 100, 9, False)


def png(path: Path, array: NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def drawn(seed: int = 0, shape: tuple[int, int] = (64, 64)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
