"""Running specs: skip what is done, go on with what was interrupted, go on after a failure."""

from __future__ import annotations

import contextlib
import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.arm import ArmEntry, Cases, FitReport, FloatImages, Keepable, RunContext
from benchmark.data.slices import SliceSet
from benchmark.errors import ArmError, RunLockedError
from benchmark.preprocessing import nyul
from benchmark.preprocessing.level_table import Levels
from benchmark.preprocessing.resize import (
    downsample,
    downsample_masks,
    scaled_spacing,
    upsample_probability,
)
from benchmark.runs import run_folder
from benchmark.runs.environment import RESUME_KEYS, describe
from benchmark.runs.memory import keep_freed_memory, peak_mib
from benchmark.runs.model_file import ModelState, pack
from benchmark.runs.run_folder import RunFolder, RunState
from benchmark.runs.spec import RunSpec
from benchmark.scoring.evaluate import binarise, predict_checked, score, simulated_clicks
from benchmark.scoring.summary import summarise
from benchmark.splits.split import Split
from benchmark.training.seeding import make_deterministic

MASKS_AT_ONCE = 16  # maps enlarged together, to bound memory


def ignore(*event: object) -> None:
    """What `RunOptions` calls where nobody listens: a function of a module, so that it pickles."""


@dataclass(frozen=True)
class RunOptions:
    """How runs are carried out; none of it enters a run's identity.

    keep_threads: an interrupted training goes on with the threads it was begun with, whatever is
    set now. on_note is given what the user should know. on_begin is called when a run's work begins
    here, on_state once for every run, with the state it is left in; running is one that another
    process holds. A run that failed at or after retry_failures_before (seconds since 1970) is not
    tried again: so workers that share a grid try a failing cell once. keep_models: what an arm
    learned stays in its run's folder, for `predict`.
    """

    out: Path
    device: str = "cpu"
    checkpoint_every_seconds: float = 60.0
    keep_threads: bool = False
    retry_failures_before: float = math.inf
    keep_models: bool = False
    on_begin: Callable[[RunSpec], None] = ignore
    on_note: Callable[[str], None] = ignore
    on_epoch: Callable[[RunSpec, list[dict[str, float]]], None] = ignore
    on_state: Callable[[RunSpec, RunState], None] = ignore


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """All slices as an arm is fed them: N images of (h, w), their masks, and the standard histogram
    they were given.
    """

    images: FloatImages | Levels
    masks: NDArray[np.bool_]
    landmarks: nyul.Landmarks


@dataclass
class PreparedData:
    """The slices of a grid and its splits by name; remembers the last preprocessing."""

    slices: SliceSet
    splits: Mapping[str, Split]
    arms: Mapping[str, ArmEntry]
    _last: tuple[Any, PreparedSet] | None = field(default=None, repr=False)

    def prepared(self, spec: RunSpec, split: Split) -> PreparedSet:
        """Return all slices preprocessed as the spec asks."""
        rule = spec.recipe.preprocess
        fit_ids = split.train if rule.nyul_fit == "train" else None
        key = (spec.shape, rule, fit_ids)
        if self._last is None or self._last[0] != key:
            images = downsample(self.slices.images, spec.shape)
            learn_from = (
                images if fit_ids is None else images[np.isin(self.slices.slice_id, fit_ids)]
            )
            landmarks = nyul.fit_nyul(
                learn_from, rule.nyul_percentiles, rule.nyul_foreground == "whole"
            )
            masks = downsample_masks(self.slices.masks, spec.shape)
            tabulable = (
                images.dtype.kind in "iu"
                and int(images.max()) - int(images.min()) < images[0].size // 2
            )
            carry_out = (
                nyul.tabulate if tabulable else nyul.apply
            )  # long tables would take more memory
            self._last = (key, PreparedSet(carry_out(images, landmarks), masks, landmarks))
        return self._last[1]

    def cases(self, spec: RunSpec, split: Split, wanted: tuple[int, ...]) -> Cases:
        """Return the preprocessed slices of one set, ascending by number."""
        all_of_them = self.prepared(spec, split)
        rows = np.isin(self.slices.slice_id, wanted)
        spacing = scaled_spacing(self.slices.spacing_mm, self.slices.shape, spec.shape)
        return Cases(
            all_of_them.images[rows], all_of_them.masks[rows], self.slices.slice_id[rows], spacing
        )


def run_grid(
    specs: Iterable[RunSpec], bench: PreparedData, options: RunOptions
) -> dict[str, RunState]:
    """Run every spec that is not done; return each run's state afterwards.

    A failing run is recorded and the rest goes on; a run that another process holds is left to it.
    Ctrl-C ends the grid at once and loses nothing but the epochs since the last checkpoint.
    """
    return {spec.run_id: run_one(spec, bench, options) for spec in specs}


def run_one(spec: RunSpec, bench: PreparedData, options: RunOptions) -> RunState:
    """Carry out one run under its lock and return its state."""
    folder = RunFolder(options.out, spec.run_id)
    if folder.state is RunState.DONE or folder.failed_since(options.retry_failures_before):
        options.on_state(spec, folder.state)
        return folder.state
    try:
        with folder.lock():
            if not (
                folder / run_folder.RESULT
            ).exists():  # another process may have ended it meanwhile
                options.on_begin(spec)
                try:
                    with _threads(folder, options):
                        _carry_out(spec, folder, bench, options)
                except Exception as error:
                    folder.fail(error, traceback.format_exc())
    except RunLockedError:
        options.on_state(spec, RunState.RUNNING)
        return RunState.RUNNING
    options.on_state(spec, folder.state)
    return folder.state


@contextlib.contextmanager
def _threads(folder: RunFolder, options: RunOptions) -> Iterator[None]:
    """Inside, as many threads as the folder's checkpoint was made with, where options say so."""
    import torch

    usual = torch.get_num_threads()
    begun = (
        folder.threads
        if options.keep_threads and (folder / run_folder.CHECKPOINT).exists()
        else None
    )
    if begun not in (None, usual):
        options.on_note(
            f"goes on with the {begun} threads that it was begun with; --threads overrules it"
        )
    torch.set_num_threads(begun or usual)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def _carry_out(spec: RunSpec, folder: RunFolder, bench: PreparedData, options: RunOptions) -> None:
    """Fit, predict, score and record."""
    import torch

    keep_freed_memory()
    switches = make_deterministic(options.device)
    environment = describe(options.device, torch.get_num_threads()) | switches
    resumed, why_not = folder.begin(spec, environment, RESUME_KEYS, bench.slices.phantom)
    if why_not:
        options.on_note(f"the checkpoint is dropped and the training starts over: {why_not}")
    split, entry = bench.splits[spec.split_id], bench.arms[spec.arm]
    arm = entry.load()(**spec.params)

    def on_epoch(history: list[dict[str, float]]) -> None:
        folder.write_history(history)
        options.on_epoch(spec, history)

    context = RunContext(
        recipe=spec.recipe,
        seed=spec.seed or 0,
        device=options.device,
        checkpoint=folder / run_folder.CHECKPOINT,
        checkpoint_every_seconds=options.checkpoint_every_seconds,
        on_epoch=on_epoch,
    )
    started = time.perf_counter()
    report: FitReport = arm.fit(
        bench.cases(spec, split, split.train), bench.cases(spec, split, split.val), context
    )
    fitted = time.perf_counter()
    predictions = _predict(arm, entry, spec, bench, split)
    predicted = time.perf_counter()
    scores = score(bench.slices, predictions, split.test)
    epochs = sum(row["seconds"] for row in report.history)
    timing = {
        "fit_seconds": epochs or fitted - started,
        "predict_seconds": predicted - fitted,
        "seconds_per_epoch": epochs / len(report.history) if report.history else None,
        "gpu_seconds": sum(row.get("gpu_seconds", 0.0) for row in report.history) or None,
        "resumed": resumed,
        "parameters": report.parameters,
        "train_gflop_per_image": report.train_gflop_per_image,
        **peak_mib(options.device),
    }
    slices = bench.slices
    dataset = {
        "slices": len(slices),
        "patients": len(set(slices.patient_id) - {None}),
        "phantom": slices.phantom,
    }
    folder.write_history(report.history)
    folder.finish(
        scores,
        predictions,
        timing,
        {
            "needs_click": entry.needs_click,
            "dataset": dataset,
            "fit": dict(report.facts),
            "test": summarise(scores),
        },
        _model(arm, spec, bench, split, options),
    )
    (folder / run_folder.CHECKPOINT).unlink(missing_ok=True)


def _model(
    arm: Any, spec: RunSpec, bench: PreparedData, split: Split, options: RunOptions
) -> bytes | None:
    """The file of what the arm learned; None where it is not asked for, or the arm cannot say
    it.
    """
    if not options.keep_models:
        return None
    if not isinstance(arm, Keepable):
        options.on_note(
            f"its model is not kept: arm {spec.arm} lacks the methods of benchmark.arm.Keepable"
        )
        return None
    if bench.arms[spec.arm].needs_click:
        options.on_note(
            f"its model is not kept: arm {spec.arm} needs a click, and predict gives none"
        )
        return None
    slices, landmarks = bench.slices, bench.prepared(spec, split).landmarks
    patients = {
        slices.patient_id[row] for row in np.flatnonzero(np.isin(slices.slice_id, split.train))
    }
    known = 0 if None in patients else len(patients)
    try:
        learned = ModelState(
            arm.state(), landmarks, slices.shape, slices.spacing_mm, len(split.train), known
        )
        return pack(learned, spec.arm)
    except ArmError as error:  # the training is worth more than its model
        options.on_note(f"its model is not kept: {error}")
        return None


def _predict(
    arm: Any, entry: ArmEntry, spec: RunSpec, bench: PreparedData, split: Split
) -> dict[int, NDArray[np.bool_]]:
    """Masks of the test slices at the slices' own size, whatever size the arm was fed."""
    test = bench.cases(spec, split, split.test)
    clicks = simulated_clicks(test.masks) if entry.needs_click else None
    maps = predict_checked(arm, test.images, clicks)
    masks: dict[int, NDArray[np.bool_]] = {}
    for first in range(0, len(test), MASKS_AT_ONCE):
        rows = slice(first, first + MASKS_AT_ONCE)
        full = binarise(upsample_probability(maps[rows], bench.slices.shape))
        masks.update(zip(test.slice_id[rows].tolist(), full, strict=True))
    return masks
