"""The stored predictions of a run, held against the scores that stand beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.slices import SliceSet
from benchmark.errors import RecordError
from benchmark.runs.reader import read_predictions, read_run
from benchmark.runs.run_folder import RunFolder
from benchmark.scoring.overlap import count

ROUNDING = 1e-9  # what arithmetic can leave of one Dice computed twice


def stored_masks(
    folder: RunFolder, scores: pd.DataFrame, slices: SliceSet
) -> dict[int, NDArray[np.bool_]]:
    """Return a run's test masks (H, W) bool by slice number: those whose Dice stands in its scores.

    Raises `RecordError` as `read_predictions` does, and where a slice is not in both, or its mask
    has another Dice.
    """
    masks, where = read_predictions(read_run(folder)), slices.row_of
    dice = dict(zip(scores["slice_id"].tolist(), scores["dice"].tolist(), strict=True))
    odd = sorted(set(masks) ^ set(dice) | (set(dice) - set(where))) or [
        number
        for number, mask in masks.items()
        if mask.shape != slices.shape
        or abs(count(mask, slices.masks[where[number]]).dice - dice[number]) > ROUNDING
    ]
    if odd:
        raise RecordError(
            f"{folder.path}: the mask of slice {odd[0]} is not the one that was scored; rescore the runs"
        )
    return masks


def reason(error: RecordError, root: Path) -> str:
    """What is wrong with a run's files, for a page that others read: paths begin below the folder
    of runs.
    """
    return str(error).replace(f"{root}/", "")
