"""`python -m performance.loading`: seconds and memory until a split's slices are ready for use."""

from __future__ import annotations

import argparse
import sys
import time

from tabulate import tabulate

from baselines import ARMS
from benchmark.planning.request import Request, prepare
from performance.command import exit_code
from performance.memory import kernel_mib, peak

Row = tuple[str, float, float | None, float | None]
"""A step, its seconds, MiB after it, and MiB at most so far (None where they are not known)."""


def main(words: list[str] | None = None) -> int:
    """Print a row after each step; 0 well, 2 bad input."""
    top = argparse.ArgumentParser(prog="python -m performance.loading", description=__doc__)
    data = "slices, as for python -m benchmark (default: phantoms)"
    top.add_argument("--data", default="phantoms", help=data)
    top.add_argument("--image-size", type=int, help="side in pixels (default: the slices' own)")
    options = top.parse_args(words)
    heads = ["after", "seconds", "MiB", "peak MiB"]
    return exit_code(
        lambda: print(tabulate(steps(options.data, options.image_size), heads, floatfmt=".0f"))
    )


def steps(data: str, image_size: int | None) -> list[Row]:
    """Load and preprocess as a run does; return a row for each step."""
    rows: list[Row] = []
    start = time.perf_counter()

    def note(step: str) -> None:
        nonlocal start
        seconds, mib = time.perf_counter() - start, kernel_mib("self", "status", "VmRSS")
        rows.append((step, seconds, mib, peak("cpu").process))
        start = time.perf_counter()

    from benchmark.runs.prepared_data import PreparedData

    note("importing")
    job = prepare(Request(data=data, grid="thesis", image_size=image_size), ARMS, keep_splits=False)
    note("loading")
    prepared, spec = PreparedData(job.slices, job.splits, ARMS), job.specs[0]
    split = job.splits[spec.split_id]
    kept = [prepared.cases(spec, split, part) for part in (split.train, split.val, split.test)]
    note(f"preprocessing all {sum(map(len, kept))} slices")
    return rows


if __name__ == "__main__":
    sys.exit(main())
