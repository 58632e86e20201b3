"""What must be right before anything is submitted: each wrong thing is one clear error."""

from __future__ import annotations

import importlib.util
import math
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.errors import SlurmError, SpecError
from benchmark.launchers.cluster_file import Cluster, Needs, time_limit
from benchmark.launchers.grouping import Array
from benchmark.runs.slurm_queue import ask, setting
from benchmark.runs.spec import RunSpec

PROGRAMS = ("sbatch", "srun", "squeue", "sinfo", "scontrol")
LOOK_SECONDS = 10  # for a node that is free to look at paths
LOOK = """\
for path in "$@"; do [ -e "$path" ] || echo "lacks $path"; done
echo "looked on ${SLURMD_NODENAME:-$(hostname)}"
"""


def check_installed() -> None:
    """Raise `SpecError` where submitit is not installed, `SlurmError` where Slurm is not."""
    if importlib.util.find_spec("submitit") is None:
        raise SpecError(
            "--launcher slurm needs submitit, which is not installed: "
            "pip install 'meningioma-bench[cluster]' (from a clone: pip install -e '.[cluster]')"
        )
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise SlurmError(
                f"--launcher slurm: there is no {program} here; give the command on a login node "
                "of the cluster, or leave --launcher out to run on this machine"
            )


def check_arrays(
    arrays: Sequence[Array], cluster: Cluster, specs: Mapping[str, RunSpec], device: str
) -> None:
    """Raise `SpecError` for what the cluster cannot give, or what tasks would fail for.

    A partition or a time that it lacks, a notice as long as the time, too large an array, and no
    card where device, as --device has it, or a cell's precision needs one. specs: by run_id.
    """
    limits, largest = _partitions(), _largest_array()
    for array in arrays:
        cells = [specs[run_id] for task in array.tasks for run_id in task]
        _check_partition(array.needs, limits)
        _check_cards(array.needs, cells, device)
        if len(array.tasks) > largest:
            number, enough = cluster.sizing_rule(cells[0]), -(-len(cells) // largest)
            cure = f"cells_per_task = {enough} in [[cells]] {number} of its file"
            raise SpecError(
                f"an array of {len(array.tasks)} tasks is above this cluster's {largest} "
                f"(MaxArraySize); --cluster {f'cells_per_task={enough}' if not number else cure} "
                "makes it fit, or narrow the grid with --only"
            )


def _partitions() -> dict[str, str]:
    """The time limit of every partition, as sinfo prints it, and under "" that of the default."""
    lines = ask("sinfo", "--noheader", "--format=%P|%l").splitlines()
    found = [line.strip().partition("|")[::2] for line in lines]
    default = next((limit for name, limit in found if name.endswith("*")), "")
    return {"": default, **{name.removesuffix("*"): limit for name, limit in found}}


def _largest_array() -> int:
    """How many tasks an array may have: MaxArraySize is one above the highest number of one."""
    size = setting("MaxArraySize")
    return max(1, int(size) - 1) if size.isdecimal() else 1000  # Slurm's default


def _check_partition(needs: Needs, limits: Mapping[str, str]) -> None:
    """Of several partitions, as a,b, Slurm takes one; its variable overrules a script's options."""
    given = os.environ.get("SBATCH_PARTITION") or needs.partition
    names = given.split(",")
    for name in names:
        if name and name not in limits:
            raise SpecError(
                f"partition {name!r} is none of this cluster's; known: "
                f"{', '.join(sorted(filter(None, limits))) or 'none'} (sinfo)"
            )
    told = [limits.get(name, "") for name in names]
    if needs.minutes > max(map(_most_minutes, told)):
        where = f"partition {given!r}" if given else "the default partition"
        raise SpecError(
            f"time: {needs.minutes} minutes are above the limit of {where}, {' and '.join(told)}; "
            "give a shorter time (a task that is out of time goes on by itself)"
            f"{'' if given else ' or another partition'}"
        )
    if needs.notice_seconds >= 60 * needs.minutes:
        raise SpecError(
            f"notice_seconds: {needs.notice_seconds} are not below the time of a task, "
            f"{60 * needs.minutes} s; give a shorter notice or a longer time"
        )


def _most_minutes(limit: str) -> float:
    try:
        return time_limit(limit)
    except ValueError:  # infinite, or not known
        return math.inf


def _check_cards(needs: Needs, cells: Sequence[RunSpec], device: str) -> None:
    names = (key.replace("_", "-") for key, value in needs.sbatch if value is not False)
    if needs.gpus or any(name.startswith(("gres", "gpus-per-", "tres-per-")) for name in names):
        return
    why = f"--device {device}" if device.startswith("cuda") else ""
    if any(cell.recipe.training.precision == "tf32" for cell in cells):
        why = "precision tf32"
    if why:
        raise SpecError(
            f"{why} needs a card, and tasks ask for none (gpus = 0); say --cluster gpus=1, or "
            "gpus = 1 in the file"
        )


def check_seen(paths: Sequence[Path], needs: Needs) -> str:
    """Let a compute node look at these paths; return a note where none was free to.

    Raises `SlurmError` for a path that it does not see. A network disk may be missing on nodes and
    a local one be exported to them, so nothing is concluded from names or kinds of file systems.
    """
    options = [f"--partition={needs.partition}"] if needs.partition else []
    options += [f"--account={needs.account}"] if needs.account else []
    options += [f"--{key}={value}" for key, value in needs.sbatch if type(value) is not bool]
    words = ["--ntasks=1", "--time=1", f"--immediate={LOOK_SECONDS}", "--chdir=/", *options]
    look = ["sh", "-c", LOOK, "sh", *map(str, paths)]
    try:
        output = ask("srun", "--quiet", *words, *look, seconds=LOOK_SECONDS + 20)
    except SlurmError as error:
        return (
            f"Note: no compute node could be asked whether it sees {shlex.join(map(str, paths))} "
            f"({error}); a task that does not see them says so in its log."
        )
    lacking = [line.removeprefix("lacks ") for line in output.splitlines() if line[:6] == "lacks "]
    if lacking:
        node = output.rpartition("looked on ")[2].strip()
        raise SlurmError(
            f"{lacking[0]}: cannot be seen from compute node {node}; put data, runs and the "
            "environment on a disk that every node has, and give the command there"
        )
    return ""
