"""Seconds that plan, collect and compare take on a folder of many finished runs: `python -m
performance.growth`.

The runs are made up: the thesis's cells under as many seeds as are needed, each with the files of a
finished run and scores drawn at random. Every verb runs in a process of its own, imports
included: first without an index (cold), then with it (warm); plan needs none. The files lie in the
system's cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from tabulate import tabulate

from baselines import ARMS
from benchmark.data.registry import CHENG_DATASET_ID
from benchmark.planning import request
from benchmark.planning.grid import expand, load_grid
from benchmark.protocol import load_recipe
from benchmark.runs import run_folder
from benchmark.runs.cache import FOLDER, RACY_SECONDS
from benchmark.runs.collect import collect
from benchmark.runs.run_folder import RunFolder
from benchmark.runs.spec import SCHEMA, RunSpec
from benchmark.scoring.summary import summarise
from benchmark.splits.files import shipped
from benchmark.splits.split import Split

CONTENT = "0" * 64  # stands for the fingerprint of the images, which no verb here opens
PIXELS = 512 * 512


def main(given: list[str] | None = None) -> None:
    """Make the runs, time the verbs, print one table, and leave nothing behind."""
    options = argparse.ArgumentParser(prog="python -m performance.growth", description=__doc__)
    options.add_argument(
        "--runs", type=int, default=10_000, help="finished runs to make (default: 10000)"
    )
    options.add_argument("--verb", choices=VERBS, help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    words = options.parse_args(given)
    if words.verb:
        sys.exit(VERBS[words.verb](words.folder))
    if words.runs < 1:
        options.error(f"--runs {words.runs}: must be at least 1")
    with tempfile.TemporaryDirectory() as folder:
        print(f"Making {words.runs} runs.", flush=True)
        make(Path(folder), words.runs)
        time.sleep(RACY_SECONDS + 0.5)  # a file may change unseen for so long after it was written
        rows = [
            (verb, *(timed(verb, Path(folder), warm) for warm in (False, True))) for verb in VERBS
        ]
    print(tabulate(rows, headers=("", "cold, s", "warm, s"), floatfmt=".1f"))


def timed(verb: str, folder: Path, warm: bool) -> float:
    """Seconds of one verb in a fresh process, with the index of an earlier one or with none."""
    if not warm:
        shutil.rmtree(folder / "runs" / FOLDER, ignore_errors=True)
    begin = time.perf_counter()
    command = [sys.executable, "-m", "performance.growth", "--verb", verb, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    seconds = time.perf_counter() - begin
    if done.returncode not in (
        0,
        1,
    ):  # 1: a number was not reproduced, as is right for made-up scores
        sys.exit(f"{verb} ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds


def make(folder: Path, runs: int) -> None:
    """Write a grid of whole cells and its first finished runs."""
    grid, split = load_grid("thesis"), shipped_split()
    ((arm, axes),) = grid.arms
    cells = int(np.prod([len(values) for values in axes.values()]))
    seeds = list(range(-(-runs // cells)))
    lines = [
        f"seeds = {seeds}",
        "[[arms]]",
        f'name = "{arm}"',
        *(f"{key} = {list(v)}" for key, v in axes.items()),
    ]
    (folder / "grid.toml").write_text("\n".join(lines), encoding="utf-8")
    specs = expand(
        load_grid(str(folder / "grid.toml")),
        ARMS,
        load_recipe(grid.protocol),
        [split],
        dataset_id=CHENG_DATASET_ID,
        content_fingerprint=CONTENT,
        shape=(512, 512),
    )
    rng = np.random.default_rng(0)
    for spec in specs[:runs]:
        write_run(RunFolder(folder / "runs", spec.run_id), spec, drawn_scores(split, rng))


def shipped_split() -> Split:
    """The split whose runs are compared with the thesis."""
    return shipped()["by-image-1"].split


def drawn_scores(split: Split, rng: np.random.Generator) -> pd.DataFrame:
    """Scores of the split's test slices, patients of two, from pixel counts drawn at random."""
    truth, n = 2000, len(split.test)
    tp, fp = rng.integers(1, truth, n), rng.integers(0, truth, n)
    fn = truth - tp
    return pd.DataFrame(
        {
            "slice_id": split.test,
            "patient_id": [f"{100_000 + i // 2}" for i in range(n)],
            "tp": tp,
            "fp": fp,
            "fn": fn,
            "tn": PIXELS - tp - fp - fn,
            "dice": 2 * tp / (2 * tp + fp + fn),
            "iou": tp / (tp + fp + fn),
            "sensitivity": tp / (tp + fn),
            "precision": tp / (tp + fp),
            "truth_mm2": np.full(n, truth * 0.2401),
            "predicted_mm2": np.round((tp + fp) * 0.2401, 4),
        }
    )


def write_run(folder: RunFolder, spec: RunSpec, scores: pd.DataFrame) -> None:
    """Write the files of a finished run as `RunFolder` does, but without waiting for the disk at
    each.
    """
    folder.path.mkdir(parents=True)
    table, pictures = (
        scores.to_csv(index=False, lineterminator="\n").encode(),
        b"no verb here opens it",
    )
    (folder / run_folder.SCORES).write_bytes(table)
    (folder / run_folder.PREDICTIONS).write_bytes(pictures)
    hashes = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in ((run_folder.SCORES, table), (run_folder.PREDICTIONS, pictures))
    }
    heading = {
        "run_id": spec.run_id,
        "split_id": spec.split_id,
        "protocol": spec.recipe.name,
        "phantom": False,
    }
    fit = {
        "best_epoch": 40,
        "stop_epoch": 45,
        "stopped_early": True,
        "val_dice": 0.9,
        "val_loss": 0.1,
    }
    timing = {
        "fit_seconds": 3600.0,
        "predict_seconds": 3.5,
        "seconds_per_epoch": 80.0,
        "parameters": 7363260,
    }
    for name, content in (
        (run_folder.SPEC, {**heading, "spec": spec.canonical()}),
        (
            run_folder.ENVIRONMENT,
            {"device_kind": "cpu", "gpu": None, "threads": 2, "git_commit": "0" * 40},
        ),
        (
            run_folder.TIMING,
            {
                **timing,
                "train_gflop_per_image": 22.1,
                "peak_process_mib": 2812.4,
                "peak_gpu_mib": None,
            },
        ),
        (
            run_folder.RESULT,
            {
                "schema": SCHEMA,
                "run_id": spec.run_id,
                "needs_click": False,
                "dataset": {"slices": 708, "patients": 82, "phantom": False},
                "fit": {**fit, "collapsed": False, "images_per_pass": 2},
                "test": summarise(scores),
                "sha256": hashes,
            },
        ),
    ):
        write_text(folder / name, content)


def write_text(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def plan(folder: Path) -> int:
    """The verb itself on the grid of these runs, the reading of the slices apart."""
    from benchmark.__main__ import main as verb

    split = shipped_split()
    ids = np.array(sorted((*split.train, *split.val, *split.test)))
    known = {
        "dataset_id": CHENG_DATASET_ID,
        "fingerprint": CONTENT,
        "shape": (512, 512),
        "phantom": False,
    }
    with patch.object(request, "load_slices", lambda *_: SimpleNamespace(slice_id=ids, **known)):
        return verb(
            [
                "plan",
                "--data",
                "none",
                "--grid",
                str(folder / "grid.toml"),
                "--out",
                str(folder / "runs"),
            ]
        )


def gather(folder: Path) -> int:
    """Collect the runs, as every verb that judges them does first."""
    collect(folder / "runs")
    return 0


def compare(folder: Path) -> int:
    """The verb itself."""
    from benchmark.__main__ import main as verb

    return verb(["compare", "--runs", str(folder / "runs")])


VERBS = {"plan": plan, "collect": gather, "compare": compare}

if __name__ == "__main__":
    main()
