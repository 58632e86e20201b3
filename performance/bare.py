"""The network with this repository's step and nothing else: resident slices, no augmentation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import torch
from torch import nn

from benchmark.training import step
from benchmark.training.device import Resident, on_device
from benchmark.training.layers import dropout_keys, replace_layers
from benchmark.training.loop import OPTIMISERS, execution_for, validate
from benchmark.training.losses import thesis_tversky
from benchmark.training.seeding import make_deterministic
from performance.clock import Clock
from performance.job import ALPHA, SEED, Job, Measurement
from performance.resident import timed


def step_for(job: Job) -> step.Step:
    """Return the step that a training has, on a network of its own, but for job.change."""
    recipe, device, model = job.recipe, job.device, job.network()
    per_pass = {"batch-at-once": recipe.training.batch_size, "pass-1": 1, "pass-4": 4}
    how = execution_for(model, job.train.shape, recipe, device)
    per_look = 16 if job.change == "look-16" else how.images_per_look
    how = replace(
        how, images_per_pass=per_pass.get(job.change, how.images_per_pass), images_per_look=per_look
    )
    ours = {"torch-dropout": nn.Dropout, "torch-prelu": nn.PReLU}
    replace_layers(model, [kind for change, kind in ours.items() if change != job.change]).to(
        device
    )
    if how.channels_last or job.change == "channels-last":
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if job.change == "compile":
        model = torch.compile(model, dynamic=False)  # type: ignore[assignment]
    loss, rate = thesis_tversky(ALPHA, recipe.loss), recipe.training.learning_rate
    fused = job.change != "plain-adam"
    optimiser = OPTIMISERS[recipe.training.optimiser](model.parameters(), lr=rate, fused=fused)
    return step.Step(model, loss, optimiser, recipe.training.precision, device, how)


def measure(job: Job) -> Measurement:
    """Time the same passes, dropout, loss and optimiser as a training has, but for job.change."""
    make_deterministic(job.device)
    one_step, device = step_for(job), job.device
    model, loss, how = one_step.model, one_step.loss, one_step.execution
    arrays = (job.train.images, job.train.masks, dropout_keys(model, SEED, 0, job.train.slice_id))
    resident, val = [on_device(array, device) for array in arrays], Resident.of(job.val, device)

    def learn(rows: slice) -> None:
        model.train()
        columns = [part[rows].split(how.images_per_pass) for part in resident]
        one_step(zip(*columns, strict=True), len(resident[0][rows]))

    @contextlib.contextmanager
    def listening(clock: Clock) -> Iterator[None]:
        """A captured graph has no labels inside, so without it."""
        plain = replace(how, cuda_graph=False)
        with (
            patch.object(step, "record_function", clock),
            patch.object(one_step, "execution", plain),
        ):
            yield

    return timed(
        job,
        learn,
        lambda: validate(model, loss, val, job.context, how.images_per_look),
        listening,
    )
