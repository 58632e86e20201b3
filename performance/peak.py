"""The machine's measured peak: the best GFLOP/s of a few large matrix products and convolutions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch.utils.benchmark import Timer, timer
from torch.utils.flop_counter import FlopCounterMode

from benchmark.training.step import tf32
from performance.job import Job

SECONDS_PER_SHAPE = 0.4
MATRICES, MATRICES_ON_CUDA = (1024, 2048), (4096, 8192)  # sides
CONVOLUTIONS = ((2, 64, 128, 3), (2, 64, 128, 5), (2, 128, 64, 5), (4, 256, 32, 3))
LARGER_ON_CUDA = 16  # times as many images
LAYOUTS = {torch.contiguous_format: "", torch.channels_last: ", channels last"}

Shape = tuple[int, int, int, int]
"""Of a convolution, as a U-Net's wide layers: images, channels in and out, side, kernel."""
Work = tuple[str, Callable[[], object]]
"""The name of a shape and the work itself."""


class Peak(NamedTuple):
    """shape names the product or convolution that reached it."""

    gflop_per_second: float
    shape: str


def measure(job: Job, seconds: float = SECONDS_PER_SHAPE) -> Peak:
    """Return the fastest repetition of the best shape on the job's device, in its precision."""
    precision, device = job.recipe.training.precision, job.device
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    sides = MATRICES_ON_CUDA if device.startswith("cuda") else MATRICES
    with torch.inference_mode(), tf32(precision == "tf32"):
        clock = time.process_time if job.processor_time else timer
        return best(works(device, dtype, sides, CONVOLUTIONS), seconds, clock)


def best(shapes: Iterable[Work], seconds: float, clock: Callable[[], float] = timer) -> Peak:
    """Return the best of some shapes, each repeated for so many seconds; torch counts and times.

    clock: seconds on a clock that only rises, by default torch's, which waits for a card.
    """
    peaks = []
    for shape, work in shapes:
        with FlopCounterMode(display=False) as counter:
            work()
        threads = torch.get_num_threads()
        timed = Timer("work()", timer=clock, globals={"work": work}, num_threads=threads)
        fastest = min(timed.blocked_autorange(min_run_time=seconds).times)
        peaks.append(Peak(counter.get_total_flops() / 1e9 / fastest, shape))
    return max(peaks)


def works(
    device: str, dtype: torch.dtype, sides: Sequence[int], convolutions: Sequence[Shape]
) -> Iterator[Work]:
    """Yield products of square matrices of these sides, then convolutions in both layouts."""
    for side in sides:
        a, b = torch.randn(2, side, side, dtype=dtype, device=device)
        yield f"matrix product {side}", lambda a=a, b=b: a @ b  # type: ignore[misc]
    for few, channels, side, kernel in convolutions:
        images = few * (LARGER_ON_CUDA if device.startswith("cuda") else 1)
        x = torch.randn(images, channels, side, side, dtype=dtype, device=device)
        w = torch.randn(channels, channels, kernel, kernel, dtype=dtype, device=device)
        name = f"convolution {channels} to {channels}, {kernel}x{kernel}, {images} x {side}x{side}"
        for layout, order in LAYOUTS.items():
            x, w = x.contiguous(memory_format=layout), w.contiguous(memory_format=layout)
            yield name + order, lambda x=x, w=w, pad=kernel // 2: F.conv2d(x, w, padding=pad)  # type: ignore[misc]
