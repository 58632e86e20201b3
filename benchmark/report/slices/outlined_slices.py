"""Slices with the outlines of truth and prediction, for a page of the repository.

A good, a usual and a poor one.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd

from benchmark.data.slices import SliceSet
from benchmark.errors import SpecError
from benchmark.judge.cells import title_of
from benchmark.judge.claims.evidence import Reading, grid_evidence
from benchmark.judge.judgement import Judgement
from benchmark.report.figure import WIDE, Canvas, Figure, canvas, styled
from benchmark.report.slices import failures
from benchmark.report.slices.crop import Crop, Key, crops, legend, show
from benchmark.report.slices.stored_masks import StoredMasks
from benchmark.storage.atomic import write_bytes

SLUG = "outlined-slices"
DPI, QUALITY = 200, 85  # of the picture: a page is to load at once
SOURCE = (
    "Slices: Cheng, Jun (2017), brain tumor dataset, figshare, "
    "[doi:10.6084/m9.figshare.1512427](https://doi.org/10.6084/m9.figshare.1512427), CC BY 4.0; "
    "cropped, windowed and outlined here."
)


def outlined(judgement: Judgement, root: Path, slices: SliceSet | None = None) -> Figure:
    """Return the figure of the thesis's best cell on the terms nearest the thesis's.

    Plotted only where slices are given. Its words and numbers come from the records under root
    alone. Raises `SpecError` where the cell was not run, or on other slices than these, and
    `RecordError` for a run whose predictions are lost or damaged.
    """
    reference, rules = judgement.reference, judgement.tolerances
    by_panel = (
        grid_evidence(panel, Reading.TEXT, reference, rules).best for panel, _ in judgement.claims
    )
    cell = next(filter(None, by_panel), None)
    if cell is None:
        raise SpecError(
            "no record is of the thesis's best cell, so there are no slices to outline; run it "
            "first"
        )
    if slices and set(cell.runs["dataset_id"]) != {slices.dataset_id}:
        raise SpecError(
            f"--data: not the slices of the records (dataset {slices.dataset_id[:12]}); give the "
            "708 slices"
        )
    scores = judgement.collected.scores
    rows = failures.rows_of(cell.runs, scores[scores["run_id"].isin(cell.runs["run_id"])])
    cases = failures.standings(rows)
    words = [
        f"slice {row.slice_id}: Dice {row.dice:.3f} (mean {row.dice_mean:.3f})"
        for row in cases.table.itertuples()
    ]
    caption = (
        f"{cell.name}, {title_of(cell.runs)}, {rows['split_id'].iloc[0]}: {cases.rule}, from left "
        f"to right; of each, the training nearest to that mean. {'; '.join(words)}. Truth solid, "
        f"prediction dashed. {SOURCE}"
    )
    alt = "Three MRI slices, each with the true and the predicted outline of its tumour"
    alt = f"{alt}; {', '.join(words)}."
    cuts = crops([cases.table], StoredMasks(root, slices, scores)) if slices else {}
    plot = partial(_plot, crops=cuts)
    return Figure(SLUG, "Truth and prediction", caption, alt, cases.table, plot, pictures=True)


def _plot(data: pd.DataFrame, crops: Mapping[Key, Crop]) -> Canvas:
    whole, grid = canvas(WIDE, 2.85, 1, len(data), squeeze=False)
    for row, axes in zip(data.itertuples(), grid[0], strict=True):
        show(axes, crops[row.run_id, row.slice_id])
        axes.set_xlabel(f"slice {row.slice_id}, Dice {row.dice:.3f}", fontsize=9)
    legend(whole)
    return whole


def save_picture(figure: Figure, folder: Path) -> None:
    """Write the figure as slug.webp, and its numbers beside it as slug.csv."""
    out = io.BytesIO()
    with styled(figure.slug):
        plotted, quality = figure.plot(figure.data), {"quality": QUALITY}
        plotted.savefig(out, format="webp", dpi=DPI, pil_kwargs=quality)
    write_bytes(folder / f"{figure.slug}.webp", out.getvalue())
    numbers = figure.data.to_csv(index=False, lineterminator="\n").encode()
    write_bytes(folder / f"{figure.slug}.csv", numbers)
