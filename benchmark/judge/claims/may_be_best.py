"""Which cell may be the best: for the claims that say so, and as a table. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from benchmark.judge.cells import Panel
from benchmark.judge.claims.evidence import (
    GridEvidence,
    GridPoint,
    Reading,
    grid_evidence,
    name_of,
)
from benchmark.judge.reference import Reference, Tolerances
from benchmark.judge.statistics.best import Race, race
from benchmark.judge.statistics.contrast import DICE, mean
from benchmark.judge.tables import Column, Table


@dataclass(frozen=True, eq=False)
class Contest:
    """The race of some points of the grid, each against its base; points: in the race's order."""

    points: tuple[GridPoint, ...]
    race: Race

    def chance(self, point: GridPoint) -> float:
        """The point's chance of having the highest mean of all, which must share one base."""
        return float(self.race.chances()[self.points.index(point)])

    def may_be_best(
        self, level: float, among: Collection[GridPoint] | None = None
    ) -> list[GridPoint]:
        """The model confidence set of the points, or of those named that are in the race."""
        entered = [i for i, point in enumerate(self.points) if among is None or point in among]
        kept = self.race.confidence_set(level, entered) if entered else []
        return [self.points[i] for i in kept]


def contest(evidence: GridEvidence, base_of: Callable[[GridPoint], GridPoint]) -> Contest | None:
    """Race the cells for mean Dice, each against that of its base on the splits of both.

    Those whose base was not run, or on other splits, stay out. None where fewer than two are left,
    where no cell has two seeds, and where a patient is unknown or the only one.
    """
    cells = evidence.cells
    points = [
        point
        for point in cells
        if base_of(point) in cells and cells[point].splits & cells[base_of(point)].splits
    ]
    if len(points) < 2:
        return None
    bases = [cells[base_of(point)] for point in points]
    fewest = evidence.intervals.fewest_seeds
    found = race([cells[point] for point in points], bases, evidence.spreads(DICE), fewest)
    return Contest(tuple(points), found) if found else None


def trained_twice(
    evidence: GridEvidence, points: Collection[GridPoint], base: GridPoint
) -> list[GridPoint]:
    """Those of the points that have two seeds on a split they share with the base, as it has."""
    cells = evidence.cells
    shared = {point: cells[point].splits & cells[base].splits for point in points}
    return [point for point in points if not evidence.twice([point, base], shared[point])]


COLUMNS = (
    Column("cell", "cell"),
    Column("trainings", "trainings"),
    Column("splits", "splits"),
    Column("mean Dice", "dice", "{:.4f}"),
    Column("above the base", "lead", "{:+.4f}"),
    Column("chance of being the best", "chance", "{:.2f}"),
    Column("may be the best", "may_be_best", lambda may: "yes" if may else "no"),
)
ONE_SEED = "one seed"
ONCE = (
    "Cells with one seed contradict nothing: that their trainings vary as others do is not known."
)
CHANCE = (
    "Chance of being the best: the share of draws, from what trainings and patients vary by around "
    "what was measured, in which the cell is first. Nothing is taken off the cell that happened to "
    "come out first, and it is not the chance that a claim holds."
)


def best_table(panel: Panel, reference: Reference, tolerances: Tolerances) -> Table | None:
    """Every cell of the grid that was run, the likeliest best first; None with fewer than two, or
    where `contest` can tell nothing.
    """
    evidence = grid_evidence(panel, Reading.TEXT, reference, tolerances)
    if len(evidence.cells) < 2:
        return None
    base = evidence.printed if evidence.best else _most_splits(evidence)
    met = contest(evidence, lambda _: base)
    if met is None:
        return None
    level = tolerances.claims.level
    kept, chances = met.may_be_best(level), met.race.chances()
    once = set(met.points) - set(trained_twice(evidence, met.points, base))
    likeliest = np.lexsort((-met.race.lead, -chances)).tolist()
    others = [evidence.cells[point].splits for point in met.points if point != base]
    shared = evidence.cells[base].splits & frozenset().union(*others)
    on = {point: evidence.cells[point].on(splits=shared) for point in met.points}
    rows = [
        {
            "cell": name_of(point) + (f" ({ONE_SEED})" if point in once else ""),
            "kernel_size": point[0],
            "alpha": point[1],
            "trainings": len(on[point].runs),
            "splits": len(on[point].splits),
            "dice": mean(on[point], DICE),
            "lead": float(met.race.lead[i]),
            "chance": float(chances[i]),
            "may_be_best": point in kept,
        }
        for i, point in ((i, met.points[i]) for i in likeliest)
    ]
    held = f"{len(kept)} of {len(met.points)} cells may be the best: the set that holds it at"
    above = (
        f"Above the base: mean Dice minus that of {name_of(base)}, on the splits of both; of the "
        "base itself the splits that another cell shares."
    )
    notes = [
        f"{held} {level:.0%} (model confidence set).",
        CHANCE,
        above,
    ]
    if once:
        notes.append(ONCE)
    if out := [name_of(point) for point in evidence.cells if point not in met.points]:
        notes.append(f"On other splits than the base, and so left out: {', '.join(out)}.")
    title = f"Which cell may be the best on {panel.title}."
    return Table(title, rows, COLUMNS, tuple(notes))


def _most_splits(evidence: GridEvidence) -> GridPoint:
    """The first of the cells with the most splits."""
    return min(evidence.cells, key=lambda point: (-len(evidence.cells[point].splits), point))
