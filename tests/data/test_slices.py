"""The rules that slices of every form obey, and what a set of them is told apart by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_forms import refused, small_set, write_index, write_pairs
from PIL import Image

from benchmark.data import load
from benchmark.data.slices import gather, iterate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pairs(small_set(), tmp_path / "set")


def save(array: np.ndarray, path: Path) -> None:
    Image.fromarray(array).save(path)


def test_a_mask_of_more_than_two_values_is_refused(folder: Path) -> None:
    mask = np.asarray(Image.open(folder / "masks" / "2.png")).copy()
    mask[0, :3] = [7, 9, 255]
    save(mask, folder / "masks" / "2.png")
    refused(folder, "2.png", "4 values (0, 7, 9, 255)", "PNG")


def test_a_mask_of_another_size_than_its_image_is_refused(folder: Path) -> None:
    save(np.full((96, 64), 255, np.uint8), folder / "masks" / "2.png")
    refused(folder, "2.png", "64x96", "96x64")


def test_empty_mask_only_where_allowed(folder: Path) -> None:
    save(np.zeros((64, 96), np.uint8), folder / "masks" / "2.png")
    refused(folder, "2.png", "empty", "--allow-empty-masks")
    back = load(folder, allow_empty_masks=True)
    assert back.masks.any(axis=(1, 2)).tolist() == [False, True, True]


def test_an_image_of_floats_is_refused(folder: Path) -> None:
    (folder / "images" / "2.png").unlink()
    save(np.zeros((64, 96), np.float32), folder / "images" / "2.tif")
    refused(folder, "2.tif", "float32", "uint8, int16, uint16")


def test_an_unknown_label_is_refused_and_the_known_ones_are_listed(folder: Path) -> None:
    write_index(replace(small_set(), label=np.array([1, 4, 1])), folder)
    refused(folder, "5.png", "label 4", "2 (glioma)")


def test_other_sizes_matter_only_among_the_chosen_labels(folder: Path) -> None:
    """The full archive has fifteen smaller pituitary slices; the meningiomas load all the same."""
    save(np.eye(32, dtype=np.uint8), folder / "images" / "5.png")
    save(np.full((32, 32), 1, np.uint8), folder / "masks" / "5.png")
    write_index(replace(small_set(), label=np.array([1, 3, 1])), folder)
    assert load(folder).slice_id.tolist() == [2, 8]
    refused(folder, "5.png", "32x32", "64x96", "labels", labels=(1, 3))
    refused(folder, "32x32", "multiples of 32", labels=(3,))
    refused(folder, "no slice with label [2]", labels=(2,))


@pytest.mark.parametrize("side", [32, 80, 65])
def test_sides_that_the_network_cannot_halve(tmp_path: Path, side: int) -> None:
    slices = small_set(1, shape=(128, 128))
    short = replace(slices, images=slices.images[:, :side], masks=slices.masks[:, :side])
    refused(write_pairs(short, tmp_path / "set"), "2.png", f"{side}x128", "multiples of 32", "pad")


def test_the_fingerprint_is_of_pixels_masks_numbers_and_spacing_and_of_nothing_else() -> None:
    """A run on the same slices with pixels said to be larger is another: its distances are."""
    slices = small_set(dtype="int16")
    image, mask = slices.images.copy(), slices.masks.copy()
    image[2, 63, 95] += 1
    mask[2, 63, 95] = True
    fed = {
        "as it is": slices,
        "a pixel": replace(slices, images=image),
        "the type of pixels": replace(slices, images=slices.images.astype(np.uint16)),  # same bytes
        "a pixel of a mask": replace(slices, masks=mask),
        "a number": replace(slices, slice_id=np.array([2, 5, 9])),
        "the height of pixels": replace(slices, spacing_mm=(0.5, 0.49)),
        "their width": replace(slices, spacing_mm=(0.49, 0.5)),
        "their orientation": replace(slices, spacing_mm=(0.5, 0.4)),
        "turned": replace(slices, spacing_mm=(0.4, 0.5)),
        "a micrometre": replace(slices, spacing_mm=(0.491, 0.49)),
    }
    assert len({changed.fingerprint for changed in fed.values()}) == len(fed)
    described = {"label": np.array([1, 2, 3]), "patient_id": (None,) * 3, "note": "read"}
    assert replace(slices, phantom=True, **described).fingerprint == slices.fingerprint


def test_gather_stacks_by_slice_number() -> None:
    slices = small_set()
    assert gather(reversed(list(iterate(slices)))).fingerprint == slices.fingerprint


def test_slices_know_their_rows_their_patients_and_the_area_of_a_pixel() -> None:
    slices = replace(small_set(), spacing_mm=(0.5, 0.3))
    assert slices.row_of == {2: 0, 5: 1, 8: 2}
    assert slices.patient_of == {2: "MR000A", 5: "MR000A", 8: "MR001A"}
    assert slices.pixel_mm2 == pytest.approx(0.15)
