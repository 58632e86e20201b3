"""Nyul standardisation, z-score and rescaling, against numbers derived by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import interp1d

from benchmark.errors import DataError
from benchmark.preprocessing.nyul import (
    Landmarks,
    apply,
    apply_nyul,
    fit_nyul,
    image_landmarks,
    rescale,
    zscore,
)
from benchmark.protocol import Preprocess

DECILES = Preprocess().nyul_percentiles


def row(*pixels: int) -> NDArray[np.int16]:
    return np.array([pixels], dtype=np.int16)


def test_landmarks_are_percentiles_of_the_pixels_above_the_image_mean() -> None:
    # mean (2 + 4 + 6 + 8) / 8 = 2.5, so the foreground is 4, 6, 8; its quarter point lies half-way
    # from 4 to 6
    image = row(0, 0, 0, 0, 2, 4, 6, 8)
    np.testing.assert_array_equal(image_landmarks(image, (0, 25, 50, 100)), [4, 5, 6, 8])


def test_a_pixel_equal_to_the_mean_is_background() -> None:
    # mean 2: only 3 lies above it
    np.testing.assert_array_equal(image_landmarks(row(1, 2, 3), (0, 100)), [3, 3])


def test_landmarks_of_the_whole_image_on_demand() -> None:
    # eight pixels: the median lies half-way between the fourth, 0, and the fifth, 2
    image = row(0, 0, 0, 0, 2, 4, 6, 8)
    np.testing.assert_array_equal(image_landmarks(image, (0, 50, 100), whole=True), [0, 1, 8])


def test_standard_landmarks_are_the_mean_after_moving_each_image_to_0_100() -> None:
    # foregrounds 4, 6, 8; 10, 12, 20 and 10, 14, 20: moved linearly to 0, 50, 100; 0, 20, 100 and
    # 0, 40, 100. Their mean is 110/3, their median would be 40.
    images = np.stack(
        [row(0, 0, 0, 0, 0, *foreground) for foreground in ((4, 6, 8), (10, 12, 20), (10, 14, 20))]
    )
    learned = fit_nyul(images, (0, 50, 100))
    assert (learned.percentiles, learned.whole) == ((0, 50, 100), False)
    np.testing.assert_allclose(learned.values, (0, 110 / 3, 100), rtol=1e-15)


def test_a_histogram_of_whole_images_is_learned_and_applied_on_every_pixel() -> None:
    # all eight pixels: landmarks 0, 1, 8 move to 0, 12.5, 100; of the foreground 4, 6, 8 they would
    # be 0, 50, 100
    image = row(0, 0, 0, 0, 2, 4, 6, 8)
    learned = fit_nyul(image[None], (0, 50, 100), whole=True)
    assert learned == Landmarks((0, 50, 100), (0.0, 12.5, 100.0), whole=True)
    # 0, 1, 8 go to 0, 40, 100: from 1 on a step of 1 is 60/7
    mapped = apply_nyul(image, Landmarks((0, 50, 100), (0.0, 40.0, 100.0), whole=True))
    np.testing.assert_allclose(mapped, [[0, 0, 0, 0, 340 / 7, 460 / 7, 580 / 7, 100]], atol=1e-12)


def test_mapping_is_piecewise_linear_and_continued_beyond_both_ends() -> None:
    # foreground 4, 6, 8, 10, 12 (mean 42/11 = 3.8): landmarks 4, 8, 10 go to 0, 35, 100
    # slopes 35/4 = 8.75 and 65/2 = 32.5: 0 -> -35, 2 -> -17.5, 6 -> 17.5, 12 -> 100 + 65
    image = row(0, 0, 0, 0, 0, 2, 4, 6, 8, 10, 12)
    mapped = apply_nyul(image, Landmarks((0, 50, 75), (0.0, 35.0, 100.0)))
    np.testing.assert_allclose(
        mapped, [[-35, -35, -35, -35, -35, -17.5, 0, 17.5, 35, 100, 165]], atol=1e-12
    )


def test_mapping_agrees_with_scipy_where_no_landmarks_tie() -> None:
    rng = np.random.default_rng(3)
    image = rng.choice(4000, (32, 32), replace=False).astype(np.int16)
    learned = fit_nyul(rng.integers(0, 4000, (5, 32, 32)), DECILES)
    foreground = image[image > image.mean()]
    oracle = interp1d(np.percentile(foreground, DECILES), learned.values, fill_value="extrapolate")
    np.testing.assert_allclose(
        apply_nyul(image, learned), oracle(image.astype(float)), rtol=1e-12, atol=1e-9
    )


def test_tied_landmarks_count_as_one_at_the_mean_of_their_standard_values() -> None:
    # foreground 5, 5, 5, 9: landmarks 5, 5, 5, 9, so 5 -> (0 + 10 + 40) / 3 and 9 -> 100
    image = row(0, 0, 0, 0, 5, 5, 5, 9)
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        mapped = apply_nyul(image, Landmarks((0, 25, 50, 100), (0.0, 10.0, 40.0, 100.0)))
    slope = (100 - 50 / 3) / 4
    np.testing.assert_allclose(mapped[0, [0, 4, 7]], [50 / 3 - 5 * slope, 50 / 3, 100], rtol=1e-12)


def test_one_foreground_level_is_moved_and_not_stretched() -> None:
    # 5 -> (0 + 30 + 100) / 3, and 0 lies 5 below it
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        mapped = apply_nyul(row(0, 0, 0, 5, 5), Landmarks((1, 50, 99), (0.0, 30.0, 100.0)))
    np.testing.assert_allclose(mapped, [[130 / 3 - 5] * 3 + [130 / 3] * 2], rtol=1e-12)


def test_landmarks_that_differ_by_rounding_alone_count_as_one() -> None:
    # 1301 foreground pixels: the 70th percentile is pixel 910, counted from 0, the first of 379
    # pixels at 106 up to beyond the 99th. The last segment must span 105 to 106, not 1e-13, or the
    # 12 pixels at 200 take all.
    image = np.zeros(4096, np.uint8)
    image[:1301] = np.repeat([105, 106, 200], [910, 379, 12])
    learned = Landmarks(DECILES, tuple(np.linspace(0.0, 100.0, len(DECILES)).tolist()))
    result = apply(image.reshape(1, 64, 64), learned)
    assert len(np.unique(result)) == 4  # 0, 105, 106, 200


def test_an_image_with_one_foreground_level_teaches_nothing() -> None:
    # foreground 0.5, 0.75, 1 has three levels, though they are less than 1 apart
    shaped, flat = row(0, 0, 0, 0, 0, 4, 6, 8), row(0, 0, 0, 0, 0, 7, 7, 7)
    assert fit_nyul(np.stack([shaped, flat]), (0, 50, 100)).values == (0.0, 50.0, 100.0)
    assert fit_nyul(np.stack([shaped / 8, flat]), (0, 50, 100)).values == (0.0, 50.0, 100.0)
    with pytest.raises(DataError, match="cannot be learned"):
        fit_nyul(np.stack([flat, flat]), (0, 50, 100))


@pytest.mark.parametrize("level", [0, 7, 255])
def test_a_constant_image_is_refused_by_every_step(level: int) -> None:
    image = np.full((4, 4), level, np.uint8)
    landmarks = Landmarks((0, 50, 100), (0.0, 50.0, 100.0))
    for step in (
        lambda: image_landmarks(image, (0, 100)),
        lambda: image_landmarks(image, (0, 100), whole=True),
        lambda: fit_nyul(image[None], (0, 100)),
        lambda: apply_nyul(image, landmarks),
        lambda: zscore(image.astype(float)),
        lambda: rescale(image.astype(float)),
        lambda: apply(image[None], landmarks),
    ):
        with pytest.raises(DataError, match=f"constant image: every pixel is {level}"):
            step()


def test_zscore_by_hand() -> None:
    # mean 4, deviations -2, 2, -2, 2: standard deviation 2
    np.testing.assert_array_equal(zscore(np.array([[2.0, 6.0], [2.0, 6.0]])), [[-1, 1], [-1, 1]])


def test_rescale_by_hand() -> None:
    # 0 -> -1, 4 -> 1, and 1 is a quarter of the way
    np.testing.assert_array_equal(rescale(np.array([[0.0, 1.0, 4.0]])), [[-1, -0.5, 1]])


def test_all_steps_by_hand() -> None:
    # foreground 4, 5, 8 goes to 0, 75, 100, and 0 to 0 - 4 x 75 = -300; a z-score changes no ratio
    # of distances, so 4, 5 and 8 end at 300, 375 and 400 of 400 of the way from -1 to 1. Without
    # Nyul's step 5 would end at 0.25.
    image = row(0, 0, 0, 0, 0, 4, 5, 8)
    result = apply(image[None], Landmarks((0, 50, 100), (0.0, 75.0, 100.0)))
    np.testing.assert_allclose(result, [[[-1, -1, -1, -1, -1, 0.5, 0.875, 1]]], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16])
def test_all_steps_give_float32_of_the_same_shape_and_leave_the_input_alone(dtype: type) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 64)).astype(dtype)
    before = images.copy()
    out = apply(images, fit_nyul(images, DECILES))
    assert (out.dtype, out.shape) == (np.float32, images.shape)
    np.testing.assert_array_equal(images, before)


def test_an_image_is_treated_alone() -> None:
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32))
    learned = fit_nyul(images, DECILES)
    for i in range(3):
        np.testing.assert_array_equal(
            apply(images, learned)[i], apply(images[i : i + 1], learned)[0]
        )


def test_standardising_brings_the_foregrounds_of_a_set_together() -> None:
    # the purpose of Nyul's method: the median foreground grey level is the same standard value in
    # every image, to within the gap between the two middle pixels (thousands of pixels, scale 0 to
    # 100)
    rng = np.random.default_rng(2)
    images = rng.gamma(2.0, 20.0, (6, 64, 64)) * rng.uniform(0.5, 2, (6, 1, 1)) + rng.uniform(
        0, 50, (6, 1, 1)
    )
    learned = fit_nyul(images, DECILES)
    middle = learned.values[DECILES.index(50)]
    for image in images:
        assert np.median(apply_nyul(image, learned)[image > image.mean()]) == pytest.approx(
            middle, abs=1e-3
        )
