"""Memory of an implementation: its own process, and what each loading process adds."""

from __future__ import annotations

import multiprocessing
import re
from pathlib import Path

from benchmark.runs.environment import peak_mib
from performance.job import Memory


def peak(device: str) -> Memory:
    """Return the peaks so far; call it while the loading processes are alive.

    On Linux a process's own peak is read from /proc, for `ru_maxrss` begins with what its parent
    had; a worker's is its peak without the pages that it shares.
    """
    known = peak_mib(device)
    workers = [private_peak(worker.pid) for worker in multiprocessing.active_children()]
    return Memory(
        process=kernel_mib("self", "status", "VmHWM") or known["peak_process_mib"],
        worker=max((mib for mib in workers if mib is not None), default=None),
        card=known["peak_gpu_mib"],
    )


def private_peak(pid: int | None) -> float | None:
    """Peak of a process less the pages it shares now, in MiB; None where it is not known."""
    highest, now = kernel_mib(pid, "status", "VmHWM"), kernel_mib(pid, "smaps_rollup", "Rss")
    own = [kernel_mib(pid, "smaps_rollup", f"Private_{kind}") for kind in ("Clean", "Dirty")]
    if highest is None or now is None or None in own:
        return None
    return highest - now + sum(mib for mib in own if mib)


def kernel_mib(pid: int | str | None, file: str, name: str) -> float | None:
    """A line `name: N kB` of a process's file in /proc, in MiB; None where there is none."""
    try:
        text = Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8")
    except OSError:
        return None
    line = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(line[1]) / 1024 if line else None
