"""What a run's scores come to: one row of numbers from one row per slice. Pure."""

from __future__ import annotations

import pandas as pd


def summarise(scores: pd.DataFrame) -> dict[str, float | int]:
    """Mean, SD (n - 1) and median Dice over slices, the mean over patients, and the misses.

    A tumour is missed where no pixel of it was found; the detected ones are the others.
    """
    dice = scores["dice"]
    tumour = scores["tp"] + scores["fn"] > 0
    missed = tumour & (scores["tp"] == 0)
    detected = dice[tumour & ~missed]
    by_patient = scores.groupby("patient_id")["dice"].mean() if scores["patient_id"].notna().all() else None
    return {
        "n": len(scores),
        "dice_mean": float(dice.mean()),
        "dice_sd": float(dice.std(ddof=1)) if len(dice) > 1 else float("nan"),
        "dice_median": float(dice.median()),
        "dice_mean_detected": float(detected.mean()) if len(detected) else float("nan"),
        "missed": int(missed.sum()),
        "patients": 0 if by_patient is None else len(by_patient),
        "dice_mean_by_patient": float("nan") if by_patient is None else float(by_patient.mean()),
        "sensitivity_mean": float(scores["sensitivity"].mean()),
        "precision_mean": float(scores["precision"].mean()),
    }
