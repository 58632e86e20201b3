"""The verb `reproduce`: one grid, in this process or shared by several. torch is imported when work begins."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from benchmark import plan as planning
from benchmark.arm import ArmEntry
from benchmark.cli import request
from benchmark.errors import BenchmarkError, SpecError
from benchmark.progress import GridProgress, span
from benchmark.record import FAILURE, RunFolder, State, read_json
from benchmark.request import PHANTOMS, Job, Request, prepare

PHANTOM_WORDS = (
    "These are drawn phantoms. They show that the machinery works from end to end and say nothing about 0.898:\n"
    "give the real slices with --data PATH, or --data figshare to download them."
)


def reproduce(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Run a grid; return 0, or 1 where a cell failed."""
    asked = request(options)
    if asked.source == PHANTOMS and asked.data is None:
        print("No data was given (--data, $MENINGIOMA_DATA or an earlier download): drawing phantoms instead.")
    job = prepare(asked, arms)
    if job.slices.phantom:
        print(PHANTOM_WORDS)
    estimates = announce(job)
    if options.workers == 1:
        threads = options.threads or os.cpu_count() or 1
        found = _work(job, arms, options, threads, GridProgress(job.specs, estimates), time.time())
    else:
        found = _share(asked, arms, options, job)
    return _conclude(job, found)


def _work(
    job: Job,
    arms: Mapping[str, ArmEntry],
    options: argparse.Namespace,
    threads: int,
    progress: GridProgress,
    began: float,
) -> dict[str, State]:
    """Run the job's cells in this process. began (seconds since 1970): a cell that failed since is not tried again."""
    import torch

    from benchmark.runner import Bench, Options, run_grid

    device = _device(options.device)
    if device == "cpu" and any(spec.recipe.training.precision == "tf32" for spec in job.specs):
        raise SpecError("precision tf32 needs an NVIDIA card: on a processor it would be fp32 under another name")
    for name, params in {
        (spec.arm, tuple(spec.params.items())): (spec.arm, spec.params) for spec in job.specs
    }.values():
        _check_params(arms[name], params)
    torch.set_num_threads(threads)
    with progress:
        how = Options(
            out=job.folder,
            device=device,
            retry_failures_before=began,
            on_note=progress.on_note,
            on_begin=progress.on_begin,
            on_epoch=progress.on_epoch,
            on_state=progress.on_state,
        )
        return run_grid(job.specs, Bench(job.slices, job.splits, arms), how)


def _check_params(entry: ArmEntry, params: Mapping[str, Any]) -> None:
    """Raise `SpecError` for parameters that the arm refuses; an arm broken otherwise will be a failed cell."""
    try:
        entry.load()(**params)
    except SpecError:
        raise
    except Exception:  # recorded, with its traceback, when the cell is run
        return


def _device(asked: str) -> str:
    """Return cpu, cuda or cuda:N; `SpecError` for anything else, or a card that is not there."""
    import torch

    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "auto":
        return "cuda" if cards else "cpu"
    if asked == "cpu" or (asked in ("cuda", *(f"cuda:{i}" for i in range(cards))) and cards):
        return asked
    if asked.startswith("cuda") and not cards:
        raise SpecError(f"--device {asked}: PyTorch sees no CUDA card here; use --device cpu, or install a CUDA build")
    raise SpecError(f"--device {asked}: must be auto, cpu, or one of the {cards} CUDA cards that PyTorch sees here")


def _share(asked: Request, arms: Mapping[str, ArmEntry], options: argparse.Namespace, job: Job) -> dict[str, State]:
    """Run the job in several processes; each takes the cells that no other holds."""
    threads = options.threads or max(1, (os.cpu_count() or 1) // options.workers)
    fresh = multiprocessing.get_context("spawn")
    words = (asked, dict(arms), options, threads, time.time())
    team = [fresh.Process(target=_worker, args=words) for _ in range(min(options.workers, len(job.specs)))]
    for one in team:
        one.start()
    try:
        for one in team:
            one.join()
    finally:
        for one in team:
            one.terminate()  # does nothing to one that has ended; the others leave their cells to be gone on with
    if broken := [one.exitcode for one in team if one.exitcode]:
        raise BenchmarkError(
            f"{len(broken)} of {len(team)} workers ended early, with exit codes {broken}; "
            "what they said is above, and the same command goes on where they were"
        )
    return dict(zip((s.run_id for s in job.specs), planning.states(job.specs, job.folder), strict=True))


def _worker(
    asked: Request, arms: Mapping[str, ArmEntry], options: argparse.Namespace, threads: int, began: float
) -> None:
    try:
        job = prepare(asked, arms)
        progress = GridProgress(job.specs, [None] * len(job.specs))
        _work(job, arms, options, threads, progress, began)
    except BenchmarkError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # the parent was interrupted too and says so


def announce(job: Job) -> list[float | None]:
    """Print what is about to be run and how long it may take; return each cell's estimate in seconds."""
    found = planning.states(job.specs, job.folder)
    split = next(iter(job.splits.values()))
    images = len(split.train) + len(split.val) / 3
    seen = planning.pace(job.folder, job.slices.dataset_id, images)
    estimates = [planning.estimate(spec, images, seen) for spec in job.specs]
    seconds, unknown = planning.left(estimates, found)
    done = sum(state is State.DONE for state in found)
    splits = ", ".join(job.splits)
    print(f"Grid {job.grid.name}: {len(job.specs)} cells, {done} done, into {job.folder}/. Splits: {splits}.")
    more = f", and {unknown} cells of unknown cost" if unknown else ""
    if done < len(job.specs):
        print(f"Estimated time: {span(seconds)}{more} (from {seen.seen_in}).")
    return estimates


def _conclude(job: Job, found: Mapping[str, State]) -> int:
    """Print the table of the job's cells and what went wrong; return the exit code."""
    from benchmark.collect import collect
    from benchmark.results import results_table, results_text

    print()
    print(results_text(results_table(collect(job.folder, {spec.run_id for spec in job.specs}))))
    print()
    failed = [run_id for run_id, state in found.items() if state is State.FAILED]
    for run_id in failed:
        failure = read_json(RunFolder(job.folder, run_id) / FAILURE)
        print(f"failed: {run_id}: {failure['error']}: {failure['message']}")
    elsewhere = sum(state is State.RUNNING for state in found.values())
    if elsewhere:
        print(f"{elsewhere} cells are being run by another process.")
    print(PHANTOM_WORDS if job.slices.phantom else f"Judge them with: python -m benchmark compare --runs {job.folder}")
    return 1 if failed else 0
