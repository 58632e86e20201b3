"""Laws of preprocessing; each test's docstring quotes its law."""

from __future__ import annotations

import warnings

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.interpolate import interp1d
from strategies import images, law, rich_images

from benchmark.preprocessing.nyul import (
    Landmarks,
    apply,
    apply_nyul,
    fit_nyul,
    image_landmarks,
    rescale,
    zscore,
)

PERCENTILES = (1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 99.0)
STANDARD = Landmarks(PERCENTILES, (0.0, 7.0, 20.0, 45.0, 60.0, 85.0, 100.0))
gains, offsets = st.integers(1, 7), st.integers(-100, 100)


def close(a: NDArray[np.floating], b: NDArray[np.floating], share: float = 1e-9) -> None:
    """Equal to within a share of the greatest value."""
    np.testing.assert_allclose(a, b, rtol=0, atol=share * max(1.0, float(np.abs(b).max())))


@law
@given(images(), gains, offsets)
def test_nyul_is_invariant_to_a_positive_affine_change(
    image: NDArray[np.int16], gain: int, offset: int
) -> None:
    """Nyul's output is invariant to a positive per-image affine change of intensities."""
    assume(len(np.unique(image_landmarks(image, PERCENTILES))) > 1)
    close(apply_nyul(image * gain + offset, STANDARD), apply_nyul(image, STANDARD))


@law
@given(images(), gains, offsets)
def test_all_steps_are_invariant_to_a_positive_affine_change(
    image: NDArray[np.int16], gain: int, offset: int
) -> None:
    """8-bit slices stretched per image serve: the result does not depend on a positive affine
    change of an image.
    """
    changed = apply((image * gain + offset)[None], STANDARD)
    np.testing.assert_allclose(changed, apply(image[None], STANDARD), rtol=0, atol=1e-6)


@law
@given(st.lists(rich_images(8), min_size=1, max_size=4), st.data())
def test_the_standard_histogram_is_invariant_to_affine_changes(
    drawn: list[NDArray[np.int16]], data: st.DataObject
) -> None:
    """Each image's landmarks are moved linearly to the standard scale, so a gain and an offset
    leave no trace.
    """
    same = [image[:6, :6] for image in drawn]
    changed = [image.astype(np.int32) * data.draw(gains) + data.draw(offsets) for image in same]
    np.testing.assert_allclose(
        fit_nyul(np.stack(changed), PERCENTILES).values,
        fit_nyul(np.stack(same), PERCENTILES).values,
        atol=1e-9,
    )


@law
@given(images())
def test_the_mapping_never_decreases(image: NDArray[np.int16]) -> None:
    """A brighter pixel is never mapped below a darker one of the same image."""
    mapped = apply_nyul(image, STANDARD).ravel()[np.argsort(image, axis=None, kind="stable")]
    assert (np.diff(mapped) >= -1e-9 * np.abs(mapped).max()).all()


@law
@given(images())
def test_equal_pixels_stay_equal(image: NDArray[np.int16]) -> None:
    """The mapping is a function of the grey level: equal pixels of an image stay equal."""
    mapped = apply_nyul(image, STANDARD)
    for level in np.unique(image):
        assert np.unique(mapped[image == level]).size == 1


@law
@given(images())
def test_zscore_before_rescaling_changes_nothing(image: NDArray[np.int16]) -> None:
    """z-score followed by min-max rescaling equals min-max alone."""
    pixels = image.astype(np.float64)
    np.testing.assert_allclose(rescale(zscore(pixels)), rescale(pixels), rtol=0, atol=1e-12)


@law
@given(images())
def test_zscore_has_mean_0_and_sd_1(image: NDArray[np.int16]) -> None:
    """The z-score subtracts the mean of one whole image and divides by its standard deviation."""
    scored = zscore(image.astype(np.float64))
    assert abs(scored.mean()) < 1e-12
    assert abs(scored.std() - 1) < 1e-12


@law
@given(st.lists(rich_images(6), min_size=1, max_size=3))
def test_every_image_spans_exactly_minus_1_to_1(drawn: list[NDArray[np.int16]]) -> None:
    """The least pixel of each image is mapped to exactly -1 and the greatest to exactly 1."""
    stack = np.stack(drawn)
    out = apply(stack, fit_nyul(stack, PERCENTILES))
    for image, result in zip(stack, out, strict=True):
        assert (result.min(), result.max()) == (-1.0, 1.0)
        assert result.flat[image.argmin()] == -1.0
        assert result.flat[image.argmax()] == 1.0


@law
@given(images())
def test_tied_landmarks_never_divide_by_zero(image: NDArray[np.int16]) -> None:
    """Coinciding landmarks count as one: no division by zero, no overflow, nothing that is not
    finite.
    """
    with warnings.catch_warnings(), np.errstate(divide="raise", invalid="raise", over="raise"):
        warnings.simplefilter("error")
        assert np.isfinite(apply(image[None], STANDARD)).all()


@law
@given(images(), st.booleans())
def test_landmarks_rise_within_the_foreground(image: NDArray[np.int16], whole: bool) -> None:
    """Landmarks are percentiles of the foreground: they rise, from its least to its greatest pixel
    at most.
    """
    foreground = image if whole else image[image > image.mean()]
    found = image_landmarks(image, (0, *PERCENTILES, 100), whole)
    assert (np.diff(found) >= 0).all()
    assert (found[0], found[-1]) == (foreground.min(), foreground.max())


@law
@given(rich_images())
def test_each_landmark_lands_on_its_standard_value(image: NDArray[np.int16]) -> None:
    """Each image is mapped so that its landmarks become the standard ones, linearly in between:
    scipy's interp1d.
    """
    own = np.percentile(image[image > image.mean()], PERCENTILES)
    assume(np.diff(own).min() > 0)
    oracle = interp1d(own, STANDARD.values, fill_value="extrapolate")
    close(apply_nyul(image, STANDARD), oracle(image.astype(np.float64)))


@law
@given(st.lists(rich_images(6), min_size=2, max_size=5), st.data())
def test_the_standard_histogram_does_not_depend_on_order(
    drawn: list[NDArray[np.int16]], data: st.DataObject
) -> None:
    """A standard landmark is a mean over images, whatever their order."""
    shuffled = data.draw(st.permutations(drawn))
    np.testing.assert_allclose(
        fit_nyul(np.stack(shuffled), PERCENTILES).values,
        fit_nyul(np.stack(drawn), PERCENTILES).values,
        atol=1e-9,
    )
