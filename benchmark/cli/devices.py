"""How workers share the processor cores and the CUDA cards of a machine. torch only if asked."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import SpecError

# How OpenMP's threads wait for each other. GNU's spin for milliseconds, so that one busy process
# beside a training stops it almost altogether; these look about 2,000 times and then sleep. LLVM's
# know the second variable alone.
WAITING = {"GOMP_SPINCOUNT": "2000", "OMP_WAIT_POLICY": "PASSIVE"}
# glibc asks for pages of 2 MiB where the kernel gives them to those who ask (madvise)
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
WAITING_CHOICES = (*WAITING, "KMP_BLOCKTIME")
# here and below two processes of one thread were never slower than one of two, on two cores
SMALL_SIDE = 256
WORTH_SECONDS = 60.0  # starting a second process takes some seconds of these
# of a container: "200000 100000" are two cores
QUOTA = Path("/sys").joinpath("fs", "cgroup", "cpu.max")


class WorkerDevice(NamedTuple):
    """What a worker computes on: cpu, or a card such as cuda:0, and its processor threads."""

    device: str
    threads: int


def usable_cores(quota: Path = QUOTA) -> int:
    """Cores this process may use, at least 1; a batch system or container may grant few of all.

    Slurm says how many in SLURM_CPUS_PER_TASK, and need not bind a task to them.
    """
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    granted_by_slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if granted_by_slurm.isdecimal():
        cores = max(1, min(cores, int(granted_by_slurm)))
    try:
        granted, period = quota.read_text(encoding="utf-8").split()
        return max(1, min(cores, int(granted) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or the word "max": no quota
        return cores


def let_waiting_threads_sleep(variables: MutableMapping[str, str]) -> None:
    """Set `WAITING` among environment variables, unless the user set one of `WAITING_CHOICES`.

    Must happen before torch is loaded: OpenMP reads the variables then, once. `python -m
    performance --implementations waiting` measures what it brings.
    """
    if not any(name in variables for name in WAITING_CHOICES):
        variables.update(WAITING)


def give_workers_huge_pages(variables: MutableMapping[str, str]) -> None:
    """Set `HUGE_PAGES` among environment variables, unless the user set that one.

    glibc reads it as a process starts, so it reaches the processes that this one starts, not this
    one. `python -m performance --implementations bare,bare:small-pages` measures what it brings.
    """
    for name, value in HUGE_PAGES.items():
        variables.setdefault(name, value)


def cards_seen(device: str) -> int:
    """How many CUDA cards PyTorch sees, 0 where none is asked for.

    Raises `SpecError` for a device that is not there.
    """
    if device == "cpu":
        return 0
    import torch

    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto" or (cards and device in ("cuda", *(f"cuda:{i}" for i in range(cards)))):
        return cards
    if device.startswith("cuda") and not cards:
        raise SpecError(
            f"--device {device}: PyTorch sees no CUDA card here; "
            "use --device cpu, or install a CUDA build"
        )
    raise SpecError(
        f"--device {device}: must be auto, cpu, "
        f"or one of the {cards} CUDA cards that PyTorch sees here"
    )


def workers_that_pay(side: int, cells: int, seconds: float, cores: int, cards: int) -> int:
    """How many processes should share a grid unless the user says: 2 where measured to pay, else 1.

    side: of the images that arms are given, in pixels; cells: of the whole grid, and seconds: what
    they are likely to take, done or not, so that a grid that is gone on with keeps its workers,
    unless what was learnt meanwhile moves the estimate across `WORTH_SECONDS`. A training that was
    begun keeps its threads in any case.
    """
    on_cores_alone = cards == 0 and cores % 2 == 0
    pays = on_cores_alone and cells > 1 and side <= SMALL_SIDE and seconds > WORTH_SECONDS
    return 2 if pays else 1


def allocate(workers: int, cells: int, cores: int, cards: int, device: str) -> list[WorkerDevice]:
    """Return each worker's device and threads; never more workers than cells.

    Every worker has the same number of threads, so a cell has the same bits whichever takes
    it. device is auto, cpu, cuda (both auto and cuda go round the cards) or one card, cuda:N.

    >>> [worker.device for worker in allocate(3, 108, cores=16, cards=2, device="auto")]
    ['cuda:0', 'cuda:1', 'cuda:0']
    """
    count = min(workers, cells)
    threads = max(1, cores // max(1, count))
    if cards and device in ("auto", "cuda"):
        return [WorkerDevice(f"cuda:{i % cards}", threads) for i in range(count)]
    return [WorkerDevice("cpu" if device == "auto" else device, threads)] * count
