"""Which runs may be set beside the thesis, and how much of its grid they cover. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmark.judge.reference import Reference, Tolerances
from benchmark.runs.collect import Collected

Run = Mapping[str, Any]  # one row of Collected.runs
Need = Callable[[Run, Reference, Tolerances], str | None]


def _dataset(run: Run, reference: Reference, tolerances: Tolerances) -> str | None:
    if run["phantom"]:
        return "drawn phantoms, not slices"
    return None if run["dataset_id"] == reference.dataset_id else "other slices"


def _network(run: Run, reference: Reference, tolerances: Tolerances) -> str | None:
    same = run["network_hash"] == tolerances.network_hash
    return None if same else "other network settings"


def _split_rule(run: Run, reference: Reference, tolerances: Tolerances) -> str | None:
    why = f"split by {run['split_unit']}, by another rule than the thesis's"
    return None if run["split_rule"] == tolerances.split_rule else why


def _protocol(run: Run, reference: Reference, tolerances: Tolerances) -> str | None:
    why = f"other settings than protocol {tolerances.protocol!r}"
    return None if run["protocol_hash"] == tolerances.protocol_hash else why


def _image_size(run: Run, reference: Reference, tolerances: Tolerances) -> str | None:
    same = run["height"] == run["width"] == tolerances.dice.image_size
    return None if same else f"image size {run['height']}x{run['width']}"


def _precision(run: Run, reference: Reference, tolerances: Tolerances) -> str | None:
    known = run["precision"] in tolerances.dice.precisions
    return None if known else f"precision {run['precision']}"


def _split(run: Run, reference: Reference, tolerances: Tolerances) -> str | None:
    shipped = run["split_id"] in tolerances.dice.splits and not pd.isna(run["test"])
    return None if shipped else "not one of the splits by image shipped here"


NEEDS: Mapping[str, Need] = {  # need -> why a run does not meet it
    "dataset": _dataset,
    "network": _network,
    "split-rule": _split_rule,
    "protocol": _protocol,
    "image-size": _image_size,
    "precision": _precision,
    "split": _split,
}
JUDGED = ["phantom", "dataset_id", "network_hash", "split_rule", "split_unit", "protocol_hash",
          "height", "width", "precision", "split_id", "test"]  # what NEEDS look at # fmt: skip


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
    """True for the runs of one cell of the grid, whose arm this repository brings."""
    near = (runs["alpha"] - alpha).abs() < 1e-9
    own = (runs["arm"] == arm) & (runs["source"] == "")
    return own & (runs["kernel_size"] == kernel).fillna(False).astype(bool) & near


def fitted_as_the_thesis(runs: pd.DataFrame) -> pd.DataFrame:
    """Leave out runs by image whose histogram was learned on other images than the thesis's.

    That is an open choice taken otherwise (`comparisons.open_choices`). `recipe_hash` cannot tell,
    since by patient another fit belongs to the kind of split.
    """
    changed = runs["changed_settings"].map(json.loads)
    otherwise = changed.map(lambda settings: "preprocess.nyul_fit" in settings).astype(bool)
    return runs[(runs["split_unit"] != "image") | ~otherwise]


def _most_seeds(runs: pd.DataFrame) -> int:
    """Seeds on the one split that has most of them."""
    return int(runs.groupby("split_id")["seed"].nunique().max()) if len(runs) else 0


def progress(collected: Collected, reference: Reference, tolerances: Tolerances) -> str:
    """Say how much of the thesis's grid has been run on terms that its Dice may be compared on."""
    runs, most = collected.runs, reference.seeds_per_cell
    runs = runs[why_not(runs, tolerances.dice.needs, reference, tolerances).isna()]
    seeds = [
        min(_most_seeds(runs[in_cell(runs, reference.best_cell.arm, kernel, alpha)]), most)
        for kernel in reference.kernels
        for alpha in reference.alphas
    ]
    return (
        f"Run so far: {sum(seeds)} of the {reference.trainings} trainings of the thesis's grid; "
        f"{seeds.count(most)} of {len(seeds)} cells have all {most} seeds."
    )
