"""Open cells as tasks of arrays: each long enough to be worth its start. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmark.launchers.cluster_file import Cluster, Needs
from benchmark.planning.status import CellStatus


@dataclass(frozen=True)
class Array:
    """Tasks that ask for the same; each is the run_ids of its cells, in their order."""

    needs: Needs
    tasks: tuple[tuple[str, ...], ...]

    @property
    def cells(self) -> int:
        """How many all its tasks have."""
        return sum(map(len, self.tasks))


def arrays_of(cells: Iterable[CellStatus], cluster: Cluster) -> list[Array]:
    """One array for each set of needs, in the order of the cells, and so are its tasks.

    A task has cells_per_task cells; else as many as it takes to last minutes_per_task by the
    estimate of what is left of them, and one whose time is not known alone.
    """
    by_needs: dict[Needs, list[CellStatus]] = {}
    for cell in cells:
        by_needs.setdefault(cluster.needs(cell.spec), []).append(cell)
    return [Array(needs, tuple(_tasks(group, needs))) for needs, group in by_needs.items()]


def _tasks(cells: Iterable[CellStatus], needs: Needs) -> Iterable[tuple[str, ...]]:
    task, seconds = list[str](), 0.0
    for cell in cells:
        task.append(cell.spec.run_id)
        seconds += float("inf") if cell.left.seconds is None else cell.left.seconds
        enough = len(task) >= needs.cells_per_task if needs.cells_per_task else (
            seconds >= 60 * needs.minutes_per_task
        )  # fmt: skip
        if enough:
            yield tuple(task)
            task, seconds = [], 0.0
    if task:
        yield tuple(task)
