"""The processes that share a grid: this one, or several that each take what no other holds."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

from benchmark.arm import ArmEntry
from benchmark.cli.devices import WorkerDevice
from benchmark.cli.terminal.progress import Lines, LiveGrid, Silent
from benchmark.errors import ArmError, BenchmarkError, SpecError
from benchmark.planning.request import PlannedRuns, Request, prepare
from benchmark.planning.time_estimate import states
from benchmark.runs.run_folder import RunState

if TYPE_CHECKING:
    from benchmark.runs.runner import RunOptions

PATIENCE_SECONDS = 10.0  # for a worker that was told to stop


def work(
    planned: PlannedRuns,
    arms: Mapping[str, ArmEntry],
    worker: WorkerDevice,
    settings: RunOptions,
    progress: Lines,
) -> dict[str, RunState]:
    """Run the cells in this process, on the worker's device; return each one's state."""
    import torch

    from benchmark.runs.prepared_data import PreparedData
    from benchmark.runs.runner import run_grid

    torch.set_num_threads(worker.threads)
    if worker.device.startswith("cuda"):
        torch.cuda.set_device(worker.device)  # clocks and synchronising mean the current card
    data = PreparedData(planned.slices, planned.splits, arms)
    with progress:
        settings = replace(settings, device=worker.device, **progress.events)
        return run_grid(planned.specs, data, settings)


def share(
    asked: Request,
    planned: PlannedRuns,
    arms: Mapping[str, ArmEntry],
    workers: Sequence[WorkerDevice],
    settings: RunOptions,
    progress: Lines,
) -> dict[str, RunState]:
    """Run the cells in several processes, each taking those that no other holds.

    They are silent where the grid is shown here. Raises `BenchmarkError` where one ended early.
    """
    in_worker = Silent if isinstance(progress, LiveGrid) else Lines
    spawn = multiprocessing.get_context("spawn")
    arms = {name: replace(entry, gflop=None) for name, entry in arms.items()}  # may not travel
    run_ids = frozenset(spec.run_id for spec in planned.specs)  # of a request, some may be enough
    processes = [
        spawn.Process(target=_worker, args=(asked, run_ids, arms, worker, settings, in_worker))
        for worker in workers
    ]
    with progress:
        try:
            for process in processes:
                process.start()
            for process in processes:
                process.join()
        finally:
            _stop([process for process in processes if process.pid is not None])
    if broken := [process.exitcode for process in processes if process.exitcode]:
        raise BenchmarkError(
            f"{len(broken)} of {len(processes)} workers ended early, with exit codes {broken}; "
            "what they said is above; the same command goes on from the checkpoints there are"
        )
    in_order = (spec.run_id for spec in planned.specs)
    return dict(zip(in_order, states(planned.specs, planned.folder), strict=True))


def _stop(started: Sequence[BaseProcess]) -> None:
    """End the processes that still run, whose cells will be gone on with; wait for them."""
    for process in started:
        process.terminate()
    for process in started:
        process.join(PATIENCE_SECONDS)  # what they leave can be told only then


def check_unchanged(arms: Mapping[str, ArmEntry]) -> None:
    """Raise `ArmError` where this process imports another arm than the one that was planned.

    Its file may be edited while workers start, or a task waits in a queue; runs would bear the name
    of the old one.
    """
    for name, entry in arms.items():
        if entry.source is None:
            continue
        try:
            now = ArmEntry.of(entry.load(), entry.source.package, entry.source.version).source
        except Exception:  # recorded, with its traceback, when a cell is run
            continue
        if now != entry.source:
            raise ArmError(f"arm {name} was changed since this was planned; give the command again")


def _worker(
    asked: Request,
    run_ids: frozenset[str],
    arms: Mapping[str, ArmEntry],
    worker: WorkerDevice,
    settings: RunOptions,
    progress: type[Lines],
) -> None:
    """The work of one process among several."""
    try:
        planned = prepare(asked, arms, say=None)  # the parent has said it
        specs = [spec for spec in planned.specs if spec.run_id in run_ids]
        if len(specs) < len(run_ids):
            raise SpecError(
                "slices or splits changed while workers started; give the command again"
            )
        planned = replace(planned, specs=specs)
        check_unchanged({spec.arm: arms[spec.arm] for spec in planned.specs})
        work(planned, arms, worker, settings, progress(planned.specs, planned.folder))
    except BenchmarkError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # the parent was interrupted too and says so
