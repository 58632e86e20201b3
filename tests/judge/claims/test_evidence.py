"""What claims are judged on: cells by kernel and alpha, sides of an interval, what is unknown."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from claim_cells import cell, evidence_of
from run_records import join, terms

from benchmark.judge.cells import panels
from benchmark.judge.claims.evidence import (
    FEW_PATIENTS,
    NO_SLICE,
    NO_SPLIT,
    ClaimVerdict,
    Reading,
    average,
    grid_evidence,
    in_words,
    judge_groups,
    name_of,
    side,
)
from benchmark.judge.statistics.contrast import DICE, NO_SPREAD, Statistic
from benchmark.judge.statistics.estimate import Estimate, Variance
from benchmark.runs.collect import Collected


def estimate(value: float, se: float = 0.0, df: float = math.inf) -> Estimate:
    return Estimate(value, Variance(se**2, df))


@pytest.mark.parametrize(
    ("ours", "monai"), [(0.1, 0.9), (0.3, 0.7), (0.5, 0.5), (0.8, 0.2), (0.9, 0.1)]
)
def test_what_the_thesis_would_have_called_our_alpha(ours: float, monai: float) -> None:
    """Ours weighs false negatives; MONAI's weighs false positives (docs/thesis.md, trap 1)."""
    assert (Reading.TEXT.of(ours), Reading.SWAPPED.of(ours)) == (ours, monai)


def test_a_training_at_alpha_stands_at_one_minus_alpha_under_the_swapped_reading() -> None:
    runs = (cell(5, 0.1), cell(3, 0.7))
    assert list(evidence_of(*runs).cells) == [(3, 0.7), (5, 0.1)]
    assert list(evidence_of(*runs, reading=Reading.SWAPPED).cells) == [(3, 0.3), (5, 0.9)]
    assert evidence_of(*runs, reading=Reading.SWAPPED).cells[5, 0.9].alpha == 0.1


@pytest.mark.parametrize("reading", Reading)
def test_cells_off_the_grid_are_left_out(reading: Reading) -> None:
    """An alpha between, a kernel beyond, another network, an arm with neither, one with a click."""
    others = (
        cell(5, 0.55),
        cell(11, 0.5),
        cell(5, 0.5, arm="attention-unet"),
        cell(5, float("nan"), arm="otsu", kernel_size=pd.NA, seed=pd.NA, seeds=1),
        cell(5, 0.5, 0.1, needs_click=True),
    )
    found = evidence_of(cell(5, 0.5), *others, reading=reading)
    assert list(found.cells) == [(5, 0.5)]
    assert found.best is found.cells[5, 0.5]
    assert found.best.rows["dice"].mean() == pytest.approx(0.8)  # not that of the click


def test_the_grid_is_the_thesis_s() -> None:
    found = evidence_of(cell(3, 0.1))
    assert len(found.points()) == len(set(found.points())) == 36
    assert found.points([3], [0.1, 0.9]) == [(3, 0.1), (3, 0.9)]
    assert found.complete([[(3, 0.1)], [(3, 0.1), (3, 0.5)]]) == [[(3, 0.1)]]
    assert (found.printed, found.best) == ((5, 0.5), None)


def test_two_precisions_are_two_panels() -> None:
    found = panels(join(cell(5, 0.5, 0.8), cell(5, 0.5, 0.2, precision="bf16")))
    reference, rules = terms()
    words = (Reading.TEXT, reference, rules)
    both = [grid_evidence(panel, *words) for panel in found]
    dice = sorted(evidence.cells[5, 0.5].rows["dice"].mean() for evidence in both)
    assert dice == pytest.approx([0.2, 0.8])


def test_a_contrast_by_hand() -> None:
    """s^2 = 0.01^2 / 2, df 2; v = s^2 (1/2 + 1/2); t sqrt(v) = 4.302653 sqrt(v) = 0.030424."""
    weights = {(3, 0.5): 1.0, (7, 0.5): -1.0}
    found = evidence_of(cell(3, 0.5, 0.83), cell(7, 0.5)).contrast(weights, DICE)
    assert found is not None
    assert found.value == pytest.approx(0.03)
    assert found.half_width(0.95) == pytest.approx(0.030424, abs=1e-6)


def test_spreads_are_worked_out_once() -> None:
    """They are dear, and a claim asks for them 35 times."""
    found = evidence_of(cell(3, 0.5), cell(5, 0.1, seeds=3))
    assert found.spreads(DICE) is found.spreads(DICE)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (cell(3, 0.5, seeds=1), NO_SPREAD),
        (cell(3, 0.5, seeds=1, split_id="by-image-2"), NO_SPLIT),
        (cell(3, 0.5, seeds=1, first_slice=9), NO_SPREAD),
    ],
)
def test_why_nothing_is_known(second: Collected, why: str) -> None:
    found = evidence_of(cell(5, 0.5, seeds=1), second)
    weights = average(list(found.cells))
    assert found.contrast(weights, DICE) is None
    assert found.unknown(weights, DICE) == why
    finding = judge_groups(found, [found.shared(weights)], "", DICE, 1, "it")
    assert (finding.standing, finding.why) == (ClaimVerdict.UNDECIDED, why)


@pytest.mark.parametrize("patients", [["a"] * 4, [None] * 4, ["a", "b", "c", None]])
def test_one_patient_or_an_unknown_one_shows_no_spread(patients: list[str | None]) -> None:
    found = evidence_of(cell(5, 0.5, patients=patients))
    assert found.contrast({(5, 0.5): 1.0}, DICE) is None
    assert found.unknown([(5, 0.5)], DICE) == FEW_PATIENTS


def test_a_statistic_of_no_slice_is_said_to_be_one() -> None:
    none = Statistic("of nothing", lambda rows: np.full(len(rows), np.nan))
    found = evidence_of(cell(5, 0.5))
    assert found.contrast({(5, 0.5): 1.0}, none) is None
    assert found.unknown([(5, 0.5)], none) == NO_SLICE


def test_columns_that_some_run_lacks() -> None:
    found = evidence_of(cell(5, 0.5, measures={"nsd_1mm": [1.0] * 4}), cell(3, 0.5))
    assert found.lacking(found.cells, ("dice", "sensitivity")) == ""
    assert found.lacking([(5, 0.5)], ("nsd_1mm",)) == ""
    why = "in the scores of some runs; rescore them"
    assert found.lacking([(3, 0.5)], ("nsd_1mm",)) == f"no nsd_1mm {why}"
    two = ("core_sensitivity", "truth_mm2")
    assert found.lacking([(5, 0.5)], two) == f"no core_sensitivity and truth_mm2 {why}"


@pytest.mark.parametrize(
    ("value", "against", "expected"),
    [(0.0197, 0, 1), (0.0195, 0, 0), (-0.0197, 0, -1), (-0.0195, 0, 0), (0.01, -0.01, 1),
     (0.0095, -0.01, 0)],
)  # fmt: skip
def test_sides_of_an_interval(value: float, against: float, expected: int) -> None:
    """SE 0.01, normal: the half width is 0.019600."""
    assert side(estimate(value, 0.01), 0.95, against) == expected


def test_nothing_known_and_exact_ties_are_on_no_side() -> None:
    """0.1 + 0.2 - 0.3 is 5.6e-17, with no spread at all."""
    assert side(None, 0.95) == 0
    assert side(estimate(0.1 + 0.2 - 0.3), 0.95) == 0
    assert side(estimate(1e-6), 0.95) == 1


@pytest.mark.parametrize(
    ("sign", "value", "standing"),
    [(1, 0.04, "confirmed"), (-1, 0.04, "contradicted"), (1, -0.04, "contradicted"),
     (-1, -0.04, "confirmed"), (1, 0.03, "undecided"), (-1, 0.03, "undecided")],
)  # fmt: skip
def test_a_contrast_is_judged_by_its_sign(sign: int, value: float, standing: str) -> None:
    """The half width is 0.030424, as above."""
    found = evidence_of(cell(3, 0.5, 0.8 + value), cell(7, 0.5))
    weights = {(3, 0.5): 1.0, (7, 0.5): -1.0}
    assert (
        judge_groups(found, [found.shared(weights)], "", DICE, sign, "it").standing.value
        == standing
    )


def test_an_interval_in_words() -> None:
    assert in_words(None, 0.95) == "not known"
    assert in_words(estimate(0.0214, 0.01), 0.95) == "+0.021 [+0.002, +0.041]"
    assert in_words(estimate(math.log(2)), 0.95, ratio=True) == "2.00 [2.00, 2.00]"
    assert "e+" not in in_words(estimate(0.0), 0.95, ratio=True)
    huge = in_words(estimate(0.0, 1e4), 0.95, ratio=True)  # exp(19600) is no float
    assert huge.startswith("1.00 [0.00, ")
    assert name_of((3, 0.5)) == "3x3, alpha 0.5"
