"""What an implementation is given, and what it gives back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from unittest.mock import patch

import torch
from torch import nn

from baselines.unet import UNetArm
from benchmark.arm import Cases, RunContext
from benchmark.protocol import Recipe
from benchmark.training.device import current
from benchmark.training.seeding import torch_seed

ALPHA = 0.5
SEED = 452669


@dataclass(frozen=True, eq=False)
class Job:
    """One implementation's turn; what it changes of the common job is in `IMPLEMENTATIONS`.

    target is the module with its `measure`; train and val are the slices of a round; workers are
    processes that load data, for those that use any; split: whether to find out where the time
    goes, in a pass of its own; changes: what is tried with the bare network; waiting: environment
    variables that say how threads wait, in place of this process's (None); copies are processes
    that train at once and share the threads, busy those of others that compute meanwhile;
    processor_time: whether seconds are those that the process was given, not the wall's.
    """

    target: str
    train: Cases
    val: Cases
    recipe: Recipe
    kernel_size: int = 5
    device: str = "cpu"
    threads: int = 1
    workers: int = 0
    split: bool = False
    changes: frozenset[str] = frozenset()
    waiting: Mapping[str, str] | None = None
    copies: int = 1
    busy: int = 0
    processor_time: bool = False

    @property
    def threads_each(self) -> int:
        """Of each copy."""
        return max(1, self.threads // self.copies)

    @property
    def context(self) -> RunContext:
        return RunContext(recipe=self.recipe, seed=SEED, device=self.device)

    def network(self) -> nn.Module:
        """Return MONAI's U-Net as the arm builds it, from the same seed for all."""
        torch.manual_seed(torch_seed(SEED, "weights"))
        return UNetArm(kernel_size=self.kernel_size).build(self.recipe.network)


@dataclass(frozen=True)
class Memory:
    """Greatest memory in MiB; None where it cannot be known.

    process is the training process, worker what the largest loading process has for itself, card
    what was allocated on the GPU.
    """

    process: float | None = None
    worker: float | None = None
    card: float | None = None


@dataclass(frozen=True)
class Measurement:
    """What one turn took; split: label -> ms per image (of "validation": per validation image)."""

    train_images: int
    train_seconds: float
    val_images: int
    val_seconds: float
    memory: Memory = field(default_factory=Memory)
    split: Mapping[str, float] = field(default_factory=dict)

    @property
    def images_per_second(self) -> float:
        """Of training alone, without validation."""
        return self.train_images / self.train_seconds


def carry_out(job: Job) -> object:
    """Let the job's target measure itself, with the job's share of the threads."""
    torch.set_num_threads(job.threads_each)
    clock = time.process_time if job.processor_time else time.perf_counter
    with current(job.device), patch.object(time, "perf_counter", clock):
        return import_module(job.target).measure(job)
