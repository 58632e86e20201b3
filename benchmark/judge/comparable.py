"""Which runs may be set beside the thesis, and how much of its grid they cover. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmark.judge.reference import Reference, Tolerances
from benchmark.runs.collect import Collected

Run = Mapping[str, Any]  # one row of Collected.runs
NEEDS: Mapping[
    str, Callable[[Run, Reference, Tolerances], str | None]
] = {  # need -> why a run does not meet it
    "dataset": lambda run, ref, tol: (
        "drawn phantoms, not slices"
        if run["phantom"]
        else None
        if run["dataset_id"] == ref.dataset_id
        else "other slices"
    ),
    "network": lambda run, ref, tol: (
        None if run["network_hash"] == tol.network_hash else "other network settings"
    ),
    "split-rule": lambda run, ref, tol: (
        None
        if run["split_rule"] == tol.split_rule
        else f"split by {run['split_unit']}, by another rule than the thesis's"
    ),
    "protocol": lambda run, ref, tol: (
        None
        if run["protocol_hash"] == tol.protocol_hash
        else f"other settings than protocol {tol.protocol!r}"
    ),
    "image-size": lambda run, ref, tol: (
        None
        if run["height"] == run["width"] == tol.dice.image_size
        else f"image size {run['height']}x{run['width']}"
    ),
    "precision": lambda run, ref, tol: (
        None if run["precision"] in tol.dice.precisions else f"precision {run['precision']}"
    ),
    "split": lambda run, ref, tol: (
        None
        if run["split_id"] in tol.dice.splits and not pd.isna(run["test"])
        else "not one of the splits by image shipped here"
    ),
}
JUDGED = [  # the columns that NEEDS look at
    "phantom",
    "dataset_id",
    "network_hash",
    "split_rule",
    "split_unit",
    "protocol_hash",
    "height",
    "width",
    "precision",
    "split_id",
    "test",
]


def mismatch(
    run: Run, needs: Iterable[str], reference: Reference, tolerances: Tolerances
) -> str | None:
    """Return the first reason why a run must not be set beside the thesis, or None."""
    return next((why for need in needs if (why := NEEDS[need](run, reference, tolerances))), None)


def why_not(
    runs: pd.DataFrame, needs: Iterable[str], reference: Reference, tolerances: Tolerances
) -> pd.Series[str]:
    """Return `mismatch` of each run, as a column beside runs; None where it may be compared."""
    needs = tuple(needs)
    alike = runs.groupby(JUDGED, dropna=False, sort=False).ngroup().to_numpy()
    _, firsts = np.unique(alike, return_index=True)
    kinds = runs[JUDGED].iloc[firsts].to_dict("records")
    reasons = np.array([mismatch(run, needs, reference, tolerances) for run in kinds], dtype=object)
    return pd.Series(reasons[alike], index=runs.index, dtype=object)


def in_cell(runs: pd.DataFrame, arm: str, kernel: int, alpha: float) -> pd.Series[bool]:
    """True for the runs of one cell of the grid."""
    near = (runs["alpha"] - alpha).abs() < 1e-9
    return (runs["arm"] == arm) & (runs["kernel_size"] == kernel).fillna(False).astype(bool) & near


def _most_seeds(runs: pd.DataFrame) -> int:
    """Seeds on the one split that has most of them."""
    return int(runs.groupby("split_id")["seed"].nunique().max()) if len(runs) else 0


def progress(collected: Collected, reference: Reference, tolerances: Tolerances) -> str:
    """Return how much of the thesis's grid has been run on terms that its Dice may be compared
    on.
    """
    runs, most = collected.runs, reference.seeds_per_cell
    runs = runs[why_not(runs, tolerances.dice.needs, reference, tolerances).isna()]
    seeds = [
        min(_most_seeds(runs[in_cell(runs, reference.best_cell.arm, kernel, alpha)]), most)
        for kernel in reference.kernels
        for alpha in reference.alphas
    ]
    complete = f"{seeds.count(most)} of {len(seeds)} cells have all {most} seeds"
    return f"Run so far: {sum(seeds)} of the {reference.trainings} trainings of the thesis's grid; {complete}."
