"""An arm of another package: found by its entry point, run like any other; broken, a warning."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from bench_forms import ROOT, called

from baselines import ARMS
from benchmark.__main__ import main
from benchmark.cli.workers import check_unchanged
from benchmark.errors import ArmError
from benchmark.plugins import with_plugins
from benchmark.runs.run_folder import read_json

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
pytestmark = pytest.mark.slow

RUN = "reproduce --data phantoms --grid one.toml --out out --threads 1"
GRID = 'seeds = [1, 2]\n[[arms]]\nname = "dimmer"\ngain = 0.75\n'


def install(site: Path, name: str, target: str, package: str = "extra-arms") -> Path:
    """What installing a package of one arm would leave in a site-packages folder."""
    for module in ("extra_arms", "own_arm"):
        sys.modules.pop(module, None)  # of an earlier test
    shutil.copy(ROOT / "tests" / "plugin_arm.py", site / "extra_arms.py")
    about = site / f"{package.replace('-', '_')}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[meningioma_bench.arms]\n{name} = {target}\n")
    return site


def test_an_arm_of_another_package_is_listed_run_and_recorded_as_what_it_was(
    tmp_path: Path,
) -> None:
    site, grid = tmp_path / "site", tmp_path / "one.toml"
    site.mkdir()
    install(site, "dimmer", "extra_arms:Dimmer")
    grid.write_text(GRID)
    code, output, err = called(["arms"], tmp_path, [site])
    assert (code, err) == (0, "")
    listed = re.search(r"extra_arms:Dimmer \(source ([0-9a-f]{6})\)", output)
    assert listed is not None
    assert "gain=0.5" in output
    code, output, err = called(RUN.split(), tmp_path, [site])
    assert (code, err) == (0, "")
    assert "[1/1] dimmer(gain=0.75): done" in output  # deterministic: the two seeds are one run
    (result,) = tmp_path.glob("out/dimmer_gain0.75_*/result.json")
    assert read_json(result)["fit"] == {"gain": 0.75}
    recorded = read_json(result.with_name("spec.json"))
    assert recorded["arm_source"] == {
        "package": "extra-arms",
        "version": "1.0",
        "sha256": recorded["spec"]["source"],
    }
    assert recorded["spec"]["source"].startswith(listed[1])


def test_an_arm_that_was_changed_is_run_again_beside_its_old_runs(tmp_path: Path) -> None:
    """A comment changes nothing; a number opens the cell again, which is said in one line."""
    site, grid = tmp_path / "site", tmp_path / "one.toml"
    site.mkdir()
    install(site, "dimmer", "extra_arms:Dimmer")
    grid.write_text(GRID)
    called(RUN.split(), tmp_path, [site])
    arm = site / "extra_arms.py"
    arm.write_text(arm.read_text().replace("# of it", "") + "\n# a comment\n")
    code, output, err = called(RUN.split(), tmp_path, [site])
    assert (code, err) == (0, "")
    assert "1 cells, 1 done" in output
    assert "has changed" not in output
    arm.write_text(arm.read_text().replace("images + 1", "images + 0.5"))
    code, output, err = called(RUN.split(), tmp_path, [site])
    assert (code, err) == (0, "")
    assert [line for line in output.splitlines() if "changed" in line] == [
        (
            "dimmer has changed since 1 of these cells was run: it is open again under a name of "
            "its own; the old run stays."
        )
    ]
    old, new = sorted(tmp_path.glob("out/dimmer_*/scores.csv"))
    assert old.read_bytes() != new.read_bytes()
    words = ["compare", "--runs", "out", "--section", "runs", "--format", "csv"]
    code, output, err = called(words, tmp_path, [site])
    rows = [line for line in output.splitlines() if "dimmer" in line]
    assert len(rows) == 2
    names = {re.findall(r"dimmer \(source [0-9a-f]{6}\)", row)[0] for row in rows}
    assert len(names) == 2


def test_a_name_taken_already_stays_with_the_earlier_one(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, "unet", "extra_arms:Dimmer"))
    assert with_plugins(ARMS) == ARMS
    assert capsys.readouterr().err == (
        "warning: arm 'unet' of extra-arms 1.0 (extra_arms:Dimmer) is left out: its name is that "
        "of baselines.unet:UNetArm; rename one of them\n"
    )


def test_of_two_packages_with_one_name_the_first_on_the_path_stays(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    for folder in ("second", "first"):  # the last put before the others is first
        (tmp_path / folder).mkdir()
        site = install(tmp_path / folder, "dimmer", "extra_arms:Dimmer", f"{folder}-arms")
        monkeypatch.syspath_prepend(site)
    source = with_plugins(ARMS)["dimmer"].source
    assert source is not None
    assert source.package == "first-arms"
    warning = capsys.readouterr().err
    assert warning.startswith("warning: arm 'dimmer' of second-arms 1.0 (extra_arms:Dimmer) is ")
    assert warning.count("\n") == 1


BREAKS = {  # what an arm's file is -> why it is refused
    "def (:": r"SyntaxError: invalid syntax \(own_arm.py, line 1\)",
    "raise SystemExit(0)": "SystemExit: 0",
    "import sys; sys.exit('no\\nway')": "SystemExit: no way",
    "1 / 0": "ZeroDivisionError: division by zero",
    "import no_such_thing": "cannot be imported .No module named 'no_such_thing'.; install or",
    "raise BaseException": "ends with BaseException",
    "Mine = 3": "'own_arm:Mine' is a int, not a class",
    "": "own_arm.* has no attribute 'Mine'",
    "class Mine:\n width: int = 3": "Mine: width is no parameter yet; write @dataclass above cl",
    "class Mine:\n def __init__(self, width=3): ...": "width is no parameter yet; write width: T",
    "class Mine:\n def fit(self): ...": "Mine lacks fit or predict, which every arm has",
    "from dataclasses import *\n@dataclass\nclass Mine:\n f: tuple = (4,)": r"f = \(4,\) names no",
    "from dataclasses import *\n@dataclass\nclass Mine:\n gain: float": "without a default: gain",
    "from dataclasses import *\n@dataclass\nclass Mine:\n a: list = []": "ValueError: mutable",
}


@pytest.mark.parametrize("text", BREAKS)
def test_a_broken_arm_is_one_warning_and_the_other_verbs_go_on(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture, text: str
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, "mine", "own_arm:Mine"))
    (tmp_path / "own_arm.py").write_text(text + "\n")
    assert main(["arms"]) == 0
    output, warning = capsys.readouterr()
    assert warning.startswith("warning: arm 'mine' of extra-arms 1.0 (own_arm:Mine) cannot be used")
    assert warning.endswith("; mend or uninstall its package\n")
    assert warning.count("\n") == 1
    assert re.search(BREAKS[text], warning)
    (row,) = [line for line in output.splitlines() if line.startswith("mine ")]
    assert row.split() == ["mine", "broken", "own_arm:Mine"]
    assert "baselines.unet:UNetArm" in output


def test_a_module_that_is_not_there_is_a_broken_arm(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, "mine", "no_such_package:Arm"))
    assert main(["arms"]) == 0
    assert "'no_such_package:Arm' cannot be imported" in capsys.readouterr().err


def test_ctrl_c_while_an_arm_is_imported_stops_the_command(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, "mine", "own_arm:Mine"))
    (tmp_path / "own_arm.py").write_text("raise KeyboardInterrupt\n")
    assert main(["arms"]) == 130


def test_an_arm_that_is_edited_while_workers_start_is_not_run_under_its_old_name(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, "dimmer", "extra_arms:Dimmer"))
    arms = with_plugins(ARMS)
    check_unchanged(arms)
    arm = tmp_path / "extra_arms.py"
    text = arm.read_text()
    arm.write_text(text.replace("images + 1", "images + 0.5"))
    with pytest.raises(ArmError, match="arm dimmer was changed since this was planned; give the"):
        check_unchanged(arms)
    arm.write_text(f"{text}# no more\n")
    check_unchanged(arms)


def test_beside_a_broken_arm_a_grid_runs_and_one_that_names_it_is_refused(tmp_path: Path) -> None:
    """Workers import nothing of it, and say nothing more."""
    site, grid = tmp_path / "site", tmp_path / "one.toml"
    site.mkdir()
    install(site, "dimmer", "extra_arms:Dimmer")
    install(site, "mine", "own_arm:Mine", "broken-arms")
    (site / "own_arm.py").write_text("print('out', flush=True); raise SystemExit(3)\n")
    grid.write_text(GRID.replace("0.75", "[0.75, 0.8]"))
    code, output, err = called([*RUN.split(), "--workers", "2"], tmp_path, [site])
    assert code == 0
    assert err.startswith("warning: arm 'mine' of broken-arms 1.0 (own_arm:Mine) cannot be used: ")
    assert err.count("\n") == 1
    assert len(list(tmp_path.glob("out/dimmer_*/result.json"))) == 2
    grid.write_text(GRID + '[[arms]]\nname = "mine"\n')
    code, output, err = called(RUN.split(), tmp_path, [site])
    assert code == 2
    warning, error = err.splitlines()
    assert error == warning.replace("warning: ", "error: ")


def test_a_name_that_leads_out_of_the_folder_of_runs_is_a_broken_arm(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, "../mine", "extra_arms:Dimmer"))
    assert with_plugins(ARMS)["../mine"].broken
    assert "cannot be used: its name is none of a folder: letters" in capsys.readouterr().err
