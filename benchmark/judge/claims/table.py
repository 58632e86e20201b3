"""All claims judged under each set of terms that was run, as a table each. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.judge.cells import Panel
from benchmark.judge.claims.evidence import Finding, GridEvidence, Reading, grid_evidence, name_of
from benchmark.judge.claims.predicates import CLAIMS
from benchmark.judge.reference import Claim, Reference, Tolerances
from benchmark.judge.statistics.contrast import DICE, common, mean
from benchmark.judge.tables import Column, Table

COLUMNS = (
    Column("the thesis says", "statement"),
    Column("id", "claim"),
    Column("verdict", "standing"),
    Column("if alpha was swapped", "standing_if_swapped"),
    Column("measured, with 95% interval", "measured"),
    Column("cells run", "cells"),
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
    records = [
        {
            "claim": row.claim.id,
            "section": row.claim.section,
            "statement": row.claim.statement,
            "standing": row.text.standing.value,
            "standing_if_swapped": row.swapped.standing.value,
            "measured": row.text.measured,
            "cells": row.text.cells,
            "why": row.text.why,
        }
        for row in rows
    ]
    evidence = grid_evidence(panel, Reading.TEXT, reference, tolerances)
    notes = (SWAPPED, *best_cells(evidence), *filter(None, [evidence.spreads(DICE).note]))
    return Table(f"The thesis's claims on {panel.title}.", records, COLUMNS, notes, ESSENTIAL)


def best_cells(evidence: GridEvidence) -> list[str]:
    """Which cell is best by validation and which by test Dice, on the splits all cells share."""
    points, cells = list(evidence.cells), common(list(evidence.cells.values()))
    if len(cells) < 2 or cells[0].rows.empty or "fit.val_dice" not in cells[0].runs:
        return []
    val = [float(pd.to_numeric(cell.runs["fit.val_dice"], "coerce").mean()) for cell in cells]
    if any(map(math.isnan, val)):  # max of NaN hangs on the order
        return []
    test = [mean(cell, DICE) for cell in cells]
    _, by_val = max(zip(val, points, strict=True))
    of_test, by_test = max(zip(test, points, strict=True))
    sentence = (
        f"Best of {len(cells)} cells chosen by validation Dice: {name_of(by_val)}, "
        f"test Dice {test[points.index(by_val)]:.4f}; "
        f"chosen by test Dice, which is optimistic: {name_of(by_test)}, {of_test:.4f}."
    )
    return [sentence]
