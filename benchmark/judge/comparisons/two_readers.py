"""How well two readers agree, in Dice, area and diameters, and where they differ most. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd

from benchmark.judge.cells import Panel
from benchmark.judge.comparisons.measures import SIZES, THIRDS, in_unit, measured, thirds
from benchmark.judge.comparisons.patients import LOW
from benchmark.judge.comparisons.reference_trainings import KINDS, ReferenceTrainings
from benchmark.judge.comparisons.second_reader import AgainstReader, SecondReading, firm
from benchmark.judge.reference import Sizes
from benchmark.judge.statistics.estimate import Estimate, clustered_mean
from benchmark.judge.statistics.limits_of_agreement import LIMITS, Agreement, agreement
from benchmark.judge.tables import Column, Record, Table

LOWEST = 0.05  # quantile
MOST = 10  # slices named
BETWEEN = "second reader against reader 1"
WITHIN = "second reading against itself"


def readers_table(reading: SecondReading, sizes: Sizes, level: float) -> Table:
    """The second reader's Dice against reader 1, over all slices and by tumour size; and that of
    two outlines of one slice within the second reading.
    """
    scores, once = reading.scores, reading.within[reading.within["variant"] == 1]
    third = thirds(scores["truth_mm2"], sizes)
    parts = {(BETWEEN, "all"): scores}
    parts |= {(BETWEEN, name): scores[third == name] for name in THIRDS}
    parts |= {(WITHIN, "all"): once}
    records = [
        {"readers": readers, "tumours": tumours, **_agreement(part, level)}
        for (readers, tumours), part in parts.items()
        if len(part)
    ]
    interval = f"{level:.0%} interval"
    columns = (
        Column("readers", "readers"),
        Column("tumours", "tumours"),
        Column("slices", "slices"),
        Column("patients", "patients"),
        Column("mean Dice", "dice", "{:.3f}"),
        Column(interval, ("low", "high"), "{:.3f} to {:.3f}"),
        Column("median", "median", "{:.3f}"),
        Column("5th percentile", "lowest", "{:.3f}"),
        Column("mean over patients", "of_patients", "{:.3f}"),
        Column(f"below {LOW:g}", "low_slices"),
        Column("HD95, mm: median", "hd95_mm", "{:.1f}"),
    )
    small, large = sizes.edges_mm2
    note = (
        f"Reader 1: Cheng's outlines. Small is under {small:g} mm2 of them, large {large:g} mm2 "
        "and more. The interval has patients as the unit. Against itself: slices that the second "
        "source has twice, one outline against another; by whose hands is not known."
    )
    essential = ("readers", "tumours", "slices", "mean Dice", interval, "5th percentile")
    title = "Two readers: a second reading of the same slices."
    return Table(title, records, columns, (note,), essential)


def estimated(scores: pd.DataFrame) -> Estimate | None:
    """The mean Dice of slices with patients as the unit; None of one patient."""
    patients = scores["patient_id"].astype(str).tolist()
    if len(set(patients)) < 2:
        return None
    return clustered_mean(scores["dice"].to_numpy(dtype=float), patients)


def two_readers_in_words(reading: SecondReading, level: float) -> str:
    """How well the two agree, in a sentence, and what is not known of the second."""
    found = _agreement(reading.scores, level)
    interval = (
        ""
        if found["low"] is None
        else (f"{level:.0%} interval {found['low']:.3f} to {found['high']:.3f}, ")
    )
    return (
        f"Two readers agree at a mean Dice of {found['dice']:.3f} ({interval}median "
        f"{found['median']:.3f}; {found['slices']} slices of {found['patients']} patients): "
        "Cheng's outlines and those of BRISC 2025, of which it is not known who drew them and "
        "whether they saw the first."
    )


def _agreement(scores: pd.DataFrame, level: float) -> Record:
    found, dice = estimated(scores), scores["dice"]
    low, high = found.interval(level) if found else (None, None)
    return {
        "slices": len(scores),
        "patients": scores["patient_id"].nunique(),
        "dice": float(dice.mean()),
        "low": low,
        "high": high,
        "median": float(dice.median()),
        "lowest": float(dice.quantile(LOWEST)),
        "of_patients": float(dice.groupby(scores["patient_id"]).mean().mean()),
        "low_slices": int((dice < LOW).sum()),
        "hd95_mm": float(scores["hd95_mm"].median()),
    }


def sizes_table(
    panel: Panel, rows: Sequence[AgainstReader], reading: SecondReading, level: float
) -> Table | None:
    """Bland and Altman's bias and limits of agreement of area and diameters against reader 1: of
    each cell that a verdict may rest on, beside the second reader's on the same slices.

    The bias is over slices, each averaged over its trainings; limits are of single outlines; both
    have patients as the unit. None where no cell has areas and diameters.
    """
    records = [
        record
        for row in firm(rows)
        if row.difference and measured(row.cell)
        for record in _sizes_of(row, reading, level)
    ]
    if not records:
        return None
    interval = f"{level:.0%} interval"
    columns = (
        Column("arm", "arm"),
        Column("quantity", "quantity"),
        Column("slices", "slices"),
        Column("reader 1, mean", in_unit("truth")),
        Column("bias", in_unit("bias", sign="+")),
        Column(interval, in_unit("low", "high", sign="+")),
        Column("limits of agreement", in_unit("lower", "upper", sign="+")),
        Column("second reader's bias", in_unit("reader_bias", sign="+")),
        Column("reader's interval", in_unit("reader_low", "reader_high", sign="+")),
        Column("reader's limits", in_unit("reader_lower", "reader_upper", sign="+")),
    )
    note = (
        "Bias: outlined minus reader 1's, with patients as the unit; variation between trainings "
        f"is not in its interval. Limits: {LIMITS:g} SD of a single outline to each side, from its "
        "variance between and within patients (Bland and Altman 2007)."
    )
    essential = ("arm", "quantity", "bias", interval, "limits of agreement",
                 "second reader's bias", "reader's limits")  # fmt: skip
    title = f"Sizes between readers and of networks (Bland-Altman), {panel.title}."
    return Table(title, records, columns, (note,), essential)


def _sizes_of(row: AgainstReader, reading: SecondReading, level: float) -> Iterator[Record]:
    """Each of `SIZES` for one cell and for the reader on its slices."""
    tested = row.cell.rows
    own = reading.scores[reading.scores["slice_id"].isin(tested["slice_id"])]
    for quantity, of in SIZES.items():
        arm, reader = (agreeing(scores, of) for scores in (tested, own))
        yield {
            "arm": row.cell.name,
            "params": row.cell.params,
            "quantity": quantity,
            "slices": len(own),
            "truth": float(own[f"truth_{of}"].mean()),
            **_numbers(arm, level),
            **{f"reader_{name}": value for name, value in _numbers(reader, level).items()},
        }


def agreeing(scores: pd.DataFrame, of: str) -> Agreement:
    """Outlined minus reader 1's, of one size."""
    less = scores[f"predicted_{of}"] - scores[f"truth_{of}"]
    patients, slices = scores["patient_id"].tolist(), scores["slice_id"].tolist()
    return agreement(less.to_numpy(dtype=float), patients, slices)


def _numbers(found: Agreement, level: float) -> dict[str, float]:
    names, ends = ("bias", "low", "high", "lower", "upper"), found.bias.interval(level)
    return dict(zip(names, (found.bias.value, *ends, *found.limits), strict=True))


def most_different(reading: SecondReading, of: Sequence[ReferenceTrainings]) -> Table:
    """The slices on which the readers agree least, with the reference cell's Dice there, averaged
    over the trainings that tested a slice, on the terms with most trainings.
    """
    worst = furthest_apart(reading, MOST)
    own = next(iter(of), None)
    by_kind = {kind: _by_slice(own, kind) for kind in own.cells} if own else {}
    records = [
        {**row, **{f"dice_{kind}": by_kind[kind].get(row["slice_id"]) for kind in by_kind}}
        for row in worst.to_dict("records")
    ]
    columns = (
        Column("slice", "slice_id"),
        Column("patient", "patient_id"),
        Column("reader 1, mm2", "truth_mm2", "{:.0f}"),
        Column("second reader, mm2", "predicted_mm2", "{:.0f}"),
        Column("Dice between them", "dice", "{:.3f}"),
        *(
            Column(f"network by {kind}", f"dice_{kind}", "{:.3f}")
            for kind in KINDS
            if kind in by_kind
        ),
    )
    notes = tuple(map(partial(_correlated, reading.scores), by_kind, by_kind.values()))
    name = f" Network: {own.name}, its Dice against reader 1." if own else ""
    title = "Slices on which the two readers differ most."
    return Table(title, records, columns, (f"Lowest Dice first.{name}", *filter(None, notes)))


def furthest_apart(reading: SecondReading, most: int) -> pd.DataFrame:
    """The slices with the lowest Dice between readers, lowest first."""
    return reading.scores.sort_values(["dice", "slice_id"]).head(most)


def _by_slice(own: ReferenceTrainings, kind: str) -> pd.Series[float]:
    rows = own.by_slice
    return rows[rows["kind"] == kind].set_index("slice_id")["dice"]


def _correlated(scores: pd.DataFrame, kind: str, network: pd.Series[float]) -> str:
    """Whether slices are hard for both, in a sentence; "" where they are too few to tell."""
    both = pd.concat([scores.set_index("slice_id")["dice"], network], axis=1, join="inner")
    if len(both) < MOST:
        return ""
    r = both.rank().corr().iloc[0, 1]
    return (
        f"Over {len(both)} slices the readers' Dice and the network's by {kind} have a rank "
        f"correlation of {r:.2f} (Spearman)."
    )
