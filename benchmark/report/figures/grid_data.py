"""The cells of the thesis's grid on the splits that they share: what its figures show. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from benchmark.judge.cells import Cell
from benchmark.judge.claims.evidence import GridEvidence, GridPoint
from benchmark.judge.statistics.contrast import DICE, mean
from benchmark.report.figure import counted

TRAINING = ["kernel_size", "alpha", "split_id", "seed"]  # the columns that tell one from another


@dataclass(frozen=True, eq=False)
class SharedGrid:
    """The cells of the grid on the splits that they share: every cell met the same test images.

    evidence: the whole of what was run; cells: by kernel and alpha, each on `splits`; left_out:
    cells that were not run on these; printed: the thesis's mean Dice of its best cell, None where
    it is of another experiment than these runs.
    """

    evidence: GridEvidence
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
        lost, n = len(self.left_out), self.trainings
        more = sum(len(self.evidence.cells[point].runs) for point in self.cells) - n
        words = f"{len(self.cells)} of {len(self.evidence.points())} cells, "
        words += f"{counted(n, 'training')} on {', '.join(self.splits)}"
        words += f"; {counted(lost, 'cell')} run on other splits only" if lost else ""
        extra = f"; {counted(more, 'training')} of these cells on other splits not in it"
        return words + (extra if more else "")


def shared(evidence: GridEvidence, printed: float | None = None) -> SharedGrid | None:
    """Restrict the cells to the splits that most of them were run on; None where no cell was run.

    Of splits run by equally many cells all are kept where the same cells ran them, else the first
    by name.
    """
    by_split: dict[str, set[GridPoint]] = {}
    for point, cell in evidence.cells.items():
        for split in cell.splits:
            by_split.setdefault(split, set()).add(point)
    splits: dict[frozenset[GridPoint], list[str]] = {}
    for split in sorted(by_split):
        splits.setdefault(frozenset(by_split[split]), []).append(split)
    if not splits:
        return None
    points, chosen = max(splits.items(), key=lambda item: (len(item[0]), len(item[1])))
    cells = {point: evidence.cells[point].on(splits=chosen) for point in sorted(points)}
    left_out = tuple(sorted(evidence.cells.keys() - points))
    return SharedGrid(evidence, cells, tuple(chosen), left_out, printed)


def dice_rows(grid: SharedGrid) -> pd.DataFrame:
    """Dice of every test slice of every training."""
    parts = [cell.rows.assign(kernel_size=k, alpha=a) for (k, a), cell in grid.cells.items()]
    return pd.concat(parts, ignore_index=True)[[*TRAINING, "slice_id", "patient_id", "dice"]]


def point_name(kernel: int, alpha: float) -> str:
    """A cell of the grid in words: 5x5, alpha 0.5."""
    return f"{kernel}x{kernel}, alpha {alpha:g}"


def means_text(grid: SharedGrid) -> str:
    """The mean Dice of every cell, in words."""
    means = (f"{point_name(*p)}: {mean(cell, DICE):.3f}" for p, cell in grid.cells.items())
    return f"Means: {'; '.join(means)}."
