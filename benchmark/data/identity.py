"""Which slice is this? Number, label and patient of every slice of Cheng's dataset, by the hash of
its mask.

All 3064 masks are distinct, so the sha256 of a decoded mask names its slice. The table
beside this file lists slice number, label, patient and mask hash: facts about the data, not data.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.slices import LABELS, MENINGIOMA, RawSlice, SliceSet, dataset_id_of, mask_hash
from benchmark.errors import DataError

TABLE = "cheng.csv"
TURNS = [
    (transposed, quarters) for quarters in range(4) for transposed in (False, True)
]  # upright is the first
TUMOURS = {**LABELS, 3: "pituitary tumour"}


@dataclass(frozen=True)
class RegisteredSlice:
    """What the table knows of one mask."""

    slice_id: int
    label: int
    patient_id: str


Registry = Mapping[
    str, RegisteredSlice
]  # mask_hash of the upright mask -> slice, label and patient


@cache
def table() -> Registry:
    """The shipped table of the 3064 slices."""
    text = (files("benchmark.data") / TABLE).read_text(encoding="utf-8")
    _, *rows = csv.reader(text.splitlines())  # slice, label, patient_id, mask_sha256
    return {
        digest: RegisteredSlice(int(number), int(label), patient)
        for number, label, patient, digest in rows
    }


def table_of(slices: SliceSet) -> Registry:
    """Build a table from upright slices whose numbers, labels and patients are trusted."""
    hashes = map(mask_hash, slices.masks)
    return {
        digest: RegisteredSlice(int(number), int(label), patient)
        for digest, number, label, patient in zip(
            hashes, slices.slice_id, slices.label, slices.patient_id, strict=True
        )
        if patient is not None
    }


@dataclass
class Tally:
    """How many slices of a source passed by: of the table, by its label; others that have a label;
    others without.
    """

    cheng: Counter[int] = field(default_factory=Counter)
    labelled: Counter[int] = field(default_factory=Counter)
    unlabelled: int = 0

    @property
    def total(self) -> int:
        """How many slices passed by."""
        return self.cheng.total() + self.labelled.total() + self.unlabelled

    def line(self, labels: Iterable[int] | None) -> str:
        """One line for the user: what was recognised, and what a choice of labels (None: all)
        leaves out.

        Empty where nothing was recognised and the source says what its slices are.

        >>> tally = Tally(Counter({1: 708, 2: 1426, 3: 930}))
        >>> tally.line([1])
        "708 of 3064 slices are Cheng's meningiomas; left out: 1426 gliomas, 930 pituitary tumours, by --labels."
        """
        wanted = set(LABELS if labels is None else labels)
        taken = Counter({MENINGIOMA: self.unlabelled})
        left_out = {
            k: n for k, n in (self.cheng + self.labelled + taken).items() if k not in wanted
        }
        less = f"; left out: {_listed(left_out)}, by --labels" if left_out else ""
        if not self.cheng:
            return (
                f"None of the {self.total} masks is of Cheng's dataset; slices without a label "
                f"({self.unlabelled}) are taken for meningiomas{less}."
                if self.unlabelled
                else ""
            )
        used = {label: n for label, n in self.cheng.items() if label in wanted}
        if len(used) == 1:
            ((label, n),) = used.items()
            text = f"{n} of {self.total} slices are Cheng's {TUMOURS[label]}s"
        else:
            text = f"{sum(used.values())} of {self.total} slices are Cheng's" + (
                f": {_listed(used)}" if used else ""
            )
        if others := {label: n for label, n in self.labelled.items() if label in wanted}:
            text += f"; beside them {_listed(others)} from elsewhere"
        return f"{text}{less}."


def _listed(counts: Mapping[int, int]) -> str:
    return ", ".join(f"{n} {TUMOURS[k]}{'s' * (n != 1)}" for k, n in sorted(counts.items()))


def identify(
    raw: Iterable[RawSlice], known: Registry | None = None, tally: Tally | None = None
) -> Iterator[RawSlice]:
    """Yield the slices; those whose mask is in the table upright, under their own number, label and
    patient.

    A mask is tried in its eight orientations; image and mask are both turned as the known one
    is. Other slices pass unchanged; one without a label is a meningioma, provided that no
    slice of the source is in the table. Where the source names patients of known slices, its
    names are kept, if they only rename the table's. known defaults to the shipped table; tally
    counts what passed. Raises `DataError` for a label that contradicts the table, for patients that
    are grouped otherwise than there, and, at the end, where known slices stand beside unknown
    ones without a label.
    """
    known = table() if known is None else known
    tally = Tally() if tally is None else tally
    patients: dict[tuple[str, str], tuple[str, str, str]] = {}
    first_unlabelled = ""
    for one in raw:
        upright, match = _recognised(one, known)
        if match:
            _check_label(one, match)
            _check_patient(one, match, patients)
            tally.cheng[match.label] += 1
            named = one.patient_id or match.patient_id
            upright = replace(upright, slice_id=match.slice_id, label=match.label, patient_id=named)
        elif one.label is not None:
            tally.labelled[one.label] += 1
        else:
            tally.unlabelled += 1
            first_unlabelled = first_unlabelled or one.origin
            upright = replace(one, label=MENINGIOMA)
        if not (
            tally.cheng and tally.unlabelled
        ):  # else the source will be refused: count on, keep nothing
            yield upright
    if tally.cheng and tally.unlabelled:
        raise DataError(
            f"{first_unlabelled}: its mask is not of Cheng's dataset and nothing says what it outlines; so are "
            f"{tally.unlabelled} of {tally.total} slices, beside {tally.cheng.total()} of that dataset; list every "
            "slice in an index.csv (columns slice, label, patient_id) with the label of these, or remove them"
        )


def _recognised(one: RawSlice, known: Registry) -> tuple[RawSlice, RegisteredSlice | None]:
    """Return the slice as the table holds it upright, and what the table knows of it; else
    unchanged, and None.
    """
    if (
        one.image.ndim == one.mask.ndim == 2 and one.mask.dtype.kind in "bui"
    ):  # others `gather` will refuse
        mask = one.mask != 0
        for turn in TURNS:
            if match := known.get(mask_hash(_turned(mask, *turn))):
                return replace(
                    one, image=_turned(one.image, *turn), mask=_turned(one.mask, *turn)
                ), match
    return one, None


def _turned(array: NDArray[Any], transposed: bool, quarters: int) -> NDArray[Any]:
    return np.rot90(array.T if transposed else array, quarters)


def _check_label(one: RawSlice, match: RegisteredSlice) -> None:
    if one.label not in (None, match.label):
        raise DataError(
            f"{one.origin}: its label is {_label(one.label)}, but by its mask it is slice {match.slice_id} of Cheng's "
            f"dataset, whose label is {_label(match.label)}; correct the label, or leave it empty in index.csv"
        )


def _label(number: int | None) -> str:
    return f"{number} ({LABELS[number]})" if number in LABELS else f"{number}"


def _check_patient(
    one: RawSlice, match: RegisteredSlice, seen: dict[tuple[str, str], tuple[str, str, str]]
) -> None:
    """Raise unless the source's names and the table's patients are one to one so far, or a patient
    could be split.
    """
    named = one.patient_id or match.patient_id
    for key in (("named", named), ("patient", match.patient_id)):
        other, patient, origin = seen.setdefault(key, (named, match.patient_id, one.origin))
        if (other, patient) != (named, match.patient_id):
            raise DataError(
                f"{one.origin}: patient {named} is by its mask Cheng's patient {match.patient_id}, but {origin}: "
                f"patient {other} is Cheng's patient {patient}; one person needs one name throughout: correct "
                "patient_id, or leave it empty for every slice of Cheng's"
            )


CHENG_DATASET_ID = dataset_id_of(  # of the 708 meningiomas
    (one.slice_id, digest) for digest, one in table().items() if one.label == MENINGIOMA
)
