"""How splits are drawn and what they must hold, by hand and by law; the 708 in `test_files`.

A law's docstring quotes it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import cheng_set, law, slice_set, slice_sets

from benchmark.data.slices import SliceSet
from benchmark.errors import SplitError
from benchmark.protocol import SplitRule
from benchmark.splits.split import Split, make, patient_folds, verify

BY_IMAGE, BY_PATIENT = SplitRule(), SplitRule(unit="patient")
CHENG = cheng_set()
TWELVE = slice_set(range(1, 13), [f"P{i // 3}" for i in range(12)])  # four patients, three each
CVIND = {i: (i - 1) // 3 + 1 for i in range(1, 13)}  # patient P0 (1-3) is fold 1, P1 fold 2, ...
units = st.sampled_from(["image", "patient", "cvind"])
folds = st.integers(3, 7)


def disjoint(*sets: object) -> bool:
    return all(not set(a) & set(b) for a, b in combinations(sets, 2))  # type: ignore[call-overload]


def patients(slices: SliceSet, split: Split) -> list[set[str | None]]:
    """The patients of each of the three sets."""
    return [{slices.patient_of[n] for n in numbers} for numbers in split.sets.values()]


def splits_of(slices: SliceSet, rule: SplitRule) -> list[Split]:
    """Every split of a rule; the authors' folds are stood in for by folds of patients."""
    if rule.unit == "image":
        count = len(slices) // round(0.15 * len(slices))
        return [make(slices, rule, i) for i in range(1, count + 1)]
    cvind = patient_folds(slices, rule.folds) if rule.unit == "cvind" else None
    return [make(slices, rule, i, cvind) for i in range(1, rule.folds + 1)]


@pytest.mark.parametrize("number", [-1, 0, 7])
def test_there_are_six_draws_of_708_and_no_more(number: int) -> None:
    # 708 // 106 = 6 disjoint test sets fit
    make(CHENG, BY_IMAGE, 6)
    with pytest.raises(SplitError, match="draws 1 to 6"):
        make(CHENG, BY_IMAGE, number)


@pytest.mark.parametrize("number", [0, 8])
def test_there_are_seven_folds_and_no_more(number: int) -> None:
    with pytest.raises(SplitError, match="folds 1 to 7"):
        make(CHENG, BY_PATIENT, number)


@pytest.mark.parametrize("fold", [1, 2, 3, 4])
def test_cvind_fold_i_tests_and_fold_i_plus_1_validates(fold: int) -> None:
    # after the last fold comes the first; folds of slices that are not there do not matter
    split = make(TWELVE, SplitRule(unit="cvind"), fold, CVIND | {99: 1, 100: 2})
    members = {f: tuple(range(3 * f - 2, 3 * f + 1)) for f in (1, 2, 3, 4)}
    test, val = members[fold], members[{1: 2, 2: 3, 3: 4, 4: 1}[fold]]
    train = tuple(i for i in range(1, 13) if i not in test + val)
    assert split == Split(f"by-cvind-{fold}", train, val, test)


def test_cvind_that_is_missing_or_leaves_out_a_slice_or_splits_a_patient_is_refused() -> None:
    rule = SplitRule(unit="cvind")
    with pytest.raises(SplitError, match=r"need cvind\.mat"):
        make(TWELVE, rule, 1)
    with pytest.raises(SplitError, match="no fold for slice 5"):
        make(TWELVE, rule, 1, {i: f for i, f in CVIND.items() if i != 5})
    with pytest.raises(SplitError, match="patient P0 is in"):
        make(TWELVE, rule, 1, {**CVIND, 1: 2})


def test_unknown_patients_are_refused_by_patient_and_welcome_by_image() -> None:
    unknown = replace(TWELVE, patient_id=(*TWELVE.patient_id[:4], None, *TWELVE.patient_id[5:]))
    with pytest.raises(SplitError, match="slice 5 has no patient number"):
        make(unknown, replace(BY_PATIENT, folds=3), 1)
    make(unknown, BY_IMAGE, 1)


@pytest.mark.parametrize("folds", [1, 2, 5])
def test_folds_outside_3_to_the_number_of_patients_are_refused(folds: int) -> None:
    with pytest.raises(SplitError, match=f"{folds} folds: need at least 3 .* at most 4 patients"):
        patient_folds(TWELVE, folds)


def test_too_few_slices_for_a_test_or_validation_set_are_refused() -> None:
    # round(0.15 * 3) = 0 test slices; of 4 slices 1 tests, and round(0.2 * 3) = 1 validates
    with pytest.raises(SplitError, match="3 slices give draws 1 to 0"):
        make(slice_set([1, 2, 3], ["A"] * 3), BY_IMAGE, 1)
    make(slice_set([1, 2, 3, 4], ["A"] * 4), BY_IMAGE, 1)
    with pytest.raises(SplitError, match="the val set is empty"):
        make(slice_set([1, 2, 3, 4], ["A"] * 4), replace(BY_IMAGE, val_fraction=0.1), 1)


def test_fingerprint_is_of_the_sets_and_not_of_the_name() -> None:
    split = Split("by-image-1", (1, 4), (2,), (3,))
    assert replace(split, split_id="other").fingerprint == split.fingerprint
    assert replace(split, train=(4, 1)).fingerprint == split.fingerprint
    others = [replace(split, **{name: (9,)}) for name in ("train", "val", "test")]
    others.append(replace(split, val=split.test, test=split.val))
    assert len({other.fingerprint for other in (split, *others)}) == 5


@law
@given(slice_sets(), units, st.data())
def test_sets_are_disjoint_and_complete(slices: SliceSet, unit: str, data: st.DataObject) -> None:
    """Each slice is in exactly one set, none of which is empty, in whatever order they come."""
    rule = SplitRule(unit=unit, folds=3)
    splits = splits_of(slices, rule)
    for split in splits:
        assert sorted(split.train + split.val + split.test) == slices.slice_id.tolist()
        assert all(split.sets.values())
    order = data.draw(st.permutations(range(len(slices))))
    ids, owners = slices.slice_id[order].tolist(), [slices.patient_id[i] for i in order]
    assert splits_of(slice_set(ids, owners), rule) == splits


@law
@given(slice_sets())
def test_by_image_sizes_are_the_rounded_shares_and_test_sets_never_meet(slices: SliceSet) -> None:
    """15 % of the images are set aside as test; of the remaining 20 % validate."""
    n_test = round(0.15 * len(slices))
    n_val = round(0.20 * (len(slices) - n_test))
    splits = splits_of(slices, BY_IMAGE)
    assert {(len(split.test), len(split.val)) for split in splits} == {(n_test, n_val)}
    assert disjoint(*(split.test for split in splits))


@law
@given(slice_sets(), st.sampled_from(["patient", "cvind"]), folds)
def test_by_patient_no_patient_is_in_two_sets(slices: SliceSet, unit: str, folds: int) -> None:
    """No patient is ever in two sets, validation included."""
    assume(folds <= len(set(slices.patient_id)))
    for split in splits_of(slices, SplitRule(unit=unit, folds=folds)):
        assert disjoint(*patients(slices, split))


@law
@given(slice_sets(), folds)
def test_each_fold_tests_once_and_the_next_one_validates(slices: SliceSet, folds: int) -> None:
    """A k-fold: fold i tests, fold i + 1 validates, and after the last comes the first."""
    assume(folds <= len(set(slices.patient_id)))
    splits = splits_of(slices, SplitRule(unit="patient", folds=folds))
    assert Counter(n for split in splits for n in split.test) == Counter(slices.slice_id.tolist())
    assert all(a.val == b.test for a, b in pairwise([*splits, splits[0]]))


@law
@given(slice_sets(), folds)
def test_folds_differ_by_the_largest_patient_at_most(slices: SliceSet, folds: int) -> None:
    """Patients go to the fold with fewest: before its last patient the fullest was the emptiest."""
    sizes = Counter(slices.patient_id)
    assume(folds <= len(sizes))
    loads = Counter(patient_folds(slices, folds).values())
    assert set(loads) == set(range(1, folds + 1))
    assert max(loads.values()) - min(loads.values()) <= max(sizes.values())


@law
@given(slice_sets(), units, st.data())
def test_a_slice_in_two_sets_or_none_is_refused(
    slices: SliceSet, unit: str, data: st.DataObject
) -> None:
    rule = SplitRule(unit=unit, folds=3)
    split = data.draw(st.sampled_from(splits_of(slices, rule)))
    source, target = data.draw(st.permutations(["train", "val", "test"]))[:2]
    number = data.draw(st.sampled_from(split.sets[source]))
    with pytest.raises(SplitError, match=f"slice {number} is in both"):
        verify(replace(split, **{target: (*split.sets[target], number)}), slices, rule)
    fewer = tuple(n for n in split.sets[source] if n != number)
    with pytest.raises(SplitError, match=f"slice {number} is in the data" if fewer else "is empty"):
        verify(replace(split, **{source: fewer}), slices, rule)


@law
@given(slice_sets(), st.data())
def test_a_patient_in_two_sets_is_refused(slices: SliceSet, data: st.DataObject) -> None:
    rule = SplitRule(unit="patient", folds=3)
    split = data.draw(st.sampled_from(splits_of(slices, rule)))
    number = data.draw(st.sampled_from(split.train))
    patient = slices.patient_of[number]
    assume(sum(slices.patient_of[n] == patient for n in split.train) > 1)
    rest = tuple(n for n in split.train if n != number)
    with pytest.raises(SplitError, match=f"patient {patient} is in train and test"):
        verify(replace(split, train=rest, test=(*split.test, number)), slices, rule)
