"""Overlap measures from the four pixel counts of one slice.

One rule for empty masks, for all four measures: both masks empty is 1, exactly one empty
is 0. So a missed tumour is never left out of a mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.data.slices import Mask


@dataclass(frozen=True)
class Counts:
    """Pixels of one slice: true and false positives, false and true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def _empty(self) -> float | None:
        """The value of every measure where a mask is empty, None where neither is."""
        truth, predicted = self.tp + self.fn, self.tp + self.fp
        if truth and predicted:
            return None
        return 1.0 if truth == predicted else 0.0

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN), in [0, 1] (thesis, figure 10)."""
        both = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / both if self._empty is None else self._empty

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN), in [0, 1]: Jaccard's index, dice / (2 - dice)."""
        return self.tp / (self.tp + self.fp + self.fn) if self._empty is None else self._empty

    @property
    def sensitivity(self) -> float:
        """TP / (TP + FN), in [0, 1]: the share of the tumour that was found."""
        return self.tp / (self.tp + self.fn) if self._empty is None else self._empty

    @property
    def precision(self) -> float:
        """TP / (TP + FP), in [0, 1]: the share of the outline that is tumour."""
        return self.tp / (self.tp + self.fp) if self._empty is None else self._empty


def count(predicted: Mask, truth: Mask) -> Counts:
    """Count the pixels of two (H, W) bool masks; `ValueError` if dtype or shape differ."""
    check_pair(predicted, truth)
    tp = int(np.count_nonzero(predicted & truth))
    fp = int(np.count_nonzero(predicted)) - tp
    fn = int(np.count_nonzero(truth)) - tp
    return Counts(tp, fp, fn, truth.size - tp - fp - fn)


def check_pair(predicted: Mask, truth: Mask) -> None:
    """Raise `ValueError` unless both are bool masks of one shape."""
    if predicted.dtype != bool or truth.dtype != bool or predicted.shape != truth.shape:
        raise ValueError(
            f"need two bool masks of one shape, got {predicted.dtype} {predicted.shape} and "
            f"{truth.dtype} {truth.shape}"
        )
