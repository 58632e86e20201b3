"""A folder of image pairs: images/N.png and masks/N.png (PNG, WebP or TIFF), N the slice number."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from benchmark.data.slices import MENINGIOMA, RawSlice
from benchmark.errors import DataError

SUFFIXES = (".png", ".webp", ".tif", ".tiff")
MAX_PIXELS = 64_000_000  # a header that promises more is lying or is no slice


def looks_like(folder: Path) -> bool:
    """True where the folder holds `images/` and `masks/`."""
    return (folder / "images").is_dir() and (folder / "masks").is_dir()


def read(folder: Path) -> Iterator[RawSlice]:
    """Yield every pair of the folder, in order of slice number.

    An optional `index.csv` with the columns slice, label and patient_id tells the label
    (default: meningioma) and the patient (default: unknown). Raises `DataError` for an
    image without a mask, a mask without an image, a name that is no number, a slice that
    the index does not list, or a file that cannot be decoded.
    """
    images, masks = _numbered(folder / "images"), _numbered(folder / "masks")
    for number in sorted(set(images) ^ set(masks)):
        lone, missing = (images, "mask") if number in images else (masks, "image")
        raise DataError(f"{lone[number]}: no {missing} beside it; add {missing}s/{number}.png or remove this file")
    index = _read_index(folder / "index.csv")
    for number in sorted(images):
        if index is not None and number not in index:
            raise DataError(f"{folder / 'index.csv'}: slice {number} is not listed but {images[number]} exists")
        label, patient = (MENINGIOMA, None) if index is None else index[number]
        yield RawSlice(number, label, decode(images[number]), decode(masks[number]), str(images[number]), patient)


def decode(path: Path) -> NDArray[np.generic]:
    """Decode one grey picture to (H, W) uint8 or uint16; three equal channels count as grey."""
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(f"{path}: header promises {picture.width}x{picture.height} pixels; not a slice")
            array = np.asarray(picture)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be decoded ({error}); the file is damaged: copy it again") from error
    if array.ndim == 3:
        colour = array[..., :3]
        if array.shape[2] == 2 or not (colour == colour[..., :1]).all():
            raise DataError(f"{path}: colour picture; a slice has one grey channel")
        array = colour[..., 0]
    if array.dtype == np.int32 and 0 <= array.min() and array.max() <= 65535:  # Pillow's mode I
        array = array.astype(np.uint16)
    return np.ascontiguousarray(array)


def _numbered(folder: Path) -> dict[int, Path]:
    """Map slice number to file for every picture of a folder."""
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        if not path.stem.isdecimal():
            raise DataError(f"{path}: the name must be the slice number, such as 12{path.suffix}")
        number = int(path.stem)
        if number in found:
            raise DataError(f"{path}: slice {number} is there twice (also {found[number]}); remove one of the two")
        found[number] = path
    if not found:
        raise DataError(f"{folder}: no picture in it; looked for N{', N'.join(SUFFIXES)}")
    return found


def _read_index(path: Path) -> dict[int, tuple[int, str | None]] | None:
    """Read slice -> (label, patient) from index.csv, or None where there is none."""
    if not path.exists():
        return None
    rows: dict[int, tuple[int, str | None]] = {}
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if "slice" not in (reader.fieldnames or ()):
            raise DataError(f"{path}: no column 'slice'; needed: slice, and label and patient_id where known")
        for line, row in enumerate(reader, start=2):
            try:
                number, label = int(row["slice"]), int(row.get("label") or MENINGIOMA)
            except ValueError as error:
                raise DataError(f"{path}, line {line}: slice and label must be whole numbers ({error})") from error
            if number in rows:
                raise DataError(f"{path}, line {line}: slice {number} is listed twice")
            rows[number] = (label, row.get("patient_id") or None)
    return rows
