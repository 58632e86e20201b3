"""Every stored prediction as an outline over its slice: what the page's gallery shows."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.slices import Mask, SliceSet
from benchmark.errors import RecordError
from benchmark.judge.cells import Cell, Panel, data_of, protocol_of, size_of
from benchmark.judge.reference import load_reference
from benchmark.preprocessing.windowing import grey
from benchmark.report.slices.contour import svg_path
from benchmark.report.slices.stored_masks import StoredMasks, reason
from benchmark.runs.collect import Collected

SIDE = 256  # pixels of the longer side: a page of many hundred slices stays small enough to open
QUALITY = 75


def gallery(collected: Collected, masks: StoredMasks, order: Sequence[Panel]) -> dict[str, Any]:
    """Return what the gallery shows, as plain JSON types: the runs that are of the masks' slices.

    order: the panels, that whose runs come first at first. Before all come the runs of the
    reference cell.

    height and width of the slices in pixels, in which all outlines are (x right, y down, fill-rule
    evenodd); slices by number: image (a WebP as data URL, its grey levels as `windowing.grey` makes
    them), patient or None, mm2 of the truth and its outline, for each slice that a run tested;
    runs: id, arm, form (size and precision), terms (the rest of them), split, seed or None, click;
    outlines by run and slice: d ("" where nothing was found), dice, mm2 of the prediction;
    left_out: id and why of runs of other slices, and of those whose predictions are lost, damaged
    or not those that were scored.
    """
    slices = masks.slices
    own = collected.runs["dataset_id"] == slices.dataset_id
    runs = _runs(order, slices)
    others = sorted(collected.runs.loc[~own, "run_id"])
    left_out = [{"id": run_id, "why": "of other slices"} for run_id in others]
    outlines = {}
    for run_id in [run["id"] for run in runs]:
        try:
            outlines[run_id] = _outlines(masks, run_id)
        except RecordError as error:
            left_out.append({"id": run_id, "why": reason(error, masks.root)})
    tested = {int(number) for by_slice in outlines.values() for number in by_slice}
    return {
        "height": slices.shape[0],
        "width": slices.shape[1],
        "slices": _slices(slices, tested),
        "runs": [run for run in runs if run["id"] in outlines],
        "outlines": outlines,
        "left_out": left_out,
    }


def _runs(order: Sequence[Panel], slices: SliceSet) -> list[dict[str, Any]]:
    best = load_reference().best_cell
    first = (best.arm, best.kernel_size, best.alpha)
    own = [p for p in order if p.runs["dataset_id"].iloc[0] == slices.dataset_id]
    pairs = [(panel, cell) for panel in own for cell in panel.cells]
    pairs.sort(
        key=lambda pair: (pair[1].arm, pair[1].kernel_size, pair[1].alpha) != first
    )  # stable
    return [
        _run(panel, cell, run)
        for panel, cell in pairs
        for run in cell.runs.sort_values(["split_id", "seed", "run_id"]).to_dict("records")
    ]


def _run(panel: Panel, cell: Cell, run: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "id": run["run_id"],
        "arm": cell.name,
        "form": f"{size_of(run)} {run['precision']}",
        "terms": f"protocol {protocol_of(panel.runs)}, {data_of(run)}",
        "split": run["split_id"],
        "seed": None if pd.isna(run["seed"]) else int(run["seed"]),
        "click": cell.needs_click,
    }


def _outlines(masks: StoredMasks, run_id: str) -> dict[str, dict[str, Any]]:
    scores, own = masks.scores[run_id], masks.of(run_id)
    rows = zip(scores["slice_id"].tolist(), scores["dice"].tolist(), strict=True)
    return {
        str(n): {"d": svg_path(own[n]), "dice": round(d, 4), "mm2": _mm2(own[n], masks.slices)}
        for n, d in rows
    }


def _slices(slices: SliceSet, wanted: set[int]) -> dict[str, dict[str, Any]]:
    return {
        str(number): {
            "image": "data:image/webp;base64," + base64.b64encode(webp(slices.images[i])).decode(),
            "patient": slices.patient_id[i],
            "mm2": _mm2(slices.masks[i], slices),
            "truth": svg_path(slices.masks[i]),
        }
        for number, i in slices.row_of.items()
        if number in wanted
    }


def _mm2(mask: Mask, slices: SliceSet) -> float:
    return round(np.count_nonzero(mask) * slices.pixel_mm2, 1)


def webp(image: NDArray[np.generic]) -> bytes:
    """Return an (H, W) image as lossy WebP of at most `SIDE` pixels a side, in proportion."""
    height, width = image.shape
    share = min(1.0, SIDE / max(height, width))
    size = (round(width * share), round(height * share))
    small = Image.fromarray(grey(image)).resize(size, Image.Resampling.BOX)
    out = io.BytesIO()
    small.save(out, "WEBP", quality=QUALITY)
    return out.getvalue()
