"""A folder from which cells are sent to a real Slurm, and a local run to hold them against."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from bench_forms import ROOT, TINY, bits, fenced
from slurm_forms import Slurm, until

from benchmark.__main__ import main
from benchmark.data import phantoms

SITE = Path(__file__).parent / "job_site"
# two cells of a network, of four epochs each
GRID = f"""{TINY.replace("= 2", "= 4", 1)}
[[arms]]
name = "unet"
kernel_size = 3
alpha = [0.3, 0.7]
"""


class Site:
    """A folder on the "shared disk", with the grid in it, where jobs are sent from."""

    def __init__(self, folder: Path, slurm: Slurm) -> None:
        self.folder, self.slurm = folder, slurm
        (folder / "tiny.toml").write_text(GRID)
        script = next(b for b in fenced(ROOT / "docs" / "cluster.md", "bash") if "#SBATCH" in b)
        data = ("--data path/to/slices", "--data phantoms --grid tiny.toml --threads 1")
        for shown, here in (
            data,
            ("task=8", "task=1"),
            ("mem=16G", "mem=1G"),
            ("CELLS=4", "CELLS=1"),
        ):
            assert shown in script
            script = script.replace(shown, here)
        (folder / "array.sh").write_text(script)

    @property
    def variables(self) -> dict[str, str]:
        """What jobs inherit: this Python, this code, and what `job_site` changes of it."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{self.slurm.variables['PATH']}"
        places = os.pathsep.join([f"{SITE}", f"{ROOT}"])
        here = {"PATH": path, "PYTHONPATH": places, "BENCH_TEST_PLACE": f"{self.folder}"}
        return self.slurm.environment() | here

    def list(self) -> list[str]:
        """Write the open cells to ids.txt, as `plan --format ids` prints them."""
        words = [sys.executable, "-m", "benchmark", "plan", "--data", "phantoms"]
        words += ["--grid", "tiny.toml", "--out", "runs", "--format", "ids"]
        ids = self.slurm.call(*words, cwd=self.folder, env=self.variables).stdout
        (self.folder / "ids.txt").write_text(ids)
        return ids.split()

    def send(self, array: str, *words: str) -> str:
        """Send the script as an array; return the job's number."""
        command = ["sbatch", "--parsable", f"--array={array}", *words, "array.sh", "ids.txt"]
        sent = self.slurm.call(*command, cwd=self.folder, env=self.variables)
        assert (sent.returncode, sent.stderr) == (0, "")
        return sent.stdout.strip()

    def shut(self) -> None:
        """From now on trainings wait after their second epoch, where a checkpoint is."""
        (self.folder / "gate").touch()

    def open(self) -> None:
        """Trainings go on."""
        (self.folder / "gate").unlink()

    def waiting(self) -> list[str]:
        """The nodes, with the cell, of trainings that have come to the gate."""
        return sorted(p.name.removeprefix("waits-") for p in self.folder.glob("waits-*"))

    def comes_to_the_gate(self, cells: int = 1) -> str:
        """Wait until so many trainings wait; return the node of the first."""
        until(lambda: len(self.waiting()) >= cells, f"{cells} trainings at the gate")
        return self.waiting()[0].partition("-")[0]

    def output(self) -> str:
        """What all tasks printed."""
        return "".join(p.read_text() for p in sorted(self.folder.glob("array-*.txt")))

    def begun(self) -> Counter[str]:
        """How often each cell was begun anew."""
        return Counter(re.findall(r"\] (.*): begins", self.output()))


@pytest.fixture
def site(tmp_path: Path, slurm: Slurm) -> Site:
    return Site(tmp_path, slurm)


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bits of the grid, run by one process with one thread and no Slurm."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "tiny.toml").write_text(GRID)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(phantoms, "make", partial(phantoms.make, patients=8, slices_per_patient=3))
        words = ["--data", "phantoms", "--grid", "tiny.toml", "--out", "out", "--threads", "1"]
        assert main(["reproduce", *words, "--workers", "1"]) == 0
    return bits(folder / "out")
