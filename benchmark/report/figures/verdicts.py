"""The verdicts drawn: headline numbers with their intervals, patients by both splits, arms against
the reference.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.judge.cells import Panel, cell_name, data_of, protocol_of
from benchmark.judge.comparisons.arms import arms_table, pairwise_comparisons
from benchmark.judge.comparisons.headline import headline
from benchmark.judge.comparisons.runs import CLICK
from benchmark.judge.comparisons.split_effect import SplitEffect
from benchmark.judge.judgement import Judgement
from benchmark.judge.reference import DATASETS
from benchmark.report.figure import (
    BLUE,
    COLUMN,
    GRID,
    INK,
    MUTED,
    VERMILLION,
    WIDE,
    Figure,
    canvas,
    counted,
    slugged,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

COLOURS = {"image": BLUE, "patient": VERMILLION}
MARKERS = {"image": "o", "patient": "D"}


def verdict_figures(found: Judgement) -> list[Figure]:
    """The thesis's number beside ours, and what is left of it by patient."""
    real = [leak for leak in found.leaks if not leak.image.runs["phantom"].iloc[0]]
    return [*_headline(found), *[figure for leak in real or found.leaks for figure in _leak(leak)]]


def _headline(found: Judgement) -> list[Figure]:
    data = headline(found.collected, found.reference, found.tolerances).numbers
    ours = data[data["what"] == "ours"]
    if ours.empty:
        return []
    cell, level = found.reference.best_cell, found.tolerances.leak.level
    name = cell_name(cell.arm, cell.kernel_size, cell.alpha)
    caption = (
        f"Mean test Dice of {name}; the {level:.0%} intervals say where it would lie with new patients, training sets "
        f"and seeds. Line: {cell.dice_mean:g}, the thesis's printed mean of {cell.seeds} trainings on one split by "
        "image. Rows of different image size or precision are different experiments."
    )
    told = "; ".join(
        f"{name}: {_told(r)}" for name, r in zip(_names(ours), ours.to_dict("records"), strict=True)
    )
    alt = f"The thesis prints {cell.dice_mean:g}. Ours: {told}."
    draw = partial(_draw_headline, printed=cell.dice_mean)
    return [Figure("headline", "The thesis's number and ours", caption, alt, data, draw)]


def _told(row: dict[str, object]) -> str:
    interval = f" [{row['low']:.3f}, {row['high']:.3f}]" if pd.notna(row["low"]) else ""
    return f"{row['dice']:.3f}{interval}"


def _names(ours: pd.DataFrame) -> list[str]:
    """By image, 512x512, fp32; with the protocol where that is not the first of these."""
    again = ours.duplicated(["split", "size", "precision"], keep=False)
    return [
        f"by {row.split}, {row.size}, {row.precision}"
        + (f", protocol {row.protocol}" if twice else "")
        for row, twice in zip(ours.itertuples(), again, strict=True)
    ]


def _draw_headline(data: pd.DataFrame, printed: float) -> Canvas:
    rows = data[data["what"] == "ours"]
    ours, names = rows.to_dict("records"), _names(rows)
    drawn, axes = canvas(WIDE, 0.75 + 0.36 * len(ours))
    axes.axvline(printed, color=MUTED, linewidth=1, linestyle="--", zorder=0)
    for y, row in enumerate(ours):
        style = {"color": COLOURS[row["split"]], "marker": MARKERS[row["split"]], "markersize": 5}
        if pd.notna(row["low"]):
            axes.plot([row["low"], row["high"]], [y, y], color=style["color"], linewidth=2)
        axes.plot(row["dice"], y, linestyle="none", **style)
        axes.annotate(
            _told(row),
            (1.01, y),
            xycoords=("axes fraction", "data"),
            va="center",
            annotation_clip=False,
        )
    labels = [
        f"{name}\n{counted(row['trainings'], 'training')}, {counted(row['slices'], 'slice')}"
        for name, row in zip(names, ours, strict=True)
    ]
    axes.set_yticks(range(len(ours)), labels)
    axes.set(ylim=(len(ours) - 0.5, -0.7), xlabel="mean test Dice")
    axes.annotate(f"thesis {printed:g}", (printed, -0.62), ha="center", va="center", fontsize=7)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.4, alpha=0.6)
    return drawn


def _leak(leak: SplitEffect) -> list[Figure]:
    """One dot a patient: mean Dice when they could be trained on, against when they could not."""
    first = leak.image.runs.iloc[0]
    keys, names = ["patient_id", "slice_id"], ("by_image", "by_patient")
    sides = [
        cell.rows.groupby(keys)["dice"].mean().rename(name)
        for cell, name in zip((leak.image, leak.patient), names, strict=True)
    ]
    by_slice = pd.concat(sides, axis=1, join="inner")
    if by_slice.empty:
        return []
    data = by_slice.groupby("patient_id").agg(by_image=("by_image", "mean"), by_patient=("by_patient", "mean"),
                                              slices=("by_image", "size")).reset_index()  # fmt: skip
    size = f"{first['height']}x{first['width']}"
    worse = int((data["by_patient"] < data["by_image"]).sum())
    caption = (
        f"{leak.image.name}, {data_of(first)}, {size}, {first['precision']}, protocols {protocol_of(leak.image.runs)} "
        f"and {protocol_of(leak.patient.runs)}: one dot a patient, larger for more slices; mean Dice over "
        f"the same {leak.slices} slices, tested by image (the patient's other slices were mostly trained on) and by "
        "patient (none was)."
    )
    alt = f"{worse} of {len(data)} patients have a lower mean Dice by patient than by image."
    data_name = data_of(first)
    own = [] if data_name in DATASETS else [data_name]
    slug = slugged("patients", *own, leak.image.name, size, first["precision"])
    title = f"By image against by patient, patient by patient{', ' if own else ''}{', '.join(own)}"
    return [Figure(slug, title, caption, alt, data, _draw_leak)]


def _draw_leak(data: pd.DataFrame) -> Canvas:
    drawn, axes = canvas(COLUMN, 3.2)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle="--")
    axes.scatter(
        data["by_image"],
        data["by_patient"],
        s=4 + 2.2 * data["slices"],
        color=BLUE,
        alpha=0.55,
        linewidths=0,
    )
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
        xlabel="mean Dice of a patient, by image",
        ylabel="by patient",
    )
    axes.annotate("lower by patient", (0.97, 0.06), ha="right", fontsize=7)
    return drawn


def duel_figures(panel: Panel, found: Judgement) -> list[Figure]:
    """Arms against the reference cell, where it met another under the same terms."""
    rule = found.tolerances.contrasts
    rows = pairwise_comparisons(panel, rule)
    data = (
        arms_table(panel, rows, rule).numbers if len(rows) > 1 else pd.DataFrame({"difference": []})
    )
    data = data[data["difference"].notna()].reset_index(drop=True)
    if data.empty:
        return []
    key = rule.reference
    name = cell_name(key.arm, key.kernel_size, key.alpha)
    caption = (
        f"Mean test Dice minus that of {name}, on the splits of both, slice by slice, with {rule.level:.0%} intervals "
        "(patients are the unit, variation between seeds included; not corrected for the number of arms). Filled: "
        f"different after Holm's correction. {CLICK}: was given a click in the tumour, and is not ranked."
    )
    told = "; ".join(
        f"{r['arm']}: {r['difference']:+.3f}, {r['standing']}" for r in data.to_dict("records")
    )
    return [
        Figure("arms", "Arms against the reference cell", caption, f"{told}.", data, _draw_duels)
    ]


def _draw_duels(data: pd.DataFrame) -> Canvas:
    drawn, axes = canvas(WIDE, 0.6 + 0.24 * len(data))
    axes.axvline(0, color=MUTED, linewidth=0.9, linestyle="--", zorder=0)
    for y, row in enumerate(data.to_dict("records")):
        colour = VERMILLION if row["click"] else BLUE
        axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.8)
        face = colour if row["standing"] in ("better", "worse") else "none"
        axes.plot(
            row["difference"],
            y,
            marker="s" if row["click"] else "o",
            color=colour,
            markerfacecolor=face,
            markersize=5,
        )
    names = [
        f"{row['arm']} {CLICK}" if row["click"] else row["arm"] for row in data.to_dict("records")
    ]
    axes.set_yticks(range(len(data)), names)
    axes.set(ylim=(len(data) - 0.5, -0.5), xlabel="difference of mean Dice")
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(axis="x", color=GRID, linewidth=0.4, alpha=0.6)
    return drawn
