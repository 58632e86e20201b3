"""`arms --check`, the check before a grid begins, and what a grid says at its end of failures."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from bench_forms import FAULTY, PINCHED, Faulty, call, refused
from rich.console import Console

from baselines import ARMS
from benchmark.arm import ArmEntry, Cases, FitReport, FloatImages, ProbMaps, RunContext
from benchmark.cli import run_verbs
from benchmark.network_arm import NetworkArm
from benchmark.planning.time_estimate import GUESSED_EPOCHS

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
pytestmark = pytest.mark.usefixtures("elsewhere")
Offer = Callable[..., ArmEntry]

HEAD = """\
from dataclasses import dataclass
from torch import nn
from benchmark.network_arm import NetworkArm


class Net(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layer = nn.Conv2d(1, channels, 3, padding=1)

    def forward(self, images):
        return {forward}


@dataclass
class MyArm(NetworkArm):
    width: int = 2

    def __post_init__(self):
        {made}

    def build(self, network):
        return {built}
"""
SOUND = {"forward": "self.layer(images)", "made": "pass", "built": "Net(self.width)"}
GRID = 'seeds = [1]\n[[arms]]\nname = "my-arm"\n'


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: Patch) -> Offer:
    """Let the benchmark know an arm "my-arm" of somebody else's file my_arms.py, with changes."""

    def offered(**changes: str) -> ArmEntry:
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / "my_arms.py").write_text(HEAD.format(**{**SOUND, **changes}))
        monkeypatch.syspath_prepend(tmp_path / "site")
        monkeypatch.delitem(sys.modules, "my_arms", raising=False)
        entry = ArmEntry.of(import_module("my_arms").MyArm, "my-package", "1.0")
        monkeypatch.setattr("benchmark.__main__.ARMS", {**ARMS, "my-arm": entry})
        return entry

    return offered


def test_a_network_is_checked_and_its_cost_told(capsys: Capture, offer: Offer) -> None:
    """A convolution of 3 x 3 from 1 to 2 channels: 2 x 9 weights and 2 biases."""
    offer()
    assert call("arms --check my-arm --image-size 64 --device cpu") == 0
    output = capsys.readouterr().out
    first, second, *table = output.splitlines()
    assert first == "Checking my-arm on drawn phantoms of 64 x 64 ..."
    assert second == "my-arm (alpha=0.5, width=2) keeps the contract of an arm."
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in table)
    assert rows["parameters"] == "20 (0.00 million)"
    # 64 x 64 x 2 x 9 products, 2 operations each, forward and again for the weights' gradient
    assert rows["GFLOP an image"] == "0.000295, forward and backward"
    memory, many = rows["memory"].split(", at the most, with ")
    assert re.fullmatch(r"[\d.]+ GiB of the process", memory)
    assert many == "4 phantoms of 64 x 64 at once (a training: 16)"
    assert "4 images, 1 more to validate (cpu, " in rows["a step"]
    assert "for 482 images, 120 to validate (by-image-1)" in rows["an epoch"]
    assert re.match(rf"about .*, {GUESSED_EPOCHS:.0f} epochs assumed$", rows["a training"])
    assert not list(Path().rglob("spec.json"))


def test_built_in_arms_can_be_checked_too(capsys: Capture) -> None:
    """Table 2's count."""
    assert call("arms --check unet --image-size 64 --device cpu") == 0
    output = capsys.readouterr().out
    assert re.search(r"^parameters +[\d,]+ \(7.36 million\)$", output, re.MULTILINE)


@pytest.mark.parametrize("name", ["otsu", "click-region-growing", "pinched"])
def test_an_arm_that_trains_no_network_learns_and_predicts(
    capsys: Capture, monkeypatch: Patch, name: str
) -> None:
    """One that needs clicks is given them."""
    monkeypatch.setattr("benchmark.__main__.ARMS", {**ARMS, "pinched": PINCHED})
    assert call(f"arms --check {name} --image-size 64 --device cpu") == 0
    output = capsys.readouterr().out
    assert re.search(rf"^{name} .*keeps the contract of an arm.$", output, re.MULTILINE)
    assert "it trains by no epochs" in output
    assert "parameters" not in output


@pytest.mark.parametrize(
    ("breach", "words"),
    [
        ("shape", "error: faulty: predict() gave float32 (4, 63, 64); must be a numpy array, floa"),
        ("list", "error: faulty: predict() gave list; must be a numpy array"),
        ("above", "error: faulty: predict() gave values from 0.5 to 1.5; must be probabilities"),
        ("nan", "values that are not finite; must be probabilities"),
        ("raises", "error: faulty: fit failed: RuntimeError: out of luck ("),
    ],
)
def test_maps_that_are_none_are_told_in_the_arm_s_words(
    capsys: Capture, monkeypatch: Patch, breach: str, words: str
) -> None:
    faulty = replace(FAULTY, defaults={"breach": breach, "level": 0.0})
    monkeypatch.setattr("benchmark.__main__.ARMS", {"faulty": faulty})
    error = refused(capsys, "arms --check faulty --image-size 64")
    assert words in error
    assert breach != "raises" or re.search(r"bench_forms.py:\d+\)$", error.strip())


@dataclass
class Leaning:
    """Its maps hang on the other images, or on chance, or it ends the process."""

    how: str = "others"
    deterministic: ClassVar[bool] = True
    needs_click: ClassVar[bool] = False

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        return sys.exit(0) if self.how == "exit" else FitReport()

    def predict(self, images: FloatImages) -> ProbMaps:
        if self.how == "others":
            return np.full_like(images, len(images) / 10)
        return np.random.default_rng().uniform(0.5, 0.51, images.shape).astype(np.float32)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("others", "predict() answers otherwise for an image alone than for the same image among"),
        ("chance", "predict() gives other maps when it is asked again: leave out chance"),
        ("exit", "fit failed: SystemExit: 0 ("),
    ],
)
def test_what_one_prediction_does_not_show_is_found_too(
    capsys: Capture, monkeypatch: Patch, how: str, words: str
) -> None:
    leaning = replace(ArmEntry.of(Leaning), defaults={"how": how})
    monkeypatch.setattr("benchmark.__main__.ARMS", {"leaning": leaning})
    assert f"error: leaning: {words}" in refused(capsys, "arms --check leaning --image-size 64")


WRONG = [
    ({"built": "[Net(2)]"}, "my-arm: build() gave a list of 1; must be a torch.nn.Module"),
    (
        {"built": "Net(1)"},
        "my-arm: build() gave (2, 1, 64, 64); must be (2, 2, 64, 64) logits, tum",
    ),
    ({"forward": "self.layer(images).softmax(1)"}, "leave the softmax out"),
    ({"forward": "self.lair(images)"}, "AttributeError: 'Net' object has no attribute 'lair' (12)"),
    (
        {"built": "Net(self.widht)"},
        "my-arm: build() failed: AttributeError: 'MyArm' object has (23)",
    ),
    (
        {"made": "1 / 0"},
        "my-arm: MyArm(alpha=0.5, width=2) failed: ZeroDivisionError: division (20)",
    ),
]


@pytest.mark.parametrize(
    "command", ["arms --check my-arm --image-size 64", "reproduce {}", "run {}"]
)
@pytest.mark.parametrize(("changes", "words"), WRONG)
def test_a_wrong_network_is_one_line_and_no_cell_is_begun(
    capsys: Capture, offer: Offer, command: str, changes: dict[str, str], words: str
) -> None:
    """With the line of the arm's file, where it is the arm's code that fails."""
    offer(**changes)
    Path("one.toml").write_text(GRID + "width = [2]\n")
    options = "--data phantoms --grid one.toml --out out --threads 1"
    if command.startswith("run"):
        assert call(f"plan {options.removesuffix('--threads 1')} --format ids") == 0
        options += f" --id {capsys.readouterr().out.strip()}"
    error = refused(capsys, command.format(options))
    text, _, line = words.partition(" (")
    line = line if line.rstrip(")").isdigit() else ""
    assert (text if line else words) in error
    assert not line or error.endswith(f"my_arms.py:{line}\n")
    assert not list(Path().rglob("spec.json"))
    assert not list(Path().rglob("failure.json"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "error: faulty: fit() gave a NoneType; must be a benchmark.arm.FitReport, with sec"),
        (FitReport(history=[{"epoch": 0}]), "fit() gave a FitReport without seconds; must be"),
    ],
)
def test_a_report_that_no_run_could_record(
    capsys: Capture, monkeypatch: Patch, given: object, words: str
) -> None:
    monkeypatch.setattr(Faulty, "fit", lambda self, train, val, context: given)
    monkeypatch.setattr("benchmark.__main__.ARMS", {"faulty": FAULTY})
    assert words in refused(capsys, "arms --check faulty --image-size 64")


def test_an_unknown_arm_lists_the_known(capsys: Capture) -> None:
    assert "unknown arm 'unett'; known: attention-unet, ba" in refused(capsys, "arms --check unett")


def test_a_side_that_no_network_takes(capsys: Capture) -> None:
    error = refused(capsys, "arms --check unet --image-size 100")
    assert "--image-size" in error
    assert "multiples of 32" in error


def test_a_network_is_asked_once_for_all_its_alphas_and_only_for_open_cells(
    capsys: Capture, offer: Offer, monkeypatch: Patch
) -> None:
    entry = offer(forward="self.layer(images) * self.spare.weight.numel()")
    source = (Path("site") / "my_arms.py").read_text()
    spare = "padding=1)\n        self.spare = nn.Conv2d(1, 1, 1)"
    (Path("site") / "my_arms.py").write_text(source.replace("padding=1)", spare))
    monkeypatch.delitem(sys.modules, "my_arms")
    asked: list[tuple[object, ...]] = []
    original = NetworkArm.check

    def counted(self: NetworkArm, *words: object) -> tuple[str, ...]:
        asked.append(words[:2] + words[3:])
        return original(self, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(NetworkArm, "check", counted)
    settings = '[set]\n"training.max_epochs" = 1\n"training.batch_size" = 8\n'
    Path("one.toml").write_text(f"seeds = [1, 2]\n{settings}" + GRID[12:] + "alpha = [0.4, 0.6]\n")
    command = "reproduce --data phantoms --grid one.toml --out out --threads 1 --workers 1"
    assert call(command) == 0
    assert asked == [("my-arm", (64, 64), "cpu")]
    note = "Note: my-arm: 2 of 4 weights get no gradient and stay as they are: spare.weight, spare"
    assert capsys.readouterr().out.count(note) == 1
    assert call(command) == 0
    assert len(asked) == 1
    assert entry.source is not None


FAULTS = 'seeds = [1]\n[[arms]]\nname = "faulty"\nbreach = [{}]\n'


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(
    ("breaches", "offered"),
    [('"raises"', False), ('"raises", "shape"', False), ('"raises", "none"', True)],
)
def test_a_failed_cell_names_its_record_and_nothing_is_offered_where_nothing_finished(
    capsys: Capture, monkeypatch: Patch, live: bool, breaches: str, offered: bool
) -> None:
    assert call("export phantoms slices") == 0
    monkeypatch.setattr("benchmark.__main__.ARMS", {"faulty": FAULTY})
    if live:
        screen = Console(width=100, height=30, file=io.StringIO(), force_terminal=True)
        monkeypatch.setattr(run_verbs, "terminal", lambda: screen)
    Path("faults.toml").write_text(FAULTS.format(breaches))
    capsys.readouterr()
    words = "--data slices --grid faults.toml --out out --threads 1 --workers 1"
    assert call(f"reproduce {words}") == 1
    output = capsys.readouterr().out
    failures = list(Path("out").rglob("failure.json"))
    assert len(failures) == breaches.count('"') / 2 - offered
    for path in failures:
        assert re.search(rf"^failed: {re.escape(path.parent.name)}: \w+Error: .*$", output, re.M)
        assert f"\n    more in {path}\n" in output
    assert ("Judge them: nox -s compare -- --runs out" in output) is offered
    assert ("See them on one page: nox -s report -- --runs out" in output) is offered


def test_of_a_long_message_the_first_line_is_told(capsys: Capture, monkeypatch: Patch) -> None:
    def fit(self: Faulty, train: object, val: object, context: object) -> None:
        raise ValueError("no luck\nwith much to read")

    monkeypatch.setattr(Faulty, "fit", fit)
    monkeypatch.setattr("benchmark.__main__.ARMS", {"faulty": FAULTY})
    Path("faults.toml").write_text(FAULTS.format('"none"'))
    assert call("reproduce --data phantoms --grid faults.toml --out out --threads 1") == 1
    output = capsys.readouterr().out
    (path,) = Path("out").rglob("failure.json")
    assert output.endswith(f": ValueError: no luck\n    more in {path}\n")
    assert "with much to read" in path.read_text()


def test_the_demonstration_writes_no_report_of_nothing(capsys: Capture, monkeypatch: Patch) -> None:
    monkeypatch.setattr("benchmark.__main__.ARMS", {"faulty": FAULTY})
    Path("faults.toml").write_text(FAULTS.format('"raises"'))
    assert call("reproduce --grid faults.toml --threads 1") == 1
    output = capsys.readouterr().out
    assert "failed: faulty_breachraises" in output
    assert "machinery works" not in output.partition("failed: ")[2]
    assert "Writing their report" not in output
    assert not Path("report-quick").exists()
