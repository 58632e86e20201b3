"""How far a split leaks: the test slices whose patient, or whose neighbour, was there to learn
from. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from tabulate import tabulate

from benchmark.errors import SplitError
from benchmark.splits.split import SETS, SPLIT_SEED, Split

DRAWS = 200  # random splits that a split is held against
STREAM = 2**32  # of these draws; the splits themselves use the small numbers
WITHIN = (2.5, 97.5)  # percentiles that hold 95 % of the draws
LEGEND = """\
Shares of the test slices, their number in brackets. A patient is "in" a set that holds another slice of theirs; a
neighbour is a slice of the same patient whose number is one more or one less."""


@dataclass(frozen=True)
class Leakage:
    """Counts of one split: of test slices, and of test patients in the last two; `Expected` holds
    means of them.

    n test slices; with their patient in train, or in train or val (`known`); with an adjacent
    slice (number +-1, same patient) in train, or in train or val; patients of the test set,
    and how many of these are in train. The shares lie in [0, 1].
    """

    n: int
    patient_in_train: float
    patient_in_known: float
    neighbour_in_train: float
    neighbour_in_known: float
    patients: float
    patients_in_train: float

    @property
    def patient_in_train_share(self) -> float:
        return self.patient_in_train / self.n

    @property
    def patient_in_known_share(self) -> float:
        return self.patient_in_known / self.n

    @property
    def neighbour_in_train_share(self) -> float:
        return self.neighbour_in_train / self.n

    @property
    def neighbour_in_known_share(self) -> float:
        return self.neighbour_in_known / self.n

    @property
    def patients_in_train_share(self) -> float:
        return self.patients_in_train / self.patients


@dataclass(frozen=True)
class Expected:
    """What random splits by image leak: the mean of the draws, and each count's 2.5 and 97.5
    percentile.
    """

    draws: int
    mean: Leakage
    low: Leakage
    high: Leakage


def leakage(split: Split, patient_of: Mapping[int, str]) -> Leakage:
    """Measure one split; the order within a set and the names of patients change nothing.

    patient_of maps slice number to patient. Raises `SplitError` where the train or test set
    is empty, or a slice of the split has no patient.
    """
    for name in ("train", "test"):
        if not getattr(split, name):
            raise SplitError(
                f'{split.split_id}: the {name} set is empty, so nothing can leak; list its slices under "{name}"'
            )
    unknown = [
        number for name in SETS for number in getattr(split, name) if patient_of.get(number) is None
    ]
    if unknown:
        raise SplitError(
            f"slice {min(unknown)} has no patient number ({len(unknown)} of {split.split_id} have none), so no leak "
            "can be measured; give an index.csv with the columns slice and patient_id beside the slices"
        )
    train = {number: patient_of[number] for number in split.train}
    known = train | {number: patient_of[number] for number in split.val}
    trained, met = set(train.values()), set(known.values())
    patients = {patient_of[number] for number in split.test}

    def beside(number: int, others: Mapping[int, str]) -> bool:
        return patient_of[number] in (others.get(number - 1), others.get(number + 1))

    return Leakage(
        n=len(split.test),
        patient_in_train=sum(patient_of[number] in trained for number in split.test),
        patient_in_known=sum(patient_of[number] in met for number in split.test),
        neighbour_in_train=sum(beside(number, train) for number in split.test),
        neighbour_in_known=sum(beside(number, known) for number in split.test),
        patients=len(patients),
        patients_in_train=len(patients & trained),
    )


def expected(split: Split, patient_of: Mapping[int, str], draws: int = DRAWS) -> Expected:
    """Measure random splits by image of the same slices into sets of the same sizes: what chance
    alone leaks.

    The draws depend on the slice numbers and sizes only, so every call gives the same numbers.
    Raises `SplitError` as `leak` does, and where draws is below 1.
    """
    if draws < 1:
        raise SplitError(f"{draws} random draws give no mean; ask for 1 or more")
    ids = sorted(split.train + split.val + split.test)
    ends = len(split.train), len(split.train) + len(split.val)
    counts = []
    for draw in range(draws):
        rng = np.random.Generator(
            np.random.Philox(key=np.array([SPLIT_SEED, STREAM + draw], dtype=np.uint64))
        )
        mixed = [ids[i] for i in rng.permutation(len(ids))]
        sets = (tuple(mixed[: ends[0]]), tuple(mixed[ends[0] : ends[1]]), tuple(mixed[ends[1] :]))
        counts.append(astuple(leakage(Split(split.split_id, *sets), patient_of)))
    n, drawn = len(split.test), np.array(counts, dtype=np.float64)[:, 1:]  # (draws, 6)
    low, high = np.percentile(drawn, WITHIN, axis=0).tolist()
    return Expected(
        draws, Leakage(n, *drawn.mean(axis=0).tolist()), Leakage(n, *low), Leakage(n, *high)
    )


def report(splits: Sequence[Split], patient_of: Mapping[int, str], draws: int = DRAWS) -> str:
    """Return the table of all splits, and below it random ones of the same slices and sizes.

    Splits that share no patient between test and the rest are not by image and get no such
    row. Raises `SplitError` as `leak` does, and where there is no split.
    """
    if not splits:
        raise SplitError("there is no split to audit; name one")
    leaks = [leakage(split, patient_of) for split in splits]
    rows = [
        _row(split.split_id, _sizes(split), one) for split, one in zip(splits, leaks, strict=True)
    ]
    by_image = {
        (_sizes(split), tuple(sorted(split.train + split.val + split.test))): split
        for split, one in zip(splits, leaks, strict=True)
        if one.patient_in_known
    }
    for split in by_image.values():
        chance = expected(split, patient_of, draws)
        rows.append(_row(f"random by image, mean of {draws}", _sizes(split), chance.mean))
        rows.append(_spread(chance))
    headers = (
        "split",
        "train/val/test",
        "patient in train",
        "patient in train or val",
        "neighbour in train",
        "neighbour in train or val",
        "test patients in train",
    )
    table = tabulate(rows, headers=headers, disable_numparse=True, maxheadercolwidths=14)
    return f"{table}\n\n{LEGEND}"


def _sizes(split: Split) -> str:
    return "/".join(str(len(getattr(split, name))) for name in SETS)


def _shares(one: Leakage) -> list[float]:
    """The four columns of slices, as the table has them."""
    return [
        one.patient_in_train_share,
        one.patient_in_known_share,
        one.neighbour_in_train_share,
        one.neighbour_in_known_share,
    ]


def _row(name: str, sizes: str, one: Leakage) -> list[str]:
    cells = [f"{100 * share:.1f} % ({_number(share * one.n)})" for share in _shares(one)]
    return [name, sizes, *cells, f"{_number(one.patients_in_train)} of {_number(one.patients)}"]


def _spread(chance: Expected) -> list[str]:
    """Between which values 95 % of the draws lie."""
    ends: Iterable[tuple[float, float]] = zip(
        _shares(chance.low), _shares(chance.high), strict=True
    )
    cells = [f"{100 * low:.1f} to {100 * high:.1f} %" for low, high in ends]
    return ["95 % of them within", "", *cells, ""]


def _number(count: float) -> str:
    """A count as it is, a mean with one decimal."""
    return f"{count:.0f}" if abs(count - round(count)) < 1e-9 else f"{count:.1f}"
