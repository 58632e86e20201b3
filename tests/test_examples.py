"""The package of examples/ is installed as a user would, without a network, and run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bench_forms import ROOT, called

from benchmark.runs.run_folder import read_json

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "examples" / "my-arm"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages that holds the example, built by its own backend from a copy."""
    folder = tmp_path_factory.mktemp("example")
    made = shutil.ignore_patterns("build", "*.egg-info")
    source = shutil.copytree(EXAMPLE, folder / "source", ignore=made)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    where = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder / "site")]
    done = subprocess.run([*pip, *where, str(source)], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return folder / "site"


def test_the_example_is_listed_with_its_parameters(site: Path, tmp_path: Path) -> None:
    code, output, err = called(["arms"], tmp_path, [site])
    assert (code, err) == (0, "")
    assert "my_arm:MyArm" in output
    assert "width=32" in output


def test_the_example_s_grid_is_trained_and_compared(site: Path, tmp_path: Path) -> None:
    grid = ["--grid", str(EXAMPLE / "my-grid.toml"), "--only", "width=8"]
    words = ["reproduce", "--data", "phantoms", *grid, "--out", "out", "--threads", "1"]
    code, output, err = called(words, tmp_path, [site])
    assert (code, err) == (0, "")
    assert "[1/1] my-arm(alpha=0.5, width=8) seed 452669: done" in output
    (result,) = tmp_path.glob("out/my-arm_alpha0.5_width8_*/result.json")
    assert read_json(result)["fit"]["stop_epoch"] == 1
    words = ["compare", "--runs", "out", "--section", "runs"]
    code, output, err = called(words, tmp_path, [site])
    assert code == 0
    assert "my-arm" in output
