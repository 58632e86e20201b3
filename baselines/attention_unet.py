"""Attention U-Net (Oktay et al. 2018, arXiv 1804.03999), which the thesis names as promising."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from monai.networks.nets import AttentionUnet
from torch import nn

from baselines import _cost
from benchmark.network_arm import NetworkArm
from benchmark.protocol import Network


@dataclass
class AttentionUNetArm(NetworkArm):
    """MONAI's AttentionUnet at kernel 3: its merging convolutions stay 3x3 whatever is asked for.

    It has batch normalisation and ReLU built in; the protocol's norm and act do not reach it.
    """

    gflop: ClassVar = staticmethod(_cost.attention_unet)

    def build(self, network: Network) -> nn.Module:
        return AttentionUnet(
            spatial_dims=2,
            in_channels=1,
            out_channels=2,
            channels=network.channels,
            strides=(2,) * (len(network.channels) - 1),
            kernel_size=3,
            up_kernel_size=3,
            dropout=network.dropout,
        )
