"""What a run's scores come to: one row of numbers from one row per slice. Pure."""

from __future__ import annotations

import pandas as pd

FURTHER = (  # number, column, of which slices, how: a missed tumour stays in every mean over all
    ("nsd_1mm_mean", "nsd_1mm", "all", "mean"),
    ("nsd_2mm_mean", "nsd_2mm", "all", "mean"),
    ("hd95_mm_mean", "hd95_mm", "all", "mean"),
    ("hd95_mm_median", "hd95_mm", "all", "median"),
    ("hd95_mm_mean_detected", "hd95_mm", "detected", "mean"),
    ("assd_mm_mean", "assd_mm", "all", "mean"),
    ("assd_mm_median", "assd_mm", "all", "median"),
    ("assd_mm_mean_detected", "assd_mm", "detected", "mean"),
    ("core_sensitivity_mean", "core_sensitivity", "all", "mean"),
)
DECIMALS = 9  # far below what a measure means, far above where two processors differ


def summarise(scores: pd.DataFrame) -> dict[str, float | int]:
    """Mean, SD (n - 1) and median Dice over slices, mean over patients, misses, and `FURTHER`.

    A tumour is missed where no pixel of it was found; the detected ones are the others. What cannot
    be said is NaN; every number is rounded to `DECIMALS`. Scores written before the columns of
    `FURTHER` were measured give none of its numbers and no missed_rate, so their records still hold
    what they come to.
    """
    dice = scores["dice"]
    tumour = scores["tp"] + scores["fn"] > 0
    missed = tumour & (scores["tp"] == 0)
    detected = tumour & ~missed
    named = scores if scores["patient_id"].notna().all() else scores.iloc[:0]
    by_patient = named.groupby("patient_id")["dice"].mean()
    slices = {"all": scores, "detected": scores[detected]}
    measured = [row for row in FURTHER if row[1] in scores]
    further = {name: float(slices[of][column].agg(how)) for name, column, of, how in measured}
    rate = float(missed.sum() / tumour.sum()) if tumour.any() else float("nan")
    numbers: dict[str, float | int] = {
        "n": len(scores),
        "dice_mean": float(dice.mean()),
        "dice_sd": float(dice.std(ddof=1)) if len(dice) > 1 else float("nan"),
        "dice_median": float(dice.median()),
        "dice_mean_detected": float(dice[detected].mean()),
        "missed": int(missed.sum()),
        "patients": len(by_patient),
        "dice_mean_by_patient": float(by_patient.mean()),
        "sensitivity_mean": float(scores["sensitivity"].mean()),
        "precision_mean": float(scores["precision"].mean()),
        **({"missed_rate": rate, **further} if further else {}),
    }
    return {name: n if isinstance(n, int) else round(n, DECIMALS) for name, n in numbers.items()}
