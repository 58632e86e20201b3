"""What ten thousand cells cost a cluster, without training one: `python tests/slurm_scale.py`.

A grid is planned, given to a real Slurm whose nodes are shut (so nothing begins), planned while it
waits, and cancelled; then as many finished runs are made up, planned and collected. Each command is
a process of its own, imports included; seconds of the clock and of the processor, the files that it
left, and the calls that look at or open files, as strace counts them.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from slurm_forms import NODES, lacking, slurm_in

ROOT = Path(__file__).parent.parent
PYTHON = shlex.quote(sys.executable)
PER_SEED = 36  # cells of the grid below
GRID = """\
seeds = [{seeds}]
[[arms]]
name = "unet"
kernel_size = [3, 5, 7, 9]
alpha = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
"""
WORDS = "--data phantoms --grid grid.toml --out runs"
FINISHED = "from pathlib import Path; from performance import growth; growth."


class Cost(NamedTuple):
    """Of one command: seconds, seconds of the processor, calls about files, its last lines."""

    seconds: float
    processor: float
    calls: int
    told: str


def cost(command: str, folder: Path, variables: dict[str, str], *, count: bool = False) -> Cost:
    """Carry out a command; with `count` under strace, whose seconds mean nothing."""
    told = folder / "strace.txt"
    traced = ["strace", "-f", "-c", "-e", "trace=%file,getdents64", "-o", f"{told}"]
    before, begun = os.times(), time.perf_counter()
    done = subprocess.run(
        [*(traced if count else []), *shlex.split(command)], cwd=folder, env=variables,
        capture_output=True, text=True,
    )  # fmt: skip
    after, ended = os.times(), time.perf_counter()
    if done.returncode:
        sys.exit(f"{command} ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    total = re.search(r"(\d+)\s+(?:\d+\s+)?total", told.read_text()) if count else None
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    lines = " / ".join(done.stdout.strip().splitlines()[-3:])
    return Cost(ended - begun, spent, int(total[1]) if total else 0, lines)


def show(what: str, measured: Cost) -> None:
    print(f"{what}: {measured.seconds:.1f} s, {measured.processor:.1f} s of a core", flush=True)


def files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def waiting(folder: Path, cells: int) -> None:
    """Plan the grid, submit it as one array of single cells, plan it again, cancel it."""
    seeds = ", ".join(map(str, range(-(-cells // PER_SEED))))
    (folder / "grid.toml").write_text(GRID.format(seeds=seeds))
    (folder / "slurm").mkdir()
    with slurm_in(folder / "slurm", jobs=3 * cells, array_size=2 * cells) as slurm:
        state = ["scontrol", "update", f"NodeName={','.join(NODES)}", "State=DRAIN", "Reason=shut"]
        slurm.call(*state)
        variables = slurm.environment() | {"PYTHONPATH": f"{ROOT}"}
        bench = f"{PYTHON} -m benchmark"
        show("plan, nothing begun", cost(f"{bench} plan {WORDS}", folder, variables))
        launch = f"{bench} reproduce {WORDS} --launcher slurm --cluster time=600"
        dry = cost(f"{launch} --dry-run", folder, variables)
        show("reproduce --launcher slurm --dry-run", dry)
        single = cost(f"{launch} cells_per_task=1", folder, variables)
        show("reproduce --launcher slurm, one cell a task", single)
        print(f"    {single.told}\n    files of the submission: {files(folder / 'runs')}")
        show("plan, all queued", cost(f"{bench} plan {WORDS}", folder, variables))
        show("scancel", cost("scancel --user=root", folder, variables))


def finished(folder: Path, cells: int) -> None:
    """Make up finished runs; plan and collect them, and count what is asked of the disk."""
    variables = {**os.environ, "PYTHONPATH": f"{ROOT}"}

    def call(verb: str, place: Path, *, count: bool = False) -> Cost:
        words = f"{FINISHED}{verb}(Path({str(place)!r}))"
        return cost(f"{PYTHON} -c {shlex.quote(words)}", folder, variables, count=count)

    full, empty = folder / "full", folder / "empty"
    for place, runs in ((full, cells), (empty, 1)):
        place.mkdir()
        cost(f"{PYTHON} -c {shlex.quote(f'{FINISHED}make(Path({str(place)!r}), {runs})')}",
             folder, variables)  # fmt: skip
    time.sleep(3)  # what was just written is not kept in a cache
    for verb in ("plan", "gather"):
        show(f"{verb}, all finished", call(verb, full))
        if verb == "gather":
            show("gather again", call(verb, full))
    for verb in ("plan", "gather"):
        more = call(verb, full, count=True).calls - call(verb, empty, count=True).calls
        print(f"{verb}, all finished: {more / cells:.1f} calls about files for each run")


def main() -> None:
    top = argparse.ArgumentParser(description=__doc__)
    top.add_argument("--cells", type=int, default=10_000, help="default: 10000")
    cells = top.parse_args().cells
    if why := lacking():
        sys.exit(f"error: {why}")
    with tempfile.TemporaryDirectory(prefix="scale-") as temporary:
        print(f"{cells} cells, load average {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores")
        waiting(Path(temporary), cells)
        finished(Path(temporary), cells)


if __name__ == "__main__":
    main()
