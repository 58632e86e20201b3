"""What every network arm shares: it says which network it builds, the rest is here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn

from benchmark.arm import Cases, FitReport, FloatImages, ProbMaps, RunContext
from benchmark.errors import ArmError, brief
from benchmark.protocol import Loss, Network, Recipe
from benchmark.training.layers import replace_layers
from benchmark.training.loop import predict_network, train_network
from benchmark.training.losses import check_alpha, thesis_tversky
from benchmark.training.network_contract import check_network
from benchmark.training.seeding import torch_seed


@dataclass
class NetworkArm:
    """A trained network. alpha in [0, 1] weighs false negatives in the Tversky loss.

    Subclasses add their parameters as fields with defaults and implement `build`, which
    returns a module of (B, 1, H, W) images to (B, 2, H, W) logits, tumour second; `fit` holds it to
    that before it trains, and `python -m benchmark arms --check NAME` alone. What it costs they may
    say in a static method `gflop` (see `benchmark.arm.ArmEntry`).
    """

    deterministic: ClassVar[bool] = False
    needs_click: ClassVar[bool] = False

    alpha: float = 0.5
    model: nn.Module | None = field(default=None, init=False, repr=False)
    context: RunContext | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_alpha(self.alpha)

    def build(self, network: Network) -> nn.Module:
        """Return the untrained network, its weights drawn from torch's generator."""
        raise NotImplementedError

    def criterion(self, settings: Loss) -> nn.Module:
        """Return the loss of logits (B, 2, H, W) against the truth (B, 1, H, W) in {0, 1}.

        The protocol's; an arm with a loss of its own, or with several heads in training
        (`benchmark.training.losses.DeepSupervision`), overrides it and says so.
        """
        return thesis_tversky(self.alpha, settings)

    def check(
        self, name: str, shape: tuple[int, int], recipe: Recipe, device: str = "cpu"
    ) -> tuple[str, ...]:
        """Build the network and hold it to its contract for (H, W) images.

        Returns notes, of weights that no gradient reaches. Raises `ArmError` that begins with name:
        where the module, its two logits a pixel, their range or their gradients are not as they
        must be, or `build` fails. It takes as long as a step on two images, and leaves no trace.
        """
        with torch.random.fork_rng(_cards(device)):
            try:
                built = self.build(recipe.network)
            except (Exception, SystemExit) as error:  # of a user's code
                raise ArmError(f"{name}: build() failed: {brief(error)}") from error
        loss = self.criterion(recipe.loss)
        return check_network(name, built, shape, recipe, self.alpha, device, loss)

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        """Train to the protocol's stopping rule, or go on where an interrupted fit stopped.

        Raises `ArmError` before, where the network breaks the contract of `build`.
        """
        self.context = context
        recipe, device, name = context.recipe, context.device, type(self).__name__
        with torch.random.fork_rng(_cards(device)):
            torch.manual_seed(torch_seed(context.seed, "weights"))
            self.model = self.build(recipe.network)
            loss = self.criterion(recipe.loss)
            check_network(name, self.model, train.shape, recipe, self.alpha, device, loss)
            return train_network(self.model, self.alpha, train, val, context, loss=loss)

    def predict(self, images: FloatImages) -> ProbMaps:
        """(N, H, W) float32 in [-1, 1] -> (N, H, W) float32 tumour probability."""
        if self.model is None or self.context is None:
            raise ArmError(f"{type(self).__name__}: predict was called before fit")
        return predict_network(self.model, images, self.context)

    def state(self) -> dict[str, Any]:
        """Return the weights of the best epoch. Raises `ArmError` before `fit`."""
        if self.model is None:
            raise ArmError(f"{type(self).__name__}: state was asked for before fit")
        weights = self.model.state_dict()
        return {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}

    def restore(self, state: Mapping[str, Any], context: RunContext) -> None:
        """Build the network anew, its layers replaced as in training, and load the weights."""
        self.context = context
        with torch.random.fork_rng([]):  # building draws weights, on the processor, for nothing
            self.model = replace_layers(self.build(context.recipe.network))
        self.model.load_state_dict(dict(state))


def _cards(device: str) -> list[str]:
    """The cards whose random streams are used beside the processor's."""
    return [device] if device.startswith("cuda") else []
