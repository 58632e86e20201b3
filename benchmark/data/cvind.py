"""cvind.mat: the five folds of the dataset's authors, one number per slice, patients kept apart."""

from __future__ import annotations

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
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"  # at 0, or behind MATLAB's user block of 512 bytes


def read_cvind(path: Path) -> dict[int, int]:
    """Return slice number -> fold, both counted from 1; path is the file, or the folder it lies in.

    Reads MATLAB v7.3 (HDF5) and older files. Raises `DataError` if the file is not there, is
    damaged, or is no vector of whole numbers.
    """
    path = path / "cvind.mat" if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"{path}: not there; it is part of https://doi.org/10.6084/m9.figshare.1512427")
    data = read_capped(path, MAX_BYTES)
    with decoding(path):
        modern = HDF5_SIGNATURE in (data[:8], data[512:520])
        folds = _v73(data, path) if modern else _v5(data, path)
    whole = folds.dtype.kind in "uif" and bool(np.isfinite(folds).all()) and not bool((folds % 1).any())
    if not whole or folds.size != max(folds.shape, default=0) or not folds.size:
        raise DataError(f"{path}: {NAME} {folds.shape} {folds.dtype} must be a vector of whole numbers, one per slice")
    if folds.min() < 1 or folds.max() > MAX_FOLDS:
        raise DataError(f"{path}: folds run from {folds.min()} to {folds.max()}; they must lie in 1 ... {MAX_FOLDS}")
    return dict(enumerate(map(int, folds.ravel()), start=1))


def _v73(data: bytes, path: Path) -> NDArray[Any]:
    import h5py

    with h5py.File(BytesIO(data), "r") as file:
        found = file.get(NAME) if isinstance(file.get(NAME, getlink=True), h5py.HardLink) else None
        if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
            raise DataError(f"{path}: no variable {NAME!r} in it; is it another file under this name?")
        _check_length(found.shape or (), path)
        return np.asarray(found[()])


def _v5(data: bytes, path: Path) -> NDArray[Any]:
    from scipy.io import loadmat, whosmat

    shapes = {name: shape for name, shape, _ in whosmat(BytesIO(data))}
    if NAME not in shapes:
        raise DataError(f"{path}: no variable {NAME!r} in it; is it another file under this name?")
    _check_length(shapes[NAME], path)
    return np.asarray(loadmat(BytesIO(data), variable_names=[NAME])[NAME])


def _check_length(shape: tuple[int, ...], path: Path) -> None:
    length = 1
    for side in shape:
        length *= int(side)
    if not 0 < length <= MAX_SLICES:
        raise DataError(f"{path}: header promises {shape} folds; the archive has 3064 slices")
