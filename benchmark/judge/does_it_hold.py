"""What stands beside the verdict on the printed Dice: other patients, severity, selection. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.judge.reference import DiceRule, Reference
from benchmark.judge.statistics.prediction_interval import Question, Spread
from benchmark.judge.statistics.selection import Optimism
from benchmark.judge.statistics.severity import chance_of_reproduced
from benchmark.judge.tables import Column, Table
from benchmark.judge.verdicts import VerdictRow, judge_dice


@dataclass(frozen=True)
class Selection:
    """What being the best of so many cells is worth, and on which terms ours show it."""

    optimism: Optimism
    of: int
    terms: str


def answer(
    row: VerdictRow, selection: Selection | None, reference: Reference, rule: DiceRule
) -> list[str]:
    """The sentences behind a verdict on the printed Dice, the one that decides first."""
    lines = [f"{row.why}."]
    if row.half_width is not None and row.other_patients is not None:
        lines.append(
            f"For {Question.OTHER_PATIENTS}, which decides nothing: {row.ours:.3f} +- "
            f"{row.other_patients:.3f}."
        )
    if rows := severity(row.spread, reference, rule):
        at = listed(f"{each['difference']:g}" for each in rows)
        chances = listed(f"{100 * each['chance']:.0f}" for each in rows)
        lines.append(
            f"Severity, at the spread of these trainings: at a true difference of {at} they are "
            f'called "reproduced" {chances} times in 100.'
        )
    if selection and row.ours is not None:
        lines.append(corrected(row, selection, rule))
    if row.spread and row.spread.seeds:
        margin = row.spread.smallest_margin(row.reference, rule.level)
        lines.append(
            f"Equality is shown only to within {margin:.3f} (two one-sided tests; secondary, "
            "decides nothing)."
        )
    return lines


def listed(words: Iterable[str]) -> str:
    """One, two and three."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def severity(spread: Spread | None, reference: Reference, rule: DiceRule) -> list[dict[str, float]]:
    """At each true difference the chance of "reproduced", and as the rule before had it.

    None where there are too few seeds for that verdict, whatever the numbers.
    """
    if spread is None or spread.seeds is None or spread.fewest < rule.min_seeds:
        return []
    now, then = (
        chance_of_reproduced(
            spread,
            rule.true_differences,
            reference.best_cell.seeds,
            level=rule.level,
            max_half_width=rule.max_half_width,
            rounding=rule.rounding,
            before=before,
        )
        for before in (False, True)
    )
    rows = zip(rule.true_differences, now, then, strict=True)
    return [{"difference": d, "chance": n, "before": b} for d, n, b in rows]


def severity_table(
    rows: Sequence[Mapping[str, float]],
    in_place: Sequence[Mapping[str, float]],
    limit: float,
) -> Table:
    """How often "reproduced" would be said at some true differences, by this rule and the last.

    in_place: the same with a replaced training in place of its successor, empty without one; limit:
    the half width above which neither rule says it.
    """
    columns = [
        Column("true difference", "difference", "{:g}"),
        Column("chance of reproduced", "chance", "{:.2f}"),
        Column("by the rule before", "before", "{:.2f}"),
    ]
    if in_place:
        columns += [
            Column("with the replaced training in place", "in_place", "{:.2f}"),
            Column("that by the rule before", "in_place_before", "{:.2f}"),
        ]
        rows = [
            {**row, "in_place": other["chance"], "in_place_before": other["before"]}
            for row, other in zip(rows, in_place, strict=True)
        ]
    note = (
        "Simulated as if the spread of these trainings were the true one, for another split of the "
        "same slices. The rule before 2026-11-30 decided by the interval for other patients; where "
        "that one says reproduced less often at no difference, though it is the wider, it is "
        f"because it passes the limit of {limit:g} more often."
    )
    return Table("How severe the verdict is.", rows, columns, (note,))


def corrected(row: VerdictRow, selection: Selection, rule: DiceRule) -> str:
    """The printed number without what its choice is worth, and the verdict on that."""
    found = selection.optimism
    low, high = (row.reference - excess for excess in (found.most, found.least))
    line = (
        f"{row.reference:g} corrected for being the best of {selection.of}: about {low:.3f} to "
        f"{high:.3f} (winner's curse, simulated from {found.cells} cells at {selection.terms})"
    )
    if row.ours is None or row.half_width is None or row.spread is None:
        return f"{line}."
    verdicts = [
        judge_dice(row.ours, row.half_width, row.spread.fewest, end, rule)[0] for end in (low, high)
    ]
    if verdicts[0] is verdicts[1]:
        return f"{line}; at either end the verdict is: {verdicts[0]}."
    return f"{line}; at the lower end the verdict is: {verdicts[0]}, at the higher: {verdicts[1]}."
