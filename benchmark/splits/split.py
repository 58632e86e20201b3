"""Train, validation and test sets: how they are drawn, and what they must hold. Pure.

By image: the thesis's rule, as many draws as fit with test sets that are disjoint.
By patient: a k-fold in which each patient is tested once. The fold after the tested one
validates, so no patient is ever in two sets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from benchmark.data.slices import SliceSet
from benchmark.errors import SplitError
from benchmark.protocol import SplitRule

SPLIT_SEED = 20241009  # of the draw alone; a run's seed never touches its split
SETS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Slice numbers of the three sets, each ascending."""

    split_id: str
    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def sets(self) -> dict[str, tuple[int, ...]]:
        """The three sets by name, in the order of `SETS`."""
        return {name: getattr(self, name) for name in SETS}

    @property
    def fingerprint(self) -> str:
        """sha256 over the three sets; the name does not enter."""
        text = json.dumps([sorted(numbers) for numbers in self.sets.values()])
        return hashlib.sha256(text.encode()).hexdigest()


def split_id(rule: SplitRule, number: int) -> str:
    """Return the name of a split: by-image-1, by-patient-3, by-cvind-5."""
    return f"by-{rule.unit}-{number}"


def rule_identity(rule: SplitRule) -> dict[str, Any]:
    """The part of a rule that its unit uses."""
    used = {"image": ("test_fraction", "val_fraction"), "patient": ("folds",)}.get(rule.unit, ())
    return {"unit": rule.unit, **{name: getattr(rule, name) for name in used}}


def make(
    slices: SliceSet, rule: SplitRule, number: int, cvind: Mapping[int, int] | None = None
) -> Split:
    """Draw split `number` (from 1) of a set of slices, independent of their order.

    cvind maps slice number to the dataset authors' fold, for unit "cvind". Raises `SplitError`
    where patients are unknown but needed, the number is out of range, or a set would be empty.
    """
    ids = sorted(slices.row_of)
    if rule.unit == "image":
        sets = _by_image(ids, rule, number)
    elif rule.unit == "patient":
        sets = _from_folds(patient_folds(slices, rule.folds), rule.folds, number)
    else:
        if cvind is None:
            raise SplitError(
                "the authors' folds need cvind.mat beside the archive; fetch it, or split by "
                "patient"
            )
        if missing := [i for i in ids if i not in cvind]:
            first = f"{missing[0]} ({len(missing)} in all)"
            raise SplitError(f"cvind.mat gives no fold for slice {first}")
        sets = _from_folds({i: cvind[i] for i in ids}, max(cvind.values()), number)
    split = Split(split_id(rule, number), *(tuple(sorted(numbers)) for numbers in sets))
    verify(split, slices, rule)
    return split


def draws(slices: SliceSet, rule: SplitRule, cvind: Mapping[int, int] | None = None) -> int:
    """How many splits a rule has on these slices: its folds, or draws with disjoint test sets."""
    if rule.unit == "image":
        return _draws(len(slices), rule)
    return rule.folds if rule.unit == "patient" else max((cvind or {0: 0}).values())


def _draws(n: int, rule: SplitRule) -> int:
    n_test = round(n * rule.test_fraction)
    return n // n_test if n_test else 0


def pooled(splits: Sequence[Split]) -> Split:
    """Several splits as one that tests what any of them tests; of one, itself.

    It trains on nothing: who outlined a slice was trained on the sets of the split that tests it.
    Raises `SplitError` where two of them test one slice.
    """
    if len(splits) == 1:
        return splits[0]
    for a, b in combinations(splits, 2):
        if shared := set(a.test) & set(b.test):
            raise SplitError(
                f"slice {min(shared)} is tested by both {a.split_id} and {b.split_id}, so it is "
                "not known whose masks are meant; give splits whose test sets share no slice"
            )
    test = tuple(sorted(number for split in splits for number in split.test))
    name = f"{splits[0].split_id} to {splits[-1].split_id} ({len(splits)} splits)"
    return Split(name, (), (), test)


def _by_image(ids: list[int], rule: SplitRule, number: int) -> tuple[list[int], ...]:
    n_test, most = round(len(ids) * rule.test_fraction), _draws(len(ids), rule)
    if not 1 <= number <= most:
        raise SplitError(
            f"by-image draw {number}: {len(ids)} slices give draws 1 to {most} with disjoint test "
            "sets"
        )
    shuffled = [ids[i] for i in _rng(0).permutation(len(ids))]
    test = shuffled[(number - 1) * n_test : number * n_test]
    rest = sorted(set(ids) - set(test))
    rest = [rest[i] for i in _rng(number).permutation(len(rest))]
    n_val = round(len(rest) * rule.val_fraction)
    return rest[n_val:], rest[:n_val], test


def patient_folds(slices: SliceSet, folds: int) -> dict[int, int]:
    """Map slice number to fold 1..folds: patients, largest first, go to the fold with fewest."""
    members: dict[str, list[int]] = {}
    for number, patient in slices.patient_of.items():
        if patient is None:
            raise SplitError(
                f"slice {number} has no patient number, so slices of one patient could land in two "
                "sets; give an index.csv with patient_id, or split by image"
            )
        members.setdefault(patient, []).append(number)
    if not 3 <= folds <= len(members):
        raise SplitError(
            f"{folds} folds: need at least 3 (test, validation, train) and at most {len(members)} "
            "patients"
        )
    names = sorted(members)
    names = [names[i] for i in _rng(0).permutation(len(names))]
    names.sort(key=lambda name: -len(members[name]))  # stable: ties stay shuffled
    load = [0] * folds
    fold_of: dict[int, int] = {}
    for name in names:
        lightest = load.index(min(load))
        load[lightest] += len(members[name])
        fold_of.update(dict.fromkeys(members[name], lightest + 1))
    return fold_of


def _from_folds(fold_of: Mapping[int, int], folds: int, number: int) -> tuple[list[int], ...]:
    """Fold `number` tests, the next one validates, the others train."""
    if not 1 <= number <= folds:
        raise SplitError(f"fold {number} does not exist; there are folds 1 to {folds}")
    home = {number: 2, number % folds + 1: 1}
    sets: tuple[list[int], ...] = ([], [], [])
    for slice_id, fold in fold_of.items():
        sets[home.get(fold, 0)].append(slice_id)
    return sets


def _rng(draw: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([SPLIT_SEED, draw], dtype=np.uint64)))


def verify(split: Split, slices: SliceSet, rule: SplitRule) -> None:
    """Raise `SplitError` for an empty set, one that shares a slice, or a patient where none may,
    with another, or sets that are not complete.
    """
    for name, numbers in split.sets.items():
        if not numbers:
            why = f"the {name} set is empty"
            raise SplitError(f"{split.split_id}: {why}; more slices or patients are needed")
        if len(set(numbers)) != len(numbers):
            raise SplitError(f"{split.split_id}: a slice is listed twice in {name}")
    for (a, first), (b, second) in combinations(split.sets.items(), 2):
        if shared := set(first) & set(second):
            raise SplitError(f"{split.split_id}: slice {min(shared)} is in both {a} and {b}")
    if odd := set().union(*split.sets.values()) ^ set(slices.row_of):
        here, there = ("data", "split") if min(odd) in slices.row_of else ("split", "data")
        raise SplitError(
            f"{split.split_id}: slice {min(odd)} is in the {here} but not in the {there}; the "
            "split belongs to other slices"
        )
    if rule.unit != "image":
        _check_patients(split, slices)


def _check_patients(split: Split, slices: SliceSet) -> None:
    home: dict[str | None, str] = {}
    for name, numbers in split.sets.items():
        for patient in (slices.patient_of[number] for number in sorted(numbers)):
            if home.setdefault(patient, name) != name:
                homes = f"{home[patient]} and {name}"
                raise SplitError(f"{split.split_id}: patient {patient} is in {homes}")
