"""An arm of another package: found by its entry point, run like any other, and refused in words."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from bench_forms import ROOT, finish, process

from baselines import ARMS
from benchmark.__main__ import main
from benchmark.arm import with_plugins
from benchmark.errors import ArmError
from benchmark.runs.run_folder import read_json

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
pytestmark = pytest.mark.slow

GRID = 'seeds = [1, 2]\n[[arms]]\nname = "dimmer"\ngain = 0.75\n'


def install(site: Path, name: str, target: str) -> Path:
    """What installing the package extra-arms would leave in a site-packages folder."""
    sys.modules.pop("extra_arms", None)  # of an earlier test
    shutil.copy(ROOT / "tests" / "plugin_arm.py", site / "extra_arms.py")
    about = site / "extra_arms-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: extra-arms\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[meningioma_bench.arms]\n{name} = {target}\n")
    return site


def test_an_arm_of_another_package_is_listed_and_run(tmp_path: Path) -> None:
    site, grid = tmp_path / "site", tmp_path / "one.toml"
    site.mkdir()
    install(site, "dimmer", "extra_arms:Dimmer")
    grid.write_text(GRID)
    code, output, err = finish(process(["-m", "benchmark", "arms"], tmp_path, [site]))
    assert (code, err) == (0, "")
    assert "extra_arms:Dimmer" in output
    assert "gain=0.5" in output
    words = "-m benchmark reproduce --data phantoms --grid one.toml --out out --threads 1"
    code, output, err = finish(process(words.split(), tmp_path, [site]))
    assert (code, err) == (0, "")
    assert "[1/1] dimmer(gain=0.75): done" in output  # deterministic: the two seeds are one run
    (result,) = tmp_path.glob("out/dimmer_gain0.75_*/result.json")
    assert read_json(result)["fit"] == {"gain": 0.75}


def test_a_name_is_taken_once(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, "unet", "extra_arms:Dimmer"))
    sentence = r"'extra_arms:Dimmer' takes the name 'unet', which is baselines.unet:UNetArm"
    with pytest.raises(ArmError, match=sentence):
        with_plugins(ARMS)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no_such_package:Arm", "Arm' cannot be imported .*install or repair its package"),
        ("extra_arms:NoSuchArm", "'extra_arms:NoSuchArm' cannot be imported"),
        ("extra_arms:NOT_A_CLASS", "is a int, not a class"),
        ("extra_arms:Demanding", "Demanding: parameters without a default: gain"),
    ],
)
def test_a_broken_package_is_one_line(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture, target: str, words: str
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, "dimmer", target))
    with pytest.raises(ArmError, match=words):
        with_plugins(ARMS)
    assert main(["arms"]) == 2
    output = capsys.readouterr().err
    assert output.startswith("error: ")
    assert output.count("\n") == 1
