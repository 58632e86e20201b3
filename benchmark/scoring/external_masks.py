"""What a tool that never ran here hands over, made fit to be judged: a split, and a folder of
masks.

Masks are decoded as the slices' own are, NIfTI by the axes that `data/nifti.py` describes;
nothing is resized, turned or thresholded to make it fit.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.folder import numbered
from benchmark.data.guard import check_pixels, decoding, read_capped
from benchmark.data.slices import SliceSet
from benchmark.errors import DataError, SplitError, known
from benchmark.scoring.evaluate import score
from benchmark.splits.split import SETS, Split, read

BITMAP = ".bmp"
PICTURES = (".png", ".tif", ".tiff", ".webp", BITMAP)
VOLUMES = (".nii.gz", ".nii")
MAX_SPLIT_BYTES = 10_000_000
FORM = 'it must hold {"train": [...], "val": [...], "test": [...]} with slice numbers; val may be left out'
TURNED_GAIN = 0.2  # of pooled Dice, from which masks are taken to be turned
TURNS = {  # what would undo it: transposed, flipped in rows, flipped in columns
    "upside down": (False, True, False),
    "mirrored": (False, False, True),
    "turned by 180 degrees": (False, True, True),
    "with rows and columns swapped": (True, False, False),
    "turned by 90 degrees clockwise": (True, True, False),
    "turned by 90 degrees counter-clockwise": (True, False, True),
    "with rows and columns swapped and turned by 180 degrees": (True, True, True),
}
WORDS = {
    "n": "test slices",
    "dice_mean": "mean Dice",
    "dice_sd": "SD over slices",
    "dice_median": "median Dice",
    "dice_mean_detected": "mean Dice, detected only",
    "missed": "missed tumours",
    "dice_mean_by_patient": "mean over patients",
}


@dataclass(frozen=True, eq=False)
class ExternalScores:
    """scores: one row per test slice, the columns of a run's scores.csv; doubt: a sentence, ""
    where there is none.
    """

    dataset_id: str
    split: Split
    scores: pd.DataFrame
    doubt: str


@cache
def _shipped() -> Mapping[str, tuple[str, Split]]:
    """Name -> (dataset_id, split) of every split in the package."""
    found = {}
    for path in sorted(
        (files("reference_results") / "splits").iterdir(), key=lambda path: path.name
    ):
        if path.name.endswith(".json"):
            stored = read(path.read_text(encoding="utf-8"), path.name)
            split = Split(stored["split_id"], *(stored[name] for name in SETS))
            found[split.split_id] = (stored["dataset_id"], split)
    return found


def shipped(slices: SliceSet) -> list[Split]:
    """Return the splits of the package that are of these slices, by name; none for other slices."""
    return [split for dataset_id, split in _shipped().values() if dataset_id == slices.dataset_id]


def read_split(word: str, slices: SliceSet) -> Split:
    """Return the split that a word names: one of the package's, such as by-image-1, else a JSON
    file.

    A file holds slice numbers under train, val and test; it may leave slices out, and train
    and val too. Raises `SplitError` for an unknown name, a split of other slices, a damaged
    file, no test slice, a slice listed twice or in two sets, and a slice that is not in the data.
    """
    stored: Mapping[str, Any]
    if word in _shipped():
        dataset_id, split = _shipped()[word]
        stored = {"dataset_id": dataset_id}
    else:
        path = Path(word)
        if not path.is_file():
            raise SplitError(f"{known('split', word, _shipped())}, or the path of a JSON file")
        stored = _parsed(path)
        split = Split(path.name, *(_numbers(stored.get(name, []), name, path) for name in SETS))
    if stored.get("dataset_id", slices.dataset_id) != slices.dataset_id:
        raise SplitError(
            f"{word}: is of dataset {str(stored['dataset_id'])[:12]}, but the slices given are "
            f"{slices.dataset_id[:12]}; give the slices it belongs to, or a split file of yours"
        )
    _check(split, set(slices.slice_id.tolist()))
    return split


def _parsed(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(read_capped(path, MAX_SPLIT_BYTES).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SplitError(f"{path}: cannot be read as JSON ({error}); {FORM}") from error
    if not isinstance(stored, dict):
        raise SplitError(f"{path}: holds a {type(stored).__name__}; {FORM}")
    return stored


def _numbers(listed: object, name: str, path: Path) -> tuple[int, ...]:
    if not isinstance(listed, list):
        raise SplitError(f"{path}: {name} is a {type(listed).__name__}, not a list; {FORM}")
    for value in listed:
        if type(value) is not int:
            raise SplitError(f"{path}: {str(value)[:40]!r} in {name} is no slice number; {FORM}")
    return tuple(sorted(listed))


def _check(split: Split, ids: set[int]) -> None:
    """Raise `SplitError` for what no split may be; it need not be complete."""
    if not split.test:
        raise SplitError(f'{split.split_id}: the test set is empty; list its slices under "test"')
    home: dict[int, str] = {}
    for name in SETS:
        for number in getattr(split, name):
            if number not in ids:
                raise SplitError(
                    f"{split.split_id}: slice {number} of {name} is not in the data; give the slices that the split is "
                    "of, or mend its numbers"
                )
            if number in home:
                where = (
                    f"twice in {name}"
                    if home[number] == name
                    else f"in both {home[number]} and {name}"
                )
                raise SplitError(
                    f"{split.split_id}: slice {number} is {where}; keep it in one place"
                )
            home[number] = name


def judge(folder: Path, split: Split, slices: SliceSet) -> ExternalScores:
    """Score a folder of masks on a split's test slices; raises as `read_masks` does."""
    masks = read_masks(folder, split.test, slices)
    return ExternalScores(
        slices.dataset_id, split, score(slices, masks, split.test), turned(masks, slices)
    )


def read_masks(
    folder: Path, wanted: Collection[int], slices: SliceSet
) -> dict[int, NDArray[np.bool_]]:
    """Read one mask (H, W) bool, True = tumour, for each wanted slice number from files named by
    it.

    Files are N.png, .tif, .tiff, .webp, .bmp, .nii or .nii.gz, with 0 for background and one
    other value for tumour; an empty mask is a tumour not found. Files of other kinds are
    passed over. Raises `DataError` for a folder that is not there or has no such file, a name
    that is no number, a slice that is missing, superfluous or there twice, another size than
    the slices', more than two values, and a file that cannot be decoded.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; give the folder that holds the masks")
    found = numbered(folder, VOLUMES + PICTURES)
    missing, odd = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    faults = []
    if missing:
        faults.append(
            f"{len(missing)} of the {len(wanted)} test slices have no mask ({_first(missing)}): add them, an empty "
            "mask where nothing was found, for a missing slice never leaves the mean"
        )
    if odd:
        faults.append(
            f"{len(odd)} masks are of no test slice ({_first(odd)}): move them away, or give their own split"
        )
    if faults:
        raise DataError(f"{folder}: {'; '.join(faults)}")
    return {number: _mask(found[number], slices.shape) for number in sorted(found)}


def _first(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")


def _mask(path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode one mask and hold it to the rules; see `read_masks`."""
    array = _decode(path)
    if array.shape != shape:
        raise DataError(
            f"{path}: the mask is {array.shape[0]}x{array.shape[1]}, but the slices are {shape[0]}x{shape[1]}; write "
            "it at the slices' own size, resized by nearest neighbour"
        )
    if array.dtype.kind not in "buif":
        raise DataError(f"{path}: the mask holds {array.dtype}; write whole numbers")
    mask: NDArray[np.bool_] = array != 0
    tumour = array[mask]
    if tumour.size:
        low, high = float(tumour.min()), float(tumour.max())
        if not (low == high and low > 0 and low.is_integer()):
            values = np.unique(array)
            raise DataError(
                f"{path}: the mask holds {len(values)} values ({_first(values.tolist())}), not 0 and one whole number "
                "above it; threshold a probability map, keep one class of several, and write a lossless file"
            )
    return mask


def _decode(path: Path) -> NDArray[Any]:
    from benchmark.data import nifti, pairs

    name = path.name.lower()
    if name.endswith(VOLUMES):
        return nifti.decode(path)[0]
    return _bitmap(path) if name.endswith(BITMAP) else pairs.decode(path)


def _bitmap(path: Path) -> NDArray[np.uint8]:
    """Decode a BMP to (H, W); slices never come as BMP, so `pairs.decode` does not open it."""
    from PIL import Image

    with decoding(path), Image.open(path, formats=("BMP",)) as picture:
        check_pixels((picture.height, picture.width), path)
        colour = np.asarray(picture.convert("RGB"))
    if not (colour == colour[..., :1]).all():
        raise DataError(f"{path}: colour picture; a mask has one grey channel: convert it to grey")
    return colour[..., 0]


def turned(masks: Mapping[int, NDArray[np.bool_]], slices: SliceSet) -> str:
    """Say so where the masks (H, W) fit the truth far better turned or mirrored; "" where they do
    not, or are empty.

    Files do not tell such a slip, and it looks like a poor tool. Nothing is turned here.
    """
    where = {int(number): i for i, number in enumerate(slices.slice_id)}
    truths = [slices.masks[where[number]] for number in masks]
    pixels = sum(map(np.count_nonzero, [*masks.values(), *truths]))
    if not pixels:
        return ""

    def dice(swap: bool, rows: bool, columns: bool) -> float:
        step = (slice(None, None, -1 if rows else 1), slice(None, None, -1 if columns else 1))
        fitted = ((mask.T if swap else mask)[step] for mask in masks.values())
        return (
            2 * sum(np.count_nonzero(a & b) for a, b in zip(fitted, truths, strict=True)) / pixels
        )

    square = slices.shape[0] == slices.shape[1]
    found = {name: dice(*turn) for name, turn in TURNS.items() if square or not turn[0]}
    name, as_read = max(found, key=lambda one: found[one]), dice(False, False, False)
    if found[name] < as_read + TURNED_GAIN:
        return ""
    return (
        f"The masks seem to be {name}: all test slices pooled, their Dice is {as_read:.3f} as they were read, and "
        f"{found[name]:.3f} with that undone. Nothing was turned; check how they were written."
    )


def summary_text(summary: Mapping[str, float | int]) -> Iterable[tuple[str, str]]:
    """Yield (words, value) of each number of `summarise`, to four decimals; those that are not
    known say so.
    """
    for key, value in summary.items():
        text = (
            str(value)
            if isinstance(value, int)
            else f"{value:.4f}"
            if np.isfinite(value)
            else "unknown"
        )
        yield WORDS.get(key, key.replace("_", " ")), text
