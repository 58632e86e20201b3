"""Runs as one file: the same bytes for the same runs, and nothing unpacked but what is sound."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data_forms import damaged, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st
from run_records import a_spec, halves, rehash, squares, write_run

import benchmark.storage.atomic as atomic
from benchmark.errors import BenchmarkError, OutputError, RecordError, SpecError, UnsafeDataError
from benchmark.protocol import load_recipe
from benchmark.runs import archive
from benchmark.runs.archive import MANIFEST, NEEDED, pack, unpack
from benchmark.runs.collect import collect, run_folders
from benchmark.runs.run_folder import RunFolder, read_json
from benchmark.splits import files as split_files

Patch = pytest.MonkeyPatch
Members = list[tuple[zipfile.ZipInfo | str, bytes]]
SLICES, PHANTOMS = squares(), squares(phantom=True)
SPLIT = halves(SLICES)


def finished(root: Path, *seeds: int, slices: Any = SLICES) -> list[RunFolder]:
    return [write_run(root, slices, SPLIT, rows=5, seed=seed) for seed in seeds]


@pytest.fixture
def runs(tmp_path: Path) -> list[RunFolder]:
    return finished(tmp_path / "runs", 1, 2)


@pytest.fixture
def packed(tmp_path: Path, runs: list[RunFolder]) -> Path:
    pack(runs, tmp_path / "a.zip")
    return tmp_path / "a.zip"


def files(root: Path) -> dict[str, bytes]:
    return snapshot(root) if root.exists() else {}


def keep_model(folder: RunFolder, content: bytes = b"weights") -> None:
    (folder / "model.pt").write_bytes(content)
    rehash(folder, "model.pt")


def test_what_was_packed_is_what_is_unpacked(
    tmp_path: Path, runs: list[RunFolder], packed: Path
) -> None:
    got = unpack(packed, tmp_path / "got")
    assert files(tmp_path / "got") == files(tmp_path / "runs")
    assert [run.run_id for run in got.runs] == sorted(folder.run_id for folder in runs)
    assert got.there == frozenset()
    assert [run.timing.fit_seconds for run in got.runs] == [120.0, 120.0]  # read where they are now
    assert (got.files, got.size) == (12, sum(map(len, files(tmp_path / "runs").values())))
    assert got.sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()
    ours, theirs = collect(tmp_path / "runs"), collect(tmp_path / "got")
    assert ours.runs.equals(theirs.runs)
    assert ours.scores.equals(theirs.scores)


def test_any_program_for_zips_unpacks_a_folder_of_runs(tmp_path: Path, packed: Path) -> None:
    with zipfile.ZipFile(packed) as plain:
        assert plain.testzip() is None
        plain.extractall(tmp_path / "got")
    (tmp_path / "got" / MANIFEST).unlink()
    assert files(tmp_path / "got") == files(tmp_path / "runs")


def test_the_same_runs_give_the_same_bytes(
    tmp_path: Path, runs: list[RunFolder], packed: Path
) -> None:
    """In any order, at any time, from any folder."""
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*"):
        path.chmod(0o700)
        os.utime(path, (1e9, 1e9))
    again = [RunFolder(tmp_path / "copy", folder.run_id) for folder in reversed(runs)]
    assert pack(again, tmp_path / "b.zip").sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert (tmp_path / "b.zip").read_bytes() == packed.read_bytes()


def test_the_manifest_names_each_file_with_its_size_and_hash(tmp_path: Path, packed: Path) -> None:
    with zipfile.ZipFile(packed) as plain:
        content = json.loads(plain.read(MANIFEST))
    told = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files(tmp_path / "runs").items()
    }
    assert content["files"] == told
    assert content["format"] == 1
    assert content["made_by"].startswith("meningioma-bench 0.")


def test_what_belongs_to_a_machine_stays_there(tmp_path: Path, runs: list[RunFolder]) -> None:
    keep_model(runs[0])
    for name in (".lock", ".claim-1", "checkpoint.pt", "failure.json", "notes.txt", ".x.tmp"):
        (runs[0] / name).write_text("mine")
    assert pack(runs, tmp_path / "a.zip").files == 12
    unpack(tmp_path / "a.zip", tmp_path / "got")
    assert {Path(name).name for name in files(tmp_path / "got")} == set(NEEDED)


def test_models_go_along_where_that_is_asked(tmp_path: Path, runs: list[RunFolder]) -> None:
    keep_model(runs[0])
    assert pack(runs, tmp_path / "a.zip", models=True).files == 13
    unpack(tmp_path / "a.zip", tmp_path / "got")
    assert (tmp_path / "got" / runs[0].run_id / "model.pt").read_bytes() == b"weights"


@pytest.mark.parametrize("name", ["scores.csv", "predictions.zip", "model.pt", "spec.json"])
def test_a_damaged_run_is_not_packed(tmp_path: Path, runs: list[RunFolder], name: str) -> None:
    keep_model(runs[1])
    (runs[1] / name).write_bytes(b"{}")
    with pytest.raises(RecordError, match=name):
        pack(runs, tmp_path / "a.zip", models=True)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_run_that_lacks_its_masks_is_not_packed(tmp_path: Path, runs: list[RunFolder]) -> None:
    (runs[0] / "predictions.zip").unlink()
    with pytest.raises(RecordError, match=r"predictions.zip: cannot be read .*remove the run's"):
        pack(runs, tmp_path / "a.zip")


def test_a_full_disk_leaves_no_archive(
    tmp_path: Path, runs: list[RunFolder], full_disk: None
) -> None:
    with pytest.raises(OutputError, match=r"a\.zip: cannot be written .No space left"):
        pack(runs, tmp_path / "a.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_runs_that_are_there_already_are_left_alone(
    tmp_path: Path, runs: list[RunFolder], packed: Path
) -> None:
    """With what else lies in their folders; the others are unpacked."""
    shutil.copytree(runs[0].path, tmp_path / "got" / runs[0].run_id)
    (tmp_path / "got" / runs[0].run_id / ".lock").touch()
    got = unpack(packed, tmp_path / "got")
    assert got.there == {runs[0].run_id}
    assert len(files(tmp_path / "got")) == 13
    assert unpack(packed, tmp_path / "got").there == {folder.run_id for folder in runs}


@pytest.mark.parametrize("other", ["another", "half", "empty"])
def test_another_run_of_that_name_is_refused_and_nothing_is_unpacked(
    tmp_path: Path, runs: list[RunFolder], packed: Path, other: str
) -> None:
    there = tmp_path / "got" / runs[1].run_id
    there.mkdir(parents=True)
    if other != "empty":
        shutil.copytree(runs[1].path, there, dirs_exist_ok=True)
        path = there / "timing.json"
        path.write_text("{}") if other == "another" else path.unlink()
    before = files(tmp_path / "got")
    says = f"{there}: exists already, and its .* is not the archive's; nothing was unpacked: move"
    with pytest.raises(RecordError, match=says):
        unpack(packed, tmp_path / "got")
    assert files(tmp_path / "got") == before
    assert [path.name for path in (tmp_path / "got").iterdir()] == [runs[1].run_id]


def test_phantoms_do_not_come_to_lie_beside_real_slices(tmp_path: Path, packed: Path) -> None:
    finished(tmp_path / "got", 3, slices=PHANTOMS)
    spec = next((tmp_path / "got").glob("*/spec.json"))
    spec.write_text(spec.read_text().replace('"phantom": false', '"phantom": true'))
    with pytest.raises(SpecError, match="got holds runs on phantoms, and these would be runs on r"):
        unpack(packed, tmp_path / "got")


def test_an_archive_of_both_is_refused(tmp_path: Path, runs: list[RunFolder]) -> None:
    edit = runs[0] / "result.json"
    edit.write_text(edit.read_text().replace('"phantom": false', '"phantom": true'))
    pack(runs, tmp_path / "a.zip")
    refused(tmp_path / "a.zip", RecordError, "holds runs on phantoms beside runs on real slices")


def members(path: Path) -> Members:
    with zipfile.ZipFile(path) as plain:
        return [(info, plain.read(info)) for info in plain.infolist()]


def manifest(content: Members, change: Callable[[dict[str, Any]], object]) -> Members:
    """The same members with a changed manifest."""
    *others, (info, data) = content
    changed = json.loads(data)
    change(changed)
    return [*others, (info, json.dumps(changed).encode())]


def added(content: Members, name: str | zipfile.ZipInfo, data: bytes = b"x") -> Members:
    """One file more, which the manifest names as well."""
    told = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    named = name if isinstance(name, str) else name.filename
    return [(name, data), *manifest(content, lambda m: m["files"].update({named: told}))]


def forged(path: Path, content: Members, compressed: bool = False) -> Path:
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as plain:
        for name, data in content:
            plain.writestr(name, data, kind)
    return path


def link(content: Members) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(f"{str(content[0][0].filename).partition('/')[0]}/history.csv")  # type: ignore[union-attr]
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def first(content: Members) -> str:
    return str(content[0][0].filename)  # type: ignore[union-attr]


RUN = "unet_alpha0.5_12345678"
UNSAFE: dict[str, tuple[Callable[[Members], Members], str]] = {
    "absolute": (lambda m: added(m, "/etc/passwd"), "'/etc/passwd' is no file of a run"),
    "climbs": (lambda m: added(m, "../spec.json"), "is no file of a run"),
    "climbs out": (lambda m: added(m, f"{RUN}/../../spec.json"), "is no file of a run"),
    "dots": (lambda m: added(m, ".._12345678/../spec.json"), "is no file of a run"),
    "backslash": (lambda m: added(m, f"..\\{RUN}\\spec.json"), "is no file of a run"),
    "drive": (lambda m: added(m, "C:/spec.json"), "is no file of a run"),
    "a script": (lambda m: added(m, f"{RUN}/run.py"), "is no file of a run"),
    "beside": (lambda m: added(m, "README.md"), "is no file of a run"),
    "a lock": (lambda m: added(m, f"{RUN}/.lock"), "is no file of a run"),
    "a folder": (lambda m: added(m, f"{RUN}/", b""), "is no file of a run"),
    "a split": (lambda m: added(m, "splits/../x.json"), "is no file of a run"),
    "a link": (lambda m: added(m, link(m)), "is a link, or no plain file"),
}
DAMAGED: dict[str, tuple[Callable[[Members], Members], str]] = {
    "one more": (lambda m: [(f"{RUN}/history.csv", b""), *m], "which its manifest does not name"),
    "one less": (lambda m: m[1:], "lacks unet"),
    "half": (
        lambda m: manifest(m[1:], lambda c: c["files"].pop(first(m))),
        "lacks unet.*/environment.json",
    ),
    "no run": (lambda m: manifest(m[-1:], lambda c: c.update(runs=[], files={})), "holds no run"),
    "homeless": (
        lambda m: manifest(m, lambda c: c["runs"].pop()), "its manifest names no run unet"
    ),
    "other bytes": (
        lambda m: [(m[0][0], b"{}"), *m[1:]], "is not the file that its manifest has the hash of"
    ),
    "newer": (
        lambda m: manifest(m, lambda c: c.update(format=2, made_by="meningioma-bench 9.0")),
        r"has format 2, made by meningioma-bench 9.0, but this version \(0.* reads 1; install",
    ),
    "no manifest": (lambda m: m[:-1], f"holds no {MANIFEST}, so it is cut short or no archive"),
    "newer, with orders to a terminal": (
        lambda m: manifest(m, lambda c: c.update(format="\n2", made_by="\x1b[2J\nx")),
        r"has format '\\n2', made by '\\x1b\[2J\\nx', but",
    ),
    "a name with orders to a terminal": (
        lambda m: manifest(m, lambda c: c["runs"].append("\x1b[2J\nx" * 999)),
        r"lacks '\\x1b\[2J\\nx.{0,900}; nothing was unpacked",
    ),
    "a list": (lambda m: [*m[:-1], (m[-1][0], b"[]")], f"{MANIFEST}: cannot be read"),
    "deep": (lambda m: [*m[:-1], (m[-1][0], b"[" * 99999)], f"{MANIFEST}: cannot be read"),
    "no table": (lambda m: manifest(m, lambda c: c.update(files=3)), "cannot be read"),
}  # fmt: skip


def refused(path: Path, error: type[BenchmarkError], says: str) -> None:
    """One line, and no trace on the disk."""
    with pytest.raises(error, match=says) as caught:
        unpack(path, path.parent / "got")
    assert "\n" not in str(caught.value)
    assert ".unfinished" not in str(caught.value)
    assert not (path.parent / "got").exists()
    assert not [p for p in path.parent.parent.iterdir() if p.name in ("etc", "spec.json")]


@pytest.mark.parametrize("kind", UNSAFE)
def test_what_no_archive_of_runs_holds_is_refused(tmp_path: Path, packed: Path, kind: str) -> None:
    change, says = UNSAFE[kind]
    path = forged(tmp_path / "evil.zip", change(members(packed)))
    refused(path, UnsafeDataError, f"evil.zip: .*{says}; nothing was unpacked: take an archive")


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_the_manifest_does_not_say_is_refused(tmp_path: Path, packed: Path, kind: str) -> None:
    change, says = DAMAGED[kind]
    refused(forged(tmp_path / "evil.zip", change(members(packed))), BenchmarkError, says)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(tmp_path: Path, packed: Path) -> None:
    content = members(packed)
    path = forged(tmp_path / "evil.zip", [content[0], *content])
    refused(path, UnsafeDataError, "environment.json is there twice")


def test_a_bomb_is_refused_before_a_byte_of_it_is_read(
    tmp_path: Path, packed: Path, monkeypatch: Patch
) -> None:
    """Compressed; or one stretch of bytes under many names, each the size of all of it."""
    path = forged(tmp_path / "evil.zip", added(members(packed), f"{RUN}/history.csv"), True)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *words: pytest.fail("it was read"))
    refused(path, UnsafeDataError, "is compressed, and `archive` compresses nothing")
    real = zipfile.ZipFile.infolist

    def many(plain: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
        found = real(plain)
        for info in found:
            info.file_size = info.compress_size = packed.stat().st_size // 2
        return found

    monkeypatch.setattr(zipfile.ZipFile, "infolist", many)
    path.unlink()
    shutil.copy(packed, path)
    refused(path, UnsafeDataError, "it would unpack to more than it holds")


def test_what_is_no_zip_is_refused(tmp_path: Path, packed: Path) -> None:
    path, whole = tmp_path / "evil.zip", packed.read_bytes()
    for content in (b"", b"PK", whole[: len(whole) // 2], whole[100:]):
        path.write_bytes(content)
        refused(path, BenchmarkError, r"evil\.zip: .*; copy or download the archive again")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs/ and a.zip, which holds them."""
    folder = tmp_path_factory.mktemp("whole")
    pack(finished(folder / "runs", 1), folder / "a.zip")
    return folder


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damage_anywhere_is_refused_or_harmless(whole: Path, data: st.DataObject) -> None:
    """A byte that decides nothing, such as a time in a header, may be another."""
    content, got = (whole / "a.zip").read_bytes(), whole / "got"
    (whole / "b.zip").write_bytes(data.draw(damaged(content, (len(content) - 400, len(content)))))
    try:
        unpack(whole / "b.zip", got)
    except BenchmarkError:
        assert not got.exists()
    else:
        assert files(got) == files(whole / "runs")
        shutil.rmtree(got)


FALSE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "another setting": (
        "spec.json",
        lambda path: path.write_text(path.read_text().replace('"seed": 1', '"seed": 3')),
        "spec.json: was changed after the run, for its hash is",
    ),
    "better scores": (
        "scores.csv",
        lambda path: path.write_text(path.read_text().replace("0.66", "0.99")),
        "scores.csv: is not the file that result.json has the hash of",
    ),
    "better summary": (
        "result.json",
        lambda path: path.write_text(path.read_text().replace('_mean": 0.6', '_mean": 0.9')),
        "result.json: its dice_mean is not that of scores.csv",
    ),
    "other masks": (
        "predictions.zip",
        lambda path: path.write_bytes(b"none"),
        "predictions.zip: is not the file that result.json has the hash of",
    ),
    "no time": ("timing.json", lambda path: path.write_text("{}"), "timing.json: fit_seconds"),
    "deep": ("result.json", lambda path: path.write_text("[" * 99999), "unet.*: cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FALSE)
def test_a_record_that_contradicts_itself_is_refused_though_its_manifest_agrees(
    tmp_path: Path, runs: list[RunFolder], kind: str, monkeypatch: Patch
) -> None:
    name, change, says = FALSE[kind]
    before = (runs[0] / name).read_bytes()
    with monkeypatch.context() as patch:  # a packer that looks at nothing
        run = archive.read_run(runs[0])
        patch.setattr(archive, "read_table_row", lambda folder: None)
        patch.setattr(archive, "read_run", lambda folder: run)
        patch.setattr(archive, "_check_hashes", lambda run, listed: None)
        change(runs[0] / name)
        pack(runs[:1], tmp_path / "evil.zip")
    assert (runs[0] / name).read_bytes() != before
    refused(tmp_path / "evil.zip", BenchmarkError, says)


def with_split(root: Path, name: str = "by-image-1-0a1b2c3d.json") -> Path:
    """The file of the runs' split, as `reproduce` keeps it beside them."""
    path = root / "splits" / SLICES.dataset_id[:12] / name
    split_files.write(SPLIT, SLICES.dataset_id, load_recipe("thesis").split, path)
    return path


def test_a_split_that_was_drawn_goes_along_with_the_runs_on_it(
    tmp_path: Path, runs: list[RunFolder]
) -> None:
    """And no other; where it is there already it is left as it is."""
    split = with_split(tmp_path / "runs")
    other = halves(squares(6))
    split_files.write(other, "0" * 64, load_recipe("thesis").split, split.with_name("other.json"))
    assert pack(runs, tmp_path / "a.zip").files == 13
    for _ in range(2):
        unpack(tmp_path / "a.zip", tmp_path / "got")
        there = files(tmp_path / "got")
        assert there.pop(split.relative_to(tmp_path / "runs").as_posix()) == split.read_bytes()
        assert len(there) == 12
    assert next(iter(run_folders(tmp_path / "got"))).run_id == min(f.run_id for f in runs)


def test_a_split_of_no_run_and_one_that_is_there_otherwise_are_refused(
    tmp_path: Path, runs: list[RunFolder]
) -> None:
    split = with_split(tmp_path / "runs")
    pack(runs, tmp_path / "a.zip")
    name, content = split.relative_to(tmp_path / "runs").as_posix(), members(tmp_path / "a.zip")
    moved = {name: b"{}", "splits/000000000000/x.json": split.read_bytes()}
    for path, data in moved.items():
        rest = [m for m in content if m[0].filename != path]  # type: ignore[union-attr]
        evil = forged(tmp_path / "evil.zip", added(rest, path, data))
        refused(evil, BenchmarkError, path)
    there = with_split(tmp_path / "got")
    there.write_text(there.read_text() + "\n")
    with pytest.raises(RecordError, match="exists already, and it is not the archive's"):
        unpack(tmp_path / "a.zip", tmp_path / "got")
    assert list(files(tmp_path / "got")) == [name]


@pytest.mark.parametrize("moment", ["second run", "split", "after"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_all_runs_appear_or_none(
    tmp_path: Path, runs: list[RunFolder], monkeypatch: Patch, moment: str, error: Any
) -> None:
    with_split(tmp_path / "runs")
    pack(runs, tmp_path / "a.zip")
    (tmp_path / "got").mkdir()
    rename, put, renamed = Path.rename, atomic.put, []

    def renaming(path: Path, target: Path) -> Path:
        renamed.append(path)
        if moment == "second run" and len(renamed) == 2:
            raise error
        return rename(path, target)

    def placing(source: Path, target: Path) -> None:
        if moment == "after":
            put(source, target)
        if moment != "second run":
            raise error

    monkeypatch.setattr(Path, "rename", renaming)
    monkeypatch.setattr(atomic, "put", placing)
    with pytest.raises((KeyboardInterrupt, OutputError)):
        unpack(tmp_path / "a.zip", tmp_path / "got")
    assert len(renamed) > 1
    assert list((tmp_path / "got").iterdir()) == []


def test_the_folders_of_a_run_of_an_earlier_schema_travel_too(tmp_path: Path) -> None:
    """Shipped records, of schema 1 and 2."""
    from benchmark.runs.collect import reproduction_folder

    shipped = list(run_folders(reproduction_folder()))
    schemas = {read_json(folder / "spec.json")["spec"]["schema"]: folder for folder in shipped}
    pack(list(schemas.values()), tmp_path / "a.zip")
    unpack(tmp_path / "a.zip", tmp_path / "got")
    for folder in schemas.values():
        assert files(tmp_path / "got" / folder.run_id) == files(folder.path)


def test_the_spec_of_a_run_says_what_its_folder_is_called(
    tmp_path: Path, runs: list[RunFolder], packed: Path
) -> None:
    """Under another run's name a run is refused."""
    old, new = runs[0].run_id, a_spec(SLICES, SPLIT, seed=9).run_id

    def renamed(name: str) -> str:
        return name.replace(old, new)

    content = [(renamed(info.filename), data) for info, data in members(packed)]  # type: ignore[union-attr]
    content[-1] = (MANIFEST, renamed(content[-1][1].decode()).encode())
    refused(forged(tmp_path / "evil.zip", content), RecordError, f"belongs to run '{old}'")  # type: ignore[arg-type]
