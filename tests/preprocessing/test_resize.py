"""Resizing: areas and positions are kept, and probabilities stay probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from scipy import ndimage
from strategies import costly, seeds

from benchmark.preprocessing.resize import (
    downsample,
    downsample_masks,
    scaled_spacing,
    upsample_probability,
)


def random_images(seed: int, shape: tuple[int, int, int], top: int = 256) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, top, shape)


def test_downsampling_by_hand() -> None:
    image = np.array([[[0, 4, 10, 10], [8, 0, 30, 10]]], np.uint8)
    np.testing.assert_array_equal(downsample(image, (1, 2)), [[[3, 15]]])
    # a new pixel is one old pixel and half of the next: (6 + 0 / 2) / 1.5 and (0 / 2 + 3) / 1.5
    image = np.tile(np.array([6, 0, 3], np.uint8), (1, 3, 1))
    np.testing.assert_allclose(downsample(image, (2, 2)), np.tile([4.0, 2.0], (1, 2, 1)), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16])
@pytest.mark.parametrize("by", [2, 4])
def test_downsampling_is_the_mean_over_blocks(dtype: type, by: int) -> None:
    images = random_images(by, (3, 64, 96)).astype(dtype)
    before = images.copy()
    small = downsample(images, (64 // by, 96 // by))
    assert small.dtype == np.float32
    blocks = images.astype(float).reshape(3, 64 // by, by, 96 // by, by).mean(axis=(2, 4))
    np.testing.assert_allclose(small, blocks, rtol=1e-6)
    small[:] = 0
    np.testing.assert_array_equal(images, before)  # the input is left alone


def test_a_size_that_is_already_right_changes_nothing() -> None:
    images = random_images(0, (2, 64, 64)).astype(np.uint8)
    masks, maps = images > 128, (images / 255).astype(np.float32)
    assert downsample(images, (64, 64)) is images
    np.testing.assert_array_equal(downsample_masks(masks, (64, 64)), masks)
    np.testing.assert_array_equal(upsample_probability(maps, (64, 64)), maps)


def test_a_new_pixel_is_tumour_where_at_least_half_of_it_is() -> None:
    # blocks of four pixels with 0, 1, 2, 3 and 4 tumour pixels
    top = [0, 0, 1, 0, 1, 0, 1, 1, 1, 1]
    low = [0, 0, 0, 0, 0, 1, 1, 0, 1, 1]
    small = downsample_masks(np.array([[top, low]], bool), (1, 5))
    assert small.dtype == bool
    assert small.tolist() == [[[False, False, True, True, True]]]


@costly
@given(seeds)
def test_downsampling_keeps_the_mean_grey_level(seed: int) -> None:
    """Averaging over areas keeps the mean of an image."""
    images = random_images(seed, (2, 64, 96), top=4096).astype(np.int16)
    means = downsample(images, (32, 32)).mean(axis=(1, 2))
    np.testing.assert_allclose(means, images.mean(axis=(1, 2)), rtol=1e-5)


@costly
@given(seeds)
def test_upsampled_probabilities_agree_with_scipy(seed: int) -> None:
    """Bilinear between pixel centres, the rim continued: scipy's zoom of order 1."""
    maps = np.random.default_rng(seed).random((2, 8, 12))
    oracle = ndimage.zoom(maps, (1, 4, 4), order=1, mode="nearest", grid_mode=True)
    large = upsample_probability(maps.astype(np.float32), (32, 48))
    assert large.dtype == np.float32
    np.testing.assert_allclose(large, oracle, atol=1e-6)


@costly
@given(seeds)
def test_upsampled_probabilities_stay_between_those_there_were(seed: int) -> None:
    """Values stay in [0, 1]: interpolation never overshoots."""
    maps = np.round(np.random.default_rng(seed).random((2, 8, 8))).astype(np.float32)
    large = upsample_probability(maps, (64, 64))
    assert maps.min() - 1e-6 <= large.min() <= large.max() <= maps.max() + 1e-6
    assert 0 <= large.min() <= large.max() <= 1


def test_upsampling_keeps_a_square_where_it_is() -> None:
    # 8 pixels across become 32: the square of pixels 2 to 5 becomes that of pixels 8 to 23
    maps = np.zeros((1, 8, 8), np.float32)
    maps[0, 2:6, 2:6] = 1
    expected, corners = np.zeros((2, 32, 32), bool)
    expected[8:24, 8:24] = True
    corners[np.ix_([8, 9, 22, 23], [8, 9, 22, 23])] = True  # bilinear interpolation rounds them off
    large = upsample_probability(maps, (32, 32))[0] > 0.5
    np.testing.assert_array_equal(large[~corners], expected[~corners])


def test_downsampling_undoes_upsampling_of_a_smooth_map() -> None:
    y, x = np.mgrid[0:64, 0:64] / 63
    maps = (0.2 + 0.3 * x + 0.4 * y).astype(np.float32)[None]
    back = downsample(upsample_probability(maps, (128, 128)), (64, 64))
    np.testing.assert_allclose(back[:, 1:-1, 1:-1], maps[:, 1:-1, 1:-1], atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((256, 256), (0.98, 0.98)),
        ((512, 512), (0.49, 0.49)),
        ((128, 256), (1.96, 0.98)),
        ((384, 512), (0.49 * 4 / 3, 0.49)),
    ],
)
def test_spacing_keeps_the_field_of_view(
    shape: tuple[int, int], expected: tuple[float, float]
) -> None:
    # 512 * 0.49 mm = 250.88 mm, shared by fewer pixels
    rows, columns = scaled_spacing((0.49, 0.49), (512, 512), shape)
    assert (rows, columns) == pytest.approx(expected)
    assert (rows * shape[0], columns * shape[1]) == pytest.approx((250.88, 250.88))
    other = scaled_spacing((0.5, 2.0), (512, 256), shape)
    assert other == pytest.approx((256 / shape[0], 512 / shape[1]))
