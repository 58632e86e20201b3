"""Laws of the border distances and the core, and MONAI's own implementation of the distances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from monai.metrics import (
    compute_average_surface_distance,
    compute_hausdorff_distance,
    compute_surface_dice,
)
from numpy.typing import NDArray
from scipy import ndimage
from strategies import law, mask_pairs, masks, seeds

from benchmark.scoring.surface import BorderDistances, border_distances, core_sensitivity

Mask = NDArray[np.bool_]
Pair = tuple[Mask, Mask]
spacings = st.tuples(st.floats(0.1, 3), st.floats(0.1, 3))
tolerances = st.floats(0, 6)


def blobs(seed: int) -> Pair:
    """Two smooth shapes of (24, 31) that overlap in part, some of which touch the edge of the
    image.
    """
    noise = np.random.default_rng(seed).normal(size=(2, 24, 31))
    smooth = ndimage.gaussian_filter(noise, (0, 3, 3))
    smooth[1] += smooth[0]
    first, second = (one > np.quantile(one, 0.8) for one in smooth)
    return first, second


pairs = mask_pairs() | seeds.map(blobs)
full = pairs.filter(lambda pair: bool(pair[0].any() and pair[1].any()))


def numbers(found: BorderDistances, tolerance_mm: float = 1.0) -> list[float]:
    return [found.nsd(tolerance_mm), found.hd95_mm, found.assd_mm]


def near(expected: list[float]) -> object:
    return pytest.approx(expected, rel=1e-9, abs=1e-12)


@law
@given(pairs, spacings, tolerances)
def test_truth_and_prediction_may_change_places(
    pair: Pair, spacing_mm: tuple[float, float], t: float
) -> None:
    """NSD, HD95 and ASSD are symmetric in the two masks."""
    there, back = border_distances(*pair, spacing_mm), border_distances(*reversed(pair), spacing_mm)
    assert numbers(there, t) == near(numbers(back, t))


@law
@given(pairs, spacings, tolerances)
def test_turning_the_image(pair: Pair, spacing_mm: tuple[float, float], t: float) -> None:
    """Mirroring both masks changes nothing, nor does transposing them together with the spacing."""
    expected = near(numbers(border_distances(*pair, spacing_mm), t))
    for turn in (np.flipud, np.fliplr):
        assert numbers(border_distances(turn(pair[0]), turn(pair[1]), spacing_mm), t) == expected
    assert numbers(border_distances(pair[0].T, pair[1].T, spacing_mm[::-1]), t) == expected


@law
@given(pairs, spacings, tolerances, st.floats(0.1, 10))
def test_a_larger_scale(
    pair: Pair, spacing_mm: tuple[float, float], t: float, scale: float
) -> None:
    """Spacing and tolerance times c: NSD stays, HD95 and ASSD are c times as large."""
    nsd, hd95, assd = numbers(border_distances(*pair, spacing_mm), t)
    scaled = border_distances(*pair, (scale * spacing_mm[0], scale * spacing_mm[1]))
    assert numbers(scaled, scale * t) == near([nsd, scale * hd95, scale * assd])


@law
@given(pairs, spacings, tolerances, tolerances)
def test_a_wider_tolerance_never_lowers_nsd(
    pair: Pair, spacing_mm: tuple[float, float], s: float, t: float
) -> None:
    """NSD(s) <= NSD(t) wherever s <= t."""
    found = border_distances(*pair, spacing_mm)
    assert found.nsd(min(s, t)) <= found.nsd(max(s, t))


@law
@given(masks() | seeds.map(lambda seed: blobs(seed)[0]), spacings)
def test_a_mask_is_no_distance_from_itself(mask: Mask, spacing_mm: tuple[float, float]) -> None:
    """A mask against itself, empty or not: NSD 1 at any tolerance, HD95 0, ASSD 0."""
    assert numbers(border_distances(mask, mask, spacing_mm), 0) == [1.0, 0.0, 0.0]


@law
@given(pairs, spacings, tolerances)
def test_every_measure_lies_in_its_range(
    pair: Pair, spacing_mm: tuple[float, float], t: float
) -> None:
    """NSD lies in [0, 1]; HD95 and ASSD in [0, the image's diagonal]."""
    found = border_distances(*pair, spacing_mm)
    assert 0 <= found.nsd(t) <= 1
    assert 0 <= found.hd95_mm <= found.diagonal_mm * (1 + 1e-12)
    assert 0 <= found.assd_mm <= found.diagonal_mm * (1 + 1e-12)


@law
@given(full, spacings, tolerances, st.tuples(*[st.integers(0, 3)] * 4))
def test_background_around_the_image(
    pair: Pair, spacing_mm: tuple[float, float], t: float, by: tuple[int, int, int, int]
) -> None:
    """Padding both masks with background changes nothing where neither is empty, though a mask
    touch the edge.
    """
    wider = [np.pad(mask, (by[:2], by[2:])) for mask in pair]
    expected = near(numbers(border_distances(*pair, spacing_mm), t))
    assert numbers(border_distances(wider[0], wider[1], spacing_mm), t) == expected


@pytest.mark.filterwarnings(
    "ignore:monai.metrics.utils get_mask_edges:FutureWarning"
)  # MONAI 1.6 of its own call
@law
@given(full, spacings, tolerances)
def test_distances_agree_with_monai(pair: Pair, spacing_mm: tuple[float, float], t: float) -> None:
    """MONAI's surface Dice, HD95 and symmetric ASSD, which are float32 and NaN for empty masks."""
    found = border_distances(*pair, spacing_mm)
    every = np.concatenate([found.predicted_mm, found.truth_mm])
    assume(
        np.abs(every - t).min() > 1e-5
    )  # float32 decides otherwise whether such a distance is within t
    predicted, truth = (torch.from_numpy(mask.astype(np.float32))[None, None] for mask in pair)
    given_spacing = {"include_background": True, "spacing": list(spacing_mm)}
    assert numbers(found, t) == pytest.approx(
        [
            float(compute_surface_dice(predicted, truth, [t], **given_spacing)),
            float(compute_hausdorff_distance(predicted, truth, percentile=95, **given_spacing)),
            float(
                compute_average_surface_distance(predicted, truth, symmetric=True, **given_spacing)
            ),
        ],
        abs=1e-5,
    )


@law
@given(pairs, spacings)
def test_borders_are_what_an_erosion_removes(pair: Pair, spacing_mm: tuple[float, float]) -> None:
    """There are as many distances as pixels that scipy's erosion by the 4-neighbour cross
    removes.
    """
    found = border_distances(*pair, spacing_mm)
    expected = [np.count_nonzero(mask & ~ndimage.binary_erosion(mask)) for mask in pair]
    assert [found.predicted_mm.size, found.truth_mm.size] == expected


@law
@given(pairs, spacings)
def test_the_core_is_found_where_all_is(pair: Pair, spacing_mm: tuple[float, float]) -> None:
    """Core sensitivity is 1 where the prediction holds the whole truth, and 0 where it holds none
    of it.
    """
    predicted, truth = pair
    assume(truth.any())
    assert core_sensitivity(predicted | truth, truth, spacing_mm) == 1.0
    assert core_sensitivity(predicted & ~truth, truth, spacing_mm) == 0.0


@law
@given(pairs, spacings)
def test_the_core_and_its_rim_make_up_the_tumour(
    pair: Pair, spacing_mm: tuple[float, float]
) -> None:
    """With no prediction outside the truth, what is found of the core and what is missed of it come
    to 1.
    """
    predicted, truth = pair
    assume(truth.any())
    found, missed = (
        core_sensitivity(part & truth, truth, spacing_mm) for part in (predicted, ~predicted)
    )
    assert found + missed == pytest.approx(1.0, abs=1e-12)


@law
@given(pairs, spacings, st.floats(0.1, 10))
def test_the_core_of_a_turned_or_scaled_image(
    pair: Pair, spacing_mm: tuple[float, float], scale: float
) -> None:
    """Mirrors, a transposition with its spacing, background around the image and a larger scale
    change nothing.
    """
    predicted, truth = pair
    expected = core_sensitivity(predicted, truth, spacing_mm)
    for turn in (np.flipud, np.fliplr, lambda mask: np.pad(mask, 2)):
        assert core_sensitivity(turn(predicted), turn(truth), spacing_mm) == expected
    assert core_sensitivity(predicted.T, truth.T, spacing_mm[::-1]) == expected
    assert (
        core_sensitivity(predicted, truth, (scale * spacing_mm[0], scale * spacing_mm[1]))
        == expected
    )


@law
@given(pairs, spacings)
def test_the_core_by_its_definition(pair: Pair, spacing_mm: tuple[float, float]) -> None:
    """Depth is the least distance to any pixel outside, one ring beyond the image included: every
    pair measured.
    """
    predicted, truth = pair
    assume(truth.any())
    inside, outside = np.argwhere(truth) + 1, np.argwhere(~np.pad(truth, 1))
    depth = np.sqrt((((inside[:, None] - outside) * np.array(spacing_mm)) ** 2).sum(-1)).min(1)
    assume(np.abs(depth - depth.max() / 2).min() > 1e-9 or spacing_mm[0] == spacing_mm[1])
    core = depth >= depth.max() / 2 - 1e-9
    assert core_sensitivity(predicted, truth, spacing_mm) == predicted[truth][core].mean()
