"""What a claim is judged on: the grid of kernels and alphas as run under one set of terms. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product

from benchmark.judge.cells import Cell, Panel
from benchmark.judge.reference import ClaimRule, Reference, Sizes
from benchmark.judge.statistics.contrast import (
    DICE,
    NO_SPREAD,
    Statistic,
    between_seeds,
    common,
    contrast,
    reduced,
)
from benchmark.judge.statistics.estimate import Estimate, Variance, holm

GridPoint = tuple[int, float]  # kernel size and alpha
TOO_FEW_ENTER = "no cell has slices that count here from two seeds"
NO_SPLIT = "the cells it compares were tested on different splits"
NO_SLICE = "no test slice counts here"
FEW_PATIENTS = "some slices have no patient number, or there are fewer than two patients"
NO_BEST = "5x5, alpha 0.5 has not been run"
LARGEST = 700.0  # exp of more is no float
ROUNDING = 1e-9  # what arithmetic can leave of an exact tie


class Reading(StrEnum):
    """What alpha weighs: false negatives, as the thesis writes, or false positives, as in MONAI.

    A training at alpha under one reading is a training at 1 - alpha under the other.
    """

    TEXT = "as written"
    SWAPPED = "swapped"

    def of(self, alpha: float) -> float:
        """Our alpha (of false negatives) as the thesis would have called it."""
        return round(alpha if self is Reading.TEXT else 1 - alpha, 9)


@dataclass(frozen=True, eq=False)
class GridEvidence:
    """The thesis's cells that were run, by kernel and alpha under one reading, and the rules."""

    cells: Mapping[GridPoint, Cell]
    reference: Reference
    rule: ClaimRule
    sizes: Sizes
    _seeds: dict[Statistic, Variance | None] = field(default_factory=dict, init=False, repr=False)

    @property
    def printed(self) -> GridPoint:
        """Where the one cell stands whose Dice is printed."""
        return self.reference.best_cell.kernel_size, self.reference.best_cell.alpha

    @property
    def best(self) -> Cell | None:
        """That cell, where it was run."""
        return self.cells.get(self.printed)

    def points(self, kernels: Iterable[int] = (), alphas: Iterable[float] = ()) -> list[GridPoint]:
        """Points of the thesis's grid: all kernels or alphas where none is given."""
        return list(product(kernels or self.reference.kernels, alphas or self.reference.alphas))

    def seeds(self, statistic: Statistic) -> Variance | None:
        """The statistic's variance between seeds, pooled over all cells; see `between_seeds`."""
        if statistic not in self._seeds:
            self._seeds[statistic] = between_seeds(self.cells.values(), statistic)
        return self._seeds[statistic]

    def contrast(self, weights: Mapping[GridPoint, float], statistic: Statistic) -> Estimate | None:
        """The weighted sum of a statistic over points, on their common splits; see `contrast`."""
        cells = common([self.cells[point] for point in weights])
        parts = list(zip(weights.values(), cells, strict=True))
        return contrast(parts, statistic, self.seeds(statistic))

    def within(self, cell: Cell, statistic: Statistic) -> Estimate | None:
        """A statistic of one cell."""
        return contrast([(1.0, cell)], statistic, self.seeds(statistic))

    def unknown(self, points: Iterable[GridPoint], statistic: Statistic) -> str:
        """Why a contrast of these points is None."""
        cells = common([self.cells[point] for point in points])
        if not all(cell.splits for cell in cells):
            return NO_SPLIT
        if any(reduced(cell, statistic).by_slice.empty for cell in cells):
            return NO_SLICE
        if self.seeds(statistic) is None:
            return TOO_FEW_ENTER if self.seeds(DICE) else NO_SPREAD
        return FEW_PATIENTS

    def lacking(self, points: Iterable[GridPoint], columns: Iterable[str]) -> str:
        """Which of these columns of scores.csv some run of the points lacks, and the cure."""
        parts = [self.cells[point].rows for point in points]
        lost = [
            name
            for name in columns
            if any(name not in rows or rows[name].isna().any() for rows in parts)
        ]
        return f"no {' and '.join(lost)} in the scores of some runs; rescore them" if lost else ""

    def complete(self, groups: Iterable[Sequence[GridPoint]]) -> list[Sequence[GridPoint]]:
        """The groups of which every point was run."""
        return [group for group in groups if all(point in self.cells for point in group)]


def grid_evidence(
    panel: Panel, reading: Reading, reference: Reference, rule: ClaimRule, sizes: Sizes
) -> GridEvidence:
    """The cells of the thesis's grid in a panel, without those that saw a click."""
    cells = {}
    for cell in panel.cells:
        read = reading.of(cell.alpha)
        alpha = next((a for a in reference.alphas if abs(a - read) < 1e-9), None)
        of_grid = cell.arm == reference.best_cell.arm and cell.kernel_size in reference.kernels
        of_grid = of_grid and not cell.source
        if of_grid and not cell.needs_click and cell.kernel_size and alpha is not None:
            cells[cell.kernel_size, alpha] = cell
    return GridEvidence(dict(sorted(cells.items())), reference, rule, sizes)


def average(points: Sequence[GridPoint], total: float = 1.0) -> dict[GridPoint, float]:
    """Equal weights that sum to total."""
    return {point: total / len(points) for point in points}


def side(estimate: Estimate | None, level: float, against: float = 0.0) -> int:
    """1 where the interval lies above a value, -1 below, 0 where it holds it or is not known."""
    if estimate is None:
        return 0
    low, high = estimate.interval(level)
    return int(low > against + ROUNDING) - int(high < against - ROUNDING)


class ClaimVerdict(StrEnum):
    """What a claim came to."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"
    NOT_TESTABLE = "not testable yet"


@dataclass(frozen=True)
class Finding:
    """standing and why; measured: the statistic with its interval; cells: run of those needed."""

    standing: ClaimVerdict
    why: str
    measured: str = ""
    cells: str = ""


Predicate = Callable[[GridEvidence], Finding]


def judge_contrast(
    evidence: GridEvidence,
    weights: Mapping[GridPoint, float],
    cells: str,
    statistic: Statistic,
    sign: int,
    name: str,
    *,
    ratio: bool = False,
) -> Finding:
    """Judge one contrast that a claim puts above (sign 1) or below (-1) zero.

    ratio: what is measured is said as exp of the contrast.
    """
    if not weights:
        why = "the trainings needed to test this have not been run"
        return Finding(ClaimVerdict.NOT_TESTABLE, why, cells=cells)
    estimate, level = evidence.contrast(weights, statistic), evidence.rule.level
    measured = f"{name} {in_words(estimate, level, ratio=ratio)}"
    if estimate is None:
        why = evidence.unknown(weights, statistic)
        return Finding(ClaimVerdict.UNDECIDED, why, measured, cells)
    where = side(estimate, level)
    standing = {sign: ClaimVerdict.CONFIRMED, -sign: ClaimVerdict.CONTRADICTED}.get(
        where, ClaimVerdict.UNDECIDED
    )
    verb = {1: "lies above", -1: "lies below", 0: "includes"}[where]
    return Finding(standing, f"the interval {verb} {1 if ratio else 0}", measured, cells)


def in_words(estimate: Estimate | None, level: float, *, ratio: bool = False) -> str:
    """Value and interval in words; ratio: of exp of them."""
    if estimate is None:
        return "not known"
    ends = (estimate.value, *estimate.interval(level))
    if ratio:
        return "{:.2f} [{:.2f}, {:.2f}]".format(*(math.exp(min(x, LARGEST)) for x in ends))
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*ends)


Differences = Mapping[GridPoint, Estimate | None]  # of each point: the reference minus it


def better(differences: Differences, level: float) -> GridPoint | None:
    """The point that is most surely better than the reference; None where Holm leaves none."""
    known = {point: estimate for point, estimate in differences.items() if estimate is not None}
    p_values = holm([estimate.p_value() for estimate in known.values()])
    ranked = [
        (p, point)
        for (point, estimate), p in zip(known.items(), p_values, strict=True)
        if estimate.value < -ROUNDING and p < 1 - level
    ]
    return min(ranked)[1] if ranked else None


def nearest_in_words(differences: Differences, level: float) -> str:
    """Say which point comes nearest to the reference, or farthest above it."""
    known = {point: estimate for point, estimate in differences.items() if estimate is not None}
    if not known:
        return "not known" if differences else ""
    point = min(known, key=lambda point: (known[point].value, point))
    return f"difference from {name_of(point)}: {in_words(known[point], level)}"


def name_of(point: GridPoint) -> str:
    """3x3, alpha 0.5."""
    return f"{point[0]}x{point[0]}, alpha {point[1]:g}"
