"""What a claim is judged on: the grid of kernels and alphas as it was run under one set of terms.
Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from benchmark.judge.cells import Cell, Panel
from benchmark.judge.reference import ClaimRule, Reference, Sizes
from benchmark.judge.statistics.contrast import (
    DICE,
    Statistic,
    between_seeds,
    common,
    contrast,
    reduced,
)
from benchmark.judge.statistics.estimate import Estimate, Variance, holm

GridPoint = tuple[int, float]  # kernel size and alpha
NO_SPREAD = "no cell was trained from two seeds, so the variation between trainings is unknown"
TOO_FEW_ENTER = "no cell has slices that count here from two seeds"
NO_SPLIT = "the cells it compares were tested on different splits"
NO_SLICE = "no test slice counts here"
FEW_PATIENTS = "some slices have no patient number, or there are fewer than two patients"
LARGEST = 700.0  # exp of more is no float
ROUNDING = 1e-9  # what arithmetic can leave of an exact tie


class Reading(StrEnum):
    """What alpha weighs: the false negatives, as the thesis writes, or the false positives, as
    MONAI's `alpha` does.

    A training at alpha under one reading is a training at 1 - alpha under the other.
    """

    TEXT = "as written"
    SWAPPED = "swapped"

    def of(self, alpha: float) -> float:
        """Our alpha (of false negatives) as the thesis would have called it."""
        return round(alpha if self is Reading.TEXT else 1 - alpha, 9)


@dataclass(frozen=True, eq=False)
class GridEvidence:
    """The cells of the thesis's grid that were run, by kernel and alpha under one reading, and the
    rules.
    """

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

    def spots(self, kernels: Iterable[int] = (), alphas: Iterable[float] = ()) -> list[GridPoint]:
        """Spots of the thesis's grid: all kernels or alphas where none is given."""
        return [
            (k, a)
            for k in kernels or self.reference.kernels
            for a in alphas or self.reference.alphas
        ]

    def seeds(self, statistic: Statistic) -> Variance | None:
        """The statistic's variance between seeds, pooled over all cells that were run; None as
        `between_seeds` says.
        """
        if statistic not in self._seeds:
            self._seeds[statistic] = between_seeds(self.cells.values(), statistic)
        return self._seeds[statistic]

    def contrast(self, weights: Mapping[GridPoint, float], statistic: Statistic) -> Estimate | None:
        """The weighted sum of a statistic over these spots, on the splits that they share; None as
        `contrast` says.
        """
        cells = common([self.cells[spot] for spot in weights])
        return contrast(
            list(zip(weights.values(), cells, strict=True)), statistic, self.seeds(statistic)
        )

    def within(self, cell: Cell, statistic: Statistic) -> Estimate | None:
        """A statistic of one cell."""
        return contrast([(1.0, cell)], statistic, self.seeds(statistic))

    def unknown(self, spots: Iterable[GridPoint], statistic: Statistic) -> str:
        """Why a contrast of these spots is None."""
        cells = common([self.cells[spot] for spot in spots])
        if not all(cell.splits for cell in cells):
            return NO_SPLIT
        if any(reduced(cell, statistic).by_slice.empty for cell in cells):
            return NO_SLICE
        if self.seeds(statistic) is None:
            return TOO_FEW_ENTER if self.seeds(DICE) else NO_SPREAD
        return FEW_PATIENTS

    def lacking(self, spots: Iterable[GridPoint], columns: Iterable[str]) -> str:
        """Which of these columns of scores.csv some run of these spots does not have, and the cure;
        else empty.
        """
        rows = [self.cells[spot].rows for spot in spots]
        lost = [
            name
            for name in columns
            if any(name not in part or part[name].isna().any() for part in rows)
        ]
        return f"no {' and '.join(lost)} in the scores of some runs; rescore them" if lost else ""

    def complete(self, groups: Iterable[Sequence[GridPoint]]) -> list[Sequence[GridPoint]]:
        """The groups of which every spot was run."""
        return [group for group in groups if all(spot in self.cells for spot in group)]


def grid_evidence(
    panel: Panel, reading: Reading, reference: Reference, rule: ClaimRule, sizes: Sizes
) -> GridEvidence:
    """Find the cells of the thesis's grid in a panel; cells off the grid, or that saw a click, are
    left out.
    """
    found = {}
    for cell in panel.cells:
        spot = (cell.kernel_size or 0, reading.of(cell.alpha))
        alpha = next((a for a in reference.alphas if abs(a - spot[1]) < 1e-9), None)
        of_grid = cell.arm == reference.best_cell.arm and not cell.needs_click
        if of_grid and spot[0] in reference.kernels and alpha is not None:
            found[spot[0], alpha] = cell
    return GridEvidence(dict(sorted(found.items())), reference, rule, sizes)


def average(spots: Sequence[GridPoint], sign: float = 1.0) -> dict[GridPoint, float]:
    """Equal weights that sum to sign."""
    return {spot: sign / len(spots) for spot in spots}


def side(found: Estimate | None, level: float, against: float = 0.0) -> int:
    """1 where the interval lies wholly above a value, -1 wholly below, 0 where it holds it or
    nothing is known.
    """
    if found is None:
        return 0
    low, high = found.interval(level)
    return int(low > against + ROUNDING) - int(high < against - ROUNDING)


class ClaimVerdict(StrEnum):
    """What a claim came to."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"
    NOT_TESTABLE = "not testable yet"


@dataclass(frozen=True)
class Finding:
    """standing and why; measured: the statistic and its interval in words; cells: run of those that
    it needs.
    """

    standing: ClaimVerdict
    why: str
    measured: str = ""
    cells: str = ""


Predicate = Callable[[GridEvidence], Finding]


def judge(
    on: GridEvidence,
    weights: Mapping[GridPoint, float],
    cells: str,
    statistic: Statistic,
    sign: int,
    name: str,
    *,
    ratio: bool = False,
) -> Finding:
    """Judge one contrast that a claim puts above (sign 1) or below (-1) zero; ratio: it is told as
    exp of itself.
    """
    if not weights:
        return Finding(
            ClaimVerdict.NOT_TESTABLE,
            "the trainings needed to test this have not been run",
            cells=cells,
        )
    found = on.contrast(weights, statistic)
    measured = f"{name} {in_words(found, on.rule.level, ratio=ratio)}"
    if found is None:
        return Finding(ClaimVerdict.UNDECIDED, on.unknown(weights, statistic), measured, cells)
    where = side(found, on.rule.level)
    standing = {sign: ClaimVerdict.CONFIRMED, -sign: ClaimVerdict.CONTRADICTED}.get(
        where, ClaimVerdict.UNDECIDED
    )
    why = {1: "the interval lies above", -1: "the interval lies below", 0: "the interval includes"}[
        where
    ]
    return Finding(standing, f"{why} {1 if ratio else 0}", measured, cells)


def in_words(found: Estimate | None, level: float, *, ratio: bool = False) -> str:
    """Value and interval in words."""
    if found is None:
        return "not known"
    ends = (found.value, *found.interval(level))
    value, low, high = (math.exp(min(x, LARGEST)) for x in ends) if ratio else ends
    return (
        f"{value:.2f} [{low:.2f}, {high:.2f}]"
        if ratio
        else f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
    )


def better(found: Mapping[GridPoint, Estimate | None], level: float) -> GridPoint | None:
    """The spot that is most surely better, given the reference minus each; None where Holm leaves
    none.
    """
    known = {spot: one for spot, one in found.items() if one is not None}
    adjusted = dict(zip(known, holm([one.p_value() for one in known.values()]), strict=True))
    worse = [
        spot for spot, one in known.items() if one.value < -ROUNDING and adjusted[spot] < 1 - level
    ]
    return min(worse, key=lambda spot: (adjusted[spot], spot)) if worse else None


def nearest(found: Mapping[GridPoint, Estimate | None], level: float) -> str:
    """Say which spot comes nearest to the reference, or farthest above it, given the reference
    minus each.
    """
    known = {spot: one for spot, one in found.items() if one is not None}
    if not known:
        return "not known" if found else ""
    spot = min(known, key=lambda spot: (known[spot].value, spot))
    return f"difference from {name_of(spot)}: {in_words(known[spot], level)}"


def name_of(spot: GridPoint) -> str:
    """3x3, alpha 0.5."""
    return f"{spot[0]}x{spot[0]}, alpha {spot[1]:g}"
