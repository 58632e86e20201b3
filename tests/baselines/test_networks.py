"""The networks: parameter counts identify them, and the shape of what they return."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from baselines.attention_unet import AttentionUNetArm
from baselines.dynunet import DynUNetArm, stages_for
from baselines.unet import UNetArm
from baselines.unet_maxpool import MaxPoolUNetArm
from benchmark.errors import SpecError
from benchmark.network_arm import NetworkArm
from benchmark.protocol import Loss, Network
from benchmark.training.losses import pools_batch


def millions(arm: NetworkArm) -> float:
    """Parameters of an arm's network in millions; built without memory or random numbers."""
    with torch.device("meta"):
        return sum(p.numel() for p in arm.build(Network()).parameters()) / 1e6


def convolutions(kernel: int) -> int:
    """Parameters of a plain U-Net of the thesis's channels (2.6), counted layer by layer.

    Down: six convolutions, each with a bias per channel, an instance norm that has no parameters
    and a PReLU that has one. Up: five transposed convolutions that take a level's own channels and
    what comes from below, which is as many but at the bottom; the last gives two classes and has no
    PReLU.
    """
    channels, area = (16, 32, 64, 128, 256, 512), kernel * kernel
    down = sum(area * a * b + b + 1 for a, b in zip((1, *channels), channels, strict=False))
    joined = [16 + 16, 32 + 32, 64 + 64, 128 + 128, 256 + 512]
    up = sum(area * a * b + b + 1 for a, b in zip(joined, (2, 16, 32, 64, 128), strict=True))
    return down + up - 1


@pytest.mark.parametrize(
    ("kernel", "printed", "exact"),
    [(3, "2.7", "2.65"), (5, "7.4", "7.36"), (7, "14.4", "14.43"), (9, "23.9", "23.85")],
)
def test_unet_has_the_parameters_of_the_thesis_s_table_2(
    kernel: int, printed: str, exact: str
) -> None:
    counted = millions(UNetArm(kernel_size=kernel))
    assert (f"{counted:.1f}", f"{counted:.2f}") == (printed, exact)
    assert counted * 1e6 == convolutions(kernel)  # layer by layer
    assert millions(MaxPoolUNetArm(kernel_size=kernel)) == counted  # pooling has none


def test_the_default_is_the_thesis_s_best_cell_and_attention_has_7_96_million_parameters() -> None:
    assert (UNetArm().kernel_size, UNetArm().alpha) == (5, 0.5)
    assert f"{millions(AttentionUNetArm()):.2f}" == "7.96"


@pytest.mark.parametrize("kernel", [0, 2, 4, -3, 5.0, True, "5"])
def test_a_kernel_that_is_no_odd_whole_number_is_refused(kernel: object) -> None:
    with pytest.raises(SpecError, match="must be an odd whole number"):
        UNetArm(kernel_size=kernel).build(Network())  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [UNetArm, AttentionUNetArm, MaxPoolUNetArm, DynUNetArm])
def test_an_alpha_outside_0_1_is_refused_before_anything_is_trained(
    kind: type[NetworkArm],
) -> None:
    with pytest.raises(SpecError, match=r"alpha = 1\.5 must lie in \[0, 1\]"):
        kind(alpha=1.5)


@pytest.mark.parametrize(
    "arm",
    [*(UNetArm(kernel_size=k) for k in (3, 5, 7, 9)), AttentionUNetArm(), MaxPoolUNetArm()],
    ids=["3", "5", "7", "9", "attention", "maxpool"],
)
@pytest.mark.parametrize("shape", [(64, 64), (64, 96), (512, 512)])
def test_outputs_are_two_logits_per_pixel(arm: NetworkArm, shape: tuple[int, int]) -> None:
    with torch.device("meta"):
        assert arm.build(Network())(torch.empty(2, 1, *shape)).shape == (2, 2, *shape)


@pytest.mark.parametrize(
    "arm",
    [UNetArm(kernel_size=3), AttentionUNetArm(), MaxPoolUNetArm(kernel_size=3)],
    ids=["unet", "attention", "maxpool"],
)
def test_outputs_are_finite_logits_that_depend_on_the_image(
    arm: NetworkArm,
) -> None:
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        model = arm.build(Network(channels=(4, 8, 16))).eval()
        out = model(torch.randn(2, 1, 64, 64))
    assert bool(out.isfinite().all())
    assert not torch.equal(out[0], out[1])
    assert float(out.min()) < 0 < float(out.max())  # logits, not probabilities


def test_unet_has_the_kernel_everywhere_and_no_pooling() -> None:
    with torch.device("meta"):
        modules = list(UNetArm(kernel_size=7).build(Network()).modules())
    layers = [m for m in modules if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(layers) == 11  # six down, five up
    assert {layer.kernel_size for layer in layers} == {(7, 7)}
    assert not any(isinstance(m, nn.MaxPool2d) for m in modules)


def test_the_protocol_s_dropout_norm_and_activation_reach_the_unet() -> None:
    with torch.device("meta"):
        modules = list(UNetArm().build(Network(dropout=0.3)).modules())
        other = list(UNetArm().build(Network(dropout=0.0, norm="BATCH", act="RELU")).modules())
    assert {m.p for m in modules if isinstance(m, nn.Dropout)} == {0.3}
    assert any(isinstance(m, nn.InstanceNorm2d) for m in modules)
    assert any(isinstance(m, nn.PReLU) for m in modules)
    assert any(isinstance(m, nn.BatchNorm2d) for m in other)
    assert not any(isinstance(m, nn.PReLU) for m in other)


def test_maxpool_halves_between_its_six_levels_by_pooling_alone() -> None:
    """The thesis, 2.6: "Une étape de max pooling entre chaque niveau", by a factor of 2."""
    with torch.device("meta"):
        modules = list(MaxPoolUNetArm(kernel_size=7).build(Network()).modules())
    down = [m for m in modules if isinstance(m, nn.Conv2d)]
    up = [m for m in modules if isinstance(m, nn.ConvTranspose2d)]
    assert [layer.out_channels for layer in down] == [16, 32, 64, 128, 256, 512]
    assert {(layer.kernel_size, layer.stride) for layer in down} == {((7, 7), (1, 1))}
    assert {(layer.kernel_size, layer.stride) for layer in up} == {((7, 7), (2, 2))}
    pools = [m for m in modules if isinstance(m, nn.MaxPool2d)]
    assert [pool.kernel_size for pool in pools] == [2] * 5


def test_maxpool_is_the_unet_but_for_how_it_halves() -> None:
    """The same weights, layer for layer; of three levels what comes out, put together by hand."""
    network = Network(channels=(2, 4, 8), dropout=0.0)
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        strided = UNetArm(kernel_size=3).build(network).eval()
        pooled = MaxPoolUNetArm(kernel_size=3).build(network).eval()
        for own, its in zip(pooled.parameters(), strided.parameters(), strict=True):
            own.copy_(its)
        image = torch.randn(1, 1, 64, 64)
        first, second, bottom, above, last = (
            (m, act)
            for m, act in zip(
                [m for m in pooled.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)],
                [m for m in pooled.modules() if isinstance(m, nn.PReLU)] + [None],
                strict=True,
            )
        )

        def layer(of: tuple[nn.Module, nn.Module | None], x: torch.Tensor) -> torch.Tensor:
            made = of[0](x)
            return of[1](functional.instance_norm(made)) if of[1] else made

        one = functional.max_pool2d(layer(first, image), 2)  # (1, 2, 32, 32)
        two = functional.max_pool2d(layer(second, one), 2)  # (1, 4, 16, 16)
        joined = torch.cat([two, layer(bottom, two)], dim=1)
        joined = torch.cat([one, layer(above, joined)], dim=1)
        by_hand = layer(last, joined)
        assert torch.allclose(pooled(image), by_hand, atol=1e-5)
        assert not torch.allclose(pooled(image), strided(image), atol=1e-2)


def planned(side: int, **params: str) -> DynUNetArm:
    arm = DynUNetArm(**params)  # type: ignore[arg-type]
    arm.stages = stages_for((side, side))
    return arm


@pytest.mark.parametrize(
    ("shape", "stages"),
    [
        ((512, 512), 8),
        ((256, 256), 7),
        ((64, 64), 5),
        ((96, 96), 5),
        ((64, 96), 5),
        ((288, 288), 6),
    ],
)
def test_dynunet_is_halved_as_long_as_no_side_falls_under_4_pixels(
    shape: tuple[int, int], stages: int
) -> None:
    """512, 256, ..., 8, 4 are eight; after 6, of 96, would come 3, and 288 ends at an odd 9."""
    assert stages_for(shape) == stages


def dynunet_by_hand(filters: tuple[int, ...], heads: int) -> int:
    """Weights of nnU-Net's plan (Isensee et al. 2021), layer by layer.

    A stage is two 3x3 convolutions without bias, each with an instance norm of two numbers a
    channel; on the way up a 2x2 transposed convolution without bias comes first, and joins what
    the level above had. A head is a 1x1 convolution with bias to two classes.
    """

    def stage(before: int, own: int) -> int:
        return 9 * (before + own) * own + 4 * own

    down = sum(stage(a, b) for a, b in zip((1, *filters), filters, strict=False))
    up = sum(4 * a * b + stage(2 * b, b) for a, b in zip(filters[1:], filters, strict=False))
    return down + up + sum(2 * c + 2 for c in filters[: 1 + heads])


@pytest.mark.parametrize(
    ("side", "filters", "count"),
    [
        (512, (32, 64, 128, 256, 512, 512, 512, 512), "46.31"),
        (256, (32, 64, 128, 256, 512, 512, 512), "33.46"),
    ],
)
def test_dynunet_has_the_weights_of_nnu_net_s_plan(
    side: int, filters: tuple[int, ...], count: str
) -> None:
    """Of 8 stages 7 are decoded, of which the coarsest has no head: the finest and 5 more."""
    counted = millions(planned(side))
    assert round(counted * 1e6) == dynunet_by_hand(filters, len(filters) - 3)
    assert f"{counted:.2f}" == count


def test_dynunet_answers_from_every_head_in_training_and_from_the_finest_after() -> None:
    with torch.device("meta"):
        model, images = planned(64).build(Network()), torch.empty(2, 1, 64, 64)
        assert model.train()(images).shape == (2, 3, 2, 64, 64)
        assert model.eval()(images).shape == (2, 2, 64, 64)
    assert list(model.state_dict()) == [name for name, _ in model.named_parameters()]


def test_dynunet_keeps_nothing_of_a_pass() -> None:
    """A network that holds on to tensors with a past cannot be copied."""
    model = planned(64).build(Network(channels=(2, 4))).train()
    model(torch.zeros(1, 1, 64, 64)).sum().backward()
    assert all(head.numel() == 0 for head in model.heads)


def test_dice_and_cross_entropy_are_nnu_net_s_by_hand() -> None:
    """Two images of two pixels with the tumour's probabilities 1/2, 3/4 and 1/4, 1/4; the truth is
    1, 1 and 0, 0. Over the batch TP = 5/4, FN = 3/4, FP = 1/2: Dice 2.5 / 3.75 = 2/3. Cross-entropy
    is the mean of log 2, log 4/3, log 4/3, log 4/3."""
    p = torch.tensor([[0.5, 0.75], [0.25, 0.25]], dtype=torch.float64)[:, None]  # (B, H = 1, W)
    logits = torch.stack([(1 - p).log(), p.log()], dim=1)
    truth = torch.tensor([[1.0, 1.0], [0.0, 0.0]], dtype=torch.float64)[:, None, None]
    expected = 1 - 2 / 3 + (math.log(2) + 3 * math.log(4 / 3)) / 4
    criterion = DynUNetArm(loss="dice-ce").criterion(Loss())
    assert float(criterion(logits, truth)) == pytest.approx(expected, abs=1e-5)
    assert pools_batch(criterion)
    assert not pools_batch(DynUNetArm().criterion(Loss()))


def test_a_loss_that_is_not_there_or_does_not_fit_is_refused() -> None:
    with pytest.raises(SpecError, match="loss = 'dice' must be one of tversky, dice-ce"):
        DynUNetArm(loss="dice")
    with pytest.raises(SpecError, match=r"takes the softmax, not loss\.activation = sigmoid"):
        DynUNetArm(loss="dice-ce").criterion(Loss(activation="sigmoid"))
