"""Failure cases in words: above a picture, in a caption, and for who cannot see the figure.
Pure.
"""

from __future__ import annotations

from typing import Any

from benchmark.report.slices.failures import FailureCases


def named(cases: FailureCases) -> str:
    """A rule's kind, as a sentence begins with it."""
    return cases.kind[0].upper() + cases.kind[1:]


def count(cases: FailureCases) -> str:
    """How many met a rule, or are shown, in brackets after a space; empty where that was not
    measured.
    """
    if not cases.measured:
        return ""
    if len(cases.table) < cases.found:
        return f" ({len(cases.table)} of {cases.found} shown)"
    return f" ({cases.found} met it)" if cases.found else " (none met it)"


def none(cases: FailureCases) -> str:
    """Why there is no case."""
    return "no tested slice meets the rule" if cases.measured else cases.rule


def told(cases: FailureCases) -> str:
    """The cases in words, for who cannot see them."""
    if not cases.found:
        return f"{none(cases)}."
    return (
        "; ".join(f"{heading(row)}" for row in cases.table.itertuples()).replace("\n", ", ") + "."
    )


def heading(row: Any) -> str:
    """What stands above a picture: the truth and how well it was found, below it the prediction.
    Missed is Dice 0.
    """
    missed = row.truth_mm2 and not row.dice
    predicted = (
        f"{row.predicted_mm2:.0f} mm² predicted" if row.predicted_mm2 else "nothing predicted"
    )
    where = " elsewhere" if missed and row.predicted_mm2 else ""
    dice = "missed" if missed else f"Dice {row.dice:.2f}"
    return f"slice {row.slice_id}, {row.truth_mm2:.0f} mm², {dice}\n{predicted}{where}"
