"""The authors' folds: cvind.mat of either version of MATLAB's format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from data_forms import damaged, in_one_folder
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat
from scipy.sparse import csc_matrix

from benchmark.data.cvind import read_cvind
from benchmark.errors import DataError

either_version = pytest.mark.parametrize("modern", [True, False], ids=["v7.3", "v5"])


def write(folder: Path, values: Any, modern: bool, name: str = "cvind") -> Path:
    path = folder / "cvind.mat"
    if modern:
        with h5py.File(path, "w", userblock_size=512) as file:
            file[name] = np.asarray(values).T
    else:
        savemat(path, {name: values})
    return path


@either_version
@pytest.mark.parametrize("shape", [(10, 1), (1, 10)])
def test_either_version_and_direction(tmp_path: Path, modern: bool, shape: tuple[int, int]) -> None:
    folds = [1, 2, 3, 4, 5, 5, 4, 3, 2, 1]
    path = write(tmp_path, np.array(folds, float).reshape(shape), modern)
    assert read_cvind(path) == read_cvind(tmp_path) == dict(enumerate(folds, start=1))


@either_version
@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.ones((2, 5)), "must be a vector"),
        (np.array([[1.0, 1.5]]), "whole numbers"),
        (np.array([[1.0, np.nan]]), "whole numbers"),
        (np.array([[1.0, np.inf]]), "whole numbers"),
        (np.array([[0.0, 1]]), "folds run from 0"),
        (np.array([[1.0, 1e9]]), "they must lie in 1 ... 100"),
        (np.ones((1, 200_000), np.uint8), "the archive has 3064"),
    ],
)
def test_what_is_no_folds_is_refused_by_its_file(
    tmp_path: Path, modern: bool, values: Any, words: str
) -> None:
    path = write(tmp_path, values, modern)
    with pytest.raises(DataError, match=words) as caught:
        read_cvind(path)
    assert str(path) in str(caught.value)


@either_version
def test_a_file_without_its_variable_or_none_at_all(tmp_path: Path, modern: bool) -> None:
    with pytest.raises(DataError, match="not there"):
        read_cvind(tmp_path)
    with pytest.raises(DataError, match="no variable 'cvind'"):
        read_cvind(write(tmp_path, np.ones((1, 3)), modern, name="other"))


@given(
    folds=st.lists(st.integers(1, 100), min_size=1, max_size=40),
    dtype=st.sampled_from(["f8", "f4", "u1", "i2", "i4", "u8"]),
    compressed=st.booleans(),
)
@in_one_folder
def test_what_scipy_writes_is_read(
    tmp_path: Path, folds: list[int], dtype: str, compressed: bool
) -> None:
    """scipy is the oracle; it shrinks small whole numbers and puts up to four bytes into a tag."""
    content = {"a": np.eye(3), "cvind": np.array(folds, dtype)[:, None]}
    savemat(tmp_path / "cvind.mat", content, do_compression=compressed)
    assert read_cvind(tmp_path) == dict(enumerate(folds, start=1))


def test_a_single_number_is_no_vector_of_folds(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "cvind.mat", "w", userblock_size=512) as file:
        file["cvind"] = 1.0
    with pytest.raises(DataError, match="must be a vector"):
        read_cvind(tmp_path)


def test_a_sparse_array_is_no_vector_of_folds(tmp_path: Path) -> None:
    savemat(tmp_path / "cvind.mat", {"cvind": csc_matrix(np.array([[1.0, 0, 3]]))})
    with pytest.raises(DataError, match="no array of numbers"):
        read_cvind(tmp_path)


def test_a_type_that_matlab_does_not_know_is_an_error(tmp_path: Path) -> None:
    """Byte 184 is the type of the values; scipy's own reader ends the process on such a file."""
    path = write(tmp_path, np.array([[1.0, 2, 3]]), False)
    content = bytearray(path.read_bytes())
    assert content[184] == 9  # double
    content[184] = 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cvind.mat: cannot be read .* damaged"):
        read_cvind(path)


@either_version
@given(data=st.data())
@in_one_folder
def test_damaged_folds_are_refused_or_read(
    tmp_path: Path, modern: bool, data: st.DataObject
) -> None:
    path = write(tmp_path, np.array([[1.0, 2, 3]]), modern)
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    try:
        folds = read_cvind(path)
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert all(1 <= fold <= 100 for fold in folds.values())
