"""A difference between cells with its uncertainty: patients and seeds, each a source of variance of its own.

Every statistic is written as pseudo-values: one number per slice whose mean is the statistic
(a mean is the mean of its values; other statistics add their influence function, Hampel
1974). So a weighted sum of statistics of cells that were tested on the same slices is the
mean of the weighted sum of their pseudo-values, paired slice by slice, and its variance

    v = v_patient + s^2 sum over cells of w^2 sum over splits of (n_split / n)^2 / seeds

v_patient: `clustered_mean`'s; s^2: variance of the statistic between seeds of one cell on
one split, pooled over all cells under the same terms. v_patient holds a little of the second
part too, so the interval is rather too wide than too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.judge.cells import Cell
from benchmark.judge.estimate import NONE, Estimate, Variance, clustered_mean, pooled_variance

SLICE = ["split_id", "slice_id", "patient_id"]


@dataclass(frozen=True)
class Statistic:
    """A number that one run's test rows come to.

    of: rows of one run -> pseudo-values of those that enter, beside their index; the
    statistic is their mean. needs: columns that a run must have for it.
    """

    name: str
    of: Callable[[pd.DataFrame], pd.Series[float]]
    needs: tuple[str, ...] = ()


def mean_of(column: str) -> Statistic:
    """The mean of a column of scores.csv over the slices."""
    return Statistic(f"mean {column}", lambda rows: rows[column], (column,))


def _log_sd(rows: pd.DataFrame) -> pd.Series[float]:
    x = rows["dice"]
    variance = max(float(x.var(ddof=0)), np.finfo(float).tiny)
    return np.log(variance) / 2 + ((x - x.mean()) ** 2 / variance - 1) / 2


DICE = mean_of("dice")
LOG_SD = Statistic("log SD of Dice over slices", _log_sd, ("dice",))


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
    parts = []
    for _, rows in cell.rows.groupby(["split_id", "seed"], sort=True):
        values = statistic.of(rows)
        parts.append(rows.loc[values.index, [*SLICE, "seed"]].assign(value=values))
    return pd.concat(parts) if parts else pd.DataFrame(columns=[*SLICE, "seed", "value"])


def mean(cell: Cell, statistic: Statistic) -> float:
    """A statistic of a cell: over slices, each averaged over its seeds first."""
    values = pseudo_values(cell, statistic)
    return float(values.groupby(["split_id", "slice_id"])["value"].mean().mean())


def between_seeds(cells: Iterable[Cell], statistic: Statistic) -> Variance | None:
    """Pool the variance of a statistic between the seeds of each cell on each split; None where none has two seeds."""
    groups: list[list[float]] = []
    for cell in cells:
        if cell.seeded:
            by_run = pseudo_values(cell, statistic).groupby(["split_id", "seed"])["value"].mean()
            groups += [list(by_seed) for _, by_seed in by_run.groupby("split_id")]
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
    keys = SLICE[1:] if by_slice else SLICE
    for weight, cell in parts:
        values = pseudo_values(cell, statistic)
        by_patient = values.groupby(keys, dropna=False)["value"].mean() * weight
        total = by_patient if total is None else (total + by_patient).dropna()  # an inner join, slice by slice
        share += trained(cell, values) * weight**2
    if total is None or total.empty:
        return None
    patients = total.index.get_level_values("patient_id")
    if patients.isna().any() or patients.nunique() < 2:
        return None
    found = clustered_mean(total.to_numpy(dtype=float), patients.tolist())
    return Estimate(found.value, found.variance + (seeds * share if seeds else NONE))


def trained(cell: Cell, values: pd.DataFrame) -> float:
    """How many s^2 the trainings of a cell bring to the variance of its statistic over all its splits."""
    if not cell.seeded or values.empty:
        return 0.0
    of_split = values.groupby("split_id")
    share = of_split["slice_id"].nunique() / of_split["slice_id"].nunique().sum()
    return float((share**2 / of_split["seed"].nunique()).sum())
