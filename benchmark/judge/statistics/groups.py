"""Contrasts of cells that were not all run on the same splits: a weighted sum of groups.

A group (a kernel, say) is a contrast of the cells that were run on one split, split by split; so a
run that is added brings a cell or a split to its group and takes nothing from another. A split d
weighs a_d in its group's mean,

    m = sum over splits of a_d m_d      a_d ~ n_d / k_d      k_d = sum over cells of w^2 / seeds

n_d slices, of mean m_d: in proportion to what its trainings know if they vary alike everywhere
(Gauss-Markov weights; equal numbers of seeds come to the mean over all slices). Where they do not,
and a split with few trainings has a spread of its own or borrows one of few degrees of freedom, it
can widen the interval of one with many: so callers leave single trainings out where they can
(`GridEvidence.group`, `common`). With theta the weighted sum of groups, a slice has the
pseudo-value

    theta + N sum over groups of weight (a_d / n_d) (v - m)

v being its value in the group, N the number of slices; their mean is theta, and patients are
clustered over all groups. A training that enters several groups enters the variance once, with
all of its weight.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark.judge.cells import Cell
from benchmark.judge.statistics.contrast import SLICE, OnSplit, Statistic, reduced
from benchmark.judge.statistics.estimate import Estimate, clustered_mean
from benchmark.judge.statistics.spread_of_seeds import Spreads


@dataclass(frozen=True)
class Group:
    """weight in the sum of groups; by_split: on each split, the weights of the cells there, which
    are called by any key.
    """

    weight: float
    by_split: Mapping[str, Mapping[Any, float]]

    @property
    def points(self) -> list[Any]:
        """The keys of its cells, each once."""
        return sorted({key for weights in self.by_split.values() for key in weights})


def combined(
    groups: Sequence[Group], cells: Mapping[Any, Cell], statistic: Statistic, spreads: Spreads
) -> Estimate | None:
    """Return the weighted sum of groups of cells as an estimate.

    None where it cannot be told: a group without a slice that enters, patients unknown, fewer than
    two of them, or a spread between seeds that nothing tells of.
    """
    theta, pulls, weights = 0.0, [], defaultdict[tuple[Any, str], float](float)
    for group in groups:
        on = {split: _on_split(group, split, cells, statistic) for split in sorted(group.by_split)}
        on = {split: (values, k) for split, (values, k) in on.items() if len(values)}
        if not on:
            return None
        share = _shares(on)
        middle = sum(share[split] * float(values.mean()) for split, (values, _) in on.items())
        theta += group.weight * middle
        for split, (values, _) in on.items():
            pull = (values - middle) * (group.weight * share[split] / len(values))
            pulls.append(pd.concat({split: pull}, names=SLICE[:1]))
            for key, weight in group.by_split[split].items():
                weights[key, split] += group.weight * share[split] * weight
    if not pulls:
        return None
    pull = pd.concat(pulls).groupby(SLICE, dropna=False).sum()
    patients = pull.index.get_level_values("patient_id")
    if patients.isna().any() or patients.nunique() < 2:
        return None
    shares = [
        (cells[key], split, weight**2 * _of(cells[key], statistic, split).trainings)
        for (key, split), weight in weights.items()
        if cells[key].seeded
    ]
    seeds = spreads.variance(shares)
    if seeds is None:
        return None
    values = theta + len(pull) * pull.to_numpy(dtype=float)
    return Estimate(theta, clustered_mean(values, patients.tolist()).variance + seeds)


def _of(cell: Cell, statistic: Statistic, split: str) -> OnSplit:
    return reduced(cell, statistic).by_split[split]


def _shares(on: Mapping[str, tuple[pd.Series[float], float]]) -> dict[str, float]:
    """a_d of splits, each with the group's values there and its k."""
    trained = all(k > 0 for _, k in on.values())
    known = {split: len(values) / (k if trained else 1) for split, (values, k) in on.items()}
    return {split: weight / sum(known.values()) for split, weight in known.items()}


def means(group: Group, cells: Mapping[Any, Cell], statistic: Statistic) -> dict[Any, float]:
    """A statistic of each cell of a group, in which splits weigh as in the group.

    Each cell stands on each of its splits. 0 for each where no slice enters.
    """
    on = {split: _on_split(group, split, cells, statistic) for split in sorted(group.by_split)}
    share = _shares({split: of for split, of in on.items() if len(of[0])})
    found = {key: reduced(cells[key], statistic).by_split for key in group.points}
    return {
        key: sum(a * float(of[split].by_slice.mean()) for split, a in share.items())
        for key, of in found.items()
    }


def _on_split(
    group: Group, split: str, cells: Mapping[Any, Cell], statistic: Statistic
) -> tuple[pd.Series[float], float]:
    """A group's value on each slice of a split that enters from all of its cells there, and its k.

    k is 0 where no cell trains.
    """
    total, k = None, 0.0
    for key, weight in group.by_split[split].items():
        by_split = reduced(cells[key], statistic).by_split
        if split not in by_split:
            return pd.Series(dtype=float), 0.0
        on = by_split[split]
        values = on.by_slice * weight
        if total is None or total.index.equals(values.index):
            total = values if total is None else total + values
        else:
            total = (total + values).dropna()
        k += weight**2 * on.trainings
    return (total if total is not None else pd.Series(dtype=float)), k
