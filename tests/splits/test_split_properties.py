"""Laws of splits on drawn sets of slices; each test's docstring quotes its law."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import law, slice_set, slice_sets

from benchmark.data.slices import SliceSet
from benchmark.errors import SplitError
from benchmark.protocol import SplitRule
from benchmark.splits.split import Split, make, patient_folds, verify

BY_IMAGE = SplitRule()
units = st.sampled_from(["image", "patient", "cvind"])


def all_of(slices: SliceSet, rule: SplitRule) -> list[Split]:
    """Every split of a rule; the authors' folds are stood in for by folds of patients."""
    if rule.unit == "image":
        return [
            make(slices, rule, i) for i in range(1, len(slices) // round(0.15 * len(slices)) + 1)
        ]
    cvind = patient_folds(slices, rule.folds) if rule.unit == "cvind" else None
    return [make(slices, rule, i, cvind) for i in range(1, rule.folds + 1)]


def shuffled(slices: SliceSet, order: list[int]) -> SliceSet:
    return slice_set(slices.slice_id[order].tolist(), [slices.patient_id[i] for i in order])


@law
@given(slice_sets(), units)
def test_sets_are_disjoint_and_complete(slices: SliceSet, unit: str) -> None:
    """Each slice of the data is in exactly one of train, validation and test, and none of these is
    empty.
    """
    for one in all_of(slices, SplitRule(unit=unit, folds=3)):
        assert sorted(one.train + one.val + one.test) == slices.slice_id.tolist()
        assert all((one.train, one.val, one.test))


@law
@given(slice_sets(), units, st.data())
def test_splits_do_not_depend_on_input_order(
    slices: SliceSet, unit: str, data: st.DataObject
) -> None:
    """A split is drawn independent of the order of the slices."""
    rule = SplitRule(unit=unit, folds=3)
    other = shuffled(slices, data.draw(st.permutations(range(len(slices)))))
    assert all_of(other, rule) == all_of(slices, rule)


@law
@given(slice_sets())
def test_by_image_sizes_are_the_rounded_shares(slices: SliceSet) -> None:
    """15 % of the images are set aside as test; of the remaining 20 % validate."""
    n_test = round(0.15 * len(slices))
    n_val = round(0.20 * (len(slices) - n_test))
    for one in all_of(slices, BY_IMAGE):
        assert (len(one.test), len(one.val)) == (n_test, n_val)


@law
@given(slice_sets())
def test_by_image_test_sets_never_meet(slices: SliceSet) -> None:
    """Draws by image have pairwise disjoint test sets."""
    assert all(not set(a.test) & set(b.test) for a, b in combinations(all_of(slices, BY_IMAGE), 2))


@law
@given(slice_sets(), st.sampled_from(["patient", "cvind"]), st.integers(3, 7))
def test_by_patient_no_patient_is_in_two_sets(slices: SliceSet, unit: str, folds: int) -> None:
    """No patient is ever in two sets, validation included."""
    assume(folds <= len(set(slices.patient_id)))
    patient = dict(zip(slices.slice_id.tolist(), slices.patient_id, strict=True))
    for one in all_of(slices, SplitRule(unit=unit, folds=folds)):
        homes = [{patient[n] for n in part} for part in (one.train, one.val, one.test)]
        assert all(not a & b for a, b in combinations(homes, 2))


@law
@given(slice_sets(), st.integers(3, 7))
def test_by_patient_each_slice_is_tested_exactly_once(slices: SliceSet, folds: int) -> None:
    """A k-fold in which each patient is tested once."""
    assume(folds <= len(set(slices.patient_id)))
    tested = Counter(
        n for one in all_of(slices, SplitRule(unit="patient", folds=folds)) for n in one.test
    )
    assert tested == Counter(slices.slice_id.tolist())


@law
@given(slice_sets(), st.integers(3, 7))
def test_folds_differ_by_the_largest_patient_at_most(slices: SliceSet, folds: int) -> None:
    """Patients go to the fold with fewest slices: before its last patient the fullest fold was the
    emptiest one.
    """
    sizes = Counter(slices.patient_id)
    assume(folds <= len(sizes))
    loads = Counter(patient_folds(slices, folds).values())
    assert set(loads) == set(range(1, folds + 1))
    assert max(loads.values()) - min(loads.values()) <= max(sizes.values())


@law
@given(slice_sets(), st.integers(3, 7))
def test_the_next_fold_validates(slices: SliceSet, folds: int) -> None:
    """Fold i tests, fold i + 1 validates, and after the last comes the first."""
    assume(folds <= len(set(slices.patient_id)))
    drawn = all_of(slices, SplitRule(unit="patient", folds=folds))
    assert all(a.val == b.test for a, b in pairwise([*drawn, drawn[0]]))


@law
@given(slice_sets(), units, st.data())
def test_a_slice_moved_into_a_second_set_is_refused(
    slices: SliceSet, unit: str, data: st.DataObject
) -> None:
    """A split that puts one slice in two sets raises `SplitError`."""
    rule = SplitRule(unit=unit, folds=3)
    one = data.draw(st.sampled_from(all_of(slices, rule)))
    source, target = data.draw(st.permutations(["train", "val", "test"]))[:2]
    number = data.draw(st.sampled_from(getattr(one, source)))
    with pytest.raises(SplitError, match=f"slice {number} is in both"):
        verify(replace(one, **{target: (*getattr(one, target), number)}), slices, rule)


@law
@given(slice_sets(), units, st.data())
def test_a_slice_left_out_is_refused(slices: SliceSet, unit: str, data: st.DataObject) -> None:
    """A split from which a slice is missing raises `SplitError`."""
    rule = SplitRule(unit=unit, folds=3)
    one = data.draw(st.sampled_from(all_of(slices, rule)))
    number = data.draw(st.sampled_from(one.train))
    with pytest.raises(SplitError):
        verify(replace(one, train=tuple(n for n in one.train if n != number)), slices, rule)


@law
@given(slice_sets(), st.data())
def test_a_patient_in_two_sets_is_refused(slices: SliceSet, data: st.DataObject) -> None:
    """A split by patient that puts one patient in two sets raises `SplitError`."""
    rule = SplitRule(unit="patient", folds=3)
    patient = dict(zip(slices.slice_id.tolist(), slices.patient_id, strict=True))
    one = data.draw(st.sampled_from(all_of(slices, rule)))
    number = data.draw(st.sampled_from(one.train))
    assume(sum(patient[n] == patient[number] for n in one.train) > 1)
    leaked = replace(
        one, train=tuple(n for n in one.train if n != number), test=(*one.test, number)
    )
    with pytest.raises(SplitError, match=f"patient {patient[number]} is in train and test"):
        verify(leaked, slices, rule)
