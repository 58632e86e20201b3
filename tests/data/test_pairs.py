"""Image pairs, the rules that every form obeys, and how a form is recognised."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench_forms import ROOT, finish, process
from data_forms import (
    WRITERS,
    damaged,
    loads_or_refuses,
    refused,
    small_set,
    stretched,
    write_index,
    write_pairs,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmark.data import FORMS, authors_folds, form, load
from benchmark.data.slices import gather, iterate
from benchmark.errors import UnsafeDataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pairs(small_set(), tmp_path / "set")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_pairs_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    slices = small_set()
    back = load(write_pairs(slices, tmp_path / "set", suffix=suffix))
    assert back.fingerprint == slices.fingerprint
    assert back.patient_id == slices.patient_id
    assert back.label.tolist() == [1, 1, 1]


@given(dtype=st.sampled_from(["uint8", "int16"]), n=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=6, deadline=None)
def test_one_dataset_id_for_every_form(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, n: int, seed: int
) -> None:
    """Law: "dataset_id [is] the same for every file form of the same slices"; int16 and 8-bit are
    one dataset.
    """
    slices = small_set(n, seed=seed, dtype=dtype)
    root = tmp_path_factory.mktemp("forms")
    for name, write in WRITERS.items():
        if name == "kaggle":  # has no slice numbers; see test_data_kaggle
            continue
        fitting = stretched(slices) if name == "pairs" and dtype == "int16" else slices
        back = load(write(fitting, root / name))
        assert back.dataset_id == slices.dataset_id, name
        assert back.images.dtype == fitting.images.dtype, name
        assert (back.fingerprint == slices.fingerprint) == (fitting is slices), name


@pytest.mark.parametrize(
    ("name", "expected"), [*((n, n) for n in FORMS if n != "figshare"), ("mats", "figshare")]
)
def test_every_form_is_recognised(tmp_path: Path, name: str, expected: str) -> None:
    assert form(WRITERS[name](small_set(1), tmp_path / "set")) == expected


def test_without_index_all_are_meningiomas_of_unknown_patients(tmp_path: Path) -> None:
    back = load(write_pairs(small_set(), tmp_path / "set", index=False))
    assert back.patient_id == (None, None, None)
    assert set(back.label) == {1}


def test_a_path_that_is_not_there_is_refused_and_the_words_are_listed(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "nowhere", "not there", "figshare", "phantoms")


def test_unknown_form_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    refused(tmp_path, "images.npy", "N.mat", "images/N.png", "images/N.nii.gz")
    refused(tmp_path / "notes.txt", "no known form")


def test_two_forms_in_one_folder_are_refused(tmp_path: Path) -> None:
    folder = write_pairs(small_set(1), tmp_path / "set")
    (folder / "2.mat").write_bytes(b"")
    refused(folder, "pairs", "figshare", "keep one")


@pytest.mark.parametrize(("lone", "missing"), [("masks", "mask"), ("images", "image")])
def test_an_image_without_its_mask_is_refused_and_a_mask_without_its_image(
    folder: Path, lone: str, missing: str
) -> None:
    (folder / lone / "5.png").unlink()
    refused(folder, "5.png", f"no {missing}", f"{missing}s/5.png")


def test_a_mask_of_more_than_two_values_is_refused(folder: Path) -> None:
    mask = np.asarray(Image.open(folder / "masks" / "2.png")).copy()
    mask[0, :3] = [7, 9, 255]
    Image.fromarray(mask).save(folder / "masks" / "2.png")
    refused(folder, "2.png", "4 values (0, 7, 9, 255)", "PNG")


def test_a_mask_of_another_size_than_its_image_is_refused(folder: Path) -> None:
    Image.fromarray(np.full((96, 64), 255, np.uint8)).save(folder / "masks" / "2.png")
    refused(folder, "2.png", "64x96", "96x64")


def test_empty_mask_only_where_allowed(folder: Path) -> None:
    Image.fromarray(np.zeros((64, 96), np.uint8)).save(folder / "masks" / "2.png")
    refused(folder, "2.png", "empty", "--allow-empty-masks")
    back = load(folder, allow_empty_masks=True)
    assert [bool(mask.any()) for mask in back.masks] == [False, True, True]


def test_an_image_of_floats_is_refused(folder: Path) -> None:
    (folder / "images" / "2.png").unlink()
    Image.fromarray(np.zeros((64, 96), np.float32)).save(folder / "images" / "2.tif")
    refused(folder, "2.tif", "float32", "uint8, int16, uint16")


def test_pictures_of_sixteen_bits_keep_every_value(folder: Path) -> None:
    deep = np.arange(64 * 96, dtype=np.uint16).reshape(64, 96) * 10
    for number in (2, 5, 8):
        Image.fromarray(deep).save(folder / "images" / f"{number}.png")
    back = load(folder)
    assert back.images.dtype == np.uint16
    assert (back.images[0] == deep).all()


def test_an_unknown_label_is_refused_and_the_known_ones_are_listed(folder: Path) -> None:
    write_index(replace(small_set(), label=np.array([1, 4, 1])), folder)
    refused(folder, "5.png", "label 4", "2 (glioma)")


def test_two_files_of_one_slice_number_are_refused(folder: Path) -> None:
    (folder / "images" / "05.png").write_bytes((folder / "images" / "5.png").read_bytes())
    refused(folder, "slice 5 is there twice", "05.png", "remove")


@pytest.mark.parametrize("name", ["five.png", "-5.png", "5.5.png", "٣.png", "9" * 40 + ".png"])
def test_name_that_is_no_slice_number(folder: Path, name: str) -> None:
    (folder / "images" / name).write_bytes(b"")
    refused(folder, name, "slice number")


def test_other_sizes_matter_only_among_the_chosen_labels(tmp_path: Path) -> None:
    """The full archive has fifteen smaller pituitary slices; the meningiomas load all the same."""
    folder = write_pairs(small_set(), tmp_path / "set")
    Image.fromarray(np.eye(32, dtype=np.uint8)).save(folder / "images" / "5.png")
    Image.fromarray(np.full((32, 32), 1, np.uint8)).save(folder / "masks" / "5.png")
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


def test_colour_is_refused_and_equal_channels_are_grey(folder: Path) -> None:
    path = folder / "images" / "2.png"
    grey = np.asarray(Image.open(path))
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(path)
    assert load(folder).fingerprint == small_set().fingerprint
    Image.fromarray(np.stack([grey, grey, grey // 2], axis=-1)).save(path)
    refused(folder, "2.png", "colour")


def test_header_that_promises_too_much(folder: Path) -> None:
    data = bytearray((folder / "images" / "2.png").read_bytes())
    data[16:20] = (6000).to_bytes(4, "big")  # IHDR width, then height; its checksum follows
    data[20:24] = (6000).to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (folder / "images" / "2.png").write_bytes(data)
    with pytest.raises(UnsafeDataError, match="6000x6000"):
        load(folder)


def test_only_the_named_formats_are_opened(folder: Path) -> None:
    """Pillow goes by content: an EPS named .png would start Ghostscript."""
    (folder / "images" / "2.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n"
    )
    refused(folder, "2.png", "cannot be read")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_a_picture_is_read_only_where_its_orientation_tag_leaves_it_upright(
    folder: Path, suffix: str
) -> None:
    """Of EXIF's eight orientations the first is upright; 0 is written where none is known, 2 to 8
    mirror or turn.
    """
    grey = Image.fromarray(small_set().images[0])
    (folder / "images" / "2.png").unlink()
    for turn in range(9):
        exif = Image.Exif()
        exif[274] = turn
        tag = {"tiffinfo": {274: turn}} if suffix == ".tif" else {"exif": exif}
        grey.save(folder / "images" / f"2{suffix}", lossless=True, **tag)
        if turn < 2:
            assert load(folder).fingerprint == small_set().fingerprint
        else:
            refused(folder, f"2{suffix}", f"orientation tag ({turn}) turns it", "upright")


def test_a_picture_whose_least_value_is_white_is_refused(folder: Path) -> None:
    """Of 16 bits: those of 8 Pillow itself turns round."""
    deep = Image.fromarray(np.arange(64 * 96, dtype=np.uint16).reshape(64, 96))
    (folder / "images" / "2.png").unlink()
    deep.save(folder / "images" / "2.tif", tiffinfo={262: 0})
    refused(folder, "2.tif", "least value is white")


def test_several_pictures_in_one_file(folder: Path) -> None:
    grey = Image.fromarray(np.zeros((64, 96), np.uint8))
    (folder / "images" / "2.png").unlink()
    grey.save(folder / "images" / "2.tif", save_all=True, append_images=[grey])
    refused(folder, "2.tif", "several pictures")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("number,label\n2,1\n", "no column 'slice'"),
        ("slice,label\n2,1\n2,1\n", "line 3: slice 2 is listed twice"),
        ("slice,label\n2,meningioma\n", "line 2: label 'meningioma' must be a whole number"),
        ("slice,label\n2,1\n5,1\n", "slice 8 is not listed"),
        ("label,slice\n1\n", "line 2: slice '' must be"),
        ("slice,label\n2,\xff\n", "UTF-8"),
    ],
)
def test_an_index_that_breaks_a_rule_is_told_by_its_line(
    folder: Path, text: str, words: str
) -> None:
    (folder / "index.csv").write_bytes(text.encode("latin-1"))
    refused(folder, "index.csv", words)


def test_index_saved_by_a_spreadsheet(folder: Path) -> None:
    (folder / "index.csv").write_text(
        "slice;x\n".replace(";", ",") + "2,\r\n5,\r\n8,\r\n", encoding="utf-8-sig"
    )
    assert len(load(folder)) == 3


def test_a_stated_spacing_takes_the_place_of_the_usual_one(folder: Path) -> None:
    assert load(folder).spacing_mm == (0.49, 0.49)
    assert load(folder, spacing_mm=(0.5, 0.6)).spacing_mm == (0.5, 0.6)
    refused(folder, "pixel spacing", "from 0.01 to 100", spacing_mm=(0.5, float("nan")))


def test_the_word_phantoms_loads_drawn_slices() -> None:
    phantoms = load("phantoms", spacing_mm=(1.0, 2.0))
    assert phantoms.phantom
    assert phantoms.spacing_mm == (1.0, 2.0)


def test_no_authors_folds_beside_pairs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "cvind.mat").write_bytes(b"of something else: neither word below is a path")
    monkeypatch.setattr("benchmark.data.download.cache_folder", lambda: folder / "cache")
    (folder / "cache").mkdir()
    assert authors_folds("figshare") is None
    assert authors_folds("phantoms") is None
    assert authors_folds(folder / "images") is None


def test_importing_the_package_is_light() -> None:
    heavy = "torch h5py nibabel pooch PIL requests scipy pandas rich"
    code = f"import sys, benchmark.data; print([m for m in {heavy.split()!r} if m in sys.modules])"
    assert finish(process(["-c", code], ROOT)) == (0, "[]\n", "")


def test_the_fingerprint_is_of_pixels_masks_numbers_and_spacing_and_of_nothing_else() -> None:
    """So a run on the same slices with pixels said to be larger is another run: its distances are
    others.
    """
    slices = small_set(dtype="int16")
    image, mask = slices.images.copy(), slices.masks.copy()
    image[2, 63, 95] += 1
    mask[2, 63, 95] = True
    fed = {
        "as it is": slices,
        "a pixel": replace(slices, images=image),
        "the type of pixels": replace(
            slices, images=slices.images.astype(np.uint16)
        ),  # the same bytes
        "a pixel of a mask": replace(slices, masks=mask),
        "a number": replace(slices, slice_id=np.array([2, 5, 9])),
        "the height of pixels": replace(slices, spacing_mm=(0.5, 0.49)),
        "their width": replace(slices, spacing_mm=(0.49, 0.5)),
        "their orientation": replace(slices, spacing_mm=(0.5, 0.4)),
        "turned": replace(slices, spacing_mm=(0.4, 0.5)),
        "a micrometre": replace(slices, spacing_mm=(0.491, 0.49)),
    }
    assert len({one.fingerprint for one in fed.values()}) == len(fed)
    described = replace(
        slices, label=np.array([1, 2, 3]), patient_id=(None,) * 3, note="read", phantom=True
    )
    assert described.fingerprint == slices.fingerprint


def test_gather_stacks_by_slice_number() -> None:
    slices = small_set()
    assert gather(reversed(list(iterate(slices)))).fingerprint == slices.fingerprint


@pytest.mark.parametrize("name", ["images/2.png", "images/2.webp", "images/2.tif", "index.csv"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of a damaged TIFF
@given(data=st.data())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_files_give_one_clear_error_or_valid_slices(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    folder = tmp_path / "set"
    if not folder.exists():
        write_pairs(
            small_set(1, shape=(64, 64)), folder, suffix=Path(name).suffix.replace(".csv", ".png")
        )
        (tmp_path / "whole").write_bytes((folder / name).read_bytes())
    (folder / name).write_bytes(data.draw(damaged((tmp_path / "whole").read_bytes())))
    loads_or_refuses(folder)


def test_a_blank_beside_a_patient_number_makes_no_other_patient(folder: Path) -> None:
    """Else slices of one patient could stand in two sets of a by-patient split."""
    (folder / "index.csv").write_text("slice,patient_id\n2,P0\n5,P0 \n8, P0\n")
    assert set(load(folder).patient_id) == {"P0"}
