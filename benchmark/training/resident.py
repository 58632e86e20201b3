"""A set of slices on the device where the network is."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmark.arm import Cases
from benchmark.preprocessing.level_table import Levels
from benchmark.training.device import on_device


@dataclass(frozen=True)
class Resident:
    """Grey levels as loaded with each image's table, or (N, H, W) float32 without; masks (N, H, W)
    bool.
    """

    grey: torch.Tensor
    masks: torch.Tensor
    table: torch.Tensor | None = None
    low: torch.Tensor | None = None

    @classmethod
    def of(cls, cases: Cases, device: str) -> Resident:
        """Copy a set to a device; on a processor its arrays are shared."""
        grey = cases.grey
        arrays = (
            (grey.codes, cases.masks, grey.table, grey.low)
            if isinstance(grey, Levels)
            else (grey, cases.masks)
        )
        return cls(*(on_device(array, device) for array in arrays))

    def images(self, rows: torch.Tensor) -> torch.Tensor:
        """(b,) int64 row numbers, on the device -> (b, H, W) float32."""
        grey = self.grey[rows]
        if self.table is None or self.low is None:
            return grey
        place = grey.long() - self.low[rows][:, None, None]
        return self.table[rows].gather(1, place.flatten(1)).view(place.shape)
