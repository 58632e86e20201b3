"""Memory of the process: how much it took, and keeping what it freed.

glibc hands large blocks back to the kernel at every free, and a convolution's outputs are such
blocks: kept, they spare every training step from faulting its pages in anew.
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def keep_freed_memory() -> bool:
    """Ask glibc to keep what is freed; return whether it took. Elsewhere nothing happens."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return (
        mallopt is not None
        and mallopt(M_MMAP_MAX, 0) == 1
        and mallopt(M_TRIM_THRESHOLD, 2**31 - 1) == 1
    )


def peak_mib(device: str) -> dict[str, float | None]:
    """Greatest memory in MiB so far: of the process (None on Windows), and of the card on CUDA."""
    process = card = None
    if sys.platform != "win32":
        import resource

        unit = 2**20 if sys.platform == "darwin" else 2**10
        process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    if device.startswith("cuda"):
        import torch

        card = torch.cuda.max_memory_allocated(device) / 2**20
    return {"peak_process_mib": process, "peak_gpu_mib": card}
