"""Augmented examples: what a network is fed of the same slice in one epoch after another."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.slices import Mask, SliceSet
from benchmark.preprocessing.nyul import Landmarks, apply
from benchmark.protocol import Augmentation, Recipe
from benchmark.report.figure import SMALL, WIDE, Canvas, Figure, canvas
from benchmark.report.slices.contour import loops
from benchmark.report.slices.crop import TRUTH, downsampled, outline

if TYPE_CHECKING:
    from benchmark.training.augment import AugmentationTable

SEED = 452669  # the one seed that the thesis names
EVENTS = ("noise_sd", "intensity_change", "bias", "motion")
EXAMPLES = 1 + len(EVENTS)
LAST_EPOCH = 120  # motion, the rarest, is missing from as many samples once in 500 times
AREAS = (0.25, 0.75)  # shares of the slices whose tumours are smaller than those shown
SIDE = 192  # pixels of a picture's longer side: it is shown 1.1 inches wide
WRAP = 22  # letters of a line below a picture
WHITE = 99.8  # percentile of a preprocessed slice that is shown as white


@dataclass(frozen=True, eq=False)
class Example:
    """image (h, w) float32 in about [-1, 1], downsampled from shape (H, W) pixels.

    outlines are in pixels of the whole; white is the grey level shown as white.
    """

    image: NDArray[np.float32]
    outlines: Sequence[NDArray[np.int64]]
    shape: tuple[int, ...]
    white: float


def augmented_figure(slices: SliceSet, recipe: Recipe, landmarks: Landmarks) -> Figure:
    """Show two slices as they are and as some epochs of the thesis's seed would be fed them.

    Epoch 0, and for each change that comes by chance the first later epoch in which it does; the
    outline moves along.
    """
    import torch

    from benchmark.training import augment

    lines: dict[int, list[Example]] = {}
    parameters: list[dict[str, float | bool]] = []
    for i in [by_area(slices, share) for share in AREAS]:
        number, mask = int(slices.slice_id[i]), slices.masks[i : i + 1]
        image = apply(slices.images[i : i + 1], landmarks)
        white = float(np.percentile(image, WHITE))
        lines[number] = [_example(image[0], mask[0], white)]
        pair = torch.from_numpy(image), torch.from_numpy(mask)
        for epoch, table in _epochs(recipe.augmentation, number).items():
            moved = augment.apply(table, *pair, slices.spacing_mm)
            lines[number].append(_example(moved[0].numpy()[0], moved[1].numpy()[0], white))
            parameters.append({"slice_id": number, "epoch": epoch, **_parameters(table)})
    data = pd.DataFrame(parameters)
    caption = (
        f"Slices {' and '.join(map(str, lines))}, whose tumours are larger than {AREAS[0]:.0%} and "
        f"{AREAS[1]:.0%} of all, preprocessed (left) and as some epochs of seed {SEED} are fed "
        f"them (protocol {recipe.name}): epoch 0, and the first later ones with noise, another "
        "intensity, a bias field, and motion. Line: outline of the truth, moved along. Above each: "
        "rotation, factors down and across; every slice is also deformed elastically. Below: what "
        f"chance added; {_chances(recipe.augmentation)}."
    ) + (" Drawn phantoms." if slices.phantom else "")
    examples = "; ".join(
        f"slice {row.slice_id}, epoch {row.epoch}: {_moves(row)}, {_extras(row)}"
        for row in data.itertuples()
    )
    alt = f"Two slices and {EXAMPLES} augmented versions of each. {examples}."
    plot, title = partial(_plot, lines=lines), "Augmented examples"
    return Figure("augmentation", title, caption, alt, data, plot, "9", not slices.phantom)


def _epochs(settings: Augmentation, number: int) -> dict[int, AugmentationTable]:
    """Epoch -> table of a slice: 0, then the first unused one with each event, else the first."""
    from benchmark.training import augment

    numbers = np.array([number], dtype=np.int64)
    tables = {e: augment.sample(settings, SEED, e, numbers) for e in range(LAST_EPOCH + 1)}
    chosen = [0]
    for event in EVENTS:
        unused = [epoch for epoch in tables if epoch not in chosen]
        happens = (epoch for epoch in unused if _parameters(tables[epoch])[event])
        chosen.append(next(happens, unused[0]))
    return {epoch: tables[epoch] for epoch in sorted(chosen)}


def by_area(slices: SliceSet, share: float) -> int:
    """The row of the slice whose tumour's area stands at a share (0 to 1) of all; ties by id."""
    order = np.lexsort((slices.slice_id, slices.masks.sum(axis=(1, 2))))
    return int(order[round((len(order) - 1) * share)])


def _example(image: NDArray[np.float32], mask: Mask, white: float) -> Example:
    return Example(downsampled(image, SIDE), loops(mask), image.shape, white)


def _parameters(table: AugmentationTable) -> dict[str, float | bool]:
    """A table's only row, as numbers that a reader knows; what did not happen is 0 or False."""
    return {
        "rotation_degrees": math.degrees(table.rotation[0]),
        "scale_rows": float(table.scale[0, 0]),
        "scale_columns": float(table.scale[0, 1]),
        "elastic_mm": float(np.abs(table.elastic[0]).max()),
        "noise_sd": float(table.noise_sd[0]),
        "intensity_change": float(table.intensity[0] - 1),
        "intensity_shift": float(table.shift[0]),
        "bias": bool(table.bias[0].any()),
        "motion": bool(table.motion_on[0]),
    }


def _chances(settings: Augmentation) -> str:
    return (
        f"noise (its SD) comes in {settings.noise_p:.0%} of draws, another intensity in "
        f"{settings.intensity_p:.0%}, a bias field in {settings.bias_p:.0%}, motion in "
        f"{settings.motion_p:.0%}"
    )


def _moves(row: Any) -> str:
    return f"{round(row.rotation_degrees):+d}°, ×{row.scale_rows:.2f}, ×{row.scale_columns:.2f}"


def _extras(row: Any) -> str:
    words = [name for name in ("motion", "bias") if getattr(row, name)]
    if row.intensity_change:
        words.append(f"grey {row.intensity_change:+.0%}")
    if row.intensity_shift:
        words.append(f"grey {row.intensity_shift:+.2f}")
    if row.noise_sd:
        words.append(f"noise {row.noise_sd:.2f}")
    return ", ".join(words) or "nothing"


def _plot(data: pd.DataFrame, lines: Mapping[int, Sequence[Example]]) -> Canvas:
    whole, grid = canvas(WIDE, 3.5, len(lines), 1 + EXAMPLES)
    for (number, examples), line in zip(lines.items(), grid, strict=True):
        rows = list(data[data["slice_id"] == number].itertuples())
        heads = [f"slice {number}", *(f"epoch {row.epoch}\n{_moves(row)}" for row in rows)]
        feet = ["as it is", *(textwrap.fill(_extras(row), WRAP) for row in rows)]
        for axes, example, head, foot in zip(line, examples, heads, feet, strict=True):
            extent = (0, example.shape[1], example.shape[0], 0)
            axes.imshow(example.image, cmap="gray", vmin=-1, vmax=example.white, extent=extent)
            outline(axes, example.outlines, {**TRUTH, "linewidth": 0.8})
            axes.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])
            axes.set_title(head, fontsize=SMALL, loc="left")
            axes.set_xlabel(foot, fontsize=SMALL, loc="left")
            axes.spines[:].set_visible(False)
    return whole
