"""All claims judged on all grounds, as one table per ground. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.cells import Panel
from benchmark.claims import CLAIMS
from benchmark.contrast import DICE, mean
from benchmark.ground import Finding, Ground, Reading, ground, name_of
from benchmark.reference import Claim, Reference, Tolerances
from benchmark.tables import Table


@dataclass(frozen=True)
class Judged:
    """One claim on one ground: under alpha as the thesis writes it, and as MONAI's loss would take it."""

    claim: Claim
    text: Finding
    swapped: Finding


def judge_claims(panel: Panel, reference: Reference, tolerances: Tolerances) -> list[Judged]:
    """Judge every claim on the runs of one panel; both readings of alpha come from the same trainings."""
    text, swapped = (ground(panel, reading, reference, tolerances.claims, tolerances.sizes) for reading in Reading)
    return [Judged(claim, CLAIMS[claim.id](text), CLAIMS[claim.id](swapped)) for claim in reference.claims]


def on_its_terms(panel: Panel, reference: Reference, tolerances: Tolerances) -> bool:
    """True for real slices under the thesis's protocol, at any image size and precision, with a cell of its grid."""
    first = panel.runs.iloc[0]
    same = first["dataset_id"] == reference.dataset_id and first["protocol_hash"] == tolerances.protocol_hash
    return bool(same and not first["phantom"] and (panel.runs["arm"] == reference.best_cell.arm).any())


def claims_table(panel: Panel, rows: Sequence[Judged], reference: Reference, tolerances: Tolerances) -> Table:
    """One row per claim; below it the best cell chosen on validation beside the best chosen on test."""
    numbers = pd.DataFrame(
        {
            "claim": [row.claim.id for row in rows],
            "section": [row.claim.section for row in rows],
            "statement": [row.claim.statement for row in rows],
            "standing": [row.text.standing.value for row in rows],
            "standing_if_swapped": [row.swapped.standing.value for row in rows],
            "measured": [row.text.measured for row in rows],
            "cells": [row.text.cells for row in rows],
            "why": [row.text.why for row in rows],
        }
    )
    shown = numbers.drop(columns=["section", "statement"]).rename(
        columns={"standing": "verdict", "standing_if_swapped": "if alpha was swapped", "cells": "cells run"}
    )
    chosen = best_cells(ground(panel, Reading.TEXT, reference, tolerances.claims, tolerances.sizes))
    return Table(f"The thesis's claims on {panel.title}.", numbers, shown, tuple(chosen))


def best_cells(on: Ground) -> list[str]:
    """Say which cell is best by validation Dice and which by test Dice, over the trainings on the first shared split."""
    from benchmark.contrast import common

    names, cells = list(on.cells), common(list(on.cells.values()))
    if not cells or cells[0].rows.empty or "fit.val_dice" not in cells[0].runs:
        return []
    val = {name: float(cell.runs["fit.val_dice"].mean()) for name, cell in zip(names, cells, strict=True)}
    test = {name: mean(cell, DICE) for name, cell in zip(names, cells, strict=True)}
    by_val, by_test = (max(scores, key=lambda name: (scores[name], name)) for scores in (val, test))
    return [
        f"Best of {len(names)} cells chosen on validation: {name_of(by_val)}, test Dice {test[by_val]:.4f}; "
        f"chosen on test: {name_of(by_test)}, {test[by_test]:.4f} (optimistic)."
    ]
