"""A user's slice as a file: read upright, and a mask of it written on the file's own grid.

A PNG, WebP or TIFF is taken as it is displayed. A NIfTI file is brought to the radiological display
by its header, whatever the order and direction of its axes: columns run to the patient's left
(to the back in a sagittal slice), rows to the back (down in a coronal or sagittal one).
"""

from __future__ import annotations

import gzip
import io
import math
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmark.data import nifti, pairs
from benchmark.data.guard import decoding
from benchmark.data.slices import IMAGE_DTYPES
from benchmark.errors import DataError
from benchmark.inference.input_files import stem
from benchmark.preprocessing.windowing import grey

DISPLAY = {0: "PIR", 1: "LIA", 2: "LPS"}  # columns, rows, across; by the axis across
SANE_MM = (0.01, 100.0)  # sides of a pixel; anything else is another unit
SPACING_AGREES = 1e-3  # share by which two statements of a pixel's size may differ
UPRIGHT = 1e-3  # cosine of the angle between rows and columns, from which a slice is sheared
VERMILLION = (213, 94, 0)  # of Okabe and Ito's palette, which the colour-blind can tell apart
SKY = (86, 180, 233)  # of the same


@dataclass(frozen=True, eq=False)
class PixelGrid:
    """How a NIfTI file lays a slice out; forth and back: the turn to the display and back."""

    header: Any
    affine: NDArray[np.float64]
    shape: tuple[int, ...]
    forth: NDArray[np.float64]
    back: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SliceImage:
    """One slice upright.

    image (H, W): uint8, int16 or uint16 as stored, anything else as float64 in [0, 1]; spacing_mm:
    (row, column) size of a pixel, None where the file does not tell.
    """

    path: Path
    image: NDArray[Any]
    spacing_mm: tuple[float, float] | None = None
    grid: PixelGrid | None = None

    def encode(self, mask: NDArray[np.bool_]) -> bytes:
        """Return an upright mask (H, W) as a file: NIfTI of 0 and 1, else PNG of 0 and 255."""
        if self.grid is None:
            return mask_png(mask)
        return _nifti(self.grid, mask.astype(np.uint8))

    def encode_disagreement(self, spread: NDArray[np.float32]) -> bytes:
        """Return an upright map (H, W) of [0, 0.5] as a file: NIfTI of float32, else a PNG."""
        return disagreement_png(spread) if self.grid is None else _nifti(self.grid, spread)


def read(path: Path) -> SliceImage:
    """Read one slice; `DataError` names a file that is not one grey slice.

    That is: colour, several slices, values that are not finite, a constant image, and a NIfTI
    header without orientation or with contradicting pixel sizes.
    """
    stem(path)
    with decoding(path):
        if not path.is_file():  # to open a pipe is to wait for ever
            dangling = path.is_symlink() and not path.exists()
            what = "a link to nothing" if dangling else "no regular file"
            raise DataError(f"{path}: is {what}; mend or remove it")
    if path.name.lower().endswith(nifti.SUFFIXES):
        return _read_nifti(path)
    return SliceImage(path, _grey(pairs.decode(path), path))


def _grey(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """Check an image's values; unusual kinds are brought to [0, 1], where Nyul's scale starts."""
    if array.dtype.kind not in "buif":
        raise DataError(f"{path}: holds {array.dtype}; store grey levels as whole or real numbers")
    if array.ndim != 2 or min(array.shape) < 2:
        raise DataError(
            f"{path}: {array.shape} pixels; a slice has two sides of two pixels or more"
        )
    if not np.isfinite(array).all():
        count = np.count_nonzero(~np.isfinite(array))
        raise DataError(f"{path}: {count} values are not finite; mend or crop the image")
    if array.min() == array.max():
        raise DataError(f"{path}: constant image, every pixel is {array.flat[0]}; remove it")
    if array.dtype in IMAGE_DTYPES:
        return array
    low, high = float(array.min()), float(array.max())
    if not math.isfinite(high - low):
        raise DataError(
            f"{path}: values from {low:g} to {high:g} are too far apart; scale the image"
        )
    return (array.astype(np.float64) - low) / (high - low)


def _read_nifti(path: Path) -> SliceImage:
    image = nifti.opened(path)
    with decoding(path), np.errstate(all="ignore"):  # what overflows is refused as not finite
        shape = tuple(int(side) for side in image.header.get_data_shape())
        solid = (*shape, 1, 1, 1)[:3]
        flat = sorted(side > 1 for side in solid) == [False, True, True]
        if 0 in shape or not flat or math.prod(solid) != math.prod(shape):
            raise DataError(
                f"{path}: shape {shape}; a slice has two sides of two pixels or more, "
                "in three dimensions"
            )
        grid = _grid(image, path, shape, solid.index(1))
        stored = np.asarray(image.dataobj)
        stored = stored.astype(stored.dtype.newbyteorder("="), copy=False).reshape(solid)
        upright = np.ascontiguousarray(_turned(stored, grid.forth)[:, :, 0].T)
    return SliceImage(path, _grey(upright, path), _spacing(image, path, grid), grid)


def _grid(image: Any, path: Path, shape: tuple[int, ...], across: int) -> PixelGrid:
    """Read the orientation; `DataError` where the header has none. across: the axis of length 1."""
    orientations: Any = import_module("nibabel.orientations")
    affine = np.asarray(image.affine, dtype=np.float64)
    coded = int(image.header["qform_code"]) > 0 or int(image.header["sform_code"]) > 0
    own = np.full((3, 2), np.nan)
    if coded and np.isfinite(affine).all():
        own = orientations.io_orientation(affine)
    if not np.isfinite(own).all():
        raise DataError(
            f"{path}: its header tells no orientation; "
            "set its sform or qform, or save it as PNG, upright"
        )
    _check_forms(image, path)
    display = orientations.axcodes2ornt(DISPLAY[int(own[across, 0])])
    forth = orientations.ornt_transform(own, display)
    back = orientations.ornt_transform(display, own)
    return PixelGrid(image.header.copy(), affine, shape, forth, back)


def _check_forms(image: Any, path: Path) -> None:
    """Raise `DataError` where qform and sform turn the slice in two ways."""
    orientations: Any = import_module("nibabel.orientations")
    coded = (image.get_qform(coded=True), image.get_sform(coded=True))
    axes = ["".join(map(str, orientations.aff2axcodes(form))) for form, code in coded if code]
    if len(set(axes)) > 1:
        raise DataError(
            f"{path}: axes run to {axes[0]} by its qform, to {axes[1]} by its sform; "
            "mend or clear one"
        )


def _spacing(image: Any, path: Path, grid: PixelGrid) -> tuple[float, float]:
    """(row, column) pixel size in mm, upright."""
    affines: Any = import_module("nibabel.affines")
    columns, rows = (int(np.flatnonzero(grid.forth[:, 0] == axis)[0]) for axis in (0, 1))
    zooms = (*image.header.get_zooms(), 1.0, 1.0)
    by_header = float(str(np.float32(zooms[rows]))), float(str(np.float32(zooms[columns])))
    by_affine = affines.voxel_sizes(grid.affine)[[rows, columns]]
    if not all(SANE_MM[0] <= side <= SANE_MM[1] for side in by_header):
        raise DataError(
            f"{path}: pixels of {by_header} mm in its header must lie in {SANE_MM}; mend its pixdim"
        )
    along, across = grid.affine[:3, rows], grid.affine[:3, columns]
    if abs(along @ across) > UPRIGHT * math.prod(by_affine):
        raise DataError(
            f"{path}: rows and columns are not at right angles (a sheared affine); resample it"
        )
    if not np.allclose(by_header, by_affine, rtol=SPACING_AGREES, atol=0):
        raise DataError(
            f"{path}: pixels of {by_header} mm by its pixdim, {by_affine.tolist()} by its affine; "
            "mend one"
        )
    return by_header


def _turned(array: NDArray[Any], turn: NDArray[np.float64]) -> NDArray[Any]:
    orientations: Any = import_module("nibabel.orientations")
    turned: NDArray[Any] = orientations.apply_orientation(array, turn)
    return turned


def _nifti(grid: PixelGrid, upright: NDArray[Any]) -> bytes:
    nibabel: Any = import_module("nibabel")
    own = _turned(upright.T[:, :, None], grid.back).reshape(grid.shape)
    image = nibabel.Nifti1Image(own, grid.affine, grid.header)
    image.set_data_dtype(own.dtype)
    image.header["cal_min"] = image.header["cal_max"] = 0  # the image's own window hides a mask
    return gzip.compress(image.to_bytes(), compresslevel=4, mtime=0)


def mask_png(mask: NDArray[np.bool_]) -> bytes:
    """Return a mask (H, W) as a PNG of 0 and 255."""
    return _png(mask.astype(np.uint8) * 255)


def disagreement_png(spread: NDArray[np.float32]) -> bytes:
    """Return a map (H, W) of [0, 0.5] as a PNG of 0 to 255: a level is 1/510."""
    return _png(np.rint(spread * 510).astype(np.uint8))


def overlay(
    image: NDArray[Any], mask: NDArray[np.bool_], truth: NDArray[np.bool_] | None = None
) -> bytes:
    """Return a PNG of an image (H, W) in grey, with the outermost pixels of its mask in colour.

    Those of a truth (H, W) have another colour, below the mask's.
    """
    colour = np.repeat(grey(image)[:, :, None], 3, axis=2)
    for drawn, ink in ((truth, SKY), (mask, VERMILLION)):
        if drawn is not None:
            colour[drawn & ~ndimage.binary_erosion(drawn)] = ink
    return _png(colour)


def _png(array: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()
