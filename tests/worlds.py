"""Made-up worlds to count in how often an interval holds the truth, many at once in numpy.

Dice is the sum that `benchmark.judge.claims.worlds` has, with its SDs, on the shipped slices,
patients and splits, and one part more: what a patient is to an arm. An arm is whatever sees
patients in its own way: a cell, or a kind of split. All arms have one mean, so that every
difference between them is 0 in truth. Effects are Gaussian, or of the skewed shape that those of
our records have.

The judge's arithmetic stands here a second time, for all worlds at once; tests hold it equal to the
judge's on some of them. Twice all the components makes twice the errors and twice the intervals of
a mean or a difference: single components are what to double.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from run_records import join, table
from scipy.special import stdtrit
from strategies import cheng_rows

from benchmark.judge.claims.worlds import MEAN, Noise
from benchmark.judge.statistics.crossed import FEWEST_DF
from benchmark.runs.collect import Collected
from benchmark.splits.files import shipped
from benchmark.splits.split import SPLIT_SEED

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
DRAWS = tuple(f"by-image-{i}" for i in range(1, 6))
FOLDS = tuple(f"by-patient-{i}" for i in range(1, 8))


@dataclass(frozen=True)
class Components(Noise):
    """The SD of each effect, in Dice."""

    patient_by_arm: float = 0.027

    def times(self, factor: float) -> Components:
        return Components(*(getattr(self, field.name) * factor for field in fields(self)))


FITTED = Components()
UNEQUAL: Mapping[str, float] = MappingProxyType(
    {
        "by-image-1": 0.023,
        **dict(zip(DRAWS[1:], (0.003, 0.003, 0.012, 0.003), strict=True)),
        **dict(zip(FOLDS, (0.012, 0.009, 0.009, 0.012, 0.006, 0.012, 0.003), strict=True)),
    }
)
"""SD of the trainings on each split: draw 1 differs from the others as it does in our records."""


def rng(key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([SPLIT_SEED, key], dtype=np.uint64)))


@cache
def patients() -> tuple[str, ...]:
    """The patient of each of the 708 slices."""
    return tuple(row["patient_id"] for row in cheng_rows())


@cache
def patient_numbers() -> Ints:
    """(708,) patients as 0 to 81."""
    numbers: Ints = np.unique(patients(), return_inverse=True)[1]
    return numbers


@cache
def slice_numbers() -> tuple[int, ...]:
    """The number that each of the 708 slices has in Cheng's dataset."""
    return tuple(int(row["slice"]) for row in cheng_rows())


@cache
def slices_of(split: str) -> Ints:
    """Which of the 708 slices a shipped split tests, 0 to 707, in order."""
    place = {number: i for i, number in enumerate(slice_numbers())}
    return np.array(sorted(place[number] for number in shipped()[split].split.test))


@dataclass(frozen=True)
class Shapes:
    """Values (N,) of mean 0 and SD 1 that the effects of a name are drawn from, if not normal."""

    patient: Floats
    slice: Floats
    residual: Floats


def shapes_of(rows: pd.DataFrame) -> Shapes:
    """The shapes in a cell's rows (patient_id, slice_id, dice), each slice from two trainings."""
    by_slice = rows.groupby(["patient_id", "slice_id"])["dice"].mean()
    by_patient = by_slice.groupby("patient_id").mean()
    residual = rows["dice"] - rows.groupby(["split_id", "slice_id"])["dice"].transform("mean")
    slices = by_slice - by_slice.groupby("patient_id").transform("mean")
    several = by_slice.groupby("patient_id").transform("size") > 1
    found = (by_patient, slices[several], residual[residual != 0])
    values = (effect.to_numpy(dtype=float) for effect in found)
    return Shapes(*((x - x.mean()) / x.std() for x in values))


class Worlds:
    """n worlds of the 708 slices, each with patients and slices of its own."""

    def __init__(
        self, key: int, n: int, components: Components = FITTED, shapes: Shapes | None = None
    ) -> None:
        self.random, self.n, self.sd, self.shapes = rng(key), n, components, shapes
        of = patient_numbers()
        self.slices = MEAN + self._effect("patient", (n, of.max() + 1))[:, of]
        self.slices += self._effect("slice", (n, len(of)))

    def _effect(self, name: str, size: tuple[int, ...]) -> Floats:
        shape = getattr(self.shapes, name, None)
        values = self.random.standard_normal(size) if shape is None else (
            self.random.choice(shape, size)
        )  # fmt: skip
        return np.asarray(values * getattr(self.sd, name))

    def arm(self) -> Floats:
        """(n, 708) what the slices are to a new arm: their own, and how it does on each patient."""
        of = patient_numbers()
        return self.slices + self._effect("patient_by_arm", (self.n, of.max() + 1))[:, of]

    def scores(
        self, arm: Floats, slices: Ints, seeds: int, training: float | None = None
    ) -> Floats:
        """(n, seeds, slices) Dice of an arm trained from some seeds on one training set.

        training: SD between the trainings, where it is not the components'.
        """
        own = self._effect("training_set", (self.n, 1))
        sd = self.sd.training if training is None else training
        own = own + sd * self.random.standard_normal((self.n, seeds))
        residual = self._effect("residual", (self.n, seeds, len(slices)))
        return arm[:, None, slices] + own[:, :, None] + residual

    def on(
        self, arm: Floats, splits: Sequence[str], seeds: int, training: Mapping[str, float] = {}
    ) -> list[Floats]:
        """`scores` of an arm on shipped splits, one by one."""
        return [self.scores(arm, slices_of(s), seeds, training.get(s)) for s in splits]


@dataclass(frozen=True)
class Many:
    """A variance in each of n worlds, and its degrees of freedom; `Variance`, many at once."""

    value: Floats
    df: Floats | float

    def __mul__(self, factor: float) -> Many:
        return Many(self.value * factor, self.df)

    def __add__(self, other: Many) -> Many:
        total = self.value + other.value
        parts = (part.value**2 / np.where(part.value > 0, part.df, 1) for part in (self, other))
        return Many(total, total**2 / sum(parts))


def _clusters(slices: Ints, enters: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Which slice is of which patient (slices, patients), and w and f of every world's patients."""
    of = np.unique(patient_numbers()[slices], return_inverse=True)[1]
    member = np.eye(of.max() + 1)[of]
    share = enters @ member / enters.sum(axis=-1, keepdims=True)
    return member, share, 1 / (1 - 2 * share + (share**2).sum(axis=-1, keepdims=True))


def mean_of_patients(
    values: Floats, slices: Ints, enters: NDArray[np.bool_] | None = None
) -> tuple[Floats, Floats, Floats]:
    """Mean (n,) of values (n, slices), its variance over patients (n,), and df.

    enters: (n, slices) or (1, slices) the slices that count; all of them without it.
    `benchmark.judge.statistics.estimate.clustered_mean`, many at once.
    """
    enters = np.ones((1, len(slices)), dtype=bool) if enters is None else enters
    member, share, factor = _clusters(slices, enters)
    size = enters.sum(axis=-1, keepdims=True)
    mean = np.where(enters, values, 0).sum(axis=1, keepdims=True) / size
    sums = np.where(enters, values - mean, 0) @ member / size
    c = share[:, :, None] * (np.eye(share.shape[1]) - share[:, None, :])
    form = (c @ c.swapaxes(1, 2)) * np.sqrt(factor[:, :, None] * factor[:, None, :])
    df = np.trace(form, axis1=1, axis2=2) ** 2 / (form**2).sum(axis=(1, 2))
    return mean[:, 0], (sums**2 * factor).sum(axis=1), df


def between(groups: Sequence[Floats]) -> Many:
    """s^2 of (n, seeds) groups, pooled: `pooled_variance`, many at once."""
    df = sum(group.shape[1] - 1 for group in groups)
    return Many(sum(group.var(axis=1) * group.shape[1] for group in groups) / df, df)


def crossed(groups: Sequence[tuple[Floats, Ints]], enters: NDArray[np.bool_] | None = None) -> Many:
    """i^2 of pseudo-values (n, seeds, slices) of groups with two seeds, and their slices, pooled:
    `benchmark.judge.statistics.crossed.crossed`, many at once.
    """
    value, df = 0.0, 0.0
    for values, slices in groups:
        counts = np.ones((1, len(slices)), dtype=bool) if enters is None else enters
        member, share, factor = _clusters(slices, counts)
        size, counts = counts.sum(axis=-1)[:, None, None], counts[:, None]
        left = np.where(counts, values - values.mean(axis=1, keepdims=True), 0)
        left = np.where(counts, left - left.sum(axis=2, keepdims=True) / size, 0)
        sums = left @ member / size
        value = value + (sums**2 * factor[:, None]).sum(axis=(1, 2))
        df = df + (values.shape[1] - 1) / (share**2).sum(axis=1)
    return Many(value / sum(values.shape[1] - 1 for values, _ in groups), df)


def net(seeds: Many, both: Many) -> Many:
    """s^2 - i^2 as `benchmark.judge.statistics.crossed.net` has it, many at once."""
    value = np.maximum(seeds.value - both.value, 0)
    spread = seeds.value**2 / seeds.df + both.value**2 / both.df
    df = np.where(value > 0, value**2 / spread, np.inf)
    rough = np.round(seeds.df, 9) < FEWEST_DF
    return Many(np.where(rough, seeds.value, value), np.where(rough, seeds.df, df))


def held_each(
    error: Floats, variance: Floats, df: Floats | float, level: float = 0.95
) -> NDArray[np.bool_]:
    """Which errors (n,) the t interval of a variance (n,) and its df holds."""
    half = stdtrit(df, (1 + level) / 2) * np.sqrt(variance)
    return np.asarray(np.abs(error) <= half)


def held(error: Floats, variance: Floats, df: Floats | float, level: float = 0.95) -> float:
    """The share of errors (n,) that such an interval holds."""
    return float(held_each(error, variance, df, level).mean())


def trained_twice(groups: Sequence[tuple[Floats, Ints]]) -> Many:
    """`net` of the groups of which there are two seeds: pseudo-values (n, seeds, slices)."""
    known = [(values, slices) for values, slices in groups if values.shape[1] > 1]
    return net(between([values.mean(axis=2) for values, _ in known]), crossed(known))


def collected(by_split: Mapping[str, Floats], seeds: Sequence[int], **changes: object) -> Collected:
    """The runs of one world as records: Dice (seeds, slices) of one arm on shipped splits."""
    parts = []
    for split, dice in by_split.items():
        slices = slices_of(split)
        own = {"split_id": split, "split_fingerprint": split, **changes}
        values = dict(zip(seeds, dice.tolist(), strict=True))
        part = table(values, [patients()[i] for i in slices], **own)
        part.scores["slice_id"] = np.tile(slices, len(seeds))
        parts.append(part)
    return join(*parts)
