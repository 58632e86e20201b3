"""The reference cell against a second reader, and sizes between readers beside a network's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from benchmark.judge.cells import Panel, size_of
from benchmark.judge.comparisons.measures import SIZES, by_slice, measured
from benchmark.judge.comparisons.second_reader import AgainstReader, SecondReading, by_size_table
from benchmark.judge.comparisons.two_readers import agreeing
from benchmark.judge.judgement import Judgement
from benchmark.report import inks
from benchmark.report.figure import WIDE, Canvas, Figure, canvas
from benchmark.report.figures.verdicts import COLOURS, MARKERS

SHOWN = ("area, mm2", "longest diameter, mm")  # of `SIZES`
READER = "second reader"


def reader_figures(judgement: Judgement) -> list[Figure]:
    """Both figures of the thesis's cell; none where it tested no slice that was read twice."""
    rows = [(panel, row) for panel, row in judgement.reference_against_reader if row.difference]
    if not rows or judgement.second is None:
        return []
    return [_differences(judgement, rows), *_sizes(judgement.second, rows)]


def _differences(judgement: Judgement, rows: Sequence[tuple[Panel, AgainstReader]]) -> Figure:
    """Its Dice less the reader's on each size and kind of split, all and by tumour size."""
    rule = judgement.tolerances.second_reader
    data = pd.DataFrame([one for pair in rows for one in _parts(*pair, judgement)])
    caption = (
        f"Mean test Dice of {rows[0][1].cell.name} less that of a second reader, both against "
        f"reader 1 (Cheng's outlines) and over the same slices, with {rule.level:.0%} intervals "
        "(patients are the unit; seeds and training sets included). Band: within "
        f"{rule.margin:g}, which would be equivalent. Filled: all slices; hollow: by the area of "
        "reader 1's outline. Who drew the second reading is not known, nor whether they saw the "
        "first."
    )
    said = (
        f"{row['where']}: {row['difference']:+.3f}, {row['standing']}"
        for row in data[data["tumours"] == "all"].to_dict("records")
    )
    alt = f"Against the second reader, {'; '.join(said)}."
    plot = partial(_plot_differences, margin=rule.margin)
    title = "The reference cell against a second reader"
    return Figure("second-reader", title, caption, alt, data, plot)


def _parts(panel: Panel, row: AgainstReader, judgement: Judgement) -> list[dict[str, object]]:
    """What is plotted of one panel, all tumours first."""
    run, rules, second = panel.runs.iloc[0], judgement.tolerances, judgement.second
    where = f"{size_of(run)} by {run['split_unit']}"
    own = {"where": where, "split": run["split_unit"], "precision": run["precision"]}
    low, high = (
        row.difference.interval(rules.second_reader.level) if row.difference else (None,) * 2
    )
    every = {
        "tumours": "all",
        "slices": row.cell.rows["slice_id"].nunique(),
        "dice": row.dice,
        "reader_dice": row.reader_dice,
        "difference": row.dice - row.reader_dice,
        "low": low,
        "high": high,
    }
    thirds = by_size_table(panel, [row], second, rules) if second else None
    parts = (
        [every, *({k: part[k] for k in every} for part in thirds.records)] if thirds else [every]
    )
    verdicts = [row.standing.value, *[""] * (len(parts) - 1)]  # none by size
    return [{**own, **part, "standing": of} for part, of in zip(parts, verdicts, strict=True)]


def _plot_differences(data: pd.DataFrame, margin: float) -> Canvas:
    whole, axes = canvas(WIDE, 0.7 + 0.22 * len(data))
    axes.axvspan(-margin, margin, color=inks.GRID, alpha=0.35, linewidth=0)
    axes.axvline(0, color=inks.MUTED, linewidth=0.9, linestyle="--")
    labels = []
    for y, row in enumerate(data.to_dict("records")):
        colour, marker = COLOURS[row["split"]], MARKERS[row["split"]]
        every = row["tumours"] == "all"
        if pd.notna(row["low"]):
            width = 2.2 if every else 1.2
            axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=width)
        face = colour if every else inks.PAPER
        style = {"color": colour, "marker": marker, "markerfacecolor": face, "markersize": 5}
        axes.plot(row["difference"], y, linestyle="none", **style)
        what = f"{row['where']}, {row['precision']}" if every else row["tumours"]
        labels.append(f"{what} ({row['slices']})")
    axes.set_yticks(range(len(data)), labels)
    axes.set(ylim=(len(data) - 0.4, -0.6), xlabel="mean Dice less the second reader's")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=inks.GRID, linewidth=0.4, alpha=0.6)
    return whole


def _sizes(reading: SecondReading, rows: Sequence[tuple[Panel, AgainstReader]]) -> list[Figure]:
    """Bland and Altman's plots: the second reader and the cell, each against reader 1, on the terms
    nearest the thesis's whose runs have areas and diameters.
    """
    own = [(panel, row) for panel, row in rows if measured(row.cell) and not row.once]
    if not own:
        return []
    panel, row = own[0]
    run, tested = panel.runs.iloc[0], row.cell.rows
    scores = reading.scores[reading.scores["slice_id"].isin(tested["slice_id"])]
    scores = scores.assign(split_id="")
    network = f"{row.cell.name}, {size_of(run)}"
    data = pd.concat(
        [
            _points(outlines, part, quantity)
            for outlines, part in ((READER, scores), (network, tested))
            for quantity in SHOWN
        ],
        ignore_index=True,
    )
    ends = data.drop_duplicates(["outlines", "quantity"]).to_dict("records")
    said = "; ".join(
        f"{end['outlines']}, {end['quantity']}: {end['bias']:+.1f} ({end['lower']:.0f} to "
        f"{end['upper']:.0f})"
        for end in ends
    )
    caption = (
        f"Sizes outlined less reader 1's (Cheng's), against the mean of both, on the same "
        f"{len(scores)} slices, split by {run['split_unit']}: left a second reader's, right those "
        f"of {network}, a slice averaged over its trainings. Lines: bias and limits of agreement "
        "of single outlines, from the variance between and within patients (Bland and Altman "
        "2007)."
    )
    alt = f"Bias and limits of agreement against reader 1: {said}."
    title = "Sizes between two readers, and between a network and a reader"
    return [Figure("readers-sizes", title, caption, alt, data, _plot_sizes)]


def _points(outlines: str, scores: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """A point a slice, with the bias and limits of all; scores: as `measures.by_slice` takes."""
    of = SIZES[quantity]
    found = agreeing(scores, of)
    true, out = (by_slice(scores[f"{side}_{of}"], scores) for side in ("truth", "predicted"))
    points = pd.DataFrame({"mean": (true + out) / 2, "difference": out - true}).reset_index()
    lower, upper = found.limits
    ends = {"bias": found.bias.value, "lower": lower, "upper": upper}
    return points.assign(outlines=outlines, quantity=quantity, **ends)


def _plot_sizes(data: pd.DataFrame) -> Canvas:
    both = data["outlines"].unique()
    whole, grid = canvas(WIDE, 4.4, len(SHOWN), len(both), sharey="row", sharex="row")
    for across, quantity in zip(grid, SHOWN, strict=True):
        for axes, outlines in zip(across, both, strict=True):
            part = data[(data["quantity"] == quantity) & (data["outlines"] == outlines)]
            end, colour = part.iloc[0], inks.GREEN if outlines == READER else inks.BLUE
            style = {"s": 8, "color": colour, "alpha": 0.5, "linewidths": 0}
            axes.scatter(part["mean"], part["difference"], **style)
            for name, line in (("bias", "-"), ("lower", "--"), ("upper", "--")):
                axes.axhline(end[name], color=inks.INK, linewidth=0.9, linestyle=line)
                text = f"{end[name]:+.0f}" if quantity == SHOWN[0] else f"{end[name]:+.1f}"
                spot = {"xycoords": ("axes fraction", "data"), "fontsize": 7, "ha": "right"}
                axes.annotate(text, (0.99, end[name]), va="bottom", **spot)
            axes.set_xlabel(quantity)
            axes.grid(color=inks.GRID, linewidth=0.4, alpha=0.6)
        across[0].set_ylabel("outlined minus reader 1's")
        own = data.loc[data["quantity"] == quantity, ["difference", "lower", "upper"]]
        widest = 1.08 * float(np.abs(own.to_numpy()).max()) or 1.0  # 1: all are outlined alike
        across[0].set_ylim(-widest, widest)
    for axes, outlines in zip(grid[0], both, strict=True):
        axes.set_title(outlines)
    return whole
