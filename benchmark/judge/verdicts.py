"""Collected runs + the thesis's numbers + margins -> verdicts and one exit code. Pure.

One predicate per decision: a row's verdict is decided once, and the marker, the count and
the exit code all read it from there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import pandas as pd

from benchmark.judge.cells import Cell, cell_of
from benchmark.judge.comparable import in_cell, why_not
from benchmark.judge.reference import DiceRule, Margin, Reference, Tolerances
from benchmark.judge.statistics.prediction_interval import Question, Spread, spread
from benchmark.judge.tables import Column, Table
from benchmark.runs.collect import Collected

SELECTION = (
    "The thesis's 0.898 is the best of 36 cells, chosen on its own test set; ours is that one "
    "cell, chosen beforehand."
)
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

    n counts the runs behind ours; sd is between the seeds' means on one split, half_width that of
    the interval that decides, for another random split of the same slices, and other_patients that
    of the one beside it; None where they mean nothing. spread is what they come from. set_up: a row
    that we built to agree (the network, the split), so it checks us and finds nothing out.
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
    other_patients: float | None = None
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
    Column("+- another split", "half_width", _number),
    Column("+- other patients", "other_patients", _number),
    Column("n", "n"),
    Column("verdict", "verdict"),
    Column("why", "why"),
)
FIELDS = ("quantity", "reference", "ours", "sd", "half_width", "other_patients", "n", "verdict",
          "why", "set_up", "required")  # of a record # fmt: skip


def judge_printed_numbers(
    collected: Collected, reference: Reference, tolerances: Tolerances
) -> PrintedNumbers:
    """Set every printed number beside ours; the order of runs and scores changes nothing."""
    judge = _Judge(collected, reference, tolerances)
    kernels = [judge.parameters(kernel) for kernel in sorted(reference.parameters_millions)]
    sizes = [judge.split_size(name) for name in SET_NAMES]
    return PrintedNumbers((*kernels, *sizes), judge.dice())


@dataclass(frozen=True)
class PrintedNumbers:
    """The verdicts on what we built to agree with the thesis, and on its result."""

    set_up: tuple[VerdictRow, ...]
    dice: VerdictRow

    @property
    def rows(self) -> tuple[VerdictRow, ...]:
        return (*self.set_up, self.dice)


@dataclass(frozen=True)
class _Judge:
    collected: Collected
    reference: Reference
    tolerances: Tolerances

    def parameters(self, kernel: int) -> VerdictRow:
        """Trained parameters of one kernel size, in millions."""
        runs, margin = self.collected.runs, self.tolerances.parameters
        printed = self.reference.parameters_millions[kernel]
        own = (runs["kernel_size"] == kernel).fillna(False) & (runs["source"] == "")
        mine = runs[own & (runs["arm"] == self.reference.best_cell.arm)]
        usable, why = self._usable(mine, margin.needs)
        values = [count / 1e6 for count in usable["parameters"]]
        name = f"parameters {kernel}x{kernel}, millions"
        return _exact(name, printed, values, margin, why, len(mine))

    def split_size(self, name: str) -> VerdictRow:
        """Images of one set, in the splits of comparable runs."""
        margin, runs = self.tolerances.split_sizes, self.collected.runs
        usable, why = self._usable(runs, margin.needs)
        sizes = [int(size) for size in usable[name].dropna()]
        if len(usable) and not sizes:
            why = "not one of the splits shipped here, so its sizes are unknown"
        printed = self.reference.split_sizes[name]
        return _exact(f"{SET_NAMES[name]} images", printed, sizes, margin, why, len(runs))

    def dice(self) -> VerdictRow:
        """Mean test Dice of the one printed cell: over slices, then over seeds."""
        cell, rule = self.reference.best_cell, self.tolerances.dice
        name = f"mean test Dice, {cell.kernel_size}x{cell.kernel_size}, alpha {cell.alpha}"
        runs = self.collected.runs
        mine = runs[in_cell(runs, cell.arm, cell.kernel_size, cell.alpha)]
        usable, why = self._usable(mine, rule.needs)
        row = VerdictRow(
            name, cell.dice_mean, None, 0, _absent(len(mine)), why, required=rule.required
        )
        if usable.empty:
            return row
        precision = judged_precision(usable, rule)
        mine = judged_draws(usable[usable["precision"] == precision], rule)
        row = judged(row, cell_of(mine, self.collected), self.reference, rule)
        others = usable.loc[usable["precision"] != precision, "precision"].value_counts()
        left = (f"{others[name]} in {name}" for name in rule.precisions if name in others)
        return replace(row, why="; ".join([row.why, *(f"left out: {runs}" for runs in left)]))

    def _usable(self, runs: pd.DataFrame, needs: Iterable[str]) -> tuple[pd.DataFrame, str]:
        """Return the runs that meet every need, by run_id, and why the others do not."""
        runs = runs.sort_values("run_id")
        reasons = why_not(runs, needs, self.reference, self.tolerances)
        return runs[reasons.isna()], "; ".join(sorted(set(reasons.dropna()))) or "not run yet"


def judged_precision(runs: pd.DataFrame, rule: DiceRule) -> str:
    """The one precision that is judged: that with the seeds a verdict needs on most draws, then
    with most seeds on one, then the first by the rule. So no single draw outdoes several.
    """
    seeds = runs.groupby(["precision", "split_id"])["seed"].nunique().groupby("precision")
    draws, most = seeds.agg(lambda n: (n >= rule.min_seeds).sum()), seeds.max()
    return str(
        max(most.index, key=lambda name: (draws[name], most[name], -rule.precisions.index(name)))
    )


def judged_draws(runs: pd.DataFrame, rule: DiceRule) -> pd.DataFrame:
    """The runs on all draws with the seeds a verdict needs, else those on the one with most."""
    seeds = runs.groupby("split_id")["seed"].nunique()
    enough = [name for name in rule.splits if seeds.get(name, 0) >= rule.min_seeds]
    most = max(seeds.index, key=lambda name: (seeds[name], -rule.splits.index(name)))
    return runs[runs["split_id"].isin(enough or [most])]


def judged(row: VerdictRow, cell: Cell, reference: Reference, rule: DiceRule) -> VerdictRow:
    """The row of a printed Dice with the verdict on a cell of ours, one precision on all its draws.

    Raises `RecordError` where a patient is unknown, or alone in a test set.
    """
    ours = spread(cell, sum(reference.split_sizes.values()), rule.training_set_sd)
    m, precision = reference.best_cell.seeds, cell.runs["precision"].iloc[0]
    half, patients = (ours.half_width(question, m, rule.level) for question in Question)
    verdict, why = judge_dice(ours.mean, half, ours.fewest, row.reference, rule)
    draws = f"{ours.draws} draws, {precision}" if ours.draws > 1 else precision
    sd, half_width, other = (None if math.isnan(x) else x for x in (ours.sd, half, patients))
    return replace(
        row,
        ours=ours.mean,
        n=ours.n,
        verdict=verdict,
        why=f"{why} ({draws})",
        sd=sd,
        half_width=half_width,
        other_patients=other,
        spread=ours,
    )


def judge_dice(
    mean: float, half_width: float, seeds: int, printed: float, rule: DiceRule
) -> tuple[Verdict, str]:
    """Return the verdict on a mean Dice and its reason: the one place where it is decided.

    half_width of the interval around the mean, for another random split of the same slices; seeds:
    the fewest on any draw.
    """
    interval = f"the interval for {Question.ANOTHER_SPLIT}, {mean:.3f} +- {half_width:.3f}"
    if seeds < rule.min_seeds:
        why = f"{seeds} of the {rule.min_seeds} seeds that a verdict needs have been run"
        return Verdict.INCONCLUSIVE, why
    if not math.isfinite(mean + half_width):
        return Verdict.INCONCLUSIVE, "the scores give no interval"
    if abs(mean - printed) > half_width + rule.rounding:
        return Verdict.NOT_REPRODUCED, f"{printed} lies outside {interval}"
    if half_width > rule.max_half_width:
        why = f"{interval}, is wider than +- {rule.max_half_width}"
        return Verdict.INCONCLUSIVE, why
    return Verdict.REPRODUCED, f"{printed} lies in {interval}"


def _exact(
    name: str, printed: float, values: Sequence[float], margin: Margin, why: str, candidates: int
) -> VerdictRow:
    """Judge numbers that must all agree with the printed one to within a margin; the farthest is
    shown. why: what to say where there is none.
    """
    row = VerdictRow(
        name, printed, None, 0, _absent(candidates), why, required=margin.required, set_up=True
    )
    if not values:
        return row
    ours = max(values, key=lambda value: (abs(value - printed), value))
    agree = abs(ours - printed) <= margin.within + 1e-9
    verdict = Verdict.REPRODUCED if agree else Verdict.NOT_REPRODUCED
    why = "equal" if agree else "not equal"
    if margin.within:
        why = f"differs by {'at most' if agree else 'more than'} {margin.within:g}"
    return replace(row, ours=ours, n=len(values), verdict=verdict, why=why)


def _absent(candidates: int) -> Verdict:
    return Verdict.NOT_COMPARABLE if candidates else Verdict.MISSING


def exit_code(rows: Iterable[VerdictRow], strict: bool = False) -> int:
    """1 where a required row is not reproduced (strict: anything but reproduced), else 0."""
    return int(any(row.required and failed(row.verdict, strict) for row in rows))


def failed(verdict: Verdict, strict: bool) -> bool:
    """True where the verdict of a required row fails the comparison."""
    return verdict is not Verdict.REPRODUCED if strict else verdict is Verdict.NOT_REPRODUCED


def counts(rows: Iterable[VerdictRow]) -> dict[Verdict, int]:
    """Return how many rows came to each verdict."""
    counted = Counter(row.verdict for row in rows)
    return {verdict: counted[verdict] for verdict in Verdict}


def verdict_table(rows: Sequence[VerdictRow]) -> Table:
    """The verdicts with a marker each, and their counts below."""
    records = [{name: getattr(row, name) for name in FIELDS} for row in rows]
    built, result = (_tally(row for row in rows if row.set_up is kind) for kind in (True, False))
    notes = (
        f"Network and split, which were built to match: {built}.",
        f"Result: {result}. {SELECTION}",
    )
    return Table("The thesis's printed numbers.", records, COLUMNS, notes, ESSENTIAL)


def _tally(rows: Iterable[VerdictRow]) -> str:
    return ", ".join(f"{n} {verdict}" for verdict, n in counts(rows).items() if n) or "no rows"
