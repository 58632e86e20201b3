"""A network of a package of its own, run by the benchmark like every other arm."""

from __future__ import annotations

from dataclasses import dataclass

from monai.networks.nets import BasicUNet
from torch import nn

from benchmark.errors import SpecError
from benchmark.network_arm import NetworkArm
from benchmark.protocol import Network


@dataclass
class MyArm(NetworkArm):
    """MONAI's BasicUNet. width (at least 1): channels of the first level; the deepest has 8 times.

    alpha, training, prediction and keeping the model come from `NetworkArm`.
    """

    width: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width < 1:
            raise SpecError(f"width = {self.width} must be at least 1")

    def build(self, network: Network) -> nn.Module:
        """(B, 1, H, W) images -> (B, 2, H, W) logits, tumour second."""
        w = self.width
        return BasicUNet(2, 1, 2, features=(w, w, 2 * w, 4 * w, 8 * w, w), dropout=network.dropout)
