"""Dice as a distribution, the patients who fare worst, and three averages; derived by hand."""

from __future__ import annotations

from typing import Any

import pytest
from run_records import BY_PATIENT, join, table, terms

from benchmark.judge.comparisons.patients import averages_table, distribution_table, worst_table
from benchmark.judge.comparisons.reference_trainings import (
    ReferenceTrainings,
    reference_trainings,
)
from benchmark.runs.collect import Collected

SMALL = {"height": 256, "width": 256}


def trainings(*parts: Collected) -> list[ReferenceTrainings]:
    return reference_trainings(join(*parts), *terms())


def only(*parts: Collected) -> ReferenceTrainings:
    (made,) = trainings(*parts)
    return made


def runs(dice: list[float], patients: list[str | None], **more: Any) -> Collected:
    return table({1: dice}, patients, **more)


def test_a_distribution_by_hand() -> None:
    """Slices 0.9, 0.7 of a, 0.6 of b and 0.2, 0.4 of c: patients 0.8, 0.6, 0.3.

    Tenth percentiles lie 0.4 of a step and 0.2 of a step above the least: 0.28 and 0.36.
    0.7 itself is not below it.
    """
    made = distribution_table(only(runs([0.9, 0.7, 0.6, 0.2, 0.4], list("aabcc"))))
    assert made is not None
    slices, patients = made.records
    assert [slices[key] for key in ("n", "mean", "median", "tenth", "low_share", "lowest")] == (
        pytest.approx([5, 0.56, 0.6, 0.28, 3 / 5, 0.2])
    )
    assert [patients[key] for key in ("n", "mean", "median", "tenth", "low_share", "lowest")] == (
        pytest.approx([3, 1.7 / 3, 0.6, 0.36, 2 / 3, 0.3])
    )
    assert patients["sd"] == pytest.approx(0.251661, abs=1e-6)


def test_a_slice_is_averaged_over_its_trainings_first() -> None:
    """Slice 0 of two draws' three trainings: 0.9, 0.6 and 0.3."""
    again = runs([0.3], ["a"], split_id="by-image-2")
    made = distribution_table(only(table({1: [0.9, 0.5], 2: [0.6, 0.5]}, ["a", "b"]), again))
    assert made is not None
    assert made.records[0]["mean"] == pytest.approx((0.6 + 0.5) / 2)


def test_the_worst_stand_first_with_their_dice_under_the_other_kind() -> None:
    """Of six patients the five lowest; f, whom no draw by image tested, has none there."""
    names = list("abcdef")
    folds = runs([0.6, 0.5, 0.4, 0.3, 0.0, 0.1], names, **BY_PATIENT)
    made = worst_table(only(runs([0.9] * 5, names[:5]), folds))
    assert made is not None
    assert made.shown["patient"].tolist() == list("efdcb")
    assert made.shown["missed"].tolist() == ["100%", "0%", "0%", "0%", "0%"]
    assert made.shown["Dice by image"].tolist() == ["0.900", "", "0.900", "0.900", "0.900"]


def test_by_image_alone_the_worst_are_those_by_image() -> None:
    made = worst_table(only(runs([0.6, 0.5], ["a", "b"])))
    assert made is not None
    assert made.shown.columns.tolist() == ["patient", "slices", "Dice by image", "missed"]


def test_three_averages_by_hand() -> None:
    """Of a: 90 of 100 pixels found, none wrong, Dice 180/190; of b twice 1 of 2, Dice 2/3.

    Pooled: 2 x 92 / (2 x 92 + 0 + 12).
    """
    dice = [180 / 190, 2 / 3, 2 / 3]
    measures = {"tp": [90, 1, 1], "fp": [0, 0, 0], "fn": [10, 1, 1]}
    made = averages_table(only(runs(dice, list("abb"), measures=measures)))
    assert made is not None
    (row,) = made.records
    assert row["dice"] == pytest.approx(sum(dice) / 3)
    assert row["pooled"] == pytest.approx(184 / 196)
    assert row["of_patients"] == pytest.approx((dice[0] + dice[1]) / 2)


def test_each_kind_of_split_has_its_rows() -> None:
    made = distribution_table(only(runs([0.9], ["a"]), runs([0.8], ["a"], **BY_PATIENT)))
    assert made is not None
    assert made.shown[["split", "over"]].to_numpy().tolist() == [
        ["by image", "slices"],
        ["by image", "patients"],
        ["by patient", "slices"],
        ["by patient", "patients"],
    ]


def test_unknown_patients_take_it_all() -> None:
    own = only(runs([0.9, 0.8], ["a", None]))
    assert [of(own) for of in (distribution_table, worst_table, averages_table)] == [None] * 3


def test_the_terms_with_most_trainings_come_first() -> None:
    found = trainings(runs([0.9], ["a"]), table({1: [0.9], 2: [0.8]}, ["a"], **SMALL))
    assert [own.terms for own in found] == ["256x256, fp32", "512x512, fp32"]
    assert [own.trainings for own in found] == [2, 1]


@pytest.mark.parametrize(
    "changes",
    [{"phantom": True}, {"dataset_id": "another"}, {"recipe_hash": "another"}, {"alpha": 0.6},
     {"kernel_size": 7}, {"arm": "mine"}],
)  # fmt: skip
def test_nothing_else_is_the_reference_cell(changes: dict[str, Any]) -> None:
    assert trainings(runs([0.9], ["a"], **changes)) == []


def test_of_two_protocols_of_one_kind_the_one_with_more_trainings_is_taken() -> None:
    own = only(table({1: [0.9], 2: [0.9]}, ["a"]), runs([0.1], ["a"], protocol_hash="feed"))
    assert own.trainings == 2
