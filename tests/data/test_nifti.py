"""NIfTI: export, re-import, and headers that lie."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from data_forms import refused, small_set, snapshot, write_nifti
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data import load, nifti
from benchmark.errors import DataError, OutputError, UnsafeDataError

SLICES = small_set(dtype="int16")
MILLIMETRES = st.integers(1, 50_000).map(lambda ten_thousandths: ten_thousandths / 10_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_nifti(SLICES, tmp_path / "set")


@pytest.fixture
def image(folder: Path) -> Path:
    """The first image of the folder."""
    return folder / "images" / "2.nii.gz"


@given(
    dtype=st.sampled_from(["uint8", "int16", "uint16"]),
    spacing_mm=st.tuples(MILLIMETRES, MILLIMETRES),
    seed=st.integers(0, 99),
)
@settings(max_examples=15, deadline=None)
def test_export_and_import_keep_the_fingerprint(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, spacing_mm: tuple[float, float], seed: int
) -> None:
    """Law: "export and re-import give the same fingerprint", dtype and spacing included."""
    patients = (None, 'a"b, c')
    made = small_set(2, seed=seed, dtype=dtype)
    slices = replace(made, spacing_mm=spacing_mm, patient_id=patients)
    back = load(write_nifti(slices, tmp_path_factory.mktemp("nifti") / "set"))
    assert (back.fingerprint, back.dataset_id) == (slices.fingerprint, slices.dataset_id)
    assert back.spacing_mm == spacing_mm
    assert (back.patient_id, back.label.tolist()) == (patients, slices.label.tolist())


def test_what_a_viewer_sees(tmp_path: Path) -> None:
    write_nifti(replace(SLICES, spacing_mm=(0.5, 0.7)), tmp_path / "set")
    image = nibabel.load(tmp_path / "set" / "images" / "2.nii.gz")
    assert image.shape == (96, 64, 1)  # columns, rows, slices
    assert np.allclose(np.abs(np.diag(image.affine)), [0.7, 0.5, 6, 1])
    assert np.allclose(image.header.get_zooms(), (0.7, 0.5, 6))
    assert image.header.get_xyzt_units()[0] == "mm"
    assert np.array_equal(np.asarray(image.dataobj)[:, :, 0].T, SLICES.images[0])
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")


def test_export_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    first, second = (write_nifti(SLICES, tmp_path / name) for name in ("a", "b"))
    assert snapshot(first) == snapshot(second)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_uncompressed_files_and_pictures_in_two_dimensions(folder: Path) -> None:
    for path in sorted((folder / "images").iterdir()):
        image = nibabel.load(path)
        plane = nibabel.Nifti1Image(np.asarray(image.dataobj)[..., 0], image.affine)
        nibabel.save(plane, path.with_suffix(""))
        path.unlink()
    assert load(folder).fingerprint == SLICES.fingerprint


def test_big_endian_files_are_the_same_slices(folder: Path, image: Path) -> None:
    stored = nibabel.Nifti1Image.from_bytes(gzip.decompress(image.read_bytes()))
    header = stored.header.as_byteswapped(">")
    swapped = nibabel.Nifti1Image(np.asarray(stored.dataobj).astype(">i2"), stored.affine, header)
    image.write_bytes(gzip.compress(swapped.to_bytes()))
    assert gzip.decompress(image.read_bytes())[:4] == (348).to_bytes(4, "big")
    assert load(folder).fingerprint == SLICES.fingerprint


@pytest.mark.parametrize("content", [[], ["keep.txt"]])
def test_export_refuses_to_overwrite(tmp_path: Path, content: list[str]) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for name in content:
        (folder / name).write_text("mine")
    before = snapshot(tmp_path)
    with pytest.raises(DataError, match="exists already"):
        nifti.export(SLICES, folder)
    assert snapshot(tmp_path) == before


def test_failed_export_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nifti, "encode", full)
    with pytest.raises(OutputError, match="No space left"):
        nifti.export(SLICES, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_export_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot be written"):
        nifti.export(SLICES, tmp_path / "file" / "set")


def test_stated_spacing_must_agree_with_the_header(folder: Path) -> None:
    assert load(folder, spacing_mm=(0.49, 0.49)).spacing_mm == (0.49, 0.49)
    refused(folder, "2.nii.gz", "header says (0.49, 0.49)", "(1.0, 1.0)", spacing_mm=(1.0, 1.0))


def test_an_image_without_its_mask_is_refused(folder: Path) -> None:
    (folder / "masks" / "5.nii.gz").unlink()
    refused(folder, "5.nii.gz", "no mask")


def shorts(*values: int) -> bytes:
    return np.array(values, "<i2").tobytes()


def floats(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


@pytest.mark.parametrize(
    ("offset", "value", "words"),
    [  # NIfTI-1 field offsets: dim 40, datatype 70, pixdim 76, slope 112, sform 280
        (42, shorts(32000, 32000), "32000x32000"),
        (42, shorts(96, 128), "promises (96, 128, 1) int16, 24928 bytes, but the file holds 12640"),
        (42, shorts(-5, 64), "-5"),
        (42, shorts(48, 64, 2), "one file holds one slice"),
        (70, shorts(16, 32), "float32"),
        (70, shorts(64, 64), "bytes, but the file holds"),
        (80, floats(float("nan")), "pixel size"),
        (108, floats(1e9), "bytes, but the file holds"),
        (112, floats(2, 5), "scaled (2.0, 5.0)"),
        (280, floats(-0.5), "its affine is not that of"),
    ],
)
def test_headers_that_lie(folder: Path, image: Path, offset: int, value: bytes, words: str) -> None:
    data = bytearray(gzip.decompress(image.read_bytes()))
    data[offset : offset + len(value)] = value
    image.write_bytes(gzip.compress(data))
    refused(folder, "2.nii.gz", words)


def test_gzip_bomb_is_not_unpacked(folder: Path, image: Path) -> None:
    bomb = gzip.decompress(image.read_bytes()) + bytes(nifti.MAX_BYTES)
    image.write_bytes(gzip.compress(bomb, compresslevel=1))
    refused(folder, "unpacks to more than", error=UnsafeDataError)
