"""The trainings of the thesis's best cell, by kind of split, size and precision. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from benchmark.judge.cells import Cell, cell_of, size_of
from benchmark.judge.comparable import fitted_as_the_thesis, in_cell
from benchmark.judge.reference import Reference, Tolerances
from benchmark.runs.collect import Collected

KINDS = ("image", "patient")


@dataclass(frozen=True, eq=False)
class ReferenceTrainings:
    """The cell on the thesis's slices at one size and precision; cells: by kind of split, those of
    `KINDS` that were run, of two protocols of one kind the one with more trainings.
    """

    cells: Mapping[str, Cell]

    @property
    def terms(self) -> str:
        """256x256, fp32."""
        first = next(iter(self.cells.values())).runs.iloc[0]
        return f"{size_of(first)}, {first['precision']}"

    @property
    def name(self) -> str:
        """unet 5x5, alpha 0.5, 256x256, fp32: what titles of tables begin or end with."""
        return f"{next(iter(self.cells.values())).name}, {self.terms}"

    @property
    def trainings(self) -> int:
        return sum(len(cell.runs) for cell in self.cells.values())

    @cached_property
    def by_slice(self) -> pd.DataFrame:
        """One row per kind of split and slice, each averaged over the trainings that tested it:
        kind, patient_id, slice_id, dice, tp, fp, fn, missed (share of trainings).
        """
        numbers = ["dice", "tp", "fp", "fn", "missed"]
        parts = []
        for kind, cell in self.cells.items():
            missed = ((cell.rows["tp"] == 0) & (cell.rows["fn"] > 0)).astype(float)
            rows = cell.rows.assign(kind=kind, missed=missed)
            keys = ["kind", "patient_id", "slice_id"]
            parts.append(rows.groupby(keys, dropna=False)[numbers].mean().reset_index())
        return pd.concat(parts, ignore_index=True)

    @property
    def patients_known(self) -> bool:
        return bool(self.by_slice["patient_id"].notna().all())


def reference_trainings(
    collected: Collected, reference: Reference, tolerances: Tolerances
) -> list[ReferenceTrainings]:
    """Return the cell's trainings with the thesis's recipe under each size and precision, those
    with most trainings first; none of phantoms or of other slices.
    """
    cell = reference.best_cell
    runs = fitted_as_the_thesis(collected.runs.sort_values("run_id"))
    runs = runs[runs["recipe_hash"] == tolerances.recipe_hash]
    runs = runs[(runs["dataset_id"] == reference.dataset_id) & ~runs["phantom"]]
    runs = runs[in_cell(runs, cell.arm, cell.kernel_size, cell.alpha)]
    found = []
    for _, part in runs.groupby(["height", "width", "precision"]):
        cells = {}
        for kind in KINDS:
            protocols = [own for _, own in _of(part, kind).groupby("protocol_hash")]
            if protocols:
                cells[kind] = cell_of(max(protocols, key=len), collected)
        if cells:
            found.append(ReferenceTrainings(cells))
    return sorted(found, key=lambda its: -its.trainings)


def _of(runs: pd.DataFrame, kind: str) -> pd.DataFrame:
    return runs[runs["split_unit"] == kind]
