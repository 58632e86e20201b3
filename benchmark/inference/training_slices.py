"""Whether a model was trained on a slice, or on another slice of its patient. Pure.

A split holds slice numbers, which mean something within its dataset alone. So that dataset is
looked for first, by its id: among the slices given and in the registry of Cheng's, by every choice
of labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from benchmark.data.registry import cheng_registry
from benchmark.data.slices import RawSlice, dataset_id_of, mask_hash
from benchmark.splits.split import Split


@dataclass(frozen=True)
class ListedSlice:
    """What tells one slice from another; patient_id is None where unknown."""

    number: int
    label: int
    patient_id: str | None
    mask_sha256: str


class Seen(StrEnum):
    """What a model saw of a slice in training or validation, the worst first."""

    SLICE = "slice seen"
    PATIENT = "patient seen"
    UNKNOWN = "not known"
    NO = "not seen"


def listed(raw: RawSlice) -> ListedSlice:
    """A checked slice without its pixels."""
    return ListedSlice(raw.slice_id, raw.label or 0, raw.patient_id, mask_hash(raw.mask != 0))


def seen(
    models: Iterable[tuple[str, Split | None]], slices: Sequence[ListedSlice]
) -> dict[int, Seen]:
    """Return slice number -> the worst of what the models saw of it.

    models: dataset_id and split of each. `UNKNOWN` where a model's split or dataset is not known,
    and where the slice, or one that the model saw, has no known patient.
    """
    registry = [
        ListedSlice(own.slice_id, own.label, own.patient_id, sha256)
        for sha256, own in cheng_registry().items()
    ]
    order = [*Seen]
    worst = dict.fromkeys((slice_.number for slice_ in slices), Seen.NO)
    for dataset_id, split in models:
        for number, found in _seen_by(dataset_id, split, slices, registry).items():
            worst[number] = min(worst[number], found, key=order.index)
    return worst


def _seen_by(
    dataset_id: str,
    split: Split | None,
    slices: Sequence[ListedSlice],
    registry: Sequence[ListedSlice],
) -> dict[int, Seen]:
    parts = (part for every in (slices, registry) for part in _by_labels(every))
    own = next((part for part in parts if _id(part) == dataset_id), None)
    if split is None or own is None:
        return {slice_.number: Seen.UNKNOWN for slice_ in slices}
    registered = {slice_.mask_sha256: slice_.patient_id for slice_ in registry}

    def patient(slice_: ListedSlice) -> str | None:
        return registered.get(slice_.mask_sha256, slice_.patient_id)

    numbers = {*split.train, *split.val}
    learned = {(one.number, one.mask_sha256): patient(one) for one in own if one.number in numbers}
    patients = set(learned.values())

    def found(slice_: ListedSlice) -> Seen:
        if (slice_.number, slice_.mask_sha256) in learned:
            return Seen.SLICE
        if patient(slice_) is None or None in patients:
            return Seen.UNKNOWN
        return Seen.PATIENT if patient(slice_) in patients else Seen.NO

    return {slice_.number: found(slice_) for slice_ in slices}


def _by_labels(slices: Sequence[ListedSlice]) -> Iterator[list[ListedSlice]]:
    """The slices of every choice of their labels."""
    labels = sorted({slice_.label for slice_ in slices})
    for size in range(1, len(labels) + 1):
        for chosen in combinations(labels, size):
            yield [slice_ for slice_ in slices if slice_.label in chosen]


def _id(slices: Sequence[ListedSlice]) -> str:
    return dataset_id_of((slice_.number, slice_.mask_sha256) for slice_ in slices)
