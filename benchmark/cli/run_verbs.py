"""The verbs `reproduce` and `run`: a grid, or some of its cells by run_id.

torch is imported when work begins.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from benchmark.arm import ArmEntry
from benchmark.cli.demonstration import PHANTOM_WORDS, show
from benchmark.cli.devices import (
    WorkerDevice,
    allocate,
    cards_seen,
    let_waiting_threads_sleep,
    usable_cores,
    workers_that_pay,
)
from benchmark.cli.evidence import CarryOut, asked_for, evidence
from benchmark.cli.launch import check_launcher, launch
from benchmark.cli.options import request
from benchmark.cli.terminal.grid_table import time_left
from benchmark.cli.terminal.progress import Lines, LiveGrid, terminal
from benchmark.cli.workers import check_unchanged, share, work
from benchmark.errors import SpecError, nearest
from benchmark.inference.trained_model import unkept
from benchmark.planning.changed_arms import changed_arms
from benchmark.planning.request import PHANTOMS, PlannedRuns, Request, prepare
from benchmark.planning.status import GridStatus
from benchmark.planning.time_estimate import states
from benchmark.runs.run_folder import FAILURE, RunFolder, RunState, read_json
from benchmark.runs.spec import RunSpec
from benchmark.tracker import asked_for as trackers_asked_for

COLUMNS = 100  # of a line that is not a list


def reproduce(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Run a grid; return 0, or 1 where a cell failed.

    Where no data are given, phantoms are run and the report of their folder is written. With
    --evidence the grids are those of the plan; with --launcher cells are given to Slurm.
    """
    check_launcher(options)
    trackers_asked_for(options.track)  # before any work, and where tasks are submitted
    local = options.launcher == "local"
    do: CarryOut = carry_out if local else partial(launch, run_cells)
    if asked_for(options):
        return evidence(options, arms, do)
    asked = request(options)
    demonstration = asked.source == PHANTOMS and asked.data is None
    if demonstration:
        print(
            "No data was given (--data, $MENINGIOMA_DATA or an earlier download): "
            "drawing phantoms instead."
        )
    planned = prepare(asked, arms)
    code = do(asked, planned, arms, options)
    if demonstration and RunState.DONE in states(planned.specs, planned.folder):
        show(planned, arms)
    return code


def run(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Run the cells of a grid that have these run_ids; return 0, or 1 where a cell failed."""
    trackers_asked_for(options.track)
    asked = request(options)
    planned = prepare(asked, arms)
    return carry_out(asked, replace(planned, specs=_chosen(planned, options.id)), arms, options)


def run_cells(
    asked: Request,
    arms: Mapping[str, ArmEntry],
    options: argparse.Namespace,
    run_ids: Sequence[str],
    since: float,
    paths: Sequence[str],
    leaving: Callable[[], bool],
) -> int:
    """Run cells as `run` does, in a task of an array; return 0, or 1 where a cell failed.

    What failed at or after since, in seconds since 1970, is not tried again. paths: where arms are
    imported from; leaving: as `RunOptions.leaving`. Raises `BenchmarkError` where slices, splits or
    an arm are no longer those that were submitted.
    """
    if "torch" not in sys.modules:
        let_waiting_threads_sleep(os.environ)
    sys.path += [path for path in paths if path not in sys.path]
    planned = prepare(asked, arms, mixing_refused=True)  # where it was submitted
    planned = replace(planned, specs=_chosen(planned, run_ids))
    check_unchanged({spec.arm: arms[spec.arm] for spec in planned.specs})
    return carry_out(asked, planned, arms, options, since, leaving)


def _chosen(planned: PlannedRuns, run_ids: Sequence[str]) -> list[RunSpec]:
    """The runs with these run_ids, in their order; `SpecError` for one that was not planned."""
    specs = {spec.run_id: spec for spec in planned.specs}
    for run_id in run_ids:
        if not run_id:
            raise SpecError(
                "--id is empty: the list has no such line, "
                "or the array has more tasks than the list needs"
            )
        if run_id not in specs:
            raise SpecError(
                f"--id {run_id}: grid {planned.grid.name} has no such cell with these options"
                f"{nearest(run_id, specs)}; "
                "`plan --format ids` with the same options lists those that are open"
            )
    return [specs[run_id] for run_id in dict.fromkeys(run_ids)]


def carry_out(
    asked: Request,
    planned: PlannedRuns,
    arms: Mapping[str, ArmEntry],
    options: argparse.Namespace,
    since: float | None = None,
    leaving: Callable[[], bool] | None = None,
) -> int:
    """Run what was planned, here or in several processes; say what came of it; the exit code.

    since: what failed from then on is not tried again, None for now, and in a task of an array, of
    which many start, other runs are not opened for their times; leaving: as `RunOptions.leaving`,
    of work in this process.
    """
    cards = cards_seen(options.device)
    _check(planned, arms, *allocate(1, 1, usable_cores(), cards, options.device))
    from benchmark.runs.runner import RunOptions, never

    specs, folder = planned.specs, planned.folder
    if planned.slices.phantom:
        print(PHANTOM_WORDS)
    status = GridStatus(planned, arms, with_times=since is None)
    workers = _workers(options, planned, cards, status)
    status.shared(len(workers) / len({worker.device for worker in workers}))
    announce(planned, status, at_once=len(workers))
    if options.keep_models and (note := unkept(specs, folder, arms)):
        print(note)
    _tell(workers)
    settings = RunOptions(
        out=folder,
        keep_threads=options.threads is None,
        keep_models=options.keep_models,
        tracks=trackers_asked_for(options.track),
        retry_failures_before=time.time() if since is None else since,
        leaving=leaving or never,
    )
    screen = terminal()
    progress = LiveGrid(status, screen, len(workers)) if screen else Lines(specs, folder, status)
    if len(workers) == 1:
        outcome = work(planned, arms, workers[0], settings, progress)
    else:
        outcome = share(asked, planned, arms, workers, settings, progress)
    return _conclude(asked, planned, outcome)


def _workers(
    options: argparse.Namespace, planned: PlannedRuns, cards: int, status: GridStatus
) -> list[WorkerDevice]:
    """Each worker's device and threads, as asked for or as this machine's cores and cards allow.

    Where fewer cells are open than there are workers, the last are left out and the others
    keep their threads, so that every cell of a grid has as many.
    """
    cores, cells = usable_cores(), len(planned.specs)
    side = max((max(spec.shape) for spec in planned.specs), default=0)
    pay = workers_that_pay(side, cells, status.seconds_in_all(), cores, cards)
    count = options.workers or (pay if pay * (options.threads or 1) <= cores else 1)
    workers = allocate(count, cells, cores, cards, options.device)
    if options.threads:
        workers = [worker._replace(threads=options.threads) for worker in workers]
    still_open = sum(s is not RunState.DONE for s in states(planned.specs, planned.folder))
    return workers[: max(1, still_open)]


def _tell(workers: Sequence[WorkerDevice]) -> None:
    """Print what several workers compute on, and where their threads are too many."""
    cores = usable_cores()
    if len(workers) > 1:
        devices = ", ".join(sorted({worker.device for worker in workers}))
        print(f"{len(workers)} workers on {devices}; threads of each: {workers[0].threads}.")
    if (total := sum(worker.threads for worker in workers)) > cores:
        print(
            f"Note: {total} threads share the {cores} cores that this process may use, "
            "and hinder each other."
        )


def _check(planned: PlannedRuns, arms: Mapping[str, ArmEntry], worker: WorkerDevice) -> None:
    """Raise `SpecError` or `ArmError`, before any cell is begun, for what cannot be run here."""
    on_card = worker.device.startswith("cuda")
    if not on_card and any(s.recipe.training.precision == "tf32" for s in planned.specs):
        raise SpecError(
            "precision tf32 needs an NVIDIA card: "
            "on a processor it would be fp32 under another name"
        )
    from benchmark.cli.arm_check import check_cells

    all_states = zip(planned.specs, states(planned.specs, planned.folder), strict=True)
    still_open = [spec for spec, state in all_states if state is not RunState.DONE]
    for note in check_cells(still_open, arms, worker.device):
        print(f"Note: {note}")


def announce(
    planned: PlannedRuns, status: GridStatus, *, with_time: bool = True, at_once: int = 1
) -> None:
    """Print what is about to be run and how long so many workers may take."""
    cells = status.snapshot()
    done, splits = sum(cell.state is RunState.DONE for cell in cells), ", ".join(planned.splits)
    print(
        f"Grid {planned.grid.name}: {len(cells)} cells, {done} done, into {planned.folder}/. "
        f"Splits: {splits}."
    )
    still_open = [cell.spec for cell in cells if cell.state is not RunState.DONE]
    for note in changed_arms(still_open, planned.folder):
        print(note)
    if with_time and done < len(cells):
        text = f"Estimated time: {time_left(cells, at_once)}."
        print(textwrap.fill(text, COLUMNS, break_long_words=False, break_on_hyphens=False))


def _conclude(asked: Request, planned: PlannedRuns, outcome: Mapping[str, RunState]) -> int:
    """Print the table of the cells and what went wrong; return the exit code."""
    from benchmark.judge.comparisons.runs import runs_tables
    from benchmark.runs.collect import collect

    print()
    tables = runs_tables(collect(planned.folder, {spec.run_id for spec in planned.specs}))
    print("\n\n".join(table.render() for table in tables) or "no finished run")
    print()
    failed = [run_id for run_id, state in outcome.items() if state is RunState.FAILED]
    for run_id in failed:
        failure = read_json(path := RunFolder(planned.folder, run_id) / FAILURE)
        first = str(failure["message"]).partition("\n")[0]
        print(f"failed: {run_id}: {failure['error']}: {first}\n    more in {path}")
    elsewhere = sum(state is RunState.RUNNING for state in outcome.values())
    if elsewhere:
        print(f"{elsewhere} cells are being run by another process.")
    if not any(state is RunState.DONE for state in outcome.values()):
        return 1 if failed else 0  # nothing to judge or to see
    folder, data = shlex.quote(str(planned.folder)), shlex.quote(asked.source)
    if phantom := planned.slices.phantom:
        print(PHANTOM_WORDS)
    if asked.arm_files or not phantom:
        print(f"Judge them: nox -s compare -- --runs {folder}")
    if asked.data is not None or asked.source != PHANTOMS:
        print(f"See them on one page: nox -s report -- --runs {folder} --data {data}")
    return 1 if failed else 0
