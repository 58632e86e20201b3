"""What `reproduce` adds where no data are given: words about phantoms, and a report. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from benchmark.arm import ArmEntry
from benchmark.errors import BenchmarkError
from benchmark.planning.request import PlannedRuns

REPORT = Path("report-quick")  # as runs-quick: never where the report of real slices is
PHANTOM_WORDS = (
    "These are drawn phantoms. They show that the machinery works from end to end and say nothing "
    "about 0.898:\ngive the real slices with --data PATH, or --data figshare to download them."
)


def show(planned: PlannedRuns, arms: Mapping[str, ArmEntry]) -> None:
    """Write the report of a folder of runs into `REPORT` and print where it is.

    One that cannot be written is told, whatever the reason, and takes nothing from the runs.
    """
    print(f"\nWriting their report into {REPORT}/ ...", flush=True)
    try:
        page = _written(planned, arms)
    except Exception as error:
        kind = "" if isinstance(error, BenchmarkError) else f"{type(error).__name__}: "
        runs = shlex.quote(str(planned.folder))
        print(f"The report could not be written: {kind}{error}.")
        print(
            f"The runs are kept in {planned.folder}/; try again with: "
            f"python -m benchmark report --runs {runs} --out ANOTHER_FOLDER"
        )
    else:
        print(f"Open {page}")


def _written(planned: PlannedRuns, arms: Mapping[str, ArmEntry]) -> Path:
    from benchmark.cli.judge_verbs import judgement_of
    from benchmark.report.build import write
    from benchmark.report.chapters import Source

    source = Source(planned.folder, judgement_of(planned.folder), arms, planned.slices)
    return write(source, REPORT).page
