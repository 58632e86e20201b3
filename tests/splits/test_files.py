"""Split files: the shipped ones, those that runs leave, and a user's own; what a bad one says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from data_forms import one_line
from run_records import halves, squares
from strategies import cheng_set, slice_set

from benchmark.errors import SplitError
from benchmark.protocol import SplitRule
from benchmark.splits import files
from benchmark.splits.files import (
    find_split,
    load_or_make,
    read,
    read_split,
    read_splits,
    shipped,
    shipped_for,
    write,
)
from benchmark.splits.split import Split, draws, make, pooled, rule_identity, verify

Patch = pytest.MonkeyPatch
BY_IMAGE, BY_PATIENT = SplitRule(), SplitRule(unit="patient")
SHIPPED = [f"by-image-{i}" for i in range(1, 6)] + [f"by-patient-{i}" for i in range(1, 8)]
CHENG = cheng_set()
TWELVE = slice_set(range(1, 13), [f"P{i // 3}" for i in range(12)])  # four patients, three each
SQUARES = squares()  # numbers 1 to 8
HALVES = halves(SQUARES)  # 1 to 4 test, 5 validates, 6 to 8 train
Stored = dict[str, Any]


def shipped_file(name: str) -> Stored:
    """A shipped file, parsed by json alone."""
    path = resources.files("reference_results") / "splits" / f"{name}.json"
    stored: Stored = json.loads(path.read_text(encoding="utf-8"))
    return stored


def rule_of(name: str) -> SplitRule:
    return BY_IMAGE if "image" in name else BY_PATIENT


@pytest.fixture
def no_draws(monkeypatch: Patch) -> Callable[[], None]:
    """Called, it lets nothing be drawn: a stored split must be read."""

    def never(*_: object, **__: object) -> Split:
        raise AssertionError("a stored split must be read, not drawn again")

    return lambda: monkeypatch.setattr(files, "make", never)


# The package's


def test_the_shipped_files_are_these_twelve_of_the_708_slices() -> None:
    paths = (resources.files("reference_results") / "splits").iterdir()
    assert sorted(p.name for p in paths if p.name.endswith(".json")) == [
        f"{n}.json" for n in SHIPPED
    ]
    assert list(shipped()) == SHIPPED
    assert [split.split_id for split in shipped_for(CHENG)] == SHIPPED
    assert shipped_for(SQUARES) == []


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_file_obeys_every_law_and_is_what_the_rule_draws(name: str) -> None:
    stored, rule = shipped_file(name), rule_of(name)
    assert stored["split_id"] == name
    assert stored["dataset_id"] == CHENG.dataset_id
    assert stored["rule"] == rule_identity(rule)
    train, val, test = sets = [stored[part] for part in ("train", "val", "test")]
    assert all(numbers == sorted(set(numbers)) for numbers in sets)
    assert sorted(train + val + test) == CHENG.slice_id.tolist()
    if rule is BY_IMAGE:
        # thesis, table 1; 15 % of 708 is 106.2, 20 % of the other 602 is 120.4
        assert (len(train), len(val), len(test)) == (482, 120, 106)
    else:
        homes = [{CHENG.patient_of[n] for n in numbers} for numbers in sets]
        assert all(not a & b for a, b in combinations(homes, 2))
    split = Split(name, *map(tuple, sets))
    verify(split, CHENG, rule)
    assert make(CHENG, rule, int(name[-1])) == split == shipped()[name].split


def test_shipped_test_sets_are_disjoint_and_each_patient_is_tested_once() -> None:
    tests = [set(shipped_file(name)["test"]) for name in SHIPPED]
    assert all(not a & b for a, b in combinations(tests[:5], 2))
    assert sorted(n for numbers in tests[5:] for n in numbers) == CHENG.slice_id.tolist()
    assert sum(len({CHENG.patient_of[n] for n in numbers}) for numbers in tests[5:]) == 82


# Read, or drawn and written


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_file_is_read_and_not_redrawn(
    name: str, tmp_path: Path, no_draws: Callable[[], None]
) -> None:
    no_draws()
    split = load_or_make(CHENG, rule_of(name), int(name[-1]), tmp_path)
    assert split == shipped()[name].split
    assert list(tmp_path.iterdir()) == []


def test_another_rule_does_not_take_the_shipped_file(tmp_path: Path) -> None:
    # a fifth of 708 is 141.6
    assert len(load_or_make(CHENG, SplitRule(test_fraction=0.2), 1, tmp_path).test) == 142


def test_settings_without_use_do_not_matter(tmp_path: Path, no_draws: Callable[[], None]) -> None:
    no_draws()
    image, patient = SplitRule(folds=5), SplitRule(unit="patient", test_fraction=0.3)
    assert load_or_make(CHENG, image, 1, tmp_path) == shipped()["by-image-1"].split
    assert load_or_make(CHENG, patient, 1, tmp_path) == shipped()["by-patient-1"].split


def test_a_new_split_is_written_once_and_then_read(
    tmp_path: Path, no_draws: Callable[[], None]
) -> None:
    unkept = load_or_make(TWELVE, BY_IMAGE, 1, tmp_path, keep=False)
    assert list(tmp_path.iterdir()) == []
    assert load_or_make(TWELVE, BY_IMAGE, 1, tmp_path) == unkept
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())  # nothing temporary is left
    assert path.parent == tmp_path / TWELVE.dataset_id[:12]
    assert path.name.startswith("by-image-1-")
    text = path.read_bytes()
    load_or_make(TWELVE, SplitRule(test_fraction=0.3), 1, tmp_path)  # another rule stands beside it
    assert len(list(tmp_path.rglob("*.json"))) == 2
    no_draws()
    assert load_or_make(TWELVE, BY_IMAGE, 1, tmp_path) == unkept
    assert path.read_bytes() == text


def test_a_split_file_is_only_overwritten_by_the_same(tmp_path: Path) -> None:
    """Two processes that draw the same split at once must not trip over each other."""
    path = tmp_path / "split.json"
    first, second = make(TWELVE, BY_IMAGE, 1), make(TWELVE, BY_IMAGE, 2)
    write(first, TWELVE.dataset_id, BY_IMAGE, path)
    text = path.read_bytes()
    write(first, TWELVE.dataset_id, BY_IMAGE, path)
    with pytest.raises(SplitError, match="move it away first"):
        write(second, TWELVE.dataset_id, BY_IMAGE, path)
    assert path.read_bytes() == text


def test_write_and_read_are_inverse(tmp_path: Path) -> None:
    split, path = Split("by-image-9", (1, 4), (2,), (3,)), tmp_path / "new" / "by-image-9.json"
    write(split, "d" * 64, BY_IMAGE, path)
    stored = read(path.read_text(encoding="utf-8"), "there")
    assert stored == files.StoredSplit(split, "d" * 64, rule_identity(BY_IMAGE))


def swapped(stored: Stored, a: str, b: str) -> None:
    """Exchange slices of two patients: sizes and completeness stay."""
    stored[a][0], stored[b][0] = stored[b][0], stored[a][0]


TAMPERED: dict[str, tuple[Callable[[Stored], object], str]] = {
    "in two sets": (lambda s: s["train"].append(s["test"][0]), "is in both train and test"),
    "missing": (lambda s: s["train"].pop(), "in the data but not in the split"),
    "foreign": (
        lambda s: s["train"].append(4000),
        "slice 4000 is in the split but not in the data",
    ),
    "twice": (lambda s: s["val"].append(s["val"][0]), "listed twice in val"),
    "empty": (lambda s: s.update(train=s["train"] + s["val"], val=[]), "the val set is empty"),
    "leaked": (lambda s: swapped(s, "train", "test"), "patient .* is in train and test"),
    "leaked to val": (lambda s: swapped(s, "train", "val"), "patient .* is in train and val"),
    "no set": (lambda s: s.pop("val"), "not a split file"),
    "no numbers": (lambda s: s.update(val=["seven"]), "not a split file"),
}


@pytest.mark.parametrize(("tamper", "message"), TAMPERED.values(), ids=TAMPERED)
def test_a_tampered_split_is_refused_and_left(
    tamper: Callable[[Stored], object], message: str, tmp_path: Path
) -> None:
    rule = replace(BY_PATIENT, folds=4)
    load_or_make(TWELVE, rule, 1, tmp_path)
    (path,) = tmp_path.rglob("*.json")
    stored = json.loads(path.read_text(encoding="utf-8"))
    tamper(stored)
    path.write_text(json.dumps(stored), encoding="utf-8")
    text = path.read_bytes()
    with pytest.raises(SplitError, match=message):
        load_or_make(TWELVE, rule, 1, tmp_path)
    assert path.read_bytes() == text


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"train": 3}'])
def test_a_file_that_is_no_split_names_itself(text: str) -> None:
    with pytest.raises(SplitError, match=r"here\.json: not a split file"):
        read(text, "here.json")


# A user's own


def users(tmp_path: Path, text: str) -> Split:
    (tmp_path / "theirs.json").write_text(text, encoding="utf-8")
    return read_split(str(tmp_path / "theirs.json"), SQUARES)


def test_a_split_file_may_leave_slices_out(tmp_path: Path) -> None:
    """In any order, with fields of its own, without validation or training; one of ours serves."""
    split = users(tmp_path, '{"test": [3, 1], "train": [7, 6], "fold": 0}')
    assert split == Split("theirs.json", (6, 7), (), (1, 3))
    assert users(tmp_path, '\ufeff{"test": [2]}') == Split("theirs.json", (), (), (2,))
    fields = {"split_id": "by-image-1", "dataset_id": SQUARES.dataset_id, "rule": {}}
    assert users(tmp_path, json.dumps(fields | HALVES.sets)).fingerprint == HALVES.fingerprint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        *((text, "cannot be read as JSON") for text in ("", '{"test": [1', "[" * 100_000)),
        ('{"test": [' + "1" * 5000 + "]}", "cannot be read as JSON"),
        ('[{"train": [6], "val": [1]}]', "holds a list; it must hold"),
        ("{}", "the test set is empty"),
        ('{"train": [6], "test": []}', 'the test set is empty; list its slices under "test"'),
        ('{"train": {"6": 1}, "test": [1]}', "train is a dict, not a list"),
        ('{"train": null, "test": [1]}', "train is a NoneType, not a list"),
        ('{"train": ["6"], "test": [1]}', "'6' in train is no slice number"),
        ('{"train": [6.0], "test": [1]}', "'6.0' in train is no slice number"),
        ('{"train": [true], "test": [1]}', "'True' in train is no slice number"),
        ('{"train": [6], "test": [1, 1]}', "slice 1 is twice in test; keep it in one place"),
        ('{"train": [6, 1], "test": [1]}', "slice 1 is in both train and test"),
        ('{"train": [6], "val": [7, 6], "test": [1]}', "slice 6 is in both train and val"),
        ('{"train": [6], "test": [1, 99]}', "slice 99 of test is not in the data"),
        ('{"test": [1], "dataset_id": "abc"}', "is of dataset abc, but the slices given are"),
    ],
    ids=lambda text: text[:40],
)
def test_a_bad_split_file_is_one_clear_error(tmp_path: Path, text: str, says: str) -> None:
    with one_line(SplitError, says, "theirs.json"):
        users(tmp_path, text)


def test_a_split_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "theirs.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SplitError, match="cannot be read as JSON"):
        read_split(str(tmp_path / "theirs.json"), SQUARES)


def test_a_name_is_of_a_shipped_split_and_of_its_own_slices() -> None:
    assert read_split("by-patient-3", CHENG) == shipped()["by-patient-3"].split
    known = r"unknown split 'by-image-9'; known: by-image-1, .*, or the path of a JSON"
    with pytest.raises(SplitError, match=known):
        read_split("by-image-9", SQUARES)
    with pytest.raises(SplitError, match="by-image-1: is of dataset 6bc431b424f9, but the slices"):
        read_split("by-image-1", SQUARES)


def test_the_word_all_tests_every_slice_and_trains_on_none() -> None:
    assert read_split("all", SQUARES) == Split("all", (), (), (1, 2, 3, 4, 5, 6, 7, 8))


def test_a_split_is_found_again_by_its_name_dataset_and_sets(tmp_path: Path) -> None:
    """In the package, else in the folder beside runs; a file of other sets is passed by."""
    name, by_image = "by-image-1", shipped()["by-image-1"]
    own, sets = by_image.dataset_id, by_image.split.fingerprint
    assert find_split(name, own, sets, tmp_path) == by_image.split
    assert find_split(name, "another", sets, tmp_path) is None
    assert find_split("by-image-9", own, sets, tmp_path) is None
    rule = SplitRule()
    others = [Split(name, (1,), (2,), (3,)), Split(name, (3,), (2,), (1,))]
    for number, split in enumerate(others):
        write(split, "d" * 64, rule, tmp_path / ("d" * 12) / f"{name}-{number}.json")
    for split in others:
        assert find_split(name, "d" * 64, split.fingerprint, tmp_path) == split
    (tmp_path / ("d" * 12) / f"{name}-1.json").write_text("{")
    with one_line(SplitError, f"{name}-1.json: not a split file"):
        find_split(name, "d" * 64, others[0].fingerprint, tmp_path)


# Several at once


def test_a_kind_names_all_shipped_of_it_and_a_folder_its_files_by_number(tmp_path: Path) -> None:
    by_patient = read_splits("by-patient", CHENG)
    assert by_patient == tuple(shipped()[f"by-patient-{k}"].split for k in range(1, 8))
    assert read_splits("by-patient-3", CHENG) == by_patient[2:3]
    for number in (1, 2, 10):
        (tmp_path / f"fold-{number}.json").write_text(json.dumps({"test": [number % 8]}))
    assert [split.test for split in read_splits(str(tmp_path), SQUARES)] == [(1,), (2,), (2,)]
    (tmp_path / "empty").mkdir()
    with one_line(SplitError, "empty: holds no split file", '"test": [...]'):
        read_splits(str(tmp_path / "empty"), SQUARES)


def test_folds_together_test_every_slice_once_and_train_on_none() -> None:
    whole = pooled(read_splits("by-patient", CHENG))
    name = "by-patient-1 to by-patient-7 (7 splits)"  # "1 to 7" could be three of them
    assert whole == Split(name, (), (), tuple(CHENG.slice_id.tolist()))
    assert pooled([HALVES]) is HALVES
    with one_line(SplitError, "tested by both by-image-1 and by-image-1"):
        pooled([HALVES, HALVES])


def test_a_rule_has_as_many_splits_as_can_be_made() -> None:
    """708 slices in test sets of 106; seven folds of patients; the authors' five."""
    assert draws(CHENG, SplitRule()) == 6
    assert draws(CHENG, SplitRule(unit="patient")) == 7
    assert draws(CHENG, SplitRule(unit="cvind"), {1: 5, 2: 1}) == 5
    with pytest.raises(SplitError, match="by-image draw 7"):
        make(CHENG, SplitRule(), 7)
    make(CHENG, SplitRule(), 6)
