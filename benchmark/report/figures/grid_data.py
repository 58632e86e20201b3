"""The cells of the thesis's grid on the splits that they share: what its figures are drawn from.
Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from benchmark.judge.cells import Cell
from benchmark.judge.claims.evidence import GridEvidence, GridPoint
from benchmark.judge.statistics.contrast import DICE, mean
from benchmark.report.figure import counted


@dataclass(frozen=True, eq=False)
class SharedGrid:
    """The cells of the grid on the splits that they share, so that every cell met the same test
    images.

    ground: the whole of what was run; cells: by kernel and alpha, each on `splits`; left_out: cells
    that were not run on these; printed: the thesis's mean Dice of its best cell, None where it is
    of another experiment than these runs.
    """

    ground: GridEvidence
    cells: dict[GridPoint, Cell]
    splits: tuple[str, ...]
    left_out: tuple[GridPoint, ...]
    printed: float | None = None

    @property
    def trainings(self) -> int:
        return sum(len(cell.runs) for cell in self.cells.values())

    @property
    def where(self) -> str:
        """Split and number of trainings, in words."""
        cells = f"{len(self.cells)} of {len(self.ground.spots())} cells"
        lost = (
            f"; {counted(len(self.left_out), 'cell')} run on other splits only"
            if self.left_out
            else ""
        )
        more = sum(len(self.ground.cells[spot].runs) for spot in self.cells) - self.trainings
        lost += (
            f"; {counted(more, 'training')} of these cells on other splits not in it"
            if more
            else ""
        )
        return f"{cells}, {counted(self.trainings, 'training')} on {', '.join(self.splits)}{lost}"


def shared(ground: GridEvidence, printed: float | None = None) -> SharedGrid | None:
    """Restrict the cells to the splits that most of them were run on; None where no cell was run.

    Of splits run by equally many cells all are kept where the same cells ran them, else the first
    by name.
    """
    ran: dict[frozenset[GridPoint], list[str]] = {}
    for split in sorted({split for cell in ground.cells.values() for split in cell.splits}):
        ran.setdefault(
            frozenset(s for s, cell in ground.cells.items() if split in cell.splits), []
        ).append(split)
    if not ran:
        return None
    spots, splits = max(ran.items(), key=lambda one: (len(one[0]), len(one[1])))
    cells = {spot: ground.cells[spot].on(splits=splits) for spot in sorted(spots)}
    return SharedGrid(
        ground, cells, tuple(splits), tuple(sorted(ground.cells.keys() - spots)), printed
    )


def dice_rows(grid: SharedGrid) -> pd.DataFrame:
    """Dice of every test slice of every training."""
    parts = [
        cell.rows[["split_id", "seed", "slice_id", "patient_id", "dice"]].assign(
            kernel_size=kernel, alpha=alpha
        )
        for (kernel, alpha), cell in grid.cells.items()
    ]
    names = ["kernel_size", "alpha", "split_id", "seed", "slice_id", "patient_id", "dice"]
    return pd.concat(parts, ignore_index=True)[names]


def means_told(grid: SharedGrid) -> str:
    """The mean Dice of every cell, in words."""
    means = {spot: mean(cell, DICE) for spot, cell in grid.cells.items()}
    return (
        "Means: "
        + "; ".join(f"{k}x{k}, alpha {a:g}: {value:.3f}" for (k, a), value in means.items())
        + "."
    )
