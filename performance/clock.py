"""Wall seconds by label."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

TRAINING = ("data", "augmentation", "forward", "backward", "step")
ASIDE = "augmentation in a worker"  # goes on beside the training, so no part of its time


class Clock:
    """Stands in for `torch.profiler.record_function`: sums the wall seconds of each label.

    The device is waited for at both ends of a label, so a pass that is listened to is never the
    pass that is timed.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)

    def now(self) -> float:
        """Seconds on a clock that only rises, when the device has done all it was asked to do."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def __call__(self, label: str) -> Iterator[None]:
        start = self.now()
        yield
        self.seconds[label] += self.now() - start


def split(
    seconds: Mapping[str, float], train_seconds: float, images: int, val_images: int
) -> dict[str, float]:
    """Return milliseconds per image of each label; "other" is what no label of the training covers.

    >>> split({"forward": 1.0, "backward": 2.0, "validation": 0.5}, 4.0, 10, 5)
    {'forward': 100.0, 'backward': 200.0, 'other': 100.0, 'validation': 100.0}
    """
    parts = {label: 1000 * seconds[label] / images for label in TRAINING if label in seconds}
    parts["other"] = max(0.0, 1000 * train_seconds / images - sum(parts.values()))
    return parts | {"validation": 1000 * seconds.get("validation", 0.0) / val_images}
