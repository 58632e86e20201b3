"""How far a split leaks: test slices whose patient, or neighbour, was there to learn from. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from tabulate import tabulate

from benchmark.errors import SplitError
from benchmark.splits.split import SPLIT_SEED, Split

Patients = Mapping[int, str | None]  # of slice numbers, None where unknown

DRAWS = 200  # random splits that a split is held against
STREAM = 2**32  # of these draws; the splits themselves use the small numbers
WITHIN = (2.5, 97.5)  # percentiles that hold 95 % of the draws
LEGEND = """\
Shares of the test slices, their number in brackets. A patient is "in" a set that holds another slice of theirs; a
neighbour is a slice of the same patient whose number is one more or one less."""  # noqa: E501
MET = [f"{who} in {at}" for who in ("patient", "neighbour") for at in ("train", "train or val")]
HEADINGS = ("split", "train/val/test", *MET, "test patients in train")


@dataclass(frozen=True)
class Leakage:
    """Counts of one split: of test slices, and of test patients in the last two.

    n test slices; with their patient in train, or in train or val (`known`); with an adjacent
    slice (number +-1, same patient) in train, or in train or val; patients of the test set, and
    how many of these are in train. `Expected` holds means of them.
    """

    n: int
    patient_in_train: float
    patient_in_known: float
    neighbour_in_train: float
    neighbour_in_known: float
    patients: float
    patients_in_train: float

    @property
    def shares(self) -> list[float]:
        """The four counts of slices as shares of the test slices, in [0, 1]."""
        counts = (self.patient_in_train, self.patient_in_known)
        return [n / self.n for n in (*counts, self.neighbour_in_train, self.neighbour_in_known)]


@dataclass(frozen=True)
class Expected:
    """What random splits by image leak: the mean of draws, and each count's ends of `WITHIN`."""

    draws: int
    mean: Leakage
    low: Leakage
    high: Leakage


def leakage(split: Split, patient_of: Patients) -> Leakage:
    """Measure one split; the order within a set and the names of patients change nothing.

    patient_of maps slice number to patient. Raises `SplitError` where the train or test set is
    empty, or a slice of the split has no patient.
    """
    for name in ("train", "test"):
        if not split.sets[name]:
            raise SplitError(
                f"{split.split_id}: the {name} set is empty, so nothing can leak; list its slices "
                f'under "{name}"'
            )
    unknown = [n for part in split.sets.values() for n in part if patient_of.get(n) is None]
    if unknown:
        raise SplitError(
            f"slice {min(unknown)} has no patient number ({len(unknown)} of {split.split_id} have "
            "none), so no leak can be measured; give an index.csv with the columns slice and "
            "patient_id beside the slices"
        )
    train = {number: patient_of[number] for number in split.train}
    known = train | {number: patient_of[number] for number in split.val}
    patients = {patient_of[number] for number in split.test}

    def with_patient(others: Patients) -> int:
        theirs = set(others.values())
        return sum(patient_of[number] in theirs for number in split.test)

    def with_neighbour(others: Patients) -> int:
        return sum(neighbours(number, patient_of, others) > 0 for number in split.test)

    return Leakage(
        n=len(split.test),
        patient_in_train=with_patient(train),
        patient_in_known=with_patient(known),
        neighbour_in_train=with_neighbour(train),
        neighbour_in_known=with_neighbour(known),
        patients=len(patients),
        patients_in_train=len(patients & set(train.values())),
    )


def neighbours(number: int, patient_of: Patients, others: Container[int]) -> int:
    """How many of the slices next to one (number +-1, same patient) are among others: 0 to 2."""
    beside = (number - 1, number + 1)
    return sum(n in others and patient_of.get(n) == patient_of[number] for n in beside)


def expected(split: Split, patient_of: Patients, draws: int = DRAWS) -> Expected:
    """Measure random splits by image of the same slices into sets of the same sizes.

    The draws depend on the slice numbers and sizes only, so every call gives the same numbers.
    Raises `SplitError` as `leakage` does, and where draws is below 1.
    """
    if draws < 1:
        raise SplitError(f"{draws} random draws give no mean; ask for 1 or more")
    ids = _numbers(split)
    ends = [len(split.train), len(split.train) + len(split.val)]
    counts = []
    for draw in range(draws):
        key = np.array([SPLIT_SEED, STREAM + draw], dtype=np.uint64)
        rng = np.random.Generator(np.random.Philox(key=key))
        mixed = [ids[i] for i in rng.permutation(len(ids))]
        sets = (tuple(mixed[: ends[0]]), tuple(mixed[ends[0] : ends[1]]), tuple(mixed[ends[1] :]))
        counts.append(astuple(leakage(Split(split.split_id, *sets), patient_of)))
    n, drawn = len(split.test), np.array(counts, dtype=np.float64)[:, 1:]  # (draws, 6)
    low, high = np.percentile(drawn, WITHIN, axis=0)
    mean, low, high = (Leakage(n, *row.tolist()) for row in (drawn.mean(axis=0), low, high))
    return Expected(draws, mean, low, high)


def report(splits: Sequence[Split], patient_of: Patients, draws: int = DRAWS) -> str:
    """Return the table of all splits, and below it random ones of the same slices and sizes.

    Splits that share no patient between test and the rest are not by image and get no such row.
    Raises `SplitError` as `leakage` does, and where there is no split.
    """
    if not splits:
        raise SplitError("there is no split to audit; name one")
    rows, by_image = [], {}
    for split in splits:
        measured = leakage(split, patient_of)
        rows.append(_row(split.split_id, _sizes(split), measured))
        if measured.patient_in_known:
            by_image[_sizes(split), tuple(_numbers(split))] = split
    for split in by_image.values():
        chance = expected(split, patient_of, draws)
        rows.append(_row(f"random by image, mean of {draws}", _sizes(split), chance.mean))
        ends = zip(chance.low.shares, chance.high.shares, strict=True)
        spread = [f"{100 * low:.1f} to {100 * high:.1f} %" for low, high in ends]
        rows.append(["95 % of them within", "", *spread, ""])
    table = tabulate(rows, headers=HEADINGS, disable_numparse=True, maxheadercolwidths=14)
    return f"{table}\n\n{LEGEND}"


def _numbers(split: Split) -> list[int]:
    return sorted(split.train + split.val + split.test)


def _sizes(split: Split) -> str:
    return "/".join(str(len(numbers)) for numbers in split.sets.values())


def _row(name: str, sizes: str, measured: Leakage) -> list[str]:
    shares = [f"{100 * share:.1f} % ({_count(share * measured.n)})" for share in measured.shares]
    patients = f"{_count(measured.patients_in_train)} of {_count(measured.patients)}"
    return [name, sizes, *shares, patients]


def _count(count: float) -> str:
    """A count as it is, a mean with one decimal."""
    return f"{count:.0f}" if abs(count - round(count)) < 1e-9 else f"{count:.1f}"
