"""What Slurm's squeue says of jobs: the one place that asks it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from typing import NamedTuple

from benchmark.errors import SlurmError

PATIENCE_SECONDS = 30.0
COLUMNS = "%i|%T|%N|%j"  # task, state, nodes, the job's name


class QueuedTask(NamedTuple):
    """A task that waits or runs, by what squeue calls its state; node: "" where it has none."""

    state: str
    node: str
    name: str


def waiting_or_running(jobs: Iterable[str]) -> dict[str, QueuedTask]:
    """Those of these jobs, such as 12 or 12_3, that are in the queue, by task: 12_3, or 15.

    Raises `SlurmError` where squeue is not there or does not answer.
    """
    wanted = ",".join(jobs)
    if not wanted:
        return {}
    try:
        output = ask("squeue", "--noheader", "--array", f"--jobs={wanted}", f"--format={COLUMNS}")
    except SlurmError as error:
        if "Invalid job id" in str(error):  # said where all of them are forgotten
            return {}
        raise
    rows = (line.split("|", 3) for line in output.splitlines() if line.count("|") >= 3)
    return {task.strip(): QueuedTask(*more) for task, *more in rows}


def cluster() -> str:
    """The name of the cluster whose numbers squeue tells; `SlurmError` where there is none."""
    return os.environ.get("SLURM_CLUSTER_NAME", "") or setting("ClusterName")


def setting(name: str) -> str:
    """What `scontrol show config` has under a name; "" for nothing."""
    lines = (line.partition("=") for line in ask("scontrol", "show", "config").splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def ask(program: str, *words: str, seconds: float = PATIENCE_SECONDS) -> str:
    """What a program of Slurm's prints; `SlurmError` where it is not there, fails or hangs."""
    try:
        done = subprocess.run(
            [program, *words], capture_output=True, text=True, timeout=seconds, check=False
        )
    except FileNotFoundError as error:
        raise SlurmError(f"there is no {program} here") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmError(f"{program} does not answer ({error})") from error
    if done.returncode:
        why = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise SlurmError(f"{program} does not answer ({why})")
    return done.stdout
