"""Slice numbers and patients recovered from masks."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_forms import small_set
from hypothesis import given
from hypothesis import strategies as st

from benchmark.data import identity
from benchmark.data.slices import gather, iterate, mask_hash
from benchmark.errors import DataError

SLICES = small_set(4, dtype="int16", shape=(64, 64))
KNOWN = identity.table_of(SLICES)
PUBLISHED = {*range(1, 59), *range(60, 209), *range(211, 709), 3030, 3063, 3064}  # the archive's meningiomas


def test_the_shipped_table_is_the_archives_meningiomas() -> None:
    rows = identity.table().values()
    assert len(rows) == 708
    assert {one.slice_id for one in rows} == PUBLISHED
    patients = Counter(one.patient_id for one in rows)
    assert len(patients) == 82
    assert (min(patients.values()), max(patients.values())) == (1, 21)
    assert sum(count == 1 for count in patients.values()) == 6


def test_the_constant_follows_the_definition_of_dataset_id() -> None:
    """sha256 over "number:mask_hash\\n" in order of number, spelled out here a second time."""
    rows = sorted((one.slice_id, digest) for digest, one in identity.table().items())
    text = "".join(f"{number}:{digest}\n" for number, digest in rows)
    assert hashlib.sha256(text.encode()).hexdigest() == identity.CHENG_DATASET_ID


def test_the_hash_of_a_mask_is_defined_by_its_size_and_bits() -> None:
    """A 2x8 mask with rows 00000001 and 10000000: one byte a row, highest bit first."""
    mask = np.zeros((2, 8), dtype=bool)
    mask[0, 7] = mask[1, 0] = True
    assert mask_hash(mask) == hashlib.sha256(b"2x8:\x01\x80").hexdigest()


@given(
    order=st.permutations(range(4)),
    turned=st.lists(st.booleans(), min_size=4, max_size=4),
    value=st.sampled_from([1, 255]),
)
def test_known_masks_come_back_upright_under_their_own_number(order: list[int], turned: list[bool], value: int) -> None:
    """Law: recover gives slices whose masks are in the table their numbers and patients, and turns them upright."""
    ones = list(iterate(SLICES))
    raw = [
        replace(
            ones[i],
            slice_id=100 + place,
            patient_id=None,
            image=ones[i].image.T if turned[i] else ones[i].image,
            mask=(ones[i].mask.T if turned[i] else ones[i].mask).astype(np.uint8) * value,
        )
        for place, i in enumerate(order)
    ]
    back = identity.recover(gather(raw), KNOWN)
    assert (back.fingerprint, back.dataset_id) == (SLICES.fingerprint, SLICES.dataset_id)
    assert back.patient_id == SLICES.patient_id


def test_unknown_slices_keep_what_they_have() -> None:
    slices = small_set(3, seed=1, shape=(96, 64)).with_patients([None, "A", None])
    back = identity.recover(slices)
    assert back.fingerprint == slices.fingerprint
    assert back.patient_id == (None, "A", None)


def test_a_patient_that_the_source_names_is_kept() -> None:
    back = identity.recover(SLICES.with_patients([None, "mine", None, "mine"]), KNOWN)
    assert back.patient_id == ("MR000A", "mine", "MR001A", "mine")


def test_phantoms_stay_phantoms() -> None:
    assert identity.recover(replace(SLICES, phantom=True), KNOWN).phantom


def test_a_recovered_number_that_is_taken() -> None:
    stranger = next(iterate(small_set(1, dtype="int16", shape=(64, 64))))
    mask = ~stranger.mask
    raw = [*iterate(SLICES), replace(stranger, mask=mask, slice_id=99)]
    known = {**KNOWN, mask_hash(mask): identity.Known(5, "P")}
    with pytest.raises(DataError, match="slice 5 is there twice"):
        identity.recover(gather(raw), known)


def test_the_table_is_written_by_number_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    identity.write_table(SLICES, path)
    lines = path.read_text().splitlines()
    assert lines[0] == "slice,patient_id,mask_sha256"
    assert [line.rpartition(",")[0] for line in lines[1:]] == ["2,MR000A", "5,MR000A", "8,MR001A", "11,MR001A"]
