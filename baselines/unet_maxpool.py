"""The thesis's network as its text describes it: halved by max-pooling, not by strides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from monai.networks.nets import UNet
from torch import nn

from baselines import _cost
from baselines.unet import UNetArm


class MaxPoolUNet(UNet):  # type: ignore[misc]  # MONAI has no types
    """MONAI's U-Net, each strided convolution at stride 1 and a max-pooling of its stride after.

    The pooling follows norm, dropout and activation, as in the U-Net of Ronneberger et al. 2015
    (arXiv 1505.04597), and the skip connection starts after it, as MONAI's does after its stride.
    """

    def _get_down_layer(
        self, in_channels: int, out_channels: int, strides: int, is_top: bool
    ) -> nn.Module:
        layer: nn.Sequential = super()._get_down_layer(in_channels, out_channels, 1, is_top)
        if strides > 1:
            layer.add_module("pool", nn.MaxPool2d(strides))  # so weights keep the names of UNet
        return layer


@dataclass
class MaxPoolUNetArm(UNetArm):
    """The arm `unet` with "une étape de max pooling entre chaque niveau" (the thesis, 2.6).

    Channels, kernels, dropout, norm, activation and the transposed convolutions of the way up are
    those of `unet`; and so are the parameters, whose counts the thesis prints, since pooling has
    none. A convolution before its pooling sees four times the pixels that a strided one gives.
    """

    gflop: ClassVar = staticmethod(_cost.unet_maxpool)
    kind: ClassVar[type[UNet]] = MaxPoolUNet
