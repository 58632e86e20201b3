"""The fast ways of training against the plain one: fp32, one sample at a time, nothing captured."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from bench_forms import small_recipe
from torch import nn
from torch.utils.checkpoint import checkpoint

from baselines.unet import UNetArm
from benchmark.arm import Cases, FitReport, RunContext
from benchmark.errors import ArmError
from benchmark.protocol import Network
from benchmark.training.cuda_graph import Captured, Tensors
from benchmark.training.execution import PLAIN, Execution, choose
from benchmark.training.layers import dropout_keys, replace_layers
from benchmark.training.loop import OPTIMISERS, Resident, predict_network, train_network, validate
from benchmark.training.losses import thesis_tversky
from benchmark.training.step import Pass, Step, tf32

Patch = pytest.MonkeyPatch
Data = dict[str, Cases]
WAYS = {
    "images_per_pass": Execution(images_per_pass=4),
    "images_per_look": Execution(images_per_look=3),
    "images_per_augmentation": Execution(images_per_augmentation=12),
    "channels_last": Execution(channels_last=True),
    "cuda_graph": Execution(images_per_pass=2, cuda_graph=True),
    "together": replace(choose("cuda", "bf16", (64, 64), 4, whole=False), images_per_look=3),
}
TOLERANCE = 2e-4  # of the largest gradient; sums in another order


def capture_on_cpu(function: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], None]]:
    """As `capture_on_cuda`: a replay computes again and writes into the tensors first given."""
    for _ in range(3):
        function()
    outputs = tuple(tensor.clone() for tensor in function())

    def replay() -> None:
        for old, new in zip(outputs, function(), strict=True):
            old.copy_(new)

    return outputs, replay


class CapturedOnCpu(Captured):
    def __init__(
        self, function: Callable[..., Tensors], example: Pass, buffers: list[torch.Tensor]
    ) -> None:
        super().__init__(function, example, buffers, capture_on_cpu)


def network(norm: str = "INSTANCE") -> nn.Module:
    torch.manual_seed(11)
    return UNetArm(kernel_size=3).build(Network(channels=(4, 8, 8), dropout=0.3, norm=norm))


def batch(train: Cases, model: nn.Module, rows: slice) -> Pass:
    keys = torch.from_numpy(dropout_keys(model, 5, 0, train.slice_id[rows]))
    return torch.from_numpy(train.images[rows]), torch.from_numpy(train.masks[rows]), keys


def stepped(cases: Data, how: Execution, sizes: list[int]) -> dict[str, torch.Tensor]:
    """Loss and gradients of a step over the first slices, in passes of these sizes; dropout on."""
    model = replace_layers(network()).train()
    loss, optimiser = thesis_tversky(0.3), torch.optim.SGD(model.parameters(), lr=1e-3)
    step = Step(model, loss, optimiser, "fp32", "cpu", how, CapturedOnCpu)
    ends = np.cumsum([0, *sizes]).tolist()
    passes = [batch(cases["train"], model, slice(a, b)) for a, b in itertools.pairwise(ends)]
    mean = step(passes, sum(sizes))
    gradients = {name: w.grad for name, w in model.named_parameters() if w.grad is not None}
    return {"loss": mean, **gradients}


def alike(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    scale = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=TOLERANCE * scale, msg=name)


@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("sizes", [[6], [2, 2, 2], [4, 2], [5, 1]])
def test_a_batch_in_passes_has_the_gradients_of_one_sample_at_a_time(
    cases: Data, sizes: list[int], captured: bool
) -> None:
    """Dropout masks belong to slices, not places; a last pass that is smaller passes by a graph."""
    how = Execution(images_per_pass=sizes[0], cuda_graph=captured)
    alike(stepped(cases, how, sizes), stepped(cases, PLAIN, [1] * 6))


def test_a_second_step_of_a_captured_pass_is_not_added_to_the_first(cases: Data) -> None:
    ends = {}
    for how in (PLAIN, Execution(cuda_graph=True)):
        model = replace_layers(network()).train()
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        step = Step(model, thesis_tversky(0.3), optimiser, "fp32", "cpu", how, CapturedOnCpu)
        for rows in (slice(0, 3), slice(3, 6), slice(6, 8)):
            step([batch(cases["train"], model, rows)], rows.stop - rows.start)
        ends[how.cuda_graph] = {name: w.detach().clone() for name, w in model.named_parameters()}
    alike(ends[True], ends[False])


def test_capturing_leaves_running_statistics_alone(cases: Data) -> None:
    means = []
    for how in (PLAIN, Execution(images_per_pass=6, cuda_graph=True)):
        model = replace_layers(network("BATCH")).train()
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        step = Step(model, thesis_tversky(0.3), optimiser, "fp32", "cpu", how, CapturedOnCpu)
        step([batch(cases["train"], model, slice(0, 6))], 6)
        running = [b.flatten().float() for name, b in model.named_buffers() if "running" in name]
        means.append(torch.cat(running))
    torch.testing.assert_close(means[1], means[0])
    assert means[0].abs().max() > 0


def trained(cases: Data, how: Execution, monkeypatch: Patch) -> FitReport:
    monkeypatch.setattr("benchmark.training.loop.Step", lambda *words: Step(*words, CapturedOnCpu))
    recipe = small_recipe(training__optimiser="sgd", training__learning_rate=0.05)  # two epochs
    return train_network(network(), 0.3, cases["train"], cases["val"], RunContext(recipe, 5), how)


@pytest.mark.parametrize("name", WAYS)
def test_every_choice_trains_as_the_plain_way(cases: Data, name: str, monkeypatch: Patch) -> None:
    """Alone and, as on a card, together: two epochs, losses and validation Dice within 1e-4."""
    plain, fast = (trained(cases, how, monkeypatch) for how in (PLAIN, WAYS[name]))
    chosen = [name] if name != "together" else [field.name for field in fields(Execution)]
    assert set(WAYS) == {*(field.name for field in fields(Execution)), "together"}
    for choice in chosen:
        assert fast.facts[choice] == getattr(WAYS[name], choice) != getattr(PLAIN, choice)
    for key in ("train_loss", "val_loss", "val_dice"):
        expected = [row[key] for row in plain.history]
        assert [row[key] for row in fast.history] == pytest.approx(expected, abs=1e-4), key


@pytest.mark.parametrize(
    ("device", "precision", "shape", "size", "whole", "expected"),
    [
        ("cpu", "fp32", (512, 512), 16, False, Execution(2, 2, 2)),
        ("cpu", "bf16", (512, 512), 16, True, Execution(16, 16, 2)),
        ("cpu", "fp32", (256, 256), 16, False, Execution(8, 8, 8)),
        ("cpu", "fp32", (64, 64), 16, False, Execution(16, 128, 16)),
        ("cpu", "fp32", (1024, 1024), 16, False, Execution(1, 1, 1)),
        ("cpu", "fp32", (512, 256), 3, False, Execution(3, 4, 3)),
        ("cuda:0", "fp32", (512, 512), 16, False, Execution(16, 64, 128, cuda_graph=True)),
        ("cuda:0", "tf32", (512, 512), 16, True, Execution(16, 16, 128, True, True)),
    ],
)
def test_what_suits_a_device(
    device: str, precision: str, shape: tuple[int, int], size: int, whole: bool, expected: Execution
) -> None:
    """Two images of 512 x 512 on a processor, on a card the batch; what mixes images, alike."""
    assert choose(device, precision, shape, size, whole) == expected


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_the_network_computes_in_the_precision_asked_for_and_the_loss_in_float32(
    cases: Data, precision: str
) -> None:
    """In training, in validation and for predictions."""
    inside: list[tuple[bool, ...]] = []
    cards = torch.backends.cuda.matmul, torch.backends.cudnn
    given_to_the_loss: list[tuple[Any, ...]] = []

    class Watched(nn.Module):
        def forward(self, logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
            given_to_the_loss.append((logits.dtype, truth.dtype, torch.is_autocast_enabled("cpu")))
            return thesis_tversky(0.3)(logits, truth)

    model, recipe = replace_layers(network()).train(), small_recipe(training__precision=precision)

    def look(*words: object) -> None:
        inside.append((torch.is_autocast_enabled("cpu"), *(card.allow_tf32 for card in cards)))

    model.register_forward_hook(look)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    step = Step(model, Watched(), optimiser, precision, "cpu", PLAIN)
    step([batch(cases["train"], model, slice(0, 2))], 2)
    validate(model, Watched(), Resident.of(cases["val"], "cpu"), RunContext(recipe, 5), 4)
    predict_network(model, cases["val"].images, RunContext(recipe, 5))
    assert inside == [(precision == "bf16", precision == "tf32", precision == "tf32")] * 3
    assert given_to_the_loss == [(torch.float32, torch.float32, False)] * 2


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_tf32_is_allowed_inside_a_pass_and_nowhere_else(
    cases: Data, precision: str, monkeypatch: Patch
) -> None:
    """Forward and backward; what stood before, stands again, also after an error."""
    switches = torch.backends.cuda.matmul, torch.backends.cudnn
    before, seen = [switch.allow_tf32 for switch in switches], []
    model = replace_layers(network()).train()

    def look(*words: object) -> None:
        seen.append([switch.allow_tf32 for switch in switches])

    model.register_forward_hook(look)
    next(model.parameters()).register_hook(look)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    step = Step(model, thesis_tversky(0.3), optimiser, precision, "cpu", PLAIN)
    step([batch(cases["train"], model, slice(0, 2))], 2)
    assert seen == [[precision == "tf32"] * 2] * 2
    assert [switch.allow_tf32 for switch in switches] == before
    with pytest.raises(ZeroDivisionError), tf32(precision == "tf32"):
        raise ZeroDivisionError
    assert [switch.allow_tf32 for switch in switches] == before


def test_a_gradient_has_the_layout_of_its_weight(cases: Data) -> None:
    """Fused optimisers go through both as they lie in memory."""
    model = replace_layers(network()).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    step = Step(model, thesis_tversky(0.3), optimiser, "fp32", "cpu", Execution(channels_last=True))
    step([batch(cases["train"], model, slice(0, 2))], 2)
    assert all(w.grad is not None and w.grad.stride() == w.stride() for w in model.parameters())


class Transposing(nn.Module):
    """A parameter that is read across: its gradient lies in memory otherwise than it does."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.place = nn.Parameter(torch.randn(64, 64))
        self.out = nn.Conv2d(1, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x + self.place.T)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("sizes", [[4], [2, 2]])
def test_a_step_is_that_of_plain_pytorch(cases: Data, name: str, sizes: list[int]) -> None:
    """`backward` of the whole batch and an optimiser that is not fused, judged on the weights."""
    loss, train = thesis_tversky(0.3), cases["train"]
    ours, plain = Transposing(), Transposing()
    fused, ends = OPTIMISERS[name](ours.parameters(), lr=0.1, fused=True), np.cumsum([0, *sizes])
    passes = [batch(train, ours, slice(a, b)) for a, b in itertools.pairwise(ends.tolist())]
    Step(ours, loss, fused, "fp32", "cpu", PLAIN)(passes, 4)
    images, masks, _ = batch(train, plain, slice(0, 4))
    optimiser = OPTIMISERS[name](plain.parameters(), lr=0.1, fused=False, foreach=False)
    loss(plain(images[:, None]), masks[:, None].float()).backward()
    optimiser.step()
    weights, expected = dict(ours.named_parameters()), dict(plain.named_parameters())
    torch.testing.assert_close(weights, expected, rtol=1e-4, atol=1e-4)


class Recomputing(nn.Module):
    """Activation checkpointing: the middle is computed again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Dropout(0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return checkpoint(self.middle, x, use_reentrant=False)  # type: ignore[no-any-return]


def test_dropout_that_is_computed_anew_in_the_backward_pass_is_refused(cases: Data) -> None:
    model = replace_layers(Recomputing()).train()
    optimiser = torch.optim.SGD(model.parameters())
    step = Step(model, thesis_tversky(0.3), optimiser, "fp32", "cpu", PLAIN)
    with pytest.raises(ArmError, match="anew in its backward pass"):
        step([batch(cases["train"], model, slice(0, 2))], 2)
