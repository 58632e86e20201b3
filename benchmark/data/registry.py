"""Which slice is this? Number, label and patient of every slice of Cheng's dataset, by its mask.

All 3064 masks are distinct, so the sha256 of a decoded mask names its slice. The table beside this
file lists slice number, label, patient and mask hash: facts about the data, not data.
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

from benchmark.data.slices import LABELS, MENINGIOMA, RawSlice, dataset_id_of, mask_hash
from benchmark.errors import DataError

TABLE = "cheng.csv"
TURNS = [(transposed, quarters) for quarters in range(4) for transposed in (False, True)]
TUMOURS = {**LABELS, 3: "pituitary tumour"}


@dataclass(frozen=True)
class RegisteredSlice:
    """What the registry knows of one mask."""

    slice_id: int
    label: int
    patient_id: str


Names = dict[tuple[str, str], tuple[str, str, str]]  # who was met: name, patient and first slice
Registry = Mapping[str, RegisteredSlice]  # by the `mask_hash` of the upright mask


@cache
def cheng_registry() -> Registry:
    """The shipped registry of the 3064 slices."""
    text = (files("benchmark.data") / TABLE).read_text(encoding="utf-8")
    _, *rows = csv.reader(text.splitlines())  # slice, label, patient_id, mask_sha256
    return {mask: RegisteredSlice(int(n), int(label), patient) for n, label, patient, mask in rows}


@dataclass
class SourceCounts:
    """How many slices of a source passed by: registered ones, others by label, and the rest."""

    cheng: Counter[int] = field(default_factory=Counter)
    labelled: Counter[int] = field(default_factory=Counter)
    unlabelled: int = 0

    @property
    def total(self) -> int:
        return self.cheng.total() + self.labelled.total() + self.unlabelled

    def note(self, labels: Iterable[int] | None) -> str:
        """One line for the user: what was recognised, and what a choice of labels leaves out.

        labels None chooses all. Empty where nothing was recognised and the source says what its
        slices are.

        >>> SourceCounts(Counter({1: 708, 2: 1426})).note([1])
        "708 of 2134 slices are Cheng's meningiomas; left out: 1426 gliomas, by --labels."
        """
        wanted = set(LABELS if labels is None else labels)
        every = self.cheng + self.labelled + Counter({MENINGIOMA: self.unlabelled})
        left_out = {label: n for label, n in every.items() if label not in wanted}
        less = f"; left out: {_listed(left_out)}, by --labels" if left_out else ""
        if self.cheng:
            return f"{self._recognised(wanted)}{less}."
        if not self.unlabelled:
            return ""
        return (
            f"None of the {self.total} masks is of Cheng's dataset; slices without a label "
            f"({self.unlabelled}) are taken for meningiomas{less}."
        )

    def _recognised(self, wanted: set[int]) -> str:
        used = {label: n for label, n in self.cheng.items() if label in wanted}
        text = f"{sum(used.values())} of {self.total} slices are Cheng's"
        if len(used) == 1:
            text += f" {TUMOURS[min(used)]}s"
        elif used:
            text += f": {_listed(used)}"
        if others := {label: n for label, n in self.labelled.items() if label in wanted}:
            text += f"; beside them {_listed(others)} from elsewhere"
        return text


def _listed(counts: Mapping[int, int]) -> str:
    return ", ".join(f"{n} {TUMOURS[label]}{'s' * (n != 1)}" for label, n in sorted(counts.items()))


def identify(
    source: Iterable[RawSlice], registry: Registry | None = None, counts: SourceCounts | None = None
) -> Iterator[RawSlice]:
    """Yield the slices; registered ones upright, under their own number, label and patient.

    A mask is tried in its eight orientations; image and mask are both turned as the registered one
    is. Other slices pass unchanged; one without a label is a meningioma, provided that no slice of
    the source is registered. Where the source names patients of registered slices, its names are
    kept, if they only rename the registry's. registry defaults to the shipped one; counts takes
    note of what passed. Raises `DataError` for a label that contradicts the registry, for patients
    that are grouped otherwise than there, and, at the end, where registered slices stand beside
    others without a label.
    """
    registry = cheng_registry() if registry is None else registry
    counts = SourceCounts() if counts is None else counts
    patients: Names = {}
    first_unlabelled = ""
    for raw in source:
        upright, match = _recognised(raw, registry)
        if match:
            _check_label(raw, match)
            _check_patient(raw, match, patients)
            counts.cheng[match.label] += 1
            name = raw.patient_id or match.patient_id
            upright = replace(upright, slice_id=match.slice_id, label=match.label, patient_id=name)
        elif raw.label is not None:
            counts.labelled[raw.label] += 1
        else:
            counts.unlabelled += 1
            first_unlabelled = first_unlabelled or raw.origin
            upright = replace(raw, label=MENINGIOMA)
        if not (counts.cheng and counts.unlabelled):
            yield upright  # else the source will be refused: count on, keep nothing
    if counts.cheng and counts.unlabelled:
        raise DataError(
            f"{first_unlabelled}: its mask is not of Cheng's dataset and nothing says what it "
            f"outlines; so are {counts.unlabelled} of {counts.total} slices, beside "
            f"{counts.cheng.total()} of that dataset; list every slice in an index.csv (columns "
            "slice, label, patient_id) with the label of these, or remove them"
        )


def _recognised(raw: RawSlice, registry: Registry) -> tuple[RawSlice, RegisteredSlice | None]:
    """Return the slice turned upright and what is registered of it; else unchanged, and None."""
    if (
        raw.image.ndim == raw.mask.ndim == 2 and raw.mask.dtype.kind in "bui"
    ):  # else `gather` refuses
        mask = raw.mask != 0
        for turn in TURNS:
            if match := registry.get(mask_hash(_turned(mask, *turn))):
                image, mask = _turned(raw.image, *turn), _turned(raw.mask, *turn)
                return replace(raw, image=image, mask=mask), match
    return raw, None


def _turned(array: NDArray[Any], transposed: bool, quarters: int) -> NDArray[Any]:
    return np.rot90(array.T if transposed else array, quarters)


def _check_label(raw: RawSlice, match: RegisteredSlice) -> None:
    if raw.label not in (None, match.label):
        raise DataError(
            f"{raw.origin}: its label is {_label(raw.label)}, but by its mask it is slice "
            f"{match.slice_id} of Cheng's dataset, whose label is {_label(match.label)}; correct "
            "the label, or leave it empty in index.csv"
        )


def _label(number: int | None) -> str:
    return f"{number} ({LABELS[number]})" if number in LABELS else f"{number}"


def _check_patient(raw: RawSlice, match: RegisteredSlice, seen: Names) -> None:
    """Raise unless names and registered patients are one to one: else a patient could be split."""
    name = raw.patient_id or match.patient_id
    for key in (("name", name), ("patient", match.patient_id)):
        other, patient, origin = seen.setdefault(key, (name, match.patient_id, raw.origin))
        if (other, patient) != (name, match.patient_id):
            raise DataError(
                f"{raw.origin}: patient {name} is by its mask Cheng's patient {match.patient_id}, "
                f"but {origin}: patient {other} is Cheng's patient {patient}; one person needs one "
                "name throughout: correct patient_id, or leave it empty for every slice of Cheng's"
            )


CHENG_DATASET_ID = dataset_id_of(  # of the 708 meningiomas
    (slice_.slice_id, digest)
    for digest, slice_ in cheng_registry().items()
    if slice_.label == MENINGIOMA
)
