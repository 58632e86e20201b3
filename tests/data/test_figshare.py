"""The figshare archive: MATLAB v7.3 files, alone and in zips, and the authors' folds."""

from __future__ import annotations

import os
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from data_forms import (
    damaged,
    loads_or_refuses,
    mat_bytes,
    refused,
    small_set,
    write_mats,
    write_zip,
    write_zips,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from scipy.sparse import csc_matrix

from benchmark.data import authors_folds, load
from benchmark.data.cvind import read_cvind
from benchmark.data.guard import MAX_PIXELS
from benchmark.data.slices import iterate
from benchmark.errors import DataError, UnsafeDataError

SLICES = small_set(dtype="int16")
ONE = next(iterate(SLICES))


def write_one(folder: Path, **replaced: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "2.mat").write_bytes(mat_bytes(ONE, **replaced))
    return folder


@pytest.mark.parametrize("write", [write_mats, write_zips])
def test_slices_come_back_upright_with_patients(tmp_path: Path, write: Any) -> None:
    back = load(write(SLICES, tmp_path / "set"))
    assert back.fingerprint == SLICES.fingerprint
    assert back.patient_id == ("MR000A", "MR000A", "MR001A")


def test_one_zip_members_in_a_folder_and_other_members(tmp_path: Path) -> None:
    members = {f"data/{one.slice_id}.mat": mat_bytes(one) for one in iterate(SLICES)}
    path = write_zip(
        tmp_path / "any.zip",
        {**members, "README.txt": b"hello", "../9.mat": b"x", "a/b/3.mat": b"x"},
    )
    assert load(path).fingerprint == SLICES.fingerprint
    assert [p.name for p in tmp_path.iterdir()] == ["any.zip"]


def test_cvind_beside_the_mats_is_no_slice(tmp_path: Path) -> None:
    folder = write_mats(SLICES, tmp_path / "set")
    savemat(folder / "cvind.mat", {"cvind": np.arange(9.0)[:, None] % 5 + 1})
    assert load(folder).fingerprint == SLICES.fingerprint
    assert authors_folds(folder) == {i: (i - 1) % 5 + 1 for i in range(1, 10)}


def test_both_forms_in_one_folder(tmp_path: Path) -> None:
    folder = write_zips(SLICES, tmp_path / "set")
    (folder / "2.mat").write_bytes(mat_bytes(ONE))
    refused(folder, "both", "keep one")


def test_same_slice_in_two_zips(tmp_path: Path) -> None:
    folder = write_zips(SLICES, tmp_path / "set")
    write_zip(folder / "brainTumorDataPublic_9-9.zip", {"5.mat": mat_bytes(ONE)})
    refused(folder, "slice 5 is there twice")


def test_smaller_pituitary_slices_do_not_stop_the_meningiomas(tmp_path: Path) -> None:
    folder = write_mats(SLICES, tmp_path / "set")
    (folder / "1000.mat").write_bytes(
        mat_bytes(next(iterate(small_set(1, shape=(64, 64), label=3))))
    )
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
def test_a_field_that_is_wrong_is_told_by_its_file(
    tmp_path: Path, replaced: dict[str, Any], words: str
) -> None:
    refused(write_one(tmp_path / "set", **replaced), "2.mat", words)


def test_big_endian_values_are_the_same_slices(tmp_path: Path) -> None:
    folder = write_one(tmp_path / "set", image=ONE.image.T.astype(">i2"))
    assert load(folder).fingerprint == small_set(1, dtype="int16").fingerprint


def test_a_link_out_of_the_file_is_not_followed(tmp_path: Path) -> None:
    other = write_one(tmp_path / "other") / "2.mat"
    refused(
        write_one(tmp_path / "set", image=h5py.ExternalLink(str(other), "/cjdata/image")),
        "no dataset",
        "image",
    )


def test_header_that_promises_terabytes(tmp_path: Path) -> None:
    stream = BytesIO()
    with h5py.File(stream, "w") as file:
        group = file.create_group("cjdata")
        group["label"], group["PID"] = [[1.0]], np.array([[49]], np.uint16)
        group.create_dataset("image", shape=(2**20, 2**20), dtype="int16", chunks=(64, 64))
    (tmp_path / "2.mat").write_bytes(stream.getvalue())
    with pytest.raises(UnsafeDataError, match=f"1048576x1048576 values.*at most {MAX_PIXELS}"):
        load(tmp_path)


def test_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bomb.zip", {"1.mat": bytes(20 * 1024 * 1024)})
    assert path.stat().st_size < 40_000
    with pytest.raises(UnsafeDataError, match=r"1\.mat: unpacks to 20971520 bytes"):
        load(path)


def test_zip_that_lies_about_the_size(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bomb.zip", {"1.mat": bytes(20 * 1024 * 1024)})
    real, claimed = (20 * 1024 * 1024).to_bytes(4, "little"), (1000).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(real, claimed))
    refused(path, "1.mat")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "locked.zip", {"1.mat": mat_bytes(ONE)})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    refused(path, "1.mat", "encrypted")


@pytest.mark.parametrize(
    "members", [{}, {"brainTumorDataPublic_1-766.zip": b"x"}, {"a/b/1.mat": b""}]
)
def test_zip_without_slices(tmp_path: Path, members: dict[str, bytes]) -> None:
    refused(
        write_zip(tmp_path / "1512427.zip", members), "1512427.zip", "no N.mat", "unpack it once"
    )


def test_a_mat_file_too_large_for_a_slice_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "2.mat").open("wb") as file:
        os.truncate(file.fileno(), 17 * 1024 * 1024)  # sparse: nothing is written
    with pytest.raises(UnsafeDataError, match="17825792 bytes"):
        load(tmp_path)


@pytest.mark.parametrize("write", [write_mats, write_zips])
@given(data=st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_files_give_one_clear_error_or_valid_slices(
    tmp_path: Path, write: Any, data: st.DataObject
) -> None:
    folder = tmp_path / "set"
    if not folder.exists():
        write(small_set(1, dtype="int16", shape=(64, 64)), folder)
        (tmp_path / "whole").write_bytes(next(folder.iterdir()).read_bytes())
    damage = damaged((tmp_path / "whole").read_bytes(), header=(0, 3000))
    next(folder.iterdir()).write_bytes(data.draw(damage))
    loads_or_refuses(folder)


def write_cvind(path: Path, values: Any, modern: bool, name: str = "cvind") -> Path:
    if modern:
        with h5py.File(path, "w", userblock_size=512) as file:
            file[name] = np.asarray(values).T
    else:
        savemat(path, {name: values})
    return path


@pytest.mark.parametrize("modern", [True, False], ids=["v7.3", "v5"])
@pytest.mark.parametrize("shape", [(10, 1), (1, 10)])
def test_cvind_of_either_version_and_direction(
    tmp_path: Path, modern: bool, shape: tuple[int, int]
) -> None:
    folds = np.array([1.0, 2, 3, 4, 5, 5, 4, 3, 2, 1]).reshape(shape)
    path = write_cvind(tmp_path / "cvind.mat", folds, modern)
    assert (
        read_cvind(path)
        == read_cvind(tmp_path)
        == dict(enumerate([1, 2, 3, 4, 5, 5, 4, 3, 2, 1], start=1))
    )


@pytest.mark.parametrize("modern", [True, False], ids=["v7.3", "v5"])
@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.ones((2, 5)), "must be a vector"),
        (np.array([[1.0, 1.5]]), "whole numbers"),
        (np.array([[1.0, np.nan]]), "whole numbers"),
        (np.array([[0.0, 1]]), "folds run from 0"),
        (np.array([[1.0, 1e9]]), "they must lie in 1 ... 100"),
        (np.ones((1, 200_000), np.uint8), "the archive has 3064"),
    ],
)
def test_folds_that_are_no_folds_are_refused_by_their_file(
    tmp_path: Path, modern: bool, values: Any, words: str
) -> None:
    path = write_cvind(tmp_path / "cvind.mat", values, modern)
    with pytest.raises(DataError, match=words) as caught:
        read_cvind(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("modern", [True, False], ids=["v7.3", "v5"])
def test_cvind_without_its_variable(tmp_path: Path, modern: bool) -> None:
    with pytest.raises(DataError, match="no variable 'cvind'"):
        read_cvind(write_cvind(tmp_path / "cvind.mat", np.ones((1, 3)), modern, name="other"))


def test_cvind_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not there"):
        read_cvind(tmp_path)


@given(
    folds=st.lists(st.integers(1, 100), min_size=1, max_size=40),
    dtype=st.sampled_from(["f8", "f4", "u1", "i2", "i4", "u8"]),
    compressed=st.booleans(),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_scipy_writes_in_the_older_format_is_read(
    tmp_path: Path, folds: list[int], dtype: str, compressed: bool
) -> None:
    """scipy is the oracle; it shrinks small whole numbers and puts up to four bytes into a tag."""
    content = {"a": np.eye(3), "cvind": np.array(folds, dtype)[:, None]}
    savemat(tmp_path / "cvind.mat", content, do_compression=compressed)
    assert read_cvind(tmp_path) == dict(enumerate(folds, start=1))


def test_a_sparse_array_is_no_vector_of_folds(tmp_path: Path) -> None:
    savemat(tmp_path / "cvind.mat", {"cvind": csc_matrix(np.array([[1.0, 0, 3]]))})
    with pytest.raises(DataError, match="no array of numbers"):
        read_cvind(tmp_path)


def test_a_type_that_matlab_does_not_know_is_an_error(tmp_path: Path) -> None:
    """Byte 184 is the type of the values; scipy's own reader ends the process on such a file."""
    path = write_cvind(tmp_path / "cvind.mat", np.array([[1.0, 2, 3]]), False)
    content = bytearray(path.read_bytes())
    assert content[184] == 9  # double
    content[184] = 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cvind.mat: cannot be read .* damaged"):
        read_cvind(path)


@pytest.mark.parametrize("modern", [True, False], ids=["v7.3", "v5"])
@given(data=st.data())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_folds_are_refused_or_read(
    tmp_path: Path, modern: bool, data: st.DataObject
) -> None:
    path = tmp_path / "cvind.mat"
    whole = write_cvind(path, np.array([[1.0, 2, 3]]), modern).read_bytes()
    path.write_bytes(data.draw(damaged(whole)))
    try:
        folds = read_cvind(path)
    except DataError as error:
        message = str(error)
    else:
        assert all(1 <= fold <= 100 for fold in folds.values())
        return
    assert str(path) in message


def test_a_zip_without_its_end_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "cut.zip", {"1.mat": mat_bytes(ONE)})
    path.write_bytes(path.read_bytes()[:-30])
    assert not zipfile.is_zipfile(path)
    refused(path, "cut.zip", "damaged")
