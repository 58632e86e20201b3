"""What a network must keep, found out before it is trained and told in the arm's words.

One step on two slices: everything that would end a training, or rank a network that was never
trained as meant, and that a pass can show.
"""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from benchmark.errors import ArmError, brief
from benchmark.protocol import Recipe
from benchmark.training.device import current
from benchmark.training.losses import DeepSupervision, thesis_tversky
from benchmark.training.seeding import generator

FLOATS = (torch.float32, torch.float64)
GROSSLY = 0.05  # of the greatest logit; rounding alone is a thousandth of that
DRAWS = 8  # of all weights; logits lie in [0, 1] in one of four at the most
NAMED = 3  # weights that a note names


def check_network(
    name: str,
    built: object,
    shape: tuple[int, int],
    recipe: Recipe,
    alpha: float = 0.5,
    device: str = "cpu",
    loss: nn.Module | None = None,
) -> tuple[str, ...]:
    """Hold what `build` gave to its contract, for images of one (H, W); return notes.

    It must be a module from (B, 1, H, W) float32 images in [-1, 1] to (B, 2, H, W) float logits,
    tumour second: finite, no probabilities, with a finite gradient of the recipe's loss for its
    weights, and in eval mode for each image alone. Raises `ArmError`, which begins with name. Notes
    are of weights that no gradient reaches. A copy is asked, on device and in float32: the module
    and every random stream stay as they were. loss: by default the thesis's with alpha; with
    `DeepSupervision` the module may give (B, K, 2, H, W) in training.
    """
    model = _copied(name, _trainable(name, built))
    loss = loss or thesis_tversky(alpha, recipe.loss)
    with _streams_kept(device), current(device):
        model.to(device)
        images, masks = (slices.to(device) for slices in two_slices(shape))
        trained, notes = _learns(name, model, images, masks, loss)
        answered = _answers(name, model, images)
        for logits, mode in ((trained, True), (answered, False)):
            _refuse_probabilities(name, model.train(mode), images, logits, recipe.loss.activation)
    return notes


def two_slices(shape: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (2, 1, H, W) images in [-1, 1] and masks in {0, 1}, of torch's default type: float32.

    Noise, and a bright disc on dark: what mixes them gives itself away. A disc is true in both.
    """
    noise = generator(0, "other").uniform(-1, 1, shape)
    rows, columns = np.indices(shape) - np.array(shape)[:, None, None] / 2
    disc = rows**2 + columns**2 < (min(shape) / 4) ** 2
    images = np.stack([noise, np.where(disc, 0.8, -0.9) + 0.1 * noise])[:, None]
    masks, kind = np.stack([disc, disc])[:, None], torch.get_default_dtype()
    return torch.from_numpy(images).to(kind), torch.from_numpy(masks).to(kind)


def _trainable(name: str, built: object) -> nn.Module:
    """What was built, if it is a module with weights to train."""
    if not isinstance(built, nn.Module):
        cure = "make one of it, with ()" if isinstance(built, type) else "return the network itself"
        raise ArmError(
            f"{name}: build() gave {_a(built)}; must be a torch.nn.Module with weights: {cure}"
        )
    weights = [weight for weight in built.parameters() if weight.requires_grad]
    if any(isinstance(weight, nn.UninitializedParameter) for weight in weights):
        cure = "give their sizes, or run an image through the network in build()"
        raise ArmError(f"{name}: build() gave lazy layers without a size: {cure}")
    if not weights:
        cure = "an arm that trains nothing implements fit and predict, as baselines/otsu.py does"
        raise ArmError(f"{name}: build() gave a network without a weight to train: {cure}")
    return built


def _copied(name: str, module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module)
    except Exception as error:
        cure = "as attributes keep layers, parameters and buffers, and no tensor made from them"
        raise ArmError(f"{name}: the network cannot be copied: {brief(error)}; {cure}") from error


@contextlib.contextmanager
def _streams_kept(device: str) -> Iterator[None]:
    """Inside, draws are those of one seed; afterwards every stream is where it was."""
    cards = [device] if device.startswith("cuda") else []
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - a network's own
    with torch.random.fork_rng(cards):
        torch.default_generator.manual_seed(0)
        if cards:
            with current(device):
                torch.cuda.manual_seed(0)
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)  # noqa: NPY002


def _learns(
    name: str, model: nn.Module, images: torch.Tensor, masks: torch.Tensor, loss: nn.Module
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Return the logits of a step in training mode, and a note where it misses some weights."""
    logits = _logits(name, model.train(), images, isinstance(loss, DeepSupervision))
    if not logits.isfinite().all():
        cure = "normalise between its layers, or begin with smaller weights"
        raise ArmError(f"{name}: the untrained network gave logits that are not finite: {cure}")
    weights = {key: weight for key, weight in model.named_parameters() if weight.requires_grad}
    gradients = _gradients(name, loss(logits.float(), masks), [*weights.values()])
    if not any(gradient is not None and gradient.any() for gradient in gradients):
        cure = "leave out argmax, rounding, detach() and no_grad()"
        raise ArmError(f"{name}: no gradient reaches the weights of the network: {cure}")
    reached = [gradient for gradient in gradients if gradient is not None]
    if not all(bool(gradient.isfinite().all()) for gradient in reached):
        cure = "mind square roots, logarithms and divisions at 0"
        raise ArmError(f"{name}: the network gave gradients that are not finite: {cure}")
    missed = [key for key, grad in zip(weights, gradients, strict=True) if grad is None]
    if not missed:
        return logits.detach(), ()
    names = ", ".join(missed[:NAMED]) + (", ..." if len(missed) > NAMED else "")
    note = f"{name}: {len(missed)} of {len(weights)} weights get no gradient and stay as they are"
    return logits.detach(), (f"{note}: {names}",)


def _gradients(
    name: str, loss: torch.Tensor, weights: list[nn.Parameter]
) -> tuple[torch.Tensor | None, ...]:
    if not loss.requires_grad:
        return (None,) * len(weights)
    try:
        return torch.autograd.grad(loss, weights, allow_unused=True)
    except Exception as error:
        raise ArmError(f"{name}: the network cannot be trained: {brief(error)}") from error


@torch.inference_mode()
def _answers(name: str, model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return the logits in eval mode, of which the first image's must not depend on the second."""
    model.eval()
    both, alone = _logits(name, model, images), _logits(name, model, images[:1])
    if (both[0] - alone[0]).abs().max() > GROSSLY * both.abs().max():
        raise ArmError(
            f"{name}: in eval mode the network answers otherwise for a slice alone than for the "
            "same slice beside another: leave out statistics of the batch "
            "(track_running_stats=False) and dropout that stays on"
        )
    return both


def _logits(name: str, model: nn.Module, images: torch.Tensor, heads: bool = False) -> torch.Tensor:
    """(B, 1, H, W) -> (B, 2, H, W), or `ArmError` for anything else; of heads (B, K, 2, H, W)."""
    (batch, _, *sides), mode = images.shape, "training" if model.training else "eval"
    expected = (batch, 2, *sides)
    try:
        output = model(images.clone())  # which the network may change in place
    except (Exception, SystemExit) as error:
        taken = f"the network cannot take {tuple(images.shape)} images in {mode} mode"
        raise ArmError(f"{name}: {taken}: {brief(error)}") from error
    if not isinstance(output, torch.Tensor):
        rule = f"must be one tensor, {expected} logits, tumour second"
        raise ArmError(f"{name}: the network gave {_a(output)} in {mode} mode; {rule}")
    one = output[:, 0] if heads and output.dim() == 5 else output
    if tuple(one.shape) != expected:
        rule = f"must be {expected} logits, tumour second"
        raise ArmError(f"{name}: build() gave {tuple(output.shape)}; {rule}")
    if output.dtype not in FLOATS:
        kind, cure = str(output.dtype).removeprefix("torch."), "leave out argmax and half()"
        raise ArmError(f"{name}: the network gave {kind}; must be float32 logits: {cure}")
    return output


@torch.no_grad()
def _refuse_probabilities(
    name: str, model: nn.Module, images: torch.Tensor, logits: torch.Tensor, activation: str
) -> None:
    """Raise `ArmError` for outputs in [0, 1] whatever the weights, which are drawn anew here.

    Logits may lie there by chance, and log-probabilities are logits: both pass.
    """
    if not _in_unit(logits):
        return
    last = (
        "softmax" if torch.allclose(logits.sum(-3), logits.new_ones(()), atol=1e-3) else "sigmoid"
    )
    for _ in range(DRAWS):
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) * (3 * weight.abs().mean() + 0.1))
        if not _in_unit(model(images)):
            return
    raise ArmError(
        f"{name}: the network gave probabilities, in [0, 1] whatever its weights; must be logits, "
        f"of which the loss takes the {activation}: leave the {last} out"
    )


def _in_unit(values: torch.Tensor) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())


def _a(value: object) -> str:
    """What something is, for a sentence."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, dict):
        return f"a dict of {', '.join(map(repr, value)) or 'nothing'}"
    return f"a {type(value).__name__}"
