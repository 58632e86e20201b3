"""cvind.mat: the five folds of the dataset's authors, one number per slice, patients kept apart."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.guard import decoding, read_capped
from benchmark.errors import DataError

NAME = "cvind"
MAX_BYTES = 1024 * 1024  # the published file has 5736
MAX_SLICES = 100_000
MAX_FOLDS = 100
MATRIX, COMPRESSED = 14, 15  # types of data elements
NUMERIC = range(6, 16)  # classes of arrays: double to uint64; lower ones hold no plain numbers
DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}  # by type
DTYPES |= {12: "i8", 13: "u8"}
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"  # at 0, or behind MATLAB's user block of 512 bytes


def read_cvind(path: Path) -> dict[int, int]:
    """Return slice number -> fold, both counted from 1; path is the file, or the folder it lies in.

    Reads MATLAB v7.3 (HDF5) and older files. Raises `DataError` if the file is not there, is
    damaged, or is no vector of whole numbers from 1 to `MAX_FOLDS`.
    """
    path = path / "cvind.mat" if path.is_dir() else path
    if not path.is_file():
        raise DataError(
            f"{path}: not there; it is part of https://doi.org/10.6084/m9.figshare.1512427"
        )
    data = read_capped(path, MAX_BYTES)
    with decoding(path):
        modern = HDF5_SIGNATURE in (data[:8], data[512:520])
        folds = _v73(data, path) if modern else _v5(data, path)
    whole = folds.dtype.kind in "uif" and np.isfinite(folds).all() and not (folds % 1).any()
    if not whole or not folds.size or folds.size != max(folds.shape, default=0):
        raise DataError(
            f"{path}: {NAME} {folds.shape} {folds.dtype} must be a vector of whole numbers, "
            "one per slice"
        )
    if folds.min() < 1 or folds.max() > MAX_FOLDS:
        raise DataError(
            f"{path}: folds run from {folds.min()} to {folds.max()}; they must lie in 1 ... "
            f"{MAX_FOLDS}"
        )
    return dict(enumerate(map(int, folds.ravel()), start=1))


def _v73(data: bytes, path: Path) -> NDArray[Any]:
    import h5py

    with h5py.File(BytesIO(data), "r") as file:
        linked = isinstance(file.get(NAME, getlink=True), h5py.HardLink)
        dataset = file.get(NAME) if linked else None
        if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
            raise _no_variable(path)
        _check_length(dataset.shape or (), path)
        return np.asarray(dataset[()])


def _v5(data: bytes, path: Path) -> NDArray[Any]:
    """Read MATLAB's level 5 format (MathWorks' "MAT-File Format"); scipy crashes on a bad type."""
    order = {b"IM": "<", b"MI": ">"}[data[126:128]]
    for kind, body in _elements(data[128:], order):
        if kind == COMPRESSED:
            inflated = zlib.decompressobj().decompress(body, MAX_BYTES)
            kind, body = next(_elements(inflated, order))
        parts = list(_elements(body, order)) if kind == MATRIX else []
        if len(parts) >= 4 and parts[2][1] == NAME.encode():  # flags, dimensions, name, values
            if np.frombuffer(parts[0][1], f"{order}u4")[0] & 0xFF not in NUMERIC:
                raise ValueError(f"{NAME} is no array of numbers")
            shape = tuple(np.frombuffer(parts[1][1], f"{order}i4").tolist())
            _check_length(shape, path)
            kind, body = parts[3]
            return np.frombuffer(body, order + DTYPES[kind]).reshape(shape, order="F")
    raise _no_variable(path)


def _no_variable(path: Path) -> DataError:
    return DataError(f"{path}: no variable {NAME!r} in it; is it another file under this name?")


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of data elements that follow each other, small ones included."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}2I", data, at)
        if kind >> 16:  # small: size and type share four bytes, the content is in the next four
            kind, size, start, at = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        else:
            start, at = at + 8, at + 8 + size + (-size % 8 if kind != COMPRESSED else 0)
        if start + size > len(data):
            raise ValueError(f"an element of {size} bytes does not fit the file")
        yield kind, data[start : start + size]


def _check_length(shape: tuple[int, ...], path: Path) -> None:
    if not 0 < math.prod(map(int, shape)) <= MAX_SLICES:
        raise DataError(f"{path}: header promises {shape} folds; the archive has 3064 slices")
