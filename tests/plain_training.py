"""The thesis's training in plain PyTorch, numpy and MONAI: `benchmark.training.loop` is held to it.

Nothing here is of the package under test. What a training draws is written down a second time
(streams, dropout masks) or handed in (augmented images).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from monai.networks.nets import AttentionUnet, DynUNet, UNet
from numpy.typing import NDArray
from torch import nn

WEIGHTS, ORDER, DROPOUT, OTHER = 1, 2, 3, 10  # numbers of the random streams
LEVELS = 2**16  # of a dropout probability
SMOOTH = 1e-5  # MONAI's, above and below the Tversky fraction

Weights = dict[str, torch.Tensor]
Augmented = Callable[[int, NDArray[np.int64]], tuple[torch.Tensor, torch.Tensor]]
"""(epoch, rows of the training set) -> images (b, H, W) float32, masks (b, H, W) bool."""


def stream(seed: int, name: int, epoch: int = 0, index: int = 0) -> np.random.Generator:
    key, counter = np.array([seed, name], np.uint64), np.array([0, 0, index, epoch], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def untrained(
    name: str, seed: int, channels: tuple[int, ...], dropout: float = 0.3, kernel: int = 3,
    **layers: str,
) -> nn.Module:  # fmt: skip
    """MONAI's network with the weights of a seed, one kernel throughout; layers: norm, act."""
    if name == "dynunet":
        return planned(seed, channels)
    kind: Any = {"unet": UNet, "unet-maxpool": UNet, "attention-unet": AttentionUnet}[name]
    torch.manual_seed(int(stream(seed, WEIGHTS).integers(0, 2**63 - 1)))
    sizes = {"strides": (2,) * (len(channels) - 1), "kernel_size": kernel, "up_kernel_size": kernel}
    made: nn.Module = kind(2, 1, 2, channels, dropout=dropout, **sizes, **layers)
    return pooled(made) if name == "unet-maxpool" else made


def planned(seed: int, channels: tuple[int, ...], stages: int = 5) -> DynUNet:
    """nnU-Net's plan for 64 x 64: halved to 4 x 4, so 5 stages, the two coarsest without heads."""
    torch.manual_seed(int(stream(seed, WEIGHTS).integers(0, 2**63 - 1)))
    filters = [min(2 * channels[0] * 2**stage, max(channels)) for stage in range(stages)]
    strides, heads = [1, 2, 2, 2, 2], stages - 3
    made = DynUNet(
        2, 1, 2, [3] * stages, strides, strides[1:], filters,
        deep_supervision=True, deep_supr_num=heads,
    )  # fmt: skip
    made.__dict__["skip_layers"] = made._modules.pop("skip_layers")  # names every weight twice
    return made


def mean_over_heads(
    logits: torch.Tensor, loss: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """loss(logits), or of (B, K, 2, H, W) the mean over heads of weights 1, 1/2, 1/4, ..."""
    if logits.dim() == 4:
        return loss(logits)
    weights = [2.0**-head for head in range(logits.shape[1])]
    each = [w * loss(logits[:, head]) for head, w in enumerate(weights)]
    return sum(each[1:], each[0]) / sum(weights)


def pooled(network: nn.Module) -> nn.Module:
    """MONAI's U-Net, in place, with max-pooling after each convolution that had a stride of 2."""
    for block in list(network.modules()):
        conv = getattr(block, "conv", None)
        if isinstance(conv, nn.Conv2d) and conv.stride == (2, 2):
            conv.stride = (1, 1)
            block.add_module("pool", nn.MaxPool2d(2))
    return network


@dataclass
class Plain:
    """A training's history, the weights before and after each epoch, and their greatest slopes."""

    start: Weights
    history: list[dict[str, float]] = field(default_factory=list)
    weights: list[Weights] = field(default_factory=list)
    slopes: dict[str, float] = field(default_factory=dict)

    @property
    def best_epoch(self) -> int:
        """The first with the greatest validation Dice."""
        return int(np.argmax([row["val_dice"] for row in self.history]))

    def apart(self, weights: Mapping[str, torch.Tensor], epoch: int) -> float:
        """How far weights lie from those after an epoch, as a share of the way gone by then.

        A bias before a norm, with no slope but rounding, which Adam scales up, is left out.
        """
        least = 1e-5 * max(self.slopes.values())
        felt = [name for name, slope in self.slopes.items() if slope > least]
        assert weights.keys() == self.start.keys()
        here = self.weights[epoch]
        gone = _distance([here[name] - self.start[name] for name in felt])
        return _distance([weights[name] - here[name] for name in felt]) / gone


def train(
    model: nn.Module, slice_id: NDArray[np.int64], augmented: Augmented,
    val: tuple[NDArray[np.float32], NDArray[np.bool_]], *,
    seed: int, alpha: float, epochs: int, batch: int = 4, rate: float = 1e-3,
) -> Plain:  # fmt: skip
    """Train for so many epochs; val is (N, H, W) images and masks."""
    plain, keys = Plain(copy.deepcopy(model.state_dict())), _keyed_by_hand(model)
    optimiser = torch.optim.Adam(model.parameters(), lr=rate, fused=False, foreach=False)
    images, truth = (torch.from_numpy(array) for array in val)
    for epoch in range(epochs):
        model.train()
        order, losses = stream(seed, ORDER, epoch).permutation(len(slice_id)), []
        for number, rows in enumerate(np.split(order, range(batch, len(order), batch))):
            torch.manual_seed(int(stream(seed, OTHER, epoch, number).integers(0, 2**63 - 1)))
            draws = [stream(seed, DROPOUT, epoch, int(number)) for number in slice_id[rows]]
            size = (_dropouts(model), 2)
            keys[:] = [draw.integers(-(2**31), 2**31, size, np.int32) for draw in draws]
            pictures, masks = augmented(epoch, rows)
            each = mean_over_heads(
                model(pictures[:, None]),
                lambda z, masks=masks: tversky(z.softmax(1)[:, 1], masks, alpha),
            )  # (b,)
            optimiser.zero_grad()
            each.mean().backward()
            for name, weight in model.named_parameters():
                slope = 0.0 if weight.grad is None else float(weight.grad.abs().max())
                plain.slopes[name] = max(slope, plain.slopes.get(name, 0.0))
            optimiser.step()
            losses += each.tolist()
        model.eval()
        with torch.no_grad():
            p = torch.cat([model(image[None, None]) for image in images]).softmax(1)[:, 1]
        row = {"val_loss": float(tversky(p, truth, alpha).mean()), "val_dice": dice(p, truth)}
        plain.history.append({"epoch": epoch, "train_loss": float(np.mean(losses)), **row})
        plain.weights.append(copy.deepcopy(model.state_dict()))
    return plain


def tversky(
    p: torch.Tensor, truth: torch.Tensor, alpha: float, over: tuple[int, ...] = (-2, -1)
) -> torch.Tensor:
    """1 - TP / (TP + alpha FN + (1 - alpha) FP) of (..., H, W) probabilities (thesis, 2.10)."""
    t = truth.float()
    tp, fn, fp = ((x * y).sum(over) for x, y in ((p, t), (1 - p, t), (p, 1 - t)))
    return 1 - (tp + SMOOTH) / (tp + alpha * fn + (1 - alpha) * fp + SMOOTH)


def dice(p: torch.Tensor, truth: torch.Tensor) -> float:
    """Mean over images of 2 |A and B| / (|A| + |B|), A where tumour is more probable than not."""
    pairs = zip((p > 0.5).numpy(), truth.numpy(), strict=True)
    return float(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs]))


def kept_units(first: int, second: int, dropped: int, units: int) -> NDArray[np.bool_]:
    """Which units a dropout layer keeps: two rounds of multiply and xor-shift, 16 bits a unit."""
    bits = np.arange((units + 1) // 2, dtype=np.uint32) ^ np.uint32(first % 2**32)
    bits *= np.uint32(0x7FEB352D)
    bits ^= (bits >> 15) ^ np.uint32(second % 2**32)
    bits *= np.uint32(0x846CA68B)
    bits ^= bits >> 16
    return bits.view(np.int16)[:units] >= dropped - LEVELS // 2


def _distance(differences: list[torch.Tensor]) -> float:
    return float(torch.cat([value.flatten() for value in differences]).norm())


def _dropouts(model: nn.Module) -> int:
    return sum(type(layer) is nn.Dropout for layer in model.modules())


def _keyed_by_hand(model: nn.Module) -> list:
    """Let dropout layers keep the units that their keys choose; the list takes (L, 2) an image."""
    keys: list = []

    def hook(place: int, dropped: int) -> Callable[..., torch.Tensor | None]:
        def mask(layer: nn.Module, _: Any, out: torch.Tensor) -> torch.Tensor | None:
            if not layer.training:
                return None
            units = out[0].numel()
            kept = np.stack([kept_units(*pair[place].tolist(), dropped, units) for pair in keys])
            return out * torch.from_numpy(kept).view(out.shape) * (LEVELS / (LEVELS - dropped))

        return mask

    dropouts = [layer for layer in model.modules() if type(layer) is nn.Dropout]
    for place, layer in enumerate(dropouts):
        layer.register_forward_hook(hook(place, round(layer.p * LEVELS)))
        layer.p = 0.0  # the layer itself draws nothing
    return keys
