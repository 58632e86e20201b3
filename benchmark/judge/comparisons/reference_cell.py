"""The cell that arms are set against, lent by the records shipped here to a user's panel. Pure.

Lent under the same terms, on the same splits and to other arms than the thesis's alone: runs of its
grid stand by themselves. The one cell, so that no comparison is made that nobody asked for.
"""

from __future__ import annotations

from dataclasses import replace

from benchmark.judge.cells import Cell, Panel, cell_of
from benchmark.judge.comparable import in_cell
from benchmark.judge.comparisons.runs import CONDITIONS
from benchmark.judge.reference import Key
from benchmark.runs.collect import Collected


def has_other_arms(panel: Panel, key: Key) -> bool:
    """True where some run is of another arm than the reference's."""
    return bool((panel.runs["arm"] != key.arm).any())


def lent_reference(panel: Panel, key: Key, ours: Collected) -> Cell | None:
    """Return the reference as the records shipped here have it under a panel's terms, marked.

    None where they lack it there, and for a panel of the thesis's arm alone. Splits are the same
    where their sets are, not by name alone.
    """
    if not has_other_arms(panel, key):
        return None
    there = panel.runs[list(CONDITIONS)].drop_duplicates()
    lent = ours.runs[in_cell(ours.runs, key.arm, key.kernel_size, key.alpha)]
    lent = lent.merge(there, on=list(CONDITIONS))
    return None if lent.empty else replace(cell_of(lent, ours), ours=True)
