"""Kernels against alphas in colour, with a number and a count in every cell; a cell that was not
run stays empty.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.judge.reference import Reference
from benchmark.report.figure import GRID, SEQUENTIAL, VERMILLION, WIDE, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

UNKNOWN = "\N{EN DASH}"


def heat_map(
    reference: Reference, unit: str, text: Callable[[float], str], printed: float | None = None
) -> Callable[[pd.DataFrame], Canvas]:
    """Return what draws a table of kernel_size, alpha, value and trainings, one row per cell that
    was run.

    A value of NaN is a cell that was run, of which the value cannot be told (a variance needs two
    seeds). unit names the colour bar; text turns a value into its digits; printed is the thesis's
    own number for its best cell, ringed and written beneath. Nothing is interpolated.
    """
    return partial(_draw, reference=reference, unit=unit, text=text, printed=printed)


def _draw(
    data: pd.DataFrame,
    reference: Reference,
    unit: str,
    text: Callable[[float], str],
    printed: float | None,
) -> Canvas:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    kernels, alphas = reference.kernels, reference.alphas
    known = data["value"].dropna()
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if high - low < 1e-12:
        low, high = low - abs(low) * 0.05 - 1e-6, high + abs(high) * 0.05 + 1e-6
    colours = ScalarMappable(Normalize(low, high), SEQUENTIAL)
    drawn, axes = canvas(WIDE, 2.9)
    found = {(row["kernel_size"], round(row["alpha"], 9)): row for row in data.to_dict("records")}
    best = (reference.best_cell.kernel_size, reference.best_cell.alpha)
    for y, kernel in enumerate(kernels):
        for x, alpha in enumerate(alphas):
            corner, row = (x - 0.5, y - 0.5), found.get((kernel, round(alpha, 9)))
            value = float("nan") if row is None else row["value"]
            lines, ink = _words(row, text), None
            if value == value:
                colour: Any = colours.to_rgba(np.asarray(value))
                ink = ink_on(tuple(colour[:3]))
                axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="none"))
            else:
                hatch = "///" if row is None else None
                axes.add_patch(
                    Rectangle(corner, 1, 1, fill=False, hatch=hatch, edgecolor=GRID, linewidth=0)
                )
            if printed is not None and (kernel, alpha) == best:
                ring: dict[str, Any] = {
                    "fill": False,
                    "edgecolor": VERMILLION,
                    "linewidth": 2.2,
                    "zorder": 3,
                }
                axes.add_patch(Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, **ring))
                lines = [*lines, f"thesis {printed:g}"]
            _write(axes, x, y, lines, ink)
    axes.set(xlim=(-0.5, len(alphas) - 0.5), ylim=(len(kernels) - 0.5, -0.5))
    axes.set_xticks(range(len(alphas)), [f"{alpha:g}" for alpha in alphas])
    axes.set_yticks(range(len(kernels)), [f"{kernel}x{kernel}" for kernel in kernels])
    axes.set(xlabel="alpha (weight of false negatives)", ylabel="kernel, pixels")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if known.nunique() > 1:
        bar = drawn.colorbar(
            colours, ax=axes, label=unit, fraction=0.03, pad=0.01, format=lambda x, _: text(x)
        )
        bar.outline.set_visible(False)
    return drawn


def ink_on(rgb: tuple[float, float, float]) -> str:
    """Black or white, whichever stands out more from an sRGB colour (each 0 to 1): at least 4.58 :
    1.

    Contrast and relative luminance are WCAG 2.2's; white and black are equally far from a luminance
    of 0.179.
    """
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb)
    return "#000000" if 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 else "#ffffff"


def _words(row: dict[Any, Any] | None, text: Callable[[float], str]) -> list[str]:
    if row is None:
        return ["not run"]
    return [
        text(row["value"]) if row["value"] == row["value"] else UNKNOWN,
        f"n = {row['trainings']}",
    ]


def _write(axes: Any, x: int, y: int, lines: list[str], ink: str | None) -> None:
    """The first line larger than those beneath; without an ink of its own in the page's."""
    colour = {} if ink is None else {"color": ink}
    for i, line in enumerate(lines):
        size = 8 if i == 0 and len(lines) > 1 else 6.5
        axes.text(
            x,
            y + (i - (len(lines) - 1) / 2) * 0.27,
            line,
            ha="center",
            va="center",
            fontsize=size,
            **colour,
        )
