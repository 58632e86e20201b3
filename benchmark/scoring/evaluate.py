"""An arm's maps against the truth: the only place that binarises, one score row per test slice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from benchmark.arm import Arm, ClickArm, Clicks, FloatImages, ProbMaps
from benchmark.data.slices import Mask, SliceSet, Spacing
from benchmark.errors import ArmError
from benchmark.scoring.diameters import diameters
from benchmark.scoring.overlap import count
from benchmark.scoring.surface import border_distances, core_sensitivity

OVERLAP = ("tp", "fp", "fn", "tn", "dice", "iou", "sensitivity", "precision")
THRESHOLD = 0.5  # tumour where p > 0.5


def predict_checked(
    arm: Arm | ClickArm, images: FloatImages, clicks: Clicks | None, name: str = ""
) -> ProbMaps:
    """Ask an arm for its maps and hold them to the contract; `ArmError` names the breach.

    It begins with name, by default that of the arm's class.
    """
    asked = (images,) if clicks is None else (images, clicks)
    maps = arm.predict(*asked)  # type: ignore[arg-type]
    name = name or type(arm).__name__
    if not isinstance(maps, np.ndarray) or maps.shape != images.shape or maps.dtype != np.float32:
        got = f"{maps.dtype} {maps.shape}" if isinstance(maps, np.ndarray) else type(maps).__name__
        raise ArmError(
            f"{name}: predict() gave {got}; must be a numpy array, float32 {images.shape}: "
            "the probability of tumour in every pixel of every image"
        )
    if not np.isfinite(maps).all():
        bad = np.count_nonzero(~np.isfinite(maps))
        raise ArmError(
            f"{name}: predict() gave {bad} values that are not finite; must be probabilities: "
            "mind divisions by 0, as in a constant image"
        )
    if maps.min() < 0 or maps.max() > 1:
        raise ArmError(
            f"{name}: predict() gave values from {maps.min()} to {maps.max()}; must be "
            "probabilities, in [0, 1]: scale or clip them"
        )
    return maps


def simulated_clicks(masks: Mask) -> Clicks:
    """(N, H, W) truth -> (N, 2) the pixel farthest from the outline, as a reader would click.

    An empty mask gives the image's centre: there is no tumour to click on.
    """
    clicks = np.empty((len(masks), 2), dtype=np.int64)
    for i, mask in enumerate(masks):
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        deepest = np.unravel_index(depth.argmax(), mask.shape)
        clicks[i] = deepest if mask.any() else np.array(mask.shape) // 2
    return clicks


def binarise(maps: ProbMaps) -> Mask:
    """Tumour where p > 0.5."""
    return maps > THRESHOLD


def score(
    slices: SliceSet, predictions: Mapping[int, Mask], wanted: tuple[int, ...]
) -> pd.DataFrame:
    """Score (H, W) bool predictions by slice number against the truth at its own size, in mm.

    Returns one row per wanted slice, in ascending order; docs/measures.md defines the
    columns. A missing or superfluous slice raises `ArmError`: nothing leaves a mean in silence.
    """
    if set(predictions) != set(wanted):
        odd = min(set(predictions) ^ set(wanted))
        why = "not a test slice" if odd in predictions else "missing from the predictions"
        raise ArmError(f"slice {odd} is {why}")
    return pd.DataFrame(
        {
            "slice_id": number,
            "patient_id": slices.patient_of[number],
            **measures(predictions[number], slices.masks[slices.row_of[number]], slices.spacing_mm),
        }
        for number in sorted(wanted)
    )


def measures(predicted: Mask, truth: Mask, spacing_mm: Spacing) -> dict[str, Any]:
    """Every measure of one slice from two (H, W) bool masks, else `ValueError`.

    In the order of scores.csv. Lengths in mm and areas in mm2 have 4 decimals: the rest of their
    digits is rounding, which another processor may do otherwise.
    """
    c = count(predicted, truth)
    borders = border_distances(predicted, truth, spacing_mm)
    true, outlined = diameters(truth, spacing_mm), diameters(predicted, spacing_mm)
    pixel_mm2 = spacing_mm[0] * spacing_mm[1]
    return {
        **{name: getattr(c, name) for name in OVERLAP},
        "truth_mm2": round((c.tp + c.fn) * pixel_mm2, 4),
        "predicted_mm2": round((c.tp + c.fp) * pixel_mm2, 4),
        "nsd_1mm": borders.nsd(1),
        "nsd_2mm": borders.nsd(2),
        "hd95_mm": round(borders.hd95_mm, 4),
        "assd_mm": round(borders.assd_mm, 4),
        "truth_diameter_mm": round(true.longest_mm, 4),
        "predicted_diameter_mm": round(outlined.longest_mm, 4),
        "truth_perpendicular_mm": round(true.perpendicular_mm, 4),
        "predicted_perpendicular_mm": round(outlined.perpendicular_mm, 4),
        "core_sensitivity": core_sensitivity(predicted, truth, spacing_mm),
    }
