"""Components of variance by REML: in balanced designs they are those of the analysis of variance.

Searle, Casella & McCulloch, Variance Components (1992), chapter 3: with equal numbers, and where
the analysis of variance leaves no component below zero, both are the same.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from benchmark.judge.statistics.estimate import Variance
from benchmark.judge.statistics.variance_components import Component, variance_components

ONES = np.ones((12, 1))
PATIENTS = [name for name in "abcd" for _ in range(3)]


def rng(key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=key))


def by_name(values: np.ndarray, fixed: np.ndarray, **factors: list[str]) -> dict[str, Component]:
    made = variance_components(values, fixed, factors)
    assert made is not None
    return {component.name: component for component in made}


def test_patients_with_equal_numbers_of_slices_by_hand() -> None:
    """Patients at 0, 2, 4 and 6, three slices each at -1, 0 and 1 from it.

    Within: mean square 8 / 8 = 1. Between: 3 x (9 + 1 + 1 + 9) / 3 = 20. So the residual is 1 and
    the patients' component (20 - 1) / 3.
    """
    values = np.array([level + x for level in (0, 2, 4, 6) for x in (-1, 0, 1)], dtype=float)
    made = by_name(values, ONES, patient=PATIENTS)
    assert made["residual"].variance.value == pytest.approx(1, rel=1e-3)
    assert made["patient"].variance.value == pytest.approx(19 / 3, rel=1e-3)
    assert (made["patient"].levels, made["residual"].levels) == (4, 12)
    # df: the residual's are 12 - 4; var of the component 2/9 (20^2 / 3 + 1 / 8), df 2 v^2 / var
    assert made["residual"].variance.df == pytest.approx(8, rel=0.02)
    df = 2 * (19 / 3) ** 2 / (2 / 9 * (400 / 3 + 1 / 8))
    assert made["patient"].variance.df == pytest.approx(df, rel=0.02)


def test_a_component_that_does_not_show_is_zero_and_has_no_interval() -> None:
    """Patients' means lie closer than slices alone would put them: all of it is residual.

    REML's residual is then the sample variance of all, 8 / 11.
    """
    values = np.array([-1.0, 0, 1] * 4)
    made = by_name(values, ONES, patient=PATIENTS)
    assert made["patient"].variance == Variance(0.0)
    assert made["patient"].interval(0.95) is None
    assert made["residual"].variance.value == pytest.approx(8 / 11, rel=1e-3)


def crossed() -> tuple[np.ndarray, list[str], list[str]]:
    """Ten patients crossed with six trainings, two slices in each cell of the table."""
    keys = list(product(range(10), range(6), range(2)))
    own = rng(1)
    patient, training = own.normal(0, 0.2, 10), own.normal(0, 0.1, 6)
    noise = own.normal(0, 0.1, len(keys))
    values = np.array([patient[p] + training[t] for p, t, _ in keys]) + noise
    return values, [f"p{p}" for p, _, _ in keys], [f"t{t}" for _, t, _ in keys]


def test_crossed_factors_are_those_of_the_analysis_of_variance() -> None:
    """Mean squares of a two-way table without interaction: 12 scores a patient, 20 a training."""
    values, patients, trainings = crossed()
    cube = values.reshape(10, 6, 2)
    grand = cube.mean()
    ms_patient = 12 * ((cube.mean(axis=(1, 2)) - grand) ** 2).sum() / 9
    ms_training = 20 * ((cube.mean(axis=(0, 2)) - grand) ** 2).sum() / 5
    total = ((values - grand) ** 2).sum()
    ms_residual = (total - 9 * ms_patient - 5 * ms_training) / (120 - 1 - 9 - 5)
    ones = np.ones((120, 1))
    made = by_name(values, ones, patient=patients, training=trainings)
    assert made["residual"].variance.value == pytest.approx(ms_residual, rel=1e-3)
    expected = (ms_patient - ms_residual) / 12, (ms_training - ms_residual) / 20
    found = made["patient"].variance.value, made["training"].variance.value
    assert found == pytest.approx(expected, rel=2e-3)


def test_neither_the_order_of_rows_nor_a_common_level_changes_anything() -> None:
    values, patients, trainings = crossed()
    order = rng(2).permutation(len(values))
    ones = np.ones((120, 1))
    first = by_name(values, ones, patient=patients, training=trainings)
    mixed = by_name(
        values[order] + 5,
        ones,
        patient=[patients[i] for i in order],
        training=[trainings[i] for i in order],
    )
    for name, component in first.items():
        assert mixed[name].sd == pytest.approx(component.sd, rel=1e-3)


def test_what_a_column_of_the_mean_explains_is_no_ones_component() -> None:
    """Half of the rows lie 3 higher: with a column for it the components are as without."""
    values, patients, trainings = crossed()
    half = np.tile([0.0, 1.0], 60)
    fixed = np.column_stack([np.ones(120), half])
    found = by_name(values + 3 * half, fixed, patient=patients, training=trainings)
    same = by_name(values, fixed, patient=patients, training=trainings)
    for name, component in same.items():
        assert found[name].sd == pytest.approx(component.sd, rel=1e-3)


def test_an_interval_is_that_of_a_sample_variance() -> None:
    """With df d, d v / chi2: the textbook's for a variance of normal values."""
    low, high = Component("x", 9, Variance(0.04, 8)).interval(0.9) or (0, 0)
    assert low == pytest.approx(math.sqrt(8 * 0.04 / stats.chi2.ppf(0.95, 8)))
    assert high == pytest.approx(math.sqrt(8 * 0.04 / stats.chi2.ppf(0.05, 8)))
    assert Component("x", 9, Variance(0.04, 0.5)).interval(0.9) is None


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Twelve patients of five slices, SD 0.2 and 0.1: nominal 90 % of 120 samples, both ways."""
    patients = [f"p{i // 5}" for i in range(60)]
    held = {"patient": 0, "residual": 0}
    truth = {"patient": 0.2, "residual": 0.1}
    own = rng(3)
    for _ in range(120):
        values = np.repeat(own.normal(0, 0.2, 12), 5) + own.normal(0, 0.1, 60)
        made = by_name(values, np.ones((60, 1)), patient=patients)
        for name, sd in truth.items():
            low, high = made[name].interval(0.9) or (0, math.inf)
            held[name] += low < sd < high
    assert 0.82 <= held["patient"] / 120 <= 0.97
    assert 0.82 <= held["residual"] / 120 <= 0.97


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([0.8] * 12, PATIENTS),  # nothing varies
        (range(12), ["a"] * 12),  # one level
        (range(12), [f"s{i}" for i in range(12)]),  # as many as rows
        ([float("abcd".index(name)) for name in PATIENTS], PATIENTS),  # no residual
    ],
)
def test_what_cannot_be_told_apart_is_not_told(values: list[float], names: list[str]) -> None:
    assert variance_components(np.array(values, dtype=float), ONES, {"patient": names}) is None
