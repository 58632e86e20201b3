"""Slices with the outlines of truth and prediction, for a page of the repository: a good, a usual
and a poor one.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.data.slices import SliceSet
from benchmark.errors import SpecError
from benchmark.judge.cells import title_of
from benchmark.judge.claims.evidence import Reading, grid_evidence
from benchmark.judge.judgement import Judgement
from benchmark.report.figure import WIDE, Figure, canvas, drawing
from benchmark.report.slices import failures
from benchmark.report.slices.crop import Crop, crop, legend, show
from benchmark.report.slices.stored_masks import stored_masks
from benchmark.runs.run_folder import RunFolder
from benchmark.storage.atomic import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

SLUG = "outlined-slices"
DPI, QUALITY = 200, 85  # of the picture: a page is to load at once
SOURCE = (
    "Slices: Cheng, Jun (2017), brain tumor dataset, figshare, "
    "[doi:10.6084/m9.figshare.1512427](https://doi.org/10.6084/m9.figshare.1512427), CC BY 4.0; cropped, windowed and "
    "outlined here."
)


def outlined(found: Judgement, root: Path, slices: SliceSet | None = None) -> Figure:
    """Return the figure of the thesis's best cell on the terms nearest the thesis's; drawn only
    where slices are given.

    Its words and numbers come from the records under root alone. Raises `SpecError` where the cell
    was not run, or on other slices than these, and `RecordError` for a run whose predictions are
    lost or damaged.
    """
    rules = found.tolerances
    grounds = [
        grid_evidence(panel, Reading.TEXT, found.reference, rules.claims, rules.sizes)
        for panel, _ in found.claims
    ]
    cell = next((on.best for on in grounds if on.best), None)
    if cell is None:
        raise SpecError(
            "no record is of the thesis's best cell, so there are no slices to outline; run it first"
        )
    if slices and set(cell.runs["dataset_id"]) != {slices.dataset_id}:
        raise SpecError(
            f"--data: not the slices of the records (dataset {slices.dataset_id[:12]}); give the 708 slices"
        )
    scores = found.collected.scores
    rows = failures.rows_of(cell.runs, scores[scores["run_id"].isin(cell.runs["run_id"])])
    cases = failures.standings(rows)
    words = [
        f"slice {row.slice_id}: Dice {row.dice:.3f} (mean {row.dice_mean:.3f})"
        for row in cases.table.itertuples()
    ]
    caption = (
        f"{cell.name}, {title_of(cell.runs)}, {rows['split_id'].iloc[0]}: {cases.rule}, from left to right; of each, "
        f"the training nearest to that mean. {'; '.join(words)}. Truth solid, prediction dashed. {SOURCE}"
    )
    alt = f"Three MRI slices, each with the true and the predicted outline of its tumour; {', '.join(words)}."
    crops = _crops(cases.table, rows, root, slices) if slices else {}
    return Figure(
        SLUG,
        "Truth and prediction",
        caption,
        alt,
        cases.table,
        partial(_draw, crops=crops),
        pictures=True,
    )


def _crops(
    cases: pd.DataFrame, rows: pd.DataFrame, root: Path, slices: SliceSet
) -> dict[int, Crop]:
    """Cut out each case, by its slice number."""
    crops = {}
    for number, run_id in zip(cases["slice_id"].tolist(), cases["run_id"], strict=True):
        mask = stored_masks(RunFolder(root, run_id), rows[rows["run_id"] == run_id], slices)[number]
        i = slices.row_of[number]
        crops[number] = crop(slices.images[i], slices.masks[i], mask, slices.spacing_mm)
    return crops


def _draw(data: pd.DataFrame, crops: Mapping[int, Crop]) -> Canvas:
    drawn, axes = canvas(WIDE, 2.85, 1, len(data), squeeze=False)
    for number, dice, one in zip(data["slice_id"].tolist(), data["dice"], axes[0], strict=True):
        show(one, crops[number])
        one.set_xlabel(f"slice {number}, Dice {dice:.3f}", fontsize=9)
    legend(drawn)
    return drawn


def save_picture(figure: Figure, folder: Path) -> None:
    """Write the figure as slug.webp, and its numbers beside it as slug.csv."""
    out = io.BytesIO()
    with drawing(figure.slug):
        figure.draw(figure.data).savefig(
            out, format="webp", dpi=DPI, pil_kwargs={"quality": QUALITY}
        )
    write_bytes(folder / f"{figure.slug}.webp", out.getvalue())
    write_bytes(
        folder / f"{figure.slug}.csv", figure.data.to_csv(index=False, lineterminator="\n").encode()
    )
