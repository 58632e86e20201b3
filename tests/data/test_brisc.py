"""A second reading: from BRISC's files, or masks named N_V.png, to masks on Cheng's grid."""

from __future__ import annotations

from collections import defaultdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_forms import damaged, in_one_folder, one_line, small_set, write_pairs, write_zip
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from benchmark.data import brisc, form
from benchmark.data.brisc import Masks, Picture, brisc_table, chosen, differing, looks_like, read
from benchmark.data.registry import cheng_registry
from benchmark.data.slices import MENINGIOMA
from benchmark.errors import BenchmarkError, DataError, UnsafeDataError

SHAPE = (48, 64)
KEYS = [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (111, 0)]


def png(levels: NDArray[Any]) -> bytes:
    stream = BytesIO()
    Image.fromarray(levels).save(stream, "PNG")
    return stream.getvalue()


def drawn(key: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask without symmetry, another for each key."""
    return np.random.default_rng(key).random(SHAPE) > 0.7


def as_brisc(key: tuple[int, int], *, scale: int = 1) -> NDArray[np.uint8]:
    """The picture of which a mask of Cheng's grid comes: mirrored, enlarged, with a grey fringe."""
    picture = np.kron(drawn(key), np.ones((scale, scale), np.uint8))
    fringe = np.random.default_rng((*key, 1)).integers(0, 8, picture.shape, dtype=np.uint8)
    levels = np.where(picture > 0, 255 - fringe, fringe).astype(np.uint8)
    return levels[:, ::-1] if brisc_table()[key].mirrored else levels


def files_of_brisc(top: str = "", *, scale: int = 1) -> dict[str, bytes]:
    """BRISC as it is published, with a glioma and what else lies in it."""
    files = {f"{top}manifest.csv": b"filename\n", f"{top}README.md": b"BRISC"}
    for key in KEYS:
        name = brisc_table()[key].name
        task = f"{top}segmentation_task/{name.split('_')[1]}"
        files[f"{task}/masks/{name}.png"] = png(as_brisc(key, scale=scale))
        files[f"{task}/images/{name}.jpg"] = b"a picture"
        files[f"{top}classification_task/train/meningioma/{name}.jpg"] = b"a picture"
    glioma = f"{top}segmentation_task/train/masks/brisc2025_train_00001_gl_ax_t1.png"
    return files | {glioma: png(as_brisc((1, 0)))}


def on_grid(keys: list[tuple[int, int]], top: str = "") -> dict[str, bytes]:
    return {f"{top}{n}_{v}.png": png(drawn((n, v)).astype(np.uint8) * 255) for n, v in keys}


def laid(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def assert_as_drawn(masks: Masks, keys: list[tuple[int, int]]) -> None:
    assert list(masks) == sorted(keys)
    for key, mask in masks.items():
        assert mask.dtype == bool
        assert np.array_equal(mask, drawn(key))


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("top", ["", "brisc2025/", "archive/brisc 2025/"])
def test_brisc_leads_to_the_masks_on_the_grid_at_any_level_and_size(
    tmp_path: Path, top: str, scale: int
) -> None:
    folder = laid(tmp_path / "folder", files_of_brisc(top, scale=scale))
    assert looks_like(folder)
    assert_as_drawn(read(folder, SHAPE), KEYS)
    assert_as_drawn(read(folder / top / "segmentation_task", SHAPE), KEYS)


def test_a_zip_reads_as_its_folder_and_what_a_mac_adds_is_passed_over(tmp_path: Path) -> None:
    hidden = {"__MACOSX/brisc2025/._x.png": b"no picture", "brisc2025/.thumb.png": b"no picture"}
    archive = write_zip(tmp_path / "any.zip", files_of_brisc("brisc2025/") | hidden)
    assert looks_like(archive)
    assert_as_drawn(read(archive, SHAPE), KEYS)


@pytest.mark.parametrize("top", ["", "masks/"])
def test_masks_on_the_grid_are_read_as_they_are(tmp_path: Path, top: str) -> None:
    keys = [(7, 0), (7, 2), (12, 1)]  # never mirrored, whatever the table says of such slices
    for path in (laid(tmp_path / "m", on_grid(keys, top)), tmp_path / "m.zip"):
        if not path.exists():
            write_zip(path, on_grid(keys, top))
        assert looks_like(path)
        assert_as_drawn(read(path, SHAPE), keys)


def test_the_lowest_variant_that_is_there_counts() -> None:
    masks = {key: drawn(key) for key in [(2, 2), (2, 1), (1, 0), (1, 1)]}
    found = chosen(masks)
    assert list(found) == [1, 2]
    assert found[1] is masks[1, 0]
    assert found[2] is masks[2, 1]


@pytest.mark.parametrize(
    ("levels", "marked"),
    [
        ([0, 7, 127, 128, 248, 255], [False, False, False, True, True, True]),
        ([0, 1, 1, 0, 0, 0], [False, True, True, False, False, False]),
        ([0] * 6, [False] * 6),
    ],
)
def test_what_is_above_half_of_the_scale_is_tumour(
    tmp_path: Path, levels: list[int], marked: list[bool]
) -> None:
    """127 of 255; a mask of 0 and 1 has a scale of its own; an empty mask is one."""
    picture = brisc_table()[3, 0]
    folder = laid(tmp_path / "m", {f"{picture.name}.png": png(np.array([levels], np.uint8))})
    (row,) = read(folder, (1, 6))[3, 0].tolist()
    assert (row[::-1] if picture.mirrored else row) == marked


@pytest.mark.parametrize("top", [1, 2, 100, 255])
def test_on_the_grid_what_is_not_0_is_tumour_whatever_the_value(tmp_path: Path, top: int) -> None:
    folder = laid(tmp_path / "m", {"3_0.png": png(np.array([[0, top, 0]], np.uint8))})
    assert read(folder, (1, 3))[3, 0].tolist() == [[False, True, False]]


def test_levels_that_no_rule_reads_are_one_error_and_never_an_empty_mask(tmp_path: Path) -> None:
    several = laid(tmp_path / "grid", {"3_0.png": png(np.array([[0, 100, 255]], np.uint8))})
    with one_line(DataError, "3_0.png", "3 values", "threshold"):
        read(several, (1, 3))
    name = f"{brisc_table()[3, 0].name}.png"
    dim = laid(tmp_path / "dim", {name: png(np.array([[0, 2, 100]], np.uint8))})
    with one_line(DataError, name, "100", "above 127"):
        read(dim, (1, 3))


@given(data=st.data())
def test_a_resized_mask_takes_the_middle_of_each_pixel(data: st.DataObject) -> None:
    """Enlarged k times each pixel is there k times k; of an odd k to one the middle one is taken;
    a mirrored picture gives the mirror image.
    """
    key = data.draw(st.tuples(st.integers(1, 99), st.just(0)))
    (h, w), k = SHAPE, data.draw(st.sampled_from([1, 3, 5]))
    mask, plain = drawn(key), Picture("a", False, "")
    large = np.kron(mask, np.ones((k, k), dtype=bool))
    assert np.array_equal(brisc.on_grid_of(mask, (h * k, w * k), plain), large)
    noisy = np.random.default_rng(key).random((h * k, w * k)) > 0.5
    small = brisc.on_grid_of(noisy, SHAPE, plain)
    assert np.array_equal(small, noisy[k // 2 :: k, k // 2 :: k])
    mirrored = brisc.on_grid_of(noisy[:, ::-1], SHAPE, Picture("a", True, ""))
    assert np.array_equal(mirrored, small)


def test_a_mask_on_the_grid_has_its_size(tmp_path: Path) -> None:
    folder = laid(tmp_path / "m", on_grid([(7, 0)]))
    with one_line(DataError, "7_0.png", "the mask is 48x64", "the slices are 64x64"):
        read(folder, (64, 64))


def test_a_mask_that_is_there_twice_and_none_at_all(tmp_path: Path) -> None:
    twice = files_of_brisc("a/") | files_of_brisc("b/")
    with one_line(DataError, "of slice 1 is there twice (also a/", "remove one"):
        read(laid(tmp_path / "two", twice), SHAPE)
    gliomas = {name: data for name, data in files_of_brisc().items() if "_gl_" in name}
    with one_line(DataError, "none of the 1315 masks of BRISC", "segmentation_task"):
        read(laid(tmp_path / "none", gliomas), SHAPE)


@pytest.mark.parametrize(
    "names",
    [
        ["1.png", "2.png"],  # a tool's
        ["1_0000.png", "2_0000.png"],  # nnU-Net's images
        ["1_0.png", "2.png"],
        ["1_0.tif"],
        ["0_0.png"],
        [],
    ],
)
def test_other_masks_are_no_second_reading(tmp_path: Path, names: list[str]) -> None:
    assert not looks_like(laid(tmp_path / "m", dict.fromkeys(names, b"")))
    assert not looks_like(tmp_path / "nothing")


@given(data=st.data())
@settings(in_one_folder, max_examples=25)
def test_damage_is_one_clear_error_or_a_mask(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "m" / "1_0.png"
    laid(path.parent, {path.name: data.draw(damaged(png(as_brisc((1, 0)))))})
    try:
        masks = read(path.parent, SHAPE)
    except BenchmarkError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert (masks[1, 0].dtype, masks[1, 0].shape) == (np.dtype(bool), SHAPE)


def test_a_member_that_unpacks_to_far_too_much_is_not_read(tmp_path: Path) -> None:
    bomb = write_zip(tmp_path / "m.zip", {"1_0.png": bytes(brisc.MAX_MASK_BYTES + 1)})
    with one_line(UnsafeDataError, "m.zip:1_0.png: unpacks to", "not read"):
        read(bomb, SHAPE)


def test_a_second_reading_is_no_source_of_slices(tmp_path: Path) -> None:
    folder = laid(tmp_path / "brisc", files_of_brisc())
    with one_line(DataError, "a second reading of Cheng's slices", "`score`"):
        form(folder)
    assert form(write_pairs(small_set(), tmp_path / "set")) == "pairs"


def test_a_mask_of_another_threshold_or_release_is_told_from_those_of_the_table() -> None:
    assert differing({(1, 0): drawn((1, 0)), (9, 0): drawn((9, 0))}) == [(1, 0), (9, 0)]


def test_the_table_leads_from_1315_pictures_to_683_meningiomas() -> None:
    """Variants are numbered from 0 in the order of BRISC's files, train before test."""
    by_slice = defaultdict(list)
    for (number, variant), picture in brisc_table().items():
        assert variant == len(by_slice[number])
        assert brisc.OF_BRISC.fullmatch(picture.name)
        assert len(picture.mask_sha256) == 64
        by_slice[number].append(picture)
    meningiomas = {s.slice_id for s in cheng_registry().values() if s.label == MENINGIOMA}
    assert len(by_slice) == 683
    assert set(by_slice) <= meningiomas
    assert [sum(len(p) == n for p in by_slice.values()) for n in (1, 2, 3)] == [64, 606, 13]
    names = [picture.name for picture in brisc_table().values()]
    assert len(set(names)) == len(names) == 1315
    for pictures in by_slice.values():
        order = [("_train_" not in p.name, p.name) for p in pictures]
        assert order == sorted(order)
    assert sum(picture.mirrored for picture in brisc_table().values()) == 674
