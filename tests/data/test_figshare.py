"""The figshare archive: MATLAB v7.3 files, alone and in zips."""

from __future__ import annotations

import os
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from data_forms import mat_bytes, refused, small_set, write_mats, write_zip, write_zips
from scipy.io import savemat

from benchmark.data import authors_folds, load
from benchmark.data.guard import MAX_PIXELS
from benchmark.data.slices import iterate
from benchmark.errors import UnsafeDataError

SLICES = small_set(dtype="int16")
FIRST = next(iterate(SLICES))


def write_first(folder: Path, **replaced: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "2.mat").write_bytes(mat_bytes(FIRST, **replaced))
    return folder


@pytest.mark.parametrize("write", [write_mats, write_zips])
def test_slices_come_back_upright_with_patients(tmp_path: Path, write: Any) -> None:
    back = load(write(SLICES, tmp_path / "set"))
    assert back.fingerprint == SLICES.fingerprint
    assert back.patient_id == ("MR000A", "MR000A", "MR001A")


def test_one_zip_members_in_a_folder_and_other_members(tmp_path: Path) -> None:
    members = {f"data/{raw.slice_id}.mat": mat_bytes(raw) for raw in iterate(SLICES)}
    others = {"README.txt": b"hello", "../9.mat": b"x", "a/b/3.mat": b"x"}
    path = write_zip(tmp_path / "any.zip", members | others)
    assert load(path).fingerprint == SLICES.fingerprint
    assert [p.name for p in tmp_path.iterdir()] == ["any.zip"]


def test_cvind_beside_the_mats_is_no_slice(tmp_path: Path) -> None:
    folder = write_mats(SLICES, tmp_path / "set")
    savemat(folder / "cvind.mat", {"cvind": np.arange(9.0)[:, None] % 5 + 1})
    assert load(folder).fingerprint == SLICES.fingerprint
    assert authors_folds(folder) == {i: (i - 1) % 5 + 1 for i in range(1, 10)}


def test_one_slice_in_both_forms_or_in_two_zips_is_refused(tmp_path: Path) -> None:
    folder = write_zips(SLICES, tmp_path / "set")
    more = write_zip(folder / "brainTumorDataPublic_9-9.zip", {"5.mat": mat_bytes(FIRST)})
    refused(folder, "slice 5 is there twice")
    more.unlink()
    refused(write_first(folder), "both", "keep one")


def test_smaller_pituitary_slices_do_not_stop_the_meningiomas(tmp_path: Path) -> None:
    folder = write_mats(SLICES, tmp_path / "set")
    small = next(iterate(small_set(1, shape=(64, 64), label=3)))
    (folder / "1000.mat").write_bytes(mat_bytes(small))
    assert load(folder).fingerprint == SLICES.fingerprint


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        ({"tumorMask": None}, "tumorMask"),
        ({"image": None}, "cjdata/image"),
        ({"tumorMask": np.zeros((96, 64), np.uint8)}, "mask is empty"),
        ({"tumorMask": np.arange(96 * 64, dtype=np.uint16).reshape(96, 64)}, "not 0 and one other"),
        ({"tumorMask": np.ones((64, 96), np.uint8)}, "64x96 but its mask is 96x64"),
        ({"image": np.zeros((96, 64), np.float32)}, "image dtype float32"),
        ({"image": np.zeros(64, np.int16)}, "must be 2-D"),
        ({"image": np.array(b"text")}, "must be numbers"),
        ({"label": np.array([[7.0]])}, "label 7 is unknown"),
        ({"label": np.array([[1.5]])}, "must be one whole number"),
        ({"label": np.array([[np.nan]])}, "must be one whole number"),
        ({"label": np.array([[1.0, 2.0]])}, "must be one whole number"),
        ({"PID": np.array([[100360.0]])}, "cjdata/PID"),
        ({"PID": np.array([[10, 13]], np.uint16)}, "cjdata/PID"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, replaced: dict[str, Any], words: str) -> None:
    refused(write_first(tmp_path / "set", **replaced), "2.mat", words)


def test_big_endian_values_are_the_same_slices(tmp_path: Path) -> None:
    folder = write_first(tmp_path / "set", image=FIRST.image.T.astype(">i2"))
    assert load(folder).fingerprint == small_set(1, dtype="int16").fingerprint


def test_a_link_out_of_the_file_is_not_followed(tmp_path: Path) -> None:
    other = write_first(tmp_path / "other") / "2.mat"
    link = h5py.ExternalLink(str(other), "/cjdata/image")
    refused(write_first(tmp_path / "set", image=link), "no dataset", "image")


def test_header_that_promises_terabytes(tmp_path: Path) -> None:
    stream = BytesIO()
    with h5py.File(stream, "w") as file:
        group = file.create_group("cjdata")
        group["label"], group["PID"] = [[1.0]], np.array([[49]], np.uint16)
        group.create_dataset("image", shape=(2**20, 2**20), dtype="int16", chunks=(64, 64))
    (tmp_path / "2.mat").write_bytes(stream.getvalue())
    promised = ("1048576x1048576 values", f"at most {MAX_PIXELS}")
    refused(tmp_path, *promised, error=UnsafeDataError)


def test_zip_bomb_is_not_unpacked_though_it_lies_about_its_size(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bomb.zip", {"1.mat": bytes(20 * 1024 * 1024)})
    assert path.stat().st_size < 40_000
    refused(path, "1.mat: unpacks to 20971520 bytes", error=UnsafeDataError)
    real, claimed = (20 * 1024 * 1024).to_bytes(4, "little"), (1000).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(real, claimed))
    refused(path, "1.mat")


def test_a_zip_that_is_encrypted_or_without_its_end_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "locked.zip", {"1.mat": mat_bytes(FIRST)})
    whole = path.read_bytes()
    data = bytearray(whole)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    refused(path, "1.mat", "encrypted")
    path.write_bytes(whole[:-30])
    assert not zipfile.is_zipfile(path)
    refused(path, "locked.zip", "damaged")


@pytest.mark.parametrize(
    "members", [{}, {"brainTumorDataPublic_1-766.zip": b"x"}, {"a/b/1.mat": b""}]
)
def test_zip_without_slices(tmp_path: Path, members: dict[str, bytes]) -> None:
    path = write_zip(tmp_path / "1512427.zip", members)
    refused(path, "1512427.zip", "no N.mat", "unpack it once")


def test_a_mat_file_too_large_for_a_slice_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "2.mat").open("wb") as file:
        os.truncate(file.fileno(), 17 * 1024 * 1024)  # sparse: nothing is written
    with pytest.raises(UnsafeDataError, match="17825792 bytes"):
        load(tmp_path)
