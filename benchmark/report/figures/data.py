"""Figures about the slices themselves: the thesis's figures 1 to 3, 8 and 9, from the user's own
copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.slices import SliceSet
from benchmark.preprocessing.level_table import Levels
from benchmark.preprocessing.nyul import Landmarks, fit_nyul, image_landmarks, tabulate
from benchmark.protocol import Recipe, load_recipe
from benchmark.report.figure import GREEN, INK, ORANGE, SKY, VERMILLION, WIDE, Figure, canvas
from benchmark.report.figures.augmentation import augmented_figure, by_area
from benchmark.report.figures.split import split_figure
from benchmark.report.slices.crop import shrunk

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

MOST = 240  # slices whose histograms are drawn: more change neither median nor band, and take time
BINS = 64
BAND = (5, 95)  # percentiles over the slices
SINGLES = (10, 50, 90)  # percentiles of the slices' mean grey level: those drawn one by one
STYLES = ((VERMILLION, "--"), (ORANGE, ":"), (GREEN, "-."))
SIDE = 384  # pixels of a picture's longer side: it is drawn 3 inches wide
EIGHT_BITS = " The files hold 8-bit levels, each slice stretched to its own range beforehand."


def data_figures(slices: SliceSet) -> list[Figure]:
    """Return the figures of slices under the thesis's protocol: histograms, one slice, the split,
    augmentation.
    """
    recipe = load_recipe("thesis")
    rule = recipe.preprocess
    landmarks = fit_nyul(slices.images, rule.nyul_percentiles, rule.nyul_foreground == "whole")
    return [
        _histograms(slices, recipe, landmarks),
        _one_slice(slices, recipe, landmarks),
        split_figure(slices, recipe),
        augmented_figure(slices, recipe, landmarks),
    ]


def _histograms(slices: SliceSet, recipe: Recipe, landmarks: Landmarks) -> Figure:
    rows = np.unique(np.linspace(0, len(slices) - 1, min(len(slices), MOST)).round().astype(int))
    names = slices.slice_id[rows].tolist()
    levels = tabulate(slices.images[rows], landmarks)
    counts = _counts(levels)
    before, after = _shares(levels, counts)
    grey = [float(k @ n / n.sum()) for k, n in counts]
    singles = [
        names[i]
        for i in np.argsort(grey, kind="stable")[
            [round((len(grey) - 1) * s / 100) for s in SINGLES]
        ]
    ]
    lands = np.stack(
        [image_landmarks(image, landmarks.percentiles, landmarks.whole) for image in levels.codes]
    )
    data = pd.concat(
        [
            _summary("before", *before, names, singles),
            _summary("mapping", np.array(landmarks.values), lands, names, singles),
            _summary("after", *after, names, singles),
        ],
        ignore_index=True,
    )
    where = "pixels above the slice's mean" if not landmarks.whole else "all pixels"
    drawn = (
        "all slices"
        if len(rows) == len(slices)
        else f"{len(rows)} of the {len(slices)} slices, evenly spaced"
    )
    chosen = ", ".join(map(str, singles))
    spread = [
        np.ptp(np.percentile(_medians(levels, counts, after), BAND)) for after in (False, True)
    ]
    told = (
        f"The median of a slice's pixels above its mean: {BAND[0]} to {BAND[1]} % of the slices lie within "
        f"{spread[0]:.0%} of the range before, and within {spread[1]:.0%} after."
    )
    caption = (
        f"Grey levels of {drawn}, all pixels, in {BINS} bins: median over the slices (line), {BAND[0]} to {BAND[1]} % "
        f"of them (band), and slices {chosen}, whose mean grey stands at {SINGLES[0]}, {SINGLES[1]} and {SINGLES[2]} % "
        f"of all. Left: as stored. Middle: Nyul's mapping, from a slice's grey level at {len(landmarks.percentiles)} "
        f"percentiles of {where} to the mean standard level, learned on all {len(slices)} slices. Right: after the "
        f"mapping, z-score and rescaling to [-1, 1] (protocol {recipe.name}). {told} "
        "Nyul's mapping brings these medians together; rescaling by each slice's brightest pixel parts them again."
    )
    if slices.images.dtype == np.uint8 and not slices.phantom:
        caption += EIGHT_BITS
    alt = f"Histograms of grey levels before and after preprocessing, with the mapping between them. {told}"
    return Figure(
        "histograms",
        "Grey levels before and after preprocessing",
        caption,
        alt,
        data,
        _draw_histograms,
        "1-2",
    )


def _counts(levels: Levels) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Of each slice its grey levels and how many pixels have them."""
    found = []
    for image, low in zip(levels.codes, levels.low.tolist(), strict=True):
        pixels = np.bincount((image.astype(np.int64) - low).ravel())
        present = np.flatnonzero(pixels)
        found.append((present + low, pixels[present]))
    return found


def _shares(
    levels: Levels, counts: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Before and after: middles of the bins (B,), and the percentage of each slice's pixels in them
    (N, B).
    """
    low, high = min(int(k[0]) for k, _ in counts), max(int(k[-1]) for k, _ in counts)
    edges = [np.linspace(low, high + 1, BINS + 1), np.linspace(-1, 1, BINS + 1)]
    shares: list[list[NDArray[np.float64]]] = [[], []]
    for (k, pixels), table, first in zip(counts, levels.table, levels.low.tolist(), strict=True):
        for values, bins, found in zip((k, table[k - first]), edges, shares, strict=True):
            found.append(np.histogram(values, bins, weights=pixels)[0] / pixels.sum() * 100)
    return [
        ((bins[1:] + bins[:-1]) / 2, np.stack(found))
        for bins, found in zip(edges, shares, strict=True)
    ]


def _medians(
    levels: Levels, counts: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], after: bool
) -> NDArray[np.float64]:
    """(N,) the median grey level of each slice's pixels above its mean, as a share of the range, 0
    to 1.
    """
    top, found = max(int(k[-1]) for k, _ in counts), []
    for (k, pixels), table, first in zip(counts, levels.table, levels.low.tolist(), strict=True):
        bright = k > k @ pixels / pixels.sum()
        middle = k[bright][np.searchsorted(np.cumsum(pixels[bright]), pixels[bright].sum() / 2)]
        found.append((table[middle - first] + 1) / 2 if after else middle / top)
    return np.array(found)


def _summary(
    panel: str,
    x: NDArray[np.float64],
    rows: NDArray[np.float64],
    names: Sequence[int],
    singles: Sequence[int],
) -> pd.DataFrame:
    """(N, B) values by slice as long rows: panel, series, x, value."""
    low, middle, high = np.percentile(rows, (BAND[0], 50, BAND[1]), axis=0)
    series = {"median": middle, f"{BAND[0]} %": low, f"{BAND[1]} %": high}
    series |= {f"slice {number}": rows[list(names).index(number)] for number in singles}
    parts = [
        pd.DataFrame({"panel": panel, "series": name, "x": x, "value": v})
        for name, v in series.items()
    ]
    return pd.concat(parts)


def _draw_histograms(data: pd.DataFrame) -> Canvas:
    drawn, axes = canvas(WIDE, 2.5, 1, 3)
    series = data["series"].unique()  # in their order
    for one, name in zip(axes, ("before", "mapping", "after"), strict=True):
        part = data[data["panel"] == name].pivot(index="x", columns="series", values="value")[
            series
        ]
        _draw_series(one, part, turned=name == "mapping")
    for one in (axes[0], axes[2]):
        one.set(yscale="log", ylim=(0.005, 100), ylabel="pixels (% per bin)")
        one.set_yticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"])
    axes[0].set(title="before", xlabel="grey level as stored")
    axes[1].set(title="Nyul's mapping", xlabel="grey level as stored", ylabel="standard level")
    axes[2].set(title="after", xlabel="grey level, rescaled", xlim=(-1, 1))
    handles, labels = axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return drawn


def _draw_series(axes: Axes, part: pd.DataFrame, *, turned: bool) -> None:
    """Median, band and single slices; turned: what varies between slices stands on the x axis."""
    x, low, high = part.index.to_numpy(), part[f"{BAND[0]} %"], part[f"{BAND[1]} %"]
    fill = axes.fill_betweenx if turned else axes.fill_between
    fill(
        x,
        low,
        high,
        color=SKY,
        alpha=0.35,
        linewidth=0,
        label=f"{BAND[0]} to {BAND[1]} % of slices",
    )
    lines = [("median", INK, "-", 1.6)]
    lines += [(n, *STYLES[i], 0.9) for i, n in enumerate(c for c in part if c.startswith("slice "))]
    for name, colour, dashes, width in lines:
        pair = (part[name], x) if turned else (x, part[name])
        axes.plot(*pair, color=colour, linestyle=dashes, linewidth=width, label=name)


def _one_slice(slices: SliceSet, recipe: Recipe, landmarks: Landmarks) -> Figure:
    i = by_area(slices, 0.5)
    number, area = int(slices.slice_id[i]), int(slices.masks[i].sum()) * slices.pixel_mm2
    levels = tabulate(slices.images[i : i + 1], landmarks)
    ((grey, pixels),) = _counts(levels)
    data = pd.DataFrame(
        {"grey_level": grey, "pixels": pixels, "after": levels.table[0, grey - levels.low[0]]}
    )
    pictures = [
        shrunk(image.astype(np.float32), SIDE) for image in (levels.codes[0], levels.values()[0])
    ]
    caption = (
        f"Slice {number}, whose tumour ({area:.0f} mm²) has the median area of the {len(slices)} slices: as stored, "
        f"and after Nyul's mapping, z-score and rescaling to [-1, 1] (protocol {recipe.name}). Each from its least to "
        "its greatest grey level; the numbers behind it are the slice's grey levels before and after."
    )
    if slices.phantom:
        caption += " A drawn phantom."
    alt = f"Slice {number} twice; grey levels {grey[0]} to {grey[-1]} before become -1 to 1 after."
    draw = partial(_draw_slice, pictures=pictures)
    return Figure(
        "slice",
        "A slice before and after preprocessing",
        caption,
        alt,
        data,
        draw,
        "3",
        not slices.phantom,
    )


def _draw_slice(data: pd.DataFrame, pictures: Sequence[NDArray[np.float32]]) -> Canvas:
    drawn, axes = canvas(5.6, 2.5, 1, 2)
    ends = [(data["grey_level"].min(), data["grey_level"].max()), (-1, 1)]
    words = [("before", "grey level as stored"), ("after", "grey level, rescaled")]
    for one, picture, (low, high), (title, label) in zip(axes, pictures, ends, words, strict=True):
        shown = one.imshow(picture, cmap="gray", vmin=low, vmax=high)
        one.set(title=title, xticks=[], yticks=[])
        one.spines[:].set_visible(False)
        drawn.colorbar(shown, ax=one, label=label, shrink=0.83)
    return drawn
