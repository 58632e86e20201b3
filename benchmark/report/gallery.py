"""Every stored prediction as an outline over its slice: what the page's gallery shows. Nothing is run again."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from benchmark.collect import Collected
from benchmark.data.slices import SliceSet
from benchmark.errors import RecordError
from benchmark.judge.cells import Cell, Panel, panels
from benchmark.metrics import count
from benchmark.record import RunFolder
from benchmark.report.outline import svg_path
from benchmark.run_files import read_predictions

WINDOW = (0.5, 99.5)  # percentiles of a slice's grey levels, shown as black and white
SIDE = 256  # pixels of the longer side: 708 slices of 512x512 then come to 4.9 MB of text, a sixth of their WebP files
QUALITY = 75
ROUNDING = 1e-9  # what arithmetic can leave of one Dice computed twice


def gallery(collected: Collected, root: Path, slices: SliceSet) -> dict[str, Any]:
    """Return what the gallery shows, as plain JSON types: the runs under root that are of these slices.

    height and width of the slices in pixels, in which all outlines are (x right, y down, fill-rule evenodd);
    slices by number: image (a WebP as data URL, `WINDOW` as its grey levels), patient or None, mm2 of the truth
    and its outline, for each slice that a run tested; runs: run_id, arm, terms, split, seed or None, click;
    outlines by run_id and slice: d ("" where nothing was found), dice, mm2 of the prediction; left_out: the
    run_ids of other slices. Raises `RecordError` for predictions that are damaged or not those that were scored.
    """
    own = collected.runs["dataset_id"] == slices.dataset_id
    kept = replace(collected, runs=collected.runs[own])
    ordered = sorted(panels(kept), key=lambda panel: -panel.runs["height"].iloc[0])  # the finest first
    runs = [_run(panel, cell, run) for panel in ordered for cell in panel.cells for run in _rows(cell)]
    of_run = dict(iter(collected.scores.groupby("run_id")))
    outlines = {run["id"]: _outlines(RunFolder(root, run["id"]), of_run[run["id"]], slices) for run in runs}
    return {
        "height": slices.shape[0],
        "width": slices.shape[1],
        "slices": _slices(slices, {int(number) for found in outlines.values() for number in found}),
        "runs": runs,
        "outlines": outlines,
        "left_out": sorted(collected.runs.loc[~own, "run_id"]),
    }


def _rows(cell: Cell) -> Iterator[Any]:
    return cell.runs.sort_values(["split_id", "seed", "run_id"]).itertuples()


def _run(panel: Panel, cell: Cell, run: Any) -> dict[str, Any]:
    return {
        "id": run.run_id,
        "arm": cell.name,
        "terms": panel.title,
        "split": run.split_id,
        "seed": None if pd.isna(run.seed) else int(run.seed),
        "click": cell.needs_click,
    }


def _outlines(folder: RunFolder, scores: pd.DataFrame, slices: SliceSet) -> dict[str, dict[str, Any]]:
    masks, pixel_mm2 = stored_masks(folder, scores, slices), slices.spacing_mm[0] * slices.spacing_mm[1]
    return {
        str(number): {
            "d": svg_path(masks[number]),
            "dice": round(dice, 4),
            "mm2": round(np.count_nonzero(masks[number]) * pixel_mm2, 1),
        }
        for number, dice in zip(scores["slice_id"].tolist(), scores["dice"].tolist(), strict=True)
    }


def stored_masks(folder: RunFolder, scores: pd.DataFrame, slices: SliceSet) -> dict[int, NDArray[np.bool_]]:
    """Return a run's test masks (H, W) bool by slice number: those whose Dice stands in its scores.

    Raises `RecordError` as `read_predictions` does, and where a slice is not in both, or its mask has another Dice.
    """
    masks, where = read_predictions(folder), {number: i for i, number in enumerate(slices.slice_id.tolist())}
    dice = dict(zip(scores["slice_id"].tolist(), scores["dice"].tolist(), strict=True))
    odd = sorted(set(masks) ^ set(dice) | (set(dice) - set(where))) or [
        number
        for number, mask in masks.items()
        if mask.shape != slices.shape or abs(count(mask, slices.masks[where[number]]).dice - dice[number]) > ROUNDING
    ]
    if odd:
        raise RecordError(f"{folder.path}: the mask of slice {odd[0]} is not the one that was scored; rescore the runs")
    return masks


def _slices(slices: SliceSet, wanted: set[int]) -> dict[str, dict[str, Any]]:
    pixel_mm2 = slices.spacing_mm[0] * slices.spacing_mm[1]
    return {
        str(number): {
            "image": "data:image/webp;base64," + base64.b64encode(webp(slices.images[i])).decode(),
            "patient": slices.patient_id[i],
            "mm2": round(np.count_nonzero(slices.masks[i]) * pixel_mm2, 1),
            "truth": svg_path(slices.masks[i]),
        }
        for i, number in enumerate(slices.slice_id.tolist())
        if number in wanted
    }


def webp(image: NDArray[np.generic]) -> bytes:
    """Return an (H, W) image as lossy WebP of at most `SIDE` pixels a side, its sides in proportion."""
    height, width = image.shape
    share = min(1.0, SIDE / max(height, width))
    small = Image.fromarray(grey(image)).resize((round(width * share), round(height * share)), Image.Resampling.BOX)
    out = io.BytesIO()
    small.save(out, "WEBP", quality=QUALITY)
    return out.getvalue()


def grey(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Map an (H, W) image to 0 to 255, linearly between the percentiles of `WINDOW`, cut beyond them."""
    pixels = image.astype(np.float32)
    low, high = np.percentile(pixels, WINDOW).astype(np.float32)
    if not high > low:  # what is bright fills less than the window leaves out
        low, high = pixels.min(), pixels.max()
    share = (pixels - low) / (high - low)
    return np.rint(share.clip(0, 1) * 255).astype(np.uint8)
