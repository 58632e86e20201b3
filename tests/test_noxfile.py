"""The environment that nox's jobs share: made once, with the packages that BENCH_PLUGINS names."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest
from bench_forms import ROOT

Patch = pytest.MonkeyPatch


class EndedError(Exception):
    """What a session's `error` raises."""


class Session:
    """A session of nox that runs nothing: what it would run, and what it says."""

    def __init__(self) -> None:
        self.ran: list[list[str]] = []

    def run(self, *words: str, external: bool) -> None:
        assert external
        self.ran.append([*words])

    def log(self, text: str) -> None:
        pass

    def error(self, text: str) -> None:
        raise EndedError(text)

    @property
    def installed(self) -> list[str]:
        """What was installed as editable, in order, since last asked."""
        found = [words[i + 1] for words in self.ran for i, w in enumerate(words) if w == "-e"]
        self.ran.clear()
        return found


@pytest.fixture
def noxfile(tmp_path: Path, monkeypatch: Patch) -> ModuleType:
    """noxfile.py, its root an empty folder, where making an environment makes its folder."""
    monkeypatch.delenv("BENCH_PLUGINS", raising=False)
    monkeypatch.setitem(sys.modules, "nox", MagicMock())  # the tests' environment has none
    spec = importlib.util.spec_from_file_location("noxfile", ROOT / "noxfile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(module, "ROOT", tmp_path)

    def venv(words: list[Any], check: bool) -> None:
        words[-1].mkdir(parents=True)

    monkeypatch.setattr(module.subprocess, "run", venv)
    return module


def package(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text("[project]\n")
    return folder


def test_packages_of_yours_are_installed_once_and_where_something_changed(
    noxfile: ModuleType, tmp_path: Path, monkeypatch: Patch
) -> None:
    """Relative to the repository or not; again for a new text, another list, a new environment."""
    one, two = package(tmp_path / "arms" / "one"), package(tmp_path / "two")
    monkeypatch.setenv("BENCH_PLUGINS", os.pathsep.join(["arms/one", str(two)]))
    session, bench = Session(), ".[test,types]"
    noxfile.python(session, "-c", "")
    assert session.installed == [bench, str(one), str(two)]
    noxfile.python(session, "-c", "")
    assert session.ran[0][1:] == ["-c", ""]
    assert session.installed == []
    (two / "pyproject.toml").write_text("[project]\nversion = '2'\n")
    noxfile.python(session, "-c", "")
    assert session.installed == [str(one), str(two)]
    monkeypatch.setenv("BENCH_PLUGINS", "two")
    noxfile.python(session, "-c", "")
    assert session.installed == [str(two)]
    shutil.rmtree(tmp_path / ".nox")
    noxfile.python(session, "-c", "")
    assert session.installed == [bench, str(two)]


def test_they_are_installed_with_the_versions_of_the_bench(
    noxfile: ModuleType, tmp_path: Path, monkeypatch: Patch
) -> None:
    package(tmp_path / "one")
    monkeypatch.setenv("BENCH_PLUGINS", "one")
    session = Session()
    noxfile.python(session, "-c", "")
    assert len(session.ran) == 3
    assert all(words[-4:-2] == ["-c", "constraints.txt"] for words in session.ran[:2])


def test_an_environment_of_another_job_has_none_of_them(
    noxfile: ModuleType, tmp_path: Path, monkeypatch: Patch
) -> None:
    package(tmp_path / "one")
    monkeypatch.setenv("BENCH_PLUGINS", "one")
    session = Session()
    noxfile.python(session, "-c", "", name="speed", extras="speed")
    assert session.installed == [".[speed]"]


def test_an_installation_that_failed_is_tried_again(
    noxfile: ModuleType, tmp_path: Path, monkeypatch: Patch
) -> None:
    session, one = Session(), package(tmp_path / "one")
    noxfile.python(session, "-c", "")
    assert session.installed == [".[test,types]"]
    monkeypatch.setenv("BENCH_PLUGINS", "one")
    with monkeypatch.context() as patch:
        patch.setattr(Session, "run", lambda self, *words, external: self.error("pip failed"))
        with pytest.raises(EndedError):
            noxfile.python(session, "-c", "")
    noxfile.python(session, "-c", "")
    assert session.installed == [str(one)]


@pytest.mark.parametrize("path", ["no/such", "empty", "file.toml"])
def test_a_wrong_path_is_told_before_minutes_are_spent(
    noxfile: ModuleType, tmp_path: Path, monkeypatch: Patch, path: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.toml").touch()
    monkeypatch.setenv("BENCH_PLUGINS", path)
    session = Session()
    with pytest.raises(EndedError, match=f"BENCH_PLUGINS: {path}: no pyproject.toml is there"):
        noxfile.python(session, "-c", "")
    assert session.ran == []
    assert not (tmp_path / ".nox").exists()
