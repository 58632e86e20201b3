"""`python -m performance.operations`: which operations a training step's time goes to, and how near
each comes to what the machine can do.

It is the bare network's step (`performance.bare`). What counts is the time that its thread was
given, so that other work on the machine disturbs it little; each operation has the least of some
steps, as the peaks are the fastest of some repetitions.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from tabulate import tabulate
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmark.protocol import load_recipe
from benchmark.training.kept_memory import keep_freed_memory
from benchmark.training.layers import dropout_keys
from benchmark.training.seeding import make_deterministic
from performance import bare, peak
from performance.command import DATA_HELP, exit_code
from performance.job import SEED, Job
from performance.workload import prepare

Call = Callable[[], object]
COPIED_MIB = 256  # far beyond any cache


@dataclass
class Heard(TorchDispatchMode):
    """Inside, every operation's calls, seconds of its thread, FLOP and bytes add up.

    Bytes are those of all tensors given and returned; FLOP are of convolutions and products of
    matrices. layers: every shape of a convolution's weights is an operation of its own.
    """

    layers: bool = False
    calls: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    flop: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(
        self, call: Any, types: object, words: Any = (), named: Any = None
    ) -> Any:
        named = named or {}
        start = time.thread_time()
        result = call(*words, **named)
        seconds = time.thread_time() - start
        tensors = [leaf for leaf in tree_leaves((words, result)) if isinstance(leaf, torch.Tensor)]
        packet = call.overloadpacket
        name = packet.__name__
        if self.layers and name.startswith("convolution"):
            weight = words[2 if name.endswith("backward") else 1]
            name += " " + "x".join(map(str, weight.shape))
        count = flop_registry.get(packet, lambda *words, **named: 0)
        self.calls[name] += 1
        self.seconds[name] += seconds  # type: ignore[assignment]
        self.flop[name] += count(*words, **named, out_val=result)
        self.bytes[name] += sum(tensor.nbytes for tensor in tensors)
        return result


def heard(step: Call, repetitions: int, layers: bool = False) -> tuple[Heard, float]:
    """Return what is heard of a step, with the least seconds of each operation, and of a step.

    A step that is listened to is never one that is timed as a whole.
    """
    step()
    wholes, steps = [], []
    for _ in range(repetitions):
        start = time.thread_time()
        step()
        wholes.append(time.thread_time() - start)
        with Heard(layers) as listening:
            step()
        steps.append(listening)
    first = steps[0]
    for name in first.seconds:
        first.seconds[name] = min(each.seconds[name] for each in steps)
    return first, min(wholes)


def rows(parts: Heard, whole: float, images: int, best: float, most: int) -> list[list[str]]:
    """A row for each of the most costly operations, one for the others, one for the step.

    whole: seconds of a step; best: GFLOP/s that the machine reached.
    """
    table = []
    for name, seconds in parts.seconds.most_common(most):
        rate = parts.flop[name] / 1e9 / seconds
        table.append(
            [
                name,
                str(parts.calls[name]),
                f"{1000 * seconds / images:.2f}",
                f"{seconds / whole:.1%}",
                f"{rate:.0f}" if rate else "-",
                f"{rate / best:.0%}" if rate else "-",
                f"{parts.bytes[name] / 1e9 / seconds:.0f}" if not rate else "-",
            ]
        )
    left = whole - sum(float(row[2]) for row in table) * images / 1000
    rate = sum(parts.flop.values()) / 1e9 / whole
    table.append(["all others", "", f"{1000 * left / images:.2f}", f"{left / whole:.1%}", *"---"])
    table.append(
        ["a step", "", f"{1000 * whole / images:.2f}", "100%", f"{rate:.0f}", f"{rate / best:.0%}"]
    )
    return table


HEADS = "operation", "calls", "ms an image", "share", "GFLOP/s", "share of peak", "GB/s"


def bandwidth(repetitions: int = 8) -> float:
    """GB/s, read and written, of the fastest copy of `COPIED_MIB` on this thread."""
    source = torch.ones(COPIED_MIB * 2**20, dtype=torch.uint8)
    target, seconds = torch.empty_like(source), []
    for _ in range(repetitions):
        start = time.thread_time()
        target.copy_(source)
        seconds.append(time.thread_time() - start)
    return 2 * source.nbytes / 1e9 / min(seconds)


def step_of(job: Job) -> Call:
    """A call that learns from the job's training slices as from one batch, dropout on."""
    step = bare.step_for(job)
    step.model.train()
    keys = dropout_keys(step.model, SEED, 0, job.train.slice_id)
    arrays = [torch.from_numpy(array) for array in (job.train.images, job.train.masks, keys)]
    size, total = step.execution.images_per_pass, len(job.train)
    return lambda: step(zip(*(part.split(size) for part in arrays), strict=True), total)


def measure(options: argparse.Namespace) -> None:
    """Print the peaks and the table."""
    torch.set_num_threads(1)
    keep_freed_memory()
    make_deterministic("cpu")
    recipe = load_recipe("thesis", {})
    batch = recipe.training.batch_size
    work = prepare(options.data, options.image_size, batch, recipe)
    step = step_of(Job("", work.train, work.val, recipe, options.kernel))
    best = peak.measure(Job("", work.train, work.val, recipe, processor_time=True))
    parts, whole = heard(step, options.steps, options.layers)
    print(
        f"peak {best.gflop_per_second:.0f} GFLOP/s ({best.shape}), a copy {bandwidth():.0f} GB/s; "
        f"one thread, batch {batch}, least of {options.steps} steps\n"
    )
    table = rows(parts, whole, batch, best.gflop_per_second, options.most)
    print(tabulate(table, HEADS, tablefmt="github", disable_numparse=True))


def main(words: Sequence[str] | None = None) -> int:
    """Carry out the command; return its exit code: 0 well, 2 bad input."""
    top = argparse.ArgumentParser(prog="python -m performance.operations", description=__doc__)
    option = top.add_argument
    option("--data", help=DATA_HELP)
    option("--image-size", type=int, default=256, help="side in pixels (default: 256)")
    option("--kernel", type=int, default=3, help="kernel size of every convolution (default: 3)")
    option("--steps", type=int, default=8, help="steps of which the least counts (default: 8)")
    option("--layers", action="store_true", help="tell convolutions by their weights' shapes")
    option("--most", type=int, default=12, help="operations to name (default: 12)")
    options = top.parse_args(words)
    return exit_code(lambda: measure(options))


if __name__ == "__main__":
    sys.exit(main())
