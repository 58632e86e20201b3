"""Running specs: skip what is done, go on with what was interrupted, go on after a failure."""

from __future__ import annotations

import contextlib
import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.arm import ArmEntry, FitReport, Keepable, RunContext
from benchmark.errors import ArmError, RunLockedError
from benchmark.preprocessing.resize import upsample_probability
from benchmark.runs import run_folder
from benchmark.runs.environment import RESUME_KEYS, describe, peak_mib
from benchmark.runs.model_file import ModelState, pack
from benchmark.runs.prepared_data import PreparedData
from benchmark.runs.run_folder import RunFolder, RunState
from benchmark.runs.spec import RunSpec
from benchmark.runs.tracking import tracked
from benchmark.scoring.evaluate import binarise, predict_checked, score, simulated_clicks
from benchmark.scoring.summary import summarise
from benchmark.splits.split import Split
from benchmark.tracker import Track
from benchmark.training.kept_memory import keep_freed_memory
from benchmark.training.seeding import make_deterministic

MASKS_AT_ONCE = 16  # maps enlarged together, to bound memory


def ignore(*event: object) -> None:
    """What `RunOptions` calls where nobody listens: a function of a module, so that it pickles."""


def never() -> bool:
    """Return False: `RunOptions.leaving` of work that goes on."""
    return False


@dataclass(frozen=True)
class RunOptions:
    """How runs are carried out; none of it enters a run's identity.

    keep_threads: an interrupted training goes on with the threads it was begun with, whatever is
    set now. on_note is given what the user should know. on_begin is called when a run's work begins
    here, on_state once for every run, with the state it is left in; running is one that another
    process holds. A run that failed at or after retry_failures_before (seconds since 1970) is not
    tried again: so workers that share a grid try a failing cell once. keep_models: what an arm
    learned stays in its run's folder, for `predict`. tracks: what else is told of each run; see
    `benchmark.tracker`. leaving: as `RunContext.leaving`.
    """

    out: Path
    device: str = "cpu"
    checkpoint_every_seconds: float = 60.0
    keep_threads: bool = False
    retry_failures_before: float = math.inf
    keep_models: bool = False
    tracks: tuple[Track, ...] = ()
    leaving: Callable[[], bool] = never
    on_begin: Callable[[RunSpec], None] = ignore
    on_note: Callable[[str], None] = ignore
    on_epoch: Callable[[RunSpec, list[dict[str, float]]], None] = ignore
    on_state: Callable[[RunSpec, RunState], None] = ignore


def run_grid(
    specs: Iterable[RunSpec], data: PreparedData, options: RunOptions
) -> dict[str, RunState]:
    """Run every spec that is not done; return each run's state afterwards.

    A failing run is recorded and the rest goes on; a run that another process holds is left to it.
    Ctrl-C ends the grid at once and loses nothing but the epochs since the last checkpoint.
    """
    return {spec.run_id: run_one(spec, data, options) for spec in specs}


def run_one(spec: RunSpec, data: PreparedData, options: RunOptions) -> RunState:
    """Carry out one run under its lock and return its state."""
    folder = RunFolder(options.out, spec.run_id)
    state = folder.state
    if state is not RunState.DONE and not folder.failed_since(options.retry_failures_before):
        try:
            with folder.lock():
                _run_locked(spec, folder, data, options)
            state = folder.state
        except RunLockedError:
            state = RunState.RUNNING  # or it was, by whoever took it over from here
    options.on_state(spec, state)
    return state


def _run_locked(spec: RunSpec, folder: RunFolder, data: PreparedData, options: RunOptions) -> None:
    """Carry out a run that no other process works on; a failure is recorded."""
    if (folder / run_folder.RESULT).exists():  # another process has ended it meanwhile
        return
    options.on_begin(spec)
    with tracked(spec, folder, options.tracks) as tell:
        try:
            with _threads(folder, options):
                _carry_out(spec, folder, data, _also_told(options, tell))
        except RunLockedError:  # taken over while this process gave no sign of life
            raise
        except (Exception, SystemExit) as error:  # of an arm's code
            folder.fail(error, traceback.format_exc())


def _also_told(options: RunOptions, tell: Callable[[list[dict[str, float]]], None]) -> RunOptions:
    """The options, with trackers told of each epoch after everything else."""

    def on_epoch(spec: RunSpec, history: list[dict[str, float]]) -> None:
        options.on_epoch(spec, history)
        tell(history)

    return replace(options, on_epoch=on_epoch)


@contextlib.contextmanager
def _threads(folder: RunFolder, options: RunOptions) -> Iterator[None]:
    """Inside, as many threads as the folder's checkpoint was made with, where options say so."""
    import torch

    usual, begun = torch.get_num_threads(), None
    if options.keep_threads and (folder / run_folder.CHECKPOINT).exists():
        begun = folder.threads
    if begun not in (None, usual):
        options.on_note(
            f"goes on with the {begun} threads that it was begun with; --threads overrules it"
        )
    torch.set_num_threads(begun or usual)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def _carry_out(spec: RunSpec, folder: RunFolder, data: PreparedData, options: RunOptions) -> None:
    """Fit, predict, score and record."""
    split, entry = data.splits[spec.split_id], data.arms[spec.arm]
    resumed = _begin(spec, folder, entry, data.slices.phantom, options)
    arm = entry.load()(**spec.params)
    begun = time.perf_counter()
    train, val = data.cases(spec, split, split.train), data.cases(spec, split, split.val)
    started = time.perf_counter()
    report: FitReport = arm.fit(train, val, _context(spec, folder, options))
    fitted = time.perf_counter()
    predictions = _predict(arm, entry, spec, data, split)
    predicted = time.perf_counter()
    scores = score(data.slices, predictions, split.test)
    result = {
        "needs_click": entry.needs_click,
        "dataset": {
            "slices": len(data.slices),
            "patients": len(set(data.slices.patient_id) - {None}),
            "phantom": data.slices.phantom,
        },
        "fit": dict(report.facts),
        "test": summarise(scores),
    }
    timing = {
        **_fit_timing(report, fitted - started),
        "prepare_seconds": started - begun,  # once for all cells of a split and size
        "predict_seconds": predicted - fitted,
        "resumed": resumed,
        **peak_mib(options.device),
    }
    folder.write_history(report.history)
    folder.finish(scores, predictions, timing, result, _model(arm, spec, data, split, options))
    folder.check()
    (folder / run_folder.CHECKPOINT).unlink(missing_ok=True)


def _begin(
    spec: RunSpec, folder: RunFolder, entry: ArmEntry, phantom: bool, options: RunOptions
) -> bool:
    """Ready the device and record what the run is; return whether it goes on from a checkpoint."""
    import torch

    keep_freed_memory()
    switches = make_deterministic(options.device)
    environment = describe(options.device, torch.get_num_threads()) | switches
    resumed, why_not = folder.begin(spec, environment, RESUME_KEYS, phantom, entry.source)
    if why_not:
        options.on_note(f"the checkpoint is dropped and the training starts over: {why_not}")
    return resumed


def _context(spec: RunSpec, folder: RunFolder, options: RunOptions) -> RunContext:
    def on_epoch(history: list[dict[str, float]]) -> None:
        folder.write_history(history)
        options.on_epoch(spec, history)

    def leaving() -> bool:
        folder.check()  # asked before a checkpoint is written, which may be another's by now
        return options.leaving()

    return RunContext(
        recipe=spec.recipe,
        seed=spec.seed or 0,
        device=options.device,
        checkpoint=folder / run_folder.CHECKPOINT,
        checkpoint_every_seconds=options.checkpoint_every_seconds,
        leaving=leaving,
        on_epoch=on_epoch,
    )


def _fit_timing(report: FitReport, fit_seconds: float) -> dict[str, object]:
    """What timing.json says of a fit; its seconds are those of its epochs, where it has any."""
    history = report.history
    epochs = sum(row["seconds"] for row in history)
    return {
        "fit_seconds": epochs or fit_seconds,
        "seconds_per_epoch": epochs / len(history) if history else None,
        "gpu_seconds": sum(row.get("gpu_seconds", 0.0) for row in history) or None,
        "parameters": report.parameters,
        "train_gflop_per_image": report.train_gflop_per_image,
    }


def _model(
    arm: Any, spec: RunSpec, data: PreparedData, split: Split, options: RunOptions
) -> bytes | None:
    """The file of what the arm learned; None where that is not asked for, or cannot be kept."""
    if not options.keep_models:
        return None
    try:
        if not isinstance(arm, Keepable):
            raise ArmError(f"arm {spec.arm} lacks the methods of benchmark.arm.Keepable")
        if data.arms[spec.arm].needs_click:
            raise ArmError(f"arm {spec.arm} needs a click, and predict gives none")
        slices, landmarks = data.slices, data.prepared(spec, split).landmarks
        rows = np.flatnonzero(np.isin(slices.slice_id, split.train))
        patients = {slices.patient_id[row] for row in rows}
        state = ModelState(
            arm.state(),
            landmarks,
            slices.shape,
            slices.spacing_mm,
            slices=len(split.train),
            patients=0 if None in patients else len(patients),
        )
        return pack(state, spec.arm)
    except ArmError as error:  # the training is worth more than its model
        options.on_note(f"its model is not kept: {error}")
        return None


def _predict(
    arm: Any, entry: ArmEntry, spec: RunSpec, data: PreparedData, split: Split
) -> dict[int, NDArray[np.bool_]]:
    """Masks of the test slices at the slices' own size, whatever size the arm was fed."""
    test = data.cases(spec, split, split.test)
    clicks = simulated_clicks(test.masks) if entry.needs_click else None
    maps = predict_checked(arm, test.images, clicks, spec.arm)
    masks: dict[int, NDArray[np.bool_]] = {}
    for first in range(0, len(test), MASKS_AT_ONCE):
        rows = slice(first, first + MASKS_AT_ONCE)
        full = binarise(upsample_probability(maps[rows], data.slices.shape))
        masks.update(zip(test.slice_id[rows].tolist(), full, strict=True))
    return masks
