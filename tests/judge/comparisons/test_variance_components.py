"""What the reference cell's Dice varies by: which components are told, and draws against folds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from run_records import BY_PATIENT, join, table, terms

from benchmark.judge.comparisons.reference_trainings import (
    ReferenceTrainings,
    reference_trainings,
)
from benchmark.judge.comparisons.variance_components import (
    between_splits_table,
    components,
    components_table,
)
from benchmark.judge.shipped import shipped
from benchmark.judge.statistics.estimate import clustered_mean
from benchmark.runs.collect import Collected

PATIENTS = [name for name in "abcdefgh" for _ in range(3)]
FOLDS = {**BY_PATIENT, "protocol": "patient"}


def only(*parts: Collected) -> ReferenceTrainings:
    (made,) = reference_trainings(join(*parts), *terms())
    return made


def noisy(key: int, seeds: int = 2, **more: object) -> Collected:
    """Eight patients of three slices; patients, slices, trainings and scores vary."""
    own, fixed = (np.random.Generator(np.random.Philox(key=k)) for k in (key, 1))
    slices = np.repeat(fixed.normal(0.7, 0.1, 8), 3) + fixed.normal(0, 0.05, 24)
    dice = {
        seed: (slices + own.normal(0, 0.02) + own.normal(0, 0.03, 24)).tolist()
        for seed in range(1, seeds + 1)
    }
    return table(dice, PATIENTS, **more)


def told(*parts: Collected) -> list[str]:
    made = components(only(*parts))
    assert made is not None
    return [component.name for component in made]


def test_what_the_runs_do_not_tell_apart_is_not_told() -> None:
    """One split has no spread between training sets, one kind none between kinds, single seeds none
    between trainings."""
    always = ["patient", "slice", "residual"]
    assert told(noisy(2)) == ["patient", "slice", "training", "residual"]
    several = (noisy(2), noisy(3, split_id="by-image-2"))
    assert told(*several) == ["patient", "slice", "training set", "training", "residual"]
    single = noisy(2, seeds=1), noisy(3, seeds=1, **FOLDS)
    assert told(*single) == ["patient", "patient x kind of split", *always[1:]]


def test_the_table_shares_out_the_whole_variance() -> None:
    made = components_table(only(noisy(2), noisy(3, **FOLDS)), 0.95)
    assert made is not None
    assert sum(row["share"] for row in made.records) == pytest.approx(1)
    sd = {row["component"]: row["sd"] for row in made.records}
    total = sum(value**2 for value in sd.values())
    assert made.records[0]["share"] == pytest.approx(sd["patient"] ** 2 / total)


def test_without_two_trainings_or_with_an_unknown_patient_nothing_is_told() -> None:
    assert components_table(only(noisy(2, seeds=1)), 0.95) is None
    unknown = table({1: [0.9, 0.8], 2: [0.8, 0.7]}, ["a", None])
    assert components_table(only(unknown), 0.95) is None
    assert between_splits_table(only(unknown)) is None


def test_draws_beside_what_patients_and_seeds_would_make_by_hand() -> None:
    """Draws with means 0.7 and 0.9: SD sqrt(0.02). Seeds 0.02 apart: s^2 0.0002, two a draw."""
    first, second = [0.6, 0.8, 0.7, 0.7], [0.9, 0.9, 1.0, 0.8]
    parts = [
        table(
            {1: [x - 0.01 for x in dice], 2: [x + 0.01 for x in dice]},
            list("aabb"),
            split_id=name,
            first_slice=start,
        )
        for dice, name, start in ((first, "by-image-1", 0), (second, "by-image-2", 4))
    ]
    made = between_splits_table(only(*parts))
    assert made is not None
    (row,) = made.records
    assert (row["splits"], row["patients"]) == (2, 2)
    assert (row["low"], row["high"], row["sd"]) == pytest.approx((0.7, 0.9, math.sqrt(0.02)))
    each = [clustered_mean(np.array(dice), list("aabb")) for dice in (first, second)]
    patients = sum(estimate.variance.value for estimate in each) / 2
    assert row["sd_patients"] == pytest.approx(math.sqrt(patients))
    assert row["sd_seeds"] == pytest.approx(0.01)
    assert row["sd_expected"] == pytest.approx(math.sqrt(patients + 0.0001))


def test_one_draw_has_no_spread_between_draws() -> None:
    assert between_splits_table(only(noisy(2))) is None


@pytest.mark.slow
def test_the_shipped_scores_are_patients_and_slices_first() -> None:
    """As an independent audit found by other code, from somewhat fewer scores: SDs of 0.128, 0.027,
    0.116, 0.005, 0.009 and 0.085.
    """
    made = components(shipped().reference_trainings[0])
    assert made is not None
    sd = {component.name: component.sd for component in made}
    assert list(sd) == ["patient", "patient x kind of split", "slice", "training set",
                        "training", "residual"]  # fmt: skip
    assert list(sd.values()) == pytest.approx([0.128, 0.027, 0.116, 0.005, 0.009, 0.085], abs=3e-3)
