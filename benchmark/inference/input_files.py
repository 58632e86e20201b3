"""Which files are slices to outline, and what is written for each: names alone, nothing is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark.data import nifti, pairs
from benchmark.data.guard import UNREADABLE, decoding
from benchmark.errors import DataError

SUFFIXES = (*nifti.SUFFIXES, *pairs.SUFFIXES)
MASK, OVERLAY = "_mask", "_overlay"  # end the names of what is written
DISAGREEMENT = "_disagreement"  # of several models
LONGEST_NAME = 255  # bytes, on all usual file systems


def stem(path: Path) -> str:
    """The file's name without its suffix; `DataError` for a suffix that is none of `SUFFIXES`."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    raise DataError(
        f"{path}: must end in {', '.join(SUFFIXES)}; convert it, a DICOM series to NIfTI"
    )


def outputs(path: Path, several: bool = False) -> tuple[str, ...]:
    """The names of the mask and the overlay written for a slice, and of several models the map."""
    suffix = ".nii.gz" if path.name.lower().endswith(nifti.SUFFIXES) else ".png"
    maps = [f"{stem(path)}{DISAGREEMENT}{suffix}"] if several else []
    return f"{stem(path)}{MASK}{suffix}", f"{stem(path)}{OVERLAY}.png", *maps


def find(places: Iterable[Path]) -> list[Path]:
    """Return the files named, and every slice in the folders named, by name; each once.

    In a folder, hidden files and what `passed_over` counts are passed over, and so are N_mask,
    N_overlay and N_disagreement where N is there too. Raises `DataError` for a path that is not
    there, and a folder without slices.
    """
    paths: dict[Path, Path] = {}
    for place in places:
        if not place.exists():
            raise DataError(
                f"{place}: not there; give images of one slice each, or folders of them"
            )
        for path in _slices(place) if place.is_dir() else [place]:
            paths.setdefault(path.absolute(), path)
    return list(paths.values())


def passed_over(places: Iterable[Path]) -> str:
    """A sentence that counts files of other kinds and folders in the folders named, or ""."""
    entries = [path for place in places if place.is_dir() for path in _visible(place)]
    folders = sum(path.is_dir() for path in entries)
    others = len(entries) - folders - sum(map(_is_slice, entries))
    if not others and not folders:
        return ""
    return f"Passed over: files of other kinds: {others}, folders: {folders}."


def _visible(folder: Path) -> list[Path]:
    with decoding(folder, UNREADABLE):
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _is_slice(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES) and not path.is_dir()


def _slices(folder: Path) -> list[Path]:
    """The slices in a folder, but for masks and overlays of others there."""
    slices = [path for path in _visible(folder) if _is_slice(path)]
    if not slices:
        raise DataError(
            f"{folder}: no slice in it; looked for files that end in {', '.join(SUFFIXES)}"
        )
    names = {stem(path) for path in slices}
    written = {name + end for name in names for end in (MASK, OVERLAY, DISAGREEMENT)}
    return [path for path in slices if stem(path) not in written]


def check_names(paths: Sequence[Path], several: bool = False) -> None:
    """Raise `DataError` for a name that cannot be written, or that differs from another in case."""
    owner: dict[str, Path] = {}
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{str(path)!a}: its name is not UTF-8; rename it") from error
        for name in outputs(path, several):
            if len(os.fsencode(name)) > LONGEST_NAME:
                raise DataError(
                    f"{path}: {name} would be longer than {LONGEST_NAME} bytes; "
                    "shorten the file's name"
                )
            if (first := owner.setdefault(name.casefold(), path)) is not path:
                raise DataError(
                    f"{first} and {path} would be written to one name; "
                    "give them apart, with an --out each"
                )
