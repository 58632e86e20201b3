"""Every finished run in tables, one per set of terms on which numbers may be compared. Pure."""

from __future__ import annotations

import pandas as pd

from benchmark.judge.cells import SAME_CELL, TERMS, title_of, with_sources
from benchmark.judge.tables import Column, Ranked, Record, Table
from benchmark.runs.collect import Collected

CONDITIONS = (*TERMS, "split_id", "split_fingerprint")  # what runs of one row agree in
CLICK = "(click)"
LEGEND = (
    f"{CLICK}: semi-automatic: it was given a pixel inside each tumour, so do not rank it with the "
    "others."
)


def named(row: Record) -> str:
    """The arm of a row as people see it: marked where it saw a click."""
    return f"{row['arm']} {CLICK}" if row["click"] else str(row["arm"])


def _spaced(params: str) -> str:
    """Parameters in JSON as words: alpha 0.5, kernel_size 5."""
    return params.strip("{}").replace('"', "").replace(":", " ").replace(",", ", ")


def _share(part: int, whole: int) -> Ranked:
    return Ranked(f"{part}/{whole}", part / max(whole, 1))


COLUMNS = (
    Column("split", "split"),
    Column("arm", named),
    Column("params", "params", _spaced),
    Column("seeds", "seeds"),
    Column("mean Dice", "dice_mean", "{:.4f}"),
    Column("SD seeds", "dice_sd", "{:.4f}"),
    Column("SD slices", "slices_sd", "{:.3f}"),
    Column("median", "dice_median", "{:.3f}"),
    Column("detected", "dice_mean_detected", "{:.3f}"),
    Column("patients", "dice_mean_by_patient", "{:.3f}"),
    Column("missed", lambda row: _share(row["missed"], row["slices"])),
    Column("parameters", "parameters"),
    Column("fit, min", "fit_minutes", "{:.1f}"),
    Column("device", "device"),
    Column("commit", "commit"),
)
ESSENTIAL = ("split", "arm", "params", "seeds", "mean Dice", "SD seeds", "median", "missed",
             "fit, min")  # fmt: skip


def runs_tables(collected: Collected) -> list[Table]:
    """One table per set of `TERMS`, its title saying which, one row per split, arm, parameters and
    source; clicked arms last.

    Records: split, arm (one that was changed with its source), params, click (bool),
    seeds, dice_mean and dice_sd (over the seeds' means; SD with n - 1, NaN for one), slices_sd,
    dice_median, dice_mean_detected and dice_mean_by_patient (means over seeds of each run's own),
    missed (slices, all runs), slices (all runs), parameters, fit_minutes (mean), device, commit (of
    the code). The order of runs changes nothing.
    """
    runs = collected.runs.sort_values("run_id")
    tables = []
    for _, group in runs.groupby(list(TERMS)):
        keys = ["split_id", "split_fingerprint", *SAME_CELL]
        cells = with_sources(group).groupby(keys)
        rows = [_row(cell) for _, cell in cells]
        notes = (LEGEND,) if any(row["click"] for row in rows) else ()
        tables.append(Table(f"Runs on {title_of(group)}.", rows, COLUMNS, notes, ESSENTIAL))
    return tables


def _row(cell: pd.DataFrame) -> dict[str, object]:
    """Summarise the runs of one arm and parameters; runs of one seed are averaged first."""
    first = cell.iloc[0]
    by_seed = cell.groupby(cell["seed"].astype(object).where(cell["seed"].notna(), "none"))
    dice = by_seed["test.dice_mean"].mean()

    def mean(column: str) -> float:
        return float(by_seed[column].mean().mean()) if cell[column].notna().any() else float("nan")

    return {
        "split": first["split_id"],
        "arm": first["arm"],
        "params": first["params"],
        "click": bool(first["needs_click"]),
        "seeds": len(dice),
        "dice_mean": float(dice.mean()),
        "dice_sd": float(dice.std(ddof=1)) if len(dice) > 1 else float("nan"),
        "slices_sd": mean("test.dice_sd"),
        "dice_median": mean("test.dice_median"),
        "dice_mean_detected": mean("test.dice_mean_detected"),
        "dice_mean_by_patient": mean("test.dice_mean_by_patient"),
        "missed": int(cell["test.missed"].sum()),
        "slices": int(cell["test.n"].sum()),
        "parameters": int(first["parameters"]),
        "fit_minutes": mean("timing.fit_seconds") / 60,
        "device": ", ".join(sorted(set(cell["device"]))),
        "commit": ", ".join(sorted(set(cell["commit"]))),
    }
