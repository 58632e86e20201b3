"""The machine's measured peak: the best GFLOP/s of a few large matrix products and convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from benchmark.training.step import tf32
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


Shape = tuple[int, int, int, int]
"""Of a convolution, as in `CONVOLUTIONS`."""
Work = tuple[str, float, Callable[[], object]]
"""The name of a shape, its GFLOP, and the work itself."""


def measure(
    job: Job,
    sides: Mapping[str, Sequence[int]] = MATRICES,
    convolutions: Sequence[Shape] = CONVOLUTIONS,
    seconds: float = SECONDS_PER_SHAPE,
) -> Peak:
    """Return the best of all shapes on the job's device, in its precision; sides by kind of
    device.
    """
    precision, device = job.recipe.training.precision, job.device
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    with torch.inference_mode(), tf32(precision == "tf32"):
        return best(
            works(device, dtype, sides[_kind(device)], convolutions), Clock(device).now, seconds
        )


def best(shapes: Iterable[Work], now: Callable[[], float], seconds: float) -> Peak:
    """Return the best of some shapes; of each, the fastest of the repetitions that begin within its
    seconds.
    """
    peak = Peak(0.0, "none")
    for shape, gflop, work in shapes:
        work()
        fastest, until = float("inf"), now() + seconds
        while (start := now()) < until:
            work()
            fastest = min(fastest, now() - start)
        peak = max(peak, Peak(gflop / fastest, shape), key=lambda peak: peak.gflop_per_second)
    return peak


def works(
    device: str, dtype: torch.dtype, sides: Iterable[int], convolutions: Iterable[Shape]
) -> Iterator[Work]:
    """Yield the products of square matrices of these sides, then the convolutions, each in both
    memory layouts.
    """
    for side in sides:
        a, b = torch.randn(2, side, side, dtype=dtype, device=device)
        yield f"matrix product {side}", 2 * side**3 / 1e9, lambda a=a, b=b: a @ b  # type: ignore[misc]
    for few, channels, side, kernel in convolutions:
        images = few * (LARGER_ON_CUDA if _kind(device) == "cuda" else 1)
        x = torch.randn(images, channels, side, side, dtype=dtype, device=device)
        w = torch.randn(channels, channels, kernel, kernel, dtype=dtype, device=device)
        gflop = 2 * images * channels**2 * kernel**2 * side**2 / 1e9
        for order in (torch.contiguous_format, torch.channels_last):
            x, w = x.contiguous(memory_format=order), w.contiguous(memory_format=order)
            name = (
                f"convolution {channels} to {channels}, {kernel}x{kernel}, {images} x {side}x{side}"
            )
            name += ", channels last" if order is torch.channels_last else ""
            yield name, gflop, lambda x=x, w=w, pad=kernel // 2: F.conv2d(x, w, padding=pad)  # type: ignore[misc]


def _kind(device: str) -> str:
    return device.partition(":")[0]
