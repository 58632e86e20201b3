"""The figshare archive: MATLAB v7.3 files N.mat in a folder, or in zips, which stay packed."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.folder import holds, numbered
from benchmark.data.guard import check_pixels, decoding, read_capped, read_member
from benchmark.data.slices import RawSlice
from benchmark.errors import DataError, UnsafeDataError

ARCHIVES = "brainTumorDataPublic_*.zip"
MEMBER = re.compile(r"(?:\w[\w .-]*/)?([0-9]{1,9})\.mat")  # at the top, or in one folder
MAX_MAT_BYTES = 16 * 1024 * 1024  # a slice of 512x512 needs 0.8 MB at most
MAX_MEMBERS = 10_000
CVIND = "cvind.mat"


def looks_like(source: Path) -> bool:
    """True for a zip file, and for a folder that holds N.mat files or the archive's zips."""
    return source.suffix.lower() == ".zip" or bool(_archives(source)) or _has_mats(source)


def read(source: Path) -> Iterator[RawSlice]:
    """Yield every slice of a folder of N.mat files, of a folder of the four zips, or of one zip.

    Images are int16 as in the archive, turned upright (MATLAB stores columns first). Raises
    `DataError` for a file that is damaged or lacks a field, and for a folder that holds both forms;
    `UnsafeDataError` for a header or a zip member that asks for more memory than a slice can need.
    """
    archives = [source] if source.is_file() else _archives(source)
    if archives and _has_mats(source):
        raise DataError(
            f"{source}: holds both N.mat files and {archives[0].name}; keep one of the two forms"
        )
    if not archives:
        for number, path in numbered(source, (".mat",), passed_over=(CVIND,)).items():
            yield decode(read_capped(path, MAX_MAT_BYTES), number, str(path))
    for archive in archives:
        yield from _read_zip(archive)


def _archives(source: Path) -> list[Path]:
    return sorted(source.glob(ARCHIVES)) if source.is_dir() else []


def _has_mats(source: Path) -> bool:
    names = (path.name for path in source.glob("*.mat"))
    return holds(source, (".mat",)) and any(map(MEMBER.fullmatch, names))


def _read_zip(path: Path) -> Iterator[RawSlice]:
    """Yield the slices of one zip: members named N.mat only, read up to a cap, none to disk."""
    with decoding(path):
        archive = zipfile.ZipFile(path)
    with archive:
        infos = archive.infolist()
        matches = ((MEMBER.fullmatch(info.filename), info) for info in infos)
        members = [(int(match[1]), info) for match, info in matches if match]
        if not members:
            raise DataError(
                f"{path}: no N.mat in it; if it holds the brainTumorDataPublic_*.zip files, "
                "unpack it once and give the folder they lie in"
            )
        if len(members) > MAX_MEMBERS:
            raise UnsafeDataError(
                f"{path}: {len(members)} members; the whole archive has 3064 slices; not read"
            )
        for number, info in sorted(members, key=lambda pair: pair[0]):
            origin = f"{path}:{info.filename}"
            data = read_member(archive, info, MAX_MAT_BYTES, origin)
            yield decode(data, number, origin)


def decode(data: bytes, slice_id: int, origin: str) -> RawSlice:
    """Decode the bytes of one N.mat file into a slice, upright; see `read` for the errors."""
    import h5py

    with decoding(origin), h5py.File(BytesIO(data), "r") as file:
        group = _member(file, "cjdata", h5py.Group, origin)
        label = _array(group, "label", origin)
        if label.size != 1 or label.dtype.kind not in "uif" or float(label.flat[0]) % 1:
            raise DataError(f"{origin}: cjdata/label {label.ravel()[:3]} must be one whole number")
        codes = _array(group, "PID", origin)
        if codes.dtype != np.uint16 or not codes.size or not ((codes > 32) & (codes < 127)).all():
            raise DataError(
                f"{origin}: cjdata/PID must be printable character codes (uint16), such as those "
                "of 100360"
            )
        return RawSlice(
            slice_id=slice_id,
            label=int(label.flat[0]),
            image=np.ascontiguousarray(_array(group, "image", origin).T),
            mask=np.ascontiguousarray(_array(group, "tumorMask", origin).T),
            origin=origin,
            patient_id="".join(map(chr, codes.ravel().tolist())),
        )


def _member(group: Any, name: str, kind: type, origin: str) -> Any:
    """Return a member of an HDF5 group; a link that leads out of the file is refused."""
    import h5py

    link = group.get(name, getlink=True)
    member = group.get(name) if isinstance(link, h5py.HardLink) else None
    if not isinstance(member, kind):
        raise DataError(
            f"{origin}: no {kind.__name__.lower()} {group.name.rstrip('/')}/{name} in it; "
            "this is no slice of the archive: remove it, or download it again"
        )
    return member


def _array(group: Any, name: str, origin: str) -> NDArray[Any]:
    """Read a numeric HDF5 dataset of checked size, as (columns, rows), in native byte order."""
    import h5py

    data = _member(group, name, h5py.Dataset, origin)
    check_pixels(data.shape or (), f"{origin}: cjdata/{name}")
    if data.external or data.is_virtual or data.dtype.kind not in "biuf":
        raise DataError(f"{origin}: {data.name} must be numbers inside this file, not {data.dtype}")
    array: NDArray[Any] = np.asarray(data[()])
    return array.astype(array.dtype.newbyteorder("="), copy=False)
