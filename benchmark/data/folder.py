"""Folders of files named by slice number, and the index.csv beside them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmark.data.guard import decoding
from benchmark.errors import DataError

MAX_DIGITS = 18  # slice numbers are stored as int64
Index = dict[int, tuple[int | None, str | None]]  # slice number -> label, patient; None: unknown


class Pair(NamedTuple):
    """The image and the mask of a slice; label and patient are None where unknown."""

    number: int
    image: Path
    mask: Path
    label: int | None
    patient: str | None


def holds(folder: Path, suffixes: tuple[str, ...]) -> bool:
    """True where the folder has a file with one of the suffixes (lower case)."""
    with decoding(folder, "check the path and your right to read it"):
        names = [path.name.lower() for path in folder.iterdir()] if folder.is_dir() else []
        return any(name.endswith(suffixes) for name in names)


def numbered(
    folder: Path, suffixes: tuple[str, ...], passed_over: tuple[str, ...] = ()
) -> dict[int, Path]:
    """Map slice number to file for every file `N<suffix>` but those whose name is passed_over.

    Raises `DataError` for a name that is no number, a number that is there twice, and a folder
    without any such file.
    """
    file_of: dict[int, Path] = {}
    with decoding(folder, "check the path and your right to read it"):
        paths = sorted(folder.iterdir())
    for path in paths:
        suffix = next((s for s in suffixes if path.name.lower().endswith(s)), None)
        if suffix is None or path.name.startswith(".") or path.name in passed_over:
            continue
        stem = path.name[: -len(suffix)]
        if not (stem.isascii() and stem.isdigit() and len(stem) <= MAX_DIGITS):
            raise DataError(
                f"{path}: the name must be the slice number, such as 12{suffix}; rename or remove "
                "it"
            )
        if (other := file_of.setdefault(int(stem), path)) != path:
            twice = f"slice {int(stem)} is there twice (also {other})"
            raise DataError(f"{path}: {twice}; remove one of the two")
    if not file_of:
        raise DataError(f"{folder}: no slice in it; looked for N{', N'.join(suffixes)}")
    return file_of


def paired(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Pair]:
    """Yield the files of `images/` and `masks/` by slice number, with what `index.csv` knows.

    Raises `DataError` as `numbered` and `read_index` do, and for an image without a mask or the
    reverse.
    """
    images, masks = numbered(folder / "images", suffixes), numbered(folder / "masks", suffixes)
    for number in sorted(set(images) ^ set(masks)):
        lone, missing = (images, "mask") if number in images else (masks, "image")
        raise DataError(
            f"{lone[number]}: no {missing} beside it; add {missing}s/{number}{suffixes[0]} or "
            "remove this file"
        )
    index = read_index(folder / "index.csv", images)
    for number in sorted(images):
        yield Pair(number, images[number], masks[number], *index[number])


def read_index(path: Path, needed: Iterable[int]) -> Index:
    """Read label and patient of every needed slice from index.csv.

    Columns: slice, and label and patient_id where known; None stands for a value that is empty,
    and for every value where there is no file. Raises `DataError` for a missing column, a value
    that is no whole number, a slice listed twice, or a needed slice that is not listed.
    """
    if not path.exists():
        return dict.fromkeys(needed, (None, None))
    rows: Index = {}
    with (
        decoding(path, "save it as comma-separated UTF-8 text"),
        path.open(newline="", encoding="utf-8-sig") as file,
    ):
        reader = csv.DictReader(file)
        if "slice" not in (reader.fieldnames or ()):
            raise DataError(
                f"{path}: no column 'slice'; needed: slice, and label and patient_id where known"
            )
        for where, row in ((f"{path}, line {line}", row) for line, row in enumerate(reader, 2)):
            number = _whole(row["slice"], "slice", where)
            text = (row.get("label") or "").strip()
            label = _whole(text, "label", where) if text else None
            if number in rows:
                twice = f"slice {number} is listed twice"
                raise DataError(f"{where}: {twice}; remove one of the two lines")
            rows[number] = (label, (row.get("patient_id") or "").strip() or None)
    for number in needed:
        if number not in rows:
            lacks = f"slice {number} is not listed, but its image exists"
            raise DataError(f"{path}: {lacks}; add its line")
    return rows


def _whole(text: str | None, column: str, where: str) -> int:
    text = (text or "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise DataError(f"{where}: {column} {text!r} must be a whole number")
    return int(text)
