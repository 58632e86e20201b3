"""The run folder: states, atomic writes, the lock, stored predictions, damage."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bench_forms import FAULTY, process, small_recipe, spec_of
from data_forms import damaged
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from strategies import costly, law

from benchmark.data.slices import SliceSet
from benchmark.errors import RecordError, RunLockedError
from benchmark.protocol import Recipe
from benchmark.runs import run_folder
from benchmark.runs.environment import RESUME_KEYS
from benchmark.runs.run_folder import (
    RunFolder,
    RunState,
    pack_masks,
    read_json,
    unpack_masks,
    write_json,
)
from benchmark.runs.spec import SCHEMA, RunSpec
from benchmark.splits.split import make

HERE = {"device_kind": "cpu", "gpu": None, "processor": "this", "torch": "2.10", "monai": "1.5",
        "numpy": "2.0", "threads": 1, "cores": 8}  # fmt: skip


@pytest.fixture
def spec(slices: SliceSet, recipe: Recipe) -> RunSpec:
    return spec_of("faulty", FAULTY, slices, make(slices, recipe.split, 1), recipe)


@pytest.fixture
def folder(spec: RunSpec, tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path, spec.run_id)


@pytest.fixture
def begun(folder: RunFolder, spec: RunSpec) -> RunFolder:
    folder.path.mkdir()
    folder.begin(spec, HERE, RESUME_KEYS)
    return folder


@pytest.mark.parametrize(
    ("names", "state"),
    [
        ([], RunState.PENDING),
        ([".lock"], RunState.PENDING),
        (["spec.json"], RunState.PARTIAL),
        (["spec.json", "environment.json", "checkpoint.pt", ".lock"], RunState.PARTIAL),
        (["spec.json", "history.csv"], RunState.PARTIAL),
        (["spec.json", "scores.csv", "predictions.zip", "timing.json"], RunState.PARTIAL),
        (["spec.json", "failure.json"], RunState.FAILED),
        (["spec.json", "failure.json", "result.json"], RunState.DONE),
    ],
)
def test_the_state_is_what_the_files_say(
    folder: RunFolder, names: list[str], state: RunState
) -> None:
    folder.path.mkdir()
    for name in names:
        (folder / name).touch()
    assert folder.state is state


def test_a_folder_that_is_not_there_is_pending_and_stays_away(folder: RunFolder) -> None:
    assert folder.state is RunState.PENDING
    assert not folder.path.exists()


def test_beginning_writes_the_spec_and_the_environment(begun: RunFolder, spec: RunSpec) -> None:
    assert begun.state is RunState.PARTIAL
    assert read_json(begun / "spec.json") == {
        "run_id": spec.run_id,
        "split_id": "by-image-1",
        "protocol": "thesis",
        "phantom": False,
        "spec": json.loads(json.dumps(spec.canonical())),
    }
    assert read_json(begun / "environment.json") == HERE


def test_the_protocol_and_phantoms_stand_beside_the_spec(folder: RunFolder, spec: RunSpec) -> None:
    folder.path.mkdir()
    other = replace(spec, recipe=small_recipe("patient"), split_id="by-patient-2")
    folder.begin(other, HERE, RESUME_KEYS, True)
    stored = read_json(folder / "spec.json")
    expected = {"protocol": "patient", "split_id": "by-patient-2", "phantom": True}
    assert expected.items() <= stored.items()


@pytest.mark.parametrize(
    ("written", "threads"),
    [(3, 3), (0, None), (-1, None), (True, None), ("2", None), (2.0, None), (None, None)],
)
def test_the_threads_a_run_was_begun_with_are_a_count_or_unknown(
    begun: RunFolder, written: object, threads: int | None
) -> None:
    write_json(begun / "environment.json", {**HERE, "threads": written})
    assert begun.threads == threads


def test_without_its_environment_a_run_has_no_known_threads_and_its_checkpoint_is_not_gone_on_from(
    begun: RunFolder, spec: RunSpec
) -> None:
    (begun / "checkpoint.pt").write_text("weights")
    (begun / "environment.json").unlink()
    assert begun.threads is None
    assert begun.begin(spec, HERE, RESUME_KEYS) == (False, "")
    assert not (begun / "checkpoint.pt").exists()


def test_a_failure_counts_from_the_very_moment_on(begun: RunFolder) -> None:
    assert not begun.failed_since(0)
    begun.fail(ValueError("x"), "where")
    os.utime(begun / "failure.json", (100, 100))
    assert [begun.failed_since(moment) for moment in (99.5, 100, 100.5)] == [True, True, False]


def test_a_lock_that_cannot_be_taken_is_nobodys_work(begun: RunFolder) -> None:
    """As in a folder that may only be read; for root a folder of that name does as well."""
    (begun / ".lock").mkdir()
    assert not begun.locked()
    assert begun.state is RunState.PARTIAL


def test_a_folder_of_another_run_is_refused_and_left_alone(begun: RunFolder, spec: RunSpec) -> None:
    before = (begun / "spec.json").read_bytes()
    with pytest.raises(RecordError, match="holds another run"):
        begun.begin(replace(spec, shape=(128, 128)), HERE, RESUME_KEYS)
    assert (begun / "spec.json").read_bytes() == before


def test_finishing_writes_the_result_with_the_hashes(begun: RunFolder, spec: RunSpec) -> None:
    scores, masks = pd.DataFrame({"slice_id": [7], "dice": [0.1 + 0.2]}), {7: np.eye(5, dtype=bool)}
    begun.finish(scores, masks, {"fit_seconds": 1.5}, {"fit": {}})
    assert begun.state is RunState.DONE
    result = read_json(begun / "result.json")
    assert (result["schema"], result["run_id"]) == (SCHEMA, spec.run_id)
    for name in ("scores.csv", "predictions.zip"):
        assert result["sha256"][name] == run_folder.file_sha256(begun / name)
    assert (begun / "scores.csv").read_text() == "slice_id,dice\n7,0.30000000000000004\n"


def test_a_failure_is_told_and_forgotten_when_the_run_begins_again(
    begun: RunFolder, spec: RunSpec
) -> None:
    begun.fail(ValueError("what was wrong"), "where")
    assert begun.state is RunState.FAILED
    failure = read_json(begun / "failure.json")
    assert failure == {"error": "ValueError", "message": "what was wrong", "traceback": "where"}
    begun.begin(spec, HERE, RESUME_KEYS)
    assert begun.state is RunState.PARTIAL


def test_a_checkpoint_is_gone_on_from_where_nothing_changed(
    begun: RunFolder, spec: RunSpec
) -> None:
    (begun / "checkpoint.pt").write_text("weights")
    (begun / "history.csv").write_text("epoch\n0\n")
    more_cores = {**HERE, "cores": 64}  # changes no bit
    assert begun.begin(spec, more_cores, RESUME_KEYS) == (True, "")
    assert (begun / "checkpoint.pt").read_text() == "weights"
    assert (begun / "history.csv").exists()


@pytest.mark.parametrize(
    "change",
    [{"torch": "9.9"}, {"threads": 2}, {"device_kind": "cuda"}, {"gpu": "A"},
     {"processor": "another"}, {"monai": "9.9"}, {"numpy": "9.9"}],
)  # fmt: skip
def test_a_checkpoint_of_other_circumstances_is_dropped(
    begun: RunFolder, spec: RunSpec, change: dict[str, object]
) -> None:
    (begun / "checkpoint.pt").write_text("weights")
    (begun / "history.csv").write_text("epoch\n0\n")
    going_on, why = begun.begin(spec, {**HERE, **change}, RESUME_KEYS)
    assert not going_on
    assert all(f"{key} was {HERE[key]} and is {value}" in why for key, value in change.items())
    assert not (begun / "checkpoint.pt").exists()
    assert not (begun / "history.csv").exists()
    assert read_json(begun / "environment.json") == {**HERE, **change}


def test_what_a_killed_process_left_half_written_is_cleared_away(
    begun: RunFolder, spec: RunSpec
) -> None:
    for name in (".scores.csv.123.tmp", "checkpoint.tmp"):
        (begun / name).write_text("half")
    begun.begin(spec, HERE, RESUME_KEYS)
    assert not list(begun.path.glob("*.tmp"))
    assert not list(begun.path.glob(".*.tmp"))


def test_numbers_that_json_cannot_hold_become_null(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    numbers = {"c": np.float64("nan"), "d": np.int64(4)}
    write_json(path, {"a": math.nan, "b": [math.inf, (1, -math.inf)], 3: numbers})
    assert "NaN" not in path.read_text()
    expected = {"a": None, "b": [None, [1, None]], "3": {"c": None, "d": 4}}
    assert json.loads(path.read_text()) == expected


def test_history_is_rewritten_whole(begun: RunFolder) -> None:
    rows = [{"epoch": 0, "val_dice": 0.1}, {"epoch": 1, "val_dice": 0.30000000000000004}]
    begun.write_history(rows[:1])
    begun.write_history(rows)
    assert (begun / "history.csv").read_text() == "epoch,val_dice\n0,0.1\n1,0.30000000000000004\n"
    begun.write_history([])
    assert "0.30000000000000004" in (begun / "history.csv").read_text()


@pytest.fixture
def other(folder: RunFolder) -> Iterator[subprocess.Popen[str]]:
    """The number of another process that holds the folder's lock."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from benchmark.runs.run_folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1]), sys.argv[2]).lock():\n"
        "    print('held', flush=True); time.sleep(600)\n"
    )
    child = process(["-c", code, str(folder.path.parent), folder.run_id], cwd=folder.path.parent)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.communicate()


def test_a_lock_lives_as_long_as_its_process(
    folder: RunFolder, other: subprocess.Popen[str]
) -> None:
    assert folder.locked()
    assert folder.state is RunState.RUNNING
    with pytest.raises(RunLockedError, match="another process"), folder.lock():
        pass
    other.kill()
    other.wait()
    assert not folder.locked()
    with folder.lock():
        assert folder.state is RunState.RUNNING
    assert folder.state is RunState.PENDING


def test_an_error_under_the_lock_frees_it_and_comes_through(folder: RunFolder) -> None:
    with pytest.raises(ZeroDivisionError), folder.lock():
        1 / 0  # noqa: B018
    assert not folder.locked()


shapes = array_shapes(min_dims=2, max_dims=2, max_side=19)
stored = st.dictionaries(
    st.integers(1, 4000), shapes.flatmap(lambda shape: arrays(np.bool_, shape)), max_size=4
)


@law
@given(stored)
def test_predictions_come_back_as_they_were_stored(
    tmp_path_factory: pytest.TempPathFactory, masks: dict[int, NDArray[np.bool_]]
) -> None:
    """To the same bits, whatever their size, in ascending order; also where their memory is not."""
    path = tmp_path_factory.getbasetemp() / "roundtrip.zip"
    for form in (masks, {number: mask.T for number, mask in masks.items()}):
        path.write_bytes(pack_masks(form))
        back = unpack_masks(path)
        assert list(back) == sorted(form)
        for number, mask in form.items():
            assert back[number].dtype == bool
            np.testing.assert_array_equal(back[number], mask)


@law
@given(stored)
def test_the_same_masks_give_the_same_bytes(masks: dict[int, NDArray[np.bool_]]) -> None:
    packed = pack_masks(masks)
    assert packed == pack_masks(dict(reversed(masks.items())))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        dates = {member.date_time for member in archive.infolist()}
    assert dates <= {(1980, 1, 1, 0, 0, 0)}  # whenever it is packed


@costly
@given(st.data())
def test_damaged_predictions_are_refused_or_decode(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever happens to the bytes: masks, or one `RecordError` with the name and the cure."""
    whole = pack_masks({5: np.eye(33, dtype=bool), 61: np.zeros((40, 20), dtype=bool)})
    path = tmp_path_factory.getbasetemp() / "predictions.zip"
    path.write_bytes(data.draw(damaged(whole, (0, len(whole)))))
    try:
        masks = unpack_masks(path)
    except RecordError as error:
        masks, message = {}, str(error)
    else:
        message = f"{path}: remove the run's folder"
    assert str(path) in message
    assert "remove the run's folder" in message
    assert all(mask.dtype == bool and mask.ndim == 2 for mask in masks.values())


@pytest.mark.parametrize("member", ["first.png", "5.png"])
def test_a_stranger_among_the_predictions_is_refused(tmp_path: Path, member: str) -> None:
    path = tmp_path / "predictions.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, b"no picture")
    with pytest.raises(RecordError, match=r"predictions\.zip: cannot be read"):
        unpack_masks(path)


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"\xff\xfe", b"null", b"[1]"])
def test_damaged_json_is_named_with_its_cure(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"result\.json.*remove the run's folder"):
        read_json(path)


def test_a_missing_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"gone\.json"):
        read_json(tmp_path / "gone.json")


def test_a_run_that_two_commits_worked_on_names_both(folder: RunFolder, spec: RunSpec) -> None:
    folder.path.mkdir()
    folder.begin(spec, {**HERE, "git_commit": "aaaa", "git_dirty": False}, RESUME_KEYS)
    (folder / run_folder.CHECKPOINT).write_bytes(b"state")
    later = {**HERE, "git_commit": "bbbb", "git_dirty": True}
    assert folder.begin(spec, later, RESUME_KEYS) == (True, "")
    kept = read_json(folder / run_folder.ENVIRONMENT)
    assert (kept["git_commit"], kept["git_dirty"]) == ("aaaa+bbbb", True)
    folder.begin(spec, {**HERE, "git_commit": "aaaa", "git_dirty": False}, RESUME_KEYS)
    assert read_json(folder / run_folder.ENVIRONMENT) == kept


@pytest.mark.parametrize(
    ("before", "now", "both"),
    [((None, None), (None, None), (None, None)), (("aaaa", True), ("aaaa", False), ("aaaa", True)),
     (("aaaa", False), ("bbbb", False), ("aaaa+bbbb", False))],
)  # fmt: skip
def test_commits_that_worked_on_a_run_are_named_once_and_dirty_where_any_was(
    before: tuple[object, object], now: tuple[object, object], both: tuple[object, object]
) -> None:
    pairs = (before, now, both)
    facts = [{"git_commit": commit, "git_dirty": dirty} for commit, dirty in pairs]
    assert run_folder.joined({**HERE, **facts[0]}, facts[1]) == {**HERE, **facts[2]}
