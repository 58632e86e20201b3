"""The stored predictions of runs, held against the scores that stand beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.slices import Mask, SliceSet
from benchmark.errors import RecordError
from benchmark.runs.reader import read_predictions, read_run
from benchmark.runs.run_folder import RunFolder
from benchmark.scoring.overlap import count
from benchmark.scoring.surface import bounding_box

ROUNDING = 1e-9  # what arithmetic can leave of one Dice computed twice
Box = tuple[slice, slice]


class StoredMasks:
    """The test masks of the runs under root, each run's read and checked once.

    slices: those that the runs tested; scores: by run_id, the rows of `Collected.scores`. Masks are
    kept as what lies in the box around them.
    """

    def __init__(self, root: Path, slices: SliceSet, scores: pd.DataFrame) -> None:
        self.root, self.slices = root, slices
        self.scores: dict[str, pd.DataFrame] = dict(iter(scores.groupby("run_id")))
        self._boxed: dict[str, dict[int, tuple[Box, Mask]]] = {}

    def of(self, run_id: str) -> dict[int, Mask]:
        """Return a run's masks (H, W) bool by slice number: those whose Dice stands in its scores.

        Raises `RecordError` as `read_predictions` does, and where a slice is not in both, or its
        mask has another Dice.
        """
        if run_id not in self._boxed:
            masks = self._read(run_id)
            boxes = {number: bounding_box(mask) for number, mask in masks.items()}
            self._boxed[run_id] = {n: (box, masks[n][box].copy()) for n, box in boxes.items()}
        return {number: self._whole(*part) for number, part in self._boxed[run_id].items()}

    def slice_and_truth(self, number: int) -> tuple[NDArray[np.generic], Mask]:
        """The image and the true mask (H, W) of a slice."""
        row = self.slices.row_of[number]
        return self.slices.images[row], self.slices.masks[row]

    def _whole(self, box: Box, part: Mask) -> Mask:
        mask = np.zeros(self.slices.shape, dtype=bool)
        mask[box] = part
        return mask

    def _read(self, run_id: str) -> dict[int, Mask]:
        folder, scores = RunFolder(self.root, run_id), self.scores[run_id]
        masks = read_predictions(read_run(folder))
        dice = dict(zip(scores["slice_id"].tolist(), scores["dice"].tolist(), strict=True))
        odd = sorted(set(masks) ^ set(dice) | (set(dice) - set(self.slices.row_of))) or [
            number
            for number, mask in masks.items()
            if mask.shape != self.slices.shape
            or abs(count(mask, self.slice_and_truth(number)[1]).dice - dice[number]) > ROUNDING
        ]
        if odd:
            raise RecordError(
                f"{folder.path}: the mask of slice {odd[0]} is not the one that was scored; "
                "rescore the runs"
            )
        return masks


def reason(error: RecordError, root: Path) -> str:
    """What is wrong with a run's files, for a page that others read: paths below the folder."""
    return str(error).replace(f"{root}/", "")
