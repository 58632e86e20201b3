"""Files that hold a split: the package's, those that runs leave, and a user's own.

A split is drawn and written once; afterwards it is only read and verified.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from benchmark.data.guard import read_capped
from benchmark.data.slices import SliceSet
from benchmark.errors import SplitError, known
from benchmark.protocol import SplitRule
from benchmark.splits.split import SETS, Split, make, rule_identity, split_id, verify
from benchmark.storage.atomic import write_bytes, writing

MAX_BYTES = 10_000_000
SPLITS = "splits"  # the folder beside runs that holds those drawn for them
ALL = "all"  # every slice is tested, as of a tool or a reader that was trained on none
FORM = (
    'it must hold {"train": [...], "val": [...], "test": [...]} with slice numbers; '
    "val may be left out"
)


@dataclass(frozen=True)
class StoredSplit:
    """A split, the dataset_id of its slices, and the `rule_identity` by which it was drawn."""

    split: Split
    dataset_id: str
    rule: Mapping[str, Any]


def read(text: str, origin: str) -> StoredSplit:
    """Parse a split file; `SplitError` names the file if it is damaged."""
    try:
        stored = json.loads(text)
        sets = (tuple(int(number) for number in stored[name]) for name in SETS)
        return StoredSplit(Split(stored["split_id"], *sets), stored["dataset_id"], stored["rule"])
    except (ValueError, KeyError, TypeError) as error:
        raise SplitError(
            f"{origin}: not a split file ({error!r}); remove it to have it drawn again"
        ) from error


def write(split: Split, dataset_id: str, rule: SplitRule, path: Path) -> None:
    """Write a split file atomically; an existing one is never changed, and must hold the same."""
    if path.exists():
        there = read(path.read_text(encoding="utf-8"), str(path))
        if (there.dataset_id, there.split.sets) == (dataset_id, split.sets):
            return
        raise SplitError(
            f"{path} holds another split (other slices or another rule); move it away first"
        )
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, stored_text(split, dataset_id, rule=rule_identity(rule)).encode())


def stored_text(split: Split, dataset_id: str, **more: Any) -> str:
    """A split as a file holds it, and as `read_split` reads it; more: keys beside its sets."""
    fields = {"split_id": split.split_id, "dataset_id": dataset_id, **more, **split.sets}
    lines = [f'  "{key}": {json.dumps(value)}' for key, value in fields.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


@cache
def shipped() -> Mapping[str, StoredSplit]:
    """Every split in the package, by name, in order of names."""
    paths = [*(resources.files("reference_results") / "splits").iterdir()]
    return {
        path.name.removesuffix(".json"): read(path.read_text(encoding="utf-8"), path.name)
        for path in sorted(paths, key=lambda path: path.name)
        if path.name.endswith(".json")
    }


def shipped_for(slices: SliceSet) -> list[Split]:
    """Return the splits of the package that are of these slices, by name; none for others."""
    return [its.split for its in shipped().values() if its.dataset_id == slices.dataset_id]


def load_or_make(
    slices: SliceSet,
    rule: SplitRule,
    number: int,
    folder: Path,
    cvind: Mapping[int, int] | None = None,
    *,
    keep: bool = True,
) -> Split:
    """Return a split of the package or the folder; a new one is drawn, and written there to keep.

    A stored split of the same slices that breaks a law raises `SplitError`: it is never mended
    silently.
    """
    name, identity = split_id(rule, number), rule_identity(rule)
    own = _place(folder, name, slices.dataset_id, rule)
    for stored in _stored(name, own):
        if (stored.dataset_id, stored.rule) == (slices.dataset_id, identity):
            verify(stored.split, slices, rule)
            return stored.split
    split = make(slices, rule, number, cvind)
    if keep:
        write(split, slices.dataset_id, rule, own)
    return split


def store_split(split: Split, dataset_id: str, rule: SplitRule, folder: Path) -> None:
    """Write a split where `find_split` finds it in the folder, as `write` does."""
    write(split, dataset_id, rule, _place(folder, split.split_id, dataset_id, rule))


def _place(folder: Path, name: str, dataset_id: str, rule: SplitRule) -> Path:
    identity = json.dumps(rule_identity(rule), sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return folder / dataset_id[:12] / f"{name}-{digest}.json"


def _stored(name: str, path: Path) -> Iterator[StoredSplit]:
    """The package's split of a name, and the one in a file, where they are there."""
    if name in shipped():
        yield shipped()[name]
    if path.is_file():
        yield read(path.read_text(encoding="utf-8"), str(path))


def find_split(name: str, dataset_id: str, fingerprint: str, folder: Path) -> Split | None:
    """Return the split of this name, dataset and `Split.fingerprint`, of the package or the folder.

    None where it is in neither. Raises `SplitError` for a damaged file of that name.
    """
    own = sorted((folder / dataset_id[:12]).glob(f"{name}-*.json"))
    stored = [shipped()[name]] if name in shipped() else []
    stored += [read(path.read_text(encoding="utf-8"), str(path)) for path in own]
    alike = (its.split for its in stored if its.dataset_id == dataset_id)
    return next((split for split in alike if split.fingerprint == fingerprint), None)


def by_number(name: str) -> tuple[int, str]:
    """What sorts names of splits of one kind by their numbers: 10 after 9."""
    return len(name), name


def read_splits(word: str, slices: SliceSet) -> tuple[Split, ...]:
    """Return the splits that a word names: one, as `read_split`, or several in their order.

    Several are all of a kind in the package, such as by-patient, or the files of a folder, by the
    numbers in their names. Raises `SplitError` as `read_split` does, and for a folder without any.
    """
    names = [name for name in shipped() if name.rpartition("-")[0] == word]
    if Path(word).is_dir():
        names = [str(path) for path in Path(word).glob("*.json")]
        if not names:
            raise SplitError(f"{word}: holds no split file N.json; {FORM}")
    names.sort(key=by_number)
    return tuple(read_split(name, slices) for name in names or [word])


def read_split(word: str, slices: SliceSet) -> Split:
    """Return the split that a word names: one of the package's, such as by-image-1, or a JSON file.

    `ALL` tests every slice and trains on none. A file holds slice numbers under train, val and
    test; it may leave slices out, and train and val too. Raises `SplitError` for an unknown name, a
    split of other slices, a damaged file, no test slice, a slice listed twice or in two sets, and a
    slice that is not in the data.
    """
    if word == ALL:
        return Split(ALL, (), (), tuple(slices.row_of))
    if word in shipped():
        split, dataset_id = shipped()[word].split, shipped()[word].dataset_id
    else:
        path = Path(word)
        if not path.is_file():
            raise SplitError(f"{known('split', word, shipped())}, or the path of a JSON file")
        fields = _parsed(path)
        split = Split(path.name, *(_numbers(fields.get(name, []), name, path) for name in SETS))
        dataset_id = fields.get("dataset_id", slices.dataset_id)
    if dataset_id != slices.dataset_id:
        raise SplitError(
            f"{word}: is of dataset {str(dataset_id)[:12]}, but the slices given are "
            f"{slices.dataset_id[:12]}; give the slices it belongs to, or a split file of yours"
        )
    _check(split, slices)
    return split


def _parsed(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(read_capped(path, MAX_BYTES).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SplitError(f"{path}: cannot be read as JSON ({error}); {FORM}") from error
    if not isinstance(fields, dict):
        raise SplitError(f"{path}: holds a {type(fields).__name__}; {FORM}")
    return fields


def _numbers(listed: object, name: str, path: Path) -> tuple[int, ...]:
    if not isinstance(listed, list):
        raise SplitError(f"{path}: {name} is a {type(listed).__name__}, not a list; {FORM}")
    for value in listed:
        if type(value) is not int:
            raise SplitError(f"{path}: {str(value)[:40]!r} in {name} is no slice number; {FORM}")
    return tuple(sorted(listed))


def _check(split: Split, slices: SliceSet) -> None:
    """Raise `SplitError` for what no split may be; unlike `verify`, it need not be complete."""
    if not split.test:
        raise SplitError(f'{split.split_id}: the test set is empty; list its slices under "test"')
    home: dict[int, str] = {}
    listed = [(number, name) for name in SETS for number in getattr(split, name)]
    for number, name in listed:
        if number not in slices.row_of:
            raise SplitError(
                f"{split.split_id}: slice {number} of {name} is not in the data; give the slices "
                "that the split is of, or mend its numbers"
            )
        if there := home.get(number):
            where = f"twice in {name}" if there == name else f"in both {there} and {name}"
            raise SplitError(f"{split.split_id}: slice {number} is {where}; keep it in one place")
        home[number] = name
