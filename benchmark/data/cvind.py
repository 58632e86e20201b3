"""cvind.mat: the five folds of the dataset's authors, one number per slice, patients kept apart."""

from __future__ import annotations

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
NUMERIC = range(
    6, 16
)  # classes of arrays: double to uint64; below are cells, structures, text and sparse ones
NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}  # type -> dtype
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"  # at 0, or behind MATLAB's user block of 512 bytes


def read_cvind(path: Path) -> dict[int, int]:
    """Return slice number -> fold, both counted from 1; path is the file, or the folder it lies in.

    Reads MATLAB v7.3 (HDF5) and older files. Raises `DataError` if the file is not there, is
    damaged, or is no vector of whole numbers.
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
    whole = (
        folds.dtype.kind in "uif" and bool(np.isfinite(folds).all()) and not bool((folds % 1).any())
    )
    if not whole or folds.size != max(folds.shape, default=0) or not folds.size:
        raise DataError(
            f"{path}: {NAME} {folds.shape} {folds.dtype} must be a vector of whole numbers, one per slice"
        )
    if folds.min() < 1 or folds.max() > MAX_FOLDS:
        raise DataError(
            f"{path}: folds run from {folds.min()} to {folds.max()}; they must lie in 1 ... {MAX_FOLDS}"
        )
    return dict(enumerate(map(int, folds.ravel()), start=1))


def _v73(data: bytes, path: Path) -> NDArray[Any]:
    import h5py

    with h5py.File(BytesIO(data), "r") as file:
        found = file.get(NAME) if isinstance(file.get(NAME, getlink=True), h5py.HardLink) else None
        if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
            raise DataError(
                f"{path}: no variable {NAME!r} in it; is it another file under this name?"
            )
        _check_length(found.shape or (), path)
        return np.asarray(found[()])


def _v5(data: bytes, path: Path) -> NDArray[Any]:
    """Read MATLAB's level 5 format, as MathWorks' "MAT-File Format" has it; scipy's reader crashes
    on a bad type.
    """
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
            return np.frombuffer(body, order + NUMBERS[kind]).reshape(shape, order="F")
    raise DataError(f"{path}: no variable {NAME!r} in it; is it another file under this name?")


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of the data elements that follow each other, small ones of up to four
    bytes too.
    """
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
    length = 1
    for side in shape:
        length *= int(side)
    if not 0 < length <= MAX_SLICES:
        raise DataError(f"{path}: header promises {shape} folds; the archive has 3064 slices")
