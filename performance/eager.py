"""The network as MONAI and PyTorch have it: a whole batch at once, torch's own dropout, resident
slices.

What the bare network is faster by, this repository's step gives.
"""

from __future__ import annotations

from unittest.mock import patch

from torch.profiler import record_function

from benchmark.training.device import Resident, on_device
from benchmark.training.loop import OPTIMISERS, validate
from benchmark.training.losses import thesis_tversky
from benchmark.training.step import autocast, tf32
from performance.job import ALPHA, Job, Measurement
from performance.resident import timed


def measure(job: Job) -> Measurement:
    """Time forward, backward and optimiser step of whole batches."""
    training, device = job.recipe.training, job.device
    model, loss = job.network().to(device), thesis_tversky(ALPHA, job.recipe.loss)
    optimiser = OPTIMISERS[training.optimiser](model.parameters(), lr=training.learning_rate)
    images, masks = (
        on_device(job.train.images, device)[:, None],
        on_device(job.train.masks, device)[:, None],
    )
    val = Resident.of(job.val, device)

    def learn(rows: slice) -> None:
        model.train()
        optimiser.zero_grad()
        with tf32(training.precision == "tf32"):
            with record_function("forward"):
                with autocast(training.precision, device):
                    logits = model(images[rows])
                value = loss(logits.float(), masks[rows].float())
            with record_function("backward"):
                value.backward()
        with record_function("step"):
            optimiser.step()

    return timed(
        job,
        learn,
        lambda: validate(model, loss, val, job.context, training.batch_size),
        lambda clock: patch(f"{__name__}.record_function", clock),
    )
