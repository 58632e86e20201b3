"""Collected runs + the thesis's numbers + margins -> verdicts and one exit code. Pure.

One predicate per decision: a row's verdict is decided once, and the marker, the count and
the exit code all read it from there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from benchmark.judge.cells import cell_of
from benchmark.judge.comparable import in_cell, why_not
from benchmark.judge.reference import DiceRule, Reference, Tolerances
from benchmark.judge.statistics.prediction_interval import Spread, spread
from benchmark.judge.tables import Column, Table
from benchmark.runs.collect import Collected

SELECTION = "The thesis's 0.898 is the best of 36 cells, chosen on its own test set; ours is that one cell, chosen beforehand."
ESSENTIAL = ("", "quantity", "thesis", "ours", "verdict", "why")
SET_NAMES = {"train": "training", "val": "validation", "test": "test"}


class Verdict(StrEnum):
    """What a comparison with one printed number came to."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    INCONCLUSIVE = "inconclusive"
    NOT_COMPARABLE = "not comparable"
    MISSING = "missing"

    @property
    def marker(self) -> str:
        """One character for the first column of a table."""
        return {"reproduced": "+", "not reproduced": "x", "inconclusive": "?", "missing": "-"}.get(
            self, "/"
        )


@dataclass(frozen=True)
class VerdictRow:
    """One printed number and ours beside it.

    n counts the runs behind ours; sd is between the seeds' means on one split and half_width
    that of the prediction interval around ours, None where they mean nothing; spread is what
    both come from. set_up: a row that we built to agree (the network, the split), so it
    checks us and finds nothing out.
    """

    quantity: str
    reference: float
    ours: float | None
    n: int
    verdict: Verdict
    why: str
    required: bool = True
    sd: float | None = None
    half_width: float | None = None
    spread: Spread | None = None
    set_up: bool = False


def _number(value: float) -> str:
    """Whole numbers as they are, others to four decimals."""
    return f"{value:d}" if isinstance(value, int) else f"{value:.4f}"


COLUMNS = (
    Column("", lambda row: row["verdict"].marker),
    Column("quantity", "quantity"),
    Column("thesis", "reference", "{:g}"),
    Column("ours", "ours", _number),
    Column("SD", "sd", _number),
    Column("+-", "half_width", _number),
    Column("n", "n"),
    Column("verdict", "verdict"),
    Column("why", "why"),
)
FIELDS = ("quantity", "reference", "ours", "sd", "half_width", "n", "verdict", "why", "set_up",
          "required")  # of a record # fmt: skip


def compare(collected: Collected, reference: Reference, tolerances: Tolerances) -> list[VerdictRow]:
    """Set every printed number beside ours; the order of runs and scores changes nothing."""
    judge = _Judge(collected, reference, tolerances)
    kernels = [judge.parameters(kernel) for kernel in sorted(reference.parameters_millions)]
    return [*kernels, *(judge.split_size(name) for name in SET_NAMES), judge.dice()]


@dataclass(frozen=True)
class _Judge:
    collected: Collected
    reference: Reference
    tolerances: Tolerances

    def parameters(self, kernel: int) -> VerdictRow:
        """Trained parameters of one kernel size, in millions."""
        runs, margin = self.collected.runs, self.tolerances.parameters
        printed = self.reference.parameters_millions[kernel]
        mine = runs[
            (runs["arm"] == self.reference.best_cell.arm)
            & (runs["kernel_size"] == kernel).fillna(False)
        ]
        usable, why = self._usable(mine, margin.needs)
        values = [count / 1e6 for count in usable["parameters"]]
        name = f"parameters {kernel}x{kernel}, millions"
        return _exact(name, printed, values, margin.within, why, margin.required, len(mine))

    def split_size(self, name: str) -> VerdictRow:
        """Images of one set, in the splits of comparable runs."""
        margin = self.tolerances.split_sizes
        mine = self.collected.runs
        usable, why = self._usable(mine, margin.needs)
        sizes = [int(size) for size in usable[name].dropna()]
        if len(usable) and not sizes:
            why = "not one of the splits shipped here, so its sizes are unknown"
        printed = self.reference.split_sizes[name]
        return _exact(
            f"{SET_NAMES[name]} images",
            printed,
            sizes,
            margin.within,
            why,
            margin.required,
            len(mine),
        )

    def dice(self) -> VerdictRow:
        """Mean test Dice of the one printed cell: over slices, then over seeds."""
        cell, rule = self.reference.best_cell, self.tolerances.dice
        name = f"mean test Dice, {cell.kernel_size}x{cell.kernel_size}, alpha {cell.alpha}"
        runs = self.collected.runs
        mine = runs[in_cell(runs, cell.arm, cell.kernel_size, cell.alpha)]
        usable, why = self._usable(mine, rule.needs)
        if usable.empty:
            return VerdictRow(name, cell.dice_mean, None, 0, _absent(len(mine)), why, rule.required)
        seeds_of = (
            usable.groupby(["precision", "split_id"])["seed"].nunique().groupby("precision").max()
        )
        precision = max(
            seeds_of.index, key=lambda name: (seeds_of[name], -rule.precisions.index(name))
        )  # one only
        usable = judged_draws(usable[usable["precision"] == precision], rule)
        seeds = int(usable.groupby("split_id")["seed"].nunique().min())
        found = spread(cell_of(usable, self.collected))
        half = found.half_width(cell.seeds, rule.level)
        verdict, why = judge_dice(found.mean, half, seeds, cell.dice_mean, rule)
        draws = f"{found.draws} draws, {precision}" if found.draws > 1 else precision
        sd, known = (None if math.isnan(x) else x for x in (found.sd, half))
        return VerdictRow(
            name,
            cell.dice_mean,
            found.mean,
            found.n,
            verdict,
            f"{why} ({draws})",
            rule.required,
            sd,
            known,
            found,
        )

    def _usable(self, runs: pd.DataFrame, needs: Iterable[str]) -> tuple[pd.DataFrame, str]:
        """Return the runs that meet every need, by run_id, and why the others do not."""
        runs = runs.sort_values("run_id")
        reasons = why_not(runs, needs, self.reference, self.tolerances)
        return runs[reasons.isna()], "; ".join(sorted(set(reasons.dropna()))) or "not run yet"


def judged_draws(runs: pd.DataFrame, rule: DiceRule) -> pd.DataFrame:
    """Return the runs on all draws that have the seeds a verdict needs; where none has, on the one
    with most seeds.
    """
    seeds = runs.groupby("split_id")["seed"].nunique()
    enough = [name for name in rule.splits if seeds.get(name, 0) >= rule.min_seeds]
    most = max(seeds.index, key=lambda name: (seeds[name], -rule.splits.index(name)))
    return runs[runs["split_id"].isin(enough or [most])]


def judge_dice(
    mean: float, half_width: float, seeds: int, printed: float, rule: DiceRule
) -> tuple[Verdict, str]:
    """Return the verdict on a mean Dice and its reason: the one place where it is decided.

    half_width of the prediction interval around the mean; seeds: the fewest on any draw.
    """
    if seeds < rule.min_seeds:
        return (
            Verdict.INCONCLUSIVE,
            f"{seeds} of the {rule.min_seeds} seeds that a verdict needs have been run",
        )
    if not math.isfinite(mean + half_width):
        return Verdict.INCONCLUSIVE, "the scores give no interval"
    if abs(mean - printed) > half_width + rule.rounding:
        return (
            Verdict.NOT_REPRODUCED,
            f"{printed} lies outside the prediction interval {mean:.3f} +- {half_width:.3f}",
        )
    if half_width > rule.max_half_width:
        return (
            Verdict.INCONCLUSIVE,
            f"the prediction interval, +- {half_width:.3f}, is wider than +- {rule.max_half_width}",
        )
    return (
        Verdict.REPRODUCED,
        f"{printed} lies in the prediction interval {mean:.3f} +- {half_width:.3f}",
    )


def _exact(
    name: str,
    printed: float,
    values: Sequence[float],
    within: float,
    why: str,
    required: bool,
    candidates: int,
) -> VerdictRow:
    """Judge numbers that must all agree with the printed one to within a margin; the farthest is
    shown.
    """
    if not values:
        return VerdictRow(name, printed, None, 0, _absent(candidates), why, required, set_up=True)
    ours = max(values, key=lambda value: (abs(value - printed), value))
    agree = abs(ours - printed) <= within + 1e-9
    verdict = Verdict.REPRODUCED if agree else Verdict.NOT_REPRODUCED
    limit = "at most" if agree else "more than"
    why = f"differs by {limit} {within:g}" if within else "equal" if agree else "not equal"
    return VerdictRow(name, printed, ours, len(values), verdict, why, required, set_up=True)


def _absent(candidates: int) -> Verdict:
    return Verdict.NOT_COMPARABLE if candidates else Verdict.MISSING


def exit_code(rows: Iterable[VerdictRow], strict: bool = False) -> int:
    """Return 1 where a required row is not reproduced; strict: where it is anything but reproduced.
    Else 0.
    """
    return int(any(row.required and failed(row.verdict, strict) for row in rows))


def failed(verdict: Verdict, strict: bool) -> bool:
    """True where the verdict of a required row fails the comparison."""
    return verdict is not Verdict.REPRODUCED if strict else verdict is Verdict.NOT_REPRODUCED


def counts(rows: Iterable[VerdictRow]) -> dict[Verdict, int]:
    """Return how many rows came to each verdict."""
    found = Counter(row.verdict for row in rows)
    return {verdict: found[verdict] for verdict in Verdict}


def verdict_table(rows: Sequence[VerdictRow]) -> Table:
    """The verdicts with a marker each, and their counts below."""
    records = [{name: getattr(row, name) for name in FIELDS} for row in rows]
    notes = [
        f"Network and split, which were built to match: {_tally(row for row in rows if row.set_up)}."
    ]
    notes += [f"Result: {_tally(row for row in rows if not row.set_up)}. {SELECTION}"]
    return Table("The thesis's printed numbers.", records, COLUMNS, tuple(notes), ESSENTIAL)


def _tally(rows: Iterable[VerdictRow]) -> str:
    return ", ".join(f"{n} {verdict}" for verdict, n in counts(rows).items() if n) or "no rows"
