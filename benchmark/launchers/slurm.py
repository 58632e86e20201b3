"""Arrays given to Slurm by submitit, or shown as they would be; the one module that needs it."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import SlurmError
from benchmark.launchers.cluster_file import Needs
from benchmark.launchers.task import Task

ALWAYS_AGAIN = 10**6  # time limits that a task may meet: `Task.checkpoint` says when it is enough

OF_A_TASK = ("SLURM_ARRAY_", "SLURM_RESTART_COUNT")


def submit(folder: Path, needs: Needs, tasks: Sequence[Task]) -> list[str]:
    """Give tasks to Slurm as one array; return what squeue calls each of them.

    folder: for its logs, scripts and pickled tasks; its name is the job's. Raises `SlurmError` with
    sbatch's own words where it refuses. What a task of an array knows of itself in the environment
    is dropped: sbatch would hand it to the job.
    """
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    for name in [name for name in os.environ if name.startswith(OF_A_TASK)]:
        del os.environ[name]
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # there submitit prints sbatch's words
            jobs = _executor(folder, needs).submit_array(list(tasks))
    except (FailedSubmissionError, FailedJobError) as error:
        told = [line for line in str(error).splitlines() if "sbatch: error" in line]
        why = " ".join(told).replace("sbatch: error: ", "") or " ".join(str(error).split())
        raise SlurmError(f"sbatch refuses the array: {why}") from error
    return [str(job.job_id) for job in jobs]


def script(folder: Path, needs: Needs, count: int) -> str:
    """The script that sbatch would be given for an array of so many tasks."""
    executor = _executor(folder, needs)
    if count > 1:  # as submitit does it
        executor.parameters["map_count"] = count
    command: str = executor._submitit_command_str
    return str(executor._make_submission_file_text(command, "")).strip()


def _executor(folder: Path, needs: Needs) -> Any:
    from submitit import SlurmExecutor

    executor = SlurmExecutor(folder, max_num_timeout=ALWAYS_AGAIN)
    named: dict[str, Any] = {
        "partition": needs.partition,
        "account": needs.account,
        "gpus_per_node": needs.gpus,
        "mem": needs.memory,
        "setup": list(needs.setup),
    }
    executor.update_parameters(
        job_name=folder.name,
        time=needs.minutes,
        cpus_per_task=needs.cpus,
        array_parallelism=needs.at_once,
        signal_delay_s=needs.notice_seconds,
        srun_args=[f"--cpus-per-task={needs.cpus}"],  # from 22.05 on srun takes it from no script
        additional_parameters={"requeue": True, **_given(needs.sbatch)},
        **{key: value for key, value in named.items() if value},
    )
    return executor


def _given(options: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Options of sbatch without those that are false, which it is not given."""
    return {key: value for key, value in options if value is not False}
