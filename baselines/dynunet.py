"""nnU-Net's network and, as an option, its loss (Isensee et al. 2021), by MONAI's DynUNet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from monai.losses.dice import DiceCELoss
from monai.networks.nets import DynUNet
from torch import nn

from baselines import _cost
from benchmark.arm import Cases, FitReport, RunContext
from benchmark.errors import SpecError
from benchmark.network_arm import NetworkArm
from benchmark.protocol import Loss, Network, Recipe
from benchmark.training.losses import DeepSupervision

LOSSES = ("tversky", "dice-ce")
SMALLEST_SIDE = 4  # pixels at the bottom: nnU-Net's least


class SupervisedDynUNet(DynUNet):  # type: ignore[misc]  # MONAI has no types
    """MONAI's, each weight under one name, which keeps nothing of a pass that is over."""

    def __init__(self, **plan: Any) -> None:
        super().__init__(**plan)
        self.__dict__["skip_layers"] = self._modules.pop("skip_layers")  # the same layers again

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) -> logits (B, 2, H, W); in training (B, heads, 2, H, W), finest first."""
        out: torch.Tensor = super().forward(x)
        self.heads[:] = [torch.empty(0)] * len(self.heads)  # a tensor with a past is not copied
        return out


@dataclass
class DynUNetArm(NetworkArm):
    """nnU-Net's plan for the size of the slices, under the protocol's terms.

    Isensee et al. 2021 (doi 10.1038/s41592-020-01008-z): stages of two 3x3 convolutions with
    instance norm and leaky ReLU, halved by strides until a side would be under 4 pixels (8 stages
    at 512x512); channels double from twice the protocol's first to its last (32 to 512); of the
    decoder's stages all but the coarsest have a head of their own in training. No dropout; the
    protocol's norm and act do not reach it, nor do nnU-Net's optimiser, schedule and augmentation.

    loss: "tversky", the protocol's with alpha, or "dice-ce", nnU-Net's: the Dice loss of the tumour
    over the batch plus cross-entropy, to which alpha means nothing.
    """

    loss: str = "tversky"
    stages: int = field(default=8, init=False, repr=False)
    gflop: ClassVar = staticmethod(_cost.dynunet)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in LOSSES:
            raise SpecError(f"loss = {self.loss!r} must be one of {', '.join(LOSSES)}")

    def build(self, network: Network) -> nn.Module:
        """Return the network of so many stages; sides must be multiples of 2^(stages - 1)."""
        first, last = 2 * network.channels[0], network.channels[-1]
        return SupervisedDynUNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=2,
            kernel_size=[3] * self.stages,
            strides=[1] + [2] * (self.stages - 1),
            upsample_kernel_size=[2] * (self.stages - 1),
            filters=[min(first * 2**i, max(first, last)) for i in range(self.stages)],
            deep_supervision=True,
            deep_supr_num=self.stages - 3,
        )

    def criterion(self, settings: Loss) -> nn.Module:
        """Return the loss over every head. Raises `SpecError` for dice-ce of sigmoids."""
        if self.loss == "tversky":
            return DeepSupervision(super().criterion(settings))
        if settings.activation != "softmax":
            raise SpecError(
                f"loss = 'dice-ce' takes the softmax, not loss.activation = {settings.activation}"
            )
        return DeepSupervision(
            DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
        )

    def check(
        self, name: str, shape: tuple[int, int], recipe: Recipe, device: str = "cpu"
    ) -> tuple[str, ...]:
        self.stages = stages_for(shape)
        return super().check(name, shape, recipe, device)

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        self.stages = stages_for(train.shape)
        return super().fit(train, val, context)

    def restore(self, state: Mapping[str, Any], context: RunContext) -> None:
        """As many stages as the weights are of."""
        down = {key.split(".")[1] for key in state if key.startswith("downsamples.")}
        self.stages = max(len(down) + 2, 4)
        super().restore(state, context)


def stages_for(shape: tuple[int, int]) -> int:
    """Return how many stages nnU-Net plans for (H, W): 8 for 512x512, 7 for 256x256.

    Both sides are halved together while they are even and stay at least 4 pixels; nnU-Net halves
    each on its own and pads an odd one. At least 4, with which no side of under 32 will do.
    """
    halvings, least = 0, min(shape)
    while least >= 2 * SMALLEST_SIDE and all(side % 2 ** (halvings + 1) == 0 for side in shape):
        halvings, least = halvings + 1, least // 2
    return max(halvings + 1, 4)
