"""An arm held to its contract before it is run: by `arms --check`, and before a grid begins."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmark.arm import ArmEntry, Clicks, FitReport, FloatImages, ProbMaps, RunContext
from benchmark.arm_source import own_modules
from benchmark.cli.devices import WorkerDevice
from benchmark.data import phantoms
from benchmark.data.slices import check_sides
from benchmark.errors import ArmError, BenchmarkError, SpecError, brief, unknown_arm
from benchmark.planning.time_estimate import GUESSED_EPOCHS, span
from benchmark.protocol import Recipe, load_recipe, override
from benchmark.runs.environment import peak_mib
from benchmark.runs.spec import RunSpec
from benchmark.scoring.evaluate import predict_checked, simulated_clicks
from benchmark.splits.files import shipped
from benchmark.splits.split import Split

LIKE = "by-image-1"  # the shipped split whose training is estimated
PHANTOMS_OF_A_PATIENT = 4
IMAGES_ON_A_PROCESSOR = 4  # of a step: there an image takes as long among few as among many
GROSSLY = 0.05  # of a probability; rounding alone is a thousandth of that
WARM_SECONDS = 2.0  # a step that took less is measured again: the first one is slower


def check_cells(specs: Iterable[RunSpec], arms: Mapping[str, ArmEntry], device: str) -> list[str]:
    """Make the arm of every cell, and hold networks from outside to their contract; return notes.

    A network is asked once for each size and settings that it is built with, whatever its alpha.
    Raises `ArmError`, or the `SpecError` of an arm that refuses its parameters.
    """
    made: dict[tuple[object, ...], Any] = {}
    notes: dict[tuple[object, ...], tuple[str, ...]] = {}
    for spec in specs:
        entry, params = arms[spec.arm], sorted(spec.params.items())
        key = (spec.arm, *params)
        if key not in made:
            made[key] = _made(spec.arm, entry, spec.params)
        without_alpha = [(name, value) for name, value in params if name != "alpha"]
        built = (spec.arm, *without_alpha, spec.shape, spec.recipe.network)
        if entry.source is not None and built not in notes:
            notes[built] = _contract_notes(spec.arm, made[key], spec.shape, spec.recipe, device)
    return list(dict.fromkeys(note for found in notes.values() for note in found))


@dataclass(frozen=True)
class Trial:
    """What an arm did with train and val phantoms, and with others once it had learned."""

    spec: RunSpec
    train: int
    val: int
    report: FitReport
    fit_seconds: float
    predict_seconds: float


def check_arm(name: str, arms: Mapping[str, ArmEntry], side: int, worker: WorkerDevice) -> str:
    """Hold an arm with its default parameters to its contract and say what a training costs here.

    It learns from a few drawn phantoms of side x side pixels in one step of the thesis's protocol,
    and predicts some. Raises `ArmError` that names the arm, the breach and where in its code
    it is, and `SpecError` for an unknown arm or an illegal side.
    """
    import torch

    if name not in arms:
        raise SpecError(unknown_arm(name, arms))
    check_sides((side, side), "--image-size")
    torch.set_num_threads(worker.threads)
    entry, recipe = arms[name], load_recipe("thesis")
    params = entry.resolve({})
    arm, device = _made(name, entry, params), worker.device
    notes = _contract_notes(name, arm, (side, side), recipe, device)
    trial = _tried(name, entry, params, recipe, side, device)
    called = ", ".join(f"{key}={value}" for key, value in params.items())
    title = f"{name}{f' ({called})' if called else ''} keeps the contract of an arm."
    rows = _cost_rows(trial, worker)
    return "\n".join(
        [title, *(f"Note: {note}" for note in notes), tabulate(rows, tablefmt="plain")]
    )


def _made(name: str, entry: ArmEntry, params: Mapping[str, Any]) -> Any:
    """The arm with these parameters."""
    arm = entry.load()
    called = ", ".join(f"{key}={value!r}" for key, value in params.items())
    with _in_its_words(name, arm, f"{arm.__name__}({called})"):
        return arm(**params)


def _contract_notes(
    name: str, arm: Any, shape: tuple[int, int], recipe: Recipe, device: str
) -> tuple[str, ...]:
    """Hold a network arm to its contract where it will be trained; nothing for another kind."""
    from benchmark.network_arm import NetworkArm
    from benchmark.training.seeding import make_deterministic

    make_deterministic(device)
    if not isinstance(arm, NetworkArm):
        return ()
    with _in_its_words(name, type(arm), "check"):
        return arm.check(name, shape, recipe, device)


@contextlib.contextmanager
def _in_its_words(name: str, arm: type, doing: str) -> Iterator[None]:
    """Inside, what an arm's code raises becomes an `ArmError` that says where in it."""
    try:
        yield
    except SpecError:
        raise
    except BenchmarkError as error:
        raise ArmError(f"{error}{_place(error.__cause__, arm)}") from error
    except (Exception, SystemExit) as error:
        raise ArmError(f"{name}: {doing} failed: {brief(error)}{_place(error, arm)}") from error


def _place(error: BaseException | None, arm: type) -> str:
    """(file:line), the deepest in the arm's own code; "" where none of that was called."""
    if error is None:
        return ""
    own = {str(path) for path in own_modules(arm).values()}
    frames = traceback.extract_tb(error.__traceback__)
    here = [frame for frame in frames if str(Path(frame.filename).absolute()) in own]
    return f" ({here[-1].filename}:{here[-1].lineno})" if here else ""


def _tried(
    name: str, entry: ArmEntry, params: Mapping[str, Any], recipe: Recipe, side: int, device: str
) -> Trial:
    """Fit and predict on phantoms: on a card a whole batch; those to validate in proportion."""
    from benchmark.runs.prepared_data import PreparedData

    like, batch = shipped()[LIKE].split, recipe.training.batch_size
    batch = batch if device.startswith("cuda") else min(batch, IMAGES_ON_A_PROCESSOR)
    val = max(1, round(batch * len(like.val) / len(like.train)))
    patients = -(-(batch + val) // PHANTOMS_OF_A_PATIENT) + 1  # of the last all are predicted
    slices = phantoms.make(patients=patients, slices_per_patient=PHANTOMS_OF_A_PATIENT, size=side)
    numbers = tuple(slices.slice_id.tolist())
    predicted = numbers[-PHANTOMS_OF_A_PATIENT:]
    split = Split("check", numbers[:batch], numbers[batch : batch + val], predicted)
    identity = {"dataset_id": slices.dataset_id, "content_fingerprint": slices.fingerprint}
    spec = RunSpec(
        name, params, recipe, **identity, split_id=LIKE, split_fingerprint=like.fingerprint,
        shape=slices.shape, seed=None if entry.deterministic else 1,
    )  # fmt: skip
    data = PreparedData(slices, {}, {})
    learn_from, look_at, test = (
        data.cases(spec, split, part) for part in (split.train, split.val, split.test)
    )

    def fitted(epochs: int) -> tuple[Any, FitReport, float]:
        arm, short = _made(name, entry, params), {"training.max_epochs": epochs}
        context = RunContext(override(recipe, recipe.name, short), seed=1, device=device)
        began = time.perf_counter()
        with _in_its_words(name, type(arm), "fit"):
            report = _report(name, arm.fit(learn_from, look_at, context))
        return arm, report, time.perf_counter() - began

    arm, report, seconds = fitted(1)
    if report.history and report.history[-1]["seconds"] < WARM_SECONDS:
        arm, report, seconds = fitted(3)
    clicks = simulated_clicks(test.masks) if entry.needs_click else None
    began = time.perf_counter()
    with _in_its_words(name, type(arm), "predict"):
        maps = predict_checked(arm, test.images, clicks, name)
        predict_seconds = time.perf_counter() - began
        _check_again(name, entry, arm, maps, test.images, clicks)
    return Trial(spec, batch, val, report, seconds, predict_seconds)


def _check_again(
    name: str, entry: ArmEntry, arm: Any, maps: ProbMaps, images: FloatImages, clicks: Clicks | None
) -> None:
    """Raise `ArmError` where a map hangs on the other images, or on chance without seeds."""
    first = predict_checked(arm, images[:1], None if clicks is None else clicks[:1], name)
    if np.abs(first[0] - maps[0]).max() > GROSSLY:
        raise ArmError(
            f"{name}: predict() answers otherwise for an image alone than for the same image among "
            "others: leave out what is computed over all of them"
        )
    again = predict_checked(arm, images, clicks, name)
    if entry.deterministic and not np.array_equal(again, maps):
        raise ArmError(
            f"{name}: predict() gives other maps when it is asked again: leave out chance, or set "
            "deterministic = False and draw from the seed in fit's context"
        )


def _report(name: str, given: object) -> FitReport:
    """What `fit` gave, if it is what a run records."""
    if isinstance(given, FitReport) and all("seconds" in row for row in given.history):
        return given
    got = f"a {type(given).__name__}" + " without seconds" * isinstance(given, FitReport)
    rule = "must be a benchmark.arm.FitReport, with seconds in every row of its history"
    raise ArmError(f"{name}: fit() gave {got}; {rule}")


def _cost_rows(trial: Trial, worker: WorkerDevice) -> list[tuple[str, str]]:
    """What a training takes here, in words."""
    side, report, peak = trial.spec.shape[0], trial.report, peak_mib(worker.device)
    here = f"{worker.device}, {worker.threads} threads"
    process, card = peak["peak_process_mib"], peak["peak_gpu_mib"]
    memory = [f"{process / 1024:.1f} GiB of the process"] if process else []
    memory += [f"{card / 1024:.1f} GiB of the card"] if card else []
    known, at_once = ", ".join(memory) or "not known here", trial.spec.recipe.training.batch_size
    more = f" (a training: {at_once})" if report.history and at_once > trial.train else ""
    images = f"{trial.train} phantoms of {side} x {side} at once{more}"
    rows = [("memory", f"{known}, at the most, with {images}")]
    if not report.history:
        took = f"fit {span(trial.fit_seconds)} on these, predict {span(trial.predict_seconds)}"
        more = f"{PHANTOMS_OF_A_PATIENT} more ({here}); it trains by no epochs"
        return [*rows, ("time", f"{took} on {more}")]
    gflop = report.train_gflop_per_image
    counted = "not countable" if gflop is None else f"{gflop:.3g}, forward and backward"
    like, step = shipped()[LIKE].split, report.history[-1]["seconds"]
    epoch = step * len(like.train) / trial.train
    return [
        ("parameters", f"{report.parameters:,} ({report.parameters / 1e6:.2f} million)"),
        ("GFLOP an image", counted),
        *rows,
        ("a step", f"{span(step)} for {trial.train} images, {trial.val} more to validate ({here})"),
        (
            "an epoch",
            f"{span(epoch)} for {len(like.train)} images, {len(like.val)} to validate ({LIKE})",
        ),
        (
            "a training",
            f"about {span(epoch * GUESSED_EPOCHS)}, {GUESSED_EPOCHS:.0f} epochs assumed",
        ),
    ]
