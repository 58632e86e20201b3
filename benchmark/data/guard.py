"""One rule for every decoder: what it raises on a damaged file leaves as one clear `DataError`."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.errors import BenchmarkError, DataError, UnsafeDataError

MAX_PIXELS = 4096 * 4096  # a header that promises more is lying, or is no slice
DAMAGED = "the file is damaged: copy or download it again"
UNREADABLE = "check the path and your right to read it"


@contextmanager
def decoding(origin: object, cure: str = DAMAGED) -> Iterator[None]:
    """Turn any exception of a decoder into a `DataError` that names origin and cure.

    Pillow, h5py, zipfile, NiBabel and numpy raise OSError, ValueError, KeyError, struct.error,
    zlib.error, MemoryError and more on hostile bytes, so the net is wide on purpose; keep the block
    inside it small. A `BenchmarkError` passes unchanged.
    """
    try:
        yield
    except BenchmarkError:
        raise
    except Exception as error:
        what = (str(error).splitlines() or [""])[0][:200]
        if cure == DAMAGED and isinstance(error, PermissionError | FileNotFoundError):
            cure = UNREADABLE
        what = f"{type(error).__name__}: {what}"
        raise DataError(f"{origin}: cannot be read ({what}); {cure}") from error


def read_capped(path: Path, limit: int, cure: str = "not read") -> bytes:
    """Return the bytes of a file, or raise `UnsafeDataError` where it holds more than limit."""
    with decoding(path):
        size = path.stat().st_size
        if size > limit:
            raise UnsafeDataError(
                f"{path}: {size} bytes, but a file of this kind needs at most {limit}; {cure}"
            )
        return path.read_bytes()


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int, origin: str) -> bytes:
    """Return the bytes of a member of a zip, or raise `UnsafeDataError` where it unpacks to more
    than limit, or not to what the zip promises.
    """
    if info.file_size > limit:
        raise UnsafeDataError(
            f"{origin}: unpacks to {info.file_size} bytes, but a slice needs at most {limit}; not "
            "read"
        )
    with decoding(origin), archive.open(info) as stream:
        data = stream.read(limit + 1)
    if len(data) != info.file_size:
        raise UnsafeDataError(
            f"{origin}: {len(data)} bytes, but the zip promises {info.file_size}; not read"
        )
    return data


def check_pixels(shape: tuple[int, ...], origin: object) -> None:
    """Raise `UnsafeDataError` where a header promises a negative size or more than `MAX_PIXELS`."""
    sides = [int(side) for side in shape]  # numpy's own would overflow
    if math.prod(sides) > MAX_PIXELS or any(side < 0 for side in sides):
        raise UnsafeDataError(
            f"{origin}: header promises {'x'.join(map(str, sides))} values, but a slice has at "
            f"most {MAX_PIXELS}; not read: {DAMAGED}"
        )
