"""How often the interval of a network less a second reader holds the truth, and how often a network
at the edge of the margin is called equivalent: 2000 made-up worlds, three trainings on one draw.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from run_records import terms
from scipy.special import stdtr
from second_readings import reading
from worlds import (
    DRAWS,
    FITTED,
    Components,
    Floats,
    Many,
    Worlds,
    between,
    collected,
    crossed,
    held,
    mean_of_patients,
    net,
    patients,
    slices_of,
)

from benchmark.judge.cells import panels
from benchmark.judge.comparisons.second_reader import against_reader

RULES = terms()[1]
MARGIN, SET_SD = RULES.second_reader.margin, RULES.dice.training_set_sd
SLICES = slices_of(DRAWS[0])
QUIET = replace(FITTED.times(0.2), training_set=FITTED.training_set)
"""Slices and trainings that vary a fifth as much: then one draw can show a network equivalent."""


def apart(worlds: Worlds) -> tuple[Floats, Floats]:
    """Dice (n, 3, slices) of a network and (n, slices) of a reader, who sees each patient and each
    slice in his own way; alike in the mean.
    """
    reader = worlds.arm()[:, SLICES] + worlds._effect("residual", (worlds.n, len(SLICES)))
    return worlds.scores(worlds.arm(), SLICES, 3), reader


def estimated(difference: Floats) -> tuple[Floats, Many]:
    """Mean (n,) of differences (n, 3, slices), and its variance as the judge has it."""
    mean, of_patients, df = mean_of_patients(difference.mean(axis=1), SLICES)
    seeds = net(between([difference.mean(axis=2)]), crossed([(difference, SLICES)]))
    sets = Many(np.full(len(mean), SET_SD**2), np.inf)
    return mean, Many(of_patients, df) + seeds * (1 / 3) + sets


def test_the_arithmetic_is_the_judges() -> None:
    network, reader = apart(Worlds(1, 3))
    mean, variance = estimated(network - reader[:, None])
    for i in range(3):
        runs = collected({DRAWS[0]: network[i]}, (1, 2, 3))
        second = reading(reader[i].tolist(), [patients()[j] for j in SLICES])
        second = replace(second, scores=second.scores.assign(slice_id=SLICES))
        (panel,) = panels(runs)
        (row,) = against_reader(panel, second, RULES)
        assert row.difference is not None
        assert row.difference.value == pytest.approx(mean[i])
        assert row.difference.variance.value == pytest.approx(variance.value[i])
        assert row.difference.variance.df == pytest.approx(np.asarray(variance.df)[i])


@pytest.mark.parametrize(
    "components", [FITTED, QUIET, replace(FITTED, training=0.023)], ids=["fitted", "quiet", "noisy"]
)
def test_the_interval_holds_the_truth_about_95_times_in_100(components: Components) -> None:
    network, reader = apart(Worlds(2, 2000, components))
    mean, variance = estimated(network - reader[:, None])
    assert 0.93 <= held(mean, variance.value, variance.df) <= 0.975


def test_at_the_edge_of_the_margin_one_in_twenty_is_called_equivalent() -> None:
    """And most of those that are equal in truth, where trainings and slices vary so little."""
    network, reader = apart(Worlds(3, 2000, QUIET))
    mean, variance = estimated(network - reader[:, None])
    called = [
        float(np.mean(_p_of_margin(mean + truth, variance) < 0.05)) for truth in (MARGIN, 0.0)
    ]
    assert 0.03 <= called[0] <= 0.07
    assert called[1] > 0.5


def _p_of_margin(mean: Floats, variance: Many) -> Floats:
    return np.asarray(stdtr(variance.df, (np.abs(mean) - MARGIN) / np.sqrt(variance.value)))
