"""Keyed dropout and the light PReLU: laws, and torch's own layers as oracle."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import plain_training
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from benchmark.training.layers import (
    KeyedDropout,
    LightInstanceNorm,
    LightPReLU,
    dropout_keys,
    kept,
    replace_layers,
    set_keys,
    uses,
)

KEYS = st.integers(-(2**31), 2**31 - 1)
UNITS = 1 << 16
RANDOM = torch.tensor([[[1234567891, -987654321]]], dtype=torch.int32)  # one image, one layer


def mask(first: int, second: int, p: float = 0.3, units: int = UNITS) -> np.ndarray:
    pair = torch.tensor([[first, second]], dtype=torch.int32)
    return kept(pair[:, :1], pair[:, 1:], round(p * 65536), units)[0].numpy()


@given(first=KEYS, second=KEYS, p=st.floats(0.001, 0.999), units=st.integers(1, 1 << 17))
@settings(deadline=None, max_examples=60)
def test_a_mask_is_the_hash_that_it_says(first: int, second: int, p: float, units: int) -> None:
    """Unit for unit as written down again, unsigned, in numpy: others would be another training."""
    expected = plain_training.kept_units(first, second, round(p * 65536), units)
    np.testing.assert_array_equal(mask(first, second, p, units), expected)


@given(first=KEYS, second=KEYS, p=st.sampled_from([0.1, 0.3, 0.5, 0.9]))
@settings(deadline=None, max_examples=60)
def test_the_share_kept_is_that_of_a_fair_coin(first: int, second: int, p: float) -> None:
    """A binomial count: within 5.5 standard deviations of n (1 - p); by chance 4e-8 a draw."""
    count = int(mask(first, second, p).sum())
    assert abs(count - UNITS * (1 - p)) < 5.5 * math.sqrt(UNITS * p * (1 - p))


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_keys_drawn_at_random_give_unrelated_masks(seed: int) -> None:
    """The correlation of independent masks has standard deviation 1 / sqrt(n); 28 pairs each."""
    keys = np.random.default_rng(seed).integers(-(2**31), 2**31, (8, 2))
    between = np.corrcoef([mask(*pair) for pair in keys.tolist()])[np.triu_indices(8, 1)]
    assert np.abs(between).max() < 6.5 / math.sqrt(UNITS)


@pytest.mark.parametrize("lag", [1, 2, 3, 16, 64, 256, 4096, 32768])
def test_units_at_a_distance_are_unrelated(lag: int) -> None:
    keys = np.random.default_rng(4).integers(-(2**31), 2**31, (16, 2)).tolist()
    drawn = np.stack([mask(*pair) for pair in keys])
    a, b = drawn[:, lag:].ravel(), drawn[:, :-lag].ravel()
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / math.sqrt(a.size)


def test_sixteen_units_in_a_row_are_as_many_coins() -> None:
    """How many of 16 neighbours are kept is binomial (chi-square, one draw fixed)."""
    kept_of_16 = mask(12345, -678, 0.5, 16 * 20000).reshape(-1, 16).sum(axis=1)
    counts = np.bincount(kept_of_16, minlength=17)[3:14]
    share = stats.binom.pmf(np.arange(3, 14), 16, 0.5)
    assert stats.chisquare(counts, share / share.sum() * counts.sum()).pvalue > 1e-3


def layered(p: float = 0.3) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(p), nn.PReLU(), nn.Sequential(nn.Dropout(p), nn.PReLU(3)))


def keyed(p: float = 0.3) -> nn.Module:
    return replace_layers(layered(p))


def test_every_dropout_and_prelu_is_swapped_and_weights_keep_their_names() -> None:
    before, model = layered(), keyed()
    assert [type(m) for m in model.modules() if not isinstance(m, nn.Sequential)] == [
        KeyedDropout, LightPReLU, KeyedDropout, LightPReLU,
    ]  # fmt: skip
    assert list(model.state_dict()) == list(before.state_dict())
    model.load_state_dict(before.state_dict())


def test_a_slice_s_masks_are_its_own_in_any_company() -> None:
    """Keys are drawn for (seed, epoch, slice); neighbours in the pass change nothing."""
    model, ids = keyed().train(), np.array([4, 9, 2])
    images = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    set_keys(model, torch.from_numpy(dropout_keys(model, 7, 1, ids)))
    together = model(images)
    for i in (2, 0, 1):
        set_keys(model, torch.from_numpy(dropout_keys(model, 7, 1, ids[[i]])))
        assert torch.equal(model(images[[i]])[0], together[i])


def test_layers_epochs_slices_and_seeds_have_masks_of_their_own() -> None:
    model = keyed()
    places = itertools.product((1, 2), (0, 1), (1, 2))
    drawn = [dropout_keys(model, seed, epoch, np.array([n]))[0] for seed, epoch, n in places]
    flat = np.concatenate(drawn)
    assert flat.shape == (16, 2)
    assert len(np.unique(flat, axis=0)) == 16


def test_what_is_kept_is_scaled_and_the_gradient_has_the_same_mask() -> None:
    """Dropout (Srivastava 2014, inverted): kept / (1 - p), in expectation the input itself."""
    layer = KeyedDropout(0.25).train()
    layer.keys = RANDOM[0]
    x = torch.ones(1, 2, 64, 64, requires_grad=True)
    out = layer(x)
    out.sum().backward()
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(x.grad, out.detach())  # type: ignore[arg-type]
    assert float(out.detach().mean()) == pytest.approx(1, abs=0.05)


def lowbias32(x: int) -> int:
    """Wellons' hash of 32 bits."""
    x = (x ^ x >> 16) * 0x7FEB352D % 2**32
    x = (x ^ x >> 15) * 0x846CA68B % 2**32
    return x ^ x >> 16


def test_a_layer_used_again_in_a_pass_draws_anew() -> None:
    """Unrelated masks: each use hashes the second key; the same ones again in the next pass."""
    layer, x = KeyedDropout(0.5).train(), torch.ones(40, 1, 128, 128)
    generator = np.random.default_rng(2)
    keys = torch.from_numpy(generator.integers(-(2**31), 2**31, (40, 1, 2), dtype=np.int32))
    set_keys(layer, keys)
    masks = [layer(x).flatten(1).numpy() for _ in range(4)]
    for a, b in itertools.combinations(masks, 2):
        z = [np.corrcoef(*pair)[0, 1] * 128 for pair in zip(a, b, strict=True)]
        assert np.abs(z).max() < 5
        assert 0.6 < np.std(z) < 1.5
    first, second = (int(key) % 2**32 for key in keys[0, 0])
    for drawn in masks:
        expected = plain_training.kept_units(first, second, 32768, 128 * 128)
        np.testing.assert_array_equal(drawn[0] > 0, expected)
        first, second = second, lowbias32(first ^ second)
    set_keys(layer, keys)
    assert np.array_equal(layer(x).flatten(1).numpy(), masks[0])


def test_what_an_image_was_cut_into_has_the_image_s_mask() -> None:
    """Windows or tokens, image by image: (B * w, ...) has the masks of (B, w * ...)."""
    layer = KeyedDropout(0.3).train()
    set_keys(layer, torch.tensor([[[11**8, 7]], [[5**9, 13**7]]], dtype=torch.int32))
    whole = layer(torch.ones(2, 6, 8))
    set_keys(layer, torch.tensor([[[11**8, 7]], [[5**9, 13**7]]], dtype=torch.int32))
    assert torch.equal(layer(torch.ones(12, 8)), whole.view(12, 8))


class Sharing(nn.Module):
    """One dropout layer under two names, and twice in a row of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.one = self.same = nn.Dropout(0.5)
        self.row = nn.Sequential(nn.Conv2d(1, 1, 1), self.one, nn.Conv2d(1, 1, 1), self.one)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.same(self.row(x))


def test_a_shared_layer_is_swapped_everywhere_and_stays_shared() -> None:
    model = replace_layers(Sharing())
    assert isinstance(model, Sharing)
    assert type(model.one) is KeyedDropout
    assert model.one is model.same is model.row[1] is model.row[3]
    set_keys(model, torch.from_numpy(dropout_keys(model, 1, 0, np.array([3, 4]))))
    model.train()(torch.ones(2, 1, 4, 4))
    assert uses(model) == [3]


def test_the_twin_is_a_dropout_layer() -> None:
    """Networks read .p, and look for nn.Dropout."""
    twin = replace_layers(nn.Sequential(nn.Dropout(0.2)))[0]  # type: ignore[index]
    assert isinstance(twin, nn.Dropout)
    assert twin.p == 0.2
    assert replace_layers(nn.Sequential(twin))[0] is twin  # type: ignore[index]


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_the_ends_agree_with_torch(p: float) -> None:
    x = torch.randn(2, 1, 4, 4)
    ours, theirs = KeyedDropout(p), nn.Dropout(p)
    assert torch.equal(ours.eval()(x), theirs.eval()(x))
    if p in (0.0, 1.0):
        assert torch.equal(ours.train()(x), theirs.train()(x))


def test_missing_keys_are_an_error() -> None:
    layer = KeyedDropout(0.3).train()
    with pytest.raises(RuntimeError, match=r"\(2, 1, 4, 4\) with dropout keys for 0"):
        layer(torch.zeros(2, 1, 4, 4))
    set_keys(layer, torch.zeros(3, 1, 2, dtype=torch.int32))
    with pytest.raises(RuntimeError, match="with dropout keys for 3"):
        layer(torch.zeros(2, 1, 4, 4))


@pytest.mark.parametrize("slopes", [1, 3])
@given(seed=st.integers(0, 99), slope=st.floats(-2, 2, width=32))
@settings(deadline=None, max_examples=30)
def test_the_light_prelu_is_torch_s(slopes: int, seed: int, slope: float) -> None:
    """Outputs bit for bit, gradients within rounding; the slope may be negative or 0."""
    x = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    x[0, 0, 0] = 0.0
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1))
    found = []
    for layer in (LightPReLU(slopes, slope), nn.PReLU(slopes, slope)):
        given_x = x.clone().requires_grad_()
        out = layer(given_x)
        out.backward(grad)
        found.append((out.detach(), given_x.grad, layer.weight.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])  # type: ignore[arg-type]
    torch.testing.assert_close(found[0][2], found[1][2], rtol=1e-4, atol=1e-4)


def normed(layer: nn.Module, x: torch.Tensor, grad: torch.Tensor) -> list[torch.Tensor]:
    """The output, and the gradients of the input and of the layer's weights, in a list."""
    x = x.clone().requires_grad_()
    out = layer(x)
    return [out.detach(), *torch.autograd.grad(out, [x, *layer.parameters()], grad)]


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 4, 16, 16), (3, 1, 2, 1), (2, 70, 1, 2)])
def test_the_light_instance_norm_is_torch_s(shape: tuple[int, ...], affine: bool) -> None:
    """In float64, where two orders of one sum agree to 1e-12; far from 0, as a bias puts them."""
    generator = torch.Generator().manual_seed(8)
    x, grad = torch.randn(2, *shape, generator=generator, dtype=torch.float64) * 3 + 5
    theirs = nn.InstanceNorm2d(shape[1], affine=affine).double()
    for weight in theirs.parameters():
        nn.init.normal_(weight, generator=generator)
    ours = replace_layers(nn.Sequential(theirs))[0]  # type: ignore[index]
    assert type(ours) is LightInstanceNorm
    assert all(
        own is given for own, given in zip(ours.parameters(), theirs.parameters(), strict=True)
    )
    for found, expected in zip(normed(ours, x, grad), normed(theirs, x, grad), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "change"),
    [
        ({}, lambda x: x.bfloat16()),
        ({}, lambda x: x[0]),
        ({}, lambda x: x.contiguous(memory_format=torch.channels_last)),
        ({"track_running_stats": True}, lambda x: x),
    ],
)
def test_what_the_light_norm_is_not_for_has_torch_s_bits(
    changes: dict[str, bool], change: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    x = change(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(8)) + 4)
    ours, theirs = LightInstanceNorm(3, **changes), nn.InstanceNorm2d(3, **changes)
    assert torch.equal(ours(x), theirs(x))
    assert all(map(torch.equal, ours.buffers(), theirs.buffers()))


def test_a_map_of_one_pixel_is_refused_as_by_torch() -> None:
    """It has no spread; a group norm would make it 0 and go on."""
    with pytest.raises(ValueError, match="more than 1 spatial element"):
        LightInstanceNorm(3)(torch.ones(2, 3, 1, 1))


def test_bf16_is_rounded_once_by_dropout() -> None:
    """1 / 0.7 in bf16 would be 0.07 % too much for every unit that is kept."""
    layer = KeyedDropout(0.3).train()
    layer.keys = RANDOM[0]
    x = torch.linspace(1, 3, 4096, dtype=torch.bfloat16)[None]
    out = layer(x)
    whole = (x.float() * (65536 / (65536 - 19661))).bfloat16()
    assert out.dtype == torch.bfloat16
    assert torch.equal(out[out > 0], whole[out > 0])
    assert 0.25 < float((out == 0).float().mean()) < 0.35
