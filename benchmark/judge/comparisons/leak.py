"""The anatomy of a split's effect: what else differs, which slices and patients bring it, and
whether more neighbours in training bring more. From records and the shipped splits alone. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.registry import CHENG_DATASET_ID, cheng_registry
from benchmark.data.slices import MENINGIOMA
from benchmark.errors import BenchmarkError
from benchmark.judge.cells import Cell, size_of
from benchmark.judge.comparisons.split_effect import SplitEffect
from benchmark.judge.comparisons.stopping import BEST_EPOCH
from benchmark.judge.reference import SplitEffectRule
from benchmark.judge.statistics.estimate import Estimate, Variance, clustered_mean
from benchmark.judge.tables import Column, Ranked, Record, Table
from benchmark.protocol import load_recipe
from benchmark.runs.collect import protocol_hash, shipped_splits
from benchmark.splits.leakage import neighbours
from benchmark.splits.split import Split

FEW = 5  # patients that bring most of the difference
FEWEST_PATIENTS = 2  # of a part, for an interval
SHARE, DICE = "share", "Dice"


def differences(effect: SplitEffect) -> pd.DataFrame:
    """Dice by image minus by patient of each slice that both tested, by patient and slice.

    patient_id, slice_id, split_id (the draw that tested it), difference; neighbours (0 to 2): how
    many slices next to it were in that draw's training set, <NA> where the split or the patients
    are not known here. A slice is averaged over the trainings that tested it, as in the effect.
    """
    keys = ["patient_id", "slice_id"]
    image, patient = (
        cell.rows.groupby(keys)["dice"].mean() for cell in (effect.image, effect.patient)
    )
    draw = effect.image.rows.groupby(keys)["split_id"].min()
    data = pd.DataFrame({"split_id": draw, "difference": image - patient}).dropna().reset_index()
    own, patient_of = _splits(effect.image), _patients_of(effect.image)
    training = {name: frozenset(split.train) for name, split in own.items()}
    counts = [
        neighbours(number, patient_of, training[name]) if name in own and patient_of else pd.NA
        for number, name in zip(data["slice_id"], data["split_id"], strict=True)
    ]
    return data.assign(neighbours=pd.array(counts, dtype="Int64"))


def _splits(cell: Cell) -> dict[str, Split]:
    """The shipped splits of a cell, by name."""
    prints = dict(zip(cell.runs["split_id"], cell.runs["split_fingerprint"], strict=True))
    return {
        name: shipped_splits()[digest]
        for name, digest in prints.items()
        if digest in shipped_splits()
    }


def _patients_of(cell: Cell) -> Mapping[int, str]:
    """The patient of every slice that the cell's data set has; empty for another than Cheng's."""
    return cheng_patients() if cell.runs["dataset_id"].iloc[0] == CHENG_DATASET_ID else {}


@cache
def cheng_patients() -> Mapping[int, str]:
    """The patient of every meningioma of Cheng's data set, by slice number."""
    slices = cheng_registry().values()
    return {its.slice_id: its.patient_id for its in slices if its.label == MENINGIOMA}


def what_differs_table(effect: SplitEffect) -> Table:
    """The four things beside the leak that differ between the two kinds of split."""
    image, patient = effect.image, effect.patient
    rows: list[Record] = [
        {"what": what, "image": of(image), "patient": of(patient)}
        for what, of in (
            ("images that Nyul's histogram is fitted on", _nyul_fit),
            ("slices to train on", lambda cell: _range(cell.runs["train"])),
            ("patients in training", _patients_in_training),
            ("best epoch, mean over trainings", _best_epoch),
        )
    ]
    columns = (
        Column("beside the leak", "what"),
        Column("by image", "image"),
        Column("by patient", "patient"),
    )
    note = (
        "Of all trainings of the cell. More slices to train on favour the score by patient; fewer "
        "patients, and trainings that stopped earlier, the one by image. How much each brings "
        "to the difference is not known: they were never varied one by one. Epochs count from 0."
    )
    return Table(f"What differs beside the leak: {_terms(effect)}.", rows, columns, (note,))


def _terms(effect: SplitEffect) -> str:
    first = effect.image.runs.iloc[0]
    return f"{effect.image.name}, {size_of(first)}, {first['precision']}"


def _nyul_fit(cell: Cell) -> str | None:
    """As the shipped protocol of that name says; None for another."""
    name = cell.runs["protocol"].iloc[0]
    try:
        recipe = load_recipe(name)
    except BenchmarkError:
        return None
    same = protocol_hash(recipe.identity()) == cell.runs["protocol_hash"].iloc[0]
    return recipe.preprocess.nyul_fit if same else None


def _range(numbers: pd.Series[int]) -> Ranked | None:
    """482, or 505 to 506; None where one is not known."""
    if not len(numbers) or numbers.isna().any():
        return None
    low, high = int(numbers.min()), int(numbers.max())
    return Ranked(f"{low}" if low == high else f"{low} to {high}", low)


def _patients_in_training(cell: Cell) -> Ranked | None:
    splits, patient_of = _splits(cell), _patients_of(cell)
    if not patient_of or set(splits) != cell.splits:
        return None
    counts = [len({patient_of[number] for number in split.train}) for split in splits.values()]
    return _range(pd.Series(counts))


def _best_epoch(cell: Cell) -> Ranked | None:
    epochs = cell.runs.get(BEST_EPOCH)
    if epochs is None or epochs.isna().any():
        return None
    return Ranked(f"{epochs.mean():.1f}", float(epochs.mean()))


def has_anatomy(effect: SplitEffect) -> bool:
    """True where the difference has an interval, and more patients than bring most of it."""
    return effect.difference is not None and effect.patients > FEW


def median_difference(effect: SplitEffect) -> float:
    """Of the Dice by image minus by patient, over the slices that both tested."""
    return float(differences(effect)["difference"].median())


def anatomy_table(effect: SplitEffect, rule: SplitEffectRule) -> Table | None:
    """The difference taken apart; None without its interval, where patients may be unknown."""
    if effect.difference is None or not has_anatomy(effect):
        return None
    data = differences(effect)
    rows: list[Record] = [
        _row("mean difference", data, effect.difference.value, effect.difference, rule),
        *_driven_by(data),
        *_by_neighbours(data, rule),
    ]
    columns = (
        Column("by image minus by patient", "what"),
        Column("slices", "slices"),
        Column("patients", "patients"),
        Column("Dice", lambda row: row["value"] if row["unit"] == DICE else None, "{:+.3f}"),
        Column("share", lambda row: row["value"] if row["unit"] == SHARE else None, "{:.0%}"),
        Column("lowest to highest", ("low", "high"), "{:+.3f} to {:+.3f}"),
    )
    note = (
        f"Lowest to highest: {rule.level:.0%} intervals, but for leaving out one patient, where "
        "these are the ends over all of them. The interval of the first row is that of the table "
        "of splits; those by neighbours have patients as the unit and leave out what trainings "
        "vary by. Within patients: regression with a level for each patient, SE clustered by "
        "patient. A neighbour is the slice numbered one more or less, of the same patient, in the "
        "training set of the draw by image that tested the slice."
    )
    return Table(f"Anatomy of the leak: {_terms(effect)}.", rows, columns, (note,))


def _row(
    what: str,
    part: pd.DataFrame,
    value: float | None,
    estimate: Estimate | None = None,
    rule: SplitEffectRule | None = None,
    *,
    unit: str = DICE,
) -> dict[str, object]:
    low, high = estimate.interval(rule.level) if estimate and rule else (None, None)
    slices, patients = len(part), part["patient_id"].nunique()
    own = {"what": what, "slices": slices, "patients": patients, "value": value}
    return {**own, "low": low, "high": high, "unit": unit}


def _driven_by(data: pd.DataFrame) -> list[dict[str, object]]:
    """How the difference is spread over slices and patients."""
    total, by_patient = data["difference"].sum(), data.groupby("patient_id")["difference"]
    most = by_patient.sum().sort_values(ascending=False).head(FEW)
    of_most = data[data["patient_id"].isin(most.index)]
    sums, sizes = by_patient.sum(), by_patient.size()
    without = (total - sums) / (len(data) - sizes)
    lower = float((data["difference"] > 0).mean())
    share = float(most.sum() / total) if total else None
    one_less = _row("without one patient", data, None)
    return [
        _row("median over slices", data, float(data["difference"].median())),
        _row("mean over patients", data, float(by_patient.mean().mean())),
        _row("slices that are lower by patient", data, lower, unit=SHARE),
        _row(f"share of the {FEW} patients that bring most", of_most, share, unit=SHARE),
        {**one_less, "low": float(without.min()), "high": float(without.max())},
    ]


def _by_neighbours(data: pd.DataFrame, rule: SplitEffectRule) -> list[dict[str, object]]:
    """Mean by number of neighbours in training, and what one more brings within patients."""
    known = data[data["neighbours"].notna()]
    rows = []
    for count, part in known.groupby("neighbours"):
        enough = part["patient_id"].nunique() >= FEWEST_PATIENTS
        estimate = (
            clustered_mean(part["difference"].to_numpy(float), part["patient_id"].tolist())
            if enough
            else None
        )
        what = f"{count} neighbour{'' if count == 1 else 's'} in training"
        rows.append(_row(what, part, float(part["difference"].mean()), estimate, rule))
    beside = known["neighbours"].astype(float)
    for what, x in (
        ("each neighbour more, within patients", beside),
        ("any neighbour against none, within patients", (beside > 0).astype(float)),
    ):
        found = slope_within(x.to_numpy(), known["difference"].to_numpy(float), known["patient_id"])
        if found:
            estimate, enters = found
            rows.append(_row(what, known[enters], estimate.value, estimate, rule))
    return rows


def slope_within(
    x: NDArray[np.float64], y: NDArray[np.float64], patients: pd.Series[str]
) -> tuple[Estimate, NDArray[np.bool_]] | None:
    """Return the slope of y on x (N,) within patients, and which rows (N,) tell of it: those of
    patients in whom x varies. None where x varies in fewer than two.

    Its variance is cluster-robust by patient, times G / (G - 1) over the G patients in whom x
    varies, df G - 1 (Liang & Zeger, Biometrika 73 (1986) 13).
    """
    names = pd.Series(patients.to_numpy())
    dx, dy = (of - of.groupby(names).transform("mean") for of in map(pd.Series, (x, y)))
    varies = (dx**2).groupby(names).transform("sum") > 1e-12
    count = names[varies].nunique()
    if count < FEWEST_PATIENTS:
        return None
    squares = float(dx @ dx)
    slope = float(dx @ dy) / squares
    scores = (dx * (dy - slope * dx)).groupby(names).sum()
    variance = float(scores @ scores) / squares**2 * count / (count - 1)
    return Estimate(slope, Variance(variance, count - 1)), varies.to_numpy()
