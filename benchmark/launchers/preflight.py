"""What must be right before anything is submitted: each wrong thing is one clear error."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import SlurmError, SpecError
from benchmark.launchers.cluster_file import Needs, time_limit
from benchmark.launchers.grouping import Array
from benchmark.runs.slurm_queue import ask, setting

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


def check_arrays(arrays: Sequence[Array]) -> None:
    """Raise `SpecError` for a partition or a time that the cluster lacks, or too large an array."""
    limits, largest = _partitions(), _largest_array()
    for array in arrays:
        _check_partition(array.needs, limits)
        if len(array.tasks) > largest:
            cells = -(-array.cells // largest)
            raise SpecError(
                f"an array of {len(array.tasks)} tasks is above this cluster's {largest} "
                f"(MaxArraySize); --cluster cells_per_task={cells} makes it fit, or narrow the "
                "grid with --only"
            )


def _partitions() -> dict[str, str]:
    """The time limit of every partition, as sinfo prints it."""
    lines = ask("sinfo", "--noheader", "--format=%R|%l").splitlines()
    return {name: limit for name, _, limit in (line.strip().partition("|") for line in lines)}


def _largest_array() -> int:
    """How many tasks an array may have: MaxArraySize is one above the highest number of one."""
    size = setting("MaxArraySize")
    return max(1, int(size) - 1) if size.isdecimal() else 1000  # Slurm's default


def _check_partition(needs: Needs, limits: dict[str, str]) -> None:
    name = needs.partition
    if name and name not in limits:
        raise SpecError(
            f"partition {name!r} is none of this cluster's; known: "
            f"{', '.join(sorted(limits)) or 'none'} (sinfo)"
        )
    try:
        limit = time_limit(limits.get(name, ""))
    except ValueError:  # infinite
        return
    if needs.minutes > limit:
        raise SpecError(
            f"time: {needs.minutes} minutes are above the limit of partition {name!r}, "
            f"{limits[name]}; give a shorter time (a task that is out of time goes on by itself)"
        )


def check_seen(paths: Sequence[Path], needs: Needs) -> str:
    """Let a compute node look at these paths; return a note where none was free to.

    Raises `SlurmError` for a path that it does not see. A network disk may be missing on nodes and
    a local one be exported to them, so nothing is concluded from names or kinds of file systems.
    """
    options = [f"--partition={needs.partition}"] if needs.partition else []
    options += [f"--account={needs.account}"] if needs.account else []
    options += [f"--{key}={value}" for key, value in needs.sbatch if value not in (True, False)]
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
