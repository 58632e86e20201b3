"""The verbs `reproduce` and `run`: a grid, or some of its cells by run_id. torch is imported when
work begins.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmark.arm import ArmEntry
from benchmark.cli.demonstration import PHANTOM_WORDS, show
from benchmark.cli.devices import allocate, usable_cores, workers_that_pay
from benchmark.cli.options import request
from benchmark.cli.terminal.grid_view import time_left
from benchmark.cli.terminal.progress import Lines, LiveGrid, Silent, terminal
from benchmark.errors import BenchmarkError, SpecError, nearest
from benchmark.inference.trained_model import unkept
from benchmark.planning import time_estimate as planning
from benchmark.planning.request import PHANTOMS, Job, Request, prepare
from benchmark.planning.status import GridStatus
from benchmark.runs.run_folder import FAILURE, RunFolder, RunState, read_json
from benchmark.runs.spec import RunSpec

WORKER_PATIENCE_SECONDS = 10.0  # for a worker that was told to stop


@dataclass(frozen=True)
class WorkerOptions:
    """What all that share a job's cells are told.

    keep_threads and keep_models as in `runner.Options`; a cell that failed since began (seconds
    since 1970) is not tried again; silent: workers say nothing, for their parent shows the grid.
    """

    keep_threads: bool
    keep_models: bool
    began: float
    silent: bool


def reproduce(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Run a grid, and write the report of its folder where no data are given; return 0, or 1 where
    a cell failed.
    """
    asked = request(options)
    demonstration = asked.source == PHANTOMS and asked.data is None
    if demonstration:
        print(
            "No data was given (--data, $MENINGIOMA_DATA or an earlier download): drawing phantoms instead."
        )
    job = prepare(asked, arms)
    code = _carry_out(asked, job, arms, options)
    if demonstration:
        show(job, arms)
    return code


def run(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Run the cells of a grid that have these run_ids; return 0, or 1 where a cell failed."""
    asked = request(options)
    job = prepare(asked, arms)
    return _carry_out(asked, replace(job, specs=_chosen(job, options.id)), arms, options)


def _chosen(job: Job, run_ids: Sequence[str]) -> list[RunSpec]:
    """The job's cells with these run_ids, in their order; `SpecError` for one that it does not
    have.
    """
    there = {spec.run_id: spec for spec in job.specs}
    for run_id in run_ids:
        if not run_id:
            raise SpecError(
                "--id is empty: the list has no such line, or the array has more tasks than the list needs"
            )
        if run_id not in there:
            raise SpecError(
                f"--id {run_id}: grid {job.grid.name} has no such cell with these options{nearest(run_id, there)}; "
                "`plan --format ids` with the same options lists those that are open"
            )
    return [there[run_id] for run_id in dict.fromkeys(run_ids)]


def _carry_out(
    asked: Request, job: Job, arms: Mapping[str, ArmEntry], options: argparse.Namespace
) -> int:
    """Run a job here or in several processes and say what came of it; return the exit code."""
    cards = cards_seen(options.device)
    _check(job, arms, on_card=cards > 0)
    if job.slices.phantom:
        print(PHANTOM_WORDS)
    survey = GridStatus(job, arms)
    announce(job, survey)
    if options.keep_models and (told := unkept(job.specs, job.folder, arms)):
        print(told)
    places = _places(options, job, cards, survey)
    screen = terminal()
    how = WorkerOptions(
        options.threads is None, options.keep_models, time.time(), silent=screen is not None
    )
    progress = (
        LiveGrid(survey, screen, len(places)) if screen else Lines(job.specs, job.folder, survey)
    )
    if len(places) == 1:
        found = _work(job, arms, places[0], how, progress)
    else:
        found = _share(asked, arms, job, places, how, progress)
    return _conclude(asked, job, found)


def _places(
    options: argparse.Namespace, job: Job, cards: int, survey: GridStatus
) -> list[tuple[str, int]]:
    """Device and threads of each worker, as asked for or as this machine's cores and cards allow.

    Where fewer cells are open than there are workers, the last are left out and the others
    keep their threads, so that every cell of a grid has as many.
    """
    cores = usable_cores()
    side = max((max(spec.shape) for spec in job.specs), default=0)
    pay = workers_that_pay(side, len(job.specs), survey.seconds_in_all(), cores, cards)
    workers = options.workers or (pay if pay * (options.threads or 1) <= cores else 1)
    shares = allocate(workers, len(job.specs), cores, cards, options.device)
    still_open = sum(state is not RunState.DONE for state in planning.states(job.specs, job.folder))
    places = [(device, options.threads or threads) for device, threads in shares][
        : max(1, still_open)
    ]
    if len(places) > 1:
        devices = ", ".join(sorted({device for device, _ in places}))
        print(f"{len(places)} workers on {devices}; threads of each: {places[0][1]}.")
    if (total := sum(threads for _, threads in places)) > cores:
        print(
            f"Note: {total} threads share the {cores} cores that this process may use, and hinder each other."
        )
    return places


def _check(job: Job, arms: Mapping[str, ArmEntry], on_card: bool) -> None:
    """Raise `SpecError`, before any cell is begun, for what this device or an arm cannot do."""
    if not on_card and any(spec.recipe.training.precision == "tf32" for spec in job.specs):
        raise SpecError(
            "precision tf32 needs an NVIDIA card: on a processor it would be fp32 under another name"
        )
    for name, params in {
        (spec.arm, tuple(spec.params.items())): (spec.arm, spec.params) for spec in job.specs
    }.values():
        _check_params(arms[name], params)


def _work(
    job: Job,
    arms: Mapping[str, ArmEntry],
    place: tuple[str, int],
    how: WorkerOptions,
    progress: Lines,
) -> dict[str, RunState]:
    """Run the job's cells in this process."""
    import torch

    from benchmark.runs.prepared_data import PreparedData
    from benchmark.runs.runner import RunOptions, run_grid

    device, threads = place
    torch.set_num_threads(threads)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)  # clocks and synchronising mean the current card
    with progress:
        told = RunOptions(
            out=job.folder,
            device=device,
            keep_threads=how.keep_threads,
            retry_failures_before=how.began,
            keep_models=how.keep_models,
            on_note=progress.on_note,
            on_begin=progress.on_begin,
            on_epoch=progress.on_epoch,
            on_state=progress.on_state,
        )
        return run_grid(job.specs, PreparedData(job.slices, job.splits, arms), told)


def _check_params(entry: ArmEntry, params: Mapping[str, Any]) -> None:
    """Raise `SpecError` for parameters that the arm refuses; an arm broken otherwise will be a
    failed cell.
    """
    try:
        entry.load()(**params)
    except SpecError:
        raise
    except Exception:  # recorded, with its traceback, when the cell is run
        return


def cards_seen(asked: str) -> int:
    """How many CUDA cards PyTorch sees, 0 where none is asked for; `SpecError` for a device that is
    not there.
    """
    if asked == "cpu":
        return 0
    import torch

    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "auto" or (cards and asked in ("cuda", *(f"cuda:{i}" for i in range(cards)))):
        return cards
    if asked.startswith("cuda") and not cards:
        raise SpecError(
            f"--device {asked}: PyTorch sees no CUDA card here; use --device cpu, or install a CUDA build"
        )
    raise SpecError(
        f"--device {asked}: must be auto, cpu, or one of the {cards} CUDA cards that PyTorch sees here"
    )


def _share(
    asked: Request,
    arms: Mapping[str, ArmEntry],
    job: Job,
    places: Sequence[tuple[str, int]],
    how: WorkerOptions,
    progress: Lines,
) -> dict[str, RunState]:
    """Run the job in several processes, silent where the grid is shown; each takes the cells that
    no other holds.
    """
    fresh = multiprocessing.get_context("spawn")
    team = [fresh.Process(target=_worker, args=(asked, dict(arms), place, how)) for place in places]
    with progress:
        try:
            for one in team:
                one.start()
            for one in team:
                one.join()
        finally:
            for one in (one for one in team if one.pid is not None):  # those that were started
                one.terminate()  # does nothing to one that has ended; the others leave their cells to be gone on with
            for one in (one for one in team if one.pid is not None):
                one.join(WORKER_PATIENCE_SECONDS)  # what they leave can be told only then
    if broken := [one.exitcode for one in team if one.exitcode]:
        raise BenchmarkError(
            f"{len(broken)} of {len(team)} workers ended early, with exit codes {broken}; "
            "what they said is above, and the same command goes on where they were"
        )
    return dict(
        zip((s.run_id for s in job.specs), planning.states(job.specs, job.folder), strict=True)
    )


def _worker(
    asked: Request, arms: Mapping[str, ArmEntry], place: tuple[str, int], how: WorkerOptions
) -> None:
    try:
        job = prepare(asked, arms, say=None)  # the parent has said it
        progress = (Silent if how.silent else Lines)(job.specs, job.folder)
        _work(job, arms, place, how, progress)
    except BenchmarkError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # the parent was interrupted too and says so


def announce(job: Job, survey: GridStatus, *, with_time: bool = True) -> None:
    """Print what is about to be run and how long it may take."""
    cells = survey.look()
    done, splits = sum(cell.state is RunState.DONE for cell in cells), ", ".join(job.splits)
    print(
        f"Grid {job.grid.name}: {len(cells)} cells, {done} done, into {job.folder}/. Splits: {splits}."
    )
    if with_time and done < len(cells):
        print(f"Estimated time: {time_left(cells)}.")


def _conclude(asked: Request, job: Job, found: Mapping[str, RunState]) -> int:
    """Print the table of the job's cells and what went wrong; return the exit code."""
    from benchmark.judge.comparisons.runs import runs_tables
    from benchmark.runs.collect import collect

    print()
    tables = runs_tables(collect(job.folder, {spec.run_id for spec in job.specs}))
    print("\n\n".join(table.render() for table in tables) or "no finished run")
    print()
    failed = [run_id for run_id, state in found.items() if state is RunState.FAILED]
    for run_id in failed:
        failure = read_json(RunFolder(job.folder, run_id) / FAILURE)
        print(f"failed: {run_id}: {failure['error']}: {failure['message']}")
    elsewhere = sum(state is RunState.RUNNING for state in found.values())
    if elsewhere:
        print(f"{elsewhere} cells are being run by another process.")
    runs, data = shlex.quote(str(job.folder)), shlex.quote(asked.source)
    print(PHANTOM_WORDS if job.slices.phantom else f"Judge them: nox -s compare -- --runs {runs}")
    if asked.data is not None or asked.source != PHANTOMS:
        print(f"See them on one page: nox -s report -- --runs {runs} --data {data}")
    return 1 if failed else 0
