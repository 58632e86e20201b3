"""Measures beyond Dice, by tumour size, and the sizes an arm reads off against the truth's. Pure.

A missed tumour never leaves a mean: it counts with Dice and NSD 0, the image's diagonal as
its distance, and size 0. The median and the mean over detected tumours stand beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from benchmark.judge.cells import Cell, Panel
from benchmark.judge.comparisons.runs import named
from benchmark.judge.reference import Sizes
from benchmark.judge.statistics.estimate import clustered_mean
from benchmark.judge.tables import Column, Ranked, Record, Table, missing

LIMITS = 1.96
"""SDs to each side of the bias, 95 % of normal differences: Bland & Altman, Lancet (1986) 307."""
THIRDS = ("small", "middle", "large")  # of the tumours, by `Sizes`
EACH_ONCE = "Every slice counts once, averaged over the seeds that tested it."
COLUMNS = ("nsd_1mm", "nsd_2mm", "hd95_mm", "assd_mm")
AREA = "area, mm2"
SIZES = {
    AREA: "mm2",
    "longest diameter, mm": "diameter_mm",
    "its perpendicular, mm": "perpendicular_mm",
}


def measured(cell: Cell) -> bool:
    """True where all runs of a cell have the measures; older ones get them by rescoring."""
    sizes = [f"{side}_{of}" for of in SIZES.values() for side in ("truth", "predicted")]
    return all(name in cell.rows and cell.rows[name].notna().all() for name in (*COLUMNS, *sizes))


def by_size(cell: Cell, sizes: Sizes) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of a cell, all and by thirds of the truth's area, where there are any.

    A slice without a tumour is in "all" alone.
    """
    small, large = sizes.edges_mm2
    area = cell.rows["truth_mm2"]
    groups = {
        Ranked("all", -1): area >= 0,
        Ranked(f"under {small:g} mm2", 0): (area > 0) & (area < small),
        Ranked(f"{small:g} to {large:g} mm2", small): (area >= small) & (area < large),
        Ranked(f"{large:g} mm2 and more", large): area >= large,
    }
    for name, inside in groups.items():
        if inside.any():
            yield name, cell.rows[inside]


def thirds(truth_mm2: pd.Series[float], sizes: Sizes) -> pd.Series[str]:
    """Each area as small, middle or large, a limit being of the larger; NaN without a tumour."""
    ends = [0.0, *sizes.edges_mm2, float("inf")]
    named = pd.cut(truth_mm2.where(truth_mm2 > 0), ends, right=False, labels=list(THIRDS))
    return pd.Series(named, index=truth_mm2.index)


def _records(
    panel: Panel, sizes: Sizes, of: Callable[[pd.DataFrame], list[dict[str, Any]]]
) -> list[Record]:
    return [
        {"arm": cell.name, "params": cell.params, "click": cell.needs_click, "tumours": name, **row}
        for cell in panel.cells
        if measured(cell)
        for name, rows in by_size(cell, sizes)
        for row in of(rows)
    ]


def boundaries_table(panel: Panel, sizes: Sizes) -> Table:
    """Overlap, boundary and misses of every cell, over the slices of all its runs."""
    note = (
        "missed: no pixel of the tumour was found; detected: mean over the others. Definitions: "
        "docs/measures.md."
    )
    title, records = f"Measures by tumour size, {panel.title}.", _records(panel, sizes, _boundaries)
    return Table(title, records, BOUNDARIES, _notes(panel, note), ESSENTIAL)


def _notes(panel: Panel, note: str) -> tuple[str, ...]:
    left_out = ", ".join(cell.name for cell in panel.cells if not measured(cell))
    why = "Left out, for their runs lack these measures until they are rescored"
    return (note, EACH_ONCE, *([f"{why}: {left_out}."] if left_out else []))


def by_slice(values: pd.Series[float], rows: pd.DataFrame) -> pd.Series[float]:
    """Values beside a cell's rows, averaged over seeds: by split, slice and patient."""
    of = rows.loc[values.index]
    return values.groupby([of["split_id"], of["slice_id"], of["patient_id"]], dropna=False).mean()


def _boundaries(rows: pd.DataFrame) -> list[dict[str, Any]]:
    hit = rows["tp"] > 0  # never of a slice without a tumour, which cannot be missed either
    missed = (~hit)[rows["tp"] + rows["fn"] > 0]
    row: dict[str, Any] = {"slices": len(by_slice(rows["dice"], rows))}
    row["missed"] = float(by_slice(missed, rows).mean())
    for name in ("dice", *COLUMNS):
        values, detected = by_slice(rows[name], rows), by_slice(rows.loc[hit, name], rows)
        row |= {
            f"{name}_mean": values.mean(),
            f"{name}_median": values.median(),
            f"{name}_detected": detected.mean(),
        }
    return [row]


def agreement_table(panel: Panel, sizes: Sizes) -> Table:
    """Bland and Altman's bias and limits of agreement of area and diameters, predicted minus truth.

    The bias is over slices, each averaged over its seeds; its 95 % interval has patients as
    the unit and leaves out the seeds' own spread. The limits hold 95 % of single measurements.
    """
    note = (
        "The interval is around the bias, with patients as the unit; variation between trainings "
        "is not included."
    )
    title = f"Sizes against the truth (Bland-Altman), {panel.title}."
    return Table(title, _records(panel, sizes, agreement), AGREEMENT, _notes(panel, note))


def agreement(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Bias and limits of agreement of each of `SIZES` over a cell's rows; see `agreement_table`."""
    quantities = []
    for name, of in SIZES.items():
        difference = rows[f"predicted_{of}"] - rows[f"truth_{of}"]
        once = by_slice(difference, rows)
        bias, sd = float(once.mean()), float(difference.std(ddof=1))
        half = _half_width(once)
        quantity = {
            "quantity": name,
            "slices": len(once),
            "truth": by_slice(rows[f"truth_{of}"], rows).mean(),
            "bias": bias,
            "low": bias - half,
            "high": bias + half,
            "lower_limit": bias - LIMITS * sd,
            "upper_limit": bias + LIMITS * sd,
        }
        quantities.append(quantity)
    return quantities


def _half_width(by_slice: pd.Series[float]) -> float:
    """Of the interval around a mean over slices; NaN without two patients, all known."""
    patients = by_slice.index.get_level_values("patient_id")
    if patients.isna().any() or patients.nunique() < 2:
        return float("nan")
    return clustered_mean(by_slice.to_numpy(dtype=float), patients.tolist()).half_width(0.95)


def _distances(name: str) -> Callable[[Record], tuple[float, ...]]:
    """Mean, median and mean over the detected of one distance."""
    return lambda row: tuple(row[f"{name}_{kind}"] for kind in ("mean", "median", "detected"))


def _each_or_dash(values: tuple[float, ...]) -> str:
    return ", ".join("-" if missing(value) else f"{value:.1f}" for value in values)


def in_unit(*fields: str, sign: str = "") -> Callable[[Record], Ranked | None]:
    """One or both ends of a size: areas in whole mm2, lengths to 0.1 mm; None where one is NaN."""

    def shown(row: Record) -> Ranked | None:
        values = [row[name] for name in fields]
        if any(map(missing, values)):
            return None
        decimals = 0 if row["quantity"] == AREA else 1
        return Ranked(" to ".join(f"{value:{sign}.{decimals}f}" for value in values), values[0])

    return shown


BOUNDARIES = (
    Column("arm", named),
    Column("tumours", "tumours"),
    Column("slices", "slices"),
    Column("missed", "missed", "{:.1%}"),
    Column("Dice", "dice_mean", "{:.3f}"),
    Column("median", "dice_median", "{:.3f}"),
    Column("detected", "dice_detected", "{:.3f}"),
    Column("NSD 1 mm", "nsd_1mm_mean", "{:.3f}"),
    Column("NSD 2 mm", "nsd_2mm_mean", "{:.3f}"),
    Column("HD95, mm: mean, median, detected", _distances("hd95_mm"), _each_or_dash),
    Column("ASSD, mm: mean, median, detected", _distances("assd_mm"), _each_or_dash),
)
ESSENTIAL = tuple(column.heading for column in BOUNDARIES[:-2])
AGREEMENT = (
    Column("arm", named),
    Column("tumours", "tumours"),
    Column("quantity", "quantity"),
    Column("truth, mean", in_unit("truth")),
    Column("bias", in_unit("bias", sign="+")),
    Column("95% interval", in_unit("low", "high", sign="+")),
    Column("limits of agreement", in_unit("lower_limit", "upper_limit", sign="+")),
)
