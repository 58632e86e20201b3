"""`python -m performance.sharing`: a training beside other work, by how its threads wait; and two
beside each other.

Adds a section to performance/RESULTS.md. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from benchmark.cli.devices import WAITING, WAITING_CHOICES, usable_cores
from benchmark.errors import BenchmarkError, SpecError
from benchmark.protocol import load_recipe
from benchmark.runs.environment import describe
from performance import child
from performance.__main__ import RESULTS, shown
from performance.contestants import CONTESTANTS, OURS
from performance.job import Job, Measurement
from performance.prepare import prepare
from performance.report import append, facts_of
from performance.table import Rounds, markdown, ratio

WAYS: Mapping[str, Mapping[str, str]] = {
    "as torch comes": {},
    "ours: " + ", ".join(f"{name}={value}" for name, value in WAITING.items()): WAITING,
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
}
BUSY = [sys.executable, "-c", "while True: pass"]


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    top = argparse.ArgumentParser(
        prog="python -m performance.sharing", description=__doc__, allow_abbrev=False
    )
    top.add_argument(
        "--data",
        help="slices, as for python -m benchmark (default: the same; phantoms where none are)",
    )
    top.add_argument("--image-size", type=int, default=256, help="side in pixels (default: 256)")
    top.add_argument(
        "--kernel", type=int, default=3, help="kernel size of every convolution (default: 3)"
    )
    top.add_argument(
        "--images", type=int, default=96, help="training images a turn times (default: 96)"
    )
    top.add_argument("--rounds", type=int, default=3, help="turns of each way (default: 3)")
    top.add_argument("--no-write", action="store_true", help="only print")
    return top


@contextmanager
def one_busy_process() -> Iterator[None]:
    """Inside, a process of one thread computes without end."""
    busy = subprocess.Popen(BUSY)
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def waiting(
    job: Job, rounds: int, say: Callable[[str], None]
) -> dict[tuple[str, bool], list[Measurement | None]]:
    """Time the training in each way of waiting, alone (False) and beside a busy process (True), in
    turn.
    """
    found: dict[tuple[str, bool], list[Measurement | None]] = {
        (way, b): [] for b in (False, True) for way in WAYS
    }
    for number in range(rounds):
        for (way, busy), turns in found.items():
            say(
                f"round {number + 1} of {rounds}: {way}{', beside a busy process' if busy else ''} ..."
            )
            if busy:
                with one_busy_process():
                    turns.append(child.measurement(child.run(job, **WAYS[way])))
            else:
                turns.append(child.measurement(child.run(job, **WAYS[way])))
    return found


def sharing(
    job: Job, rounds: int, say: Callable[[str], None]
) -> tuple[list[Measurement | None], list[float]]:
    """Time one process of two threads, and two of one at once; return the former's turns and the
    latter's images/s.
    """
    of_two: list[Measurement | None] = []
    together = []
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}: one process of two threads, two of one ...")
        of_two.append(child.measurement(child.run(replace(job, threads=2), **WAITING)))
        with ThreadPoolExecutor(2) as pool:
            pair = [pool.submit(child.run, replace(job, threads=1), **WAITING) for _ in range(2)]
            together.append(sum(child.measurement(one.result()).images_per_second for one in pair))
    return of_two, together


def rows(found: Mapping[tuple[str, bool], Rounds]) -> list[list[str]]:
    """A row for each way and company: images/s (median), and how many times as fast as torch comes
    beside the same.
    """
    table = []
    for (way, busy), turns in found.items():
        speeds = sorted(one.images_per_second for one in turns if one)
        times = ratio(turns, found["as torch comes", busy])
        shown_ratio = f"{times.median:.2f} ({times.least:.2f} - {times.most:.2f})" if times else "-"
        company = "beside one busy process" if busy else "alone"
        table.append([company, way, f"{speeds[len(speeds) // 2]:.1f}", shown_ratio])
    return table


def section(options: argparse.Namespace, command: str) -> str:
    """Measure, and return one dated section in Markdown."""
    for option in ("rounds", "images", "image_size"):
        if getattr(options, option) < 1:
            raise SpecError(
                f"--{option.replace('_', '-')} {getattr(options, option)} must be a whole number above 0"
            )
    for name in WAITING_CHOICES:
        os.environ.pop(name, None)  # children get what each way says and no more
    recipe, cores = load_recipe("thesis", {}), usable_cores()
    course = prepare(options.data, options.image_size, options.images, recipe)
    job = Job(
        CONTESTANTS[OURS].target, course.train, course.val, recipe, options.kernel, "cpu", cores
    )

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    what = f"kernel {options.kernel}, batch {recipe.training.batch_size}, fp32, cpu"
    table = rows(waiting(job, options.rounds, say))
    parts = [
        f"## {datetime.now().astimezone():%Y-%m-%d %H:%M}, beside other work, {course.side}x{course.side}, {what}",
        facts_of(describe("cpu", cores), course, job, options.rounds, command),
        markdown(
            (
                "company",
                "how threads wait",
                "images/s",
                "x times as fast as torch comes (least - most)",
            ),
            table,
        ),
    ]
    if cores > 1:
        of_two, together = sharing(job, options.rounds, say)
        speeds = [one.images_per_second for one in of_two if one]
        gains = sorted(pair / one for pair, one in zip(together, speeds, strict=True))
        parts.append(
            f"Two processes of one thread train {sorted(together)[len(together) // 2]:.1f} images/s in all, "
            f"{gains[len(gains) // 2]:.2f} ({gains[0]:.2f} - {gains[-1]:.2f}) times as many as one of two threads."
        )
    return "\n\n".join(parts) + "\n"


def main(words: Sequence[str] | None = None) -> int:
    """Carry out the command; 0 well, 2 bad input, 130 interrupted."""
    options = parser().parse_args(words)
    try:
        text = section(
            options, shown(sys.argv[1:] if words is None else words, "performance.sharing")
        )
        print(text)
        if not options.no_write:
            append(RESULTS, text)
    except (BenchmarkError, child.ImplementationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
