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
from benchmark.preprocessing.level_table import Levels
from benchmark.training.device import Resident

PERCENTILES = (1.0, 10.0, 50.0, 90.0, 99.0)
DTYPES = ["uint8", "int16", "uint16"]


def random_images(dtype: str, seed: int, n: int = 3) -> np.ndarray:
    """(n, 8, 8), of any grey level."""
    range_ = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(range_.min, range_.max, (n, 8, 8), dtype, True)


def tabulated(images: np.ndarray) -> Levels:
    return nyul.tabulate(images, nyul.fit_nyul(images, PERCENTILES))


@given(dtype=st.sampled_from(DTYPES), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_levels_hold_the_bits_of_the_images(dtype: str, seed: int) -> None:
    images = random_images(dtype, seed)
    levels, floats = tabulated(images), nyul.apply(images, nyul.fit_nyul(images, PERCENTILES))
    assert levels.values().tobytes() == floats.tobytes()
    assert levels.codes is images


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kept", ["levels", "floats"])
def test_rows_on_the_device_are_the_images(dtype: str, kept: str) -> None:
    images = random_images(dtype, 7, 5)
    levels = tabulated(images)
    grey = levels if kept == "levels" else levels.values()
    cases = Cases(grey, images > 100, np.arange(5), (1.0, 1.0))
    resident = Resident.of(cases, "cpu")
    rows = torch.tensor([3, 0, 3])
    assert resident.images(rows).numpy().tobytes() == cases.images[[3, 0, 3]].tobytes()
    assert resident.images(rows).dtype == torch.float32


def test_a_chosen_row_keeps_its_table() -> None:
    levels = tabulated(random_images("int16", 2, 4))
    chosen = levels[np.array([False, True, False, True])]
    assert (len(chosen), chosen.shape) == (2, (2, 8, 8))
    np.testing.assert_array_equal(chosen.values(), levels.values()[[1, 3]])


def test_slices_of_eight_bits_take_a_quarter_of_their_floats(slices: SliceSet) -> None:
    images = np.stack([slices.images[0].astype(np.uint8).repeat(4, 0).repeat(4, 1)] * 3)
    levels = tabulated(images)
    assert levels.codes.nbytes * 4 == levels.values().nbytes
    assert levels.table.shape[1] <= 256
