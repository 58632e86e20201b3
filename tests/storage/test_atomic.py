"""A disk that refuses: one line that names the place the user gave, and nothing half-written."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bench_forms import finish, process
from data_forms import snapshot
from run_records import write_own

from benchmark.__main__ import main
from benchmark.errors import DataError, OutputError
from benchmark.runs.run_folder import RunFolder, write_json
from benchmark.storage.atomic import (
    check_writable,
    move_into,
    replace_into,
    staging_folder,
    write_bytes,
    writing,
)
from benchmark.training.early_stopping import EarlyStopping
from benchmark.training.loop import TrainingState

Capture = pytest.CaptureFixture[str]
Step = tuple[str, Callable[..., None]]
FULL = "cannot be written (No space left on device); free some space"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    write_own(tmp_path / "runs")
    return tmp_path / "runs"


def test_a_refused_file_is_as_it_was_and_leaves_no_scrap(tmp_path: Path, full_disk: None) -> None:
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(OutputError, match=re.escape(f"a.csv: {FULL}")):
        write_bytes(tmp_path / "a.csv", b"new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """What the disk is asked, in order: synced or renamed, which inode, of how many bytes then."""
    asked: list[tuple[str, int, int]] = []
    sync, rename = os.fsync, os.replace

    def fsync(stream: int) -> None:
        sync(stream)
        asked.append(("synced", os.fstat(stream).st_ino, os.fstat(stream).st_size))

    def replace(source: Path, target: Path) -> None:
        asked.append(("renamed", source.stat().st_ino, source.stat().st_size))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    return asked


def write_checkpoint(path: Path) -> None:
    network = torch.nn.Linear(2, 2)
    TrainingState(network, torch.optim.Adam(network.parameters()), EarlyStopping(3)).save(path)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_bytes(path, b"new"),
        lambda path: write_json(path, {"new": 1}),
        lambda path: RunFolder(path.parent.parent, path.parent.name).write_history([{"epoch": 0}]),
        write_checkpoint,
    ],
    ids=["bytes", "json", "history", "checkpoint"],
)
def test_a_file_is_on_the_disk_whole_before_it_gets_its_name(
    tmp_path: Path, disk: list[tuple[str, int, int]], write: Callable[[Path], None]
) -> None:
    """Else a power cut after the rename may leave a name with nothing, or half of it, behind."""
    path = tmp_path / "history.csv"
    path.write_text("old")
    write(path)
    file, size = path.stat().st_ino, path.stat().st_size
    assert path.read_bytes() != b"old"
    assert disk == [("synced", file, size), ("renamed", file, size)]
    assert list(tmp_path.iterdir()) == [path]


def test_the_outer_name_is_told_for_the_inner_may_be_temporary(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"^report: cannot be written") as caught,
        writing(Path("report")),
    ):
        write_bytes(tmp_path / "no" / "such" / "folder", b"")
    assert str(tmp_path) not in str(caught.value)


def test_a_reader_of_standard_output_that_is_gone_is_no_disk() -> None:
    with pytest.raises(BrokenPipeError), writing(Path("report")):
        raise BrokenPipeError


def test_folders_that_were_made_for_a_refused_file_are_gone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with (
        pytest.raises(OutputError, match="asked: "),
        staging_folder(tmp_path / "mine" / "a" / "b", asked=Path("asked")) as staging,
    ):
        write_bytes(staging / "no" / "such", b"")
    assert snapshot(tmp_path) == snapshot(tmp_path / "mine") == {}
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_a_place_is_tried_without_a_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the nearest folder that is there; whoever may write everywhere is refused by the disk."""
    check_writable(tmp_path / "a" / "b" / "new.csv")
    assert list(tmp_path.iterdir()) == []
    tried: list[Path] = []

    def refuse(**options: Path) -> None:
        tried.append(options["dir"])
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.chdir(tmp_path)
    for name in ("a/b/new.csv", "new.csv"):
        with pytest.raises(OutputError, match=f"^{name}: cannot be written .Read-only file system"):
            check_writable(Path(name))
    assert tried == [Path(), Path()]


@pytest.fixture(params=["links", "no links"])
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Step:
    """What gives a file its name: a link, or on a file system without them a move."""

    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    if request.param == "links":
        return "link", os.link
    monkeypatch.setattr(os, "link", refuse)
    return "replace", os.replace


NAMES = ["a", "b", "c"]


@pytest.fixture
def waiting(tmp_path: Path) -> tuple[Path, Path]:
    """A folder in which three files are staged, and the one in which they are to appear."""
    staging, folder = tmp_path / "staging", tmp_path / "out"
    folder.mkdir()
    fill(staging)
    return staging, folder


def fill(staging: Path) -> None:
    staging.mkdir(exist_ok=True)
    for name in NAMES:
        (staging / name).write_text(name)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_files_appear_all_or_none_wherever_placing_stops(
    waiting: tuple[Path, Path], step: Step, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """An interrupt just after the first, second or last file leaves none; else all are there."""
    (staging, folder), (name, done) = waiting, step

    def stopped(source: Path, target: Path) -> None:
        done(source, target)
        if target.name == NAMES[at]:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, name, stopped)
        with pytest.raises(KeyboardInterrupt):
            move_into(staging, folder, NAMES)
    assert list(folder.iterdir()) == []
    fill(staging)
    move_into(staging, folder, NAMES)
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert written == {name: name for name in NAMES}


@pytest.mark.parametrize("taken", NAMES)
def test_a_name_that_is_taken_meanwhile_is_left_as_it_is_and_no_other_file_appears(
    waiting: tuple[Path, Path], step: Step, taken: str
) -> None:
    staging, folder = waiting
    (folder / taken).write_text("mine")
    with pytest.raises(DataError, match=f"{taken}: exists already and is left as it is"):
        move_into(staging, folder, NAMES)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {taken: "mine"}


OLD = {"a": "old a", "c": "old c", "letter": "mine"}


def texts(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its name, with its text."""
    return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def taken(waiting: tuple[Path, Path]) -> tuple[Path, Path]:
    """Two of the three names are taken, and another is there."""
    for name, text in OLD.items():
        (waiting[1] / name).write_text(text)
    return waiting


def test_what_is_replaced_is_gone_and_the_rest_stays(taken: tuple[Path, Path], step: Step) -> None:
    replace_into(*taken, NAMES)
    assert texts(taken[1]) == {"a": "a", "b": "b", "c": "c", "letter": "mine"}
    assert len(list(taken[1].iterdir())) == 4


@pytest.mark.parametrize("at", range(5))
def test_wherever_replacing_stops_what_was_there_is_back(
    taken: tuple[Path, Path], step: Step, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Two files are set aside, then three appear: an interrupt just after any of the five steps."""
    (staging, folder), done = taken, {"link": os.link, "replace": os.replace}
    done[step[0]] = step[1]
    steps: list[str] = []

    def stopped(name: str, source: Path, target: Path) -> None:
        done[name](source, target)
        steps.append(target.name)
        if len(steps) == at + 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *words: stopped("replace", *words))
        if step[0] == "link":
            patch.setattr(os, "link", lambda *words: stopped("link", *words))
        with pytest.raises(KeyboardInterrupt):
            replace_into(staging, folder, NAMES)
    assert steps[: at + 1] == ["a", "c", "a", "b", "c"][: at + 1]
    assert texts(folder) == OLD
    assert len(list(folder.iterdir())) == 3


def test_even_where_nothing_can_be_put_back_nothing_is_lost(
    taken: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second interrupt while the first is answered: what was set aside lies beside, hidden."""
    (staging, folder), rename = taken, os.replace

    def stopped(source: Path, target: Path) -> None:
        if target.parent == folder:  # being put back
            raise KeyboardInterrupt
        rename(source, target)
        if target.name == "c":
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        replace_into(staging, folder, NAMES)
    assert texts(folder) == OLD
    (aside,) = (path for path in folder.iterdir() if path.is_dir())
    assert aside.name.startswith(".replaced-")
    assert texts(aside) == {"a": "old a", "c": "old c"}


def test_a_link_is_replaced_and_what_it_leads_to_stays(taken: tuple[Path, Path]) -> None:
    staging, folder = taken
    (folder / "b").symlink_to(folder / "letter")
    replace_into(staging, folder, NAMES)
    assert texts(folder) == {"a": "a", "b": "b", "c": "c", "letter": "mine"}
    assert not (folder / "b").is_symlink()


def test_a_report_that_does_not_fit_leaves_no_figure(
    runs: Path, full_disk: None, capsys: Capture
) -> None:
    out = runs.parent / "new" / "report"
    assert main(["report", "--runs", str(runs), "--out", str(out)]) == 2
    cure = "mend its permissions, or choose another place"
    assert capsys.readouterr().err == f"error: {out}: {FULL}, {cure}\n"
    assert not out.parent.exists()


def test_a_report_that_does_not_fit_leaves_the_earlier_one_as_it_was(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    out = runs.parent / "report"
    assert main(["report", "--runs", str(runs), "--out", str(out)]) == 0
    before = snapshot(out)
    done, calls = os.fsync, []

    def refuse_later(stream: int) -> None:
        calls.append(stream)
        if len(calls) > 7:  # some figures fit
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done(stream)

    monkeypatch.setattr(os, "fsync", refuse_later)
    assert main(["report", "--runs", str(runs), "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {out}: {FULL}")
    assert len(calls) == 8
    assert snapshot(out) == before


@pytest.mark.parametrize(
    "words", ["report --runs runs --out {}", "export phantoms {}", "reproduce --out {}"]
)
def test_a_place_below_a_file_is_one_line(
    words: str, runs: Path, few_phantoms: None, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """As in a folder that may not be written, which nothing is for who runs the tests as root."""
    monkeypatch.chdir(runs.parent)
    Path("file").write_text("mine")
    before = snapshot(runs.parent)
    assert main(words.format("file/out").split()) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: file/out")
    assert re.search(r"cannot be written \((Not a directory|File exists)\); ", err)
    assert err.count("\n") == 1
    assert snapshot(runs.parent) == before


def test_standard_output_on_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """Linux's /dev/full stands for it; where there is none there is nothing to try."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    program = (
        "import os, sys; os.dup2(os.open('/dev/full', os.O_WRONLY), 1);"
        "from benchmark.__main__ import main; sys.exit(main(['arms']))"
    )
    code, _, err = finish(process(["-c", program], cwd=tmp_path))
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("error: standard output: No space left on device; ")
