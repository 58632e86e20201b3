"""Image pairs, and the index.csv beside them."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from data_forms import refused, small_set, write_pairs
from PIL import Image

from benchmark.data import load
from benchmark.errors import UnsafeDataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pairs(small_set(), tmp_path / "set")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_pairs_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    slices = small_set()
    back = load(write_pairs(slices, tmp_path / "set", suffix=suffix))
    assert (back.fingerprint, back.patient_id) == (slices.fingerprint, slices.patient_id)
    assert back.label.tolist() == [1, 1, 1]


def test_without_index_all_are_meningiomas_of_unknown_patients(tmp_path: Path) -> None:
    back = load(write_pairs(small_set(), tmp_path / "set", index=False))
    assert back.patient_id == (None, None, None)
    assert set(back.label) == {1}


@pytest.mark.parametrize(("lone", "missing"), [("masks", "mask"), ("images", "image")])
def test_a_file_without_its_partner_is_refused(folder: Path, lone: str, missing: str) -> None:
    (folder / lone / "5.png").unlink()
    refused(folder, "5.png", f"no {missing}", f"{missing}s/5.png")


def test_pictures_of_sixteen_bits_keep_every_value(folder: Path) -> None:
    deep = np.arange(64 * 96, dtype=np.uint16).reshape(64, 96) * 10
    for number in (2, 5, 8):
        Image.fromarray(deep).save(folder / "images" / f"{number}.png")
    back = load(folder)
    assert back.images.dtype == np.uint16
    assert (back.images[0] == deep).all()


def test_two_files_of_one_slice_number_are_refused(folder: Path) -> None:
    (folder / "images" / "05.png").write_bytes((folder / "images" / "5.png").read_bytes())
    refused(folder, "slice 5 is there twice", "05.png", "remove")


@pytest.mark.parametrize("name", ["five.png", "-5.png", "5.5.png", "٣.png", "9" * 40 + ".png"])
def test_name_that_is_no_slice_number(folder: Path, name: str) -> None:
    (folder / "images" / name).write_bytes(b"")
    refused(folder, name, "slice number")


@pytest.mark.parametrize("options", [{}, {"transparency": bytes([0, 128] * 128)}])
def test_a_palette_of_greys_shows_its_levels(folder: Path, options: dict[str, bytes]) -> None:
    """Level 37 n + 5 (mod 256) at place n, where no level is its own place; transparency or not."""
    path, order = folder / "images" / "2.png", (np.arange(256) * 37 + 5) % 256
    levels = np.asarray(Image.open(path))
    picture = Image.fromarray(np.argsort(order)[levels].astype(np.uint8))
    picture.putpalette(np.repeat(order, 3).astype(np.uint8).tobytes())
    picture.save(path, **options)
    with Image.open(path) as stored:
        assert stored.mode == "P"
    assert load(folder).fingerprint == small_set().fingerprint


def test_a_palette_of_other_colours_is_refused_with_the_way_to_convert(folder: Path) -> None:
    """Blue of the highest level is 20 more than its red and green."""
    path, colours = folder / "images" / "2.png", np.repeat(np.arange(256), 3)
    picture = Image.fromarray(np.asarray(Image.open(path)) // 2)
    colours[3 * int(np.asarray(picture).max()) + 2] += 20
    picture.putpalette(colours.astype(np.uint8).tobytes())
    picture.save(path)
    refused(folder, "2.png: colour", "differ by up to 20", "magick IN.png -colorspace Gray OUT.png")


def test_colour_is_refused_and_equal_channels_are_grey(folder: Path) -> None:
    path = folder / "images" / "2.png"
    grey = np.asarray(Image.open(path))
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(path)
    assert load(folder).fingerprint == small_set().fingerprint
    Image.fromarray(np.stack([grey, grey, grey // 2], axis=-1)).save(path)
    refused(folder, "2.png", "colour")


def test_header_that_promises_too_much(folder: Path) -> None:
    data = bytearray((folder / "images" / "2.png").read_bytes())
    data[16:24] = (6000).to_bytes(4, "big") * 2  # IHDR width and height; its checksum follows
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (folder / "images" / "2.png").write_bytes(data)
    refused(folder, "6000x6000", error=UnsafeDataError)


def test_only_the_named_formats_are_opened(folder: Path) -> None:
    """Pillow goes by content: an EPS named .png would start Ghostscript."""
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n"
    (folder / "images" / "2.png").write_bytes(eps)
    refused(folder, "2.png", "cannot be read")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_a_picture_is_read_only_where_its_orientation_tag_leaves_it_upright(
    folder: Path, suffix: str
) -> None:
    """Of EXIF's eight orientations 1 is upright, 2 to 8 mirror or turn; 0 where none is known."""
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


def test_inverted_pictures_and_several_in_a_file_are_refused(folder: Path) -> None:
    """Of 16 bits: those of 8 Pillow itself turns round."""
    (folder / "images" / "2.png").unlink()
    deep = Image.fromarray(np.arange(64 * 96, dtype=np.uint16).reshape(64, 96))
    deep.save(folder / "images" / "2.tif", tiffinfo={262: 0})
    refused(folder, "2.tif", "least value is white")
    deep.save(folder / "images" / "2.tif", save_all=True, append_images=[deep])
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
def test_an_index_says_in_which_line_it_is_wrong(folder: Path, text: str, words: str) -> None:
    (folder / "index.csv").write_bytes(text.encode("latin-1"))
    refused(folder, "index.csv", words)


def test_index_saved_by_a_spreadsheet(folder: Path) -> None:
    (folder / "index.csv").write_text("slice,x\n2,\r\n5,\r\n8,\r\n", encoding="utf-8-sig")
    assert len(load(folder)) == 3


def test_a_blank_beside_a_patient_number_makes_no_other_patient(folder: Path) -> None:
    """Else slices of one patient could stand in two sets of a by-patient split."""
    (folder / "index.csv").write_text("slice,patient_id\n2,P0\n5,P0 \n8, P0\n")
    assert set(load(folder).patient_id) == {"P0"}
