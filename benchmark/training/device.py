"""Arrays and slices on the device where a network is, and the card that is current."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.arm import Cases
from benchmark.preprocessing.level_table import Levels


def on_device(array: NDArray[Any], device: str | torch.device) -> torch.Tensor:
    """Return an array as a tensor on a device; on a processor it shares the array's memory.

    Nothing waits for a card: what goes there is copied from pinned memory. uint16, which
    torch hardly knows, becomes int32.
    """
    known = array.astype(np.int32) if array.dtype == np.uint16 else array
    tensor = torch.from_numpy(np.ascontiguousarray(known))
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def current(device: str) -> contextlib.AbstractContextManager[Any]:
    """Inside, a card is the one that streams, events and graphs mean; a processor is as before."""
    return torch.cuda.device(device) if device.startswith("cuda") else contextlib.nullcontext()


@dataclass(frozen=True)
class Resident:
    """A set of slices on a device.

    grey: levels as loaded, with each image's table, or (N, H, W) float32 without one; masks
    (N, H, W) bool.
    """

    grey: torch.Tensor
    masks: torch.Tensor
    table: torch.Tensor | None = None
    low: torch.Tensor | None = None

    @classmethod
    def of(cls, cases: Cases, device: str) -> Resident:
        """Copy a set to a device; on a processor its arrays are shared."""
        grey = cases.grey
        tables = (grey.table, grey.low) if isinstance(grey, Levels) else ()
        codes = grey.codes if isinstance(grey, Levels) else grey
        return cls(*(on_device(array, device) for array in (codes, cases.masks, *tables)))

    def images(self, rows: torch.Tensor) -> torch.Tensor:
        """(b,) int64 row numbers, on the device -> (b, H, W) float32."""
        grey = self.grey[rows]
        if self.table is None or self.low is None:
            return grey
        place = grey.long() - self.low[rows][:, None, None]
        return self.table[rows].gather(1, place.flatten(1)).view(place.shape)
