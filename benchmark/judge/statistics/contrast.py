"""A difference between cells with its uncertainty: patients and seeds, a source of variance each.

Every statistic is written as pseudo-values: one number per slice whose mean is the statistic
(a mean is the mean of its values; other statistics add their influence function, Hampel
1974). So a weighted sum of statistics of cells that were tested on the same slices is the
mean of the weighted sum of their pseudo-values, paired slice by slice, and its variance

    v = v_patient + s^2 sum over cells of w^2 sum over trainings of (its share in the cell's mean)^2

v_patient: `clustered_mean`'s; s^2: variance of the statistic between seeds of one cell on
one split (`spread_of_seeds` says of which). v_patient holds a little of the second part too, so the
interval is rather too wide than too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.judge.cells import SLICE as SLICE
from benchmark.judge.cells import Cell
from benchmark.judge.statistics.estimate import (
    NONE,
    Estimate,
    Variance,
    clustered_mean,
    pooled_variance,
)

NO_SPREAD = "no cell was trained from two seeds, so the variation between trainings is unknown"


@dataclass(frozen=True)
class Statistic:
    """A number that one run's test rows come to.

    of: rows of one run -> their pseudo-values, NaN for those that do not enter; the statistic is
    their mean. row_by_row: True where a row's value is its own whatever the run's others are.
    """

    name: str
    of: Callable[[pd.DataFrame], NDArray[np.float64]]
    row_by_row: bool = False


@cache
def mean_of(column: str) -> Statistic:
    """The mean of a column of scores.csv over the slices."""
    return Statistic(f"mean {column}", lambda rows: rows[column].to_numpy(dtype=float), True)


def _log_sd(rows: pd.DataFrame) -> NDArray[np.float64]:
    x = rows["dice"].to_numpy(dtype=float)
    variance = max(float(x.var()), np.finfo(float).tiny)
    return np.log(variance) / 2 + ((x - x.mean()) ** 2 / variance - 1) / 2


DICE = mean_of("dice")
LOG_SD = Statistic("log SD of Dice over slices", _log_sd)


@dataclass(frozen=True, eq=False)
class OnSplit:
    """A statistic of one cell on one split.

    by_slice: mean over seeds, by slice_id and patient_id; by_run: the statistic of each training;
    trainings: how many s^2 they bring to the variance of the statistic.
    """

    by_slice: pd.Series[float]
    by_run: tuple[float, ...]
    trainings: float


@dataclass(frozen=True, eq=False)
class Reduced:
    """A statistic of one cell as contrasts need it.

    by_slice: mean over seeds, by `SLICE`; by_run: the statistic by split_id and seed;
    trainings: how many s^2 they bring to the variance of the statistic over all splits;
    by_split: the same, split by split, of those where some slice enters.
    """

    by_slice: pd.Series[float]
    by_run: pd.Series[float]
    trainings: float
    by_split: Mapping[str, OnSplit]


@lru_cache(maxsize=1024)
def reduced(cell: Cell, statistic: Statistic) -> Reduced:
    """Reduce a cell, once for all the contrasts that it enters."""
    (slices, of_slice), (runs, of_run) = cell.numbered
    values = pseudo_values(cell.rows, of_slice, of_run, statistic)
    enters = ~np.isnan(values)
    of_slice, of_run, values = of_slice[enters], of_run[enters], values[enters]
    by_slice, by_run = _means(values, of_slice, slices), _means(values, of_run, runs)
    on_run = 1 / np.bincount(of_slice)[of_slice]  # what a row counts for in its slice
    share = np.bincount(of_run, weights=on_run, minlength=len(runs))  # of each training, in slices
    seeded = 1.0 if cell.seeded else 0.0
    by_split, squares = {}, seeded * share**2
    for code, name in enumerate(runs.levels[0]):  # slices have the same
        part = by_slice[by_slice.index.codes[0] == code]
        if len(part):
            own = by_run.to_numpy()[by_run.index.codes[0] == code]
            trainings = float(squares[runs.codes[0] == code].sum()) / len(part) ** 2
            by_split[str(name)] = OnSplit(
                part.droplevel("split_id"), tuple(own.tolist()), trainings
            )
    trainings = float(squares.sum()) / max(len(by_slice), 1) ** 2
    return Reduced(by_slice, by_run, trainings, by_split)


def pseudo_values(
    rows: pd.DataFrame, of_slice: NDArray[np.int64], of_run: NDArray[np.int64], statistic: Statistic
) -> NDArray[np.float64]:
    """Return the pseudo-value of each row (slice and run numbered beside), NaN where none enters.

    A slice that enters from some seeds alone is there from the others too, at the statistic itself.
    """
    order = np.argsort(of_run, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(of_run))[:-1]) if len(order) else []
    values = np.full(len(rows), np.nan)
    if statistic.row_by_row:
        values = statistic.of(rows)
    else:
        in_order, start = rows.iloc[order], 0
        for run in members:
            values[run] = statistic.of(in_order.iloc[start : start + len(run)])
            start += len(run)
    if not np.isnan(values).any():
        return values
    enters = np.isin(of_slice, of_slice[~np.isnan(values)])
    for run in members:
        run = run[enters[run]]
        own, known = values[run], ~np.isnan(values[run])
        if known.any() and not known.all():
            middle, scale = own[known].mean(), len(run) / known.sum()
            values[run] = np.where(known, middle + (own - middle) * scale, middle)
    return values


def _means(
    values: NDArray[np.float64], group: NDArray[np.int64], names: pd.MultiIndex
) -> pd.Series[float]:
    """Mean of values (N,) by group, of the groups that have some."""
    sizes = np.bincount(group, minlength=len(names))
    sums = np.bincount(group, weights=values, minlength=len(names))
    return pd.Series(sums[sizes > 0] / sizes[sizes > 0], index=names[sizes > 0], name="value")


def mean(cell: Cell, statistic: Statistic) -> float:
    """A statistic of a cell: over slices, each averaged over its seeds first."""
    return float(reduced(cell, statistic).by_slice.mean())


def between_seeds(cells: Iterable[Cell], statistic: Statistic) -> Variance | None:
    """Pool a statistic's variance between seeds over cells and splits; None without two seeds."""
    seeded = (reduced(cell, statistic) for cell in cells if cell.seeded)
    return pooled_variance([there.by_run for of in seeded for there in of.by_split.values()])


def common(cells: Sequence[Cell], fewest_seeds: int = 1) -> list[Cell]:
    """Return the cells on the splits that all were run on; without one, cells without rows.

    On those where each that trains has so many seeds, if there are some: a single training would
    borrow a spread there that may be known less well than theirs elsewhere.
    """
    shared = frozenset.intersection(*(cell.splits for cell in cells)) if cells else frozenset()
    firm = {s for s in shared if all(cell.trained_on(s, fewest_seeds) for cell in cells)}
    return [cell.on(splits=firm or shared) for cell in cells]


def contrast(
    parts: Sequence[tuple[float, Cell]],
    statistic: Statistic,
    seeds: Variance | None,
    *,
    by_slice: bool = False,
) -> Estimate | None:
    """Return the weighted sum of a statistic over cells that share their splits, as an estimate.

    seeds: what `Spreads.of` gives for these cells; by_slice: a slice is the same one whatever
    split tested it, so that cells on different splits can be paired. None where it cannot be
    told: no slice in common, patients unknown, fewer than two of them, or an arm that trains
    and no cell with two seeds.
    """
    if any(cell.seeded for _, cell in parts) and seeds is None:
        return None
    total, share = None, 0.0  # one estimate of s^2, so its share is summed and its df stays
    for weight, cell in parts:
        part = reduced(cell, statistic)
        values = (
            part.by_slice.groupby(SLICE[1:], dropna=False).mean() if by_slice else part.by_slice
        )
        values = values * weight
        total = values if total is None else (total + values).dropna()  # slice by slice
        share += part.trainings * weight**2
    if total is None:
        return None
    patients = total.index.get_level_values("patient_id")
    if patients.isna().any() or patients.nunique() < 2:
        return None
    over_patients = clustered_mean(total.to_numpy(dtype=float), patients.tolist())
    variance = over_patients.variance + (seeds * share if seeds else NONE)
    return Estimate(over_patients.value, variance)
