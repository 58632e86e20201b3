"""What is recorded of the place where a run happened."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from benchmark.runs import environment
from benchmark.runs.environment import PACKAGES, RESUME_KEYS, describe

CODE = ("benchmark/runs/environment.py", "baselines/unet.py", "reference_results/thesis.csv",
        "constraints.txt")  # fmt: skip


def test_the_facts_are_flat_and_can_be_written() -> None:
    facts = describe("cpu", threads=3)
    assert json.loads(json.dumps(facts)) == facts
    assert all(value is None or isinstance(value, str | int | bool) for value in facts.values())
    assert (facts["threads"], facts["device_kind"], facts["gpu"]) == (3, "cpu", None)
    assert (facts["python"], facts["cores"]) == (platform.python_version(), os.cpu_count())


def test_versions_are_the_installed_ones() -> None:
    facts = describe("cpu")
    assert {name: facts[name] for name in PACKAGES} == {name: version(name) for name in PACKAGES}


def test_a_package_that_is_absent_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("no-such-package",))
    assert describe("cpu")["no-such-package"] is None


def test_what_decides_about_resuming_is_recorded() -> None:
    assert set(RESUME_KEYS) <= set(describe("cpu", threads=1))


def test_a_training_goes_on_on_another_card_of_its_kind_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three cards, the last of another kind: a card's number decides nothing, its name does."""
    cards = {"cuda": "A", "cuda:0": "A", "cuda:1": "A", "cuda:2": "B"}
    monkeypatch.setattr(torch.cuda, "get_device_name", cards.__getitem__)
    facts = {device: describe(device, threads=1) for device in cards}
    kinds = {device: [facts[device][key] for key in RESUME_KEYS] for device in cards}
    assert kinds["cuda"] == kinds["cuda:0"] == kinds["cuda:1"] != kinds["cuda:2"]
    assert (facts["cuda:2"]["device_kind"], facts["cuda:2"]["gpu"]) == ("cuda", "B")
    assert kinds["cuda"] != [describe("cpu", threads=1)[key] for key in RESUME_KEYS]


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout that the package believes to lie in."""
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    for name in CODE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("# as committed\n")
    monkeypatch.setattr(
        environment, "__file__", str(tmp_path / "benchmark" / "runs" / "environment.py")
    )
    return tmp_path


def test_the_commit_and_whether_the_code_was_changed(checkout: Path) -> None:
    git(checkout, "init")
    git(checkout, "add", ".")
    git(checkout, "commit", "-m", "all")
    facts = describe("cpu")
    assert len(str(facts["git_commit"])) == 40
    assert facts["git_dirty"] is False
    (checkout / "notes.txt").write_text("no code")
    assert describe("cpu")["git_dirty"] is False
    for name in CODE:
        (checkout / name).write_text("# changed\n")
        assert describe("cpu")["git_dirty"] is True, name
        (checkout / name).write_text("# as committed\n")


def test_outside_a_checkout_there_is_no_commit(checkout: Path) -> None:
    facts = describe("cpu")
    assert (facts["git_commit"], facts["git_dirty"]) == (None, None)


def test_without_git_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / ".git").mkdir()
    monkeypatch.setenv("PATH", str(checkout))
    facts = describe("cpu")
    assert (facts["git_commit"], facts["git_dirty"]) == (None, None)
