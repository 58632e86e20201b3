"""How far two measurements of one thing lie apart: bias and limits of agreement, by patient. Pure.

Differences of slices of one patient resemble each other. So the bias, a mean over slices, has its
interval with patients as the unit (`clustered_mean`), and the limits, which hold 95 % of single
differences whoever's they are, have the variance

    between patients + within patients

from a one-way analysis of variance: with mean squares MSB, MSW of G patients, patient g bringing
n_g of N differences,

    within = MSW      between = max(0, (MSB - MSW) / n0)      n0 = (N - sum n_g^2 / N) / (G - 1)

The plain SD of all differences gives a patient with many slices more say in it.

Sources: limits of agreement, Bland & Altman, Lancet (1986) 307; of several observations a subject,
Bland & Altman, J. Biopharmaceutical Statistics 17 (2007) 571, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.judge.statistics.estimate import Estimate, clustered_mean

LIMITS = 1.96
"""SDs to each side of the bias that hold 95 % of normal differences."""


@dataclass(frozen=True)
class Agreement:
    """bias: mean of the differences; sd: of a single one, in the unit measured."""

    bias: Estimate
    sd: float

    @property
    def limits(self) -> tuple[float, float]:
        """The lower and the upper limit of agreement."""
        return self.bias.value - LIMITS * self.sd, self.bias.value + LIMITS * self.sd


def single_sd(differences: NDArray[np.float64], patients: Sequence[str]) -> float:
    """SD of a single difference (N,), its patient named beside: between and within patients.

    With one difference a patient it is the plain SD. `ValueError` for fewer than two patients.
    """
    names, where = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"{len(names)} patient; the spread between patients needs at least 2")
    n, total = np.bincount(where), len(differences)
    means = np.bincount(where, weights=differences) / n
    between = float(n @ (means - differences.mean()) ** 2) / (len(n) - 1)
    if total == len(n):
        return math.sqrt(between)
    within = float(np.sum((differences - means[where]) ** 2)) / (total - len(n))
    size = (total - float(n @ n) / total) / (len(n) - 1)
    return math.sqrt(max(0.0, (between - within) / size) + within)


def agreement(
    differences: NDArray[np.float64], patients: Sequence[str], by_slice: Sequence[int]
) -> Agreement:
    """Bias and limits of differences (N,), patient and slice of each named beside.

    A slice measured several times, by as many trainings, counts once in the bias; the limits are of
    a single measurement. `ValueError` for fewer than two patients.
    """
    _, first, where = np.unique(np.asarray(by_slice), return_index=True, return_inverse=True)
    once = np.bincount(where, weights=differences) / np.bincount(where)
    return Agreement(
        clustered_mean(once, [patients[i] for i in first]), single_sd(differences, patients)
    )
