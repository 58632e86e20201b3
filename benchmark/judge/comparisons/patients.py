"""Dice by patient as a distribution, and three ways to average it. Pure."""

from __future__ import annotations

import pandas as pd

from benchmark.judge.comparisons.reference_trainings import ReferenceTrainings
from benchmark.judge.tables import Column, Record, Table

LOW = 0.7
"""A Dice above it is often called good overlap: Zijdenbos et al., IEEE TMI 13 (1994) 716."""
TENTH = 0.1
WORST = 5  # patients named


def means_by(trainings: ReferenceTrainings, of: str) -> pd.DataFrame:
    """Dice of each slice or of each patient, the mean over their slices; of: slice, patient.

    One row per kind of split and slice or patient: kind, patient_id, dice; of patients also slices
    and missed, the share of their tests in which nothing of the tumour was found.
    """
    if of == "slice":
        return trainings.by_slice[["kind", "patient_id", "slice_id", "dice"]]
    grouped = trainings.by_slice.groupby(["kind", "patient_id"])
    return grouped.agg(
        dice=("dice", "mean"), slices=("slice_id", "size"), missed=("missed", "mean")
    ).reset_index()


def distribution_table(trainings: ReferenceTrainings) -> Table | None:
    """Median, 10th percentile, share below `LOW` and worst, over slices and over patients; None
    where a patient is unknown.
    """
    if not trainings.patients_known:
        return None
    rows: list[Record] = [
        {"kind": kind, "of": f"{of}s", **_distribution(part["dice"])}
        for kind in trainings.cells
        for of in ("slice", "patient")
        for part in [means_by(trainings, of).query("kind == @kind")]
    ]
    columns = (
        Column("split", "kind", "by {}"),
        Column("over", "of"),
        Column("n", "n"),
        Column("mean", "mean", "{:.3f}"),
        Column("SD", "sd", "{:.3f}"),
        Column("median", "median", "{:.3f}"),
        Column("10th percentile", "tenth", "{:.3f}"),
        Column(f"below {LOW:g}", "low_share", "{:.1%}"),
        Column("lowest", "lowest", "{:.3f}"),
    )
    note = (
        "A slice is averaged over the trainings that tested it, a patient over their slices. The "
        "mean over slices is what is printed everywhere else; a patient with many slices weighs "
        "more in it."
    )
    kept = ("split", "over", "n", "mean", "median", "10th percentile", f"below {LOW:g}")
    return Table(f"Dice as a distribution: {trainings.name}.", rows, columns, (note,), kept)


def _distribution(dice: pd.Series[float]) -> dict[str, float | None]:
    return {
        "n": len(dice),
        "mean": float(dice.mean()),
        "sd": float(dice.std(ddof=1)) if len(dice) > 1 else None,
        "median": float(dice.median()),
        "tenth": float(dice.quantile(TENTH)),
        "low_share": float((dice < LOW).mean()),
        "lowest": float(dice.min()),
    }


def worst_table(trainings: ReferenceTrainings) -> Table | None:
    """The patients with the lowest mean Dice by patient, or by image where that alone was run, with
    their Dice under the other kind; None where a patient is unknown.
    """
    if not trainings.patients_known:
        return None
    kind = "patient" if "patient" in trainings.cells else "image"
    by_patient = means_by(trainings, "patient")
    other = by_patient[by_patient["kind"] != kind].set_index("patient_id")["dice"]
    own = by_patient[by_patient["kind"] == kind].sort_values(["dice", "patient_id"]).head(WORST)
    rows: list[Record] = [
        {**row, "other": other.get(row["patient_id"])} for row in own.to_dict("records")
    ]
    beside = "image" if kind == "patient" else "patient"
    columns = (
        Column("patient", "patient_id"),
        Column("slices", "slices"),
        Column(f"Dice by {kind}", "dice", "{:.3f}"),
        Column("missed", "missed", "{:.0%}"),
        *((Column(f"Dice by {beside}", "other", "{:.3f}"),) if len(other) else ()),
    )
    note = "missed: share of the tests of their slices in which no pixel of the tumour was found."
    return Table(f"The patients with the lowest Dice: {trainings.name}.", rows, columns, (note,))


def averages_table(trainings: ReferenceTrainings) -> Table | None:
    """The mean over slices, the Dice of all pixels pooled, and the mean over patients, by kind of
    split; None where a patient is unknown.
    """
    if not trainings.patients_known:
        return None
    rows: list[Record] = []
    for kind, part in trainings.by_slice.groupby("kind", sort=False):
        tp, fp, fn = (float(part[name].sum()) for name in ("tp", "fp", "fn"))
        of_patients = part.groupby("patient_id")["dice"].mean()
        rows.append(
            {
                "kind": kind,
                "slices": len(part),
                "patients": len(of_patients),
                "dice": float(part["dice"].mean()),
                "pooled": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None,
                "of_patients": float(of_patients.mean()),
            }
        )
    columns = (
        Column("split", "kind", "by {}"),
        Column("slices", "slices"),
        Column("patients", "patients"),
        Column("mean over slices", "dice", "{:.3f}"),
        Column("pooled over all pixels", "pooled", "{:.3f}"),
        Column("mean over patients", "of_patients", "{:.3f}"),
    )
    note = (
        "Pooled: 2 TP / (2 TP + FP + FN) of the pixels of all slices together, in which large "
        "tumours weigh most. The thesis's number is a mean over slices."
    )
    return Table(f"Three ways to average: {trainings.name}.", rows, columns, (note,))
