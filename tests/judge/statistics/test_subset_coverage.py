"""Does the interval of a difference between two parts of a test set hold the truth 95 times in 100?

Small tumours minus large ones, whose Dice are alike in truth, in 1000 made-up worlds; and the
fewest patients of a part at which it does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from run_records import terms
from worlds import (
    DRAWS,
    FITTED,
    UNEQUAL,
    Floats,
    Ints,
    Many,
    Shapes,
    Worlds,
    between,
    collected,
    crossed,
    held,
    mean_of_patients,
    net,
    patient_numbers,
    rng,
    shapes_of,
    slice_numbers,
    slices_of,
)

import benchmark.judge.statistics.crossed as judge
from benchmark.judge.cells import cell_of
from benchmark.judge.claims.image_claims import small_minus_large
from benchmark.judge.statistics.contrast import Statistic, between_seeds, contrast
from benchmark.runs.collect import Collected, collect, reproduction_folder

WORLDS, SEEDS = 1000, 3  # a coverage of 0.95 is then known to +- 0.014
SIZES = terms()[1].sizes
FEWEST = terms()[1].intervals.fewest_patients
RIGHT = 0.92  # a Dice from which an outline counts as right here, in half of the slices
Part = NDArray[np.bool_]  # of (n, seeds, slices), or what broadcasts to it


@pytest.fixture(scope="module")
def records() -> Collected:
    return collect(reproduction_folder())


@pytest.fixture(scope="module")
def area_mm2(records: Collected) -> Floats:
    """(708,) the tumours' true area."""
    found = records.scores.groupby("slice_id")["truth_mm2"].first()
    return found.reindex(slice_numbers()).to_numpy(dtype=float)


@pytest.fixture(scope="module")
def shapes(records: Collected) -> Shapes:
    by_patient = records.runs[records.runs["split_unit"] == "patient"]
    return shapes_of(cell_of(by_patient, records).rows)


def pseudo(dice: Floats, of: Part, than: Part) -> tuple[Floats, Part]:
    """Pseudo-values (n, seeds, slices) of one part's mean minus another's, and which slices (n,
    slices) enter: from one seed, hence from all.

    `difference_within` and what `pseudo_values` makes of it, many at once.
    """
    enters = np.broadcast_to((of | than).any(axis=1), (len(dice), dice.shape[2]))
    size = enters.sum(axis=1)[:, None, None]
    values = np.zeros(dice.shape)
    for part, sign in ((of, 1), (than, -1)):
        count = np.broadcast_to(part, dice.shape).sum(axis=2, keepdims=True)
        middle = np.where(part, dice, 0).sum(axis=2, keepdims=True) / count
        values += sign * (middle + np.where(part, (dice - middle) * size / count, 0))
    return values, enters


def by_hand(dice: Floats, slices: Ints, of: Part, than: Part) -> tuple[Floats, Many]:
    """The difference in every world, a mean over seeds, and its variance."""
    values, enters = pseudo(dice, of, than)
    value, variance, df = mean_of_patients(values.mean(axis=1), slices, enters)
    by_seed = np.where(enters[:, None], values, 0).sum(axis=2) / enters.sum(axis=1)[:, None]
    spread = net(between([by_seed]), crossed([(values, slices)], enters))
    return value, Many(variance, df) + spread * (1 / dice.shape[1])


def coverage(
    slices: Ints, of: Part, than: Part, *, shapes: Shapes | None = None,
    training: float | None = None, key: int = 8, right: float = -np.inf,
) -> float:  # fmt: skip
    made = Worlds(key, WORLDS, FITTED, shapes)
    dice = made.scores(made.arm(), slices, SEEDS, training)
    value, variance = by_hand(dice, slices, of & (dice >= right), than & (dice >= right))
    return held(value, variance.value, variance.df)


def sizes_of(area_mm2: Floats, slices: Ints) -> tuple[Part, Part]:
    small, large = SIZES.edges_mm2
    return area_mm2[slices] < small, area_mm2[slices] >= large


@pytest.mark.parametrize("split", DRAWS)
def test_small_minus_large_tumours_is_held_about_as_often_as_its_interval_says(
    area_mm2: Floats, shapes: Shapes, split: str
) -> None:
    """23 to 30 patients with small tumours, 14 to 19 with large ones."""
    slices = slices_of(split)
    parts = sizes_of(area_mm2, slices)
    for own in (None, shapes):
        found = coverage(slices, *parts, shapes=own, training=UNEQUAL[split])
        assert 0.93 <= found <= 0.97


def test_so_it_is_among_those_whose_outline_is_right(area_mm2: Floats) -> None:
    """Which those are differs from training to training; over all draws, about half of the slices.

    What a threshold on Dice leaves is alike in both parts, so that the truth is 0 still.
    """
    slices = np.concatenate([slices_of(split) for split in DRAWS])
    assert 0.93 <= coverage(slices, *sizes_of(area_mm2, slices), right=RIGHT) <= 0.97


def of_some_patients(
    patients: int, key: int, choose: Callable[[Ints], Ints]
) -> tuple[Ints, Part, Part]:
    """A part of some patients' slices, 1 to 21 each, against that of 30 others."""
    order = rng(key).permutation(82)
    mine, others = order[:patients], order[patients : patients + 30]
    of = patient_numbers()
    slices = np.concatenate([choose(np.flatnonzero(of == p)) for p in (*mine, *others)])
    part = np.isin(of[slices], mine)
    return slices, part, ~part


def mean_coverage(
    patients: int, choose: Callable[[Ints], Ints], shapes: Shapes | None = None
) -> float:
    """Over ten random sets of so many patients."""
    found = [
        coverage(*of_some_patients(patients, key, choose), shapes=shapes, key=key)
        for key in range(10)
    ]
    return float(np.mean(found))


def test_a_part_of_the_fewest_patients_is_held_about_as_often_as_its_interval_says(
    shapes: Shapes,
) -> None:
    """With all slices of a patient or with one, which makes of the fewest patients the fewest
    slices.
    """
    for own in (None, shapes):
        assert 0.93 <= mean_coverage(FEWEST, lambda its: its, own) <= 0.97
        assert 0.93 <= mean_coverage(FEWEST, lambda its: its[:1], own) <= 0.97


def test_a_part_of_half_as_many_patients_is_not() -> None:
    """Its weight in the variance is more than its share of the slices says: 0.89."""
    assert mean_coverage(FEWEST // 2, lambda its: its) < 0.91


@pytest.mark.parametrize("least", [-np.inf, RIGHT], ids=["all slices", "outline right"])
def test_the_arithmetic_here_is_that_of_the_judge(area_mm2: Floats, least: float) -> None:
    slices = slices_of(DRAWS[0])
    made = Worlds(9, 2, FITTED)
    dice = made.scores(made.arm(), slices, SEEDS)
    small, large = sizes_of(area_mm2, slices)
    value, variance = by_hand(dice, slices, small & (dice >= least), large & (dice >= least))
    statistic: Statistic = small_minus_large(SIZES, least)
    for world in range(2):
        runs = collected({DRAWS[0]: dice[world]}, range(1, SEEDS + 1))
        area = np.tile(area_mm2[slices], SEEDS)
        scores = runs.scores.assign(nsd_1mm=runs.scores["dice"], truth_mm2=area)
        cell = cell_of(runs.runs, Collected(runs.runs, scores, ()))
        seeds = between_seeds([cell], statistic)
        assert seeds
        found = contrast(
            [(1.0, cell)], statistic, judge.net(seeds, judge.crossed([cell], statistic))
        )
        assert found
        assert found.value == pytest.approx(value[world])
        assert found.variance.value == pytest.approx(variance.value[world])
        assert found.variance.df == pytest.approx(variance.df[world])
