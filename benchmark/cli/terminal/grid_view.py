"""A grid as a table of states: arms and kernels down, alphas across. Pure; `grid_table` draws
it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.planning.status import CellStatus
from benchmark.planning.time_estimate import learnt_from, left, span
from benchmark.runs.run_folder import RunState
from benchmark.runs.spec import RunSpec

Row = tuple[str, tuple[tuple[str, Any], ...]]  # an arm and its parameters but alpha
ORDER = (RunState.DONE, RunState.RUNNING, RunState.PARTIAL, RunState.FAILED, RunState.PENDING)


@dataclass(frozen=True)
class Share:
    """Cells in one state: how many, and the last finished epochs (from 0) of those that run or were
    cut, ascending.
    """

    state: RunState
    count: int
    epochs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Entry:
    """Cells that differ in seed and split alone. shares: of the states that occur; seconds: left,
    None if not known.
    """

    shares: tuple[Share, ...]
    seconds: float | None

    @property
    def total(self) -> int:
        """How many cells there are."""
        return sum(share.count for share in self.shares)


@dataclass(frozen=True)
class GridView:
    """A grid at one moment. entries: a tuple per row, an Entry or None (no such cell) per column.

    columns is empty where no arm knows alpha; whole is the entry of all cells; time_left is in
    words.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    entries: tuple[tuple[Entry | None, ...], ...]
    whole: Entry
    time_left: str


def view(
    cells: Sequence[CellStatus], needs_click: Collection[str] = (), at_once: int = 1
) -> GridView:
    """Arrange cells: rows in the order of the cells, columns by alpha, "none" being that of arms
    without alpha.

    needs_click: arms that are marked as shown a click; at_once: how many processes share what is
    left.
    """
    names = _names(dict.fromkeys(_row(cell.spec) for cell in cells), needs_click)
    columns = sorted(
        {_alpha(cell.spec) for cell in cells}, key=lambda alpha: (alpha is not None, alpha)
    )
    places: dict[tuple[Row, float | None], list[CellStatus]] = {}
    for cell in cells:
        places.setdefault((_row(cell.spec), _alpha(cell.spec)), []).append(cell)
    return GridView(
        rows=tuple(names.values()),
        columns=()
        if columns == [None]
        else tuple("none" if alpha is None else f"{alpha:g}" for alpha in columns),
        entries=tuple(
            tuple(_entry(places.get((row, alpha), [])) for alpha in columns) for row in names
        ),
        whole=_entry(cells) or Entry((), 0.0),
        time_left=time_left(cells, at_once),
    )


def time_left(cells: Iterable[CellStatus], at_once: int = 1) -> str:
    """What is left of cells in words: how long, of how many that is not known, and where it was
    learnt.
    """
    rest = [cell.left for cell in cells if cell.state is not RunState.DONE]
    seconds, unknown = left(rest)
    shared = f", shared by {at_once} workers" if at_once > 1 else ""
    more = f", and {unknown} cells of unknown cost" if unknown else ""
    learnt = f" (from {words})" if (words := learnt_from(rest)) else ""
    return f"{span(seconds / at_once)}{shared}{more}{learnt}" if rest else "none"


def _alpha(spec: RunSpec) -> float | None:
    alpha = spec.params.get("alpha")
    return alpha if isinstance(alpha, int | float) else None


def _row(spec: RunSpec) -> Row:
    return spec.arm, tuple(
        sorted((key, value) for key, value in spec.params.items() if key != "alpha")
    )


def _names(rows: Iterable[Row], needs_click: Collection[str]) -> dict[Row, str]:
    """Each row's name: its arm, its kernel, and the parameters in which it differs from other rows
    of its arm.
    """
    rows, names = list(rows), {}
    for arm, params in rows:
        alike = [dict(others) for name, others in rows if name == arm]
        words = [f"{value}x{value}" for key, value in params if key == "kernel_size"]
        differs = [
            (k, v)
            for k, v in params
            if k != "kernel_size" and any(others.get(k) != v for others in alike)
        ]
        words += [f"{key}={value}" for key, value in differs]
        names[arm, params] = " ".join([arm, *words, *(["(click)"] if arm in needs_click else [])])
    return names


def _entry(cells: Sequence[CellStatus]) -> Entry | None:
    shares = []
    for state in ORDER:
        there = [cell for cell in cells if cell.state is state]
        begun = [
            cell.epochs.last
            for cell in there
            if state in (RunState.RUNNING, RunState.PARTIAL) and cell.epochs.dice
        ]
        shares += [Share(state, len(there), tuple(sorted(begun)))] if there else []
    seconds, unknown = left(cell.left for cell in cells)
    return Entry(tuple(shares), None if unknown else seconds) if cells else None
