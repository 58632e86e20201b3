"""How the processor cores and the CUDA cards of one machine are shared by workers. Imports no torch."""

from __future__ import annotations

import os
from pathlib import Path

QUOTA = Path("/sys").joinpath("fs", "cgroup", "cpu.max")  # of a container: "200000 100000" are two cores


def usable_cores(quota: Path = QUOTA) -> int:
    """The cores this process may use, at least 1: a batch system or a container grants fewer than there are."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        granted, period = quota.read_text(encoding="utf-8").split()
        return max(1, min(cores, int(granted) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or the word "max": no quota
        return cores


def allocate(workers: int, cells: int, cores: int, cards: int, device: str) -> list[tuple[str, int]]:
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
