"""What models mark on slices of a tumour, of another one, or of none: one row for each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark.data.slices import LABELS, NO_TUMOUR
from benchmark.judge.reference import Tolerances
from benchmark.judge.statistics.estimate import clustered_mean, clustered_share, too_few
from benchmark.judge.tables import Column, Table, missing

UPPER = 0.9  # the quantile of the marked areas that stands beside their median
MARKED = (
    "marked: slices on which anything is outlined, however little; its interval has patients as "
    "the unit. area: of these slices, median and 90th percentile."
)
OVERLAP = (
    "touched: slices whose mark overlaps the truth by a pixel or more. outside: share of all that "
    "is marked which lies outside the truth. Dice: mean over the slices, whichever tumour it is."
)
IN_TRAINING = (
    "in training: whether a model was trained, or stopped early, on the slice or on others of its "
    "patient; what is marked there says nothing of new patients. It is not known where the run's "
    "split, its slices or the patient are not."
)
UNRELIABLE = (
    "{} of {} slices show much more, or much less, of a patient than those trained on, by their "
    "pixel size: what is marked there is unreliable (note in measures.csv)."
)


def marked_tables(measures: pd.DataFrame, rules: Tolerances) -> list[Table]:
    """Summarise marked slices by what they show and by what of them was seen in training.

    measures: a row per slice, as `inference.marked_slices` gives them. The first table says how
    often and how much is marked, and on how many slices that is unreliable, and its records hold
    every number; the second, where some slice
    has a truth, how that overlaps. A share or a mean has an interval where the slices and their
    patients are as many as the rules ask, all patients known.
    """
    order = [*LABELS.values(), NO_TUMOUR]
    groups = measures.groupby(["shows", "in_training"], sort=True)
    parts = sorted(groups, key=lambda group: order.index(group[0][0]))
    records = [_record(shows, told, part, rules) for (shows, told), part in parts]
    interval = f"{rules.contrasts.level:.0%} interval"
    part_of = (Column("slice shows", "shows"), Column("in training", "in_training"))
    marked = (
        *part_of,
        Column("slices", "slices"),
        Column("patients", "patients"),
        Column("marked", ("marked_share", "marked"), "{:.0%} ({})"),
        Column(interval, ("marked_low", "marked_high"), "{:.0%} to {:.0%}"),
        Column("area, mm2", ("area_mm2_median", "area_mm2_upper"), "{:.0f}, {:.0f}"),
    )
    overlap = (
        *part_of,
        Column("touched", "touched_share", "{:.0%}"),
        Column("outside", "outside_share", "{:.0%}"),
        Column("Dice", "dice_mean", "{:.3f}"),
        Column(interval, ("dice_low", "dice_high"), "{:.2f} to {:.2f}"),
    )
    seen = () if set(measures["in_training"]) == {"not seen"} else (IN_TRAINING,)
    few = sorted({record["no_interval"] for record in records} - {""})
    why = (f"No interval: {'; '.join(few)}.",) if few else ()
    doubted = int((measures["note"] != "").sum())
    doubt = (UNRELIABLE.format(doubted, len(measures)),) if doubted else ()
    tumours = [record for record in records if not missing(record["dice_mean"])]
    tables = [
        Table(
            "What is marked, by what a slice shows", records, marked, (MARKED, *doubt, *seen, *why)
        ),
        Table("How that overlaps the truth", tumours, overlap, (OVERLAP,)),
    ]
    return tables if tumours else tables[:1]


def _record(shows: str, told: str, part: pd.DataFrame, rules: Tolerances) -> dict[str, Any]:
    """One row of numbers from the rows of its slices; what cannot be said is None."""
    marked = part["tumour_found"].to_numpy(bool)
    areas = part.loc[marked, "area_mm2"].to_numpy(float)
    tumours = part[part["truth_mm2"] > 0]
    unknown = part["patient_id"].isna().any()
    patients: Sequence[str | None] = part["patient_id"].tolist()
    why = "patients are not all known" if unknown else too_few(patients, rules.intervals)
    bounds: dict[str, Any] = dict.fromkeys(("marked_low", "marked_high", "dice_low", "dice_high"))
    if not why:
        known = [str(patient) for patient in patients]
        level = rules.contrasts.level
        _, bounds["marked_low"], bounds["marked_high"] = clustered_share(marked, known, level)
        if len(tumours) == len(part):  # all show a tumour, or none does
            dice = clustered_mean(part["dice"].to_numpy(float), known).interval(level)
            bounds["dice_low"], bounds["dice_high"] = max(dice[0], 0.0), min(dice[1], 1.0)
    return {
        "shows": shows,
        "in_training": told,
        "slices": len(part),
        "patients": None if unknown else len(set(patients)),
        "marked": int(marked.sum()),
        "marked_share": float(marked.mean()),
        "area_mm2_median": float(np.median(areas)) if len(areas) else None,
        "area_mm2_upper": float(np.quantile(areas, UPPER)) if len(areas) else None,
        "outside_share": float(part["outside_mm2"].sum() / areas.sum()) if len(areas) else None,
        "touched_share": float((tumours["covered"] > 0).mean()) if len(tumours) else None,
        "dice_mean": float(tumours["dice"].mean()) if len(tumours) else None,
        **bounds,
        "no_interval": why,
    }
