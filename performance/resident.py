"""Timing a network alone: slices that lie on the device, unchanged from epoch to epoch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from performance.clock import Clock, split
from performance.job import Job, Measurement
from performance.memory import peak


def timed(
    job: Job,
    learn: Callable[[slice], object],
    look: Callable[[], object],
    listening: Callable[[Clock], AbstractContextManager[object]],
) -> Measurement:
    """Time an epoch of `learn`, called with the rows of each batch, then `look`, which validates.

    A batch and a look beforehand are not timed. Within `listening` the clock hears the
    labels, for the split.
    """
    size, n = job.recipe.training.batch_size, len(job.train)
    batches = [slice(first, first + size) for first in range(0, n, size)]

    def epoch(clock: Clock) -> None:
        with clock("training"):
            for rows in batches:
                learn(rows)

    learn(batches[0])
    look()
    clock = Clock(job.device)
    epoch(clock)
    with clock("validation"):
        look()
    found = Measurement(
        n, clock.seconds["training"], len(job.val), clock.seconds["validation"], peak(job.device)
    )
    if not job.split:
        return found
    heard = Clock(job.device)
    with listening(heard):
        epoch(heard)
    heard.seconds["validation"] = clock.seconds["validation"]
    return replace(found, split=split(heard.seconds, heard.seconds["training"], n, len(job.val)))
