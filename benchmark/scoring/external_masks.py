"""A folder of masks that a tool made which never ran here: read, and scored as a run is.

Masks are decoded as the slices' own are, NIfTI by the axes that `data/nifti.py` describes;
nothing is resized, turned or thresholded to make it fit.
What seems turned or inverted is refused: see `mask_orientation`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.folder import numbered
from benchmark.data.guard import check_pixels, decoding
from benchmark.data.slices import Mask, SliceSet
from benchmark.errors import DataError
from benchmark.scoring.evaluate import score
from benchmark.scoring.mask_orientation import equal_to_truth, misfit
from benchmark.splits.split import Split

BITMAP = ".bmp"
PICTURES = (".png", ".tif", ".tiff", ".webp", BITMAP)
VOLUMES = (".nii.gz", ".nii")
TRUTH_ITSELF = 0.1  # of the slices; no mask of a run shipped here is the truth to the pixel
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
    """scores: one row per test slice, the columns of a run's scores.csv; warning: lines, or ""."""

    dataset_id: str
    split: Split
    scores: pd.DataFrame
    warning: str


def judge(
    folder: Path, split: Split, slices: SliceSet, *, as_they_are: bool = False
) -> ExternalScores:
    """Score a folder of masks on a split's test slices.

    Raises as `read_masks` does, and `DataError` where the masks seem turned or inverted; with
    as_they_are those are scored all the same, and the warning says so. It also says where masks
    are the truth itself.
    """
    masks = read_masks(folder, split.test, slices)
    if (doubt := misfit(masks, slices)) and not as_they_are:
        raise DataError(
            f"{folder}: {doubt}; nothing was scored: {doubt.cure}, or have them scored with "
            "--as-they-are"
        )
    warnings = [f"{folder}: {doubt}. Nothing was turned."] if doubt else []
    equal, tumours = equal_to_truth(masks, slices)
    if equal and equal >= TRUTH_ITSELF * tumours:
        warnings.append(
            f"{folder}: these masks equal the truth on {equal} of {tumours} slices: is this the "
            "folder of the truth?"
        )
    return ExternalScores(
        slices.dataset_id, split, score(slices, masks, split.test), "\n".join(warnings)
    )


def read_masks(folder: Path, wanted: Collection[int], slices: SliceSet) -> dict[int, Mask]:
    """Read one mask (H, W) bool, True = tumour, for each wanted slice from a file of its number.

    Files are N.png, .tif, .tiff, .webp, .bmp, .nii or .nii.gz, with 0 for background and one other
    value for tumour; an empty mask is a tumour not found. Files of other kinds are passed over.
    Raises `DataError` for a folder that is not there or has no such file, a name that is no
    number, numbers that are all one too low or too high, a slice that is missing, superfluous or
    there twice, another size than the slices',
    more than two values, and a file that cannot be decoded.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; give the folder that holds the masks")
    paths = numbered(folder, VOLUMES + PICTURES)
    for shift, off in ((1, "low"), (-1, "high")):
        if {number + shift for number in paths} == set(wanted):
            raise DataError(
                f"{folder}: every number is one too {off}: the masks are {_first(sorted(paths))}, "
                f"the test slices {_first(sorted(wanted))}; rename the files"
            )
    faults = []
    if missing := sorted(set(wanted) - set(paths)):
        faults.append(
            f"{len(missing)} of the {len(wanted)} test slices have no mask ({_first(missing)}): "
            "add them, an empty mask where nothing was found, for a missing slice never leaves the "
            "mean"
        )
    if odd := sorted(set(paths) - set(wanted)):
        faults.append(
            f"{len(odd)} masks are of no test slice ({_first(odd)}): move them away, or give their "
            "own split"
        )
    if faults:
        raise DataError(f"{folder}: {'; '.join(faults)}")
    return {number: _mask(paths[number], slices.shape) for number in sorted(paths)}


def _first(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")


def _mask(path: Path, shape: tuple[int, int]) -> Mask:
    """Decode one mask and hold it to the rules; see `read_masks`."""
    array = _decode(path)
    if array.shape != shape:
        raise DataError(
            f"{path}: the mask is {array.shape[0]}x{array.shape[1]}, but the slices are "
            f"{shape[0]}x{shape[1]}; write it at the slices' own size, resized by nearest neighbour"
        )
    if array.dtype.kind not in "buif":
        raise DataError(f"{path}: the mask holds {array.dtype}; write whole numbers")
    mask: Mask = array != 0
    tumour = array[mask]
    if tumour.size:
        low, high = float(tumour.min()), float(tumour.max())
        if not (low == high and low > 0 and low.is_integer()):
            values = np.unique(array)
            raise DataError(
                f"{path}: the mask holds {len(values)} values ({_first(values.tolist())}), not 0 "
                "and one whole number above it; threshold a probability map, keep one class of "
                "several, and write a lossless file"
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


def summary_text(summary: Mapping[str, float | int]) -> Iterable[tuple[str, str]]:
    """Yield (words, value) of each number of `summarise`, to four decimals, or "unknown"."""
    for key, value in summary.items():
        decimals = f"{value:.4f}" if np.isfinite(value) else "unknown"
        text = str(value) if isinstance(value, int) else decimals
        yield WORDS.get(key, key.replace("_", " ")), text
