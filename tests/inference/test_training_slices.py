"""What a model saw of a slice: the slice, its patient, neither, or that is not known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmark.data.registry import CHENG_DATASET_ID, cheng_registry
from benchmark.data.slices import RawSlice, dataset_id_of
from benchmark.inference.training_slices import ListedSlice, Seen, listed, seen
from benchmark.splits.files import shipped
from benchmark.splits.split import Split

OWN = [  # six slices of three patients, one of them of another tumour
    ListedSlice(1, 1, "a", "m1"), ListedSlice(2, 1, "a", "m2"), ListedSlice(3, 1, "b", "m3"),
    ListedSlice(4, 1, "b", "m4"), ListedSlice(5, 1, "c", "m5"), ListedSlice(6, 2, "d", "m6"),
]  # fmt: skip
SPLIT = Split("s", (1,), (3,), (2, 4, 5))
MENINGIOMAS = dataset_id_of((own.number, own.mask_sha256) for own in OWN if own.label == 1)


def test_a_slice_its_patient_and_others_are_told_apart() -> None:
    """Validation chose the epoch, so slice 3 counts as seen; 6 is of no patient that was."""
    assert seen([(MENINGIOMAS, SPLIT)], OWN) == {
        1: Seen.SLICE, 2: Seen.PATIENT, 3: Seen.SLICE, 4: Seen.PATIENT, 5: Seen.NO, 6: Seen.NO,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("dataset_id", "split"), [(MENINGIOMAS, None), ("", None), ("another", SPLIT)]
)
def test_without_the_split_or_its_slices_nothing_is_known(
    dataset_id: str, split: Split | None
) -> None:
    assert set(seen([(dataset_id, split)], OWN).values()) == {Seen.UNKNOWN}


def test_an_unknown_patient_may_be_one_that_was_trained_on() -> None:
    """Of slice 5: it alone is not known. Of slice 1, trained on: any other's may be the same."""
    for number, expected in ((5, {5: Seen.UNKNOWN}), (1, {2: Seen.UNKNOWN, 4: Seen.UNKNOWN})):
        some = [replace(own, patient_id=None) if own.number == number else own for own in OWN]
        found = seen([(MENINGIOMAS, SPLIT)], some)
        assert found.items() >= expected.items()
        assert found[1] == found[3] == Seen.SLICE


def test_of_several_models_the_worst_counts() -> None:
    other = Split("t", (5,), (4,), (1, 2, 3))
    found = seen([(MENINGIOMAS, SPLIT), (MENINGIOMAS, other)], OWN)
    assert found == {
        1: Seen.SLICE, 2: Seen.PATIENT, 3: Seen.SLICE, 4: Seen.SLICE, 5: Seen.SLICE, 6: Seen.NO,
    }  # fmt: skip
    assert seen([(MENINGIOMAS, SPLIT), ("", None)], OWN)[5] == Seen.UNKNOWN
    assert seen([("", None), (MENINGIOMAS, SPLIT)], OWN)[1] == Seen.SLICE


@pytest.mark.parametrize("name", ["by-image-1", "by-patient-1"])
def test_of_chengs_slices_it_is_known_without_the_others(name: str) -> None:
    """Some are given, gliomas among them; the oracle goes by the registry's patients alone.

    By patient no test slice has its patient in training; by image most have.
    """
    split = shipped()[name].split
    registry = [
        ListedSlice(own.slice_id, own.label, "renamed", sha256)
        for sha256, own in cheng_registry().items()
    ]
    given = [own for own in registry if own.number % 7 == 0]
    found = seen([(CHENG_DATASET_ID, split)], given)
    patient = {own.slice_id: own.patient_id for own in cheng_registry().values()}
    learned = {*split.train, *split.val}
    of_learned = {patient[number] for number in learned}
    for own in given:
        kind = Seen.PATIENT if patient[own.number] in of_learned else Seen.NO
        assert found[own.number] == (Seen.SLICE if own.number in learned else kind)
    tested = [found[own.number] for own in given if own.number in split.test]
    assert (Seen.PATIENT in tested) == (name == "by-image-1")
    assert {found[own.number] for own in given if own.label != 1} == {Seen.NO}


def test_a_slice_elsewhere_with_a_number_of_the_dataset_is_another_slice() -> None:
    """Numbers are not enough: another mask under number 1, another patient's."""
    stranger = ListedSlice(1, 2, "z", "other")
    some = [stranger, *OWN[1:]]
    assert seen([(MENINGIOMAS, SPLIT)], some)[1] == Seen.UNKNOWN  # the dataset is not whole
    cheng = seen([(CHENG_DATASET_ID, shipped()["by-image-1"].split)], some)
    assert set(cheng.values()) == {Seen.NO}


def test_a_slice_is_listed_by_its_number_label_patient_and_mask() -> None:
    """Two masks of one shape that differ in a pixel have different hashes; values do not matter."""
    mask = np.zeros((64, 64), np.uint8)
    mask[3, 4] = 255
    raw = RawSlice(7, 2, mask, mask, "made", "a")
    same, other = replace(raw, mask=mask > 0), replace(raw, mask=mask.T)
    assert listed(raw) == listed(same) != listed(other)
    assert (listed(raw).number, listed(raw).label, listed(raw).patient_id) == (7, 2, "a")
