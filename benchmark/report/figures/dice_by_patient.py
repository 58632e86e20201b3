"""Dice of patients and of slices as a distribution, by kind of split."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from benchmark.judge.comparisons.patients import LOW, distribution_table, means_by
from benchmark.judge.comparisons.reference_trainings import ReferenceTrainings
from benchmark.judge.judgement import Judgement
from benchmark.report import inks
from benchmark.report.figure import WIDE, Canvas, Figure, canvas, slugged
from benchmark.report.figures.verdicts import COLOURS

LINES = {"image": "-", "patient": "--"}


def distribution_figures(judgement: Judgement) -> list[Figure]:
    """The share of patients, and of slices, below each Dice, on the terms with most trainings."""
    return [figure for own in judgement.reference_trainings[:1] for figure in _figures(own)]


def _figures(own: ReferenceTrainings) -> list[Figure]:
    table = distribution_table(own)
    if table is None:
        return []
    rows = table.records
    data = pd.concat(
        [means_by(own, of).assign(of=f"{of}s") for of in ("patient", "slice")], ignore_index=True
    ).sort_values(["of", "kind", "dice"], kind="stable", ignore_index=True)
    said = "; ".join(f"by {row['kind']}, {row['low_share']:.0%} of {row['of']}" for row in rows)
    caption = (
        f"{own.name}: share of patients (left) and of test slices (right) whose Dice is at most "
        "the value below; a slice averaged over the trainings that tested it, a patient over their "
        f"slices. Dotted: {LOW:g}, below which lie: {said}."
    )
    alt = "; ".join(
        f"by {row['kind']}, {row['of']}: median {row['median']:.3f}, 10th percentile "
        f"{row['tenth']:.3f}"
        for row in rows
    )
    slug = slugged("dice-by-patient", own.terms)
    title = "Dice by patient, as a distribution"
    return [Figure(slug, title, caption, f"{alt}.", data, partial(_plot, low=LOW))]


def _plot(data: pd.DataFrame, low: float) -> Canvas:
    whole, sides = canvas(WIDE, 2.6, 1, 2, sharey=True)
    for axes, of in zip(sides, ("patients", "slices"), strict=True):
        for kind, line in LINES.items():
            dice = data.loc[(data["of"] == of) & (data["kind"] == kind), "dice"]
            if len(dice):
                steps = np.arange(1, len(dice) + 1) / len(dice)
                label = f"by {kind} ({len(dice)})"
                axes.step(dice, steps, line, where="post", color=COLOURS[kind], label=label)
        axes.axvline(low, color=inks.MUTED, linewidth=0.8, linestyle=":")
        axes.set(xlim=(-0.02, 1.0), ylim=(0, 1.01), xlabel=f"Dice of {of}")
        axes.legend(loc="upper left")
        axes.grid(color=inks.GRID, linewidth=0.4, alpha=0.6)
    sides[0].set_ylabel("share at most so high")
    return whole
