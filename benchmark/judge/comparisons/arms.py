"""Arms against arms: paired differences in Dice from one cell, which are real, what each cost.

The family of contrasts is declared beforehand (`[contrasts]` of tolerances.toml): every other
cell under the same terms against the reference, p-values after Holm. Arms that saw a click
are listed and never a contrast. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import pandas as pd

from benchmark.judge.cells import Cell, Panel, cell_name
from benchmark.judge.comparisons.runs import LEGEND, named
from benchmark.judge.reference import ContrastRule, Key
from benchmark.judge.statistics.contrast import (
    DICE,
    NO_SPREAD,
    between_seeds,
    common,
    contrast,
    mean,
)
from benchmark.judge.statistics.estimate import Estimate, Variance, holm
from benchmark.judge.tables import Column, Record, Table

NO_PATIENTS = "some slices have no patient number, or there is only one patient"
CORRECTED = (
    "p (Holm) is corrected for the number of arms compared, the interval is not. A mean is over "
    "its cell's splits."
)
COSTS = "Costs are of one training, averaged over a cell's runs; minutes depend on the machine."


class Ranking(StrEnum):
    """What a paired difference from the reference came to."""

    REFERENCE = "reference"
    BETTER = "better"
    WORSE = "worse"
    UNDECIDED = "undecided"
    CLICK = "not ranked"


@dataclass(frozen=True)
class PairwiseComparison:
    """One cell beside the reference, on the splits that both were run on.

    difference: mean Dice of the cell minus the reference's; None where it cannot be told,
    and why says so. p is Holm's; wilcoxon_p that of the signed-rank test on the patients'
    mean differences, a check that feeds no standing.
    """

    cell: Cell
    dice: float
    difference: Estimate | None = None
    p: float | None = None
    wilcoxon_p: float | None = None
    standing: Ranking = Ranking.UNDECIDED
    why: str = ""


def is_reference(cell: Cell, key: Key) -> bool:
    """True for the cell that a rule names."""
    same = cell.arm == key.arm and not cell.source and cell.kernel_size == key.kernel_size
    return same and abs(cell.alpha - key.alpha) < 1e-9


def pairwise_comparisons(panel: Panel, rule: ContrastRule) -> list[PairwiseComparison]:
    """Set every cell of a panel against the reference, best mean Dice first, clicked arms last;
    empty where the reference was not run.
    """
    reference = next((cell for cell in panel.cells if is_reference(cell, rule.reference)), None)
    if reference is None:
        return []
    seeds = between_seeds(panel.cells, DICE)
    rows = [_compared(cell, reference, seeds) for cell in panel.cells if cell is not reference]
    rows = _after_holm(rows, rule)
    dice = mean(reference, DICE)
    own = PairwiseComparison(reference, dice, standing=Ranking.REFERENCE)
    automatic = [own, *(row for row in rows if not row.cell.needs_click)]
    automatic.sort(key=lambda row: (-row.dice, row.cell.name))
    return [*automatic, *(row for row in rows if row.cell.needs_click)]


def _compared(cell: Cell, reference: Cell, seeds: Variance | None) -> PairwiseComparison:
    """One cell beside the reference, its p not corrected and its standing open."""
    mine, other = common([cell, reference])
    standing = Ranking.CLICK if cell.needs_click else Ranking.UNDECIDED
    if mine.rows.empty:
        why = f"tested on other splits than {reference.name}"
        return PairwiseComparison(cell, mean(cell, DICE), standing=standing, why=why)
    difference = contrast([(1.0, mine), (-1.0, other)], DICE, seeds)
    row = PairwiseComparison(mine, mean(mine, DICE), difference, standing=standing)
    if cell.needs_click:
        return replace(row, why="was given a click")
    if difference is None:
        return replace(row, why=NO_PATIENTS if seeds else NO_SPREAD)
    return replace(row, p=difference.p_value(), wilcoxon_p=_wilcoxon(mine, other))


def _after_holm(rows: Sequence[PairwiseComparison], rule: ContrastRule) -> list[PairwiseComparison]:
    """The rows with Holm's p: the one place where a difference is called real."""
    corrected = iter(holm([row.p for row in rows if row.p is not None]))
    judged = []
    for row in rows:
        if row.p is not None and row.difference is not None:
            p, better = next(corrected), row.difference.value > 0
            if p >= 1 - rule.level:
                row = replace(row, p=p, why=f"p = {p:.2g} after Holm's correction")
            else:
                row = replace(row, p=p, standing=Ranking.BETTER if better else Ranking.WORSE)
        judged.append(row)
    return judged


def _wilcoxon(cell: Cell, other: Cell) -> float:
    """Two-sided p of the signed-rank test on patients' mean differences; 1 where none differs."""
    from scipy.stats import wilcoxon

    slices = ["patient_id", "split_id", "slice_id"]
    a, b = (part.rows.groupby(slices)["dice"].mean() for part in (cell, other))
    by_patient = (a - b).groupby("patient_id").mean()
    return float(wilcoxon(by_patient).pvalue) if (by_patient != 0).any() else 1.0


def arms_table(panel: Panel, rows: Sequence[PairwiseComparison], rule: ContrastRule) -> Table:
    """The comparisons of one panel with training cost and parameters beside them."""
    records = [_record(row, rule.level) for row in rows]
    interval = f"{rule.level:.0%} interval"
    columns = (
        Column("arm", named),
        Column("seeds x splits", lambda row: (row["seeds"] or None, row["splits"]), _by),
        Column("mean Dice", "dice", "{:.4f}"),
        Column("difference", "difference", "{:+.4f}"),
        Column(interval, ("low", "high"), "{:+.3f} to {:+.3f}"),
        Column("p (Holm)", "p", _p),
        Column("p (Wilcoxon)", "wilcoxon_p", _p),
        Column("verdict", "standing"),
        Column("parameters, M", lambda row: row["parameters"] / 1e6, "{:.2f}"),
        Column("GFLOP an image", "gflop_per_image", "{:.1f}"),
        Column("training, PFLOP", "training_pflop", "{:.3f}"),
        Column("training, min", "fit_minutes", "{:.1f}"),
        Column("why", "why"),
    )
    key = rule.reference
    differences = (
        f"Differences are from {cell_name(key.arm, key.kernel_size, key.alpha)}, on common splits; "
        "variation between training sets not included."
    )
    notes = [differences, CORRECTED, COSTS]
    notes += [LEGEND] if any(record["click"] for record in records) else []
    essential = (
        "arm",
        "seeds x splits",
        "mean Dice",
        "difference",
        interval,
        "p (Holm)",
        "verdict",
    )
    title = f"Arms against arms, {panel.title}."
    return Table(title, records, columns, tuple(notes), essential)


def _by(seeds_and_splits: tuple[int | None, int]) -> str:
    """Seeds x splits; a dash for the seeds of an arm that has none."""
    seeds, splits = seeds_and_splits
    return f"{seeds or '-'} x {splits}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _record(row: PairwiseComparison, level: float) -> Record:
    cell, runs = row.cell, row.cell.runs
    low, high = row.difference.interval(level) if row.difference else (None, None)
    gflop = _mean_of(runs, "timing.train_gflop_per_image")
    epochs = _mean_of(runs, "fit.stop_epoch") + 1
    return {
        "arm": cell.name,
        "params": cell.params,
        "click": cell.needs_click,
        "seeds": runs["seed"].nunique(),
        "splits": len(cell.splits),
        "slices": len(cell.rows.drop_duplicates(["split_id", "slice_id"])),
        "dice": row.dice,
        "difference": row.difference.value if row.difference else None,
        "low": low,
        "high": high,
        "p": row.p,
        "wilcoxon_p": row.wilcoxon_p,
        "standing": row.standing.value,
        "parameters": int(runs["parameters"].iloc[0]),
        "gflop_per_image": gflop,
        "training_pflop": gflop * epochs * float(runs["train"].astype(float).mean()) / 1e6,
        "fit_minutes": _mean_of(runs, "timing.fit_seconds") / 60,
        "device": ", ".join(sorted(set(runs["device"]))),
        "why": row.why,
    }


def _mean_of(runs: pd.DataFrame, column: str) -> float:
    """Mean over the runs; NaN where they do not have it."""
    known = column in runs
    return float(pd.to_numeric(runs[column], "coerce").mean()) if known else math.nan
