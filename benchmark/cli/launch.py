"""`reproduce --launcher slurm` and `debug`: what is open and not queued, given away as tasks."""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.arm import ArmEntry
from benchmark.data.download import cache_folder
from benchmark.errors import SlurmError, SpecError
from benchmark.launchers import preflight, slurm
from benchmark.launchers.cluster_file import Cluster, load_cluster
from benchmark.launchers.grouping import Array, arrays_of
from benchmark.launchers.submissions import FOLDER, Queue, new_folder, queue_of, record
from benchmark.launchers.task import Leaving, Task
from benchmark.planning.request import PlannedRuns, Request
from benchmark.planning.status import GridStatus
from benchmark.planning.time_estimate import left, span
from benchmark.runs.run_folder import RunFolder, RunState

RunCells = Callable[..., int]  # of `benchmark.cli.run_verbs`, by whose name tasks are pickled
SHOWN = 12  # cells of a task that --dry-run names


def check_launcher(options: argparse.Namespace) -> None:
    """Raise `SpecError` for options that mean nothing with this launcher."""
    if options.launcher == "local":
        for name, given in (("--cluster", options.cluster), ("--dry-run", options.dry_run)):
            if given:
                raise SpecError(f"{name} goes with --launcher slurm or debug")
    elif options.workers:
        raise SpecError(
            "--workers and --launcher: a task is one process; at_once=N under --cluster says how "
            "many run at once"
        )


def launch(
    run_cells: RunCells,
    asked: Request,
    planned: PlannedRuns,
    arms: Mapping[str, ArmEntry],
    options: argparse.Namespace,
) -> int:
    """Give the cells that are open, and not queued, to Slurm, or with `debug` run them here.

    Returns 0 once they are submitted; of `debug`, 1 where a cell failed.
    """
    from benchmark.cli.arm_check import check_cells

    in_slurm = options.launcher == "slurm"
    axes = {"arm", *(name for entry in arms.values() for name in entry.defaults)}
    cluster = load_cluster(options.cluster, axes)
    if in_slurm:
        preflight.check_installed()
    arrays = _open_arrays(planned, arms, cluster, in_slurm)
    specs = {spec.run_id: spec for spec in planned.specs}
    given = [specs[run_id] for array in arrays for task in array.tasks for run_id in task]
    if in_slurm:
        preflight.check_arrays(arrays, cluster, specs, options.device)
    for note in [*_idle_rules(cluster, planned), *check_cells(given, arms, "cpu")]:
        print(f"Note: {note}")
    if not arrays:
        return 0
    asked = replace(asked, data=asked.source)  # on a node the environment may say another
    as_task = partial(_task, run_cells, asked, arms, options, planned.folder)
    if options.dry_run:
        for array in arrays:
            _show(array, planned.folder, in_slurm)
        return 0
    if in_slurm:
        _submit(arrays, as_task, asked, planned.folder)
        return 0
    now = time.time()
    tasks = [as_task(array, ids, now) for array in arrays for ids in array.tasks]
    codes = [pickle.loads(pickle.dumps(task)).work(Leaving()) for task in tasks]
    return max(codes)


def _idle_rules(cluster: Cluster, planned: PlannedRuns) -> list[str]:
    """A note for each rule that speaks of no cell."""
    return [
        f"[[cells]] {number} of --cluster speaks of no cell of this grid: only = {dict(rule.only)}"
        for number, rule in enumerate(cluster.rules, 1)
        if not any(map(rule.holds, planned.specs))
    ]


def _open_arrays(
    planned: PlannedRuns, arms: Mapping[str, ArmEntry], cluster: Cluster, in_slurm: bool
) -> list[Array]:
    """What is to be given away, which is said."""
    folders = (RunFolder(planned.folder, spec.run_id) for spec in planned.specs)
    try:
        is_open = (folder.run_id for folder in folders if folder.state is not RunState.DONE)
        queue = queue_of(planned.folder, is_open) if in_slurm else Queue()
    except SlurmError as error:
        raise SlurmError(f"what is queued is not known: {error}; nothing is submitted") from error
    status = GridStatus(planned, arms, waiting=queue.waiting, ended=queue.ended)
    cells, states = status.snapshot(), Counter(cell.state for cell in status.snapshot())
    left_alone = (RunState.DONE, RunState.RUNNING, RunState.QUEUED)
    rest = [cell for cell in cells if cell.state not in left_alone]
    arrays = arrays_of(rest, cluster)
    seconds, unknown = left(cell.left for cell in rest)
    about = f", about {span(seconds)} in all" if rest and not unknown else ""
    print(
        f"{len(cells)} cells: {', '.join(f'{states[state]} {state}' for state in left_alone)}, "
        f"{len(rest)} to be given away{about}."
    )
    if again := [queue.before[c.spec.run_id] for c in rest if c.spec.run_id in queue.before]:
        print(
            f"{len(again)} of these had a task before, which ended without them: failed, cancelled "
            f"or out of luck; its logs are in {again[-1]}/."
        )
    return arrays


def _task(
    run_cells: RunCells,
    asked: Request,
    arms: Mapping[str, ArmEntry],
    options: argparse.Namespace,
    folder: Path,
    array: Array,
    run_ids: Sequence[str],
    since: float,
) -> Task:
    """What runs these cells. since: when it was submitted, by the clock of the runs' disk."""
    travelling = {name: replace(entry, gflop=None) for name, entry in arms.items()}
    alone = argparse.Namespace(**{**vars(options), "workers": 1, "launcher": "local"})
    paths = [path for path in sys.path if path]  # arms of files are found there
    work = partial(run_cells, asked, travelling, alone, tuple(run_ids), since, paths)
    cells = [(folder / run_id).absolute() for run_id in run_ids]
    return Task(work, Path.cwd(), cells, array.needs.notice_seconds)


def _submit(arrays: Sequence[Array], as_task: Any, asked: Request, runs: Path) -> None:
    """Look whether nodes see what they need, and submit; each array is recorded at once."""
    folders = [new_folder(runs).absolute() for _ in arrays]
    data = cache_folder() if asked.source == "figshare" else Path(asked.source).absolute()
    paths = [folders[0], Path.cwd(), Path(sys.executable), *([data] if data.exists() else ())]
    try:
        for needs in {array.needs.partition: array.needs for array in arrays}.values():
            if note := preflight.check_seen(paths, needs):
                print(note)
    except SlurmError:
        for folder in folders:
            folder.rmdir()
        raise
    for folder, array in zip(folders, arrays, strict=True):
        now = folder.stat().st_mtime
        names = slurm.submit(folder, array.needs, [as_task(array, ids, now) for ids in array.tasks])
        record(folder, dict(zip(names, array.tasks, strict=True)))
        print(f"Submitted {_described(array)} as job {names[0].partition('_')[0]}.")
    print(
        f"Logs: {runs / FOLDER}/. `plan` with the same options shows how the cells are; this "
        "command again gives away what is open and not queued."
    )


def _described(array: Array) -> str:
    tasks, cells = len(array.tasks), array.cells
    return (
        f"{cells} cell{'s' * (cells != 1)} in {tasks} task{'s' * (tasks != 1)}, at most "
        f"{min(tasks, array.needs.at_once)} at once"
    )


def _show(array: Array, runs: Path, in_slurm: bool) -> None:
    """Print an array as it would be submitted."""
    print(f"\n{_described(array)}:")
    if in_slurm:
        print(slurm.script(runs.absolute() / FOLDER / "NAME", array.needs, len(array.tasks)))
    for number, task in enumerate(array.tasks):
        more = f" and {len(task) - SHOWN} more" if len(task) > SHOWN else ""
        print(f"task {number}: {' '.join(task[:SHOWN])}{more}")
