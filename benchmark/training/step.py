"""One step of the optimiser: a batch through the network in passes, their gradients summed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.profiler import record_function

from benchmark.errors import ArmError
from benchmark.training.cuda_graph import Captured, Tensors
from benchmark.training.execution import Execution
from benchmark.training.layers import set_keys, uses

Pass = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""On the network's device: images (b, H, W) float32, masks (b, H, W) bool, dropout keys (b, L, 2)
int32."""


class Step:
    """Carries out steps of one training; its first pass is captured where execution says so."""

    def __init__(
        self,
        model: nn.Module,
        loss: nn.Module,
        optimiser: torch.optim.Optimizer,
        precision: str,
        device: str,
        execution: Execution,
        captured: Callable[..., Captured] = Captured,
    ) -> None:
        self.model, self.loss, self.optimiser = model, loss, optimiser
        self.precision, self.device, self.execution = precision, device, execution
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._capture = captured
        self._captured: Captured | None = None

    def __call__(self, passes: Iterable[Pass], total: int) -> torch.Tensor:
        """Learn from a batch of total images; return its mean loss, on the device, not awaited."""
        self.optimiser.zero_grad(set_to_none=True)
        mean = torch.zeros((), dtype=torch.float64, device=self.device)
        for images, masks, keys in passes:
            value, *gradients = self._gradients((images, masks, keys))
            share = len(images) / total
            mean += value * share
            self._add(gradients, share)
        with record_function("step"):
            self.optimiser.step()
        return mean

    def _gradients(self, inputs: Pass) -> Tensors:
        """The mean loss of a pass and its gradients, from the captured graph where that fits."""
        if not self.execution.cuda_graph:
            return self.gradients(*inputs)
        if self._captured is None:
            self._captured = self._capture(self.gradients, inputs, list(self.model.buffers()))
        return self._captured(*inputs) if self._captured.fits(inputs) else self.gradients(*inputs)

    def gradients(self, images: torch.Tensor, masks: torch.Tensor, keys: torch.Tensor) -> Tensors:
        """Return the mean loss of b images and its gradient for every weight, laid out as that."""
        set_keys(self.model, keys)
        with tf32(self.precision == "tf32"):
            with record_function("forward"):
                with autocast(self.precision, self.device):
                    logits = self.model(images[:, None])
                value = self.loss(logits.float(), masks[:, None].float())
            used = uses(self.model)
            with record_function("backward"):
                gradients = torch.autograd.grad(value, self.weights, materialize_grads=True)
        if uses(self.model) != used:
            raise ArmError(
                "the network computes parts anew in its backward pass, with other dropout masks; "
                "switch that off"
            )
        pairs = zip(gradients, self.weights, strict=True)
        return value.detach(), *(_laid_out(gradient, weight) for gradient, weight in pairs)

    def _add(self, gradients: Sequence[torch.Tensor], share: float) -> None:
        """Add a pass's share of the batch's gradient to what the optimiser will read."""
        for weight, gradient in zip(self.weights, gradients, strict=True):
            if weight.grad is None:
                weight.grad = gradient if share == 1 else gradient * share
            else:
                weight.grad.add_(gradient, alpha=share)


def _laid_out(gradient: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Fused optimisers read a gradient in the layout of its weight."""
    if gradient.stride() == weight.stride():
        return gradient
    return torch.empty_like(weight).copy_(gradient)


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Inside, an NVIDIA card may multiply in TF32, or must not; augmentation never does."""
    switches: tuple[Any, ...] = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [switch.allow_tf32 for switch in switches]
    for switch in switches:
        switch.allow_tf32 = allowed
    try:
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.allow_tf32 = value


def autocast(precision: str, device: str) -> torch.autocast:
    """Inside, a forward pass computes in bf16 where that is the precision."""
    kind = device.partition(":")[0]
    # a cached cast would be made in one pass of a captured graph and missing in the next
    return torch.autocast(
        kind, dtype=torch.bfloat16, enabled=precision == "bf16", cache_enabled=kind != "cuda"
    )
