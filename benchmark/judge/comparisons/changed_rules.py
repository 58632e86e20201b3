"""Rules of judging that were changed after results were known, old beside new. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmark.judge.reference import RuleChange
from benchmark.judge.tables import Column, Table


def changed_rules_table(changes: Sequence[RuleChange], says: Callable[[str], str]) -> Table:
    """Every change by date; says: what a rule, by its name, says now of the runs at hand."""
    rows = [{**vars(change), "says": says(change.rule)} for change in changes]
    columns = (
        Column("date", "date"),
        Column("rule", "rule"),
        Column("before", "was"),
        Column("now", "now"),
        Column("known by then", "known"),
        Column("the rule before said", "said"),
        Column("the rule now says", "says"),
    )
    note = (
        "What a rule before said is of the records shipped here, on that day; what it says now, of "
        "the runs judged."
    )
    essential = ("date", "rule", "the rule before said", "the rule now says")
    title = "Rules that were changed after results were known."
    return Table(title, rows, columns, (note,), essential)
