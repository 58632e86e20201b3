"""`--track`: off unless asked, wrong words told before any work, installed trackers found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench_forms import TINY_GRID, call, refused
from tracker_forms import Notes, install

from benchmark.errors import SpecError
from benchmark.tracker import BUILT_IN, asked_for

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
pytestmark = pytest.mark.usefixtures("elsewhere")
RUN = "reproduce --data phantoms --only arm=otsu --out out --device cpu"


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: Patch) -> Iterator[None]:
    own = {"notes": "tracker_forms:Notes", "broken": "tracker_forms:Broken", "gone": "no_such:X"}
    monkeypatch.syspath_prepend(install(tmp_path / "site", **own))
    Notes.told.clear()
    yield
    Notes.told.clear()


def kinds() -> list[Any]:
    return [call[0] for call in Notes.told]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("notes", "--track 'notes' must have the form NAME=WHERE"),
        ("notes=", "--track 'notes=' must have the form NAME=WHERE"),
        ("=x", "--track '=x' must have the form NAME=WHERE"),
        ("wandb=x", "unknown tracker 'wandb'; known: broken, gone, mlflow, notes, tensorboard"),
        ("notes=a broken=made", "--track broken=made: cannot be used (OSError: the server); mend"),
        ("'broken=exit at made'", "cannot be used (SystemExit: 3); mend it, or leave --track out"),
        (
            "gone=x",
            "--track gone: needs the package no_such, which is not installed; python -m pip",
        ),
    ],
)
@pytest.mark.parametrize("verb", [RUN, f"run --id x {RUN.partition(' ')[2]}"])
def test_what_is_wrong_is_one_line_before_any_work(
    capsys: Capture, verb: str, words: str, says: str
) -> None:
    assert says in refused(capsys, f"{verb} --track {words}")
    assert not Path("out").exists()


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_package_of_a_built_in_tracker_is_named_with_its_cure(
    monkeypatch: Patch, name: str
) -> None:
    for module in [m for m in sys.modules if m.startswith(f"torch.utils.{name}")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)  # as where it is not installed
    cure = f"needs the package {name}, which is not installed; python -m pip install {name}"
    with pytest.raises(SpecError, match=cure):
        asked_for([f"{name}=x"])


def test_no_tracker_is_made_unasked() -> None:
    assert asked_for([]) == ()
    assert call(RUN) == 0
    assert Notes.told == []


def test_the_tracker_of_an_installed_package_is_told_of_each_run() -> None:
    Path("tiny.toml").write_text(TINY_GRID)
    assert call(f"{RUN} --grid tiny.toml --track notes=x --track notes=x") == 0
    told = ["made", "made", "made", "start", "end"]  # twice to find out what is wrong
    assert kinds() == told
    assert Notes.told[3][2]["arm"] == "otsu"
    assert Notes.told[4][1]["test.n"] == 4
    assert call(f"{RUN} --grid tiny.toml --track notes=x") == 0
    assert kinds() == [*told, "made", "made"]  # done before


def test_a_task_of_an_array_tells_its_tracker_too() -> None:
    assert call(f"{RUN} --launcher debug --track notes=x") == 0
    assert kinds()[-3:] == ["made", "start", "end"]
