"""All claims judged on all grounds, as one table per ground. Pure."""

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
    "If alpha was swapped: the verdict if the thesis's alpha weighed false positives, as MONAI's alpha does, and not "
    "false negatives."
)


@dataclass(frozen=True)
class JudgedClaim:
    """One claim on one ground: under alpha as the thesis writes it, and as MONAI's loss would take
    it.
    """

    claim: Claim
    text: Finding
    swapped: Finding


def judge_claims(panel: Panel, reference: Reference, tolerances: Tolerances) -> list[JudgedClaim]:
    """Judge every claim on the runs of one panel; both readings of alpha come from the same
    trainings.
    """
    text, swapped = (
        grid_evidence(panel, reading, reference, tolerances.claims, tolerances.sizes)
        for reading in Reading
    )
    return [
        JudgedClaim(claim, CLAIMS[claim.id](text), CLAIMS[claim.id](swapped))
        for claim in reference.claims
    ]


def on_its_terms(panel: Panel, reference: Reference, tolerances: Tolerances) -> bool:
    """True for real slices under the thesis's protocol, at any image size and precision, with a run
    of its arm.
    """
    first = panel.runs.iloc[0]
    same = (
        first["dataset_id"] == reference.dataset_id
        and first["protocol_hash"] == tolerances.protocol_hash
    )
    return bool(
        same and not first["phantom"] and (panel.runs["arm"] == reference.best_cell.arm).any()
    )


def claims_table(
    panel: Panel, rows: Sequence[JudgedClaim], reference: Reference, tolerances: Tolerances
) -> Table:
    """One row per claim; below it the best cell chosen on validation beside the best chosen on
    test.
    """
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
    chosen = best_cells(
        grid_evidence(panel, Reading.TEXT, reference, tolerances.claims, tolerances.sizes)
    )
    notes = (SWAPPED, *chosen)
    return Table(f"The thesis's claims on {panel.title}.", records, COLUMNS, notes, ESSENTIAL)


def best_cells(on: GridEvidence) -> list[str]:
    """Say which cell is best by validation Dice and which by test Dice, over the splits that all
    cells share.
    """
    names, cells = list(on.cells), common(list(on.cells.values()))
    if len(cells) < 2 or cells[0].rows.empty or "fit.val_dice" not in cells[0].runs:
        return []
    val = {
        name: float(pd.to_numeric(cell.runs["fit.val_dice"], errors="coerce").mean())
        for name, cell in zip(names, cells, strict=True)
    }
    if any(map(math.isnan, val.values())):  # max of NaN hangs on the order
        return []
    test = {name: mean(cell, DICE) for name, cell in zip(names, cells, strict=True)}
    by_val, by_test = (max(scores, key=lambda name: (scores[name], name)) for scores in (val, test))
    on_val = f"chosen by validation Dice: {name_of(by_val)}, test Dice {test[by_val]:.4f}"
    on_test = f"chosen by test Dice, which is optimistic: {name_of(by_test)}, {test[by_test]:.4f}"
    return [f"Best of {len(names)} cells {on_val}; {on_test}."]
