"""What patients and trainings do together; the first numbers are derived by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_records import join, table
from strategies import law, seeds
from worlds import rng

from benchmark.judge.cells import Cell, cell_of
from benchmark.judge.statistics.contrast import DICE, between_seeds
from benchmark.judge.statistics.crossed import crossed, crossed_variance, net
from benchmark.judge.statistics.estimate import NONE, Variance, pooled_variance
from benchmark.runs.collect import Collected


def cell(*parts: Collected) -> Cell:
    records = join(*parts)
    return cell_of(records.runs, records)


def test_two_trainings_on_two_patients_by_hand() -> None:
    """Left after the slices' means: +-0.1 on the first of three slices; after the trainings' own:
    +-(2, -1, -1) / 30. Patient a has two slices, b one: sums +-1/90 and -+1/90; w = 2/3 and 1/3,
    the sum of squares 5/9, f = 9/2 and 9/8. Twice (1/90)^2 (9/2 + 9/8), over one; df 1 / (5/9).
    """
    found = crossed_variance(np.array([[0.9, 0.7, 0.5], [0.7, 0.7, 0.5]]), ["a", "a", "b"])
    assert found == Variance(pytest.approx(2 / 90**2 * 45 / 8), pytest.approx(1.8))


@law
@given(seeds, st.integers(4, 7), st.integers(2, 9))
def test_with_one_slice_a_patient_it_is_the_analysis_of_variances_component_of_trainings(
    seed: int, trainings: int, patients: int
) -> None:
    """(MS of trainings - MS of residuals) / patients (Searle, Casella & McCulloch, 1992, 4.3); none
    where that is below 0.
    """
    values = rng(seed).standard_normal((trainings, patients))
    by_training, by_patient = values.mean(axis=1), values.mean(axis=0)
    residual = values - by_training[:, None] - by_patient + values.mean()
    own = patients * ((by_training - values.mean()) ** 2).sum() / (trainings - 1)
    left = (residual**2).sum() / ((trainings - 1) * (patients - 1))
    means = pooled_variance([by_training.tolist()])
    assert means
    found = net(means, crossed_variance(values, [str(i) for i in range(patients)]))
    assert found.value == pytest.approx(max((own - left) / patients, 0), abs=1e-12)


@law
@given(seeds, st.floats(-1, 1))
def test_a_training_that_moves_every_slice_alike_does_nothing_together_with_patients(
    seed: int, apart: float
) -> None:
    first = rng(seed).uniform(size=4)
    found = crossed_variance(np.stack([first, first + apart]), ["a", "a", "b", "c"])
    assert found.value == pytest.approx(0, abs=1e-12)


def test_a_difference_of_variances_is_known_as_well_as_satterthwaite_says() -> None:
    """4 with df 4 less 1 with df 10: 3, and 9 / (16 / 4 + 1 / 10)."""
    assert net(Variance(4.0, 4), Variance(1.0, 10)) == Variance(3.0, pytest.approx(9 / 4.1))


@pytest.mark.parametrize("both", [Variance(1.0, 10), Variance(9.0, 10)])
def test_from_a_spread_of_few_degrees_of_freedom_nothing_is_taken(both: Variance) -> None:
    assert net(Variance(4.0, 2), both) == Variance(4.0, 2)


def test_nothing_is_left_where_patients_explain_more_than_there_is() -> None:
    assert net(Variance(1.0, 3), Variance(1.5, 10)) == NONE


def test_a_spread_stays_as_it_is_where_nothing_tells_what_is_in_it_twice() -> None:
    assert net(Variance(1.0, 2), None) == Variance(1.0, 2)


def test_cells_and_splits_are_pooled_by_the_trainings_that_tell_it() -> None:
    """Draw 1 twice trained, draw 2 three times, draw 3 once, which tells nothing: (a + 2 b) / 3."""
    names = ["a", "a", "b"]
    first, second = (
        [[0.9, 0.7, 0.5], [0.7, 0.7, 0.5]],
        [[0.9, 0.8, 0.7], [0.8, 0.8, 0.2], [0.5] * 3],
    )
    one = [crossed_variance(np.array(values), names) for values in (first, second)]
    parts = [
        table(dict(enumerate(values)), names, split_id=f"by-image-{i}", first_slice=10 * i)
        for i, values in enumerate([first, second, [[0.3, 0.2, 0.1]]])
    ]
    found = crossed([cell(*parts)], DICE)
    assert found
    assert found.value == pytest.approx((one[0].value + 2 * one[1].value) / 3)
    assert found.df == pytest.approx(one[0].df + one[1].df)


def test_only_slices_that_every_training_tested_enter() -> None:
    """The third slice is of the first seed alone; on the other two nothing is left."""
    whole = cell(table({1: [0.9, 0.7, 0.5], 2: [0.8, 0.6, 0.1]}, ["a", "b", "b"]))
    cut = whole.where(lambda rows: (rows["seed"] == 1) | (rows["slice_id"] < 2))
    found = crossed([cut], DICE)
    assert found
    assert found.value == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("patients", [["a", "a"], ["a", None]], ids=["one", "unknown"])
def test_without_two_known_patients_it_is_not_known(patients: list[str]) -> None:
    made = cell(table({1: [0.9, 0.7], 2: [0.8, 0.7]}, patients))
    assert between_seeds([made], DICE)
    assert crossed([made], DICE) is None


def test_without_two_trainings_it_is_not_known() -> None:
    assert crossed([cell(table({1: [0.9, 0.7]}, ["a", "b"]))], DICE) is None
    arm_without_seed = cell(table({math.nan: [0.9, 0.7]}, ["a", "b"]))  # type: ignore[dict-item]
    assert crossed([arm_without_seed], DICE) is None


@pytest.mark.parametrize(("values", "names"), [([[0.9, 0.7]], "ab"), ([[0.9, 0.7]] * 2, "aa")])
def test_one_training_or_one_patient_is_refused(values: list[list[float]], names: str) -> None:
    with pytest.raises(ValueError, match="it takes two of each"):
        crossed_variance(np.array(values), list(names))
