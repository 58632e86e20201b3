"""Three layers of torch, computed more cheaply: dropout, PReLU and instance norm.

torch draws a dropout mask number by number on one core. Here a mask is a hash of (key, unit),
and a key belongs to a slice in an epoch: the mask is the same on every device, for any order,
batch or pass, and a test can supply it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from benchmark.training.seeding import generator

FIRST, SECOND = 0x7FEB352D, 0x846CA68B - 2**32  # multipliers of Wellons' lowbias32, as int32
LEVELS = 2**16  # a unit is kept or dropped by 16 bits of a hash


class KeyedDropout(nn.Dropout):
    """`nn.Dropout` with masks from `keys`, (B, 2) int32, to be set before each pass in training.

    p in [0, 1] is rounded to the next 1/65536, and what is kept is scaled by that share's
    inverse. A layer that is used several times in a pass draws anew each time.
    """

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self.dropped = round(p * LEVELS)
        self.keys: torch.Tensor | None = None
        self.uses = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, ...), or what B images were cut into, image by image -> the same shape.

        Outside training as it came. RuntimeError without keys, or where the tensor is no whole
        number of units an image.
        """
        if not self.training or self.dropped == 0:
            return x
        if self.dropped == LEVELS:
            return torch.zeros_like(x)
        if self.keys is None or x.numel() % len(self.keys):
            images = 0 if self.keys is None else len(self.keys)
            raise RuntimeError(f"{tuple(x.shape)} with dropout keys for {images}")
        first, second = self.keys[:, :1], self.keys[:, 1:]
        for _ in range(self.uses):
            first, second = second, _scrambled(first ^ second)
        self.uses += 1
        mask = kept(first, second, self.dropped, x.numel() // len(self.keys)).view(x.shape)
        # a product of floats is vectorised, with a bool it is not; bf16 is rounded at the end alone
        factors = mask.to(torch.promote_types(x.dtype, torch.float32))
        return (x * factors.mul_(LEVELS / (LEVELS - self.dropped))).to(x.dtype)


def _scrambled(keys: torch.Tensor) -> torch.Tensor:
    """A hash of int32 keys (Wellons' lowbias32)."""
    keys = (keys ^ ((keys >> 16) & 0xFFFF)) * FIRST
    keys = (keys ^ ((keys >> 15) & 0x1FFFF)) * SECOND
    return keys ^ ((keys >> 16) & 0xFFFF)


def kept(first: torch.Tensor, second: torch.Tensor, dropped: int, units: int) -> torch.Tensor:
    """Return (B, units) int16, 0 in a share dropped / 65536 and 1 elsewhere, from two (B, 1) int32
    keys.

    Two rounds of multiplication and xor-shift (after Wellons' lowbias32), a key before each.
    The keys must be drawn at random: those that differ in a bit or two have related masks.
    """
    bits = torch.arange((units + 1) // 2, dtype=torch.int32, device=first.device) ^ first
    bits *= FIRST
    bits ^= (bits >> 15) & 0x1FFFF
    bits ^= second
    bits *= SECOND
    bits ^= (bits >> 16) & 0xFFFF
    return bits.view(torch.int16)[:, :units].ge_(dropped - LEVELS // 2)


def dropout_keys(
    model: nn.Module, seed: int, epoch: int, slice_ids: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Return (B, L, 2) keys of B slices for the model's L dropout layers, of stream "dropout"."""
    size = (len(_dropouts(model)), 2)
    rows = [generator(seed, "dropout", epoch, int(number)) for number in slice_ids]
    return np.stack([row.integers(-(2**31), 2**31, size, dtype=np.int32) for row in rows])


def set_keys(model: nn.Module, keys: torch.Tensor) -> None:
    """Give (B, L, 2) keys to the model's L dropout layers, for one pass of B images."""
    for i, layer in enumerate(_dropouts(model)):
        layer.keys, layer.uses = keys[:, i], 0


def uses(model: nn.Module) -> list[int]:
    """How often each dropout layer has been used since `set_keys`."""
    return [layer.uses for layer in _dropouts(model)]


def _dropouts(model: nn.Module) -> list[KeyedDropout]:
    return [layer for layer in model.modules() if isinstance(layer, KeyedDropout)]


class _Leak(torch.autograd.Function):
    """PReLU with one slope on a processor; torch's own backward pass writes one tensor more.

    It trains no faster (docs/performance.md), and in float32 to the same bits. It stays because in
    bf16 torch's would give others: it rounds the slope's gradient, which is added up in float32
    here, so that records made in bf16 could not be made again.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, slope)
        return F.leaky_relu(x, float(slope))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        x, slope = ctx.saved_tensors
        of_x = torch.ops.aten.leaky_relu_backward(grad, x, float(slope), False)
        return of_x, (grad * x.clamp(max=0)).sum(dtype=slope.dtype).view_as(slope)


class LightPReLU(nn.PReLU):
    """`nn.PReLU`; on a processor and with one slope, the same numbers for less work."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.num_parameters > 1 or x.device.type != "cpu":
            return super().forward(x)
        return _Leak.apply(x, self.weight)  # type: ignore[no-any-return]


class LightInstanceNorm(nn.InstanceNorm2d):
    """`nn.InstanceNorm2d`; on a processor, in float32 or float64, the same but for rounding.

    torch makes it a batch norm of (1, B * C, H, W), whose kernel adds up number by number; with a
    group for each channel, its group norm is vectorised.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> the same shape. A map of one pixel raises ValueError, as torch's does."""
        whole = x.dim() == 4 and x.is_contiguous() and x.shape[2:].numel() > 1
        floats = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
        if self.track_running_stats or not (whole and floats):
            return super().forward(x)
        return F.group_norm(x, x.shape[1], self.weight, self.bias, self.eps)


LAYERS = nn.Dropout, nn.PReLU, nn.InstanceNorm2d


def replace_layers(model: nn.Module, kinds: Container[type[nn.Module]] = LAYERS) -> nn.Module:
    """Replace every layer of these kinds in place, shared ones too; weights keep their names.

    Other random layers (`nn.Dropout2d`, `F.dropout`) stay: they read torch's generator.
    """
    replaced: dict[nn.Module, nn.Module] = {}
    for parent in list(model.modules()):
        for name, layer in parent._modules.items():
            if layer is not None and type(layer) in kinds and type(layer) in REPLACEMENTS:
                replacement = REPLACEMENTS[type(layer)](layer)
                parent._modules[name] = replaced.setdefault(layer, replacement)
    return model


def _light_prelu(layer: nn.PReLU) -> LightPReLU:
    replacement = LightPReLU(layer.num_parameters)
    replacement.weight = layer.weight
    return replacement


def _light_norm(layer: nn.InstanceNorm2d) -> nn.InstanceNorm2d:
    replacement = copy.copy(layer)  # weights and statistics are shared
    replacement.__class__ = LightInstanceNorm
    return replacement


REPLACEMENTS: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.Dropout: lambda layer: KeyedDropout(layer.p),
    nn.PReLU: _light_prelu,
    nn.InstanceNorm2d: _light_norm,
}
