"""What each verb of the command line does. torch is imported by `reproduce` alone."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from tabulate import tabulate

from benchmark import plan as planning
from benchmark.arm import ArmEntry
from benchmark.cli import request
from benchmark.data.slices import LABELS
from benchmark.errors import BenchmarkError, SpecError
from benchmark.progress import GridProgress, span
from benchmark.record import FAILURE, RESULT, RunFolder, State, read_json
from benchmark.request import PHANTOMS, Job, Request, load_slices, prepare

OWN_RUNS = Path("runs")
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
    estimates = _announce(job)
    if options.workers == 1:
        threads = options.threads or os.cpu_count() or 1
        found = _work(job, arms, options, threads, GridProgress(job.specs, _max_epochs(job), estimates), time.time())
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

    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device.startswith("cuda") and not torch.cuda.is_available():
        raise SpecError(f"--device {device}: PyTorch sees no CUDA card here; use --device cpu, or install a CUDA build")
    torch.set_num_threads(threads)
    with progress:
        how = Options(
            out=job.folder,
            device=device,
            retry_failures_before=began,
            on_begin=progress.on_begin,
            on_epoch=progress.on_epoch,
            on_state=progress.on_state,
        )
        return run_grid(job.specs, Bench(job.slices, job.splits, arms), how)


def _share(asked: Request, arms: Mapping[str, ArmEntry], options: argparse.Namespace, job: Job) -> dict[str, State]:
    """Run the job in several processes; each takes the cells that no other holds."""
    threads = options.threads or max(1, (os.cpu_count() or 1) // options.workers)
    fresh = multiprocessing.get_context("spawn")
    words = (asked, dict(arms), options, threads, time.time())
    team = [fresh.Process(target=_worker, args=words) for _ in range(options.workers)]
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
        progress = GridProgress(job.specs, _max_epochs(job), [None] * len(job.specs))
        _work(job, arms, options, threads, progress, began)
    except BenchmarkError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # the parent was interrupted too and says so


def _max_epochs(job: Job) -> int:
    return job.specs[0].recipe.training.max_epochs


def _announce(job: Job) -> list[float | None]:
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


def plan(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Print every cell's state and estimate; runs nothing."""
    job = prepare(request(options), arms, keep_splits=False)
    estimates = _announce(job)
    rows = [
        (
            i + 1,
            spec.split_id,
            spec.cell,
            str(state),
            "" if state is State.DONE else span(e) if e is not None else "unknown",
        )
        for i, (spec, state, e) in enumerate(
            zip(job.specs, planning.states(job.specs, job.folder), estimates, strict=True)
        )
    ]
    print(tabulate(rows, headers=("", "split", "cell", "state", "estimate")))
    return 0


def compare(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Judge a folder of runs; return 1 where a required row is not reproduced."""
    from benchmark import comparable
    from benchmark import compare as judging
    from benchmark.collect import collect, reproduction_folder
    from benchmark.reference import load_reference, load_tolerances
    from benchmark.results import results_table, results_text

    if options.runs is not None and not options.runs.is_dir():
        raise SpecError(f"--runs {options.runs}: there is no such folder")
    root, words = options.runs or OWN_RUNS, ""
    if options.runs is None and not any(OWN_RUNS.glob(f"*/{RESULT}")):
        root, words = (
            reproduction_folder(),
            f"there are no runs in {OWN_RUNS}/, so the records shipped with this package: ",
        )
    collected = collect(root)
    print(f"Judging {words}{root}: {len(collected.runs)} finished runs.\n")
    reference, tolerances = load_reference(), load_tolerances()
    rows = judging.compare(collected, reference, tolerances)
    print(judging.to_text(rows))
    print(comparable.progress(collected, reference, tolerances), end="\n\n")
    print(results_text(results_table(collected)))
    return judging.exit_code(rows, strict=options.strict)


def data(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Say what a source of slices holds."""
    asked = request(options)
    slices = load_slices(asked)
    patients = set(slices.patient_id) - {None}
    area = slices.masks.sum(axis=(1, 2)) * slices.spacing_mm[0] * slices.spacing_mm[1]
    labels, counts = np.unique(slices.label, return_counts=True)
    unknown = sum(p is None for p in slices.patient_id)
    rows = [
        ("source", asked.source + (" (drawn phantoms)" if slices.phantom else "")),
        ("slices", f"{len(slices)}, numbers {slices.slice_id[0]} to {slices.slice_id[-1]}"),
        ("labels", ", ".join(f"{LABELS[int(k)]} {n}" for k, n in zip(labels, counts, strict=True))),
        ("patients", f"{len(patients)}" + (f", unknown for {unknown} slices" if unknown else "")),
        ("size", f"{slices.shape[0]} x {slices.shape[1]} pixels, {slices.images.dtype}"),
        ("pixel", f"{slices.spacing_mm[0]:g} x {slices.spacing_mm[1]:g} mm"),
        ("grey levels", f"{slices.images.min()} to {slices.images.max()}"),
        ("tumour area", f"{area.min():.0f} to {area.max():.0f} mm2, median {np.median(area):.0f}"),
        ("dataset id", slices.dataset_id),
        ("fingerprint", slices.fingerprint),
    ]
    print(tabulate(rows, tablefmt="plain"))
    return 0


def export(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Write the slices as NIfTI pairs."""
    from benchmark.data import nifti

    slices = load_slices(request(options))
    nifti.export(slices, options.folder)
    print(f"{len(slices)} pairs written to {options.folder}/; fingerprint {slices.fingerprint}")
    return 0


def rescore(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Recompute scores from stored predictions."""
    from benchmark.rescore import rescore as recompute

    if not options.runs.is_dir():
        raise SpecError(f"--runs {options.runs}: there is no such folder")
    for one in recompute(options.runs, load_slices(replace(request(options), out=options.runs))):
        changes = [f"+{name}" for name in one.added] + [f"-{name}" for name in one.removed]
        changes += [f"{name} of {count} slices" for name, count in one.changed.items()]
        changes += ["damaged scores.csv made anew"] if one.repaired else []
        changes += [f"result.json: {', '.join(one.summary)}"] if one.summary else []
        print(f"{one.run_id}: {'; '.join(changes) or 'unchanged'}")
    return 0


def list_arms(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """List every arm, built in or installed by another package."""
    rows = []
    for name, entry in arms.items():
        params = ", ".join(f"{k}={v!r}" for k, v in entry.defaults.items())
        marks = [word for word, on in (("no seeds", entry.deterministic), ("needs a click", entry.needs_click)) if on]
        rows.append((name, params, ", ".join(marks), entry.target))
    print(tabulate(rows, headers=("arm", "parameters", "", "class")))
    return 0
