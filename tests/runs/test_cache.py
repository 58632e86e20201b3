"""The index of a folder of runs: it changes no answer, whatever happens to the runs or to it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from run_records import halves, squares, varied, write_run
from strategies import costly

import benchmark.runs.collect as collecting
from benchmark.errors import RecordError
from benchmark.runs import cache, run_folder
from benchmark.runs.collect import Collected, collect, read_table_row, reproduction_folder
from benchmark.runs.rescore import rescore
from benchmark.runs.run_folder import RunFolder

SLICES = squares()
NAMELESS = replace(SLICES, patient_id=(None,) * len(SLICES))
SPLIT = halves(SLICES)


@pytest.fixture(autouse=True)
def _small_and_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """One run is worth an index, and a file is settled once it is there: tests write no file twice
    within a tick.
    """
    monkeypatch.setattr(cache, "FEWEST", 1)
    monkeypatch.setattr(cache, "RACY_SECONDS", 0.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed in (1, 2, 3):
        write_run(tmp_path / "runs", SLICES, SPLIT, seed=seed)
    tick()
    return tmp_path / "runs"


def tick() -> None:
    """Let the file system's clock go on (a jiffy is 10 ms at most on Linux)."""
    time.sleep(0.02)


def runs(root: Path) -> list[RunFolder]:
    return [
        RunFolder(root, path.name) for path in sorted(root.iterdir()) if path.name != cache.FOLDER
    ]


def index(root: Path) -> Path:
    return root / cache.FOLDER / cache.FILE


def same(a: Collected, b: Collected) -> None:
    pd.testing.assert_frame_equal(a.runs, b.runs, check_exact=True)
    pd.testing.assert_frame_equal(a.scores, b.scores, check_exact=True)
    assert (a.unfinished, a.superseded) == (b.unfinished, b.superseded)


def answer(root: Path, *, indexed: bool) -> Collected | str:
    try:
        return collect(root, indexed=indexed)
    except RecordError as error:
        return str(error)


def check(root: Path) -> None:
    """The answer with the index is the answer without it: the same tables, or the same error."""
    with_index, without = answer(root, indexed=True), answer(root, indexed=False)
    if isinstance(with_index, str) or isinstance(without, str):
        assert with_index == without
    else:
        same(with_index, without)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The run_ids that were read from their files."""
    seen: list[str] = []

    def counted(folder: RunFolder) -> object:
        seen.append(folder.run_id)
        return read_table_row(folder)

    monkeypatch.setattr(collecting, "read_table_row", counted)
    return seen


def test_runs_are_read_once_and_then_only_where_a_file_changed(
    root: Path, reads: list[str]
) -> None:
    first = collect(root)
    assert reads == [folder.run_id for folder in runs(root)]
    reads.clear()
    same(collect(root), first)
    assert reads == []
    changed = runs(root)[1]
    os.utime(changed / run_folder.TIMING)
    tick()
    same(collect(root), first)
    assert reads == [changed.run_id]
    reads.clear()
    added = write_run(root, SLICES, SPLIT, seed=9)
    tick()
    assert len(collect(root).runs) == 4
    assert reads == [added.run_id]
    shutil.rmtree(runs(root)[0].path)
    reads.clear()
    assert len(collect(root).runs) == 3
    assert reads == []


def test_asking_for_some_runs_keeps_what_is_known_of_the_others(
    root: Path, reads: list[str]
) -> None:
    collect(root)
    os.utime(runs(root)[0] / run_folder.SPEC)
    tick()
    wanted = {runs(root)[0].run_id}
    same(collect(root, wanted), collect(root, wanted, indexed=False))
    reads.clear()
    check(root)
    assert reads == [
        folder.run_id for folder in runs(root)
    ]  # those of the check without an index alone


def test_every_file_that_a_run_is_read_from_is_watched(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: set[str] = set()
    for name in ("read_text", "read_bytes"):
        real = getattr(Path, name)
        monkeypatch.setattr(
            Path, name, lambda p, *a, real=real, **k: (opened.add(p.name), real(p, *a, **k))[1]
        )
    read_table_row(runs(root)[0])
    assert opened & {path.name for path in runs(root)[0].path.iterdir()} == set(cache.FILES)


def test_an_edit_that_keeps_size_and_modification_time_is_seen(root: Path) -> None:
    collect(root)
    path = runs(root)[0] / run_folder.TIMING
    before = path.stat()
    path.write_text(path.read_text().replace("120.0", "121.0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert set(collect(root).runs["timing.fit_seconds"]) == {120.0, 121.0}


def test_a_file_changed_a_moment_ago_is_not_trusted_to_a_stamp(
    root: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "RACY_SECONDS", 3600.0)
    for _ in range(2):
        collect(root)
    assert len(reads) == 6
    assert not index(root).exists()


def test_an_error_is_told_again_and_the_sound_runs_are_not_read_again(
    root: Path, reads: list[str]
) -> None:
    collect(root)
    bad = runs(root)[1]
    (bad / run_folder.SCORES).write_text("x")
    tick()
    reads.clear()
    for _ in range(2):
        with pytest.raises(RecordError, match=r"scores\.csv: is not the file"):
            collect(root)
    assert reads == [bad.run_id] * 2


def test_what_was_read_before_an_error_is_kept(root: Path, reads: list[str]) -> None:
    bad = runs(root)[2]
    (bad / run_folder.TIMING).unlink()
    for _ in range(2):
        with pytest.raises(RecordError):
            collect(root)
    assert reads == [*(folder.run_id for folder in runs(root)), bad.run_id]


def test_names_that_change_places_are_the_same_error_as_without_an_index(root: Path) -> None:
    collect(root)
    a, b, _ = (folder.path for folder in runs(root))
    a.rename(root / "between")
    b.rename(a)
    (root / "between").rename(b)
    check(root)
    assert isinstance(answer(root, indexed=True), str)


def resaved(path: Path, **changes: object) -> None:
    with np.load(path) as arrays:
        content = dict(arrays)
    text = json.loads(content["text"].tobytes()) | changes
    content["text"] = np.frombuffer(json.dumps(text).encode(), dtype=np.uint8)
    np.savez(path, **content)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


SPOILT: dict[str, Callable[[Path], object]] = {
    "empty": lambda p: p.write_bytes(b""),
    "cut": lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
    "a bit flipped": flipped,
    "foreign": lambda p: p.write_bytes(b"no archive"),
    "a plain array": lambda p: (
        np.save(p.with_suffix(".npy"), np.zeros(3)),
        p.with_suffix(".npy").replace(p),
    ),
    "other arrays": lambda p: np.savez(p, a=np.zeros(3)),
    "code in it": lambda p: np.savez(p, text=np.array([print], dtype=object), allow_pickle=True),
    "of other code": lambda p: resaved(p, code="other"),
    "without entries": lambda p: resaved(p, entries=[]),
    "of another form": lambda p: resaved(p, layouts={"a": 1}),
    "a folder": lambda p: (p.unlink(), p.mkdir()),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_an_index_that_is_no_sound_one_counts_for_nothing(
    root: Path, reads: list[str], spoil: Callable[[Path], object]
) -> None:
    expected = collect(root)
    spoil(index(root))
    reads.clear()
    same(collect(root), expected)
    assert len(reads) == 3
    if index(root).is_file():  # made anew
        same(collect(root), expected)
        assert len(reads) == 3


def test_an_index_does_not_speak_for_a_copy(root: Path, tmp_path: Path, reads: list[str]) -> None:
    """Not even one that keeps the times: a stranger's index could say anything of the runs that
    came with it.
    """
    collect(root)
    shutil.copytree(root, tmp_path / "copy")
    assert index(tmp_path / "copy").exists()
    tick()
    reads.clear()
    check(tmp_path / "copy")
    assert len(reads) == 6


def test_other_shipped_splits_make_another_index(
    root: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert collect(root).runs["test"].isna().all()
    monkeypatch.setattr(collecting, "shipped_splits", lambda: {SPLIT.fingerprint: SPLIT})
    assert set(collect(root).runs["test"]) == {4}


def test_where_nothing_can_be_written_nothing_is_lost(root: Path) -> None:
    (root / cache.FOLDER).write_text("a file where the folder should be")
    check(root)
    assert (root / cache.FOLDER).is_file()


def test_a_failing_disk_leaves_no_scrap(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    check(root)
    assert [path.name for path in (root / cache.FOLDER).iterdir()] == [".gitignore"]


def test_our_own_records_are_left_as_they_are() -> None:
    collect(reproduction_folder())
    assert not (reproduction_folder() / cache.FOLDER).exists()


def test_few_runs_get_no_index(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "FEWEST", 4)
    collect(root)
    assert not index(root).exists()


def test_tables_of_other_columns_stand_beside_each_other(root: Path, reads: list[str]) -> None:
    """Of another version, without patients, with words in them: as one concatenation of all tables
    has them.
    """
    changes: list[Callable[[pd.DataFrame], pd.DataFrame]] = [
        lambda t: t.drop(columns="iou"),
        lambda t: t.assign(depth_mm=[0.1, 2**-1074, float("nan"), 1 / 3]),
        lambda t: t.assign(note="a word"),
        lambda t: t.assign(tn=2**70),
        lambda t: t.assign(tn=t["tn"] + 0.5),
    ]
    folders = [write_run(root, SLICES, SPLIT, seed=10 + i) for i in range(len(changes))]
    folders.append(write_run(root, NAMELESS, SPLIT, seed=20))
    for folder, change in zip(folders, changes, strict=False):
        table = change(read_run(folder)[1])
        (folder / run_folder.SCORES).write_text(table.to_csv(index=False))
        result = run_folder.read_json(folder / run_folder.RESULT)
        result["sha256"][run_folder.SCORES] = run_folder.file_sha256(folder / run_folder.SCORES)
        run_folder.write_json(folder / run_folder.RESULT, result)
    tick()
    tables = [read_run(folder)[1].assign(run_id=folder.run_id) for folder in runs(root)]
    for _ in range(2):
        pd.testing.assert_frame_equal(
            collect(root).scores, pd.concat(tables, ignore_index=True), check_exact=True
        )
    assert set(reads[len(tables) :]) == {
        folder.run_id for folder in folders[2:4]
    }  # an index holds plain numbers alone


class Life(RuleBasedStateMachine):
    """Whatever happens to a folder of runs, in any order, the index changes no answer."""

    base: Path

    @initialize()
    def begin(self) -> None:
        self.root = self.base / "runs"
        shutil.rmtree(self.root, ignore_errors=True)

    def some(self, which: int) -> RunFolder | None:
        folders = runs(self.root) if self.root.is_dir() else []
        return folders[which % len(folders)] if folders else None

    @rule(
        seed=st.integers(0, 3),
        rows=st.integers(1, 9),
        nameless=st.booleans(),
        patience=st.integers(4, 5),
    )
    def add(self, seed: int, rows: int, nameless: bool, patience: int) -> None:
        recipe = varied(training__patience=patience)
        try:
            write_run(
                self.root,
                NAMELESS if nameless else SLICES,
                SPLIT,
                rows=rows,
                seed=seed,
                recipe=recipe,
            )
        except FileExistsError:
            return

    @rule(
        which=st.integers(0, 9),
        name=st.sampled_from([*cache.FILES, run_folder.PREDICTIONS]),
        keep=st.integers(0, 9),
    )
    def damage(self, which: int, name: str, keep: int) -> None:
        if (folder := self.some(which)) and (folder / name).exists():
            content = (folder / name).read_bytes()
            (folder / name).write_bytes(content[: len(content) * keep // 10])

    @rule(which=st.integers(0, 9), name=st.sampled_from(cache.FILES))
    def lose(self, which: int, name: str) -> None:
        if folder := self.some(which):
            (folder / name).unlink(missing_ok=True)

    @rule(which=st.integers(0, 9))
    def delete(self, which: int) -> None:
        if folder := self.some(which):
            shutil.rmtree(folder.path)

    @rule(which=st.integers(0, 9), name=st.text("abc", min_size=1, max_size=3))
    def rename(self, which: int, name: str) -> None:
        if (folder := self.some(which)) and not (self.root / name).exists():
            folder.path.rename(self.root / name)

    @rule(which=st.integers(0, 9), seconds=st.floats(0, 9))
    def edit(self, which: int, seconds: float) -> None:
        if (folder := self.some(which)) and (folder / run_folder.TIMING).exists():
            (folder / run_folder.TIMING).write_text(
                json.dumps({"fit_seconds": seconds, "parameters": 1})
            )

    @rule()
    def mend(self) -> None:
        """Rescore: damaged scores.csv are made anew where all else is sound."""
        try:
            rescore(self.root, SLICES)
        except RecordError:
            return

    @rule(keep=st.integers(0, 9))
    def spoil(self, keep: int) -> None:
        if index(self.root).is_file():
            content = index(self.root).read_bytes()
            index(self.root).write_bytes(content[: len(content) * keep // 10])

    @rule(which=st.integers(0, 9))
    def ask_for_one(self, which: int) -> None:
        if folder := self.some(which):
            try:
                collect(self.root, {folder.run_id})
            except RecordError:
                return

    @invariant()
    def the_answer_is_the_same(self) -> None:
        tick()
        if self.root.exists():
            check(self.root)


def test_no_history_of_a_folder_makes_the_index_change_an_answer(tmp_path: Path) -> None:
    machine = type("At", (Life,), {"base": tmp_path})
    run_state_machine_as_test(
        machine, settings=settings(costly, max_examples=10, stateful_step_count=12)
    )
