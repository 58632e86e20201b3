"""The Kaggle copy: three arrays without slice numbers or patients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_forms import objects, refused, registry_of, small_set, write_kaggle
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data import kaggle, load
from benchmark.data.registry import identify
from benchmark.data.slices import gather

SLICES = small_set(5, dtype="int16")


def written(tmp_path: Path, **arrays: Any) -> Path:
    """The copy of SLICES, some arrays replaced."""
    folder = write_kaggle(SLICES, tmp_path / "set")
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=True)
    return folder


@pytest.mark.parametrize("pickled", [True, False])
@given(order=st.permutations(range(5)))
@settings(max_examples=8, deadline=None)
def test_a_shuffled_triple_loads_to_the_same_slices(
    tmp_path_factory: pytest.TempPathFactory, pickled: bool, order: list[int]
) -> None:
    """Law: "a shuffled Kaggle triple loads to the same SliceSet", if its slices are registered."""
    folder = tmp_path_factory.mktemp("kaggle") / "set"
    raw = kaggle.read(write_kaggle(SLICES, folder, order=order, pickled=pickled))
    back = gather(identify(raw, registry_of(SLICES)))
    assert (back.dataset_id, back.fingerprint) == (SLICES.dataset_id, SLICES.fingerprint)
    assert back.patient_id == SLICES.patient_id


def test_unknown_slices_get_numbers_that_do_not_depend_on_the_order(tmp_path: Path) -> None:
    back = load(write_kaggle(SLICES, tmp_path / "a"))
    shuffled = load(write_kaggle(SLICES, tmp_path / "b", order=[3, 1, 4, 0, 2]))
    assert back.fingerprint == shuffled.fingerprint
    assert set(back.patient_id) == {None}


def test_unknown_slices_are_told_apart_by_image_mask_and_sides(tmp_path: Path) -> None:
    """Two slices of one patient can share an image or a mask; each has a number of its own."""
    image, mask = SLICES.images[0], SLICES.masks[0]
    turned = image.reshape(96, 64), mask.reshape(96, 64)  # the same bytes
    others = (SLICES.images[1], mask), (image, SLICES.masks[1]), (turned[0], mask), turned
    images, masks = zip((image, mask), *others, strict=True)
    folder = written(tmp_path, images=objects(images), masks=objects(masks))
    numbers = [raw.slice_id for raw in kaggle.read(folder)]
    assert len(set(numbers)) == 5
    assert min(numbers) >= kaggle.FIRST_UNKNOWN


def test_ragged_rows_load_where_only_the_even_ones_are_chosen(tmp_path: Path) -> None:
    """images.npy is ragged "because of the 256x256 ones"; they are all pituitary."""
    images, masks = list(SLICES.images), list(SLICES.masks)
    images[1], masks[1] = images[1][:32, :32], masks[1][:32, :32]
    labels = np.array([1, 3, 1, 1, 1])
    folder = written(tmp_path, images=objects(images), masks=objects(masks), labels=labels)
    assert len(load(folder)) == 4
    refused(folder, "row", "32x32", labels=None)


SINGLE = [np.array(1), np.array([1]), np.array([[1.0]]), np.array(1, np.uint8), np.array(1, ">i4")]


@pytest.mark.parametrize(
    "labels",
    [np.array([1] * 5, dtype=object), np.array([np.int64(1)] * 5, dtype=object), objects(SINGLE),
     np.ones((5, 1), np.uint8), np.ones(5)],
)  # fmt: skip
def test_labels_of_any_plain_kind(tmp_path: Path, labels: Any) -> None:
    assert len(load(written(tmp_path, labels=labels))) == 5


@pytest.mark.parametrize("name", kaggle.NAMES)
def test_a_missing_file_of_the_three_is_named(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path)
    (folder / name).unlink()
    refused(folder, name, "not there", "side by side")


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("labels", np.ones(4), "images.npy 5, masks.npy 5, labels.npy 4"),
        ("labels", np.array([1, 1, 9, 1, 1]), "label 9 is unknown"),
        ("labels", np.array([1, 1, 1.5, 1, 1]), "row 2: label"),
        ("labels", np.array([1, 1, np.nan, 1, 1]), "row 2: label"),
        ("labels", np.array(["a"] * 5), "not numbers"),
        ("masks", objects([*list(SLICES.masks[:4]), SLICES.masks[4] * 0]), "row 4: mask is empty"),
        ("masks", objects([m * np.arange(96) for m in SLICES.masks]), "row 0: mask holds"),
        ("masks", SLICES.masks.astype(np.float32), "mask dtype float32"),
        ("masks", SLICES.masks[:, :32], "64x96 but its mask is 32x96"),
        ("images", SLICES.images.astype(float), "image dtype float64"),
        ("images", SLICES.images[..., None], "row 0: shape (64, 96, 1)"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path: Path, name: str, array: Any, words: str) -> None:
    refused(written(tmp_path, **{name: array}), words)


def test_the_same_row_twice_is_refused(tmp_path: Path) -> None:
    folder = write_kaggle(SLICES, tmp_path / "set", order=[0, 1, 1])
    refused(folder, "row 2", "there twice", "row 1")
