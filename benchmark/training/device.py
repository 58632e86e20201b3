"""Arrays on the device where a network is, and the card that is current."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def on_device(array: NDArray[Any], device: str | torch.device) -> torch.Tensor:
    """Return an array as a tensor on a device; on a processor it shares the array's memory.

    Nothing waits for a card: what goes there is copied from pinned memory. uint16, which
    torch hardly knows, becomes int32.
    """
    tensor = torch.from_numpy(
        np.ascontiguousarray(array.astype(np.int32) if array.dtype == np.uint16 else array)
    )
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def current(device: str) -> contextlib.AbstractContextManager[Any]:
    """Inside, a card is the one that streams, events and graphs mean; for a processor nothing
    changes.
    """
    return torch.cuda.device(device) if device.startswith("cuda") else contextlib.nullcontext()
