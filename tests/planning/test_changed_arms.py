"""Open cells that were run with an arm before it was changed: told in one line an arm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from run_records import a_spec, halves, squares, write_run

from benchmark.planning.changed_arms import changed_arms
from benchmark.runs.run_folder import RESULT, SPEC
from benchmark.runs.spec import RunSpec

OLD, NEW = "a" * 64, "b" * 64
SLICES = squares()
SPLIT = halves(SLICES)


def cells(source: str | None = NEW, arm: str = "my-arm", seeds: int = 3) -> list[RunSpec]:
    return [
        a_spec(SLICES, SPLIT, arm=arm, source=source, seed=seed) for seed in range(1, seeds + 1)
    ]


def written(root: Path, *seeds: int, arm: str = "my-arm", source: str | None = OLD) -> Path:
    for seed in seeds:
        folder = write_run(root, SLICES, SPLIT, arm=arm, source=source, seed=seed)
    return folder.path


def test_cells_that_were_run_with_the_old_arm_are_counted(tmp_path: Path) -> None:
    written(tmp_path, 1, 3)
    assert changed_arms(cells(), tmp_path) == [
        (
            "my-arm has changed since 2 of these cells were run: they are open again under names "
            "of their own; the old runs stay."
        )
    ]


def test_one_cell_is_one_cell_however_often_the_arm_was_changed(tmp_path: Path) -> None:
    written(tmp_path, 2)
    written(tmp_path, 2, source="c" * 64)
    assert changed_arms(cells(), tmp_path) == [
        (
            "my-arm has changed since 1 of these cells was run: it is open again under a name of "
            "its own; the old run stays."
        )
    ]


def test_each_arm_has_a_line_of_its_own(tmp_path: Path) -> None:
    written(tmp_path, 1)
    written(tmp_path, 1, arm="other")
    lines = changed_arms(cells() + cells(arm="other"), tmp_path)
    assert [line.split()[0] for line in lines] == ["my-arm", "other"]


def test_a_training_that_was_begun_is_told_as_such(tmp_path: Path) -> None:
    (written(tmp_path, 1) / RESULT).unlink()
    (line,) = changed_arms(cells(), tmp_path)
    assert line.startswith("my-arm has changed since 1 of these cells was begun: ")


def test_runs_from_before_sources_were_recorded_are_told_as_such(tmp_path: Path) -> None:
    written(tmp_path, 1, 2, source=None)
    (line,) = changed_arms(cells(), tmp_path)
    assert line.startswith("2 of these cells were run before the source of my-arm was recorded: ")


def test_runs_with_the_arm_as_it_is_and_other_cells_are_not_told(tmp_path: Path) -> None:
    written(tmp_path, 1, source=NEW)
    written(tmp_path, 4)
    written(tmp_path, 1, arm="your-arm")
    other = replace(cells()[0], split_fingerprint="d" * 64)
    assert changed_arms(cells(), tmp_path) == []
    assert changed_arms([other], tmp_path) == []
    assert changed_arms(cells(), tmp_path / "nowhere") == []


def test_an_arm_of_this_repository_never_changes(tmp_path: Path) -> None:
    written(tmp_path, 1, arm="unet", source=OLD)
    assert changed_arms(cells(None, "unet"), tmp_path) == []


@pytest.mark.parametrize("content", ["{", "{}", '{"spec": {"schema": 9}}'])
def test_a_damaged_record_is_left_to_who_reads_it(tmp_path: Path, content: str) -> None:
    (written(tmp_path, 1) / SPEC).write_text(content)
    assert changed_arms(cells(), tmp_path) == []
