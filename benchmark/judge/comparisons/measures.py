"""Measures beyond Dice, by tumour size, and the sizes an arm reads off against the truth's. Pure.

A missed tumour never leaves a mean: it counts with Dice and NSD 0, the image's diagonal as
its distance, and size 0. The median and the mean over detected tumours stand beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from benchmark.judge.cells import Cell, Panel
from benchmark.judge.comparisons.runs import CLICK
from benchmark.judge.reference import Sizes
from benchmark.judge.statistics.estimate import clustered_mean
from benchmark.judge.tables import Table, between, digits

LIMITS = 1.96  # SDs to each side of the bias, 95 % of normal differences: Bland & Altman, Lancet 327 (1986) 307
THIRDS = ("small", "middle", "large")  # of the tumours, by `Sizes`
EACH_ONCE = "Every slice counts once, averaged over the seeds that tested it."
COLUMNS = ("nsd_1mm", "nsd_2mm", "hd95_mm", "assd_mm")
SIZES = {
    "area, mm2": "mm2",
    "longest diameter, mm": "diameter_mm",
    "its perpendicular, mm": "perpendicular_mm",
}


def measured(cell: Cell) -> bool:
    """True where all runs of a cell have the measures; older ones get them by rescoring."""
    names = [
        *COLUMNS,
        *(f"{side}_{of}" for of in SIZES.values() for side in ("truth", "predicted")),
    ]
    return all(name in cell.rows and cell.rows[name].notna().all() for name in names)


def by_size(cell: Cell, sizes: Sizes) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of a cell, all and by thirds of the truth's area, where there are any.

    A slice without a tumour is in "all" alone.
    """
    small, large = sizes.edges_mm2
    area = cell.rows["truth_mm2"]
    groups = {
        "all": area >= 0,
        f"under {small:g} mm2": (area > 0) & (area < small),
        f"{small:g} to {large:g} mm2": (area >= small) & (area < large),
        f"{large:g} mm2 and more": area >= large,
    }
    for name, inside in groups.items():
        if inside.any():
            yield name, cell.rows[inside]


def thirds(truth_mm2: pd.Series[float], sizes: Sizes) -> pd.Series[str]:
    """Each area as small, middle or large (an ordered category); NaN without a tumour. A limit is
    of the larger.
    """
    ends = [0.0, *sizes.edges_mm2, float("inf")]
    found = pd.cut(truth_mm2.where(truth_mm2 > 0), ends, right=False, labels=list(THIRDS))
    return pd.Series(found, index=truth_mm2.index)


def _table(
    panel: Panel, sizes: Sizes, of: Callable[[pd.DataFrame], list[dict[str, object]]]
) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "arm": cell.name,
                "params": cell.params,
                "click": cell.needs_click,
                "tumours": name,
                **row,
            }
            for cell in panel.cells
            if measured(cell)
            for name, rows in by_size(cell, sizes)
            for row in of(rows)
        ]
    )


def boundaries_table(panel: Panel, sizes: Sizes) -> Table:
    """Overlap, boundary and misses of every cell, over the slices of all its runs."""
    numbers = _table(panel, sizes, _boundaries)
    shown = pd.DataFrame(
        {
            "arm": _named(numbers),
            "tumours": numbers["tumours"],
            "slices": numbers["slices"],
            "missed": [f"{x:.1%}" for x in numbers["missed"]],
            "Dice": digits(numbers["dice_mean"], 3),
            "median": digits(numbers["dice_median"], 3),
            "detected": digits(numbers["dice_detected"], 3),
            "NSD 1 mm": digits(numbers["nsd_1mm_mean"], 3),
            "NSD 2 mm": digits(numbers["nsd_2mm_mean"], 3),
            **{
                f"{word}, mm: mean, median, detected": _three(numbers, name)
                for word, name in (("HD95", "hd95_mm"), ("ASSD", "assd_mm"))
            },
        }
    )
    note = "missed: no pixel of the tumour was found; detected: mean over the others. Definitions: docs/measures.md."
    essential = (
        "arm",
        "tumours",
        "slices",
        "missed",
        "Dice",
        "median",
        "detected",
        "NSD 1 mm",
        "NSD 2 mm",
    )
    notes = (note, EACH_ONCE, *_left_out(panel))
    return Table(f"Measures by tumour size, {panel.title}.", numbers, shown, notes, essential)


def _left_out(panel: Panel) -> list[str]:
    names = [cell.name for cell in panel.cells if not measured(cell)]
    return (
        [
            f"Left out, for their runs lack these measures until they are rescored: {', '.join(names)}."
        ]
        if names
        else []
    )


def by_slice(values: pd.Series[float], rows: pd.DataFrame) -> pd.Series[float]:
    """A column of a cell's rows, each slice on each split averaged over its seeds, by split, slice
    and patient.
    """
    of = rows.loc[values.index]
    return values.groupby([of["split_id"], of["slice_id"], of["patient_id"]], dropna=False).mean()


def _boundaries(rows: pd.DataFrame) -> list[dict[str, object]]:
    found = rows["tp"] > 0  # of a slice without a tumour neither is true, and it stays in the means
    missed = (~found)[rows["tp"] + rows["fn"] > 0]
    row: dict[str, object] = {"slices": len(by_slice(rows["dice"], rows))}
    row["missed"] = float(by_slice(missed, rows).mean())
    for name in ("dice", *COLUMNS):
        values, detected = by_slice(rows[name], rows), by_slice(rows.loc[found, name], rows)
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
    numbers = _table(panel, sizes, agreement)
    unit = [0 if name == "area, mm2" else 1 for name in numbers["quantity"]]

    def cells(*names: str) -> list[str]:
        rows = zip(numbers[list(names)].to_dict("records"), unit, strict=True)
        if len(names) == 1:
            return [digits([row[names[0]]], n, sign=True)[0] for row, n in rows]
        return [between([row[names[0]]], [row[names[1]]], n, sign=True)[0] for row, n in rows]

    shown = pd.DataFrame(
        {
            "arm": _named(numbers),
            "tumours": numbers["tumours"],
            "quantity": numbers["quantity"],
            "truth, mean": [digits([x], n)[0] for x, n in zip(numbers["truth"], unit, strict=True)],
            "bias": cells("bias"),
            "95% interval": cells("low", "high"),
            "limits of agreement": cells("lower_limit", "upper_limit"),
        }
    )
    note = "The interval is around the bias, with patients as the unit; variation between trainings is not included."
    title = f"Sizes against the truth (Bland-Altman), {panel.title}."
    return Table(title, numbers, shown, (note, EACH_ONCE, *_left_out(panel)))


def agreement(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Bias and limits of agreement of each of `SIZES` over a cell's rows; see `agreement_table`."""
    found = []
    for name, of in SIZES.items():
        difference = rows[f"predicted_{of}"] - rows[f"truth_{of}"]
        once = by_slice(difference, rows)
        bias, sd = float(once.mean()), float(difference.std(ddof=1))
        half = _half_width(once)
        found.append(
            {"quantity": name, "slices": len(once),
             "truth": by_slice(rows[f"truth_{of}"], rows).mean(), "bias": bias,
             "low": bias - half, "high": bias + half,
             "lower_limit": bias - LIMITS * sd, "upper_limit": bias + LIMITS * sd}
        )  # fmt: skip
    return found


def _half_width(by_slice: pd.Series[float]) -> float:
    """Of the interval around a mean over slices; NaN without two patients, all known."""
    patients = by_slice.index.get_level_values("patient_id")
    if patients.isna().any() or patients.nunique() < 2:
        return float("nan")
    return clustered_mean(by_slice.to_numpy(dtype=float), patients.tolist()).half_width(0.95)


def _named(numbers: pd.DataFrame) -> list[str]:
    return [
        f"{name} {CLICK}" if click else name
        for name, click in zip(numbers["arm"], numbers["click"], strict=True)
    ]


def _three(numbers: pd.DataFrame, name: str) -> list[str]:
    """Mean, median and mean over the detected of one distance."""
    columns = [digits(numbers[f"{name}_{kind}"], 1) for kind in ("mean", "median", "detected")]
    return [", ".join(value or "-" for value in three) for three in zip(*columns, strict=True)]
