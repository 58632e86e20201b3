"""Networks and classical arms against a second reader, on the slices that both outlined. Pure.

A second reader has outlined slices of the data anew. Reader 1's outlines are the truth that arms
are trained on and scored against; so the second reader's Dice against them says how well two
readers agree, and an arm's Dice less it, slice by slice, whether the arm agrees with reader 1 as
well as another reader does. The reader is a cell that does not train. Of the mean difference the
variance is

    v = v_patient + (s^2 - i^2) sum of shares^2 + r^2 sum of squared shares of draws

the first two as in every contrast (`statistics.contrast`, `statistics.crossed`); the last is what
training sets bring (`sets_of`), which stays in this difference, since a reader has none.

A cell is *equivalent* to the reader where two one-sided tests put the difference within the rule's
margin, else *agrees more* or *less* where a two-sided test tells it from 0; p of either after Holm
over the cells of a panel. A cell that trains and has one seed on each split is *undecided*, and
counts in Holm's family as if nothing spoke for it. Arms that saw a click are not ranked.

It measures agreement, not truth: an arm may learn what is peculiar to reader 1.

Source: two one-sided tests, Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15 (1987) 657.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import pandas as pd

from benchmark.judge.cells import Cell, Panel
from benchmark.judge.comparisons.arms import NO_PATIENTS, p_text
from benchmark.judge.comparisons.measures import THIRDS, thirds
from benchmark.judge.comparisons.runs import LEGEND, named
from benchmark.judge.reference import SecondReaderRule, Tolerances
from benchmark.judge.statistics.contrast import DICE, NO_SPREAD, common, contrast, mean
from benchmark.judge.statistics.estimate import Estimate, holm, too_few
from benchmark.judge.statistics.prediction_interval import sets_of
from benchmark.judge.statistics.spread_of_seeds import Spreads, spreads
from benchmark.judge.tables import Column, Record, Table

WHOSE = (
    "Reader 1's outlines are Cheng's, on which arms are trained and scored; the second reader's "
    "are those of BRISC 2025. Who drew those, and whether they saw reader 1's, is not known. It is "
    "agreement and not truth: an arm can learn what is peculiar to reader 1, which a second reader "
    "need not share. The same slices are no external test set."
)
TRAINED = (
    "Difference: the arm's mean Dice less the second reader's, over the same slices, each averaged "
    "over the seeds that tested it; its interval includes the spread of seeds and what training "
    "sets bring. p is corrected for the number of arms (Holm), intervals are not."
)
ONCE = "fewer than {} seeds on each split; the interval takes it to vary as others do"


class Standing(StrEnum):
    """What an arm's difference from the second reader came to."""

    EQUIVALENT = "equivalent"
    MORE = "agrees more"
    LESS = "agrees less"
    UNDECIDED = "undecided"
    CLICK = "not ranked"


@dataclass(frozen=True, eq=False)
class SecondReading:
    """scores: a row per slice with the columns of scores.csv, the second reader's outline in the
    place of the prediction; within: the same of slices that were outlined twice, one of the second
    source's outlines in the place of the truth, another in that of the prediction.
    """

    scores: pd.DataFrame
    within: pd.DataFrame


@dataclass(frozen=True, eq=False)
class AgainstReader:
    """One cell beside the second reader, on the splits where it has the seeds that a verdict takes;
    without one, on all of its own.

    cell: its rows on slices that the reader outlined; apart: the same, of each Dice the reader's
    taken off. difference: mean of apart; None where it cannot be told, and why says so. p: that it
    is 0; p_apart: that it is as large as the margin or larger; both Holm's.
    """

    cell: Cell
    apart: Cell
    difference: Estimate | None = None
    p: float | None = None
    p_apart: float | None = None
    standing: Standing = Standing.UNDECIDED
    why: str = ""
    once: bool = False

    @property
    def dice(self) -> float:
        return mean(self.cell, DICE)

    @property
    def reader_dice(self) -> float:
        """The second reader's mean on the same slices, in which each weighs the same."""
        return self.dice - mean(self.apart, DICE)


def against_reader(panel: Panel, reading: SecondReading, rules: Tolerances) -> list[AgainstReader]:
    """Set every cell of a panel that tested a slice with a second reading against the reader.

    Nearest to reader 1 first, clicked arms last. Patients that are unknown, or one alone, give no
    difference. The panel's slices are taken to be those that the reader outlined.
    """
    fewest = rules.intervals.fewest_seeds
    known = reading.scores.set_index("slice_id")["dice"]
    pairs = [pair for cell in panel.cells if (pair := _paired(cell, known, fewest))]
    varying = spreads([apart for _, apart in pairs], DICE)
    rows = [_compared(*pair, varying, rules) for pair in pairs]
    rows = _after_holm(rows, rules.second_reader)
    return sorted(rows, key=lambda row: (row.cell.needs_click, -row.dice, row.cell.name))


def _paired(cell: Cell, known: pd.Series[float], fewest_seeds: int) -> tuple[Cell, Cell] | None:
    """A cell on the slices that have a second reading, and its Dice there less the reader's."""
    own = cell.where(lambda rows: rows["slice_id"].isin(known.index))
    if own.rows.empty:
        return None
    (own,) = common([own.on(set(own.rows["split_id"]))], fewest_seeds)
    less = own.rows["dice"] - own.rows["slice_id"].map(known)
    return own, own.rescored({"dice": less.to_numpy(dtype=float)})


def _compared(cell: Cell, apart: Cell, varying: Spreads, rules: Tolerances) -> AgainstReader:
    """One cell beside the reader, its p not corrected and its standing open."""
    found, fewest = _difference(apart, varying, rules), rules.intervals.fewest_seeds
    row = AgainstReader(cell, apart, found)
    if cell.needs_click:
        return replace(row, standing=Standing.CLICK, why="was given a click")
    if found is None:
        return replace(row, why=NO_PATIENTS if varying.of([apart]) else NO_SPREAD)
    p_apart = found.p_of_margin(rules.second_reader.margin)
    row = replace(row, p=found.p_value(), p_apart=p_apart)
    if cell.seeded and cell.most_seeds < fewest:
        return replace(row, once=True, why=ONCE.format(fewest))
    return row


def _difference(apart: Cell, varying: Spreads, rules: Tolerances) -> Estimate | None:
    """The mean difference with all that it varies by; None where that is not known."""
    seeds = varying.of([apart])
    found = contrast([(1.0, apart)], DICE, seeds)
    if found is None or seeds is None or not apart.seeded:
        return found
    sets = sets_of(apart, seeds, rules.dice.training_set_sd)
    return Estimate(found.value, found.variance + sets)


def _after_holm(rows: Sequence[AgainstReader], rule: SecondReaderRule) -> list[AgainstReader]:
    """The rows with Holm's p and the standing that follows."""
    once = [row.once for row in rows if row.p is not None]
    p, p_apart = (
        iter(_corrected([own for own in values if own is not None], once))
        for values in ([row.p for row in rows], [row.p_apart for row in rows])
    )
    return [
        row if row.p is None else _judged(replace(row, p=next(p), p_apart=next(p_apart)), rule)
        for row in rows
    ]


def _corrected(values: Sequence[float], once: Sequence[bool]) -> list[float]:
    """Holm's p, in which those of cells trained once count as 1; their own as if they counted."""
    shown = holm(values)
    firm = holm([1.0 if single else p for p, single in zip(values, once, strict=True)])
    return [s if single else f for s, f, single in zip(shown, firm, once, strict=True)]


def _judged(row: AgainstReader, rule: SecondReaderRule) -> AgainstReader:
    """The row with its standing, p being Holm's: the one place where it is decided."""
    if row.once or row.difference is None or row.p is None or row.p_apart is None:
        return row
    if row.p_apart < 1 - rule.level:
        return replace(row, standing=Standing.EQUIVALENT)
    if row.p < 1 - rule.level:
        more = row.difference.value > 0
        return replace(row, standing=Standing.MORE if more else Standing.LESS)
    return replace(row, why="may be 0, and may be the margin or more")


def against_reader_table(
    panel: Panel, rows: Sequence[AgainstReader], rule: SecondReaderRule
) -> Table:
    """The comparisons of one panel, of which there are some."""
    interval = f"{rule.level:.0%} interval"
    columns = (
        Column("arm", named),
        Column("seeds x splits", lambda row: (row["seeds"] or "-", row["splits"]), "{} x {}"),
        Column("slices", "slices"),
        Column("patients", "patients"),
        Column("mean Dice", "dice", "{:.3f}"),
        Column("second reader's", "reader_dice", "{:.3f}"),
        Column("difference", "difference", "{:+.3f}"),
        Column(interval, ("low", "high"), "{:+.3f} to {:+.3f}"),
        Column("p (Holm)", "p", p_text),
        Column("equivalent within", "within", "{:.3f}"),
        Column("p of equivalence", "p_apart", p_text),
        Column("verdict", "standing"),
        Column("why", "why"),
    )
    margin = (
        f"Equivalent: two one-sided tests at {1 - rule.level:.0%} put the difference within "
        f"{rule.margin:g} on either side of 0 (p of equivalence, Holm). Equivalent within: the "
        "smallest margin at which they do, not corrected."
    )
    notes = [TRAINED, margin, WHOSE]
    left_out = [c.name for c in panel.cells if not any(_same(c, row.cell) for row in rows)]
    if left_out:
        notes.append(
            f"Left out, for no slice that they tested was read twice: {', '.join(left_out)}."
        )
    notes += [LEGEND] if any(row.cell.needs_click for row in rows) else []
    essential = ("arm", "slices", "mean Dice", "second reader's", "difference", interval, "verdict")
    records = [_record(row, rule.level) for row in rows]
    title = f"Against a second reader, {panel.title}."
    return Table(title, records, columns, tuple(notes), essential)


def against_in_words(row: AgainstReader, level: float) -> str:
    """One cell beside the reader, as a sentence goes on after its name."""
    counts = _counts(row.cell)
    beside = (
        f"{row.dice:.3f} against the second reader's {row.reader_dice:.3f} on the same "
        f"{counts['slices']} slices of {counts['patients']} patients"
    )
    if row.difference is None:
        return f"{beside}; {row.why}"
    low, high = row.difference.interval(level)
    told = f"difference {row.difference.value:+.3f}, {level:.0%} interval {low:+.3f} to {high:+.3f}"
    return f"{beside}; {told}{f'; {row.why}' if row.once else ''}"


def _same(cell: Cell, other: Cell) -> bool:
    return (cell.arm, cell.params, cell.source) == (other.arm, other.params, other.source)


def _record(row: AgainstReader, level: float) -> Record:
    low, high = row.difference.interval(level) if row.difference else (None, None)
    return {
        "arm": row.cell.name,
        "params": row.cell.params,
        "click": row.cell.needs_click,
        **_counts(row.cell),
        "dice": row.dice,
        "reader_dice": row.reader_dice,
        "difference": row.difference.value if row.difference else None,
        "low": low,
        "high": high,
        "p": row.p,
        "within": row.difference.smallest_margin(level) if row.difference else None,
        "p_apart": row.p_apart,
        "standing": row.standing.value,
        "why": row.why,
    }


def _counts(cell: Cell) -> Record:
    """What a comparison rests on."""
    return {
        "seeds": cell.most_seeds,
        "splits": cell.rows["split_id"].nunique(),
        "slices": len(cell.rows.drop_duplicates(["split_id", "slice_id"])),
        "patients": cell.rows["patient_id"].nunique(),
    }


def by_size_table(
    panel: Panel, rows: Sequence[AgainstReader], reading: SecondReading, rules: Tolerances
) -> Table | None:
    """The difference by thirds of the truth's area, of the cells that a verdict may rest on.

    A part of few slices or patients has no interval. None where no cell is left.
    """
    own, area = firm(rows), reading.scores.set_index("slice_id")["truth_mm2"]
    third = thirds(area, rules.sizes)
    parts = {name: set(third.index[third == name]) for name in THIRDS}
    records = [{**row, "tumours": name} for name, part in parts.items()
               for row in _of_slices(part, own, rules)]  # fmt: skip
    if not records:
        return None
    interval = f"{rules.second_reader.level:.0%} interval"
    columns = (
        Column("arm", "arm"),
        Column("tumours", "tumours"),
        Column("slices", "slices"),
        Column("patients", "patients"),
        Column("mean Dice", "dice", "{:.3f}"),
        Column("second reader's", "reader_dice", "{:.3f}"),
        Column("difference", "difference", "{:+.3f}"),
        Column(interval, ("low", "high"), "{:+.3f} to {:+.3f}"),
    )
    few, (small, large) = rules.intervals, rules.sizes.edges_mm2
    note = (
        f"By the area of reader 1's outline: small is under {small:g} mm2, large {large:g} mm2 and "
        f"more. No interval for a part of fewer than {few.fewest_slices} slices or "
        f"{few.fewest_patients} patients; no verdict by size."
    )
    essential = ("arm", "tumours", "slices", "mean Dice", "second reader's", "difference", interval)
    title = f"Against a second reader by tumour size, {panel.title}."
    records.sort(key=lambda record: record["arm"])
    return Table(title, records, columns, (note,), essential)


def firm(rows: Sequence[AgainstReader]) -> list[AgainstReader]:
    """Those that more can be told of: from the seeds that a verdict takes, and without a click."""
    return [row for row in rows if not row.once and not row.cell.needs_click]


def _of_slices(
    slices: Collection[int], rows: Sequence[AgainstReader], rules: Tolerances
) -> list[Record]:
    """The cells on some slices, those that tested any."""

    def inside(rows: pd.DataFrame) -> pd.Series[bool]:
        return rows["slice_id"].isin(slices)

    parts = [(row.cell.where(inside), row.apart.where(inside)) for row in rows]
    parts = [both for both in parts if len(both[0].rows)]
    varying = spreads([apart for _, apart in parts], DICE)
    return [_part(cell, apart, varying, rules) for cell, apart in parts]


def _part(cell: Cell, apart: Cell, varying: Spreads, rules: Tolerances) -> Record:
    slices = cell.rows.drop_duplicates(["split_id", "slice_id"])["patient_id"].tolist()
    found = None if too_few(slices, rules.intervals) else _difference(apart, varying, rules)
    low, high = found.interval(rules.second_reader.level) if found else (None, None)
    less = mean(apart, DICE)
    own = {"dice": mean(cell, DICE), "reader_dice": mean(cell, DICE) - less, "difference": less}
    what = {"arm": cell.name, "params": cell.params, **_counts(cell)}
    return {**what, **own, "low": low, "high": high}
