"""The splits of the 708 slices, the shipped files, and what happens to a damaged one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from strategies import cheng_rows, cheng_set, slice_set

from benchmark.data.slices import SliceSet
from benchmark.errors import SplitError
from benchmark.protocol import SplitRule
from benchmark.splits import split as module
from benchmark.splits.split import (
    Split,
    load_or_make,
    make,
    patient_folds,
    read,
    rule_identity,
    verify,
    write,
)

BY_IMAGE, BY_PATIENT = SplitRule(), SplitRule(unit="patient")
SHIPPED = [f"by-image-{i}" for i in range(1, 6)] + [f"by-patient-{i}" for i in range(1, 8)]
Stored = dict[str, Any]


@cache
def cheng() -> SliceSet:
    return cheng_set()


@cache
def patient_of() -> dict[int, str]:
    return {int(row["slice"]): row["patient_id"] for row in cheng_rows()}


def shipped(name: str) -> Stored:
    """A shipped file, parsed by json alone."""
    stored: Stored = json.loads(
        (files("reference_results") / "splits" / f"{name}.json").read_text(encoding="utf-8")
    )
    return stored


def split_of(stored: Stored) -> Split:
    return Split(stored["split_id"], *(tuple(stored[part]) for part in ("train", "val", "test")))


def twelve_slices() -> SliceSet:
    """Numbers 1 to 12 of four patients with three slices each."""
    return slice_set(range(1, 13), [f"P{i // 3}" for i in range(12)])


def never(*_: object, **__: object) -> Split:
    raise AssertionError("a stored split must be read, not drawn again")


def test_708_slices_give_482_120_106() -> None:
    # thesis, table 1; 15 % of 708 is 106.2, 20 % of the other 602 is 120.4
    drawn = make(cheng(), BY_IMAGE, 1)
    assert (len(drawn.train), len(drawn.val), len(drawn.test)) == (482, 120, 106)


def test_five_draws_have_pairwise_disjoint_test_sets() -> None:
    tests = [set(make(cheng(), BY_IMAGE, i).test) for i in range(1, 6)]
    assert all(not a & b for a, b in combinations(tests, 2))


@pytest.mark.parametrize("number", [-1, 0, 7])
def test_there_are_six_draws_of_708_and_no_more(number: int) -> None:
    # 708 // 106 = 6 disjoint test sets fit
    make(cheng(), BY_IMAGE, 6)
    with pytest.raises(SplitError, match="draws 1 to 6"):
        make(cheng(), BY_IMAGE, number)


@pytest.mark.parametrize("number", [0, 8])
def test_there_are_seven_folds_and_no_more(number: int) -> None:
    with pytest.raises(SplitError, match="folds 1 to 7"):
        make(cheng(), BY_PATIENT, number)


def test_each_of_the_82_patients_is_tested_exactly_once() -> None:
    tested = [
        p for i in range(1, 8) for p in {patient_of()[n] for n in make(cheng(), BY_PATIENT, i).test}
    ]
    assert len(tested) == 82
    assert set(tested) == set(patient_of().values())


@pytest.mark.parametrize("number", range(1, 8))
def test_no_patient_is_in_two_sets(number: int) -> None:
    drawn = make(cheng(), BY_PATIENT, number)
    homes = [{patient_of()[n] for n in part} for part in (drawn.train, drawn.val, drawn.test)]
    assert all(not a & b for a, b in combinations(homes, 2))


def test_the_fold_after_the_tested_one_validates() -> None:
    drawn = [make(cheng(), BY_PATIENT, i) for i in range(1, 8)]
    for one, following in zip(drawn, drawn[1:] + drawn[:1], strict=True):
        assert one.val == following.test


@pytest.mark.parametrize("fold", [1, 2, 3, 4])
def test_cvind_fold_i_tests_and_fold_i_plus_1_validates(fold: int) -> None:
    # patient P0 (1-3) is fold 1, P1 (4-6) fold 2, ...; after the last fold comes the first
    cvind = {i: (i - 1) // 3 + 1 for i in range(1, 13)}
    drawn = make(twelve_slices(), SplitRule(unit="cvind"), fold, cvind)
    members = {f: tuple(range(3 * f - 2, 3 * f + 1)) for f in (1, 2, 3, 4)}
    following = {1: 2, 2: 3, 3: 4, 4: 1}[fold]
    assert (drawn.split_id, drawn.test, drawn.val) == (
        f"by-cvind-{fold}",
        members[fold],
        members[following],
    )
    assert drawn.train == tuple(
        i for i in range(1, 13) if i not in members[fold] + members[following]
    )


def test_cvind_ignores_slices_of_other_tumours() -> None:
    cvind = {i: (i - 1) // 3 + 1 for i in range(1, 13)} | {99: 1, 100: 2}
    drawn = make(twelve_slices(), SplitRule(unit="cvind"), 1, cvind)
    assert sorted(drawn.train + drawn.val + drawn.test) == list(range(1, 13))


def test_cvind_that_is_missing_or_leaves_out_a_slice_or_splits_a_patient_is_refused() -> None:
    rule, cvind = SplitRule(unit="cvind"), {i: (i - 1) // 3 + 1 for i in range(1, 13)}
    with pytest.raises(SplitError, match=r"need cvind\.mat"):
        make(twelve_slices(), rule, 1)
    with pytest.raises(SplitError, match="no fold for slice 5"):
        make(twelve_slices(), rule, 1, {i: f for i, f in cvind.items() if i != 5})
    with pytest.raises(SplitError, match="patient P0 is in"):
        make(twelve_slices(), rule, 1, {**cvind, 1: 2})


def test_unknown_patients_are_refused_by_patient_and_welcome_by_image() -> None:
    slices = twelve_slices()
    unknown = replace(slices, patient_id=(*slices.patient_id[:4], None, *slices.patient_id[5:]))
    with pytest.raises(SplitError, match="slice 5 has no patient number"):
        make(unknown, replace(BY_PATIENT, folds=3), 1)
    make(unknown, BY_IMAGE, 1)


@pytest.mark.parametrize("folds", [1, 2, 5])
def test_folds_outside_3_to_the_number_of_patients_are_refused(folds: int) -> None:
    with pytest.raises(SplitError, match=f"{folds} folds: need at least 3 .* at most 4 patients"):
        patient_folds(twelve_slices(), folds)


def test_too_few_slices_for_a_test_or_validation_set_are_refused() -> None:
    # round(0.15 * 3) = 0 test slices; of 4 slices 1 tests, and round(0.2 * 3) = 1 validates
    with pytest.raises(SplitError, match="3 slices give draws 1 to 0"):
        make(slice_set([1, 2, 3], ["A"] * 3), BY_IMAGE, 1)
    make(slice_set([1, 2, 3, 4], ["A"] * 4), BY_IMAGE, 1)
    with pytest.raises(SplitError, match="the val set is empty"):
        make(slice_set([1, 2, 3, 4], ["A"] * 4), replace(BY_IMAGE, val_fraction=0.1), 1)


def test_the_shipped_files_are_these_twelve() -> None:
    found = {
        path.name
        for path in (files("reference_results") / "splits").iterdir()
        if path.name.endswith(".json")
    }
    assert found == {f"{name}.json" for name in SHIPPED}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_file_obeys_every_law(name: str) -> None:
    stored = shipped(name)
    rule = BY_IMAGE if "image" in name else BY_PATIENT
    assert stored["split_id"] == name
    assert stored["dataset_id"] == cheng().dataset_id
    assert stored["rule"] == rule_identity(rule)
    train, val, test = stored["train"], stored["val"], stored["test"]
    assert all(part == sorted(set(part)) for part in (train, val, test))
    assert sorted(train + val + test) == sorted(patient_of())
    if rule is BY_IMAGE:
        assert (len(train), len(val), len(test)) == (482, 120, 106)
    else:
        homes = [{patient_of()[n] for n in part} for part in (train, val, test)]
        assert all(not a & b for a, b in combinations(homes, 2))
    verify(split_of(stored), cheng(), rule)


def test_shipped_by_image_test_sets_are_disjoint() -> None:
    tests = [set(shipped(f"by-image-{i}")["test"]) for i in range(1, 6)]
    assert all(not a & b for a, b in combinations(tests, 2))


def test_shipped_by_patient_folds_test_each_slice_and_patient_once() -> None:
    tests = [shipped(f"by-patient-{i}")["test"] for i in range(1, 8)]
    assert sorted(n for part in tests for n in part) == sorted(patient_of())
    assert sum(len({patient_of()[n] for n in part}) for part in tests) == 82


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_file_is_what_the_rule_draws(name: str) -> None:
    rule = BY_IMAGE if "image" in name else BY_PATIENT
    assert make(cheng(), rule, int(name[-1])) == split_of(shipped(name))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_file_is_read_and_not_redrawn(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "make", never)
    rule = BY_IMAGE if "image" in name else BY_PATIENT
    assert load_or_make(cheng(), rule, int(name[-1]), tmp_path) == split_of(shipped(name))
    assert list(tmp_path.iterdir()) == []


def test_another_rule_does_not_take_the_shipped_file(tmp_path: Path) -> None:
    # a fifth of 708 is 141.6
    drawn = load_or_make(cheng(), SplitRule(test_fraction=0.2), 1, tmp_path)
    assert len(drawn.test) == 142


def test_settings_that_the_unit_does_not_use_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "make", never)
    assert load_or_make(cheng(), SplitRule(folds=5), 1, tmp_path) == split_of(shipped("by-image-1"))
    patient = SplitRule(unit="patient", test_fraction=0.3)
    assert load_or_make(cheng(), patient, 1, tmp_path) == split_of(shipped("by-patient-1"))


def test_a_new_split_is_written_once_and_then_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices = twelve_slices()
    first = load_or_make(slices, BY_IMAGE, 1, tmp_path)
    (path,) = tmp_path.rglob("*.json")
    assert path.parent == tmp_path / slices.dataset_id[:12]
    assert path.name.startswith("by-image-1-")
    assert [other for other in tmp_path.rglob("*") if other.is_file()] == [
        path
    ]  # nothing temporary is left
    text = path.read_bytes()
    monkeypatch.setattr(module, "make", never)
    assert load_or_make(slices, BY_IMAGE, 1, tmp_path) == first
    assert path.read_bytes() == text


def test_a_split_that_is_not_kept_is_the_same_and_leaves_no_file(tmp_path: Path) -> None:
    drawn = load_or_make(twelve_slices(), BY_IMAGE, 1, tmp_path, keep=False)
    assert list(tmp_path.iterdir()) == []
    assert drawn == load_or_make(twelve_slices(), BY_IMAGE, 1, tmp_path)


def test_a_split_of_another_rule_stands_beside_the_first(tmp_path: Path) -> None:
    slices = twelve_slices()
    load_or_make(slices, BY_IMAGE, 1, tmp_path)
    (path,) = tmp_path.rglob("*.json")
    text = path.read_bytes()
    load_or_make(slices, SplitRule(test_fraction=0.3), 1, tmp_path)
    assert len(list(tmp_path.rglob("*.json"))) == 2
    assert path.read_bytes() == text


def test_a_split_file_is_never_overwritten_but_may_be_written_twice_the_same(
    tmp_path: Path,
) -> None:
    """Two processes that draw the same split at once must not trip over each other."""
    slices, path = twelve_slices(), tmp_path / "split.json"
    first, second = make(slices, BY_IMAGE, 1), make(slices, BY_IMAGE, 2)
    write(first, slices.dataset_id, BY_IMAGE, path)
    text = path.read_bytes()
    write(first, slices.dataset_id, BY_IMAGE, path)
    with pytest.raises(SplitError, match="move it away first"):
        write(second, slices.dataset_id, BY_IMAGE, path)
    assert path.read_bytes() == text


def moved(stored: Stored) -> None:
    stored["train"].append(stored["test"][0])  # in two sets


def missing(stored: Stored) -> None:
    stored["train"].pop()


def foreign(stored: Stored) -> None:
    stored["train"].append(4000)


def twice(stored: Stored) -> None:
    stored["val"].append(stored["val"][0])


def empty(stored: Stored) -> None:
    stored["train"] += stored["val"]
    stored["val"] = []


def leaked(stored: Stored) -> None:
    """Exchange a test slice with a training slice of another patient: sizes and completeness
    stay.
    """
    stored["train"][0], stored["test"][0] = stored["test"][0], stored["train"][0]


def leaked_into_validation(stored: Stored) -> None:
    stored["train"][0], stored["val"][0] = stored["val"][0], stored["train"][0]


def without_a_set(stored: Stored) -> None:
    del stored["val"]


def not_numbers(stored: Stored) -> None:
    stored["val"][0] = "seven"


TAMPERED: list[tuple[Callable[[Stored], None], str]] = [
    (moved, "is in both train and test"),
    (missing, "in the data but not in the split"),
    (foreign, "slice 4000 is in the split but not in the data"),
    (twice, "listed twice in val"),
    (empty, "the val set is empty"),
    (leaked, "patient .* is in train and test"),
    (leaked_into_validation, "patient .* is in train and val"),
    (without_a_set, "not a split file"),
    (not_numbers, "not a split file"),
]


@pytest.mark.parametrize(("tamper", "message"), TAMPERED, ids=[f.__name__ for f, _ in TAMPERED])
def test_a_tampered_split_is_refused_and_left_as_it_is(
    tamper: Callable[[Stored], None], message: str, tmp_path: Path
) -> None:
    slices, rule = twelve_slices(), replace(BY_PATIENT, folds=4)
    load_or_make(slices, rule, 1, tmp_path)
    (path,) = tmp_path.rglob("*.json")
    stored = json.loads(path.read_text(encoding="utf-8"))
    tamper(stored)
    path.write_text(json.dumps(stored), encoding="utf-8")
    text = path.read_bytes()
    with pytest.raises(SplitError, match=message):
        load_or_make(slices, rule, 1, tmp_path)
    assert path.read_bytes() == text


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"train": 3}'])
def test_a_file_that_is_no_split_names_itself(text: str) -> None:
    with pytest.raises(SplitError, match=r"here\.json: not a split file"):
        read(text, "here.json")


def test_write_and_read_are_inverse(tmp_path: Path) -> None:
    one = Split("by-image-9", (1, 4), (2,), (3,))
    write(one, "d" * 64, BY_IMAGE, tmp_path / "new" / "by-image-9.json")
    stored = read((tmp_path / "new" / "by-image-9.json").read_text(encoding="utf-8"), "there")
    assert (stored.pop("dataset_id"), stored.pop("rule")) == ("d" * 64, rule_identity(BY_IMAGE))
    assert Split(**stored) == one


def test_fingerprint_is_of_the_sets_and_not_of_the_name() -> None:
    one = Split("by-image-1", (1, 4), (2,), (3,))
    assert replace(one, split_id="other").fingerprint == one.fingerprint
    assert replace(one, train=(4, 1)).fingerprint == one.fingerprint
    others = [replace(one, **{name: (9,)}) for name in ("train", "val", "test")]
    others.append(replace(one, val=one.test, test=one.val))
    assert len({other.fingerprint for other in (one, *others)}) == 5
