"""`python -m performance`: runs the contestants in turn and prints how fast they train."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.devices import let_waiting_threads_sleep, usable_cores
from benchmark.data import WORDS
from benchmark.errors import BenchmarkError, SpecError, known
from benchmark.protocol import PRECISIONS, load_recipe
from performance.contestants import CONTESTANTS, MAIN, entrants

if TYPE_CHECKING:
    from performance.rounds import Run

RESULTS = Path(__file__).parent / "RESULTS.md"
IMAGES_ON_A_PROCESSOR = 48  # three batches; with the defaults a run at 512 x 512 takes minutes
PATHS = {"--data": "slices", "--out": "results"}  # options and what lies there
KNOWN = "\n".join(f"  {name:18} {one.what}" for name, one in CONTESTANTS.items())


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    top = argparse.ArgumentParser(
        prog="python -m performance",
        description="Times this repository's training beside what a reader of the thesis would write.",
        epilog=f"contestants:\n{KNOWN}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # a shortened --data would be published with its path
    )
    top.add_argument(
        "--data",
        help="slices, as for python -m benchmark (default: the same; phantoms where none are)",
    )
    top.add_argument(
        "--image-size", type=int, help="side in pixels (default: the slices' own; of phantoms 512)"
    )
    top.add_argument(
        "--kernel", type=int, default=5, help="kernel size of every convolution (default: 5)"
    )
    top.add_argument("--batch-size", type=int, default=16, help="images a step (default: 16)")
    top.add_argument(
        "--precision", choices=PRECISIONS, default="fp32", help="arithmetic (default: fp32)"
    )
    top.add_argument(
        "--device", default="auto", help="auto (a CUDA card if there is one), cpu, cuda, cuda:1"
    )
    top.add_argument(
        "--threads", type=int, help="processor threads of the training process (default: all cores)"
    )
    top.add_argument(
        "--workers",
        type=_numbers,
        help="loading processes of the peers; several, as 0,1,2: a row each (default: cores)",
    )
    top.add_argument("--rounds", type=int, default=3, help="turns of each contestant (default: 3)")
    top.add_argument(
        "--images", type=int, help="training images a turn times (default: 48; on a card all)"
    )
    top.add_argument(
        "--contestants",
        type=_words,
        default=list(MAIN),
        help="some of them, as ours,bare (default: the first five)",
    )
    top.add_argument(
        "--out",
        type=Path,
        default=RESULTS,
        help="file a section is added to (default: %(default)s)",
    )
    top.add_argument("--no-write", action="store_true", help="only print")
    return top


def measure(options: argparse.Namespace, command: str, run: Run | None = None) -> None:
    """Carry out one measurement and say, and write, what came of it; run: as in `main`."""
    from benchmark.training.loop import gflop_per_image
    from performance import child, report
    from performance.job import Job
    from performance.prepare import prepare
    from performance.rounds import run_rounds

    for option in ("rounds", "threads", "images", "batch_size", "image_size"):
        value = getattr(options, option)
        if value is not None and value < 1:
            raise SpecError(f"--{option.replace('_', '-')} {value} must be a whole number above 0")
    device, cores = _device(options.device, options.precision), usable_cores()
    rows = entrants(options.contestants, options.workers or (cores,))
    overrides = {"training.batch_size": options.batch_size, "training.precision": options.precision}
    recipe = load_recipe("thesis", overrides)
    images = options.images or (None if device.startswith("cuda") else IMAGES_ON_A_PROCESSOR)
    course = prepare(options.data, options.image_size, images, recipe)
    job = Job(
        "", course.train, course.val, recipe, options.kernel, device, options.threads or cores
    )
    gflop = gflop_per_image(job.network(), course.train.shape)
    scores = run_rounds(
        job,
        rows,
        options.rounds,
        lambda text: print(text, file=sys.stderr, flush=True),
        run or child.run,
    )
    text = report.section(job, course, scores, gflop, command)
    print(text)
    print(report.legend(list(dict.fromkeys(row.name for row in rows))))
    if not options.no_write:
        report.append(options.out, text)
        print(f"\nadded to {options.out}")


def _device(asked: str, precision: str) -> str:
    """Return the device's name for torch; `SpecError` for one that is not there, or cannot compute
    so.
    """
    import torch

    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = ("cuda" if cards else "cpu") if asked == "auto" else asked
    choices = ["cpu", *(["cuda"] if cards else []), *(f"cuda:{i}" for i in range(cards))]
    if device not in choices:
        raise SpecError(f"--device: {known('device', asked, ['auto', *choices])}")
    if device == "cpu" and precision == "tf32":
        raise SpecError(
            "--precision tf32 needs an NVIDIA card: on a processor it would be fp32 under another name"
        )
    return device


def _numbers(text: str) -> tuple[int, ...]:
    if not all(word.isdecimal() for word in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} must be whole numbers separated by commas")
    return tuple(int(word) for word in text.split(","))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def shown(words: Sequence[str], program: str = "performance") -> str:
    """Return the command as it may be published: a path of this machine stands as "path/to" and its
    purpose.

    >>> shown(["--data", "a/b c", "--out=x/y.md", "--rounds", "3"])
    'python -m performance --data path/to/slices --out=path/to/results --rounds 3'
    """
    public = ["python", "-m", program]
    for word in words:
        option, equals, value = word.partition("=")
        if option in PATHS and equals:
            public.append(word if value in WORDS else f"{option}=path/to/{PATHS[option]}")
        elif public[-1] in PATHS:
            public.append(word if word in WORDS else f"path/to/{PATHS[public[-1]]}")
        else:
            public.append(word)
    return shlex.join(public)


def main(words: list[str] | None = None, run: Run | None = None) -> int:
    """Carry out the command; 0 well, 2 bad input, 130 interrupted. run carries out a job: by
    default a new process.
    """
    options = parser().parse_args(words)
    let_waiting_threads_sleep(
        os.environ
    )  # of the contestants' processes: as python -m benchmark sets it
    try:
        measure(options, shown(sys.argv[1:] if words is None else words), run)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}; mend the path, its permissions or the disk", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
