"""The cache of a folder of runs: it changes no answer, whatever happens to the runs or to it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

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
from run_records import halves, rewritten, squares, varied, write_run
from strategies import costly

import benchmark.runs.collect as collecting
from benchmark.errors import RecordError
from benchmark.runs import cache, run_folder
from benchmark.runs.collect import Collected, collect, read_table_row, reproduction_folder
from benchmark.runs.reader import read_run, read_scores
from benchmark.runs.rescore import rescore
from benchmark.runs.run_folder import RunFolder

SLICES = squares()
NAMELESS = replace(SLICES, patient_id=(None,) * len(SLICES))
SPLIT = halves(SLICES)
ANY = st.integers(0, 9)


@pytest.fixture(autouse=True)
def _small_and_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """One run is worth a cache, and a file is settled once it is there."""
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
    return [RunFolder(root, p.name) for p in sorted(root.iterdir()) if p.name != cache.FOLDER]


def store(root: Path) -> Path:
    (path,) = (root / cache.FOLDER).glob("*.sqlite")
    return path


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
    """The answer with the cache is the answer without it: the same tables, or the same error."""
    with_cache, without = answer(root, indexed=True), answer(root, indexed=False)
    if isinstance(with_cache, str) or isinstance(without, str):
        assert with_cache == without
    else:
        same(with_cache, without)


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
    same(collect(root, {changed.run_id}), collect(root, {changed.run_id}, indexed=False))
    same(collect(root), first)  # asking for some keeps what is known of the others
    assert reads == [changed.run_id] * 2  # the second is that without the cache
    reads.clear()
    added = write_run(root, SLICES, SPLIT, seed=9)
    tick()
    assert len(collect(root).runs) == 4
    assert reads == [added.run_id]
    shutil.rmtree(runs(root)[0].path)
    reads.clear()
    assert len(collect(root).runs) == 3
    assert reads == []
    with closing(sqlite3.connect(store(root))) as db:
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (3,)  # what is gone goes


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


@pytest.mark.parametrize(
    ("name", "value"), [("RACY_SECONDS", 3600.0), ("FEWEST", 4)], ids=["changed just now", "few"]
)
def test_nothing_is_kept_of_files_changed_a_moment_ago_and_of_few_runs(
    root: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch, name: str, value: float
) -> None:
    monkeypatch.setattr(cache, name, value)
    for _ in range(2):
        collect(root)
    assert len(reads) == 6
    assert not (root / cache.FOLDER).exists()


def test_an_error_is_told_again_and_the_sound_runs_are_read_once(
    root: Path, reads: list[str]
) -> None:
    """Those before it: what was read until then is kept."""
    bad = runs(root)[2]
    (bad / run_folder.SCORES).write_text("x")
    tick()
    for _ in range(2):
        with pytest.raises(RecordError, match=r"scores\.csv: is not the file"):
            collect(root)
    assert reads == [*(folder.run_id for folder in runs(root)), bad.run_id]


def test_names_that_change_places_are_the_same_error_as_without_a_cache(root: Path) -> None:
    collect(root)
    a, b, _ = (folder.path for folder in runs(root))
    a.rename(root / "between")
    b.rename(a)
    (root / "between").rename(b)
    check(root)
    assert isinstance(answer(root, indexed=True), str)


def changed(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


def flipped(path: Path) -> None:
    """One bit of a run's scores: SQLite itself has no checksum that would tell."""
    with closing(sqlite3.connect(path)) as db, db:
        for run_id, run in db.execute("SELECT run_id, run FROM runs").fetchall():
            spoilt = run[:-1] + bytes([run[-1] ^ 1])
            db.execute("UPDATE runs SET run = ? WHERE run_id = ?", (spoilt, run_id))


SPOILT: dict[str, Callable[[Path], object]] = {
    "empty": lambda p: p.write_bytes(b""),
    "cut": lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
    "a bit flipped": flipped,
    "foreign": lambda p: p.write_bytes(b"no database" * 100),
    "text for bytes": lambda p: changed(p, "UPDATE runs SET run = 'text'"),
    "no entries": lambda p: changed(p, "DELETE FROM runs"),
    "another table": lambda p: changed(p, "DROP TABLE runs", "CREATE TABLE runs (a INT)"),
    "of other code": lambda p: p.rename(p.with_name("0123456789abcdef.sqlite")),
    "gone": lambda p: shutil.rmtree(p.parent),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_cache_that_is_no_sound_one_counts_for_nothing_and_is_made_anew(
    root: Path, reads: list[str], spoil: Callable[[Path], object]
) -> None:
    expected = collect(root)
    spoil(store(root))
    reads.clear()
    same(collect(root), expected)
    assert len(reads) == 3
    collect(root)  # what was damaged at its head is made anew only now
    reads.clear()
    same(collect(root), expected)
    assert reads == []
    files = {path.name for path in (root / cache.FOLDER).iterdir()}
    assert files == {".gitignore", store(root).name}


def test_a_cache_does_not_speak_for_a_copy(root: Path, tmp_path: Path, reads: list[str]) -> None:
    """A stranger's cache could say anything of the runs that came with it, times kept or not."""
    collect(root)
    shutil.copytree(root, tmp_path / "copy")
    assert store(tmp_path / "copy").exists()
    tick()
    reads.clear()
    check(tmp_path / "copy")
    assert len(reads) == 6


def test_other_shipped_splits_make_another_cache(
    root: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert collect(root).runs["test"].isna().all()
    monkeypatch.setattr(collecting, "shipped_splits", lambda: {SPLIT.fingerprint: SPLIT})
    assert set(collect(root).runs["test"]) == {4}


def test_where_nothing_can_be_written_nothing_is_lost(root: Path) -> None:
    (root / cache.FOLDER).write_text("a file where the folder should be")
    check(root)
    assert (root / cache.FOLDER).is_file()


def test_calls_at_once_give_one_answer_and_leave_one_sound_cache(
    root: Path, reads: list[str]
) -> None:
    expected = collect(root, indexed=False)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: collect(root), range(8)):
            same(found, expected)
    reads.clear()
    same(collect(root), expected)
    assert reads == []


def test_a_cache_that_another_process_is_writing_is_waited_for_and_then_left(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "PATIENCE_SECONDS", 0.05)
    expected = collect(root)
    with closing(sqlite3.connect(store(root))) as other:
        other.execute("BEGIN EXCLUSIVE")
        same(collect(root), expected)
    assert store(root).exists()


def test_our_own_records_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    collect(reproduction_folder())
    assert not (reproduction_folder() / cache.FOLDER).exists()


def test_tables_of_other_columns_stand_beside_each_other(root: Path, reads: list[str]) -> None:
    """Of other versions, without patients, with words: as one concatenation of all has them."""
    changes: list[Callable[[pd.DataFrame], pd.DataFrame]] = [
        lambda t: t.drop(columns="iou"),
        lambda t: t.assign(depth_mm=[0.1, 2**-1074, float("nan"), 1 / 3]),
        lambda t: t.assign(note="a word"),
        lambda t: t.assign(tn=2**70),
        lambda t: t.assign(tn=t["tn"] + 0.5),
    ]
    folders = [write_run(root, SLICES, SPLIT, seed=10 + i) for i in range(len(changes))]
    for folder, change in zip(folders, changes, strict=True):
        rewritten(folder, change)
    write_run(root, NAMELESS, SPLIT, seed=20)
    tick()
    tables = [read_scores(read_run(f)).assign(run_id=f.run_id) for f in runs(root)]
    for _ in range(2):
        whole = pd.concat(tables, ignore_index=True)
        pd.testing.assert_frame_equal(collect(root).scores, whole, check_exact=True)
    words = {folder.run_id for folder in folders[2:4]}
    assert set(reads[len(tables) :]) == words  # a cache holds plain numbers alone


class Life(RuleBasedStateMachine):
    """Whatever happens to a folder of runs, in any order, the cache changes no answer."""

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
            own = NAMELESS if nameless else SLICES
            write_run(self.root, own, SPLIT, rows=rows, seed=seed, recipe=recipe)
        except FileExistsError:
            return

    @rule(which=ANY, name=st.sampled_from([*cache.FILES, run_folder.PREDICTIONS]), keep=ANY)
    def damage(self, which: int, name: str, keep: int) -> None:
        if (folder := self.some(which)) and (folder / name).exists():
            content = (folder / name).read_bytes()
            (folder / name).write_bytes(content[: len(content) * keep // 10])

    @rule(which=ANY, name=st.sampled_from(cache.FILES))
    def lose(self, which: int, name: str) -> None:
        if folder := self.some(which):
            (folder / name).unlink(missing_ok=True)

    @rule(which=ANY)
    def delete(self, which: int) -> None:
        if folder := self.some(which):
            shutil.rmtree(folder.path)

    @rule(which=ANY, name=st.text("abc", min_size=1, max_size=3))
    def rename(self, which: int, name: str) -> None:
        if (folder := self.some(which)) and not (self.root / name).exists():
            folder.path.rename(self.root / name)

    @rule(which=ANY, seconds=st.floats(0, 9))
    def edit(self, which: int, seconds: float) -> None:
        if (folder := self.some(which)) and (folder / run_folder.TIMING).exists():
            timing = {"fit_seconds": seconds, "parameters": 1}
            (folder / run_folder.TIMING).write_text(json.dumps(timing))

    @rule()
    def mend(self) -> None:
        """Rescore: damaged scores.csv are made anew where all else is sound."""
        try:
            rescore(self.root, SLICES)
        except RecordError:
            return

    @rule(keep=ANY)
    def spoil(self, keep: int) -> None:
        for path in (self.root / cache.FOLDER).glob("*.sqlite"):
            content = path.read_bytes()
            path.write_bytes(content[: len(content) * keep // 10])

    @rule(which=ANY)
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
    few = settings(costly, max_examples=10, stateful_step_count=12)
    run_state_machine_as_test(machine, settings=few)
