"""The cell that arms are set against: the user's own, else lent by the records shipped here. Pure.

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


def is_reference(cell: Cell, key: Key) -> bool:
    """True for the cell that a rule names."""
    same = cell.arm == key.arm and cell.kernel_size == key.kernel_size
    return same and abs(cell.alpha - key.alpha) < 1e-9


def has_other_arms(panel: Panel, key: Key) -> bool:
    """True where some run is of another arm than the reference's."""
    return bool((panel.runs["arm"] != key.arm).any())


def reference_cell(panel: Panel, key: Key, ours: Collected | None) -> Cell | None:
    """Return the reference of a panel, None where there is none.

    ours: the records shipped here, where the panel is a user's; what they lend is marked as ours.
    Splits are the same where their sets are, not by name alone.
    """
    own = next((cell for cell in panel.cells if is_reference(cell, key)), None)
    if own is not None or ours is None or not has_other_arms(panel, key):
        return own
    there = panel.runs[list(CONDITIONS)].drop_duplicates()
    lent = ours.runs[in_cell(ours.runs, key.arm, key.kernel_size, key.alpha)]
    lent = lent.merge(there, on=list(CONDITIONS))
    return None if lent.empty else replace(cell_of(lent, ours), ours=True)
