"""How a user's arms do, in words: those that are not the thesis's, against the reference. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from benchmark.judge.cells import Panel, cell_name, size_of
from benchmark.judge.comparisons.arms import AFTER_HOLM, PairwiseComparison, costs, reference_of
from benchmark.judge.comparisons.runs import named
from benchmark.judge.reference import ContrastRule, Key

NO_VERDICT = "no verdict, for what arms are set against is lacking; see the section on arms"
NAMED = 3  # arms in a verdict; more are counted
COSTS: Mapping[str, Callable[[float], str]] = {
    "parameters": lambda count: f"{count / 1e6:.2f} M parameters",
    "gflop_per_image": "{:.1f} GFLOP an image".format,
    "training_pflop": "{:.3f} PFLOP".format,
    "fit_minutes": "{:.1f} min".format,
}


def own_arms(
    compared: Sequence[tuple[Panel, Sequence[PairwiseComparison]]],
    alone: Sequence[Panel],
    rule: ContrastRule,
) -> tuple[str, tuple[str, ...]]:
    """Return a verdict of a few words, and for each arm a sentence and one on its cost.

    compared: panels with their rows, the reference's among them; alone: those that lack it.
    """
    own = [
        (panel, row, reference_of(rows))
        for panel, rows in compared
        for row in rows
        if row.cell.arm != rule.reference.arm
    ]
    sentences = [text for each in own for text in _sentences(*each, rule.level)]
    sentences += [f"{panel.title}: {NO_VERDICT}." for panel in alone]
    if not own:
        return "not known yet", tuple(sentences)
    if len(own) > NAMED:
        counted = Counter(row.standing for _, row, _ in own)
        return ", ".join(f"{n} {standing}" for standing, n in counted.items()), tuple(sentences)
    several = len({panel.title for panel, _, _ in own}) > 1
    words = [
        f"{row.cell.name}{f' at {_short(panel)}' if several else ''}: {row.standing}"
        for panel, row, _ in own
    ]
    return ", ".join(words), tuple(sentences)


def no_reference(key: Key) -> str:
    """What is said of runs that no reference stands beside."""
    return (
        f"{cell_name(key.arm, key.kernel_size, key.alpha)}, which arms are set against, has not "
        "been run under these terms, neither by you nor in the records shipped here"
    )


def _short(panel: Panel) -> str:
    run = panel.runs.iloc[0]
    return f"{size_of(run)} {run['precision']}"


def _sentences(
    panel: Panel, row: PairwiseComparison, reference: PairwiseComparison, level: float
) -> list[str]:
    """One arm beside the reference on the splits of both, and what a training of each took."""
    name, other = named({"arm": row.cell.name, "click": row.cell.needs_click}), reference.cell
    beside = f"{name} on {panel.title}: mean Dice {row.dice:.3f}"
    if row.difference is None:
        return [f"{beside}; {row.why}."]
    low, high = row.difference.interval(level)
    slices = len(row.cell.rows.drop_duplicates(["split_id", "slice_id"]))
    mine, theirs = row.cell.runs, other.on(row.cell.splits).runs
    p = row.why or f"p = {row.p:.2g} {AFTER_HOLM}"
    compared = (
        f"{beside} against {row.reference_dice:.3f} of {other.name}; difference "
        f"{row.difference.value:+.3f}, {level:.0%} interval {low:+.3f} to {high:+.3f}, on the same "
        f"{slices} slices of {row.cell.rows['patient_id'].nunique()} patients; trainings: "
        f"{len(mine)} against {len(theirs)}; {p}."
    )
    where = " on another machine" if other.ours else ""
    cost = f"One training of {name}: {_cost(mine)}; of {other.name}: {_cost(theirs)}{where}."
    return [compared, cost]


def _cost(runs: pd.DataFrame) -> str:
    """What is known of it, in words."""
    known = {name: value for name, value in costs(runs).items() if pd.notna(value)}
    return ", ".join(COSTS[name](value) for name, value in known.items())
