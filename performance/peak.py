"""The machine's measured peak: the best GFLOP/s of a few large matrix products and convolutions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from benchmark.step import tf32
from performance.clock import Clock
from performance.job import Job

SECONDS_PER_SHAPE = 0.4
MATRICES = {"cpu": (1024, 2048), "cuda": (4096, 8192)}  # sides
CONVOLUTIONS = (  # images, channels in and out, side, kernel: forward, as a U-Net's wide layers
    (2, 64, 128, 3),
    (2, 64, 128, 5),
    (2, 128, 64, 5),
    (4, 256, 32, 3),
)
LARGER_ON_CUDA = 16  # times as many images


@dataclass(frozen=True)
class Peak:
    """shape names the product or convolution that reached it."""

    gflop_per_second: float
    shape: str


def measure(job: Job) -> Peak:
    """Return the best of all shapes; of each, the fastest of the repetitions that fit its time."""
    precision, device = job.recipe.training.precision, job.device
    clock, best = Clock(device), Peak(0.0, "none")
    with torch.inference_mode(), tf32(precision == "tf32"):
        for shape, gflop, work in _works(device, torch.bfloat16 if precision == "bf16" else torch.float32):
            work()
            until, fastest = time.perf_counter() + SECONDS_PER_SHAPE, float("inf")
            while time.perf_counter() < until:
                start = clock.now()
                work()
                fastest = min(fastest, clock.now() - start)
            best = max(best, Peak(gflop / fastest, shape), key=lambda peak: peak.gflop_per_second)
    return best


def _works(device: str, dtype: torch.dtype) -> Iterator[tuple[str, float, Callable[[], torch.Tensor]]]:
    """Yield name, GFLOP and the work itself."""
    kind = device.partition(":")[0]
    for side in MATRICES[kind]:
        a, b = torch.randn(2, side, side, dtype=dtype, device=device)
        yield f"matrix product {side}", 2 * side**3 / 1e9, lambda a=a, b=b: a @ b  # type: ignore[misc]
    for few, channels, side, kernel in CONVOLUTIONS:
        images = few * (LARGER_ON_CUDA if kind == "cuda" else 1)
        x = torch.randn(images, channels, side, side, dtype=dtype, device=device)
        w = torch.randn(channels, channels, kernel, kernel, dtype=dtype, device=device)
        gflop = 2 * images * channels**2 * kernel**2 * side**2 / 1e9
        for order in (torch.contiguous_format, torch.channels_last):
            x, w = x.contiguous(memory_format=order), w.contiguous(memory_format=order)
            name = f"convolution {channels} to {channels}, {kernel}x{kernel}, {images} x {side}x{side}"
            name += ", channels last" if order is torch.channels_last else ""
            yield name, gflop, lambda x=x, w=w, pad=kernel // 2: F.conv2d(x, w, padding=pad)  # type: ignore[misc]
