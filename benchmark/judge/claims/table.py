"""All claims judged under each set of terms that was run, as a table each. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.judge.cells import Cell, Panel
from benchmark.judge.claims.evidence import (
    Finding,
    GridEvidence,
    GridPoint,
    Reading,
    grid_evidence,
    name_of,
)
from benchmark.judge.claims.power_table import GRID, POWER, power_in_words, runs_hash
from benchmark.judge.claims.predicates import CLAIMS
from benchmark.judge.reference import Claim, Reference, Tolerances
from benchmark.judge.statistics.contrast import DICE, common, mean
from benchmark.judge.tables import Column, Table

COLUMNS = (
    Column("the thesis says", "statement"),
    Column("section", "section"),
    Column("id", "claim"),
    Column("our reading", "reading"),
    Column("verdict", "standing"),
    Column("if alpha was swapped", "standing_if_swapped"),
    Column("measured, with 95% interval", "measured"),
    Column("cells run", "cells"),
    Column("power at hand: confirm / contradict", "power_at_hand"),
    Column("power of the whole grid", "power_of_grid"),
    Column("why", "why"),
)
ESSENTIAL = ("the thesis says", "verdict", "measured, with 95% interval", "why")
SWAPPED = (
    "If alpha was swapped: the verdict if the thesis's alpha weighed false positives, as MONAI's "
    "alpha does, and not false negatives."
)


@dataclass(frozen=True)
class JudgedClaim:
    """One claim on one panel, under alpha as the thesis writes it and as MONAI's loss takes it."""

    claim: Claim
    text: Finding
    swapped: Finding


def judge_claims(panel: Panel, reference: Reference, tolerances: Tolerances) -> list[JudgedClaim]:
    """Judge every claim on a panel; both readings of alpha come from the same trainings."""
    text, swapped = (grid_evidence(panel, reading, reference, tolerances) for reading in Reading)
    return [
        JudgedClaim(claim, CLAIMS[claim.id](text), CLAIMS[claim.id](swapped))
        for claim in reference.claims
    ]


def on_its_terms(panel: Panel, reference: Reference, tolerances: Tolerances) -> bool:
    """True for the thesis's slices and protocol at any size and precision, with its arm run."""
    first = panel.runs.iloc[0]
    return bool(
        first["dataset_id"] == reference.dataset_id
        and first["protocol_hash"] == tolerances.protocol_hash
        and not first["phantom"]
        and (panel.runs["arm"] == reference.best_cell.arm).any()
    )


def claims_table(
    panel: Panel, rows: Sequence[JudgedClaim], reference: Reference, tolerances: Tolerances
) -> Table:
    """One row per claim; below, the best cell chosen on validation beside the best on test."""
    evidence = grid_evidence(panel, Reading.TEXT, reference, tolerances)
    runs = runs_hash(evidence)
    records = [
        {
            "claim": row.claim.id,
            "section": row.claim.section,
            "statement": row.claim.statement,
            "reading": tolerances.claims.readings[row.claim.id],
            "standing": row.text.standing.value,
            "standing_if_swapped": row.swapped.standing.value,
            "measured": row.text.measured,
            "cells": row.text.cells,
            "power_at_hand": power_in_words(row.claim.id, tolerances, runs=runs),
            "power_of_grid": power_in_words(row.claim.id, tolerances, design=GRID),
            "why": row.text.why,
        }
        for row in rows
    ]
    notes = (
        SWAPPED,
        *([POWER] if any(row["power_at_hand"] or row["power_of_grid"] for row in records) else []),
        *best_cells(evidence),
        *filter(None, [evidence.spreads(DICE).note]),
    )
    return Table(f"The thesis's claims on {panel.title}.", records, COLUMNS, notes, ESSENTIAL)


def best_cells(evidence: GridEvidence) -> list[str]:
    """Which cell is best by validation and which by test Dice, by their difference from the printed
    one on the splits of the two: so no run of one cell takes a split from another.

    Nothing where the printed cell was not run, no other meets it, or a validation Dice is unknown.
    """
    of_cells = {
        point: (_val_dice(printed), _val_dice(cell), mean(printed, DICE), mean(cell, DICE))
        for point, (printed, cell) in _beside_the_printed(evidence).items()
    }
    ahead = {point: val - base for point, (base, val, _, _) in of_cells.items()}
    if len(of_cells) < 2 or any(map(math.isnan, ahead.values())):  # max of NaN hangs on the order
        return []

    def words(point: GridPoint) -> str:
        _, _, base, test = of_cells[point]
        beside = f" ({name_of(evidence.printed)} there: {base:.4f})"
        return f"{name_of(point)}, {test:.4f}{'' if point == evidence.printed else beside}"

    by_val = max(ahead, key=lambda point: (ahead[point], point))
    by_test = max(of_cells, key=lambda point: (of_cells[point][3] - of_cells[point][2], point))
    sentence = (
        f"Best of {len(of_cells)} cells chosen by validation Dice, with its test Dice: "
        f"{words(by_val)}; chosen by test Dice, which is optimistic: {words(by_test)}."
    )
    return [sentence]


def _beside_the_printed(evidence: GridEvidence) -> dict[GridPoint, list[Cell]]:
    """The printed cell and each cell, on the splits of the two, where there are some."""
    printed = evidence.best
    if printed is None or "fit.val_dice" not in printed.runs:
        return {}
    pairs = {point: common([printed, cell]) for point, cell in evidence.cells.items()}
    return {point: pair for point, pair in pairs.items() if pair[0].splits}


def _val_dice(cell: Cell) -> float:
    return float(pd.to_numeric(cell.runs["fit.val_dice"], "coerce").mean())
