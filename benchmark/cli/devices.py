"""How the processor cores and the CUDA cards of one machine are shared by workers. Imports no
torch.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

# How OpenMP's threads wait for each other. GNU's spin for milliseconds, so that one busy process
# beside a training stops it almost altogether; these look about 2,000 times and then sleep. LLVM's
# know the second variable alone.
WAITING = {"GOMP_SPINCOUNT": "2000", "OMP_WAIT_POLICY": "PASSIVE"}
WAITING_CHOICES = (*WAITING, "KMP_BLOCKTIME")
SMALL_SIDE = 256  # here and below two processes of one thread were never slower than one of two, measured on two cores
WORTH_SECONDS = 60.0  # starting a second process takes some seconds of these
QUOTA = Path("/sys").joinpath(
    "fs", "cgroup", "cpu.max"
)  # of a container: "200000 100000" are two cores


def usable_cores(quota: Path = QUOTA) -> int:
    """The cores this process may use, at least 1: a batch system or a container grants fewer than
    there are.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        granted, period = quota.read_text(encoding="utf-8").split()
        return max(1, min(cores, int(granted) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or the word "max": no quota
        return cores


def let_waiting_threads_sleep(variables: MutableMapping[str, str]) -> None:
    """Set `WAITING` among environment variables, unless one of `WAITING_CHOICES` says that the user
    chose.

    Must happen before torch is loaded: OpenMP reads the variables then, once. `python -m
    performance --implementations waiting` measures what it brings.
    """
    if not any(name in variables for name in WAITING_CHOICES):
        variables.update(WAITING)


def workers_that_pay(side: int, cells: int, seconds: float, cores: int, cards: int) -> int:
    """How many processes should share a grid where the user does not say: 2 where that was measured
    to pay, else 1.

    side: of the images that arms are given, in pixels; cells: of the whole grid, and seconds: what
    they are likely to take, done or not, so that a grid that is gone on with keeps its workers,
    unless what was learnt meanwhile moves the estimate across `WORTH_SECONDS`. A training that was
    begun keeps its threads in any case.
    """
    return (
        2
        if cards == 0
        and cores % 2 == 0
        and cells > 1
        and side <= SMALL_SIDE
        and seconds > WORTH_SECONDS
        else 1
    )


def allocate(
    workers: int, cells: int, cores: int, cards: int, device: str
) -> list[tuple[str, int]]:
    """Return each worker's device and threads; never more workers than cells.

    Every worker has the same number of threads, so a cell has the same bits whichever takes
    it. device is auto, cpu, cuda (both auto and cuda go round the cards) or one card, cuda:N.

    >>> allocate(3, 108, cores=16, cards=2, device="auto")
    [('cuda:0', 5), ('cuda:1', 5), ('cuda:0', 5)]
    """
    team = range(min(workers, cells))
    threads = max(1, cores // max(1, len(team)))
    if cards and device in ("auto", "cuda"):
        return [(f"cuda:{i % cards}", threads) for i in team]
    return [("cpu" if device == "auto" else device, threads) for _ in team]
