"""Contrasts of statistics that are no plain means, by hand and against the statistic itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from run_records import join, table

from benchmark.judge.cells import Cell, cell_of
from benchmark.judge.contrast import DICE, LOG_SD, Statistic, between_seeds, contrast, difference_within, mean
from benchmark.judge.estimate import Variance

PATIENTS = ["a", "a", "b", "c"]


def cell(dice: dict[int, list[float]], **changes: object) -> Cell:
    made = table(dice, PATIENTS, **changes)
    return cell_of(made.runs, made.scores)


def test_a_log_sd_is_that_of_each_run_averaged() -> None:
    """Its pseudo-values' mean is numpy's SD, and the variance between seeds is that of the logs."""
    dice = {1: [0.1, 0.5, 0.9, 0.7], 2: [0.2, 0.4, 0.8, 0.9]}
    logs = [np.log(np.std(values)) for values in dice.values()]
    assert mean(cell(dice), LOG_SD) == pytest.approx(np.mean(logs))
    assert between_seeds([cell(dice)], LOG_SD) == Variance(pytest.approx(np.var(logs, ddof=1)), 1)


HIGH_IN = Statistic("high - low, of those above 0.5", lambda rows: difference_within(
    "dice", rows["dice"] > 0.8, (rows["dice"] > 0.5) & (rows["dice"] <= 0.8), rows))  # fmt: skip


def test_slices_that_enter_in_some_seeds_alone_weigh_as_they_do_there() -> None:
    """Seed 1: 0.9 - mean(0.6, 0.7) = 0.25; seed 2: mean(0.9, 1.0) - 0.6 = 0.35, its first slice left out: 0.30."""
    one = cell({1: [0.6, 0.7, 0.9, 0.1], 2: [0.1, 0.6, 0.9, 1.0]})
    assert mean(one, HIGH_IN) == pytest.approx(0.30)
    found = contrast([(1.0, one)], HIGH_IN, between_seeds([one], HIGH_IN))
    assert found
    assert found.value == pytest.approx(0.30)


def test_a_seed_without_a_part_leaves_the_statistic() -> None:
    """Seed 2 has no high slice: the statistic is seed 1's, and nothing is known of its spread."""
    one = cell({1: [0.6, 0.7, 0.9, 0.1], 2: [0.1, 0.6, 0.7, 0.6]})
    assert mean(one, HIGH_IN) == pytest.approx(0.25)
    assert between_seeds([one], HIGH_IN) is None


def test_one_estimate_of_the_seeds_variance_keeps_its_degrees_of_freedom() -> None:
    """Equal slices; s^2 = 0.0002 with df 1 + 1, 1/2 of it for each cell: v = s^2, df 2, not 4."""
    a, b = cell({1: [0.80] * 4, 2: [0.82] * 4}), cell({1: [0.90] * 4, 2: [0.92] * 4}, params="b")
    found = contrast([(1.0, a), (-1.0, b)], DICE, between_seeds([a, b], DICE))
    assert found
    assert found.value == pytest.approx(-0.1)
    assert found.variance == Variance(pytest.approx(0.0002), pytest.approx(2))


def test_more_draws_share_the_trainings_out() -> None:
    """Two seeds on each of two draws: s^2 (1/4 + 1/4) / 2."""
    other = table({1: [0.8] * 4, 2: [0.82] * 4}, PATIENTS, split_id="by-image-2", first_slice=10)
    both = join(table({1: [0.80] * 4, 2: [0.82] * 4}, PATIENTS), other)
    one = cell_of(both.runs, both.scores)
    found = contrast([(1.0, one)], DICE, Variance(0.0004, 2))
    assert found
    assert found.variance.value == pytest.approx(0.0001)


def test_unknown_patients_and_unknown_seeds_give_nothing() -> None:
    unknown = table({1: [0.8] * 4, 2: [0.9] * 4}, ["a", "b", None, None])
    assert contrast([(1.0, cell_of(unknown.runs, unknown.scores))], DICE, Variance(0.1, 1)) is None
    assert contrast([(1.0, cell({1: [0.8] * 4}))], DICE, None) is None
    classical = table({1: [0.8] * 4}, PATIENTS, seed=pd.NA, arm="otsu")
    assert contrast([(1.0, cell_of(classical.runs, classical.scores))], DICE, None)
