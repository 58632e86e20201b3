"""Do masks lie as the slices do? A turn, a mirror or an inversion looks like a poor tool.

All masks are taken to have had one and the same slip: no slice is turned alone. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmark.data.slices import Mask, SliceSet

# Masks laid on slices of other patients, of the 708 meningiomas, gained by the best of seven turns
# up to 0.9 / sqrt(n) of mean Dice, n the number of slices or of patients, once in a thousand sets
# (0.85 for one slice, 0.06 for 107). BY_CHANCE and MARGIN together stand above that for every n; a
# good tool whose masks were turned gains 0.6 or more there.
BY_CHANCE = 0.7  # of mean Dice, over the square root of the number of patients
MARGIN = 0.2  # of mean Dice
Turn = tuple[bool, bool, bool]  # transposed, then flipped in rows, then flipped in columns
UPRIGHT: Turn = (False, False, False)
TURNS: dict[Turn, str] = {  # what undoes a slip, and the slip's name
    UPRIGHT: "",
    (False, True, False): "upside down",
    (False, False, True): "mirrored",
    (False, True, True): "turned by 180 degrees",
    (True, False, False): "transposed",
    (True, True, False): "turned by 90 degrees clockwise",
    (True, False, True): "turned by 90 degrees counter-clockwise",
    (True, True, True): "transposed and turned by 180 degrees",
}
UPRIGHT_CURE = (
    "write row 0 first, at the top, and columns from left to right, as `export` writes slices "
    "(in NIfTI the first axis is the columns)"
)
INVERTED_CURE = "write 0 for the background and the other value for tumour"


@dataclass(frozen=True)
class Misfit:
    """What seems to have happened to masks: a turn, an inversion, or both.

    given, undone: mean Dice as they are, and with that undone, in [0, 1]; slices: over how many.
    """

    turn: Turn
    inverted: bool
    given: float
    undone: float
    slices: int

    def __str__(self) -> str:
        slip = " and ".join(filter(None, (TURNS[self.turn], "inverted" * self.inverted)))
        return (
            f"the masks seem to be {slip}: mean Dice over the {self.slices} slices with a tumour "
            f"is {self.given:.3f} as they are, and {self.undone:.3f} with that undone"
        )

    @property
    def cure(self) -> str:
        """How masks are to be written."""
        turned = UPRIGHT_CURE if self.turn != UPRIGHT else ""
        return "; ".join(filter(None, (turned, INVERTED_CURE * self.inverted)))


def misfit(masks: Mapping[int, Mask], slices: SliceSet) -> Misfit | None:
    """Return how masks (H, W) by slice number would fit far better; None where no way is.

    That is where one of the seven turns and mirrors, an inversion, or both together raise the mean
    Dice over the slices with a tumour by `MARGIN` and what chance could give. Empty masks count as
    0; non-square slices are not transposed. Patients count, for their slices lie alike; slices of
    unknown patients count alone. None too where no slice has a tumour.
    """
    truths = {number: slices.masks[slices.row_of[number]] for number in masks}
    tumours = {number: truth for number, truth in truths.items() if truth.any()}
    if not tumours:
        return None
    means = _means([masks[number] for number in tumours], [*tumours.values()])
    turn, inverted = slip = max(means, key=lambda slip: means[slip])
    given, undone = means[UPRIGHT, False], means[slip]
    patients = len({slices.patient_of[number] or number for number in tumours})
    if undone < given + MARGIN + BY_CHANCE / math.sqrt(patients):
        return None
    return Misfit(turn, inverted, given, undone, len(tumours))


def _means(masks: list[Mask], truths: list[Mask]) -> dict[tuple[Turn, bool], float]:
    """Mean Dice with a turn, and an inversion where True, undone; no truth is empty."""
    marked, true = (np.array([np.count_nonzero(m) for m in part]) for part in (masks, truths))
    (height, width), means = truths[0].shape, {}
    for turn in TURNS:
        if turn[0] and height != width:
            continue
        pairs = zip(masks, truths, strict=True)
        shared = np.array([np.count_nonzero(_laid(mask, turn) & truth) for mask, truth in pairs])
        means[turn, False] = float(np.mean(2 * shared / (marked + true)))
        unmarked = height * width - marked
        means[turn, True] = float(np.mean(2 * (true - shared) / (unmarked + true)))
    return means


def _laid(mask: Mask, turn: Turn) -> Mask:
    swap, rows, columns = turn
    return (mask.T if swap else mask)[:: -1 if rows else 1, :: -1 if columns else 1]


def equal_to_truth(masks: Mapping[int, Mask], slices: SliceSet) -> tuple[int, int]:
    """Count the slices with a tumour whose mask (H, W) is the truth to the pixel, and all such."""
    truths = {number: slices.masks[slices.row_of[number]] for number in masks}
    tumours = [number for number, truth in truths.items() if truth.any()]
    return sum(np.array_equal(masks[n], truths[n]) for n in tumours), len(tumours)
