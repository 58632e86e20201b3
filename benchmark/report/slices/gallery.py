"""Every stored prediction as an outline over its slice: what the page's gallery shows. Nothing is
run again.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.slices import SliceSet
from benchmark.errors import RecordError
from benchmark.judge.cells import Cell, Panel, data_of, panels, protocol_of
from benchmark.judge.reference import load_reference
from benchmark.preprocessing.windowing import grey
from benchmark.report.slices.contour import svg_path
from benchmark.report.slices.stored_masks import reason, stored_masks
from benchmark.runs.collect import Collected
from benchmark.runs.run_folder import RunFolder

SIDE = 256  # pixels of the longer side: a page of many hundred slices stays small enough to open
QUALITY = 75


def gallery(
    collected: Collected, root: Path, slices: SliceSet, order: Sequence[Panel] | None = None
) -> dict[str, Any]:
    """Return what the gallery shows, as plain JSON types: the runs under root that are of these
    slices.

    order: the panels of these runs, that whose runs come first at first; None puts the finest
    slices first. Before all come the runs of the reference cell.

    height and width of the slices in pixels, in which all outlines are (x right, y down, fill-rule
    evenodd); slices by number: image (a WebP as data URL, its grey levels as `window.grey` makes
    them), patient or None, mm2 of the truth and its outline, for each slice that a run tested;
    runs: id, arm, form (size and precision), terms (the rest of them), split, seed or None, click;
    outlines by run and slice: d ("" where nothing was found), dice, mm2 of the prediction;
    left_out: id and why of runs of other slices, and of those whose predictions are lost, damaged
    or not those that were scored.
    """
    own = collected.runs["dataset_id"] == slices.dataset_id
    runs = _runs(_finest_first(collected, own) if order is None else order, slices)
    of_run = dict(iter(collected.scores.groupby("run_id")))
    left_out = [
        {"id": name, "why": "of other slices"}
        for name in sorted(collected.runs.loc[~own, "run_id"])
    ]
    outlines = {}
    for run_id in [run["id"] for run in runs]:
        try:
            outlines[run_id] = _outlines(RunFolder(root, run_id), of_run[run_id], slices)
        except RecordError as error:
            left_out.append({"id": run_id, "why": reason(error, root)})
    return {
        "height": slices.shape[0],
        "width": slices.shape[1],
        "slices": _slices(slices, {int(number) for found in outlines.values() for number in found}),
        "runs": [run for run in runs if run["id"] in outlines],
        "outlines": outlines,
        "left_out": left_out,
    }


def _finest_first(collected: Collected, own: pd.Series[bool]) -> list[Panel]:
    found = panels(replace(collected, runs=collected.runs[own]))
    return sorted(found, key=lambda panel: -panel.runs["height"].iloc[0])


def _runs(order: Sequence[Panel], slices: SliceSet) -> list[dict[str, Any]]:
    best = load_reference().best_cell
    cells = [
        (panel, cell)
        for panel in order
        if panel.runs["dataset_id"].iloc[0] == slices.dataset_id
        for cell in panel.cells
    ]
    first = (best.arm, best.kernel_size, best.alpha)
    cells.sort(key=lambda one: (one[1].arm, one[1].kernel_size, one[1].alpha) != first)  # stable
    return [_run(panel, cell, run) for panel, cell in cells for run in _rows(cell)]


def _rows(cell: Cell) -> list[dict[Any, Any]]:
    return cell.runs.sort_values(["split_id", "seed", "run_id"]).to_dict("records")


def _run(panel: Panel, cell: Cell, run: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "id": run["run_id"],
        "arm": cell.name,
        "form": f"{run['height']}x{run['width']} {run['precision']}",
        "terms": f"protocol {protocol_of(panel.runs)}, {data_of(run)}",
        "split": run["split_id"],
        "seed": None if pd.isna(run["seed"]) else int(run["seed"]),
        "click": cell.needs_click,
    }


def _outlines(
    folder: RunFolder, scores: pd.DataFrame, slices: SliceSet
) -> dict[str, dict[str, Any]]:
    masks = stored_masks(folder, scores, slices)
    return {
        str(number): {
            "d": svg_path(masks[number]),
            "dice": round(dice, 4),
            "mm2": round(np.count_nonzero(masks[number]) * slices.pixel_mm2, 1),
        }
        for number, dice in zip(scores["slice_id"].tolist(), scores["dice"].tolist(), strict=True)
    }


def _slices(slices: SliceSet, wanted: set[int]) -> dict[str, dict[str, Any]]:
    return {
        str(number): {
            "image": "data:image/webp;base64," + base64.b64encode(webp(slices.images[i])).decode(),
            "patient": slices.patient_id[i],
            "mm2": round(np.count_nonzero(slices.masks[i]) * slices.pixel_mm2, 1),
            "truth": svg_path(slices.masks[i]),
        }
        for number, i in slices.row_of.items()
        if number in wanted
    }


def webp(image: NDArray[np.generic]) -> bytes:
    """Return an (H, W) image as lossy WebP of at most `SIDE` pixels a side, its sides in
    proportion.
    """
    height, width = image.shape
    share = min(1.0, SIDE / max(height, width))
    small = Image.fromarray(grey(image)).resize(
        (round(width * share), round(height * share)), Image.Resampling.BOX
    )
    out = io.BytesIO()
    small.save(out, "WEBP", quality=QUALITY)
    return out.getvalue()
