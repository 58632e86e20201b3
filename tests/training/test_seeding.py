"""Named random streams: counter-based, so each draw is a function of its name alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import law, seeds

from benchmark.training.seeding import (
    STREAMS,
    epoch_order,
    generator,
    make_deterministic,
    torch_seed,
)

WORD = 2**64


def philox(seed: int, stream: int, index: int, epoch: int) -> list[int]:
    """The first four words of Philox 4x64-10 (Salmon 2011) at counter (1, 0, index, epoch)."""
    x, key = [1, 0, index, epoch], [seed, stream]
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * x[0], WORD)
        high1, low1 = divmod(0xCA5A826395121157 * x[2], WORD)
        x = [high1 ^ x[1] ^ key[0], low1, high0 ^ x[3] ^ key[1], low0]
        key = [(key[0] + 0x9E3779B97F4A7C15) % WORD, (key[1] + 0xBB67AE8584CAA73B) % WORD]
    return x


@law
@given(seeds, st.sampled_from(sorted(STREAMS)), st.integers(0, 500), st.integers(0, 4000))
def test_streams_are_philox_keyed_by_seed_and_name(
    seed: int, stream: str, epoch: int, index: int
) -> None:
    """A draw is a pure function of (seed, name, epoch, index): Philox with that key and counter."""
    drawn = generator(seed, stream, epoch, index).bit_generator.random_raw(4)
    assert drawn.tolist() == philox(seed, STREAMS[stream], index, epoch)


def test_names_are_numbered_apart() -> None:
    assert len(set(STREAMS.values())) == len(STREAMS)


def test_an_unknown_stream_is_refused() -> None:
    with pytest.raises(KeyError, match="shuffle"):
        generator(1, "shuffle")


@law
@given(seeds, st.integers(0, 500), st.integers(0, 4000))
def test_torch_seeds_fit_63_bits(seed: int, epoch: int, index: int) -> None:
    """A seed for torch's own generator has 63 bits, which torch takes, the same each time."""
    number = torch_seed(seed, "dropout", epoch, index)
    assert 0 <= number < 2**63
    assert number == torch_seed(seed, "dropout", epoch, index)
    torch.Generator().manual_seed(number)


@law
@given(seeds, st.integers(0, 500), st.integers(1, 600))
def test_an_epoch_visits_each_slice_once(seed: int, epoch: int, n: int) -> None:
    """The order of an epoch is a permutation, and the same for the same seed and epoch."""
    order = epoch_order(seed, epoch, n)
    assert sorted(order.tolist()) == list(range(n))
    np.testing.assert_array_equal(order, epoch_order(seed, epoch, n))


def test_epochs_and_seeds_have_their_own_order() -> None:
    orders = [epoch_order(seed, epoch, 482) for seed in (0, 1) for epoch in range(5)]
    assert len({order.tobytes() for order in orders}) == 10


@pytest.fixture
def switches() -> Iterator[None]:
    """Put torch's determinism switches back afterwards."""
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
    )
    benchmark = torch.backends.cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.utils.deterministic.fill_uninitialized_memory = before[1]
    torch.backends.cudnn.benchmark = benchmark


@pytest.mark.usefixtures("switches")
def test_determinism_reports_which_switches_took(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = torch.utils.deterministic.fill_uninitialized_memory = True
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")  # what the user set stays
    assert make_deterministic("cuda:0") == {
        "deterministic_algorithms": True,
        "cudnn_benchmark": False,
        "cublas_workspace": ":16:8",
    }
    assert make_deterministic("cpu")["cublas_workspace"] == "not used"
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    assert not torch.utils.deterministic.fill_uninitialized_memory
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    usual = ":4096:8"  # which NVIDIA names as reproducible
    assert make_deterministic("cuda:0")["cublas_workspace"] == usual
