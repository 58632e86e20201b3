"""Grey levels and tables: the same bits as preprocessing the images as floats, in less memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.arm import Cases
from benchmark.data.slices import SliceSet
from benchmark.preprocessing import nyul
from benchmark.training.device import Resident

PERCENTILES = (1.0, 10.0, 50.0, 90.0, 99.0)
DTYPES = {"uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535)}


def drawn(dtype: str, seed: int, n: int = 3) -> np.ndarray:
    low, high = DTYPES[dtype]
    return np.random.default_rng(seed).integers(low, high, (n, 8, 8), endpoint=True).astype(dtype)


@given(dtype=st.sampled_from(sorted(DTYPES)), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_levels_hold_the_bits_of_the_images(dtype: str, seed: int) -> None:
    images = drawn(dtype, seed)
    landmarks = nyul.fit_nyul(images, PERCENTILES)
    found, expected = nyul.tabulate(images, landmarks), nyul.apply(images, landmarks)
    assert found.values().tobytes() == expected.tobytes()
    assert found.codes is images


@pytest.mark.parametrize("dtype", sorted(DTYPES))
@pytest.mark.parametrize("kept", ["levels", "floats"])
def test_rows_on_the_device_are_the_images(dtype: str, kept: str) -> None:
    images = drawn(dtype, 7, 5)
    levels = nyul.tabulate(images, nyul.fit_nyul(images, PERCENTILES))
    grey = levels if kept == "levels" else levels.values()
    cases = Cases(grey, images > 100, np.arange(5), (1.0, 1.0))
    resident = Resident.of(cases, "cpu")
    rows = torch.tensor([3, 0, 3])
    assert resident.images(rows).numpy().tobytes() == cases.images[[3, 0, 3]].tobytes()
    assert resident.images(rows).dtype == torch.float32


def test_a_chosen_row_keeps_its_table() -> None:
    images = drawn("int16", 2, 4)
    levels = nyul.tabulate(images, nyul.fit_nyul(images, PERCENTILES))
    chosen = levels[np.array([False, True, False, True])]
    assert (len(chosen), chosen.shape) == (2, (2, 8, 8))
    np.testing.assert_array_equal(chosen.values(), levels.values()[[1, 3]])


def test_slices_of_eight_bits_take_a_quarter_of_their_floats(slices: SliceSet) -> None:
    images = np.stack([slices.images[0].astype(np.uint8).repeat(4, 0).repeat(4, 1)] * 3)
    levels = nyul.tabulate(images, nyul.fit_nyul(images, PERCENTILES))
    assert levels.codes.nbytes * 4 == levels.values().nbytes
    assert levels.table.shape[1] <= 256
