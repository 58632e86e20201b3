"""Where a run happened: versions, machine, git commit and dirtiness; and the memory it took."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "monai", "numpy", "scipy", "pandas", "nibabel", "pillow", "h5py",
            "scikit-image")  # fmt: skip
RESUME_KEYS = ("device_kind", "gpu", "processor", "torch", "monai", "numpy",
               "threads")  # bits agree only where these do  # fmt: skip
CODE = ("benchmark", "baselines", "reference_results", "constraints.txt")  # what a run depends on


def describe(device: str, threads: int | None = None) -> dict[str, object]:
    """Return the facts that could explain a difference between two runs."""
    facts: dict[str, object] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "device_kind": device.partition(":")[0],
        "threads": threads,
    }
    for name in (*PACKAGES, "meningioma-bench"):
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = None
    return facts | _gpu(device) | commit()


def _processor() -> str:
    """The processor's model name as Linux has it, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(
            line.partition(":")[2].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor()


def _gpu(device: str) -> dict[str, object]:
    if not device.startswith("cuda"):
        return {"gpu": None, "cuda": None, "cudnn": None}
    import torch

    return {
        "gpu": torch.cuda.get_device_name(device),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def commit() -> dict[str, object]:
    """The commit of the source tree this package runs from; None where it is not a git checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return {"git_commit": None, "git_dirty": None}
    head = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--", *CODE)
    return {"git_commit": head, "git_dirty": None if changed is None else bool(changed)}


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=root, capture_output=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None


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
