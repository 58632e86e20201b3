"""A stored prediction and the truth over their slice, cut out around the tumour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.slices import Mask, Spacing
from benchmark.preprocessing.windowing import grey
from benchmark.report import inks
from benchmark.report.figure import SMALL, Canvas
from benchmark.report.slices.contour import loops
from benchmark.report.slices.stored_masks import StoredMasks
from benchmark.scoring.surface import bounding_box

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Key = tuple[str, int]  # run_id and slice number
LEAST_SIDE = 128  # pixels: less shows no surroundings
MARGIN = 0.15  # of the longer side of what is outlined, on each side
BAR_MM = 10.0
OUTLINES = ("truth (solid)", "prediction (dashed)")
TRUTH: dict[str, Any] = {"edgecolor": inks.SKY, "linestyle": "-", "linewidth": 1.0}
FOUND: dict[str, Any] = {"edgecolor": inks.ORANGE, "linestyle": (0, (2.4, 1.4)), "linewidth": 1.0}


@dataclass(frozen=True, eq=False)
class Crop:
    """grey (h, w) uint8 from row top and column left of the slice; outlines in the slice's pixels.

    spacing_mm: (row, column) size of a pixel.
    """

    grey: NDArray[np.uint8]
    top: int
    left: int
    truth: Sequence[NDArray[Any]]
    predicted: Sequence[NDArray[Any]]
    spacing_mm: Spacing


def crop(
    image: NDArray[np.generic],
    truth: Mask,
    predicted: Mask,
    spacing_mm: Spacing,
) -> Crop:
    """Cut a square around both masks, with a margin, out of an (H, W) slice.

    At least `LEAST_SIDE` pixels, at most the slice, and moved inside it. Two empty masks show the
    corner of the slice.
    """
    box = bounding_box(truth | predicted)
    longest = max(part.stop - part.start for part in box)
    side = max(LEAST_SIDE, int(np.ceil(longest * (1 + 2 * MARGIN))))
    top, left = (
        max(0, min((part.start + part.stop - side) // 2, length - side))
        for part, length in zip(box, image.shape, strict=True)
    )
    shown = grey(image)[top : top + side, left : left + side]
    return Crop(shown, top, left, loops(truth), loops(predicted), spacing_mm)


def crops(tables: Iterable[pd.DataFrame], masks: StoredMasks) -> dict[Key, Crop]:
    """Cut out each case of some tables, by run_id and slice."""
    cuts = {}
    for table in tables:
        for run_id, part in table.groupby("run_id"):
            own = masks.of(run_id)
            for number in part["slice_id"]:
                pair = masks.slice_and_truth(number)
                cuts[run_id, number] = crop(*pair, own[number], masks.slices.spacing_mm)
    return cuts


def downsampled(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Average an (H, W) image to at most so many pixels along its longer side, in proportion."""
    share = min(1.0, side / max(image.shape))
    height, width = (round(length * share) for length in image.shape)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


def show(axes: Axes, cut: Crop, *, truth: bool = True, predicted: bool = True) -> None:
    """Plot a crop with its outlines and a bar of `BAR_MM`."""
    from matplotlib.patheffects import withStroke

    height, width = cut.grey.shape
    extent = (cut.left, cut.left + width, cut.top + height, cut.top)
    aspect = cut.spacing_mm[0] / cut.spacing_mm[1]
    axes.imshow(cut.grey, cmap="gray", vmin=0, vmax=255, extent=extent, aspect=aspect)
    if truth:
        outline(axes, cut.truth, TRUTH)
    if predicted:
        outline(axes, cut.predicted, FOUND)
    edge = [withStroke(linewidth=2.2, foreground="#000000")]
    white: dict[str, Any] = {"color": "#ffffff", "path_effects": edge}
    x, y = cut.left + 0.05 * width, cut.top + 0.95 * height
    axes.plot([x, x + BAR_MM / cut.spacing_mm[1]], [y, y], linewidth=1.4, **white)
    axes.text(x, y - 0.025 * height, f"{BAR_MM:g} mm", fontsize=SMALL, **white)
    axes.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def outline(axes: Axes, rings: Iterable[NDArray[Any]], style: dict[str, Any]) -> None:
    """Plot closed lines (V, 2) in the axes' units."""
    from matplotlib.patches import Polygon

    for ring in rings:
        axes.add_patch(Polygon(ring, closed=True, fill=False, joinstyle="round", **style))


def legend(canvas: Canvas, words: Sequence[str] = OUTLINES) -> None:
    """Say below everything which line is which: that of the truth, then the other."""
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=style["edgecolor"], linestyle=style["linestyle"], linewidth=1.4)
        for style in (TRUTH, FOUND)
    ]
    canvas.legend(lines, list(words), loc="outside lower center", ncols=2, handlelength=3)
