"""Peak memory of a contestant: its own process, and what each loading process adds."""

from __future__ import annotations

import multiprocessing
import re
from pathlib import Path

from benchmark.runs.environment import peak_mib
from performance.job import Memory


def peak(device: str) -> Memory:
    """Return the peaks so far; call it while the loading processes are alive.

    On Linux a process's own peak is read from /proc, for `ru_maxrss` begins with what its
    parent had; a worker's is its peak without the pages that it shares.
    """
    known = peak_mib(device)
    workers = [_private_peak_mib(child.pid) for child in multiprocessing.active_children()]
    return Memory(
        process=_kib("self", "status", "VmHWM") or known["peak_process_mib"],
        worker=max((mib for mib in workers if mib is not None), default=None),
        card=known["peak_gpu_mib"],
    )


def resident() -> float | None:
    """What this process holds now, in MiB; None where Linux does not tell."""
    return _kib("self", "status", "VmRSS")


def _private_peak_mib(pid: int | None) -> float | None:
    """Peak of a process less the pages it shares now, in MiB."""
    found = [_kib(pid, "status", "VmHWM"), _kib(pid, "smaps_rollup", "Rss")]
    own = [_kib(pid, "smaps_rollup", f"Private_{kind}") for kind in ("Clean", "Dirty")]
    values = [value for value in (*found, *own) if value is not None]
    return values[0] - values[1] + values[2] + values[3] if len(values) == 4 else None


def _kib(pid: int | str | None, file: str, name: str) -> float | None:
    """A line `name: N kB` of a process's file, in MiB; None where there is none."""
    try:
        text = Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8")
    except OSError:
        return None
    line = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(line[1]) / 1024 if line else None
