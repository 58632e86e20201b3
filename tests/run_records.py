"""Finished run folders and tables of runs without any training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from bench_forms import names_of
from numpy.typing import NDArray

from benchmark.arm_source import ArmSource
from benchmark.data.slices import RawSlice, SliceSet, gather
from benchmark.judge.reference import Reference, Tolerances, load_reference, load_tolerances
from benchmark.protocol import Recipe, load_recipe
from benchmark.runs import run_folder
from benchmark.runs.collect import DTYPES, Collected
from benchmark.runs.reader import read_run, read_scores
from benchmark.runs.run_folder import RunFolder
from benchmark.runs.spec import RunSpec
from benchmark.scoring.evaluate import score
from benchmark.scoring.summary import summarise
from benchmark.splits.split import Split

BY_PATIENT = {"split_unit": "patient", "split_id": "by-patient-1", "protocol": "patient",
              "protocol_hash": "feed",
              "changed_settings": '{"preprocess.nyul_fit":"train","split.unit":"patient"}',
              }  # fmt: skip
SIDE = 10  # of each square tumour, in pixels
NEWER = ("nsd_1mm", "nsd_2mm", "hd95_mm", "assd_mm", "truth_diameter_mm", "predicted_diameter_mm",
         "truth_perpendicular_mm", "predicted_perpendicular_mm", "core_sensitivity")  # fmt: skip
OLDER_SUMMARY = ("n", "dice_mean", "dice_sd", "dice_median", "dice_mean_detected", "missed",
                 "patients", "dice_mean_by_patient", "sensitivity_mean",
                 "precision_mean")  # fmt: skip
COUNTS = {3: 2_650_000, 5: 7_360_000, 7: 14_430_000, 9: 23_850_000}


def squares(n: int = 8, *, phantom: bool = False, first: int = 1) -> SliceSet:
    """n slices of 64x64, numbered from `first`, in patients of two; each has a 10x10 tumour."""

    def numbered(i: int) -> RawSlice:
        mask = np.zeros((64, 64), dtype=bool)
        mask[5 + i : 5 + i + SIDE, 20 : 20 + SIDE] = True
        image = np.where(mask, np.uint8(200), np.uint8(i))
        return RawSlice(first + i, 1, image, mask, f"square {i}", f"{100360 + i // 2}")

    return gather([numbered(i) for i in range(n)], phantom=phantom)


def rows_found(slices: SliceSet, split: Split, rows: int) -> dict[int, NDArray[np.bool_]]:
    """Predictions of the first rows of each test square: Dice 2r / (r + 10), no false positive."""
    masks = {}
    for i, number in enumerate(slices.slice_id.tolist()):
        if number in split.test:
            masks[number] = slices.masks[i].copy()
            masks[number][5 + i + rows :] = False
    return masks


def halves(slices: SliceSet, name: str = "by-image-1") -> Split:
    """The first half tests, one slice validates, the others train."""
    ids = tuple(slices.slice_id.tolist())
    middle = len(ids) // 2
    return Split(name, ids[middle + 1 :], ids[middle : middle + 1], ids[:middle])


def a_spec(slices: SliceSet, split: Split, **changes: Any) -> RunSpec:
    """The thesis's best cell at 512x512 with seed 1, unless changed."""
    cell = {"arm": "unet", "params": {"alpha": 0.5, "kernel_size": 5}, "seed": 1}
    own = cell | {"recipe": load_recipe("thesis"), "shape": (512, 512)}
    return RunSpec(**(own | names_of(slices, split) | changes))


def varied(**overrides: Any) -> Recipe:
    """The thesis's protocol, name kept, with section__key values replaced."""
    return load_recipe("thesis", {k.replace("__", "."): value for k, value in overrides.items()})


def write_own(folder: Path, rows: int = 5, **changes: Any) -> RunFolder:
    """One finished run on eight slices of one's own."""
    slices = squares(8)
    return write_run(folder, slices, halves(slices), rows=rows, **changes)


def write_run(
    root: Path, slices: SliceSet, split: Split, *, rows: int = 8, click: bool = False,
    **changes: Any,
) -> RunFolder:  # fmt: skip
    """Write one finished run as the runner does."""
    spec = a_spec(slices, split, **changes)
    folder = RunFolder(root, spec.run_id)
    folder.path.mkdir(parents=True)
    source = ArmSource("my-arm", "0.1", spec.source) if spec.source else None
    folder.begin(spec, {"device_kind": "cpu", "gpu": None}, (), source=source)
    masks = rows_found(slices, split, rows)
    scores = score(slices, masks, split.test)
    parameters = COUNTS.get(spec.params.get("kernel_size"), 0)
    timing = {"fit_seconds": 120.0, "predict_seconds": 1.0, "parameters": parameters}
    patients = len(set(slices.patient_id))
    dataset = {"slices": len(slices), "patients": patients, "phantom": slices.phantom}
    result = {"needs_click": click, "dataset": dataset, "fit": {"best_epoch": 7}}
    folder.finish(scores, masks, timing, {**result, "test": summarise(scores)})
    return folder


def as_before(folder: RunFolder) -> None:
    """Make of a run what was written before there were the columns `NEWER` and their summary."""
    rewritten(folder, lambda scores: scores.drop(columns=list(NEWER)))
    result = run_folder.read_json(folder / run_folder.RESULT)
    result["test"] = {name: result["test"][name] for name in OLDER_SUMMARY}
    run_folder.write_json(folder / run_folder.RESULT, result)


def rewritten(folder: RunFolder, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Replace a run's scores.csv by a changed one, and make the hash in result.json agree."""
    scores = change(read_scores(read_run(folder)))
    scores.to_csv(folder / run_folder.SCORES, index=False)
    rehash(folder, run_folder.SCORES)


def rehash(folder: RunFolder, name: str) -> None:
    """Make result.json have the hash that a file has."""
    result = run_folder.read_json(folder / run_folder.RESULT)
    result["sha256"][name] = run_folder.file_sha256(folder / name)
    run_folder.write_json(folder / run_folder.RESULT, result)


@cache
def terms() -> tuple[Reference, Tolerances]:
    return load_reference(), load_tolerances()


def table(
    dice: Mapping[int, Sequence[float]], patients: Sequence[str], *, first_slice: int = 0,
    measures: Mapping[str, Sequence[float]] = MappingProxyType({}), **changes: Any,
) -> Collected:  # fmt: skip
    """Runs of the best cell in memory: Dice of test slices by seed; changes overwrite columns.

    Slices are numbered from first_slice; measures adds columns to the scores, the same for
    every seed, or puts them in place of sensitivity, precision, tp, fp and fn. A Dice of 0 is
    a missed tumour.
    """
    reference, rules = terms()
    base = dict.fromkeys(DTYPES, "-") | {
        "arm": "unet", "source": "",
        "params": '{"alpha":0.5,"kernel_size":5}', "kernel_size": 5, "alpha": 0.5,
        "protocol": "thesis", "protocol_hash": rules.protocol_hash,
        "recipe_hash": rules.recipe_hash, "network_hash": rules.network_hash,
        "changed_settings": "{}",
        "split_unit": "image", "split_rule": rules.split_rule, "split_id": "by-image-1",
        **reference.split_sizes, "height": 512, "width": 512, "precision": "fp32",
        "dataset_id": reference.dataset_id, "phantom": False, "needs_click": False,
        "parameters": COUNTS[5], "timing.fit_seconds": 60.0,
    }  # fmt: skip
    runs, scores = [], []
    for seed, values in dice.items():
        numbers = range(first_slice, first_slice + len(values))
        part = pd.DataFrame({"slice_id": numbers, "patient_id": patients, "dice": list(values)})
        found = (part["dice"] > 0).astype(int)
        part = part.assign(sensitivity=1.0, precision=1.0, tp=found, fp=0, fn=1)
        part = part.assign(run_id=f"run_s{seed}", **measures)
        summary = {f"test.{key}": value for key, value in summarise(part).items()}
        runs.append(base | {"run_id": f"run_s{seed}", "seed": seed} | summary | changes)
        scores.append(part)
    return Collected(pd.DataFrame(runs).astype(DTYPES), pd.concat(scores, ignore_index=True), ())


def join(*parts: Collected) -> Collected:
    """Put tables together, their run_ids kept apart."""
    runs = [p.runs.assign(run_id=p.runs["run_id"] + f"_{i}") for i, p in enumerate(parts)]
    scores = [p.scores.assign(run_id=p.scores["run_id"] + f"_{i}") for i, p in enumerate(parts)]
    return Collected(pd.concat(runs, ignore_index=True), pd.concat(scores, ignore_index=True), ())
