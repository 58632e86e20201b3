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

from benchmark.data.slices import SliceSet
from benchmark.preprocessing.nyul import Landmarks, apply
from benchmark.protocol import Augmentation, Recipe
from benchmark.report.figure import WIDE, Figure, canvas
from benchmark.report.slices.contour import loops
from benchmark.report.slices.crop import TRUTH, outline, shrunk

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from benchmark.training.augment import AugmentationTable

SEED = 452669  # the one seed that the thesis names
EVENTS = ("noise_sd", "intensity_change", "bias", "motion")
EXAMPLES = 1 + len(EVENTS)
LAST_EPOCH = 120  # motion, the rarest, is missing from as many draws once in 500 times
AREAS = (0.25, 0.75)  # shares of the slices whose tumours are smaller than those shown
SIDE = 192  # pixels of a picture's longer side: it is drawn 1.1 inches wide
WRAP = 22  # letters of a line below a picture
WHITE = 99.8  # percentile of a preprocessed slice that is shown as white


@dataclass(frozen=True, eq=False)
class Example:
    """image (h, w) float32 in about [-1, 1], shrunk from height x width pixels; outlines in the
    pixels of the whole.
    """

    image: NDArray[np.float32]
    outlines: Sequence[NDArray[np.int64]]
    height: int
    width: int
    white: float


def augmented_figure(slices: SliceSet, recipe: Recipe, landmarks: Landmarks) -> Figure:
    """Draw two slices as they are and as some epochs of the thesis's seed would be fed them, the
    outline moved along.

    Epoch 0, and for each change that comes by chance the first later epoch in which it does.
    """
    import torch

    from benchmark.training import augment

    lines: dict[int, list[Example]] = {}
    words: list[dict[str, float | bool]] = []
    for i in [by_area(slices, share) for share in AREAS]:
        number, image, mask = (
            int(slices.slice_id[i]),
            apply(slices.images[i : i + 1], landmarks),
            slices.masks[i : i + 1],
        )
        white = float(np.percentile(image, WHITE))
        lines[number] = [_example(image[0], mask[0], white)]
        for epoch, table in _epochs(recipe.augmentation, number).items():
            moved = augment.apply(
                table, torch.from_numpy(image), torch.from_numpy(mask), slices.spacing_mm
            )
            lines[number].append(_example(moved[0].numpy()[0], moved[1].numpy()[0], white))
            words.append({"slice_id": number, "epoch": epoch, **_drawn(table)})
    data = pd.DataFrame(words)
    caption = (
        f"Slices {' and '.join(map(str, lines))}, whose tumours are larger than {AREAS[0]:.0%} and {AREAS[1]:.0%} of "
        f"all, preprocessed (left) and as some epochs of seed {SEED} are fed them (protocol {recipe.name}): epoch 0, "
        "and the first later ones with noise, another intensity, a bias field, and motion. Line: outline of the truth, "
        "moved along. Above each: rotation, factors down and across; every slice is also deformed elastically. Below: "
        f"what chance added; {_chances(recipe.augmentation)}."
    )
    told = "; ".join(
        f"slice {row.slice_id}, epoch {row.epoch}: {_moves(row)}, {_extras(row)}"
        for row in data.itertuples()
    )
    return Figure(
        "augmentation",
        "Augmented examples",
        caption + (" Drawn phantoms." if slices.phantom else ""),
        f"Two slices and {EXAMPLES} augmented versions of each. {told}.",
        data,
        partial(_draw, lines=lines),
        "9",
        not slices.phantom,
    )


def _epochs(settings: Augmentation, number: int) -> dict[int, AugmentationTable]:
    """Epoch -> the table of a slice: epoch 0, then the first unused one with each event, else the
    first unused.
    """
    from benchmark.training import augment

    tables = {
        e: augment.sample(settings, SEED, e, np.array([number], dtype=np.int64))
        for e in range(LAST_EPOCH + 1)
    }
    chosen = [0]
    for event in EVENTS:
        unused = [epoch for epoch in tables if epoch not in chosen]
        chosen.append(next((epoch for epoch in unused if _drawn(tables[epoch])[event]), unused[0]))
    return {epoch: tables[epoch] for epoch in sorted(chosen)}


def by_area(slices: SliceSet, share: float) -> int:
    """The place in the set of the slice whose tumour's area stands at a share (0 to 1) of all; ties
    by slice number.
    """
    areas = slices.masks.sum(axis=(1, 2))
    order = np.lexsort((slices.slice_id, areas))
    return int(order[round((len(order) - 1) * share)])


def _example(image: NDArray[np.float32], mask: NDArray[np.bool_], white: float) -> Example:
    return Example(shrunk(image, SIDE), loops(mask), image.shape[0], image.shape[1], white)


def _drawn(table: AugmentationTable) -> dict[str, float | bool]:
    """The only row of a table of parameters, as numbers that a reader knows; what did not happen is
    0 or False.
    """
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
        f"noise (its SD) comes in {settings.noise_p:.0%} of draws, another intensity in {settings.intensity_p:.0%}, a "
        f"bias field in {settings.bias_p:.0%}, motion in {settings.motion_p:.0%}"
    )


def _moves(row: Any) -> str:
    return f"{round(row.rotation_degrees):+d}°, ×{row.scale_rows:.2f}, ×{row.scale_columns:.2f}"


def _extras(row: Any) -> str:
    found = [name for name in ("motion", "bias") if getattr(row, name)]
    if row.intensity_change:
        found.append(f"grey {row.intensity_change:+.0%}")
    if row.intensity_shift:
        found.append(f"grey {row.intensity_shift:+.2f}")
    if row.noise_sd:
        found.append(f"noise {row.noise_sd:.2f}")
    return ", ".join(found) or "nothing"


def _draw(data: pd.DataFrame, lines: Mapping[int, Sequence[Example]]) -> Canvas:
    drawn, axes = canvas(WIDE, 3.5, len(lines), 1 + EXAMPLES)
    for (number, examples), line in zip(lines.items(), axes, strict=True):
        rows = list(data[data["slice_id"] == number].itertuples())
        heads = [f"slice {number}", *(f"epoch {row.epoch}\n{_moves(row)}" for row in rows)]
        feet = ["as it is", *(textwrap.fill(_extras(row), WRAP) for row in rows)]
        for one, example, head, foot in zip(line, examples, heads, feet, strict=True):
            extent = (0, example.width, example.height, 0)
            one.imshow(example.image, cmap="gray", vmin=-1, vmax=example.white, extent=extent)
            outline(one, example.outlines, {**TRUTH, "linewidth": 0.8})
            one.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])
            one.set_title(head, fontsize=6.5, loc="left")
            one.set_xlabel(foot, fontsize=6.5, loc="left")
            one.spines[:].set_visible(False)
    return drawn
