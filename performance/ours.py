"""The training of this repository, as every run of the benchmark does it."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

from torch import nn

from benchmark.training import loop, step
from benchmark.training.device import Resident
from benchmark.training.execution import Execution
from benchmark.training.losses import thesis_tversky
from benchmark.training.seeding import make_deterministic
from performance.clock import Clock, split
from performance.job import ALPHA, Job, Measurement
from performance.memory import peak


def measure(job: Job) -> Measurement:
    """Time the second epoch of `train_network`; training is what its validation, timed after it,
    leaves.
    """
    make_deterministic(job.device)
    model, clock = job.network(), Clock(job.device)
    how = loop.execution_for(model, job.train.shape, job.recipe, job.device)
    epoch_seconds = _last_epoch(job, model, 2, how)
    loss, look_at = thesis_tversky(ALPHA, job.recipe.loss), Resident.of(job.val, job.device)
    with clock("validation"):
        loop.validate(model, loss, look_at, job.context, how.images_per_look)
    val_seconds = clock.seconds["validation"]
    train_seconds = max(1e-9, epoch_seconds - val_seconds)
    found = Measurement(len(job.train), train_seconds, len(job.val), val_seconds, peak(job.device))
    return replace(found, split=_split(job, how)) if job.split else found


def _last_epoch(job: Job, model: nn.Module, epochs: int, how: Execution) -> float:
    """Train for some epochs; return the seconds of the last, its validation included."""
    recipe = replace(
        job.recipe, training=replace(job.recipe.training, max_epochs=epochs, patience=epochs)
    )
    context = replace(job.context, recipe=recipe)
    return loop.train_network(model, ALPHA, job.train, job.val, context, how).history[-1]["seconds"]


def _split(job: Job, how: Execution) -> dict[str, float]:
    """Listen to the training's own labels for an epoch; a captured graph has none inside, so
    without it.
    """
    clock = Clock(job.device)
    with patch.object(step, "record_function", clock), patch.object(loop, "record_function", clock):
        seconds = _last_epoch(job, job.network(), 1, replace(how, cuda_graph=False))
    return split(clock.seconds, seconds - clock.seconds["validation"], len(job.train), len(job.val))
