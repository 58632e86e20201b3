"""The slices on which two readers differ most, with the outlines of both."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pandas as pd

from benchmark.data.slices import Mask, SliceSet
from benchmark.errors import RecordError
from benchmark.judge.comparisons.second_reader import SecondReading
from benchmark.judge.comparisons.two_readers import furthest_apart
from benchmark.report.figure import WIDE, Canvas, Figure, canvas
from benchmark.report.slices.crop import Crop, crop, legend, show
from benchmark.scoring.overlap import count

SHOWN, ACROSS = 8, 4
WORDS = ("reader 1, the truth here (solid)", "second reader (dashed)")
ROUNDING = 1e-9


def readers_differ(reading: SecondReading, masks: Mapping[int, Mask], slices: SliceSet) -> Figure:
    """Return the `SHOWN` slices with the lowest Dice between readers, lowest first.

    masks: the second reader's, by slice number, (H, W) bool; slices: those that both outlined.
    Raises `RecordError` where a mask is not the one that was scored.
    """
    data = furthest_apart(reading, SHOWN)
    data = data[["slice_id", "patient_id", "dice", "truth_mm2", "predicted_mm2"]]
    cuts = {row.slice_id: _crop(row, masks, slices) for row in data.itertuples()}
    said = "; ".join(
        f"slice {row.slice_id}: Dice {row.dice:.2f}, {row.truth_mm2:.0f} and "
        f"{row.predicted_mm2:.0f} mm²"
        for row in data.itertuples()
    )
    caption = (
        f"Of {len(reading.scores)} slices those on which the two readers agree least, lowest Dice "
        "first. Solid: reader 1 (Cheng), whose outlines are the truth that networks are trained "
        "and scored on; dashed: the second reader (BRISC 2025: Fateh et al., arXiv:2506.14318, "
        "CC BY 4.0). Which of them is right is not known."
    )
    title = "Slices on which two readers differ most"
    plot = partial(_plot, crops=cuts)
    return Figure("readers-differ", title, caption, f"{said}.", data, plot, pictures=True)


def _crop(row: object, masks: Mapping[int, Mask], slices: SliceSet) -> Crop:
    number, dice = row.slice_id, row.dice  # type: ignore[attr-defined]
    place = slices.row_of[number]
    truth, second = slices.masks[place], masks.get(number)
    shaped = second is not None and second.shape == truth.shape
    if second is None or not shaped or abs(count(second, truth).dice - dice) > ROUNDING:
        raise RecordError(
            f"second reading: the mask of slice {number} is not the one that was scored; restore "
            "the shipped files"
        )
    return crop(slices.images[place], truth, second, slices.spacing_mm)


def _plot(data: pd.DataFrame, crops: Mapping[int, Crop]) -> Canvas:
    down = -(-len(data) // ACROSS)
    whole, grid = canvas(WIDE, 0.3 + 2.15 * down, down, ACROSS, squeeze=False)
    for axes in grid.flat[len(data) :]:
        axes.set_visible(False)
    for row, axes in zip(data.itertuples(), grid.flat, strict=False):
        show(axes, crops[row.slice_id])
        areas = f"{row.truth_mm2:.0f} and {row.predicted_mm2:.0f} mm²"
        axes.set_xlabel(f"slice {row.slice_id}, Dice {row.dice:.2f}\n{areas}")
    legend(whole, WORDS)
    return whole
