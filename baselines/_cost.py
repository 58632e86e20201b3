"""What the networks cost at 512 x 512, for `benchmark.arm.ArmEntry.gflop`. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def unet(params: Mapping[str, Any]) -> float:
    """7.96, 22.12, 43.37, 71.68 for kernels of 3, 5, 7, 9: all of it lies in the convolutions."""
    return 0.885 * float(params["kernel_size"]) ** 2


def unet_maxpool(params: Mapping[str, Any]) -> float:
    """13.51, 37.54, 73.58, 121.63: the convolutions down see four times the pixels."""
    return 1.5016 * float(params["kernel_size"]) ** 2


def dynunet(params: Mapping[str, Any]) -> float:
    """Its plan for 512 x 512; the losses are not counted."""
    return 357.4


def attention_unet(params: Mapping[str, Any]) -> float:
    """It has one kernel."""
    return 78.3
