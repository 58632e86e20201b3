"""Which slice is this? Slice numbers and patients of the Cheng meningiomas, recovered from their masks.

All 708 masks are distinct, so the sha256 of a decoded mask names its slice. The table
beside this file lists slice number, patient and mask hash: facts about the data, not data.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from benchmark.data.slices import MENINGIOMA, RawSlice, SliceSet, dataset_id_of, gather, iterate, mask_hash

TABLE = "cheng_meningioma.csv"
COLUMNS = ("slice", "patient_id", "mask_sha256")


@dataclass(frozen=True)
class Known:
    """What the table knows of one mask."""

    slice_id: int
    patient_id: str


Table = Mapping[str, Known]  # mask_hash of the upright mask -> slice and patient


@cache
def table() -> Table:
    """The shipped table of the 708 meningioma slices."""
    rows = csv.DictReader((files("benchmark.data") / TABLE).read_text(encoding="utf-8").splitlines())
    return {row["mask_sha256"]: Known(int(row["slice"]), row["patient_id"]) for row in rows}


def table_of(slices: SliceSet) -> Table:
    """Build a table from upright slices whose numbers and patients are trusted."""
    hashes = map(mask_hash, slices.masks)
    return {
        digest: Known(int(number), patient)
        for digest, number, patient in zip(hashes, slices.slice_id, slices.patient_id, strict=True)
        if patient is not None
    }


def write_table(slices: SliceSet, path: Path) -> None:
    """Write `table_of(slices)` as CSV, by slice number: how the shipped table was made, from the 708 slices."""
    rows = sorted((one.slice_id, one.patient_id, digest) for digest, one in table_of(slices).items())
    with path.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([COLUMNS, *rows])


def identify(raw: Iterable[RawSlice], known: Table | None = None) -> Iterator[RawSlice]:
    """Yield the slices; those whose mask is in the table upright and under their own number.

    A mask is tried as it is and transposed; where the transposed one is known, image and
    mask are both turned. A patient that the source names is kept. Slices that the table does
    not know pass unchanged. known defaults to the shipped table.
    """
    known = table() if known is None else known
    for one in raw:
        if one.label != MENINGIOMA or one.mask.ndim != 2 or one.mask.dtype.kind not in "bui":
            yield one  # not in the table, or a mask that `gather` will refuse
            continue
        mask = one.mask != 0
        if match := known.get(mask_hash(mask)):
            yield _named(one, match)
        elif match := known.get(mask_hash(mask.T)):
            yield _named(replace(one, image=one.image.T, mask=one.mask.T), match)
        else:
            yield one


def recover(slices: SliceSet, known: Table | None = None) -> SliceSet:
    """Return the slices as `identify` names and turns them, sorted by their recovered numbers.

    Raises `DataError` where a recovered number is already taken by another slice.
    """
    named = identify(iterate(slices), known)
    return gather(named, labels=None, allow_empty_masks=True, phantom=slices.phantom)


def _named(one: RawSlice, match: Known) -> RawSlice:
    return replace(one, slice_id=match.slice_id, patient_id=one.patient_id or match.patient_id)


CHENG_DATASET_ID = dataset_id_of((one.slice_id, digest) for digest, one in table().items())
