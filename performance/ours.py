"""The training of this repository, as every run of the benchmark does it."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

from torch import nn

from benchmark.training import loop, step
from benchmark.training.device import Resident
from benchmark.training.execution import Execution
from benchmark.training.kept_memory import keep_freed_memory
from benchmark.training.losses import thesis_tversky
from benchmark.training.seeding import make_deterministic
from performance.clock import Clock, split
from performance.job import ALPHA, Job, Measurement
from performance.memory import peak


def measure(job: Job) -> Measurement:
    """Time the second epoch of `train_network`; training is what its validation, timed after it,
    leaves.
    """
    keep_freed_memory()
    make_deterministic(job.device)
    model, clock, n, m = job.network(), Clock(job.device), len(job.train), len(job.val)
    how = loop.execution_for(model, job.train.shape, job.recipe, job.device)
    epoch_seconds = _last_epoch(job, model, 2, how)
    loss, val = thesis_tversky(ALPHA, job.recipe.loss), Resident.of(job.val, job.device)
    with clock("validation"):
        loop.validate(model, loss, val, job.context, how.images_per_look)
    val_seconds = clock.seconds["validation"]
    train_seconds = max(1e-9, epoch_seconds - val_seconds)
    result = Measurement(n, train_seconds, m, val_seconds, peak(job.device))
    if not job.split:
        return result
    heard, plain = Clock(job.device), replace(how, cuda_graph=False)  # a graph has no labels inside
    with patch.object(step, "record_function", heard), patch.object(loop, "record_function", heard):
        seconds = _last_epoch(job, job.network(), 1, plain) - heard.seconds["validation"]
    return replace(result, split=split(heard.seconds, seconds, n, m))


def _last_epoch(job: Job, model: nn.Module, epochs: int, how: Execution) -> float:
    """Train for some epochs; return the seconds of the last, its validation included."""
    training = replace(job.recipe.training, max_epochs=epochs, patience=epochs)
    context = replace(job.context, recipe=replace(job.recipe, training=training))
    return loop.train_network(model, ALPHA, job.train, job.val, context, how).history[-1]["seconds"]
