"""Train, validation and test sets: drawn and written once, afterwards only read and verified.

By image: the thesis's rule, as many draws as fit with test sets that are disjoint.
By patient: a k-fold in which each patient is tested once. The fold after the tested one
validates, so no patient is ever in two sets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.slices import SliceSet
from benchmark.errors import SplitError
from benchmark.protocol import SplitRule
from benchmark.storage.atomic import write_bytes, writing

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
    def fingerprint(self) -> str:
        """sha256 over the three sets; the name does not enter."""
        text = json.dumps([sorted(self.train), sorted(self.val), sorted(self.test)])
        return hashlib.sha256(text.encode()).hexdigest()


def split_id(rule: SplitRule, number: int) -> str:
    """Return the name of a split: by-image-1, by-patient-3, by-cvind-5."""
    return f"by-{rule.unit}-{number}"


def make(
    slices: SliceSet, rule: SplitRule, number: int, cvind: Mapping[int, int] | None = None
) -> Split:
    """Draw split `number` (from 1) of a set of slices, independent of their order.

    cvind maps slice number to the dataset authors' fold, for unit "cvind". Raises
    `SplitError` where patients are unknown but needed, the number is out of range, or a set
    would be empty.
    """
    ids = sorted(int(i) for i in slices.slice_id)
    name = split_id(rule, number)
    if rule.unit == "image":
        parts = _by_image(ids, rule, number)
    elif rule.unit == "patient":
        parts = _from_folds(patient_folds(slices, rule.folds), rule.folds, number)
    else:
        if cvind is None:
            raise SplitError(
                "the authors' folds need cvind.mat beside the archive; fetch it, or split by patient"
            )
        missing = [i for i in ids if i not in cvind]
        if missing:
            raise SplitError(
                f"cvind.mat gives no fold for slice {missing[0]} ({len(missing)} in all)"
            )
        parts = _from_folds({i: cvind[i] for i in ids}, max(cvind.values()), number)
    split = Split(name, *(tuple(sorted(part)) for part in parts))
    verify(split, slices, rule)
    return split


def _by_image(
    ids: list[int], rule: SplitRule, number: int
) -> tuple[list[int], list[int], list[int]]:
    n_test = round(len(ids) * rule.test_fraction)
    draws = len(ids) // n_test if n_test else 0
    if not 1 <= number <= draws:
        raise SplitError(
            f"by-image draw {number}: {len(ids)} slices give draws 1 to {draws} with disjoint test sets"
        )
    shuffled = [ids[i] for i in _rng(0).permutation(len(ids))]
    test = shuffled[(number - 1) * n_test : number * n_test]
    rest = sorted(set(ids) - set(test))
    rest = [rest[i] for i in _rng(number).permutation(len(rest))]
    n_val = round(len(rest) * rule.val_fraction)
    return rest[n_val:], rest[:n_val], test


def patient_folds(slices: SliceSet, folds: int) -> dict[int, int]:
    """Map slice number to fold 1..folds: patients, largest first, go to the fold with fewest
    slices.
    """
    if not slices.patients_known:
        unknown = int(slices.slice_id[[p is None for p in slices.patient_id].index(True)])
        raise SplitError(
            f"slice {unknown} has no patient number, so slices of one patient could land in two sets; "
            "give an index.csv with patient_id, or split by image"
        )
    members: dict[str, list[int]] = {}
    for number, patient in zip(slices.slice_id.tolist(), slices.patient_id, strict=True):
        members.setdefault(str(patient), []).append(number)
    if not 3 <= folds <= len(members):
        raise SplitError(
            f"{folds} folds: need at least 3 (test, validation, train) and at most {len(members)} patients"
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


def _from_folds(
    fold_of: Mapping[int, int], folds: int, number: int
) -> tuple[list[int], list[int], list[int]]:
    """Fold `number` tests, the next one validates, the others train."""
    if not 1 <= number <= folds:
        raise SplitError(f"fold {number} does not exist; there are folds 1 to {folds}")
    val = number % folds + 1
    train = [i for i, fold in fold_of.items() if fold not in (number, val)]
    return (
        train,
        [i for i, f in fold_of.items() if f == val],
        [i for i, f in fold_of.items() if f == number],
    )


def _rng(draw: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([SPLIT_SEED, draw], dtype=np.uint64)))


def verify(split: Split, slices: SliceSet, rule: SplitRule) -> None:
    """Raise `SplitError` unless the sets are non-empty, disjoint and complete, patients kept apart
    where promised.
    """
    parts = {name: set(getattr(split, name)) for name in SETS}
    for name, part in parts.items():
        if not part:
            raise SplitError(
                f"{split.split_id}: the {name} set is empty; more slices or patients are needed"
            )
        if len(part) != len(getattr(split, name)):
            raise SplitError(f"{split.split_id}: a slice is listed twice in {name}")
    ids = set(slices.slice_id.tolist())
    for a, b in (("train", "val"), ("train", "test"), ("val", "test")):
        if shared := parts[a] & parts[b]:
            raise SplitError(f"{split.split_id}: slice {min(shared)} is in both {a} and {b}")
    listed = set().union(*parts.values())
    if listed != ids:
        odd = min(listed ^ ids)
        where = (
            "in the split but not in the data"
            if odd in listed
            else "in the data but not in the split"
        )
        raise SplitError(
            f"{split.split_id}: slice {odd} is {where}; the split belongs to other slices"
        )
    if rule.unit == "image":
        return
    patient = dict(zip(slices.slice_id.tolist(), slices.patient_id, strict=True))
    home: dict[str | None, str] = {}
    for name, part in parts.items():
        for number in sorted(part):
            if home.setdefault(patient[number], name) != name:
                raise SplitError(
                    f"{split.split_id}: patient {patient[number]} is in {home[patient[number]]} and {name}"
                )


def load_or_make(
    slices: SliceSet,
    rule: SplitRule,
    number: int,
    folder: Path,
    cvind: Mapping[int, int] | None = None,
    *,
    keep: bool = True,
) -> Split:
    """Return a split from the shipped files or the folder; draw it if it is new, and write it there
    to keep it.

    A stored split of the same slices that breaks a law raises `SplitError`: it is never
    mended silently.
    """
    name = split_id(rule, number)
    digest = hashlib.sha256(json.dumps(rule_identity(rule), sort_keys=True).encode()).hexdigest()[
        :8
    ]
    own = folder / slices.dataset_id[:12] / f"{name}-{digest}.json"
    for path in (files("reference_results") / "splits" / f"{name}.json", own):
        if path.is_file():
            stored = read(path.read_text(encoding="utf-8"), str(path))
            if stored.pop("dataset_id") == slices.dataset_id and _same_rule(
                stored.pop("rule"), rule
            ):
                split = Split(**stored)
                verify(split, slices, rule)
                return split
    split = make(slices, rule, number, cvind)
    if keep:
        write(split, slices.dataset_id, rule, own)
    return split


def _same_rule(stored: dict[str, Any], rule: SplitRule) -> bool:
    return stored == rule_identity(rule)


def rule_identity(rule: SplitRule) -> dict[str, Any]:
    """The part of a rule that its unit uses."""
    if rule.unit == "image":
        return {
            "unit": "image",
            "test_fraction": rule.test_fraction,
            "val_fraction": rule.val_fraction,
        }
    return (
        {"unit": rule.unit, "folds": rule.folds} if rule.unit == "patient" else {"unit": rule.unit}
    )


def read(text: str, origin: str) -> dict[str, Any]:
    """Parse a split file to its fields; `SplitError` names the file if it is damaged."""
    try:
        stored = json.loads(text)
        sets = {name: tuple(int(i) for i in stored[name]) for name in SETS}
        return {
            "split_id": stored["split_id"],
            "dataset_id": stored["dataset_id"],
            "rule": stored["rule"],
            **sets,
        }
    except (ValueError, KeyError, TypeError) as error:
        raise SplitError(
            f"{origin}: not a split file ({error!r}); remove it to have it drawn again"
        ) from error


def write(split: Split, dataset_id: str, rule: SplitRule, path: Path) -> None:
    """Write a split file atomically; an existing file is never changed, and must hold the same
    split.
    """
    if path.exists():
        stored = read(path.read_text(encoding="utf-8"), str(path))
        if stored["dataset_id"] == dataset_id and all(
            stored[name] == getattr(split, name) for name in SETS
        ):
            return
        raise SplitError(
            f"{path} holds another split (other slices or another rule); move it away first"
        )
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    fields = {"split_id": split.split_id, "dataset_id": dataset_id, "rule": rule_identity(rule)}
    lines = [f'  "{key}": {json.dumps(value)}' for key, value in fields.items()]
    lines += [f'  "{name}": {json.dumps(list(getattr(split, name)))}' for name in SETS]
    write_bytes(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
