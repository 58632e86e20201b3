"""What `reproduce` adds where no data are given: words about phantoms, and the report of their
runs. No torch.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from benchmark.arm import ArmEntry
from benchmark.errors import BenchmarkError
from benchmark.planning.request import Job
from benchmark.runs.collect import collect

REPORT = Path("report-quick")  # as runs-quick: never where the report of real slices is
PHANTOM_WORDS = (
    "These are drawn phantoms. They show that the machinery works from end to end and say nothing about 0.898:\n"
    "give the real slices with --data PATH, or --data figshare to download them."
)


def show(job: Job, arms: Mapping[str, ArmEntry]) -> None:
    """Write the report of a job's folder into `REPORT` and print where it is.

    One that cannot be written is told, whatever the reason, and takes nothing from the runs.
    """
    print(f"\nWriting their report into {REPORT}/ ...", flush=True)
    try:
        page = _written(job, arms)
    except Exception as error:
        again = (
            f"python -m benchmark report --runs {shlex.quote(str(job.folder))} --out ANOTHER_FOLDER"
        )
        reason = (
            str(error) if isinstance(error, BenchmarkError) else f"{type(error).__name__}: {error}"
        )
        print(f"The report could not be written: {reason}.")
        print(f"The runs are kept in {job.folder}/; try again with: {again}")
    else:
        print(f"Open {page}")


def _written(job: Job, arms: Mapping[str, ArmEntry]) -> Path:
    from benchmark.judge.judgement import Judgement
    from benchmark.judge.reference import load_reference, load_tolerances
    from benchmark.report.build import write
    from benchmark.report.chapters import Source

    found = Judgement(collect(job.folder), load_reference(), load_tolerances())
    return write(Source(job.folder, found, arms, job.slices), REPORT).page
