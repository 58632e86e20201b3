"""Judgements of runs made up in memory: nothing, a seed, phantoms, data of one's own, all."""

from __future__ import annotations

from functools import cache
from typing import Any

import pandas as pd
from run_records import BY_PATIENT, NEWER, join, table, terms
from second_readings import reading

from benchmark.judge.judgement import Judgement
from benchmark.runs.collect import DTYPES, Collected

PATIENTS: list[Any] = ["a", "a", "b", "b"]
DICE = [0.8, 0.9, 0.7, 0.0]
HIGHER = [0.82, 0.92, 0.72, 0.02]
MEASURES = {name: [0.5] * 4 for name in NEWER} | {
    "truth_mm2": [9.0, 700.0, 1300.0, 5.0],
    "predicted_mm2": [9.0] * 4,
}
NO_SCORES = pd.DataFrame(columns=["run_id", "slice_id", "patient_id", "dice"])
EMPTY = Collected(pd.DataFrame(columns=list(DTYPES)).astype(DTYPES), NO_SCORES, ())
NO_CELL = {"kernel_size": None, "alpha": float("nan")}
SMALL = {"height": 256, "width": 256}
OWN = {"dataset_id": "own", "train": None, "val": None, "test": None}


def some(seeds: int = 2, patients: list[Any] = PATIENTS, **changes: Any) -> Collected:
    dice = dict(list({1: DICE, 2: HIGHER}.items())[:seeds])
    own = {"fit.collapsed": False, "fit.val_dice": 0.8, **changes}
    return table(dice, patients, measures=MEASURES, **own)


def both_ways(**changes: Any) -> Collected:
    """The printed cell by image and by patient, a second alpha and an arm that saw a click."""
    other = {"params": '{"alpha":0.6,"kernel_size":5}', "alpha": 0.6}
    click = {**NO_CELL, "params": "{}", "arm": "clicked", "needs_click": True}
    parts = [{}, BY_PATIENT, other, click, {"precision": "bf16"}]
    return join(*(some(**{**part, **changes}) for part in parts))


RUNS = {
    "none": EMPTY,
    "one seed": some(1),
    "two seeds": some(),
    "phantoms": both_ways(phantom=True, dataset_id="drawn"),
    "own data": both_ways(**OWN),
    "own data of unknown patients": both_ways(patients=[None] * 4, **OWN),
    "own data of one patient": both_ways(patients=["a"] * 4, **OWN),
    "own data, some patients unknown": both_ways(patients=["a", "b", "c", None], **OWN),
    "everything": both_ways(),
}


SECOND = reading([0.9, 0.8, 0.7, 0.9], PATIENTS, truth_mm2=MEASURES["truth_mm2"])


def judge(collected: Collected) -> Judgement:
    return Judgement(collected, *terms(), second=SECOND)


@cache
def judged(runs: str) -> Judgement:
    """The judgement of one of `RUNS`."""
    return judge(RUNS[runs])
