"""Figures about the slices: the thesis's figures 1 to 3, 8 and 9, from the user's own copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.slices import SliceSet
from benchmark.preprocessing.level_table import Levels
from benchmark.preprocessing.nyul import Landmarks, fit_nyul, image_landmarks, tabulate
from benchmark.protocol import Recipe, load_recipe
from benchmark.report import inks
from benchmark.report.figure import WIDE, Canvas, Figure, canvas
from benchmark.report.figures.augmentation import augmented_figure, by_area
from benchmark.report.figures.split import split_figure
from benchmark.report.slices.crop import downsampled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 240  # slices whose histograms are shown: more change neither median nor band, and take time
BINS = 64
BAND = (5, 95)  # percentiles over the slices
SINGLES = (10, 50, 90)  # percentiles of the slices' mean grey level: those shown one by one
STYLES = ((inks.VERMILLION, "--"), (inks.ORANGE, ":"), (inks.GREEN, "-."))
SIDE = 384  # pixels of a picture's longer side: it is shown 3 inches wide
WHOLE, FOREGROUND = "all pixels", "pixels above the slice's mean"
EIGHT_BITS = " The files hold 8-bit levels, each slice stretched to its own range beforehand."


def data_figures(slices: SliceSet) -> list[Figure]:
    """Histograms, one slice, the split and augmentation of slices under the thesis's protocol."""
    recipe = load_recipe("thesis")
    rule = recipe.preprocess
    landmarks = fit_nyul(slices.images, rule.nyul_percentiles, rule.nyul_foreground == "whole")
    return [
        _histograms(slices, recipe, landmarks),
        _one_slice(slices, recipe, landmarks),
        split_figure(slices, recipe),
        augmented_figure(slices, recipe, landmarks),
    ]


@dataclass(frozen=True, eq=False)
class Counts:
    """One slice by grey level (K,): before, ascending; after, in [-1, 1]; pixels that have it."""

    before: NDArray[np.int64]
    after: NDArray[np.float64]
    pixels: NDArray[np.int64]

    def middle(self) -> int:
        """The place of the median among the pixels above the mean."""
        bright = self.before > self.before @ self.pixels / self.pixels.sum()
        own = self.pixels[bright]
        place = np.searchsorted(np.cumsum(own), own.sum() / 2)
        return int(np.flatnonzero(bright)[place])


def _counts(levels: Levels) -> list[Counts]:
    counts = []
    for image, table, low in zip(levels.codes, levels.table, levels.low.tolist(), strict=True):
        pixels = np.bincount((image.astype(np.int64) - low).ravel())
        present = np.flatnonzero(pixels)
        counts.append(Counts(present + low, table[present], pixels[present]))
    return counts


def _histograms(slices: SliceSet, recipe: Recipe, landmarks: Landmarks) -> Figure:
    rows = np.unique(np.linspace(0, len(slices) - 1, min(len(slices), MOST)).round().astype(int))
    names = slices.slice_id[rows].tolist()
    levels = tabulate(slices.images[rows], landmarks)
    counts = _counts(levels)
    order = np.argsort([float(c.before @ c.pixels / c.pixels.sum()) for c in counts], kind="stable")
    singles = [names[order[round((len(order) - 1) * share / 100)]] for share in SINGLES]
    rule = (landmarks.percentiles, landmarks.whole)
    learned = np.stack([image_landmarks(image, *rule) for image in levels.codes])
    top = max(int(c.before[-1]) for c in counts)
    edges = np.linspace(min(int(c.before[0]) for c in counts), top + 1, BINS + 1)
    edges_after = np.linspace(-1, 1, BINS + 1)
    parts = {
        "before": (_middles(edges), np.stack([_shares(c.before, c, edges) for c in counts])),
        "mapping": (np.array(landmarks.values), learned),
        "after": (
            _middles(edges_after),
            np.stack([_shares(c.after, c, edges_after) for c in counts]),
        ),
    }
    data = pd.concat([_summary(n, *part, names, singles) for n, part in parts.items()])
    before = np.ptp(np.percentile([c.before[c.middle()] / top for c in counts], BAND))
    after = np.ptp(np.percentile([(c.after[c.middle()] + 1) / 2 for c in counts], BAND))
    spread = (
        f"The median of a slice's pixels above its mean: {BAND[0]} to {BAND[1]} % of the slices "
        f"lie within {before:.0%} of the range before, and within {after:.0%} after."
    )
    shown = f"{len(rows)} of the {len(slices)} slices, evenly spaced"
    caption = (
        f"Grey levels of {'all slices' if len(rows) == len(slices) else shown}, all pixels, in "
        f"{BINS} bins: median over the slices (line), {BAND[0]} to {BAND[1]} % of them (band), and "
        f"slices {', '.join(map(str, singles))}, whose mean grey stands at {SINGLES[0]}, "
        f"{SINGLES[1]} and {SINGLES[2]} % of all. Left: as stored. Middle: Nyul's mapping, from a "
        f"slice's grey level at {len(landmarks.percentiles)} percentiles of "
        f"{WHOLE if landmarks.whole else FOREGROUND} to the mean "
        f"standard level, learned on all {len(slices)} slices. Right: after the mapping, z-score "
        f"and rescaling to [-1, 1] (protocol {recipe.name}). {spread} Nyul's mapping brings these "
        "medians together; rescaling by each slice's brightest pixel parts them again."
    )
    if slices.images.dtype == np.uint8 and not slices.phantom:
        caption += EIGHT_BITS
    title = "Grey levels before and after preprocessing"
    alt = "Histograms of grey levels before and after preprocessing, with the mapping between them."
    data = data.reset_index(drop=True)
    return Figure("histograms", title, caption, f"{alt} {spread}", data, _plot_histograms, "1-2")


def _middles(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    return (edges[1:] + edges[:-1]) / 2


def _shares(
    levels: NDArray[np.generic], counts: Counts, edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(B,) the percentage of a slice's pixels in each bin, at these levels of its grey levels."""
    pixels = counts.pixels
    shares: NDArray[np.float64] = (
        np.histogram(levels, edges, weights=pixels)[0] / pixels.sum() * 100
    )
    return shares


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
    columns = ({"panel": panel, "series": name, "x": x, "value": v} for name, v in series.items())
    return pd.concat(map(pd.DataFrame, columns))


def _plot_histograms(data: pd.DataFrame) -> Canvas:
    whole, grid = canvas(WIDE, 2.5, 1, 3)
    series = data["series"].unique()  # in their order
    for axes, (name, part) in zip(grid, data.groupby("panel", sort=False), strict=True):
        values = part.pivot(index="x", columns="series", values="value")[series]
        _plot_series(axes, values, turned=name == "mapping")
        axes.set(title="Nyul's mapping" if name == "mapping" else name)
    for axes in (grid[0], grid[2]):
        axes.set(yscale="log", ylim=(0.005, 100), ylabel="pixels (% per bin)")
        axes.set_yticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"])
    grid[0].set(xlabel="grey level as stored")
    grid[1].set(xlabel="grey level as stored", ylabel="standard level")
    grid[2].set(xlabel="grey level, rescaled", xlim=(-1, 1))
    handles, labels = grid[0].get_legend_handles_labels()
    whole.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return whole


def _plot_series(axes: Axes, part: pd.DataFrame, *, turned: bool) -> None:
    """Median, band and single slices; turned: what varies between slices stands on the x axis."""
    x, low, high = part.index.to_numpy(), part[f"{BAND[0]} %"], part[f"{BAND[1]} %"]
    fill = axes.fill_betweenx if turned else axes.fill_between
    label = f"{BAND[0]} to {BAND[1]} % of slices"
    fill(x, low, high, color=inks.SKY, alpha=0.35, linewidth=0, label=label)
    singles = (name for name in part if name.startswith("slice "))
    lines = [("median", inks.INK, "-", 1.6)]
    lines += [(name, *style, 0.9) for name, style in zip(singles, STYLES, strict=False)]
    for name, colour, dashes, width in lines:
        pair = (part[name], x) if turned else (x, part[name])
        axes.plot(*pair, color=colour, linestyle=dashes, linewidth=width, label=name)


def _one_slice(slices: SliceSet, recipe: Recipe, landmarks: Landmarks) -> Figure:
    i = by_area(slices, 0.5)
    number, area = int(slices.slice_id[i]), slices.masks[i].sum() * slices.pixel_mm2
    levels = tabulate(slices.images[i : i + 1], landmarks)
    (counts,) = _counts(levels)
    grey = counts.before
    data = pd.DataFrame({"grey_level": grey, "pixels": counts.pixels, "after": counts.after})
    both = (levels.codes[0], levels.values()[0])
    pictures = [downsampled(image.astype(np.float32), SIDE) for image in both]
    caption = (
        f"Slice {number}, whose tumour ({area:.0f} mm²) has the median area of the {len(slices)} "
        "slices: as stored, and after Nyul's mapping, z-score and rescaling to [-1, 1] (protocol "
        f"{recipe.name}). Each from its least to its greatest grey level; the numbers behind it "
        "are the slice's grey levels before and after."
    ) + (" A drawn phantom." if slices.phantom else "")
    title = "A slice before and after preprocessing"
    alt = f"Slice {number} twice; grey levels {grey[0]} to {grey[-1]} before become -1 to 1 after."
    plot = partial(_plot_slice, pictures=pictures)
    return Figure("slice", title, caption, alt, data, plot, "3", not slices.phantom)


def _plot_slice(data: pd.DataFrame, pictures: Sequence[NDArray[np.float32]]) -> Canvas:
    whole, (left, right) = canvas(5.6, 2.5, 1, 2)
    ends = (data["grey_level"].min(), data["grey_level"].max())
    for axes, picture, (low, high), title, label in (
        (left, pictures[0], ends, "before", "grey level as stored"),
        (right, pictures[1], (-1, 1), "after", "grey level, rescaled"),
    ):
        shown = axes.imshow(picture, cmap="gray", vmin=low, vmax=high)
        axes.set(title=title, xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        whole.colorbar(shown, ax=axes, label=label, shrink=0.83)
    return whole
