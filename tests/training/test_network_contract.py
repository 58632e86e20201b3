"""What a network must keep: each breach in the arm's words, whatever else passes, and no trace."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from bench_forms import small_recipe
from hypothesis import given
from hypothesis import strategies as st
from strategies import law
from torch import nn

from baselines.attention_unet import AttentionUNetArm
from baselines.unet import UNetArm
from benchmark import network_arm
from benchmark.arm import Cases, RunContext
from benchmark.errors import ArmError
from benchmark.network_arm import NetworkArm
from benchmark.protocol import Network
from benchmark.training.losses import DeepSupervision, thesis_tversky
from benchmark.training.network_contract import check_network, two_slices

Patch = pytest.MonkeyPatch
Tensor = torch.Tensor
SHAPE = (64, 96)
LOGITS = "(2, 2, 64, 96) logits, tumour second"


@pytest.fixture(autouse=True)
def _seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class Net(nn.Module):
    """A convolution to some channels, and then something done to them."""

    def __init__(self, then: Callable[[Tensor], Any] = lambda x: x, channels: int = 2) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, channels, 3, padding=1)
        self.then = then

    def forward(self, images: Tensor) -> Any:
        return self.then(self.layer(images))


class ByMode(Net):
    """Does that to its logits in one mode alone."""

    def __init__(self, then: Callable[[Tensor], Any], training: bool) -> None:
        super().__init__(then)
        self.when = training

    def forward(self, images: Tensor) -> Any:
        logits = self.layer(images)
        return self.then(logits) if self.training is self.when else logits


def raising(logits: Tensor) -> Tensor:
    raise ValueError("no luck\nwith much to read")


class Unrolled(Net):
    """Keeps what it made of its weights, as the older weight normalisation does."""

    def __init__(self) -> None:
        super().__init__()
        self.halved = self.layer.weight / 2


def statistics(track: bool) -> nn.Module:
    layers = nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2, track_running_stats=track)
    return nn.Sequential(*layers)


WRONG: dict[str, tuple[object, str]] = {
    "None": (None, "build() gave None; must be a torch.nn.Module with weights: return the network"),
    "a list": ([Net()], "build() gave a list of 1; must be a torch.nn.Module"),
    "a class": (
        Net,
        "build() gave the class Net; must be a torch.nn.Module with weights: make one",
    ),
    "a function": (raising, "build() gave a function; must be a torch.nn.Module"),
    "no weights": (nn.Identity(), "build() gave a network without a weight to train: an arm that"),
    "frozen": (Net().requires_grad_(False), "build() gave a network without a weight to train"),
    "lazy": (nn.LazyConv2d(2, 1), "build() gave lazy layers without a size: give their sizes"),
    "not to be copied": (Unrolled(), "the network cannot be copied: RuntimeError: Only Tensors"),
    "fails": (
        Net(raising),
        "the network cannot take (2, 1, 64, 96) images in training mode: ValueError: no luck",
    ),
    "fails in eval mode": (ByMode(raising, False), "images in eval mode: ValueError: no luck"),
    "a list out": (
        Net(lambda x: [x, x]),
        f"the network gave a list of 2 in training mode; must be one tensor, {LOGITS}",
    ),
    "a tuple in eval mode": (ByMode(lambda x: (x,), False), "gave a tuple of 1 in eval mode; must"),
    "a dict out": (Net(lambda x: {"out": x, "aux": x}), "the network gave a dict of 'out', 'aux'"),
    "nothing out": (Net(lambda x: None), "the network gave None in training mode; must be one ten"),
    "one channel": (Net(channels=1), f"build() gave (2, 1, 64, 96); must be {LOGITS}"),
    "three channels": (Net(channels=3), f"build() gave (2, 3, 64, 96); must be {LOGITS}"),
    "half the size": (Net(nn.MaxPool2d(2)), f"build() gave (2, 2, 32, 48); must be {LOGITS}"),
    "channels last": (Net(lambda x: x.movedim(1, 3)), f"gave (2, 64, 96, 2); must be {LOGITS}"),
    "one image": (Net(lambda x: x[:1]), f"build() gave (1, 2, 64, 96); must be {LOGITS}"),
    "whole numbers": (Net(lambda x: x.long()), "the network gave int64; must be float32 logits"),
    "half": (Net(lambda x: x.half()), "the network gave float16; must be float32 logits: leave"),
    "not a number": (Net(lambda x: x.log()), "gave logits that are not finite: normalise between"),
    "infinite": (Net(lambda x: x / 0), "the untrained network gave logits that are not finite"),
    "softmax": (Net(nn.Softmax(1)), "takes the softmax: leave the softmax out"),
    "softmax in eval mode": (ByMode(nn.Softmax(1), False), "leave the softmax out"),
    "sigmoid": (Net(torch.sigmoid), "the network gave probabilities, in [0, 1] whatever its weig"),
    "clamped": (Net(lambda x: x.clamp(0, 1)), "leave the sigmoid out"),
    "detached": (Net(lambda x: x.detach()), "no gradient reaches the weights of the network: leav"),
    "rounded": (Net(torch.round), "no gradient reaches the weights of the network: leave out"),
    "root of 0": (Net(lambda x: x + (0 * x).sqrt()), "gave gradients that are not finite: mind"),
    "of the batch": (statistics(track=False), "answers otherwise for a slice alone than for the s"),
    "mean of both": (Net(lambda x: x - x.mean(0)), "answers otherwise for a slice alone"),
    "dropout left on": (Net(lambda x: nn.functional.dropout(x, 0.5)), "dropout that stays on"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_each_breach_is_told_in_the_arm_s_words(wrong: str) -> None:
    built, words = WRONG[wrong]
    with pytest.raises(ArmError) as caught:
        check_network("my-arm", built, SHAPE, small_recipe())
    said = str(caught.value)
    assert said.startswith("my-arm: ")
    assert words in said
    assert "\n" not in said


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_probabilities_are_told_from_logits_with_the_protocol_s_activation(activation: str) -> None:
    recipe = small_recipe(loss__activation=activation)
    with pytest.raises(ArmError, match=f"of which the loss takes the {activation}: leave the sig"):
        check_network("my-arm", Net(torch.sigmoid), SHAPE, recipe)


def by_chance() -> nn.Module:
    """Its logits lie in [0, 1] and sum to 1: 0.5 each, until it is trained."""
    net = Net()
    nn.init.zeros_(net.layer.weight)
    nn.init.constant_(net.layer.bias, 0.5)  # type: ignore[arg-type]
    return net


RIGHT: dict[str, Callable[[], nn.Module]] = {
    "a convolution": Net,
    "log-probabilities, which are logits": lambda: Net(nn.LogSoftmax(1)),
    "logits that are 0.5 before training": by_chance,
    "logits that are never negative": lambda: Net(torch.relu),
    "double precision": lambda: Net(lambda x: x.double()),
    "batch norm": lambda: statistics(track=True),
    "dropout": lambda: Net(nn.Dropout(0.5)),
    "attention": lambda: AttentionUNetArm().build(small_recipe().network),
}


HEADS = DeepSupervision(thesis_tversky(0.5))


def test_several_heads_in_training_pass_where_the_loss_is_over_heads() -> None:
    net = ByMode(lambda x: torch.stack([x, x / 2], dim=1), training=True)
    assert check_network("my-arm", net, SHAPE, small_recipe(), loss=HEADS) == ()
    assert check_network("my-arm", Net(), SHAPE, small_recipe(), loss=HEADS) == ()
    with pytest.raises(ArmError, match=r"gave \(2, 2, 2, 64, 96\); must be \(2, 2, 64, 96\)"):
        check_network("my-arm", net, SHAPE, small_recipe())


@pytest.mark.parametrize(
    ("then", "training", "says"),
    [
        (lambda x: torch.stack([x, x], dim=1)[:, :, :1], True, r"gave \(2, 2, 1, 64, 96\)"),
        (lambda x: torch.stack([x, x], dim=1), False, r"gave \(2, 2, 2, 64, 96\)"),
        (lambda x: torch.stack([x, x], dim=1).softmax(2), True, "leave the softmax out"),
    ],
)
def test_heads_that_break_the_contract_are_told(
    then: Callable[[Tensor], Tensor], training: bool, says: str
) -> None:
    """One channel a head, heads outside training, probabilities."""
    with pytest.raises(ArmError, match=says):
        check_network("my-arm", ByMode(then, training), SHAPE, small_recipe(), loss=HEADS)


@pytest.mark.parametrize("right", RIGHT)
def test_what_keeps_the_contract_passes(right: str) -> None:
    assert check_network("my-arm", RIGHT[right](), SHAPE, small_recipe()) == ()


@st.composite
def networks(draw: st.DrawFn) -> nn.Module:
    """Any of some layers of convolution, norm and activation that keep the size."""
    layers: list[nn.Module] = []
    width = 1
    for _ in range(draw(st.integers(0, 3))):
        wider, kernel = draw(st.integers(1, 5)), draw(st.sampled_from([1, 3, 5]))
        layers.append(nn.Conv2d(width, wider, kernel, padding=kernel // 2))
        norms: list[nn.Module] = [nn.BatchNorm2d(wider), nn.InstanceNorm2d(wider), nn.Identity()]
        acts: list[nn.Module] = [nn.PReLU(), nn.LeakyReLU(), nn.Tanh(), nn.Sigmoid(), nn.Dropout()]
        layers += [draw(st.sampled_from(norms)), draw(st.sampled_from(acts))]
        width = wider
    return nn.Sequential(*layers, nn.Conv2d(width, 2, 1))


@law
@given(
    networks(), st.sampled_from([(32, 32), (32, 64)]), st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from(["softmax", "sigmoid"]), st.tuples(st.booleans(), st.booleans()),
)  # fmt: skip
def test_any_network_of_two_logits_a_pixel_passes(
    network: nn.Module,
    shape: tuple[int, int],
    alpha: float,
    activation: str,
    flags: tuple[bool, bool],
) -> None:
    """Under every loss that a protocol can ask for."""
    settings = {"loss__include_background": flags[0], "loss__pool_batch": flags[1]}
    recipe = small_recipe(loss__activation=activation, **settings)
    assert check_network("my-arm", network, shape, recipe, alpha) == ()


def test_weights_that_get_no_gradient_are_a_note() -> None:
    """The network trains; what is left out of its passes stays as it is."""
    net = Net()
    net.spare = nn.Conv2d(1, 1, 1)
    (note,) = check_network("my-arm", net, SHAPE, small_recipe())
    assert note == (
        "my-arm: 2 of 4 weights get no gradient and stay as they are: spare.weight, spare.bias"
    )
    net.more = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    (note,) = check_network("my-arm", net, SHAPE, small_recipe())
    assert note.endswith("6 of 8 weights get no gradient and stay as they are: spare.weight, "
                         "spare.bias, more.0.weight, ...")  # fmt: skip


def test_the_two_slices_are_images_and_unlike() -> None:
    images, masks = two_slices(SHAPE)
    assert (images.shape, masks.shape) == ((2, 1, *SHAPE), (2, 1, *SHAPE))
    assert (images.dtype, masks.dtype) == (torch.float32, torch.float32)
    assert -1 <= float(images.min()) < float(images.max()) <= 1
    assert abs(float(images[0].mean() - images[1].mean())) > 0.1
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(images, two_slices(SHAPE)[0])


class Restless(nn.Module):
    """Changes whatever a pass can change: buffers, a counter, every stream of random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Dropout())
        self.register_buffer("last", torch.zeros(2), persistent=False)
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        random.random()
        np.random.rand()  # noqa: NPY002 - as a network of somebody may
        self.last = images.amax((1, 2, 3))
        return self.layers(images)  # type: ignore[no-any-return]


def everything(model: Restless) -> list[Any]:
    """What must be as it was."""
    _, words, *rest = np.random.get_state()  # noqa: NPY002
    streams = [random.getstate(), words.tobytes(), *rest, torch.get_rng_state().tolist()]
    tensors = [t.tolist() for t in (*model.parameters(), *model.buffers())]
    gradients = [weight.grad for weight in model.parameters()]
    modes = [layer.training for layer in model.modules()]
    return [streams, tensors, gradients, modes, model.calls]


def test_it_leaves_no_trace_in_the_network_and_the_random_streams() -> None:
    model = Restless()
    model.layers[1].eval()
    before = everything(model)
    check_network("my-arm", model, SHAPE, small_recipe())
    assert everything(model) == before
    model(torch.zeros(2, 1, *SHAPE))
    assert everything(model) != before


@pytest.mark.parametrize("kind", [UNetArm, AttentionUNetArm])
def test_a_training_has_the_same_bits_with_and_without_it(
    cases: dict[str, Cases], monkeypatch: Patch, kind: type[NetworkArm]
) -> None:
    def trained() -> list[bytes]:
        arm = kind()
        report = arm.fit(cases["train"], cases["val"], RunContext(small_recipe(), 3))
        assert len(report.history) == 2
        losses = [row["train_loss"] for row in report.history]
        arrays = [np.array(losses), *(weight.numpy() for weight in arm.state().values())]
        return [array.tobytes() for array in (*arrays, arm.predict(cases["test"].images))]

    checked = trained()
    calls: list[Any] = []
    monkeypatch.setattr(network_arm, "check_network", lambda *words: calls.append(words))
    assert trained() == checked
    assert len(calls) == 1


@dataclass
class Flat(NetworkArm):
    """Gives one channel."""

    def build(self, network: Network) -> nn.Module:
        return Net(channels=1)


@dataclass
class Broken(NetworkArm):
    """Its build does not get as far as a network."""

    def build(self, network: Network) -> nn.Module:
        return nn.Conv2d(network.channels, 2, 3)  # type: ignore[arg-type]


def test_fit_checks_what_it_is_about_to_train(cases: dict[str, Cases]) -> None:
    seen: list[Any] = []
    context = RunContext(small_recipe(), 1, on_epoch=seen.append)
    with pytest.raises(
        ArmError, match=re.escape("Flat: build() gave (2, 1, 64, 64); must be (2, ")
    ):
        Flat().fit(cases["train"], cases["val"], context)
    assert seen == []


def test_an_arm_can_be_checked_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    """Under the name that it is called by; the streams of random numbers stay as they were."""
    before = torch.get_rng_state().tolist()
    assert UNetArm(kernel_size=3).check("unet", SHAPE, small_recipe()) == ()
    assert torch.get_rng_state().tolist() == before
    with pytest.raises(ArmError, match=r"^flat: build\(\) gave \(2, 1, 64, 96\); must be"):
        Flat().check("flat", SHAPE, small_recipe())
    with pytest.raises(ArmError, match=r"^broken: build\(\) failed: TypeError: "):
        Broken().check("broken", SHAPE, small_recipe())
