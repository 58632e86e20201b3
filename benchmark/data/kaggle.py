"""The Kaggle copy: images.npy, masks.npy and labels.npy, without slice numbers or patients."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data import safe_npy
from benchmark.data.guard import check_pixels, decoding
from benchmark.data.slices import RawSlice
from benchmark.errors import DataError

NAMES = ("images.npy", "masks.npy", "labels.npy")
FIRST_UNKNOWN = 1_000_000_000  # numbers from here on come from the content, not from the archive


def looks_like(folder: Path) -> bool:
    """True where the folder holds `images.npy` or `masks.npy`."""
    return any((folder / name).is_file() for name in NAMES[:2])


def read(folder: Path) -> Iterator[RawSlice]:
    """Yield every row of the three files as a slice of an unknown patient.

    The order of the rows means nothing, so the slice number is made from the content: the same
    slice gets the same number in any order. `registry.identify` replaces it by the archive's where
    the mask is registered. Raises `DataError` for a missing file, lengths that differ, or a row
    that is no 2-D array; `UnsafeDataError` as `safe_npy.read` does.
    """
    for name in NAMES:
        if not (folder / name).is_file():
            needed = f"the Kaggle copy needs {', '.join(NAMES)} side by side"
            raise DataError(f"{folder / name}: not there; {needed}")
    labels, masks, images = (safe_npy.read(folder / name) for name in reversed(NAMES))
    lengths = [len(array) if array.ndim else 0 for array in (images, masks, labels)]
    if len(set(lengths)) != 1:
        said = ", ".join(f"{name} {length}" for name, length in zip(NAMES, lengths, strict=True))
        cure = "the three files must come from one download"
        raise DataError(f"{folder}: lengths differ ({said}); {cure}")
    for row in range(lengths[0]):
        origin = f"{folder / NAMES[0]}, row {row}"
        image = _plane(images[row], origin)
        mask = _plane(masks[row], f"{folder / NAMES[1]}, row {row}")
        label = _label(labels[row], f"{folder / NAMES[2]}, row {row}")
        yield RawSlice(_number(image, mask), label, image, mask, origin)


def _plane(element: Any, origin: str) -> NDArray[Any]:
    array = np.asarray(element)
    if array.ndim != 2:
        raise DataError(f"{origin}: shape {array.shape}; a slice is (rows, columns)")
    check_pixels(array.shape, origin)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _label(element: Any, origin: str) -> int:
    array = np.asarray(element)
    with decoding(origin, "a label is one whole number"):
        if array.size != 1 or array.dtype.kind not in "iuf" or array.item() % 1:
            what = f"label of shape {array.shape}, {array.dtype}"
            raise DataError(f"{origin}: {what}, must be one whole number")
        return int(array.item())


def _number(image: NDArray[Any], mask: NDArray[Any]) -> int:
    """Return a slice number of at least `FIRST_UNKNOWN` that depends on nothing but the content."""
    digest = hashlib.sha256(repr((image.shape, mask.shape)).encode())
    digest.update(image.data)
    digest.update(mask.data)
    return FIRST_UNKNOWN + int.from_bytes(digest.digest()[:6], "big")
