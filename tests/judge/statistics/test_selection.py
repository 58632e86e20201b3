"""What the best of many owes to luck: order statistics, the shape of the noise, and real cells."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from run_records import table
from scipy import integrate, stats

from benchmark.judge.cells import Cell, cell_of
from benchmark.judge.statistics.selection import Optimism, excess, optimism

PATIENTS = ["a", "b", "c", "d"]


def highest_of(n: int) -> float:
    """Expected maximum of n standard normal values, by quadrature."""
    value, _ = integrate.quad(
        lambda x: x * n * stats.norm.pdf(x) * stats.norm.cdf(x) ** (n - 1), -9, 9
    )
    return float(value)


@pytest.mark.parametrize("of", [1, 2, 36])
def test_among_equal_cells_it_is_the_expected_maximum_of_the_noise(of: int) -> None:
    """Of two: 1 / sqrt(pi); of 36: 2.118; of one there is nothing to choose."""
    assert excess(np.zeros(1), 0.01, of) == pytest.approx(0.01 * highest_of(of), abs=3e-4)


def test_a_cell_that_is_far_the_best_owes_nothing_to_its_choice() -> None:
    assert excess(np.array([0.0, 0.0, 9.0]), 0.01, 3) == pytest.approx(0, abs=3e-4)


def test_two_of_three_that_are_alike_are_chosen_from_as_two() -> None:
    assert excess(np.array([0.0, 9.0, 9.0]), 0.01, 3) == pytest.approx(
        0.01 / math.sqrt(math.pi), abs=3e-4
    )


def test_cells_that_were_not_run_are_drawn_from_those_that_were() -> None:
    """Half of 36 are hopeless: about 18 are chosen from, fewer than 30 and more than 9."""
    found = excess(np.array([0.0, 9.0]), 0.01, 36)
    assert 0.01 * highest_of(9) < found < 0.01 * highest_of(30)


def cells(means: list[float], seeds: int = 1, split: str = "by-image-1", first: int = 0,
          off: float = 0.01, by_slice: float = 0.0) -> list[Cell]:  # fmt: skip
    """Cells at kernel 5 whose seeds lie `off` about their mean, on four slices; by_slice: how far
    the first two slices and the last two lie apart in every other cell.
    """
    own = []
    for i, mean in enumerate(means):
        bend = by_slice * (-1) ** i * np.array([1, 1, -1, -1])
        dice = {
            seed: (mean + (2 * seed - seeds + 1) * off / max(seeds - 1, 1) + bend).tolist()
            for seed in range(seeds)
        }
        alpha = 0.1 + i / 10
        own.append(table(dice, PATIENTS, first_slice=first, split_id=split, alpha=alpha,
                         params=f"{alpha}"))  # fmt: skip
    return [cell_of(runs.runs, runs) for runs in own]


def of_36(some: list[Cell], fewest: int = 4) -> Optimism | None:
    return optimism(some, 36, 3, 708, fewest)


def test_equal_cells_whose_seeds_vary_owe_the_noise_of_three_trainings() -> None:
    """Two seeds 0.02 apart: s^2 = 0.0002, of three trainings sqrt(0.0002 / 3); all at one mean, so
    that both truths are the same.
    """
    found = of_36(cells([0.8] * 5, seeds=2))
    assert found
    expected = math.sqrt(0.0002 / 3) * highest_of(36)
    assert (found.least, found.most) == pytest.approx((expected, expected), abs=3e-4)
    assert found.cells == 5


def test_what_slices_do_in_some_cells_alone_is_noise_too() -> None:
    """Slices 0.04 up or down in every other of four cells: squares 16 x 0.04^2 over 3 x 3 degrees
    of freedom, of which four slices of 708 sample 1/4 - 1/708.
    """
    plain, bent = (of_36(cells([0.8] * 4, 2, by_slice=apart)) for apart in (0.0, 0.04))
    assert plain
    assert bent
    c2 = 16 * 0.04**2 / 9
    expected = math.sqrt(0.0002 / 3 + c2 * (1 / 4 - 1 / 708)) * highest_of(36)
    assert bent.most == pytest.approx(expected, rel=0.02)
    assert bent.most > plain.most


def test_cells_that_differ_beyond_their_noise_owe_less() -> None:
    found = of_36(cells([0.6, 0.7, 0.8, 0.9], seeds=2))
    assert found
    assert found.least < 0.7 * found.most


def test_means_that_differ_by_less_than_their_noise_count_as_equal() -> None:
    found = of_36(cells([0.8, 0.801, 0.8, 0.801], seeds=2))
    assert found
    assert found.least == pytest.approx(found.most, rel=0.01)  # two streams


def test_the_noisier_split_counts_for_most_and_the_pooled_spread_for_least() -> None:
    """On the split of the cells seeds lie 0.04 apart, on another one cell has three, 0 apart."""
    one = cells([0.8] * 4, seeds=2, off=0.02)
    calm = cells([0.8], 3, "by-image-2", first=10, off=0.0)[0]
    runs, rows = (
        pd.concat([getattr(cell, name) for cell in (one[0], calm)], ignore_index=True)
        for name in ("runs", "rows")
    )
    whole = replace(one[0], runs=runs, rows=rows)
    alone, both = of_36(one), of_36([whole, *one[1:]])
    assert alone
    assert both
    assert both.most == pytest.approx(alone.most, rel=0.01)  # s^2 on this split is what it was
    assert both.least == pytest.approx(alone.least * math.sqrt(4 / 6), rel=0.01)  # df 4, then 6


def test_too_few_cells_or_single_seeds_cannot_tell() -> None:
    assert of_36(cells([0.8] * 3, seeds=2)) is None
    assert of_36(cells([0.8] * 4, seeds=1)) is None
    assert of_36([]) is None


def test_the_order_of_cells_changes_little_and_the_same_cells_nothing() -> None:
    some = cells([0.7, 0.8, 0.85, 0.9], seeds=2)
    assert of_36(some) == of_36(some)
    turned, found = of_36(some[::-1]), of_36(some)
    assert turned
    assert found
    assert turned.least == pytest.approx(found.least, rel=0.05)
