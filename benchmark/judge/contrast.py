"""A difference between cells with its uncertainty: patients and seeds, each a source of variance of its own.

Every statistic is written as pseudo-values: one number per slice whose mean is the statistic
(a mean is the mean of its values; other statistics add their influence function, Hampel
1974). So a weighted sum of statistics of cells that were tested on the same slices is the
mean of the weighted sum of their pseudo-values, paired slice by slice, and its variance

    v = v_patient + s^2 sum over cells of w^2 sum over trainings of (its share in the cell's mean)^2

v_patient: `clustered_mean`'s; s^2: variance of the statistic between seeds of one cell on
one split, pooled over all cells under the same terms. v_patient holds a little of the second
part too, so the interval is rather too wide than too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import pandas as pd

from benchmark.judge.cells import Cell
from benchmark.judge.estimate import NONE, Estimate, Variance, clustered_mean, pooled_variance

SLICE = ["split_id", "slice_id", "patient_id"]


@dataclass(frozen=True)
class Statistic:
    """A number that one run's test rows come to.

    of: rows of one run -> pseudo-values of those that enter, beside their index; the
    statistic is their mean. column: of scores.csv, whose values are the pseudo-values as they are.
    """

    name: str
    of: Callable[[pd.DataFrame], pd.Series[float]]
    column: str | None = None


@cache
def mean_of(column: str) -> Statistic:
    """The mean of a column of scores.csv over the slices."""
    return Statistic(f"mean {column}", lambda rows: rows[column], column)


def _log_sd(rows: pd.DataFrame) -> pd.Series[float]:
    x = rows["dice"]
    variance = max(float(x.var(ddof=0)), np.finfo(float).tiny)
    return np.log(variance) / 2 + ((x - x.mean()) ** 2 / variance - 1) / 2


DICE = mean_of("dice")
LOG_SD = Statistic("log SD of Dice over slices", _log_sd)


def difference_within(column: str, of: pd.Series[bool], than: pd.Series[bool], rows: pd.DataFrame) -> pd.Series[float]:
    """Pseudo-values of the mean of a column over one part of a run's rows minus that over another part.

    The two parts (bool, beside rows) share no row. Empty where one of them has none.
    """
    a, b = rows.loc[of, column], rows.loc[than, column]
    if a.empty or b.empty:
        return pd.Series(dtype=float)
    n = len(a) + len(b)
    parts = pd.concat([n / len(a) * (a - a.mean()), -n / len(b) * (b - b.mean())])
    return parts + (a.mean() - b.mean())


def pseudo_values(cell: Cell, statistic: Statistic) -> pd.DataFrame:
    """Return value, split_id, seed, slice_id and patient_id of every slice that enters the statistic of each run."""
    columns = [*SLICE, "seed"]
    if statistic.column:
        return cell.rows[columns].assign(value=cell.rows[statistic.column])
    of_run = [(rows, statistic.of(rows)) for _, rows in cell.rows.groupby(["split_id", "seed"], sort=True)]
    entering = pd.concat([cell.rows.loc[values.index, SLICE] for _, values in of_run]) if of_run else cell.rows[SLICE]
    keys = pd.MultiIndex.from_frame(entering.drop_duplicates())
    parts = []
    for rows, values in of_run:
        if not values.empty:  # slices that enter in other seeds alone are there, at the statistic itself
            part = rows[pd.MultiIndex.from_frame(rows[SLICE]).isin(keys)]
            scale = len(part) / len(values)
            even = (values - values.mean()) * scale + values.mean()
            parts.append(part[columns].assign(value=even.reindex(part.index, fill_value=values.mean())))
    return pd.concat(parts) if parts else cell.rows[columns].head(0).assign(value=0.0)


@dataclass(frozen=True, eq=False)
class Reduced:
    """A statistic of one cell as contrasts need it.

    by_slice: mean over seeds, by `SLICE`; by_run: the statistic by split_id and seed;
    trainings: how many s^2 they bring to the variance of the statistic over all splits.
    """

    by_slice: pd.Series[float]
    by_run: pd.Series[float]
    trainings: float


@lru_cache(maxsize=512)
def reduced(cell: Cell, statistic: Statistic) -> Reduced:
    """Reduce a cell, once for all the contrasts that it enters."""
    values = pseudo_values(cell, statistic)
    of_slice = values.groupby(SLICE, dropna=False)["value"]
    by_slice = of_slice.mean()
    share = 1 / of_slice.transform("size") / max(len(by_slice), 1)  # of each run's slice in the mean over slices
    by_training = share.groupby([values["split_id"], values["seed"]]).sum()
    return Reduced(
        by_slice,
        values.groupby(["split_id", "seed"])["value"].mean(),
        float((by_training**2).sum()) if cell.seeded else 0.0,
    )


def mean(cell: Cell, statistic: Statistic) -> float:
    """A statistic of a cell: over slices, each averaged over its seeds first."""
    return float(reduced(cell, statistic).by_slice.mean())


def between_seeds(cells: Iterable[Cell], statistic: Statistic) -> Variance | None:
    """Pool the variance of a statistic between the seeds of each cell on each split; None where none has two seeds."""
    groups = [
        by_seed.tolist()
        for cell in cells
        if cell.seeded
        for _, by_seed in reduced(cell, statistic).by_run.groupby("split_id")
    ]
    return pooled_variance(groups)


def common(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells on the splits that all of them were run on; without a common one, cells without rows."""
    shared = frozenset.intersection(*(cell.splits for cell in cells)) if cells else frozenset()
    return [cell.on(splits=shared) for cell in cells]


def contrast(
    parts: Sequence[tuple[float, Cell]], statistic: Statistic, seeds: Variance | None, *, by_slice: bool = False
) -> Estimate | None:
    """Return the weighted sum of a statistic over cells that share their splits, with its uncertainty.

    seeds: `between_seeds` under the same terms; by_slice: a slice is the same one whatever
    split tested it, so that cells on different splits can be paired. None where it cannot be
    told: no slice in common, patients unknown, fewer than two of them, or an arm that trains
    and no cell with two seeds.
    """
    if any(cell.seeded for _, cell in parts) and seeds is None:
        return None
    total, share = None, 0.0  # one estimate of s^2, so its share is summed and its df stays
    for weight, cell in parts:
        part = reduced(cell, statistic)
        values = part.by_slice.groupby(SLICE[1:], dropna=False).mean() if by_slice else part.by_slice
        total = values * weight if total is None else (total + values * weight).dropna()  # slice by slice
        share += part.trainings * weight**2
    if total is None or total.empty:
        return None
    patients = total.index.get_level_values("patient_id")
    if patients.isna().any() or patients.nunique() < 2:
        return None
    found = clustered_mean(total.to_numpy(dtype=float), patients.tolist())
    return Estimate(found.value, found.variance + (seeds * share if seeds else NONE))
