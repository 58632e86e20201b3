"""NIfTI: images/N.nii.gz and masks/N.nii.gz, one slice a file, with an index.csv; by NiBabel.

The first axis of a file is the columns of a slice, the second its rows, the third has
length 1; the signs of the affine make viewers show row 0 at the top.
"""

from __future__ import annotations

import csv
import gzip
import logging
import math
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.folder import holds, paired
from benchmark.data.guard import MAX_PIXELS, check_pixels, decoding, read_capped
from benchmark.data.slices import RawSlice, SliceSet, iterate
from benchmark.errors import DataError, UnsafeDataError
from benchmark.storage.atomic import new_folder

SUFFIXES = (".nii.gz", ".nii")
MAX_BYTES = 2 * MAX_PIXELS + 4096
THICKNESS_MM = 6.0  # of the Cheng dataset
GRID_TOLERANCE_MM = 1e-3
UNREAD = "not read; split a volume into slices"
ONE_SLICE = "one file holds one slice (columns, rows, 1): split the volume"
COLUMNS = ("slice", "label", "patient_id")
GZIP = b"\x1f\x8b"
# the first four bytes of a header: its size
NIFTI1, NIFTI2 = ({n.to_bytes(4, order) for order in ("little", "big")} for n in (348, 540))
UNITS = {0: "unknown", 1: "metres", 2: "mm", 3: "microns"}


def looks_like(folder: Path) -> bool:
    """True where the folder holds `images/` with NIfTI files in it, and `masks/`."""
    return holds(folder / "images", SUFFIXES) and (folder / "masks").is_dir()


def read(folder: Path) -> Iterator[RawSlice]:
    """Yield every pair of the folder, by slice number, with the pixel size of its header.

    Labels and patients come from `index.csv` (default of both: unknown, None). Raises `DataError`
    as `pairs.read` does, and for a volume of several slices, scaled intensities, or a mask on
    another grid than its image; `UnsafeDataError` for a header that promises more than the file
    holds.
    """
    for number, image_path, mask_path, label, patient in paired(folder, SUFFIXES):
        image, affine, spacing_mm = decode(image_path)
        mask, mask_affine, _ = decode(mask_path)
        if not np.allclose(affine, mask_affine, rtol=0, atol=GRID_TOLERANCE_MM):
            raise DataError(
                f"{mask_path}: its affine is not that of {image_path}; resample it to the image's "
                "grid"
            )
        yield RawSlice(number, label, image, mask, str(image_path), patient, spacing_mm)


def decode(path: Path) -> tuple[NDArray[Any], NDArray[np.float64], tuple[float, float]]:
    """Return one slice (H, W) as stored, its affine (4, 4), and (row, column) pixel size in mm."""
    image = opened(path)
    with decoding(path):
        header = image.header
        stored = image.dataobj  # the scale: NiBabel clears it in its header
        shape = tuple(int(side) for side in header.get_data_shape())
        if len(shape) < 2 or any(side != 1 for side in shape[2:]):
            raise DataError(f"{path}: shape {shape}; {ONE_SLICE}")
        if (stored.slope, stored.inter) != (1, 0):
            scale = (stored.slope, stored.inter)
            raise DataError(f"{path}: intensities are scaled {scale}; store plain integers")
        columns_mm, rows_mm = (float(str(np.float32(side))) for side in header.get_zooms()[:2])
        if not all(math.isfinite(side) and side > 0 for side in (rows_mm, columns_mm)):
            raise DataError(
                f"{path}: pixel size {rows_mm} x {columns_mm} mm must be above 0; mend its pixdim"
            )
        array: NDArray[Any] = np.asarray(stored.get_unscaled()).reshape(shape[:2])
        upright = np.ascontiguousarray(array.T, dtype=array.dtype.newbyteorder("="))
        return upright, np.asarray(image.affine, dtype=np.float64), (rows_mm, columns_mm)


def opened(path: Path) -> Any:
    """Return NiBabel's image of a file whose header promises one slice, and no more than is there.

    The slice may lie along any axes. Raises `DataError` also where the header gives no pixel size,
    or not in mm.
    """
    nibabel: Any = import_module("nibabel")
    silent = logging.CRITICAL + 1  # what it finds is said in an error of ours
    logging.getLogger("nibabel.global").setLevel(silent)
    data = _content(path)
    with decoding(path):
        _check_header(nibabel, data, path)
        image = nibabel.Nifti1Image.from_bytes(data)
        shape = tuple(int(side) for side in image.header.get_data_shape())
        if sum(side > 1 for side in shape) > 2 and min(shape) > 0:
            raise DataError(f"{path}: shape {shape}; {ONE_SLICE}")
        check_pixels(shape, path)
        stored = image.dataobj  # what the file says; NiBabel clears offset and scale in its header
        needed = int(stored.offset) + math.prod(shape) * stored.dtype.itemsize
        if needed > len(data):
            raise UnsafeDataError(
                f"{path}: header promises {shape} {stored.dtype}, {needed} bytes, but the file "
                f"holds {len(data)}; it is cut short or lying: copy it again"
            )
        return image


def _check_header(nibabel: Any, data: bytes, path: Path) -> None:
    """Look at the header as it is stored: NiBabel takes a pixel of 0 for 1, and any unit for mm."""
    if data[:4] in NIFTI2:
        raise DataError(f"{path}: is NIfTI-2; save it as NIfTI-1")
    raw = nibabel.Nifti1Header(data[:348], check=False)
    pixels = zip(raw["pixdim"][1:4], raw.get_data_shape(), strict=False)
    sides = [float(side) for side, n in pixels if n > 1]
    if not all(math.isfinite(side) and side != 0 for side in sides):
        raise DataError(f"{path}: pixel size {sides} in its header; mend its pixdim")
    if (unit := int(raw["xyzt_units"]) & 7) not in (0, 2):
        name = UNITS.get(unit, f"unit {unit}")
        raise DataError(f"{path}: lengths in {name}; convert its header to mm")


def _content(path: Path) -> bytes:
    """Return the unpacked bytes of a file; `UnsafeDataError` where a slice needs fewer."""
    data = read_capped(path, MAX_BYTES, UNREAD)
    if not path.name.lower().endswith(".gz"):
        if data.startswith(GZIP):
            raise DataError(f"{path}: is compressed; name it .nii.gz")
        return data
    if data[:4] in NIFTI1 | NIFTI2:
        raise DataError(f"{path}: is not compressed; name it .nii")
    with decoding(path), gzip.open(path) as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UnsafeDataError(
            f"{path}: unpacks to more than {MAX_BYTES} bytes; a slice needs far less; {UNREAD}"
        )
    return data


def export(slices: SliceSet, folder: Path) -> None:
    """Write the slices as NIfTI pairs with an index.csv; read back, they have one fingerprint.

    The folder appears whole or not at all. Raises `DataError` where it exists already, and
    `OutputError` where the disk refuses.
    """
    with new_folder(folder) as room:
        _write(slices, room)


def _write(slices: SliceSet, folder: Path) -> None:
    for name in ("images", "masks"):
        (folder / name).mkdir()
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as text:
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        for raw in iterate(slices):
            writer.writerow((raw.slice_id, raw.label, raw.patient_id or ""))
            for name, array in (("images", raw.image), ("masks", raw.mask.astype(np.uint8))):
                path = folder / name / f"{raw.slice_id}.nii.gz"
                path.write_bytes(encode(array, slices.spacing_mm))


def encode(array: NDArray[Any], spacing_mm: tuple[float, float]) -> bytes:
    """Return one slice (H, W) as the bytes of a .nii.gz file, the same for the same slice."""
    nibabel: Any = import_module("nibabel")
    affine = np.diag([-spacing_mm[1], -spacing_mm[0], THICKNESS_MM, 1.0])
    image = nibabel.Nifti1Image(array.T[:, :, None], affine)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), compresslevel=4, mtime=0)
