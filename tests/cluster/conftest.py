"""A folder from which cells are sent to a real Slurm, and a local run to hold them against."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
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

    def __init__(self, folder: Path, slurm: Slurm, ids: Sequence[str]) -> None:
        self.folder, self.slurm = folder, slurm
        (folder / "tiny.toml").write_text(GRID)
        (folder / "ids.txt").write_text("".join(f"{run_id}\n" for run_id in ids))
        script = next(b for b in fenced(ROOT / "docs" / "cluster.md", "bash") if "#SBATCH" in b)
        data = ("--data path/to/slices", "--data phantoms --grid tiny.toml --threads 1")
        for shown, here in (
            data,
            ("task=8", "task=1"),
            ("mem=16G", "mem=1G"),
            ("CELLS=4", "CELLS=2"),
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

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Give a command here, with the variables that jobs inherit."""
        return self.slurm.call(*words, cwd=self.folder, env=self.variables)

    def send(self, array: str, *words: str) -> str:
        """Send the script as an array; return the job's number."""
        command = ["sbatch", "--parsable", f"--array={array}", *words, "array.sh", "ids.txt"]
        sent = self.call(*command)
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


@pytest.fixture
def site(tmp_path: Path, slurm: Slurm, alone: dict[str, bytes]) -> Site:
    """The list ids.txt is that of `plan --format ids` where nothing is done."""
    return Site(tmp_path, slurm, list(dict.fromkeys(name.split("/")[0] for name in alone)))
