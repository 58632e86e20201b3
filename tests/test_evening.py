"""The evening of "Add a network" as README prints it: from an empty folder to the arms table.

Its listings and commands are taken out of README, letter by letter. nox is left out (it would make
an environment): `nox -s VERB -- OPTIONS` is `python -m benchmark VERB OPTIONS`, as noxfile.py says.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from bench_forms import ROOT, called, small_slices
from data_forms import write_pairs

from benchmark.arm_file import arms_of

pytestmark = pytest.mark.slow

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("**Add a network.**")[2].partition("**Judge another tool**")[0]
BLOCKS = dict(re.findall(r"```(\w*)\n(.*?)```", SECTION, re.DOTALL))
SMALL = " --image-size 64"  # what is added here to the commands as printed
SHORT = " --threads 1 --image-size 64 --set training.max_epochs=1"


def named(block: str) -> tuple[str, str]:
    """The file name that a listing begins with, as a comment, and the listing."""
    name, _, text = BLOCKS[block].partition("\n")
    return name.removeprefix("# "), text


class Evening:
    """A folder, and the commands of README in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines = [line.partition("  #")[0].strip() for line in BLOCKS[""].splitlines()]

    def command(self, verb: str, having: str = "") -> str:
        """README's one command of this verb that has these words."""
        (line,) = (x for x in self.lines if x.startswith(f"nox -s {verb}") and having in x)
        return line

    def give(self, line: str, more: str = "") -> str:
        """Give a command; it ends well and says nothing on stderr; return what it prints."""
        words = shlex.split(line.removeprefix("nox -s ").replace(" -- ", " ") + more)
        code, output, err = called(words, self.folder)
        assert (code, err) == (0, ""), output
        return output

    def write(self, text: str) -> None:
        (self.folder / named("python")[0]).write_text(text, encoding="utf-8")

    def runs(self) -> set[str]:
        return {path.parent.name for path in self.folder.glob("runs/my-arm*/result.json")}


@pytest.fixture
def evening(tmp_path: Path) -> Evening:
    """An empty folder but for path/to/slices: 24 drawn slices, which it takes for real ones."""
    write_pairs(small_slices(), tmp_path / "path" / "to" / "slices")
    return Evening(tmp_path)


def arms_table(output: str) -> list[str]:
    """The names of the arms in the table that sets them against the thesis's network."""
    table = output.partition("\nArms against arms, ")[2].partition("\n\n")[0]
    return [line.split("  ")[0] for line in table.splitlines() if " x 1 " in line]


def test_the_readme_shows_four_commands_a_short_listing_and_a_complete_package() -> None:
    assert set(BLOCKS) == {"python", "", "toml"}
    assert [name for name, _ in map(named, ("python", "toml"))] == ["my_arm.py", "pyproject.toml"]
    assert len(named("python")[1].splitlines()) <= 15
    package = tomllib.loads(named("toml")[1])
    assert {"name", "version", "dependencies"} <= set(package["project"])
    points = package["project"]["entry-points"]["meningioma_bench.arms"]
    (target,) = points.values()
    assert package["tool"]["setuptools"]["py-modules"] == [target.partition(":")[0]]
    assert f"class {target.partition(':')[2]}(" in BLOCKS["python"]


def test_the_arm_that_the_readme_shows_is_an_arm(
    evening: Evening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """README's listing, as it stands: it has its parameters and builds two logits a pixel."""
    import torch

    from benchmark.protocol import Network

    evening.write(named("python")[1])
    monkeypatch.setattr(sys, "path", [*sys.path])
    ((name, entry),) = arms_of(evening.folder / "my_arm.py").items()
    arm = entry.load()
    monkeypatch.delitem(sys.modules, "my_arm")
    assert (name, entry.target) == ("my-arm", "my_arm:MyArm")
    assert (entry.defaults, entry.gflop) == ({"alpha": 0.5, "width": 8}, None)  # cost not known
    with torch.random.fork_rng():
        logits = arm().build(Network())(torch.zeros(1, 1, 64, 64))
    assert logits.shape == (1, 2, 64, 64)


def test_the_evening_as_printed_ends_in_the_arms_table(evening: Evening) -> None:
    """Checked, tried on phantoms, trained from three seeds, compared; edited, it is another arm."""
    listing = named("python")[1]
    evening.write(listing)
    assert "my-arm" in evening.give(evening.command("arms"), SMALL)
    output = evening.give(evening.command("reproduce", "phantoms"), " --seeds 1 --threads 1")
    assert "Judge them: nox -s compare" in output
    real = evening.command("reproduce", "path/to/slices")
    output = evening.give(real, SHORT)
    assert len(first := evening.runs()) == 3
    assert "Judge them: nox -s compare -- --runs runs" in output
    verdict = evening.command("compare")
    output = evening.give(verdict)  # of these slices nobody ran the thesis's network yet
    made_by = re.search(r"^nox -s reproduce -- (.*unet.*)$", output, re.MULTILINE)
    assert made_by is not None
    evening.give(f"reproduce {made_by[1]}", " --threads 1")
    output = evening.give(verdict)
    assert "1. How do your arms do? my-arm: " in output
    assert sorted(arms_table(output)) == ["my-arm", "unet 5x5, alpha 0.5"]
    edited = listing.replace("dropout=network.dropout", "dropout=0.0")
    assert edited != listing
    evening.write(edited)
    assert "my-arm has changed since 3 of these cells were run" in evening.give(real, SHORT)
    assert first < evening.runs()
    assert len(evening.runs()) == 6
    both = arms_table(evening.give(verdict))
    assert len({name for name in both if name.startswith("my-arm (source ")}) == 2
    assert len(both) == 3
    assert "3 cells, 3 done" in evening.give(real, SHORT)
    assert len(evening.runs()) == 6


def test_the_package_as_printed_installs_and_brings_the_arm(tmp_path: Path) -> None:
    """Built by its own backend, as nox does for a folder in BENCH_PLUGINS; without a network."""
    for name, text in map(named, ("python", "toml")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    where = ["--no-deps", "--no-build-isolation", "--no-index", "--target", "site", "."]
    done = subprocess.run([*pip, *where], capture_output=True, encoding="utf-8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code, output, err = called(["arms"], elsewhere, [tmp_path / "site"])
    assert (code, err) == (0, "")
    assert re.search(
        r"^my-arm +alpha=0.5, width=8 .*my_arm:MyArm \(source [0-9a-f]{6}\)$", output, re.MULTILINE
    )
