"""Laws of augmentation; each test's docstring quotes its law."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from strategies import costly, law, seeds

from benchmark.protocol import Augmentation
from benchmark.training.augment import AugmentationTable, _elastic_field, apply, draw

ON = Augmentation(affine_p=1, elastic_p=1, motion_p=1, bias_p=1, intensity_p=1, noise_p=1)
SPACING = (0.7, 0.9)
COLUMNS = [field.name for field in fields(AugmentationTable) if field.name != "black_level"]
epochs = st.integers(0, 200)
slice_ids = st.lists(st.integers(0, 4000), min_size=1, max_size=6, unique=True)
probabilities = st.sampled_from([0.0, 0.3, 1.0])


@st.composite
def settings_(draw: st.DrawFn) -> Augmentation:
    """An augmentation in which each transform is off, now and then, or always on."""
    names = ("affine_p", "elastic_p", "motion_p", "bias_p", "intensity_p", "noise_p")
    modes = {"intensity_mode": draw(st.sampled_from(["scale", "shift"]))}
    return replace(Augmentation(), **{name: draw(probabilities) for name in names}, **modes)


def pictures(seed: int, b: int, side: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth images in [-1, 1] and smooth masks."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(0, 1, (2, b, side, side)), (0, 0, 3, 3)) * 6
    return torch.from_numpy(np.tanh(noise[0]).astype(np.float32)), torch.from_numpy(noise[1] > 0.5)


@law
@given(settings_(), seeds, epochs, slice_ids, st.data())
def test_a_draw_is_the_same_for_any_batch_and_order(
    settings: Augmentation, seed: int, epoch: int, ids: list[int], data: st.DataObject
) -> None:
    """A row depends on (seed, epoch, slice number) alone: the same for any batch size, order or
    resume.
    """
    order = data.draw(st.permutations(range(len(ids))))
    together = draw(settings, seed, epoch, np.array(ids))
    shuffled = draw(settings, seed, epoch, np.array(ids)[order])
    alone = [draw(settings, seed, epoch, np.array([number])) for number in ids]
    for name in COLUMNS:
        column = getattr(together, name)
        np.testing.assert_array_equal(getattr(shuffled, name), column[order])
        np.testing.assert_array_equal(np.concatenate([getattr(row, name) for row in alone]), column)


@costly
@given(settings_(), seeds, epochs)
def test_a_batch_is_each_of_its_images_alone(settings: Augmentation, seed: int, epoch: int) -> None:
    """Batch result equals each element alone: to 1e-4 in grey level, and all but a few rim pixels
    of a mask.

    Not bitwise: a row that nothing moves is resampled at its own pixel centres in one case and left
    alone in the other.
    """
    images, masks = pictures(seed, 3)
    together, moved = apply(draw(settings, seed, epoch, np.arange(3)), images, masks, SPACING)
    for i in range(3):
        table = draw(settings, seed, epoch, np.array([i]))
        alone, own = apply(table, images[i : i + 1], masks[i : i + 1], SPACING)
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-4)
        assert int((own[0] != moved[i]).sum()) <= 2


@law
@given(seeds, epochs, slice_ids)
def test_no_strength_is_the_identity(seed: int, epoch: int, ids: list[int]) -> None:
    """A transform of no strength changes nothing, bit for bit, however often it happens."""
    still = replace(
        ON,
        motion_p=0,
        scale=0,
        rotation_degrees=0,
        elastic_mm=0,
        bias_coefficient=0,
        intensity_change=0,
        noise_sd=0,
    )
    images, masks = pictures(seed, len(ids))
    done, moved = apply(draw(still, seed, epoch, np.array(ids)), images, masks, SPACING)
    assert torch.equal(done, images)
    assert torch.equal(moved, masks)


@law
@given(seeds, st.floats(0, 20), st.integers(5, 9))
def test_no_displacement_exceeds_elastic_mm(seed: int, elastic_mm: float, points: int) -> None:
    """The elastic displacement along each axis is at most `elastic_mm`: B-splines never overshoot
    their control.
    """
    settings = replace(ON, elastic_mm=elastic_mm, elastic_control_points=points)
    field = _elastic_field(torch.from_numpy(draw(settings, seed, 0, np.arange(2)).elastic), 32, 48)
    assert float(field.abs().max()) <= elastic_mm * (1 + 1e-12)


@costly
@given(seeds, epochs)
def test_image_and_mask_stay_aligned(seed: int, epoch: int) -> None:
    """Masks stay binary and aligned: an image that is its mask, moved and cut half-way, is the
    moved mask.
    """
    _, masks = pictures(seed, 2)
    settings = replace(ON, motion_p=0, bias_p=0, intensity_p=0, noise_p=0)
    done, moved = apply(
        draw(settings, seed, epoch, np.arange(2)), masks.float() * 2 - 1, masks, SPACING
    )
    assert moved.dtype == torch.bool
    assert int(((done > 0) != moved).sum()) <= 2


@costly
@given(seeds, epochs)
def test_masks_follow_affine_and_elastic_only(seed: int, epoch: int) -> None:
    """Motion, bias field, intensity and noise leave the mask as it is, bit for bit."""
    images, masks = pictures(seed, 2)
    settings = replace(ON, affine_p=0, elastic_p=0)
    done, moved = apply(draw(settings, seed, epoch, np.arange(2)), images, masks, SPACING)
    assert torch.equal(moved, masks)
    assert not torch.equal(done, images)


@costly
@given(seeds, st.sampled_from([-1.0, 0.0]))
def test_bias_and_scale_leave_the_black_level_alone(seed: int, black_level: float) -> None:
    """`black_level`: the value of no signal, which scaling and bias leave alone."""
    settings = replace(ON, affine_p=0, elastic_p=0, motion_p=0, noise_p=0, black_level=black_level)
    images, masks = pictures(seed, 2)
    images = torch.where(images > 0.2, images, black_level)
    done, _ = apply(draw(settings, seed, 0, np.arange(2)), images, masks, SPACING)
    assert bool((done[images == black_level] == black_level).all())
    assert not torch.equal(done, images)
