"""The thesis's network: MONAI's basic U-Net, one kernel size throughout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from monai.networks.nets import UNet
from torch import nn

from baselines import _cost
from benchmark.errors import SpecError
from benchmark.network_arm import NetworkArm
from benchmark.protocol import Network


@dataclass
class UNetArm(NetworkArm):
    """kernel_size (odd) of every convolution, up and down.

    Only `num_res_units=0` with `up_kernel_size = kernel_size` has the parameter counts of
    the thesis's table 2: 2.65, 7.36, 14.43 and 23.85 million for 3, 5, 7 and 9. MONAI's
    U-Net halves by strided convolution where the thesis describes max-pooling.
    """

    kernel_size: int = 5
    gflop: ClassVar = staticmethod(_cost.unet)
    kind: ClassVar[type[UNet]] = UNet

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.kernel_size) is not int or self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise SpecError(f"kernel_size = {self.kernel_size!r} must be an odd whole number")

    def build(self, network: Network) -> nn.Module:
        return self.kind(
            spatial_dims=2,
            in_channels=1,
            out_channels=2,
            channels=network.channels,
            strides=(2,) * (len(network.channels) - 1),
            kernel_size=self.kernel_size,
            up_kernel_size=self.kernel_size,
            num_res_units=0,
            norm=network.norm,
            act=network.act,
            dropout=network.dropout,
        )
