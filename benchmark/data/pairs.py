"""A folder of image pairs: images/N.png and masks/N.png (PNG, WebP or TIFF), N the slice number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.folder import holds, paired
from benchmark.data.guard import check_pixels, decoding
from benchmark.data.slices import RawSlice
from benchmark.errors import DataError

SUFFIXES = (".png", ".webp", ".tif", ".tiff")
ORIENTATION, PHOTOMETRIC = 274, 262  # tags of EXIF and TIFF
FORMATS = ("PNG", "WEBP", "TIFF")  # else Pillow goes by content: an EPS .png starts a program
SEEN_AS_RGB = ("P", "PA", "CMYK", "YCbCr")  # modes in which a grey level is no number stored
TO_GREY = (
    "save its grey levels as a grey PNG, for instance with ImageMagick: "
    "magick IN.png -colorspace Gray OUT.png"
)


def looks_like(folder: Path) -> bool:
    """True where the folder holds `images/` with pictures in it, and `masks/`."""
    return holds(folder / "images", SUFFIXES) and (folder / "masks").is_dir()


def read(folder: Path) -> Iterator[RawSlice]:
    """Yield every pair of the folder, in order of slice number.

    An optional `index.csv` with the columns slice, label and patient_id tells label and patient
    (default of both: unknown, None). Raises `DataError` for an image without a mask, a mask
    without an image, a name that is no number, a slice that the index does not list, or a file
    that cannot be decoded.
    """
    for number, image, mask, label, patient in paired(folder, SUFFIXES):
        yield RawSlice(number, label, decode(image), decode(mask), str(image), patient)


def decode(path: Path, stream: IO[bytes] | None = None) -> NDArray[np.generic]:
    """Decode one grey picture to (H, W) bool, uint8 or uint16; stream: its bytes, if not on disk.

    Three equal channels count as grey, and so does a palette of grey colours, each pixel being the
    level it shows; alpha counts not at all. Raises `DataError` for any other colour, with the way
    to convert it.
    """
    with decoding(path), Image.open(stream or path, formats=FORMATS) as picture:
        check_pixels((picture.height, picture.width), path)
        if getattr(picture, "n_frames", 1) != 1:
            raise DataError(f"{path}: holds several pictures; save each slice in its own file")
        _check_tags(picture, path)
        picture.info.pop("transparency", None)  # it does not count, and Pillow would warn of it
        seen = picture.convert("RGB") if picture.mode in SEEN_AS_RGB else picture
        array: NDArray[np.generic] = np.asarray(seen)
    if array.ndim == 3:
        colour = array[..., : 1 if array.shape[2] == 2 else 3]
        if apart := int(np.ptp(colour, axis=2).max()):
            raise DataError(
                f"{path}: colour picture: red, green and blue differ by up to {apart}, "
                f"and a slice has one grey channel; {TO_GREY}"
            )
        array = colour[..., 0]
    if array.dtype == np.int32 and array.min() >= 0 and array.max() <= 65535:  # Pillow's mode I
        array = array.astype(np.uint16)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _check_tags(picture: Image.Image, path: Path) -> None:
    """Raise `DataError` for tags that change what is seen, and that Pillow does not carry out."""
    if (turn := picture.getexif().get(ORIENTATION, 1)) not in (0, 1):
        tagged = f"its orientation tag ({turn}) turns it"
        raise DataError(f"{path}: {tagged}; save it upright, without the tag")
    if picture.mode not in ("1", "L") and getattr(picture, "tag_v2", {}).get(PHOTOMETRIC) == 0:
        raise DataError(f"{path}: its least value is white; save it with 0 for black")
