"""How much the best of many cells owes to having been chosen on its own test set. Pure.

The winner's curse: the highest of 36 means, each over a few trainings on one test set, is on
average higher than the winner's own mean on other slices and trainings is, by its share of luck.
The thesis prints the winner alone, so the correction that conditions on all 36 (Andrews, Kitagawa &
McCloskey, Quarterly J. Economics 139 (2024) 305) cannot be made; the expected excess can, by
simulation, from what our own cells show of the noise of a cell's mean over m trainings,

    s^2 / m + c^2 (1/n - 1/N)

s^2: between the means of seeds; c^2: of cell by slice beyond what seeds of one cell differ by on a
slice, which n test slices of N sample. What is in all cells alike (hard slices) favours none.
The excess is greatest where all cells are equally good. It is less where some are better: then it
is taken at the spread that our cells' means show beyond their noise, their deviations shrunk so
that they vary by just that (Louis, J. American Statistical Association 79 (1984) 393), cells not
run being drawn from those that were. s^2 differs between splits, and nobody knows how it was on the
thesis's: it is taken both as pooled over our splits and as on the one where our cells were run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.judge.cells import Cell
from benchmark.judge.statistics.contrast import DICE, between_seeds, reduced
from benchmark.judge.statistics.prediction_interval import without_replacement

REPETITIONS = 10_000
KEY = 1504  # of the Philox stream: the same number every time


@dataclass(frozen=True)
class Optimism:
    """Expected excess in Dice of the best cell's mean over its own.

    least: where cells differ as ours do, at the smaller s^2; most: where all are equally good, at
    the larger. cells: on how many of ours, of one split, it rests.
    """

    least: float
    most: float
    cells: int


def optimism(
    cells: Sequence[Cell], of: int, seeds: int, population: int, fewest: int
) -> Optimism | None:
    """Return the optimism of the best of `of` cells, each a mean over seeds trainings.

    cells: under the same terms; those on the split that most of them were run on show how cells
    differ, all of them how seeds do. None where that split has less than fewest cells, or no cell
    has two seeds.
    """
    split = _fullest_split(cells)
    here = [cell.on({split}) for cell in cells if split in cell.splits]
    residual = _residual(cells)
    spreads = [v.value for v in (between_seeds(part, DICE) for part in (cells, here)) if v]
    if len(here) < max(fewest, 2) or not spreads or residual is None:
        return None
    table = pd.concat([reduced(cell, DICE).by_slice for cell in here], axis=1, join="inner")
    values = table.to_numpy(dtype=float)
    n_seeds = np.array([len(cell.seeds) for cell in here])
    by_slice = max(0.0, _additive_residual(values) - residual * float(np.mean(1 / n_seeds)))
    of_slices = by_slice * without_replacement(len(values), population)
    means = values.mean(axis=0)
    least, most = [], []
    for spread in spreads:
        own = _shrunk(means, float(np.mean(spread / n_seeds + of_slices)))
        sd = math.sqrt(spread / seeds + of_slices)
        least.append(excess(own, sd, of))
        most.append(excess(np.zeros(1), sd, of))
    return Optimism(min(least), max(most), len(here))


def _shrunk(means: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    """Deviations of means (cells,) from their mean, shrunk to the variance that they show beyond
    noise, the variance that measuring brings to each.
    """
    shown = float(np.var(means, ddof=1))
    shrink = math.sqrt(max(0.0, shown - noise) / shown) if shown else 0.0
    return np.asarray((means - means.mean()) * shrink)


def excess(own: NDArray[np.float64], sd: float, of: int) -> float:
    """Expected mean of the best of `of` cells minus its own, each measured with this SD of noise.

    own (cells,): the cells' own means, up to a constant; those beyond them, up to `of`, are drawn
    from them in each of `REPETITIONS`.
    """
    random = np.random.Generator(np.random.Philox(key=KEY))
    drawn = random.integers(0, len(own), (REPETITIONS, max(of - len(own), 0)))
    whole = np.broadcast_to(own, (REPETITIONS, len(own)))
    true = np.concatenate([whole, own[drawn]], axis=1)[:, :of]
    noise = sd * random.standard_normal(true.shape)
    best = np.argmax(true + noise, axis=1)
    return float(noise[np.arange(REPETITIONS), best].mean())


def _fullest_split(cells: Iterable[Cell]) -> str:
    """The split that most cells were run on, the first by name of several; "" without one."""
    splits = [name for cell in cells for name in cell.splits]
    return min(set(splits), key=lambda name: (-splits.count(name), name), default="")


def _residual(cells: Iterable[Cell]) -> float | None:
    """Variance of one slice's Dice between seeds beyond their means', pooled; None without two."""
    total, df = 0.0, 0
    for cell in cells:
        for _, rows in cell.rows.groupby("split_id"):
            values = rows.pivot_table(index="slice_id", columns="seed", values="dice").to_numpy()
            if min(values.shape) > 1:
                of_this = (values.shape[0] - 1) * (values.shape[1] - 1)
                total, df = total + _additive_residual(values) * of_this, df + of_this
    return total / df if df else None


def _additive_residual(values: NDArray[np.float64]) -> float:
    """Mean square of a two-way table (rows, columns) about the sum of its rows' and columns'
    means.
    """
    left = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    return float(np.sum(left**2) / ((values.shape[0] - 1) * (values.shape[1] - 1)))
