"""Named random streams from one root seed, and the determinism switches.

Every stream is counter-based (numpy's Philox): a draw is a pure function of (seed, name,
epoch, index), so nothing depends on what was drawn before, and a resumed run needs no saved
generator state.
"""

from __future__ import annotations

import os

import numpy as np

STREAMS = {"weights": 1, "order": 2, "dropout": 3, "affine": 4, "elastic": 5, "motion": 6}
STREAMS |= {"bias": 7, "intensity": 8, "noise": 9, "other": 10}  # other: a network's own layers


def generator(seed: int, stream: str, epoch: int = 0, index: int = 0) -> np.random.Generator:
    """Return a named stream's generator at (epoch, index); index is a slice number or step."""
    key = np.array([seed, STREAMS[stream]], dtype=np.uint64)
    counter = np.array([0, 0, index, epoch], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def torch_seed(seed: int, stream: str, epoch: int = 0, index: int = 0) -> int:
    """Return a 63-bit seed for torch's own generator, from one named stream."""
    return int(generator(seed, stream, epoch, index).integers(0, 2**63 - 1))


def epoch_order(seed: int, epoch: int, n: int) -> np.ndarray:
    """Return the (n,) order in which an epoch visits training slices: the same in every cell."""
    return generator(seed, "order", epoch).permutation(n)


def make_deterministic(device: str) -> dict[str, bool | str]:
    """Ask torch for deterministic algorithms and report which switches took.

    Call before the first CUDA call: cuBLAS reads its workspace setting once.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.use_deterministic_algorithms(True)
    # filling costs a pass over every output; we read no memory that was not written
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    workspace = os.environ["CUBLAS_WORKSPACE_CONFIG"]
    return {
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cublas_workspace": workspace if device.startswith("cuda") else "not used",
    }
