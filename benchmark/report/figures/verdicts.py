"""Headline numbers with intervals, patients by both splits, arms against the reference."""

from __future__ import annotations

from functools import partial

import pandas as pd

from benchmark.judge.cells import cell_name, data_of, protocol_of, size_of
from benchmark.judge.comparisons.headline import headline
from benchmark.judge.comparisons.runs import CLICK, named
from benchmark.judge.comparisons.split_effect import SplitEffect
from benchmark.judge.comparisons.two_readers import estimated
from benchmark.judge.judgement import Judgement
from benchmark.judge.reference import DATASETS, ContrastRule
from benchmark.judge.statistics.prediction_interval import Question
from benchmark.judge.tables import Table
from benchmark.judge.verdicts import VerdictRow
from benchmark.report import inks
from benchmark.report.figure import COLUMN, WIDE, Canvas, Figure, canvas, counted, slugged

COLOURS = {"image": inks.BLUE, "patient": inks.VERMILLION}
MARKERS = {"image": "o", "patient": "D"}
READERS = "Two readers"


def verdict_figures(judgement: Judgement) -> list[Figure]:
    """The thesis's number beside ours, and what is left of it by patient."""
    return [*headline_figures(judgement), *patient_figures(judgement)]


def headline_figures(judgement: Judgement) -> list[Figure]:
    """The thesis's number beside ours, and where another mean would lie; none where there is no run
    of it.
    """
    reference, tolerances = judgement.reference, judgement.tolerances
    data = headline(judgement.collected, reference, tolerances).numbers
    ours = data[data["what"] == "ours"]
    if ours.empty:
        return []
    cell, level = reference.best_cell, tolerances.split_effect.level
    another, readers = _another(judgement.printed.dice), _readers(judgement)
    more = [part for part in (another, readers) if len(part)]
    if more:  # as objects, for whole numbers stay whole beside rows that have none
        data = pd.concat([part.astype(object) for part in (data, *more)], ignore_index=True)
    caption = (
        f"Mean test Dice of {cell_name(cell.arm, cell.kernel_size, cell.alpha)}; the {level:.0%} "
        "intervals say where it would lie with new patients and seeds, and with new training "
        "sets where there are several draws. "
    )
    if len(another):
        caption += (
            f"First row: where another mean of {cell.seeds} trainings would lie, on another random "
            "split of the same slices (band; it decides the verdict) and on other patients (thin). "
        )
    caption += (
        f"Line: {cell.dice_mean:g}, the thesis's printed mean of {cell.seeds} trainings on one "
        "split by image. Rows of different image size or precision are different experiments."
    )
    for row in readers.to_dict("records"):
        caption += (
            f" Dotted: two readers agree at {row['dice']:.3f} [{row['low']:.3f}, "
            f"{row['high']:.3f}], over {row['slices']} slices; who drew the second reading, and "
            "whether they saw the first, is not known."
        )
    rows = zip(_names(ours), ours.to_dict("records"), strict=True)
    dice = "; ".join(f"{name}: {_dice(row)}" for name, row in rows)
    beside = "".join(
        f" {row['what']}: {_dice(row)}." for part in more for row in part.to_dict("records")
    )
    alt = f"The thesis prints {cell.dice_mean:g}. Ours: {dice}.{beside}"
    plot = partial(_plot_headline, printed=cell.dice_mean)
    return [Figure("headline", "The thesis's number and ours", caption, alt, data, plot)]


def _another(row: VerdictRow) -> pd.DataFrame:
    """Where another mean would lie, by question; no rows where there is no interval."""
    if row.ours is None or row.half_width is None or row.other_patients is None:
        return pd.DataFrame()
    widths = (row.half_width, row.other_patients)
    return pd.DataFrame(
        {
            "what": [f"Another mean, {question}" for question in Question],
            "split": "image",
            "dice": row.ours,
            "low": [row.ours - half for half in widths],
            "high": [row.ours + half for half in widths],
        }
    )


def _readers(judgement: Judgement) -> pd.DataFrame:
    """How well two readers agree; no rows where no run is of slices that were read twice."""
    if judgement.second is None or not judgement.against_reader:
        return pd.DataFrame()
    found = estimated(judgement.second.scores)
    if found is None:
        return pd.DataFrame()
    low, high = found.interval(judgement.tolerances.second_reader.level)
    scores = judgement.second.scores
    counts = {"slices": len(scores), "patients": scores["patient_id"].nunique()}
    return pd.DataFrame(
        [{"what": READERS, **counts, "dice": found.value, "low": low, "high": high}]
    )


def _dice(row: dict[str, object]) -> str:
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


def _plot_headline(data: pd.DataFrame, printed: float) -> Canvas:
    ours, another = data[data["what"] == "ours"], data[data["what"].str.startswith("Another mean")]
    rows, labels, first = ours.to_dict("records"), [], -int(len(another) > 0)
    whole, axes = canvas(WIDE, 0.75 + 0.36 * (len(rows) - first))
    ends = [len(rows) - 0.5, first - 0.45]  # up to where its label stands
    axes.plot([printed] * 2, ends, color=inks.MUTED, linewidth=1, linestyle="--", zorder=0)
    marks = {f"thesis {printed:g}": printed}
    for mark in data.loc[data["what"] == READERS, "dice"]:
        axes.plot([mark] * 2, ends, color=inks.MUTED, linewidth=1.4, linestyle=":", zorder=0)
        marks[f"two readers {mark:.3f}"] = mark
    beside = {"xycoords": ("axes fraction", "data"), "va": "center", "annotation_clip": False}
    styles: tuple[dict[str, float], ...] = ({"linewidth": 8, "alpha": 0.35}, {"linewidth": 1})
    for row, style in zip(another.to_dict("records"), styles, strict=False):
        ends = [row["low"], row["high"]]
        axes.plot(ends, [first, first], color=inks.BLUE, solid_capstyle="butt", **style)
    if len(another):
        band = another.iloc[0]
        axes.annotate(f"[{band['low']:.3f}, {band['high']:.3f}]", (1.01, first), **beside)
        labels.append("another mean: same slices (band),\nother patients (thin)")
    for y, (row, name) in enumerate(zip(rows, _names(ours), strict=True)):
        colour, marker = COLOURS[row["split"]], MARKERS[row["split"]]
        if pd.notna(row["low"]):
            axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2)
        axes.plot(row["dice"], y, linestyle="none", color=colour, marker=marker, markersize=5)
        axes.annotate(_dice(row), (1.01, y), **beside)
        n = f"{counted(row['trainings'], 'training')}, {counted(row['slices'], 'slice')}"
        labels.append(f"{name}\n{n}")
    axes.set_yticks(range(first, len(rows)), labels)
    axes.set(ylim=(len(rows) - 0.5, first - 0.7), xlabel="mean test Dice")
    sides = ["center"] if len(marks) == 1 else ["right", "left"]  # the lower stands left
    for (text, mark), side in zip(sorted(marks.items(), key=lambda m: m[1]), sides, strict=True):
        axes.annotate(text, (mark, first - 0.62), ha=side, va="center", fontsize=7)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=inks.GRID, linewidth=0.4, alpha=0.6)
    return whole


def patient_figures(judgement: Judgement) -> list[Figure]:
    """By image against by patient, of real slices where there are any."""
    effects = judgement.split_effects_nearest_first or judgement.split_effects
    return [figure for effect in effects for figure in _split_effect(effect)]


def _split_effect(effect: SplitEffect) -> list[Figure]:
    """One dot a patient: mean Dice when they could be trained on, against when they could not."""
    first, cell, other = effect.image.runs.iloc[0], effect.image, effect.patient
    dice = [
        part.rows.groupby(["patient_id", "slice_id"])["dice"].mean().rename(name)
        for part, name in ((cell, "by_image"), (other, "by_patient"))
    ]
    by_slice = pd.concat(dice, axis=1, join="inner")
    if by_slice.empty:
        return []
    by_patient = by_slice.groupby("patient_id")
    data = by_patient.mean().assign(slices=by_patient.size()).reset_index()
    size, source = size_of(first), data_of(first)
    worse = int((data["by_patient"] < data["by_image"]).sum())
    caption = (
        f"{cell.name}, {source}, {size}, {first['precision']}, protocols {protocol_of(cell.runs)} "
        f"and {protocol_of(other.runs)}: one dot a patient, larger for more slices; mean Dice over "
        f"the same {effect.slices} slices, tested by image (the patient's other slices were mostly "
        "trained on) and by patient (none was)."
    )
    alt = f"{worse} of {len(data)} patients have a lower mean Dice by patient than by image."
    own = [] if source in DATASETS else [source]
    slug = slugged("patients", *own, cell.name, size, first["precision"])
    title = ", ".join(["By image against by patient, patient by patient", *own])
    return [Figure(slug, title, caption, alt, data, _plot_patients)]


def _plot_patients(data: pd.DataFrame) -> Canvas:
    whole, axes = canvas(COLUMN, 3.2)
    axes.plot([0, 1], [0, 1], color=inks.MUTED, linewidth=0.8, linestyle="--")
    style = {"s": 4 + 2.2 * data["slices"], "color": inks.BLUE, "alpha": 0.55, "linewidths": 0}
    axes.scatter(data["by_image"], data["by_patient"], **style)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="mean Dice of a patient, by image", ylabel="by patient")
    axes.annotate("lower by patient", (0.97, 0.06), ha="right", fontsize=7)
    return whole


def arms_figures(table: Table, rule: ContrastRule) -> list[Figure]:
    """Arms against the reference cell, where they differ by a number; table: of `arms_table`."""
    data = table.numbers[table.numbers["difference"].notna()].reset_index(drop=True)
    if data.empty:
        return []
    reference = next(row["arm"] for row in table.records if row["standing"] == "reference")
    caption = (
        f"Mean test Dice minus that of {reference}, on the "
        f"splits of both, slice by slice, with {rule.level:.0%} intervals (patients are the unit, "
        "variation between seeds included; not corrected for the number of arms). Filled: "
        f"different after Holm's correction. {CLICK}: was given a click in the tumour, and is not "
        "ranked."
    )
    alt = "; ".join(
        f"{row['arm']}: {row['difference']:+.3f}, {row['standing']}"
        for row in data.to_dict("records")
    )
    return [Figure("arms", "Arms against the reference cell", caption, f"{alt}.", data, _plot_arms)]


def _plot_arms(data: pd.DataFrame) -> Canvas:
    whole, axes = canvas(WIDE, 0.6 + 0.24 * len(data))
    axes.axvline(0, color=inks.MUTED, linewidth=0.9, linestyle="--", zorder=0)
    rows = data.to_dict("records")
    for y, row in enumerate(rows):
        colour, marker = (inks.VERMILLION, "s") if row["click"] else (inks.BLUE, "o")
        axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.8)
        face = colour if row["standing"] in ("better", "worse") else "none"
        style = {"color": colour, "marker": marker, "markerfacecolor": face, "markersize": 5}
        axes.plot(row["difference"], y, **style)
    axes.set_yticks(range(len(rows)), list(map(named, rows)))
    axes.set(ylim=(len(data) - 0.5, -0.5), xlabel="difference of mean Dice")
    axes.tick_params(axis="y", length=0, labelcolor=inks.INK)
    axes.grid(axis="x", color=inks.GRID, linewidth=0.4, alpha=0.6)
    return whole
