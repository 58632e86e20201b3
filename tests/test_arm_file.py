"""`--arm-file`: one Python file brings arms, is a grid of its own, and is refused in words."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bench_forms import called, refused
from data_forms import small_set, write_pairs
from PIL import Image

from baselines import ARMS
from benchmark.__main__ import main
from benchmark.arm_file import arms_of, with_arm_files
from benchmark.cli.options import request
from benchmark.cli.parser import parser
from benchmark.errors import ArmError
from benchmark.planning.request import PlannedRuns, prepare

Patch = pytest.MonkeyPatch
Capture = pytest.CaptureFixture[str]

CLASSICAL = """\
from dataclasses import dataclass

import numpy as np

from benchmark.arm import FitReport
from baselines.otsu import Otsu  # an arm of another module


@dataclass
class BrightSpot:
    gain: float = 0.5

    def fit(self, train, val, context):
        return FitReport(facts={"seed": context.seed})

    def predict(self, images):
        return (self.gain * (images + 1)).clip(0, 1).astype(np.float32)

    def state(self):
        return {}

    def restore(self, state, context):
        pass
"""
MORE = """\


@dataclass
class UNetPlus(BrightSpot):
    depth: int = 3
    deterministic = True


class _Shared(BrightSpot):
    pass


class Fitter:
    def fit(self, train, val, context):
        return FitReport()
"""


@pytest.fixture(autouse=True)
def _imports_as_before(tmp_path: Path, monkeypatch: Patch) -> Iterator[None]:
    """In an empty folder; what is imported from it, and its place on the path, are forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name, module in [*sys.modules.items()]:
        if str(tmp_path) in str(getattr(module, "__file__", "")):
            del sys.modules[name]


def written(path: str, text: str = CLASSICAL) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")
    return Path(path)


def planned(options: str) -> PlannedRuns:
    asked = parser().parse_args(shlex.split(f"plan {options}"))
    return prepare(request(asked), with_arm_files(ARMS, asked.arm_file), keep_splits=False)


def test_every_public_class_with_fit_and_predict_that_a_file_defines_is_an_arm() -> None:
    """Named by its class; neither what it imports, nor what has an underscore, nor half an arm."""
    arms = arms_of(written("my_arms/nets.py", CLASSICAL + MORE))
    assert {name: entry.target for name, entry in arms.items()} == {
        "bright-spot": "nets:BrightSpot",
        "u-net-plus": "nets:UNetPlus",
    }
    assert arms["bright-spot"].defaults == {"gain": 0.5}
    assert arms["u-net-plus"].defaults == {"gain": 0.5, "depth": 3}
    assert [arm.deterministic for arm in arms.values()] == [False, True]
    source = arms["bright-spot"].source
    assert source is not None
    assert source.package == "nets"
    assert arms["u-net-plus"].load() is sys.modules["nets"].UNetPlus


def test_a_file_imports_its_siblings_and_they_are_part_of_its_source() -> None:
    first = arms_of(written("one/alone.py", CLASSICAL))["bright-spot"].source
    written("two/gains.py", "GAIN = 0.25\n")
    text = "from gains import GAIN\n" + CLASSICAL.replace("= 0.5", "= GAIN")
    entry = arms_of(written("two/beside.py", text))["bright-spot"]
    assert entry.defaults == {"gain": 0.25}
    assert first != entry.source


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("none.py", None, "--arm-file none.py: there is no such file"),
        ("net.txt", "", "--arm-file net.txt: must be a Python file, NAME.py"),
        ("folder", None, "--arm-file folder: must be a Python file, NAME.py"),
        ("my-arm.py", "", "'my-arm' is no name of a Python module; rename the file"),
        ("class.py", "", "'class' is no name of a Python module; rename the file"),
        ("torch.py", "", "'torch' is the name of another module"),
        ("sys.py", "", "'sys' is the name of another module (built into Python); rename the file"),
        ("wave.py", "", "'wave' is the name of another module"),
        ("bad_a.py", "a = 1\nb = (\n", "cannot be imported (bad_a.py, line 2): SyntaxError: '('"),
        ("bad_b.py", "a = 1\nb = a / 0\n", "(bad_b.py, line 2): ZeroDivisionError: division by"),
        ("bad_c.py", "import no_such_module\n", "(bad_c.py, line 1): ModuleNotFoundError: No mod"),
        ("bad_d.py", "import sys\nsys.exit('no')\n", "(bad_d.py, line 2): SystemExit: no; mend it"),
        ("bad_e.py", "import broken_sibling\n", "(broken_sibling.py, line 1): NameError: name 'no"),
        ("bad_f.py", "raise ValueError('a\\nb')\n", "ValueError: a; mend it"),
        ("bad_g.py", "x = 1\n", "--arm-file bad_g.py: holds no arm; an arm is a class with fit"),
        ("bad_h.py", CLASSICAL.replace(" = 0.5", ""), "parameters without a default: gain"),
        ("bad_i.py", CLASSICAL + "class Bright_Spot(BrightSpot): ...\n", "two classes would be"),
        ("bad_j.py", CLASSICAL.replace("BrightSpot", "Unet"), "Unet would be called 'unet', which"),
    ],
)
def test_what_is_no_arm_file_is_one_line(
    capsys: Capture, tmp_path: Path, name: str, text: str | None, says: str
) -> None:
    (tmp_path / "folder").mkdir()
    written("broken_sibling.py", "no_name\n")
    if text is not None:
        written(name, text)
    assert says in refused(capsys, f"arms --arm-file {name}")


def test_two_files_of_one_name_are_refused() -> None:
    """The second would silently be the first."""
    files = [written("a/net.py"), written("b/net.py", CLASSICAL.replace("Bright", "Dark"))]
    with pytest.raises(ArmError, match=r"b.net\.py: 'net' is the name of another module \(.*a.net"):
        with_arm_files({}, files)


def test_an_arm_that_is_installed_too_is_no_other_arm() -> None:
    """A package under development and its file are one class, and the file is what counts."""
    (name, entry), *_ = arms_of(written("mine.py")).items()
    assert with_arm_files({name: entry}, [Path("mine.py")]) == {name: entry}


def test_without_a_grid_its_arms_are_the_grid(tmp_path: Path, few_phantoms: None) -> None:
    """With their defaults: on real slices the seeds of the thesis, on phantoms those of quick."""
    write_pairs(small_set(24), tmp_path / "own")
    written("net.py", CLASSICAL + MORE)
    real = planned("--data own --arm-file net.py")
    assert (real.grid.name, [*real.splits]) == ("net", ["by-image-1"])
    assert [(spec.arm, spec.seed) for spec in real.specs] == [
        ("bright-spot", 452669),
        ("u-net-plus", None),
        ("bright-spot", 1),
        ("bright-spot", 2),
    ]
    assert real.specs[0].params == {"gain": 0.5}
    drawn = planned("--data phantoms --arm-file net.py --only arm=bright-spot")
    assert [(spec.arm, spec.seed) for spec in drawn.specs] == [("bright-spot", 452669)]
    assert drawn.specs[0].recipe.training.max_epochs == 12
    drawn = planned("--data phantoms --arm-file net.py --seeds 7,8 --set training.max_epochs=2")
    assert {spec.seed for spec in drawn.specs} == {7, 8, None}
    assert {spec.recipe.training.max_epochs for spec in drawn.specs} == {2}


def test_with_a_grid_the_grid_decides(few_phantoms: None) -> None:
    written("net.py")
    Path("mine.toml").write_text('seeds = [1]\n[[arms]]\nname = "bright-spot"\ngain = [0.1, 0.2]\n')
    specs = planned("--data phantoms --arm-file net.py --grid mine.toml").specs
    assert [spec.params for spec in specs] == [{"gain": 0.1}, {"gain": 0.2}]
    specs = planned("--data phantoms --arm-file net.py --grid baselines").specs
    assert "bright-spot" not in {spec.arm for spec in specs}


def test_two_files_make_one_grid(few_phantoms: None) -> None:
    written("a/net.py")
    written("b/dark.py", CLASSICAL.replace("Bright", "Dark"))
    both = planned("--data phantoms --arm-file a/net.py --arm-file b/dark.py")
    assert both.grid.name == "net+dark"
    assert [spec.arm for spec in both.specs] == ["bright-spot", "dark-spot"]


def test_an_unknown_arm_says_where_was_looked_and_what_to_do(
    capsys: Capture, few_phantoms: None
) -> None:
    Path("mine.toml").write_text('seeds = [1]\n[[arms]]\nname = "bright-spot"\n')
    error = refused(capsys, "plan --data phantoms --grid mine.toml")
    assert "unknown arm 'bright-spot'; known: attention-unet, background" in error
    assert f"searched: {sys.executable}; install its package there" in error
    assert "BENCH_PLUGINS), or give its file with --arm-file" in error


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--grid thesis --only arm=otsu", "known: unet; grid baselines has it: --grid baselines"),
        ("--grid thesis --only arm=nnunet", "unknown arm 'nnunet'; known: unet\n"),
        ("--grid baselines --only arm=unet", "grid thesis has it: --grid thesis\n"),
        ("--grid baselines --only kernel_size=7", "grid thesis has it: --grid thesis\n"),
        (
            "--grid quick --only alpha=0.4",
            "known: 0.1, 0.5, 0.9; grid thesis has it: --grid thesis",
        ),
        (
            "--grid quick --only kernel=7",
            "known: alpha, arm, band, kernel_size, neck, rim, smoothing, ",
        ),
        ("--arm-file net.py --only arm=unet", "known: bright-spot; grid thesis has it"),
        (
            "--arm-file net.py --only gain=0.9",
            "unknown gain 0.9; known: 0.5; a grid file of yours ",
        ),
    ],
)
def test_what_a_grid_lacks_is_told_with_the_grid_that_has_it(
    capsys: Capture, few_phantoms: None, options: str, says: str
) -> None:
    written("net.py")
    error = refused(capsys, f"plan --data phantoms {options}")
    assert error.startswith("error: --only: unknown")
    assert says in error


def test_a_run_of_a_file_is_judged_next_and_its_model_predicts(
    capsys: Capture, few_phantoms: None
) -> None:
    """predict needs the file as well, and says so without it."""
    written("net.py")
    words = "--data phantoms --arm-file net.py --keep-models --threads 1"
    assert main(shlex.split(f"reproduce {words}")) == 0
    output = capsys.readouterr().out
    assert "[1/1] bright-spot(gain=0.5) seed 452669: done" in output
    assert "Judge them: nox -s compare -- --runs runs-quick\n" in output
    Image.fromarray(np.arange(4096, dtype=np.uint8).reshape(64, 64)).save("slice.png")
    (run,) = Path("runs-quick").glob("bright-spot*")
    again = f"predict slice.png --runs runs-quick --run {run.name} --spacing 1 1"
    error = refused(capsys, again)
    assert "unknown arm 'bright-spot'" in error
    assert "or give its file with --arm-file" in error
    assert main(shlex.split(f"{again} --arm-file net.py")) == 0
    assert Path("predictions/measures.csv").is_file()


@pytest.mark.slow
def test_workers_find_the_file_and_its_siblings(tmp_path: Path) -> None:
    """Each is a process of its own, which knows only what it was handed; run by run_id too."""
    written("elsewhere/gains.py", "GAIN = 0.25\n")
    text = "from gains import GAIN\n" + CLASSICAL.replace("= 0.5", "= GAIN")
    written("elsewhere/net.py", text)
    words = "--data phantoms --arm-file elsewhere/net.py --seeds 1,2 --out out --threads 1"
    code, output, err = called(["reproduce", *words.split(), "--workers", "2"], tmp_path)
    assert (code, err) == (0, "")
    assert len(set(re.findall(r"bright-spot\(gain=0.25\) seed [12]: done", output))) == 2
    ids = "plan --data phantoms --arm-file elsewhere/net.py --seeds 3 --out out"
    code, run_id, _ = called([*ids.split(), "--format", "ids"], tmp_path)
    assert run_id.startswith("bright-spot_gain0.25_")
    words = words.replace("--seeds 1,2", f"--seeds 3 --id {run_id.strip()}")
    code, output, err = called(["run", *words.split()], tmp_path)
    assert (code, err) == (0, "")
    assert len(list((tmp_path / "out").glob("bright-spot*/result.json"))) == 3


def test_a_file_that_is_edited_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """What was read may be the old text, and what is hashed the new one."""
    (tmp_path / "slow_arm.py").write_text(
        CLASSICAL + "\nfrom pathlib import Path\nimport os, time\n"
        "os.utime(__file__, (time.time() + 1,) * 2)  # saved meanwhile\n"
    )
    with pytest.raises(ArmError, match=r"slow_arm.py: was changed while it was read; give"):
        arms_of(tmp_path / "slow_arm.py")


def test_of_two_edits_in_one_second_the_second_is_run(tmp_path: Path) -> None:
    """Of the same length: bytecode of the first would pass for the second's, so none is left."""
    path, gains = tmp_path / "quick_arm.py", list[float]()
    for gain in ("0.5", "0.7"):
        path.write_text(CLASSICAL.replace("0.5", gain))
        os.utime(path, (1_600_000_000,) * 2)
        gains.append(arms_of(path)["bright-spot"].defaults["gain"])
        del sys.modules["quick_arm"]
    assert gains == [0.5, 0.7]
    assert not (tmp_path / "__pycache__").exists()


def test_a_sibling_that_python_finds_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    """Or an edit of the file beside the arm would change nothing, and nobody would be told."""
    for folder, value in (("first", 1), ("mine", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my_blocks.py").write_text(f"VALUE = {value}\n")
    arm = tmp_path / "mine" / "third_arm.py"
    arm.write_text(CLASSICAL + "\nimport my_blocks\n")
    monkeypatch.syspath_prepend(tmp_path / "first")
    with pytest.raises(ArmError, match=r"import my_blocks takes .*first.*, and not .*mine.*beside"):
        arms_of(arm)


def test_one_class_under_two_names_is_one_arm(tmp_path: Path) -> None:
    (tmp_path / "twice_arm.py").write_text(CLASSICAL + "\nBest = BrightSpot\n")
    assert list(arms_of(tmp_path / "twice_arm.py")) == ["bright-spot"]
