"""What a claim is judged on: the grid of kernels and alphas as run under one set of terms. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product

from benchmark.judge.cells import Cell, Panel
from benchmark.judge.reference import ClaimRule, IntervalRule, Reference, Sizes, Tolerances
from benchmark.judge.statistics.contrast import (
    DICE,
    NO_SPREAD,
    Statistic,
    reduced,
)
from benchmark.judge.statistics.estimate import Estimate
from benchmark.judge.statistics.groups import Group, combined
from benchmark.judge.statistics.spread_of_seeds import Spreads, spreads

GridPoint = tuple[int, float]  # kernel size and alpha
WeightsOf = Callable[[Collection[GridPoint]], Mapping[GridPoint, float]]  # of points on one split
TOO_FEW_ENTER = "no cell has slices that count here from two seeds"
ONE_SEED_EACH = "trained from fewer than {} seeds, so nothing shows how far trainings lie apart: {}"
NAMED = 3  # cells in a sentence; more are counted
COLLAPSED = "a training has the same Dice on every slice"
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
    intervals: IntervalRule
    _spreads: dict[Statistic, Spreads] = field(default_factory=dict, init=False, repr=False)

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

    def spreads(self, statistic: Statistic) -> Spreads:
        """How far trainings of all cells lie apart in a statistic."""
        if statistic not in self._spreads:
            self._spreads[statistic] = spreads(self.cells.values(), statistic)
        return self._spreads[statistic]

    def combined(self, groups: Sequence[Group], statistic: Statistic) -> Estimate | None:
        """The weighted sum of groups of points, each on its own splits; see `combined`."""
        return combined(groups, self.cells, statistic, self.spreads(statistic))

    def contrast(self, weights: Mapping[GridPoint, float], statistic: Statistic) -> Estimate | None:
        """The weighted sum of a statistic over points, on the splits that all of them share.

        Of two points no added run takes a split away; of more, use `group` and `combined`.
        """
        return self.combined([self.shared(weights)], statistic)

    def shared(self, weights: Mapping[GridPoint, float]) -> Group:
        """A contrast of points as one group, on the splits that all of them share."""
        splits = (self.cells[point].splits for point in weights)
        return Group(1.0, dict.fromkeys(frozenset.intersection(*splits), weights))

    def group(self, weight: float, weights_of: WeightsOf) -> Group | None:
        """Return the group of all that `weights_of` makes of the points that are there on a split.

        weights_of: {} where nothing can be made of them, and never so for more of them. Where
        something can be made of cells with two seeds on a split, single trainings stay out on all
        of them, so that adding one cannot undo a verdict. None where nothing can be made.
        """
        firm = self._group_of(self.intervals.fewest_seeds, weight, weights_of)
        return firm or self._group_of(1, weight, weights_of)

    def _group_of(self, seeds: int, weight: float, weights_of: WeightsOf) -> Group | None:
        """What is made, split by split, of the points that have so many seeds there."""
        names = sorted({split for cell in self.cells.values() for split in cell.splits})
        there = {s: [p for p, cell in self.cells.items() if cell.trained_on(s, seeds)]
                 for s in names}  # fmt: skip
        made = {split: weights_of(on) for split, on in there.items()}
        made = {split: weights for split, weights in made.items() if weights}
        return Group(weight, made) if made else None

    def twice(self, points: Iterable[GridPoint], splits: Iterable[str] | None = None) -> str:
        """Why nothing may rest on some of the points: trained from one seed on each split; or "".

        splits: those of the contrast, all where none are given.
        """
        return self._once([point for point in points if not self._twice(self.cells[point], splits)])

    def _once(self, once: Sequence[GridPoint]) -> str:
        if not once:
            return ""
        names = [name_of(point) for point in once[:NAMED]]
        more = [f"{len(once) - NAMED} more"] if len(once) > NAMED else []
        return ONE_SEED_EACH.format(self.intervals.fewest_seeds, "; ".join(names + more))

    def twice_in(self, groups: Iterable[Group]) -> str:
        """The same of the points of groups: trained from one seed on a split where they enter."""
        enter = {
            (point, split)
            for group in groups
            for split, weights in group.by_split.items()
            for point in weights
        }
        fewest = self.intervals.fewest_seeds
        return self._once(sorted({p for p, s in enter if not self.cells[p].trained_on(s, fewest)}))

    def _twice(self, cell: Cell, splits: Iterable[str] | None) -> bool:
        there = cell if splits is None else cell.on(set(splits))
        return not cell.seeded or there.most_seeds >= self.intervals.fewest_seeds

    def unknown(self, points: Iterable[GridPoint], statistic: Statistic) -> str:
        """Why a contrast of these points on their common splits is None."""
        return self.unknown_in([self.shared(dict.fromkeys(points, 1.0))], statistic)

    def unknown_in(self, groups: Iterable[Group], statistic: Statistic) -> str:
        """Why a sum of groups is None."""
        found = list(filter(None, (self._empty(group, statistic) for group in groups)))
        if found:
            return found[0]
        if self.spreads(statistic).pooled is None:
            return TOO_FEW_ENTER if self.spreads(DICE).pooled else NO_SPREAD
        return FEW_PATIENTS

    def _empty(self, group: Group, statistic: Statistic) -> str:
        """Why no slice enters from all cells of a group on a split; "" where some do."""
        if not group.by_split:
            return NO_SPLIT
        of = {point: reduced(self.cells[point], statistic).by_split for point in group.points}
        if any(all(split in of[p] for p in points) for split, points in group.by_split.items()):
            return ""
        return NO_SLICE

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
    panel: Panel, reading: Reading, reference: Reference, rules: Tolerances
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
    own = (rules.claims, rules.sizes, rules.intervals)
    return GridEvidence(dict(sorted(cells.items())), reference, *own)


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


def judge_groups(
    evidence: GridEvidence,
    groups: Sequence[Group],
    cells: str,
    statistic: Statistic,
    sign: int,
    name: str,
    *,
    ratio: bool = False,
) -> Finding:
    """Judge a sum of groups that a claim puts above (sign 1) or below (-1) zero.

    ratio: what is measured is said as exp of the sum. Undecided, whatever the interval, where a
    cell that enters was trained from one seed.
    """
    if not groups:
        why = "the trainings needed to test this have not been run"
        return Finding(ClaimVerdict.NOT_TESTABLE, why, cells=cells)
    estimate, level = evidence.combined(groups, statistic), evidence.rule.level
    measured = f"{name} {in_words(estimate, level, ratio=ratio)}"
    if estimate is None:
        why = evidence.unknown_in(groups, statistic)
        return Finding(ClaimVerdict.UNDECIDED, why, measured, cells)
    if once := evidence.twice_in(groups):
        return Finding(ClaimVerdict.UNDECIDED, once, measured, cells)
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


def collapsed(evidence: GridEvidence, points: Iterable[GridPoint]) -> str:
    """Why nothing may rest on these points: a training has one Dice on all of its slices; or ""."""
    for point in points:
        by_run = evidence.cells[point].rows.groupby(["split_id", "seed"])["dice"]
        if (by_run.max() == by_run.min()).any():
            return f"{COLLAPSED}: {name_of(point)}"
    return ""


def name_of(point: GridPoint) -> str:
    """3x3, alpha 0.5."""
    return f"{point[0]}x{point[0]}, alpha {point[1]:g}"
