"""Masks that lie otherwise than the slices: which slips are told, and what chance may never do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from data_forms import small_set
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from run_records import squares
from strategies import cheng_rows, law

from benchmark.data.slices import SliceSet
from benchmark.runs.collect import reproduction_folder
from benchmark.runs.run_folder import PREDICTIONS, unpack_masks
from benchmark.scoring.mask_orientation import (
    INVERTED_CURE,
    UPRIGHT_CURE,
    equal_to_truth,
    misfit,
)

Mask = NDArray[np.bool_]
Masks = dict[int, Mask]
Change = Callable[[NDArray[Any]], NDArray[Any]]

SIDE, CORNER = 64, 8  # of a slice, and of the square in its corner where tumours lie
TURNS: dict[str, Change] = {
    "upside down": np.flipud,
    "mirrored": np.fliplr,
    "turned by 180 degrees": lambda mask: np.rot90(mask, 2),
    "transposed": np.transpose,
    "turned by 90 degrees clockwise": lambda mask: np.rot90(mask, -1),
    "turned by 90 degrees counter-clockwise": np.rot90,
    "transposed and turned by 180 degrees": lambda mask: np.rot90(mask.T, 2),
}


def inverted(change: Change) -> Change:
    return lambda mask: ~change(mask)


SLIPS: dict[str, Change] = {
    **TURNS,
    "inverted": np.logical_not,
    **{f"{name} and inverted": inverted(turn) for name, turn in TURNS.items()},
}


def slice_set(masks: Mapping[int, Mask], patients: tuple[str | None, ...]) -> SliceSet:
    """Slices that have these truths; their images are of no concern here."""
    truths, numbers = np.stack([*masks.values()]), np.array([*masks])
    return SliceSet(truths, truths, numbers, np.ones_like(numbers), patients)


def truths_of(slices: SliceSet) -> Masks:
    return dict(zip(slices.slice_id.tolist(), slices.masks, strict=True))


def slipped(masks: Masks, slip: Change) -> Masks:
    return {number: slip(mask) for number, mask in masks.items()}


@st.composite
def off_centre(draw: st.DrawFn) -> SliceSet:
    """One to four slices, any tumour in each, within the one eighth above the diagonal: its images
    in the eight orientations are apart. Patients are known or not."""
    eighth = np.triu(np.ones((CORNER, CORNER), bool), 1)
    corner = arrays(np.bool_, (CORNER, CORNER)).map(lambda mask: mask & eighth).filter(np.any)
    tumour = corner.map(lambda mask: np.pad(mask, (0, SIDE - CORNER)))
    masks = draw(st.lists(tumour, min_size=1, max_size=4))
    patients = draw(st.sampled_from([(None,) * len(masks), ("a", "a", "b", None)[: len(masks)]]))
    return slice_set(dict(enumerate(masks, 1)), patients)


@law
@given(slices=off_centre(), name=st.sampled_from(list(SLIPS)))
def test_every_turn_of_an_off_centre_truth_is_told_and_the_truth_is_not(
    slices: SliceSet, name: str
) -> None:
    truths = truths_of(slices)
    assert misfit(truths, slices) is None
    found = misfit(slipped(truths, SLIPS[name]), slices)
    assert found is not None
    assert str(found).startswith(f"the masks seem to be {name}: mean Dice over the {len(truths)} ")
    assert (found.undone, found.slices) == (1, len(truths))


@law
@given(slices=off_centre(), name=st.sampled_from(list(TURNS)))
def test_symmetric_truths_are_never_told_to_be_turned(slices: SliceSet, name: str) -> None:
    whole = {
        number: np.logical_or.reduce([mask, *(turn(mask) for turn in TURNS.values())])
        for number, mask in truths_of(slices).items()
    }
    symmetric = slice_set(whole, slices.patient_id)
    assert misfit(slipped(whole, TURNS[name]), symmetric) is None


def first_rows(slices: SliceSet, rows: int) -> Masks:
    """The first rows of each square of `squares`, mirrored: Dice 0, and 2r / (r + 10) undone."""
    masks = {}
    for i, (number, truth) in enumerate(truths_of(slices).items()):
        masks[number] = truth[:, ::-1].copy()
        masks[number][5 + i + rows :] = False
    return masks


@pytest.mark.parametrize(
    ("n", "known", "rows"),
    [
        (2, True, 9),  # 1 patient: 0.2 + 0.7 = 0.9, between 16/18 and 18/19
        (4, True, 6),  # 2: 0.695, between 10/15 and 12/16
        (8, True, 4),  # 4: 0.55, between 6/13 and 8/14
        (8, False, 3),  # 8 slices of unknown patients: 0.447, between 4/12 and 6/13
    ],
)
def test_fewer_patients_must_fit_better(n: int, known: bool, rows: int) -> None:
    slices = squares(n)
    if not known:
        slices = replace(slices, patient_id=(None,) * n)
    assert misfit(first_rows(slices, rows - 1), slices) is None
    found = misfit(first_rows(slices, rows), slices)
    assert found is not None
    assert str(found) == (
        f"the masks seem to be mirrored: mean Dice over the {n} slices with a tumour is 0.000 as "
        f"they are, and {2 * rows / (rows + 10):.3f} with that undone"
    )


def test_slices_without_a_tumour_do_not_count_and_missed_ones_do() -> None:
    slices = squares(8)
    masks = first_rows(slices, 10)
    blank = replace(slices, masks=slices.masks & (np.arange(8) < 4)[:, None, None])
    found = misfit(masks, blank)
    assert found is not None
    assert (found.slices, found.undone) == (4, 1)
    half = {number: mask & (number < 5) for number, mask in masks.items()}
    assert misfit(half, slices) is None  # 0.5, where 4 patients need 0.55


def test_masks_that_are_poor_whichever_way_are_not_told() -> None:
    slices = small_set()
    truths = truths_of(slices)
    empty, full = (slipped(truths, make) for make in (np.zeros_like, np.ones_like))
    no_tumour = replace(slices, masks=np.zeros_like(slices.masks))
    assert [misfit(poor, slices) for poor in (empty, full, {})] == [None] * 3
    assert [misfit(masks, no_tumour) for masks in (truths, empty, full)] == [None] * 3


def test_slices_that_are_not_square_are_mirrored_and_not_transposed() -> None:
    slices = squares()
    wide = replace(slices, masks=slices.masks[:, :32])
    found = misfit(slipped(truths_of(wide), np.fliplr), wide)
    assert found is not None
    assert "mirrored" in str(found)


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("transposed", UPRIGHT_CURE),
        ("inverted", INVERTED_CURE),
        ("mirrored and inverted", f"{UPRIGHT_CURE}; {INVERTED_CURE}"),
    ],
)
def test_the_cure_is_of_the_slip(name: str, cure: str) -> None:
    slices = squares()
    found = misfit(slipped(truths_of(slices), SLIPS[name]), slices)
    assert found is not None
    assert found.cure == cure


def test_masks_equal_to_the_truth_are_counted_where_there_is_a_tumour() -> None:
    slices = squares(4)
    slices = replace(slices, masks=slices.masks & (np.arange(4) > 0)[:, None, None])
    truths = truths_of(slices)
    assert equal_to_truth(truths, slices) == (3, 3)
    near = truths | {2: truths[2].copy()}
    near[2][0, 0] = True
    assert equal_to_truth(near, slices) == (2, 3)


@cache
def shipped_masks(begin: str) -> Masks:
    """The masks of a shipped run, every fourth row and column."""
    (folder,) = reproduction_folder().glob(f"{begin}*")
    masks = unpack_masks(folder / PREDICTIONS)
    return {number: mask[::4, ::4] for number, mask in masks.items()}


@cache
def stand_in() -> SliceSet:
    """The masks of the thesis's best cell in the place of the truth, which is not shipped."""
    masks = shipped_masks("unet_alpha0.5_kernel-size5_by-image-1_512_fp32_s452669")
    patients = {int(row["slice"]): row["patient_id"] for row in cheng_rows()}
    return slice_set(masks, tuple(patients[number] for number in masks))


TOOLS = [
    "threshold_*by-image-1_",
    "otsu_*by-image-1_",
    "region-growing_*by-image-1_",
    "click-region-growing_*by-image-1_",
    "unet_alpha0.1_kernel-size3_by-image-1_256_fp32_s452669",
    "unet_alpha0.9_kernel-size3_by-image-1_256_fp32_s452669",
]


@pytest.mark.parametrize("tool", TOOLS)
def test_shipped_runs_are_not_told_and_every_slip_of_them_is(tool: str) -> None:
    """From the worst, with a third of this stand-in's Dice; held against the truth, which is not
    shipped, all 57 were tried by hand: none was told, and each slip of the 56 that find something.
    """
    masks, slices = shipped_masks(tool), stand_in()
    assert misfit(masks, slices) is None
    for name, slip in SLIPS.items():
        assert f"to be {name}:" in str(misfit(slipped(masks, slip), slices))


def test_a_shipped_run_that_finds_nothing_is_not_told() -> None:
    masks = shipped_masks("background_*by-image-1_")
    assert misfit(masks, stand_in()) is None
    assert misfit(slipped(masks, np.logical_not), stand_in()) is None


@pytest.mark.parametrize("patients", [1, 2, 3, 5, 20])
def test_masks_of_other_patients_fit_no_turn_by_chance(patients: int) -> None:
    """A tool that is always wrong: tumours as large as real ones, at places of real ones."""
    slices, rng = stand_in(), np.random.default_rng(patients)
    truths, patient_of = truths_of(slices), slices.patient_of
    everyone = sorted({str(patient) for patient in slices.patient_id})
    numbers = {p: [n for n in truths if patient_of[n] == p] for p in everyone}
    for _ in range(60):
        asked = rng.permutation(everyone)[:patients]
        shifted = dict(
            zip(everyone, np.roll(everyone, rng.integers(1, len(everyone))), strict=True)
        )
        masks = {
            number: truths[other]
            for patient in asked
            for number, other in zip(
                numbers[patient], itertools.cycle(numbers[shifted[patient]]), strict=False
            )
        }
        assert misfit(masks, slices) is None
