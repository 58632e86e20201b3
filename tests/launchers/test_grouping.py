"""Cells into tasks: none lost, none twice, each task long enough, unlike needs apart."""

from __future__ import annotations

from typing import Any

import pytest
from bench_forms import small_recipe
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from benchmark.launchers.cluster_file import Cluster, Needs, Rule
from benchmark.launchers.grouping import Array, arrays_of
from benchmark.planning.status import CellStatus
from benchmark.planning.time_estimate import TimeEstimate
from benchmark.runs.run_folder import RunState
from benchmark.runs.spec import RunSpec

LARGE = Rule({"kernel_size": [9]}, {"minutes": 1440, "cells_per_task": 1})


def cell(number: int, minutes: float | None, kernel_size: int = 3) -> CellStatus:
    data: Any = {"dataset_id": "d", "content_fingerprint": "c", "split_fingerprint": "s"}
    own: Any = {"arm": "unet", "recipe": small_recipe(), "seed": number, **data}
    params = {"kernel_size": kernel_size}
    spec = RunSpec(params=params, split_id="by-image-1", shape=(64, 64), **own)
    seconds = None if minutes is None else minutes * 60
    return CellStatus(spec, RunState.PENDING, left=TimeEstimate(seconds))


def cells_of(*minutes: float | None) -> list[CellStatus]:
    return [cell(number, each) for number, each in enumerate(minutes)]


def sizes(array: Array) -> list[int]:
    return [len(task) for task in array.tasks]


@pytest.mark.parametrize(
    ("minutes", "tasks"),
    [((10, 10, 10, 10), [3, 1]), ((29, 29), [2]), ((30, 5, 25, 1), [1, 2, 1]), ((90,), [1]),
     ((5, None, 5), [2, 1]), ((), [])],
)  # fmt: skip
def test_a_task_is_closed_once_it_lasts_half_an_hour(
    minutes: tuple[float | None, ...], tasks: list[int]
) -> None:
    """The default; a cell whose time is not known closes it."""
    found = [sizes(array) for array in arrays_of(cells_of(*minutes), Cluster())]
    assert found == ([tasks] if tasks else [])


def test_a_number_of_cells_is_kept_to_whatever_they_take() -> None:
    cluster = Cluster(Needs(cells_per_task=2))
    (array,) = arrays_of(cells_of(500, None, 1, 1, 1), cluster)
    assert sizes(array) == [2, 2, 1]
    assert array.cells == 5


def test_cells_of_unlike_needs_are_in_arrays_of_their_own() -> None:
    cells = [cell(number, 20, kernel) for number, kernel in enumerate((3, 9, 5, 9, 3))]
    most, large = arrays_of(cells, Cluster(Needs(cpus=2), (LARGE,)))
    assert (most.needs, sizes(most)) == (Needs(cpus=2), [2, 1])
    assert (large.needs, sizes(large)) == (Needs(cpus=2, minutes=1440, cells_per_task=1), [1, 1])


@law
@given(
    st.lists(st.tuples(st.none() | st.floats(0, 100), st.sampled_from((3, 9))), max_size=20),
    st.integers(0, 4),
)
def test_every_cell_is_in_one_task_and_in_the_order_of_the_grid(
    what: list[tuple[float | None, int]], per_task: int
) -> None:
    cells = [cell(number, minutes, kernel) for number, (minutes, kernel) in enumerate(what)]
    arrays = arrays_of(cells, Cluster(Needs(cells_per_task=per_task), (LARGE,)))
    ids = [cell.spec.run_id for cell in cells]
    given_away = [run_id for array in arrays for task in array.tasks for run_id in task]
    assert sorted(given_away) == sorted(ids)
    for array in arrays:
        own = [run_id for task in array.tasks for run_id in task]
        assert own == sorted(own, key=ids.index)
        assert all(array.tasks)
    assert len({array.needs for array in arrays}) == len(arrays)
