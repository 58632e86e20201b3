"""An implementation's own process: its memory, allocator and settings never reach the next."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from benchmark.cli.devices import HUGE_PAGES, WAITING_CHOICES
from performance.job import Job, Measurement, carry_out

BUSY = [sys.executable, "-c", "while True: pass"]


class ImplementationError(Exception):
    """An implementation could not finish; the message says why."""


def run(job: Job) -> Any:
    """Carry out a job in fresh processes, and return what it gives back.

    Raises `ImplementationError`. They hear no Ctrl-C, and end with this process's
    `KeyboardInterrupt`.
    """
    context = multiprocessing.get_context("spawn")
    with busy_processes(job.busy), ProcessPoolExecutor(job.copies, context) as pool:
        with surroundings(job):
            turns = [pool.submit(carry_out, job) for _ in range(job.copies)]
        try:
            results: list[Any] = [turn.result() for turn in turns]
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        except BrokenProcessPool:
            raise ImplementationError("its process died; was there memory enough?") from None
        except ModuleNotFoundError as error:
            why = f"{error.name} is not installed; `nox -s speed` installs it"
            raise ImplementationError(why) from None
        except Exception as error:
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ImplementationError(why) from None
    return results[0] if job.copies == 1 else together(results)


def together(turns: Sequence[Measurement]) -> Measurement:
    """Return one measurement of processes that ran at once: their images/s add up.

    Memory and split are the first's.
    """
    train, val = sum(turn.train_images for turn in turns), sum(turn.val_images for turn in turns)
    seconds = train / sum(turn.images_per_second for turn in turns)
    val_seconds = val / sum(turn.val_images / turn.val_seconds for turn in turns)
    return Measurement(train, seconds, val, val_seconds, turns[0].memory, turns[0].split)


@contextmanager
def surroundings(job: Job) -> Iterator[None]:
    """Inside, what a job's processes begin with: their environment, and a deaf ear to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with patch.dict(os.environ, {"OMP_NUM_THREADS": str(job.threads_each)}):
        if "small-pages" in job.changes:
            for name in HUGE_PAGES:
                os.environ.pop(name, None)
        if job.waiting is not None:
            for name in WAITING_CHOICES:
                os.environ.pop(name, None)
            os.environ.update(job.waiting)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """Inside, so many processes of one thread compute without end."""
    processes = [subprocess.Popen(BUSY, stderr=subprocess.DEVNULL) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
