"""`python -m performance`: runs the implementations in turn and prints how fast they train."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.devices import (
    give_workers_huge_pages,
    let_waiting_threads_sleep,
    usable_cores,
)
from benchmark.errors import SpecError
from benchmark.protocol import PRECISIONS, load_recipe
from performance.command import DATA_HELP, exit_code, shown
from performance.implementations import GROUPS, IMPLEMENTATIONS, MAIN, job_fields, legend

if TYPE_CHECKING:
    from performance.rounds import Run

RESULTS = Path(__file__).parent / "RESULTS.md"
IMAGES_ON_A_PROCESSOR = 48  # three batches; with the defaults a run at 512 x 512 takes minutes


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    names = "\n".join(f"  {name:20} {entry.what}" for name, entry in IMPLEMENTATIONS.items())
    groups = "\n".join(f"  {name:20} {', '.join(of)}" for name, of in GROUPS.items())
    beside = "what a reader of the thesis would write"
    description = f"Times this repository's training beside {beside}."
    top = argparse.ArgumentParser(
        prog="python -m performance",
        description=description,
        epilog=f"implementations:\n{names}\ngroups of them:\n{groups}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # a shortened --data would be published with its path
    )
    option = top.add_argument
    side = "side in pixels (default: the slices' own; of phantoms 512)"
    device = "auto (a CUDA card if there is one), cpu, cuda, cuda:1"
    threads = "processor threads of the training process (default: all cores)"
    workers = "loading processes of the peers; several, as 0,1,2: a row each (default: cores)"
    given = "count the time that the process was given: on one thread, fair beside other work"
    some = "some of them or groups, as ours,bare (default: the first five)"
    option("--data", help=DATA_HELP)
    option("--image-size", type=int, help=side)
    option("--kernel", type=int, default=5, help="kernel size of every convolution (default: 5)")
    option("--batch-size", type=int, default=16, help="images a step (default: 16)")
    option("--precision", choices=PRECISIONS, default="fp32", help="arithmetic (default: fp32)")
    option("--device", default="auto", help=device)
    option("--threads", type=int, help=threads)
    option("--workers", type=_numbers, help=workers)
    option("--busy", type=int, default=0, help="processes that compute beside (default: 0)")
    option("--processor-time", action="store_true", help=given)
    option("--rounds", type=int, default=3, help="turns of each implementation (default: 3)")
    option("--images", type=int, help="training images a turn times (default: 48; on a card all)")
    option("--implementations", "--contestants", type=_names, default=list(MAIN), help=some)
    option("--out", type=Path, default=RESULTS, help="file to add to (default: %(default)s)")
    option("--no-write", action="store_true", help="only print")
    return top


def measure(options: argparse.Namespace, command: str, run: Run | None = None) -> None:
    """Carry out one measurement and say, and write, what came of it; run: as in `main`."""
    from benchmark.training.loop import gflop_per_image
    from performance import process, report
    from performance.job import Job
    from performance.rounds import run_rounds
    from performance.workload import prepare

    for option in ("rounds", "threads", "images", "batch_size", "image_size"):
        value = getattr(options, option)
        if value is not None and value < 1:
            raise SpecError(f"--{option.replace('_', '-')} {value} must be a whole number above 0")
    if options.busy < 0:
        raise SpecError(f"--busy {options.busy} must be a whole number, 0 or above")
    device, cores = _device(options.device, options.precision), usable_cores()
    if options.processor_time and (device != "cpu" or options.threads != 1):
        raise SpecError("--processor-time needs --device cpu --threads 1: several threads add up")
    rows = job_fields(options.implementations, options.workers or (cores,))
    changes = {"training.batch_size": options.batch_size, "training.precision": options.precision}
    recipe, threads = load_recipe("thesis", changes), options.threads or cores
    images = options.images or (None if device.startswith("cuda") else IMAGES_ON_A_PROCESSOR)
    work = prepare(options.data, options.image_size, images, recipe)
    job = Job("", work.train, work.val, recipe, options.kernel, device, threads, busy=options.busy)
    job = replace(job, processor_time=options.processor_time)
    gflop = gflop_per_image(job.network(), job.train.shape)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    scores = run_rounds(job, rows, options.rounds, say, run or process.run)
    text = report.section(job, work, scores, gflop, command)
    print(f"{text}\n{legend(list(rows))}")
    if not options.no_write:
        report.append(options.out, text)
        print(f"\nadded to {options.out}")


def _device(asked: str, precision: str) -> str:
    """Return torch's name of a device; `SpecError` if it is not there or cannot compute so."""
    from benchmark.cli.devices import cards_seen

    cards = cards_seen(asked)
    device = ("cuda" if cards else "cpu") if asked == "auto" else asked
    if device == "cpu" and precision == "tf32":
        why = "on a processor it would be fp32 under another name"
        raise SpecError(f"--precision tf32 needs an NVIDIA card: {why}")
    return device


def _numbers(text: str) -> tuple[int, ...]:
    if not all(word.isdecimal() for word in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} must be whole numbers separated by commas")
    return tuple(int(word) for word in text.split(","))


def _names(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def main(words: list[str] | None = None, run: Run | None = None) -> int:
    """Carry out the command; return its exit code. run carries out a job: by default a process."""
    options = parser().parse_args(words)
    let_waiting_threads_sleep(os.environ)  # of all processes: as python -m benchmark sets it
    give_workers_huge_pages(os.environ)
    command = shown(sys.argv[1:] if words is None else words)
    return exit_code(lambda: measure(options, command, run))


if __name__ == "__main__":
    sys.exit(main())
