"""A second reading of Cheng's slices: masks of the data set BRISC 2025, brought to Cheng's grid.

BRISC 2025 (Fateh et al., arXiv 2506.14318) outlines tumours anew on pictures that others had
published; 1315 of its 1635 meningioma pictures show 683 of Cheng's 708 slices, 619 of them in two
variants or more. The table beside this file says which picture shows which slice: facts about the
data, not data. The masks come from the user's own copy of BRISC.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.guard import decoding, read_capped, read_member
from benchmark.data.pairs import decode
from benchmark.data.slices import Mask, mask_hash
from benchmark.errors import DataError

TABLE = "brisc.csv"
NAME = "second reading (BRISC 2025)"
LICENCE = "CC BY 4.0"
ATTRIBUTION = (
    "Masks: Fateh, Rezvani, Moayedi, Rezvani, Fateh, Fateh and Abolghasemi (2025), BRISC: "
    "Annotated Dataset for Brain Tumor Segmentation and Classification, arXiv:2506.14318, "
    "doi:10.6084/m9.figshare.30533120, CC BY 4.0; thresholded, mirrored back and brought to the "
    "grid of Cheng's slices here"
)
OF_BRISC = re.compile(r"brisc2025_(?:train|test)_\d+_[a-z]{2}_[a-z]{2}_t1")  # without the suffix
ON_THE_GRID = re.compile(r"([1-9]\d{0,17})_(0|[1-9]\d{0,2})")  # N_V; N_0000 is nnU-Net's, no V
SUFFIX = ".png"
MAX_MASK_BYTES = 16 * 1024 * 1024  # a mask of 512x512 needs some KB
Variant = tuple[int, int]  # slice number, variant
Masks = dict[Variant, Mask]


@dataclass(frozen=True)
class Picture:
    """What the table knows of one picture of BRISC.

    name: of its file, without the suffix; mirrored: left and right are swapped against Cheng's
    slice; mask_sha256: `mask_hash` of its mask on Cheng's grid, as it was scored here.
    """

    name: str
    mirrored: bool
    mask_sha256: str


@dataclass(frozen=True)
class _Source:
    """The PNGs of a folder or a zip at any level, by path in it; read gives the bytes of one."""

    path: Path
    names: tuple[str, ...]
    read: Callable[[str], bytes]


@cache
def brisc_table() -> Mapping[Variant, Picture]:
    """The shipped table, by slice number and variant.

    Variants of a slice are numbered from 0 in the order of BRISC's files, train before test.
    """
    text = (files("benchmark.data") / TABLE).read_text(encoding="utf-8")
    return {
        (int(row["slice"]), int(row["variant"])): Picture(
            row["brisc_file"].rpartition(".")[0], row["mirrored"] == "1", row["mask_sha256"]
        )
        for row in csv.DictReader(text.splitlines())
    }


def looks_like(path: Path) -> bool:
    """True for a folder or a zip that holds masks of BRISC, or whose PNGs are all named N_V.png."""
    stems = _stems(path)
    return any(map(OF_BRISC.fullmatch, stems)) or (
        bool(stems) and all(map(ON_THE_GRID.fullmatch, stems))
    )


def holds_brisc(path: Path) -> bool:
    """True for a folder or a zip with a PNG named as BRISC names its masks."""
    return any(map(OF_BRISC.fullmatch, _stems(path)))


def _stems(path: Path) -> list[str]:
    if not (path.is_dir() or (path.is_file() and zipfile.is_zipfile(path))):
        return []
    with _opened(path) as source:
        return [PurePosixPath(name).stem for name in source.names]


def read(path: Path, shape: tuple[int, int]) -> Masks:
    """Read every mask of a second reading, as (H, W) = shape bool, by slice number and variant.

    path is a folder or a zip with, at any level, BRISC's `masks/NAME.png`, of which those are read
    that the table names, or N_V.png: variant V of slice N, on the slices' own grid. A pixel is
    tumour, in a mask of BRISC, where it is above half of what the file's type can hold (127 of 255,
    so that a fringe of greys does not count), or 1 in a mask of 0 and 1; in N_V.png, which has one
    value above 0, where it is not 0. BRISC's masks are then mirrored back where the
    table says so, and resized by nearest neighbour where they are not of this shape. An empty mask
    is a mask. Raises `DataError` for a mask that is there twice or cannot be decoded, a mask N_V of
    another size, and where there is none; `UnsafeDataError` for a file that unpacks to far more
    than a mask.
    """
    named = {picture.name: key for key, picture in brisc_table().items()}
    found: dict[Variant, str] = {}
    masks: Masks = {}
    with _opened(path) as source:
        for name in source.names:
            stem = PurePosixPath(name).stem
            on_grid = ON_THE_GRID.fullmatch(stem)
            key = (int(on_grid[1]), int(on_grid[2])) if on_grid else named.get(stem)
            if key is None:
                continue
            if (other := found.setdefault(key, name)) != name:
                raise DataError(
                    f"{path}: {name}: variant {key[1]} of slice {key[0]} is there twice (also "
                    f"{other}); remove one of the two, or give the folder of one"
                )
            origin = Path(path, name)
            levels = decode(origin, io.BytesIO(source.read(name)))
            marked = _not_zero(levels, origin) if on_grid else _above_half(levels, origin)
            if on_grid and marked.shape != shape:
                raise DataError(
                    f"{origin}: the mask is {marked.shape[0]}x{marked.shape[1]}, but the slices "
                    f"are {shape[0]}x{shape[1]}; write it at the slices' own size"
                )
            masks[key] = marked if on_grid else on_grid_of(marked, shape, brisc_table()[key])
    if not masks:
        raise DataError(
            f"{path}: none of the 1315 masks of BRISC that show Cheng's meningiomas is in it; give "
            "its folder segmentation_task, or the zip that holds it"
        )
    return dict(sorted(masks.items()))


def on_grid_of(mask: Mask, shape: tuple[int, int], picture: Picture) -> Mask:
    """Bring a mask of BRISC to Cheng's grid: mirrored back, then resized by nearest neighbour.

    The middle of each pixel is looked up, as Pillow and OpenCV's exact form do.
    """
    upright = mask[:, ::-1] if picture.mirrored else mask
    rows, columns = (
        np.floor((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(shape, mask.shape, strict=True)
    )
    return np.ascontiguousarray(upright[np.ix_(rows, columns)])


def chosen(masks: Mapping[Variant, Mask]) -> dict[int, Mask]:
    """The mask that counts for each slice, by its number: the lowest variant that is there."""
    lowest = {number: (number, v) for number, v in sorted(masks, reverse=True)}
    return {number: masks[key] for number, key in sorted(lowest.items())}


def differing(masks: Mapping[Variant, Mask]) -> list[Variant]:
    """Those masks that are not, to the pixel, the ones that the table has the hash of."""
    table = brisc_table()
    return [
        key
        for key, mask in masks.items()
        if key not in table or mask_hash(mask) != table[key].mask_sha256
    ]


def _not_zero(levels: NDArray[Any], origin: Path) -> Mask:
    values = np.unique(levels)
    if len(values[values != 0]) > 1:
        raise DataError(
            f"{origin}: the mask holds {len(values)} values, not 0 and one above it; threshold it"
        )
    return np.asarray(levels != 0)


def _above_half(levels: NDArray[Any], origin: Path) -> Mask:
    if levels.dtype == bool:
        return levels.astype(bool)
    top = levels.max(initial=0)
    half = np.iinfo(levels.dtype).max // 2
    if 1 < top <= half:
        raise DataError(
            f"{origin}: the brightest pixel is {top}, and a mask of BRISC has its tumour above "
            f"{half}; give BRISC's own masks"
        )
    return np.asarray(levels > (half if top > 1 else 0))


@contextmanager
def _opened(path: Path) -> Iterator[_Source]:
    """Open a folder or a zip; what is hidden, and what macOS adds to zips, is passed over."""

    def seen(name: str) -> bool:
        hidden = any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
        return name.lower().endswith(SUFFIX) and not hidden

    if path.is_dir():
        with decoding(path, "check the path and your right to read it"):
            names = [p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()]
        yield _Source(
            path,
            tuple(sorted(filter(seen, names))),
            lambda name: read_capped(path / name, MAX_MASK_BYTES),
        )
        return
    with decoding(path):
        archive = zipfile.ZipFile(path)
    with archive:
        infos = {info.filename: info for info in archive.infolist() if seen(info.filename)}
        yield _Source(
            path,
            tuple(sorted(infos)),
            lambda name: read_member(archive, infos[name], MAX_MASK_BYTES, f"{path}:{name}"),
        )
