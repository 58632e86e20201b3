"""Arms against arms: paired differences in Dice from one cell, which are real, what each cost.

The family of contrasts is declared beforehand (`[contrasts]` of tolerances.toml): every other
cell under the same terms against the reference, p-values after Holm. Arms that saw a click
are listed and never a contrast. The family is the arms that are judged, whoever ran the reference.
A cell that trains and has one seed on every common split stays in the family, so that p of the
others do not hang on what was repeated, but it is counted there as if nothing spoke for it, and
stays undecided. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import pandas as pd

from benchmark.judge.cells import OURS, Cell, Panel
from benchmark.judge.comparisons.reference_cell import lent_reference
from benchmark.judge.comparisons.runs import LEGEND, named
from benchmark.judge.reference import ContrastRule, IntervalRule, Key
from benchmark.judge.statistics.contrast import (
    DICE,
    NO_SPREAD,
    common,
    mean,
)
from benchmark.judge.statistics.estimate import Estimate, holm
from benchmark.judge.statistics.groups import Group, combined, means
from benchmark.judge.statistics.spread_of_seeds import Spreads, spreads
from benchmark.judge.tables import Column, Record, Table
from benchmark.runs.collect import Collected

NO_PATIENTS = "some slices have no patient number, or there is only one patient"
CORRECTED = (
    "p (Holm) is corrected for the number of arms compared, the interval is not. Each mean is over "
    "the common splits (where both have the seeds that a verdict takes, if there are some), "
    "weighed by their trainings, and the reference's own over all of its splits."
)
AFTER_HOLM = "after Holm's correction"
ONCE = (
    "{} has fewer than {} seeds on each common split; the interval takes it to vary between "
    "trainings as others do"
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
    """One cell beside the reference, on the splits where both have two seeds; without one, on all
    that both were run on.

    dice and reference_dice: means of the cell and of the reference there; None for the latter
    where there is none. difference: the one minus the other; None where it cannot be told,
    and why says so. p is Holm's; wilcoxon_p that of the signed-rank test on the patients'
    mean differences, a check that feeds no standing. once: why nothing may rest on it, for want of
    seeds.
    """

    cell: Cell
    dice: float
    reference_dice: float | None = None
    difference: Estimate | None = None
    p: float | None = None
    wilcoxon_p: float | None = None
    standing: Ranking = Ranking.UNDECIDED
    why: str = ""
    once: str = ""


def is_reference(cell: Cell, key: Key) -> bool:
    """True for the cell that a rule names."""
    same = cell.arm == key.arm and not cell.source and cell.kernel_size == key.kernel_size
    return same and abs(cell.alpha - key.alpha) < 1e-9


def pairwise_comparisons(
    panel: Panel, rule: ContrastRule, intervals: IntervalRule, ours: Collected | None = None
) -> list[PairwiseComparison]:
    """Set every cell of a panel against the reference, best mean Dice first, clicked arms last;
    empty without one.

    ours: the records shipped here, where the panel is a user's; they lend the reference where the
    panel has none that decides anything, and the panel's own is then a cell among the others.
    """
    fewest = intervals.fewest_seeds
    reference = next((cell for cell in panel.cells if is_reference(cell, rule.reference)), None)
    if ours is not None and (reference is None or not _serves(reference, panel.cells, fewest)):
        reference = lent_reference(panel, rule.reference, ours) or reference
    if reference is None:
        return []
    others = [cell for cell in panel.cells if cell is not reference]
    rows = compared(others, reference, _spreads(panel, reference), rule, intervals)
    dice = mean(reference, DICE)
    own = PairwiseComparison(reference, dice, standing=Ranking.REFERENCE)
    automatic = [own, *(row for row in rows if not row.cell.needs_click)]
    automatic.sort(key=lambda row: (-row.dice, row.cell.name))
    return [*automatic, *(row for row in rows if row.cell.needs_click)]


def compared(
    cells: Sequence[Cell],
    reference: Cell,
    varying: Spreads,
    rule: ContrastRule,
    intervals: IntervalRule,
) -> list[PairwiseComparison]:
    """Set cells beside a reference, in their order; p after Holm over all of them.

    varying: how their trainings, and the reference's, vary in Dice.
    """
    rows = [_compared(cell, reference, varying, intervals.fewest_seeds) for cell in cells]
    return _after_holm(rows, rule)


def _spreads(panel: Panel, reference: Cell) -> Spreads:
    """How trainings of a panel vary, and of a reference that is lent to it."""
    cells = [*panel.cells, *([reference] if reference.ours else [])]
    return spreads(cells, DICE)


def _serves(reference: Cell, cells: Sequence[Cell], fewest_seeds: int) -> bool:
    """True where a reference has so many seeds on a split of every other cell, or needs none."""
    ranked = (cell for cell in cells if not cell.needs_click)
    shared = [reference.on(cell.splits) for cell in ranked]
    if not reference.seeded:
        return all(part.splits for part in shared)
    return all(part.most_seeds >= fewest_seeds for part in shared)


def _compared(
    cell: Cell, reference: Cell, varying: Spreads, fewest_seeds: int
) -> PairwiseComparison:
    """One cell beside the reference, its p not corrected and its standing open."""
    mine, other = common([cell, reference], fewest_seeds)
    standing = Ranking.CLICK if cell.needs_click else Ranking.UNDECIDED
    if mine.rows.empty:
        why = f"tested on other splits than {reference.name}"
        return PairwiseComparison(cell, mean(cell, DICE), standing=standing, why=why)
    pair, both = Group(1.0, {s: {0: 1.0, 1: -1.0} for s in mine.splits}), {0: mine, 1: other}
    difference, of = combined([pair], both, DICE, varying), means(pair, both, DICE)
    row = PairwiseComparison(mine, of[0], of[1], difference, standing=standing)
    if cell.needs_click:
        return replace(row, why="was given a click")
    if difference is None:
        return replace(row, why=NO_PATIENTS if varying.of([mine, other]) else NO_SPREAD)
    row = replace(row, once=_once([mine, other], fewest_seeds))
    return replace(row, p=difference.p_value(), wilcoxon_p=_wilcoxon(mine, other))


def _once(parts: Sequence[Cell], fewest_seeds: int) -> str:
    """Why nothing may rest on a pair on its common splits, none of which has the seeds; or ""."""
    splits = parts[0].splits
    if any(all(part.trained_on(split, fewest_seeds) for part in parts) for split in splits):
        return ""
    never = [part.name for part in parts if part.seeded and part.most_seeds < fewest_seeds]
    names = " and ".join(never) or " or ".join(part.name for part in parts)
    return ONCE.format(names, fewest_seeds)


def _after_holm(rows: Sequence[PairwiseComparison], rule: ContrastRule) -> list[PairwiseComparison]:
    """The rows with Holm's p: the one place where a difference is called real."""
    known = [row for row in rows if row.p is not None]
    shown = iter(holm([row.p or 0.0 for row in known]))
    firm = iter(holm([1.0 if row.once else row.p or 0.0 for row in known]))
    judged = []
    for row in rows:
        if row.p is not None and row.difference is not None:
            as_if, p = next(shown), next(firm)
            better = row.difference.value > 0
            if row.once:
                row = replace(row, p=as_if, why=row.once)
            elif p >= 1 - rule.level:
                row = replace(row, p=p, why=f"p = {p:.2g} {AFTER_HOLM}")
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
    """The comparisons of one panel, of which there are some, with parameters and cost beside them.

    Records say in `ours` which cell is of the records shipped here.
    """
    records = [_record(row, rule.level) for row in rows]
    interval = f"{rule.level:.0%} interval"
    columns = (
        Column("arm", named),
        Column("seeds x splits", lambda row: (row["seeds"] or None, row["splits"]), _by),
        Column("mean Dice", "dice", "{:.4f}"),
        Column("reference's Dice", "reference_dice", "{:.4f}"),
        Column("difference", "difference", "{:+.4f}"),
        Column(interval, ("low", "high"), "{:+.3f} to {:+.3f}"),
        Column("p (Holm)", "p", p_text),
        Column("p (Wilcoxon)", "wilcoxon_p", p_text),
        Column("verdict", "standing"),
        Column("parameters, M", lambda row: row["parameters"] / 1e6, "{:.2f}"),
        Column("GFLOP an image", "gflop_per_image", "{:.1f}"),
        Column("training, PFLOP", "training_pflop", "{:.3f}"),
        Column("training, min", "fit_minutes", "{:.1f}"),
        Column("why", "why"),
    )
    reference = reference_of(rows).cell
    differences = (
        f"Differences are from {reference.name}, on common splits; "
        "variation between training sets not included."
    )
    notes = [differences, CORRECTED, COSTS]
    notes += [_whose(reference.runs)] if reference.ours else []
    notes += filter(None, [_spreads(panel, reference).note])
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


def reference_of(rows: Sequence[PairwiseComparison]) -> PairwiseComparison:
    """The row of the reference, which `pairwise_comparisons` puts among the others."""
    return next(row for row in rows if row.standing is Ranking.REFERENCE)


def _whose(runs: pd.DataFrame) -> str:
    """What `OURS` means, of the runs of such a cell."""
    commits, devices = (", ".join(sorted(set(runs[name]))) for name in ("commit", "device"))
    return (
        f"{OURS}: not of your runs but of the records shipped here, under equal terms on the same "
        f"test slices; trainings: {len(runs)}, on {devices}, at commit {commits}. Its minutes are "
        "of that machine."
    )


def _by(seeds_and_splits: tuple[int | None, int]) -> str:
    """Seeds x splits; a dash for the seeds of an arm that has none."""
    seeds, splits = seeds_and_splits
    return f"{seeds or '-'} x {splits}"


def p_text(value: float) -> str:
    """A p to three decimals."""
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _record(row: PairwiseComparison, level: float) -> Record:
    cell, runs = row.cell, row.cell.runs
    low, high = row.difference.interval(level) if row.difference else (None, None)
    return {
        "arm": cell.name,
        "ours": cell.ours,
        "params": cell.params,
        "click": cell.needs_click,
        "seeds": runs["seed"].nunique(),
        "splits": len(cell.splits),
        "slices": len(cell.rows.drop_duplicates(["split_id", "slice_id"])),
        "dice": row.dice,
        "reference_dice": row.reference_dice,
        "difference": row.difference.value if row.difference else None,
        "low": low,
        "high": high,
        "p": row.p,
        "wilcoxon_p": row.wilcoxon_p,
        "standing": row.standing.value,
        **costs(runs),
        "device": ", ".join(sorted(set(runs["device"]))),
        "why": row.why,
    }


def costs(runs: pd.DataFrame) -> dict[str, float]:
    """What one training costs, averaged over the runs of a cell; NaN for what no run has.

    parameters; gflop_per_image of a forward and backward pass; training_pflop of all the passes of
    a training; fit_minutes.
    """
    gflop = _column(runs, "timing.train_gflop_per_image")
    epochs = _column(runs, "fit.stop_epoch") + 1
    return {
        "parameters": int(runs["parameters"].iloc[0]),
        "gflop_per_image": float(gflop.mean()),
        "training_pflop": float((gflop * epochs * _column(runs, "train")).mean()) / 1e6,
        "fit_minutes": float(_column(runs, "timing.fit_seconds").mean()) / 60,
    }


def _column(runs: pd.DataFrame, name: str) -> pd.Series[float]:
    """Numbers of the runs; NaN where they do not have them."""
    values = runs[name] if name in runs else pd.Series(math.nan, runs.index)
    return pd.to_numeric(values, "coerce").astype(float)
