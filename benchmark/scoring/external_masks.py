"""A folder of masks that a tool made which never ran here: read, and scored as a run is.

Masks are decoded as the slices' own are, NIfTI by the axes that `data/nifti.py` describes;
nothing is resized, turned or thresholded to make it fit, but for BRISC's: see `data/brisc.py`.
What seems turned or inverted is refused: see `mask_orientation`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data import brisc
from benchmark.data.folder import numbered
from benchmark.data.guard import check_pixels, decoding
from benchmark.data.registry import cheng_registry
from benchmark.data.slices import Mask, SliceSet, mask_hash
from benchmark.errors import DataError
from benchmark.scoring.evaluate import score
from benchmark.scoring.mask_orientation import equal_to_truth, misfit
from benchmark.scoring.nnunet_folds import mask_folders
from benchmark.scoring.overlap import count
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
    """scores: one row per test slice that was scored, the columns of a run's scores.csv.

    left_out: the other test slices, slice_id and patient_id, which have no mask; warning: lines of
    text, or ""; parts: the splits that split is pooled of, none where it is one.
    """

    dataset_id: str
    split: Split
    scores: pd.DataFrame
    warning: str
    left_out: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["slice_id", "patient_id"])
    )
    parts: tuple[Split, ...] = ()

    @property
    def share(self) -> str:
        """How many test slices were scored, as words: the 106, or 102 of the 106."""
        n = len(self.scores)
        return f"{n} of the {n + len(self.left_out)}" if len(self.left_out) else f"the {n}"

    @property
    def table(self) -> pd.DataFrame:
        """scores, and a row for each slice that was left out, with no measure in it."""
        if self.left_out.empty:
            return self.scores
        rows = pd.concat([self.scores.astype(object), self.left_out.astype(object)])
        return rows.sort_values("slice_id", ignore_index=True)

    @property
    def left_out_text(self) -> str:
        """Which were left out and of how many patients nothing was scored, or ""."""
        if self.left_out.empty:
            return ""
        gone = set(self.left_out["patient_id"].dropna()) - set(self.scores["patient_id"])
        numbers = _first(self.left_out["slice_id"].tolist(), 25)
        n = len(self.left_out)
        return (
            f"Left out, by --only-common: {n} test slice{'s' * (n != 1)} without a mask "
            f"({numbers}); no slice is left of {len(gone)} patient{'s' * (len(gone) != 1)}."
        )


def judge(
    folder: Path,
    split: Split,
    slices: SliceSet,
    *,
    parts: Sequence[Split] = (),
    as_they_are: bool = False,
    only_common: bool = False,
) -> ExternalScores:
    """Score a folder of masks on a split's test slices.

    parts: the splits that it is pooled of, if several; the folder may then be that of a trainer of
    nnU-Net's (`nnunet_folds`). only_common: on slices that have a mask. Raises as `read_masks` and
    `nnunet_folds.mask_folders` do, and `DataError` where the
    masks seem turned or inverted; with as_they_are those are scored all the same, and the warning
    says so. It also says where masks are the truth itself, and what a second reading is made of: of
    a slice that it outlines more than once the lowest variant counts. BRISC on other slices than
    Cheng's is a `DataError`.
    """
    if brisc.looks_like(folder):
        variants = brisc.read(folder, slices.shape)
        read, notes = brisc.chosen(variants), [second_reading_note(variants)]
        if (odd := sorted(set(read) - set(slices.row_of))) and not only_common:
            raise DataError(
                f"{folder}: read as a second reading, N_V.png being variant V of slice N; there "
                f"is no slice {_first(odd)}: name the masks N.png"
            )
        masks = {number: read[number] for number in sorted(set(read) & set(split.test))}
        missing = sorted(set(split.test) - set(masks))
        if missing and not (only_common and masks):
            raise DataError(f"{folder}: {_lacking(missing, len(split.test), bool(masks))}")
        if brisc.holds_brisc(folder):
            _check_chengs(masks, slices, folder)
    else:
        masks, notes = {}, []
        for where, test in mask_folders(folder, parts or (split,), only_common=only_common):
            masks |= read_masks(where, test, slices, only_common=only_common)
    if (doubt := misfit(masks, slices)) and not as_they_are:
        raise DataError(
            f"{folder}: {doubt}; nothing was scored: {doubt.cure}, or have them scored with "
            "--as-they-are"
        )
    notes += [f"{folder}: {doubt}. Nothing was turned."] if doubt else []
    equal, tumours = equal_to_truth(masks, slices)
    if equal and equal >= TRUTH_ITSELF * tumours:
        notes.append(
            f"{folder}: these masks equal the truth on {equal} of {tumours} slices: is this the "
            "folder of the truth?"
        )
    return ExternalScores(
        slices.dataset_id,
        split,
        score(slices, masks, tuple(masks)),
        "\n".join(notes),
        pd.DataFrame(
            [(n, slices.patient_of[n]) for n in sorted(split.test) if n not in masks],
            columns=["slice_id", "patient_id"],
        ),
        tuple(parts),
    )


def _check_chengs(numbers: Iterable[int], slices: SliceSet, folder: Path) -> None:
    """Raise `DataError` for a slice that is not the one of that number in Cheng's dataset."""
    for number in numbers:
        known = cheng_registry().get(mask_hash(slices.masks[slices.row_of[number]]))
        if known is None or known.slice_id != number:
            raise DataError(
                f"{folder}: BRISC's masks are of Cheng's slices, but slice {number} of the slices "
                "given is not his: give Cheng's with --data"
            )


def second_reading_note(variants: Mapping[brisc.Variant, Mask]) -> str:
    """What a second reading is made of: variants, how they agree, and whether they are ours."""
    lowest = brisc.chosen(variants)
    again = [count(mask, lowest[n]).dice for (n, v), mask in variants.items() if v == 1]
    what = f"A second reading of {len(lowest)} slices in {len(variants)} masks"
    text = f"{what}; of a slice with several the first counts."
    if again:
        alike = f"mean Dice {np.mean(again):.3f} over {len(again)} slices"
        text += f"\nWithin it, variant 1 against variant 0: {alike}."
    if other := len(brisc.differing(variants)):
        text += f"\n{other} of its masks are not those whose scores are shipped here."
    return text


def read_masks(
    folder: Path, wanted: Collection[int], slices: SliceSet, *, only_common: bool = False
) -> dict[int, Mask]:
    """Read one mask (H, W) bool, True = tumour, for each wanted slice from a file of its number.

    Files are N.png, .tif, .tiff, .webp, .bmp, .nii or .nii.gz, with 0 for background and one other
    value for tumour; an empty mask is a tumour not found. Files of other kinds are passed over.
    only_common: so are masks of other slices, and wanted slices that have none.
    Raises `DataError` for a folder that is not there or has no such file, a name that is no
    number, numbers that are all one too low or too high, a slice that is missing, superfluous or
    there twice (only_common: no slice in common), another size than the slices',
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
    shared = sorted(set(paths) & set(wanted))
    faults = []
    if (missing := sorted(set(wanted) - set(paths))) and not (only_common and shared):
        faults.append(_lacking(missing, len(wanted), bool(shared)))
    if (odd := sorted(set(paths) - set(wanted))) and not only_common:
        faults.append(
            f"{len(odd)} masks are of no test slice ({_first(odd)}): move them away, or give their "
            "own split"
        )
    if faults:
        raise DataError(f"{folder}: {'; '.join(faults)}")
    return {number: _mask(paths[number], slices.shape) for number in shared}


def _lacking(missing: list[int], wanted: int, some: bool) -> str:
    """Say which test slices have no mask, and what to do."""
    if not some:
        return (
            f"none of the {wanted} test slices has a mask ({_first(missing)}): give the folder of "
            "their masks, or the split that these are of"
        )
    return (
        f"{len(missing)} of the {wanted} test slices have no mask ({_first(missing)}): add them, "
        "an empty mask where nothing was found, for a missing slice never leaves the mean unseen; "
        "or have the others alone scored with --only-common"
    )


def _first(numbers: list[Any], most: int = 5) -> str:
    return ", ".join(map(str, numbers[:most])) + (", ..." if len(numbers) > most else "")


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
