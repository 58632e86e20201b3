"""Does the interval of by image minus by patient hold the truth 95 times in 100? A thousand made-up
worlds without an effect: five draws and seven folds as shipped, two seeds each, the same slices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from run_records import join
from worlds import (
    DRAWS,
    FITTED,
    FOLDS,
    UNEQUAL,
    Components,
    Floats,
    Ints,
    Many,
    Shapes,
    Worlds,
    collected,
    held,
    mean_of_patients,
    shapes_of,
    slices_of,
    trained_twice,
)

from benchmark.judge.cells import cell_of
from benchmark.judge.comparisons.split_effect import split_effects
from benchmark.runs.collect import collect, reproduction_folder

EQUAL: Mapping[str, float] = {}
WORLDS = 1000  # a coverage of 0.95 is then known to +- 0.014


def by_slice(groups: list[tuple[Floats, Ints]]) -> Floats:
    """(n, 708) mean over seeds of each slice, NaN where no split tested it."""
    dice = np.full((len(groups[0][0]), 708), np.nan)
    for values, slices in groups:
        dice[:, slices] = values.mean(axis=1)
    return dice


def between_splits(
    difference: Floats, tested: list[Ints], seeds: int, net: Many
) -> tuple[int, Floats, int]:
    """How many splits, what the differences' means on them vary beyond patients and seeds, df."""
    found = [mean_of_patients(difference[:, slices], slices) for slices in tested]
    between = np.var([mean for mean, *_ in found], axis=0, ddof=1)
    fresh = np.mean([variance for _, variance, _ in found], axis=0)
    return len(tested), between - fresh - net.value / seeds, len(tested) - 1


def leak(
    worlds: Worlds, training: Mapping[str, float], seeds: int
) -> tuple[list[list[tuple[Floats, Ints]]], Floats, Many, Many]:
    """Scores by image and by patient, the difference, its variance, and that without training
    sets.
    """
    kinds = [
        [(dice, slices_of(name)) for dice, name in zip(made, names, strict=True)]
        for names in (DRAWS, FOLDS)
        for made in [worlds.on(worlds.arm(), names, seeds, training)]
    ]
    image, patient = (by_slice(groups) for groups in kinds)
    shared = np.flatnonzero(~np.isnan((image + patient)[0]))
    difference = image - patient
    value, variance, df = mean_of_patients(difference[:, shared], shared)
    net = trained_twice([group for groups in kinds for group in groups])
    tested = [[np.intersect1d(slices, shared) for _, slices in groups] for groups in kinds]
    share = sum((len(s) / len(shared)) ** 2 / seeds for slices in tested for s in slices)
    parts = [between_splits(difference, slices, seeds, net) for slices in tested]
    total = sum(df for *_, df in parts)
    r2 = np.maximum(sum(beyond * df for _, beyond, df in parts) / total, 0)
    without = Many(variance, df) + net * share
    sets = Many(r2, total) * sum(1 / splits for splits, *_ in parts)
    return kinds, value, without + sets, without


def coverage(
    components: Components = FITTED, training: Mapping[str, float] = EQUAL,
    shapes: Shapes | None = None, *, seeds: int = 2, sets: bool = True,
) -> float:  # fmt: skip
    _, value, whole, without = leak(Worlds(3, WORLDS, components, shapes), training, seeds)
    variance = whole if sets else without
    return held(value, variance.value, variance.df)


@pytest.mark.parametrize("training", [EQUAL, UNEQUAL], ids=["equal spreads", "unequal spreads"])
@pytest.mark.parametrize("seeds", [2, 3])
def test_the_leak_is_held_about_as_often_as_its_interval_says(
    training: Mapping[str, float], seeds: int
) -> None:
    """0.94 to 0.963. The rule before, whose training sets were told from the draws' own means,
    came to 0.983 and intervals 1.4 times as wide.
    """
    assert 0.93 <= coverage(training=training, seeds=seeds) <= 0.97


@pytest.mark.parametrize(
    "twice", ["patient_by_arm", "training_set", "training", "residual", "slice", "patient"]
)
def test_so_it_is_where_a_component_is_twice_as_large(twice: str) -> None:
    assert 0.93 <= coverage(replace(FITTED, **{twice: 2 * getattr(FITTED, twice)})) <= 0.97


def test_so_it_is_with_effects_as_skewed_as_ours() -> None:
    records = collect(reproduction_folder())
    rows = cell_of(records.runs[records.runs["split_unit"] == "patient"], records).rows
    assert 0.93 <= coverage(shapes=shapes_of(rows)) <= 0.97


def test_training_sets_that_are_left_out_are_missed() -> None:
    """Where they differ by 0.01 the interval without them holds the truth in less than 0.92."""
    assert coverage(replace(FITTED, training_set=0.01), sets=False) < 0.92


def test_the_arithmetic_here_is_that_of_the_judge() -> None:
    kinds, value, variance, _ = leak(Worlds(4, 2, FITTED), EQUAL, 2)
    fold = {"split_unit": "patient", "protocol_hash": "feed", "protocol": "patient"}
    for world in range(2):
        records = [
            collected(
                {n: dice[world] for n, (dice, _) in zip(names, groups, strict=True)}, (1, 2), **own
            )
            for names, groups, own in zip((DRAWS, FOLDS), kinds, ({}, fold), strict=True)
        ]
        (effect,) = split_effects(join(*records))
        found = effect.difference
        assert found
        assert found.value == pytest.approx(value[world])
        assert found.variance.value == pytest.approx(variance.value[world])
        assert found.variance.df == pytest.approx(variance.df[world])
