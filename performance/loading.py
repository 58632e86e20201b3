"""`python -m performance.loading`: seconds and memory until all slices of a split are loaded and
preprocessed.
"""

from __future__ import annotations

import argparse
import sys
import time

from tabulate import tabulate

from baselines import ARMS
from benchmark.errors import BenchmarkError
from benchmark.planning.request import Request, prepare
from performance.memory import peak, resident


def main(words: list[str] | None = None) -> int:
    """Print a row after each step; 0 well, 2 bad input."""
    options = argparse.ArgumentParser(prog="python -m performance.loading", description=__doc__)
    options.add_argument(
        "--data", default="phantoms", help="slices, as for python -m benchmark (default: phantoms)"
    )
    options.add_argument("--image-size", type=int, help="side in pixels (default: the slices' own)")
    asked = options.parse_args(words)
    try:
        print(
            tabulate(
                steps(asked.data, asked.image_size),
                ["after", "seconds", "MiB", "peak MiB"],
                floatfmt=".0f",
            )
        )
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def steps(data: str, image_size: int | None) -> list[tuple[str, float, float | None, float | None]]:
    """Load and preprocess as a run does; return each step with its seconds, memory then and at most
    so far.
    """
    rows = []
    start = time.perf_counter()

    def note(step: str) -> None:
        nonlocal start
        rows.append((step, time.perf_counter() - start, resident(), peak("cpu").process))
        start = time.perf_counter()

    from benchmark.runs.prepared_data import PreparedData

    note("importing")
    job = prepare(Request(data=data, grid="thesis", image_size=image_size), ARMS, keep_splits=False)
    note("loading")
    bench, spec = PreparedData(job.slices, job.splits, ARMS), job.specs[0]
    split = job.splits[spec.split_id]
    kept = [bench.cases(spec, split, wanted) for wanted in (split.train, split.val, split.test)]
    note(f"preprocessing all {sum(map(len, kept))} slices")
    return rows


if __name__ == "__main__":
    sys.exit(main())
