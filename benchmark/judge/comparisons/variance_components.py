"""What the reference cell's Dice varies by: components of variance, and draws against folds."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pandas as pd

from benchmark.judge.comparisons.reference_trainings import KINDS, ReferenceTrainings
from benchmark.judge.statistics.contrast import DICE, between_seeds, reduced
from benchmark.judge.statistics.estimate import clustered_mean
from benchmark.judge.statistics.variance_components import Component, variance_components
from benchmark.judge.tables import Column, Record, Table

MEANINGS = {
    "patient": "patients are not equally hard",
    "patient x kind of split": "nor by the same amount in both kinds of split",
    "slice": "slices of one patient differ",
    "training set": "the same network, trained on other slices",
    "training": "the same training set, another seed",
    "residual": "one slice of one training by itself",
}


def components(trainings: ReferenceTrainings) -> list[Component] | None:
    """Fit the components to all scores of the cell, in the order of `MEANINGS`, those that the
    records can tell apart; the mean of each kind of split is its own.

    None without two known patients and two trainings, or where `variance_components` has none.
    """
    rows = pd.concat(
        [cell.rows.assign(kind=kind) for kind, cell in trainings.cells.items()], ignore_index=True
    )
    if not trainings.patients_known or trainings.trainings < 2:
        return None
    kinds, split = rows["kind"].nunique(), rows["split_id"].astype(str)
    factors = {
        "patient": rows["patient_id"].astype(str),
        "slice": rows["slice_id"].astype(str),
        "patient x kind of split": rows["patient_id"].astype(str) + " " + rows["kind"],
        "training set": split,
        "training": split + " " + rows["seed"].astype(str),
    }
    told = set(factors)
    told -= {"patient x kind of split"} if kinds < 2 else set()
    told -= {"training set"} if split.nunique() - kinds < 1 else set()
    told -= {"training"} if factors["training"].nunique() == split.nunique() else set()
    own = tuple((name, tuple(of)) for name, of in factors.items() if name in told)
    return _fitted(tuple(rows["dice"]), tuple(rows["kind"]), own)


@lru_cache(maxsize=8)
def _fitted(
    dice: tuple[float, ...],
    kinds: tuple[str, ...],
    factors: tuple[tuple[str, tuple[str, ...]], ...],
) -> list[Component] | None:
    """Fit once for the same scores, whoever asks: it takes seconds."""
    names = sorted(set(kinds))
    own = [np.array([kind == name for kind in kinds], dtype=float) for name in names[1:]]
    fixed = np.column_stack([np.ones(len(dice)), *own])
    found = variance_components(np.array(dice), fixed, dict(factors))
    return found and sorted(found, key=lambda component: list(MEANINGS).index(component.name))


def components_table(trainings: ReferenceTrainings, level: float) -> Table | None:
    """One row per component: its SD in Dice, interval, and share of the variance of one score."""
    found = components(trainings)
    if found is None:
        return None
    total = sum(component.variance.value for component in found)
    rows: list[Record] = [_component(component, total, level) for component in found]
    columns = (
        Column("component", "component"),
        Column("what it says", "meaning"),
        Column("levels", "levels"),
        Column("SD of Dice", "sd", "{:.3f}"),
        Column(f"{level:.0%} interval", ("low", "high"), "{:.3f} to {:.3f}"),
        Column("share of the variance of one score", "share", "{:.1%}"),
    )
    kinds = " and ".join(f"by {kind}" for kind in trainings.cells)
    note = (
        f"A mixed model with crossed effects, fitted by REML (statsmodels) to the "
        f"{rows[-1]['levels']} scores of {trainings.trainings} trainings, {kinds}, each kind with "
        "a mean of its own. Intervals after Satterthwaite, from the curvature of the likelihood; "
        "none where the records do not bound a component. The model takes every training to vary "
        "alike, which they do not quite: the SD between seeds differs between draws."
    )
    return Table(f"Components of variance: {trainings.name}.", rows, columns, (note,))


def _component(component: Component, total: float, level: float) -> Record:
    low, high = component.interval(level) or (None, None)
    return {
        "component": component.name,
        "meaning": MEANINGS[component.name],
        "levels": component.levels,
        "sd": component.sd,
        "low": low,
        "high": high,
        "share": component.variance.value / total,
    }


def between_splits_table(trainings: ReferenceTrainings) -> Table | None:
    """How far the means of draws and of folds lie apart, beside what patients, slices and seeds
    alone would make of it. None where no kind has two splits, or a patient is unknown.
    """
    if not trainings.patients_known:
        return None
    made = (_between(trainings, kind) for kind in KINDS if kind in trainings.cells)
    rows = [row for row in made if row]
    if not rows:
        return None
    columns = (
        Column("split", "kind", "by {}"),
        Column("draws or folds", "splits"),
        Column("patients tested by one", "patients", "{:.0f}"),
        Column("means, lowest to highest", ("low", "high"), "{:.3f} to {:.3f}"),
        Column("SD of means", "sd", "{:.3f}"),
        Column("from patients and slices", "sd_patients", "{:.3f}"),
        Column("from seeds", "sd_seeds", "{:.3f}"),
        Column("from both", "sd_expected", "{:.3f}"),
    )
    note = (
        "SD of means: of the mean Dice of draws or of folds. Beside it the SD that they would have "
        "if nothing but their patients, slices and seeds differed: from the spread between the "
        "patients of each, and between its seeds. An SD of so few means is itself uncertain."
    )
    title = f"Between draws, and between folds: {trainings.name}."
    kept = tuple(column.heading for column in columns if column.source != ("low", "high"))
    return Table(title, rows, columns, (note,), kept)


def _between(trainings: ReferenceTrainings, kind: str) -> dict[str, object] | None:
    """One kind of split; None with one split of it, or a test set of one patient."""
    cell = trainings.cells[kind]
    by_slice = reduced(cell, DICE).by_slice.reset_index()
    parts = [part for _, part in by_slice.groupby("split_id")]
    patients = [part["patient_id"].nunique() for part in parts]
    if len(parts) < 2 or min(patients) < 2:
        return None
    means = [
        clustered_mean(part["value"].to_numpy(dtype=float), part["patient_id"].tolist())
        for part in parts
    ]
    values = [estimate.value for estimate in means]
    from_patients = float(np.mean([estimate.variance.value for estimate in means]))
    spread = between_seeds(trainings.cells.values(), DICE)
    shares = 1 / cell.runs.groupby("split_id")["seed"].nunique().clip(lower=1)
    from_seeds = spread.value * float(shares.mean()) if spread else None
    return {
        "kind": kind,
        "splits": len(parts),
        "patients": float(np.mean(patients)),
        "low": min(values),
        "high": max(values),
        "sd": float(np.std(values, ddof=1)),
        "sd_patients": math.sqrt(from_patients),
        "sd_seeds": None if from_seeds is None else math.sqrt(from_seeds),
        "sd_expected": None if from_seeds is None else math.sqrt(from_patients + from_seeds),
    }
