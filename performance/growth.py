"""`python -m performance.growth`: seconds of plan, collect and compare on many finished runs.

The runs are made up: the thesis's cells under as many seeds as are needed, each with the files of a
shipped run and a sample of its scores. Every verb runs in a process of its own, imports included:
first without what an earlier one kept beside the runs (cold), then with it (warm). The files lie in
the system's folder for temporary ones.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from tabulate import tabulate

from baselines import ARMS
from benchmark.__main__ import main as verb
from benchmark.data.registry import CHENG_DATASET_ID
from benchmark.planning import request
from benchmark.planning.grid import expand, load_grid
from benchmark.protocol import load_recipe
from benchmark.runs.collect import collect, reproduction_folder, shipped_splits
from benchmark.runs.run_folder import PREDICTIONS, SCORES, read_json
from benchmark.runs.spec import RunSpec
from benchmark.scoring.summary import summarise

SHIPPED = "unet_alpha0.5_kernel-size5_by-image-1_256_fp32_s452669_2f3603d4"
RECORDS = ("spec.json", "environment.json", "timing.json", "result.json")
COLUMNS = 12  # of its scores: those that need no distances
PICTURES = "stands for the predictions, which no verb here opens"
SHAPE = (512, 512)
SPLIT = next(s for s in shipped_splits().values() if s.split_id == "by-image-1")
CONTENT = "0" * 64  # stands for the fingerprint of the images, which no verb here opens
SETTLING_SECONDS = 2.5  # a file may change unseen for so long after it was written


def main(words: list[str] | None = None) -> None:
    """Make the runs, time the verbs, print one table, and leave nothing behind."""
    top = argparse.ArgumentParser(prog="python -m performance.growth", description=__doc__)
    top.add_argument("--runs", type=int, default=10_000, help="runs to make (default: 10000)")
    options = top.parse_args(words)
    if options.runs < 1:
        top.error(f"--runs {options.runs}: must be at least 1")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print(f"Making {options.runs} runs.", flush=True)
        make(folder, options.runs)
        time.sleep(SETTLING_SECONDS)
        rows = [(name, timed(name, folder, warm=False), timed(name, folder)) for name in VERBS]
    print(tabulate(rows, headers=("", "cold, s", "warm, s"), floatfmt=".1f"))


def timed(name: str, folder: Path, warm: bool = True) -> float:
    """Seconds of one verb in a fresh process, with what an earlier one kept or without."""
    for kept in [] if warm else (folder / "runs").glob(".*"):
        shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
    begin = time.perf_counter()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        code, said = pool.submit(carry_out, name, folder).result()
    if code not in (0, 1):  # 1: a number was not reproduced, as is right for made-up scores
        sys.exit(f"{name} ended with exit code {code}:\n{said}")
    return time.perf_counter() - begin


def carry_out(name: str, folder: Path) -> tuple[int, str]:
    """Return a verb's exit code and what it said."""
    with redirect_stdout(io.StringIO()) as said, redirect_stderr(said):
        return VERBS[name](folder), said.getvalue()


def make(folder: Path, runs: int) -> None:
    """Write a grid of whole cells and its first finished runs, without waiting for the disk."""
    grid = load_grid("thesis")
    ((arm, axes),) = grid.arms
    seeds = range(-(-runs // math.prod(map(len, axes.values()))))
    lines = [f"{axis} = {list(values)}" for axis, values in axes.items()]
    text = "\n".join([f"seeds = {[*seeds]}", "[[arms]]", f'name = "{arm}"', *lines])
    (folder / "grid.toml").write_text(text, encoding="utf-8")
    specs = expand(
        load_grid(str(folder / "grid.toml")),
        ARMS,
        load_recipe(grid.protocol),
        [SPLIT],
        dataset_id=CHENG_DATASET_ID,
        content_fingerprint=CONTENT,
        shape=SHAPE,
    )
    shipped = reproduction_folder() / SHIPPED
    records = {name: read_json(shipped / name) for name in RECORDS}
    scores = pd.read_csv(shipped / SCORES).iloc[:, :COLUMNS]
    rng = np.random.default_rng(0)
    for spec in specs[:runs]:
        rows = scores.sample(frac=1, replace=True, random_state=rng).reset_index(drop=True)
        sampled = scores.iloc[:, :2].join(rows.iloc[:, 2:])
        write_run(folder / "runs" / spec.run_id, spec, sampled, records)


def write_run(
    path: Path, spec: RunSpec, scores: pd.DataFrame, records: dict[str, dict[str, Any]]
) -> None:
    """Write the files of a finished run with these scores, the rest as in the records."""
    path.mkdir(parents=True)
    table = scores.to_csv(index=False, lineterminator="\n")
    texts = {SCORES: table, PREDICTIONS: PICTURES}
    of = {"run_id": spec.run_id}
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    changes = {
        "spec.json": {**of, "spec": spec.canonical()},
        "result.json": {**of, "test": summarise(scores), "sha256": hashes},
    }
    for name, record in records.items():
        texts[name] = json.dumps({**record, **changes.get(name, {})}, indent=1) + "\n"
    for name, text in texts.items():
        (path / name).write_text(text, encoding="utf-8")


def plan(folder: Path) -> int:
    """The verb itself on the grid of these runs, the reading of the slices apart."""
    numbers = sorted((*SPLIT.train, *SPLIT.val, *SPLIT.test))
    slices = SimpleNamespace(
        slice_id=np.array(numbers),
        row_of={number: row for row, number in enumerate(numbers)},
        dataset_id=CHENG_DATASET_ID,
        fingerprint=CONTENT,
        shape=SHAPE,
        phantom=False,
    )
    grid, runs = str(folder / "grid.toml"), str(folder / "runs")
    with patch.object(request, "load_slices", lambda *_: slices):
        return verb(["plan", "--data", "none", "--grid", grid, "--out", runs])


def gather(folder: Path) -> int:
    """Collect the runs, as every verb that judges them does first."""
    collect(folder / "runs")
    return 0


def compare(folder: Path) -> int:
    """The verb itself."""
    return verb(["compare", "--runs", str(folder / "runs")])


VERBS: dict[str, Callable[[Path], int]] = {"plan": plan, "collect": gather, "compare": compare}

if __name__ == "__main__":
    main()
