"""The network with this repository's step and nothing else: resident slices, no augmentation."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import torch
from torch import nn

from benchmark.training import step
from benchmark.training.device import Resident, on_device
from benchmark.training.execution import Execution
from benchmark.training.kept_memory import keep_freed_memory
from benchmark.training.layers import dropout_keys, replace_layers
from benchmark.training.loop import OPTIMISERS, execution_for, validate
from benchmark.training.losses import thesis_tversky
from benchmark.training.seeding import make_deterministic
from performance.clock import Clock, split
from performance.job import ALPHA, SEED, Job, Measurement
from performance.memory import peak


def step_for(job: Job) -> step.Step:
    """Return the step that a training has, on a network of its own, but for job.changes."""
    recipe, device, model = job.recipe, job.device, job.network()
    batch = recipe.training.batch_size
    how = execution_for(model, job.train.shape, recipe, device)
    for change, images in {"batch-at-once": batch, "pass-1": 1, "pass-4": 4}.items():
        how = replace(how, images_per_pass=images) if change in job.changes else how
    how = replace(how, images_per_look=16) if "look-16" in job.changes else how
    how = Execution(batch, batch) if "eager" in job.changes else how
    ours = {
        "torch-dropout": nn.Dropout,
        "torch-prelu": nn.PReLU,
        "torch-norm": nn.InstanceNorm2d,
    }
    replace_layers(model, [kind for change, kind in ours.items() if change not in job.changes])
    model.to(device)
    if how.channels_last or "channels-last" in job.changes:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if "compile" in job.changes:
        model = torch.compile(model, dynamic=False)  # type: ignore[assignment]
    rate, fused = recipe.training.learning_rate, "plain-adam" not in job.changes
    optimiser = OPTIMISERS[recipe.training.optimiser](model.parameters(), lr=rate, fused=fused)
    loss = thesis_tversky(ALPHA, recipe.loss)
    return step.Step(model, loss, optimiser, recipe.training.precision, device, how)


def measure(job: Job) -> Measurement:
    """Time an epoch of the passes, dropout, loss and optimiser of a training, then validation.

    But for job.changes. A batch and a validation beforehand are not timed.
    """
    if "free-memory" not in job.changes:
        keep_freed_memory()
    if "eager" not in job.changes:
        make_deterministic(job.device)
    bare_step, device = step_for(job), job.device
    model, loss, how = bare_step.model, bare_step.loss, bare_step.execution
    keys = dropout_keys(model, SEED, 0, job.train.slice_id)
    train = [on_device(array, device) for array in (job.train.images, job.train.masks, keys)]
    val = Resident.of(job.val, device)
    size, n = job.recipe.training.batch_size, len(job.train)

    def train_on(batches: range, clock: Clock) -> None:
        with clock("training"):
            model.train()
            for first in batches:
                passes = [part[first : first + size].split(how.images_per_pass) for part in train]
                bare_step(zip(*passes, strict=True), min(size, n - first))

    def look(clock: Clock) -> None:
        with clock("validation"):
            validate(model, loss, val, job.context, how.images_per_look)

    warm, clock = Clock(device), Clock(device)
    train_on(range(1), warm)
    look(warm)
    train_on(range(0, n, size), clock)
    look(clock)
    seconds, val_seconds = clock.seconds["training"], clock.seconds["validation"]
    result = Measurement(n, seconds, len(job.val), val_seconds, peak(device))
    if not job.split:
        return result
    heard, plain = Clock(device), replace(how, cuda_graph=False)  # a graph has no labels inside
    with patch.object(step, "record_function", heard), patch.object(bare_step, "execution", plain):
        train_on(range(0, n, size), heard)
    heard.seconds["validation"] = val_seconds
    return replace(result, split=split(heard.seconds, heard.seconds["training"], n, len(job.val)))
