"""Cells of the thesis's grid for the tests of its claims, and the evidence that they make."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from run_records import join, table, terms

from benchmark.judge.cells import panels
from benchmark.judge.claims.evidence import GridEvidence, Reading, grid_evidence
from benchmark.runs.collect import Collected

PATIENTS = ("a", "a", "b", "b")
KERNELS, ALPHAS = (3, 5, 7, 9), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def cell(
    kernel: int, alpha: float, middle: float = 0.8, *, apart: float = 0.01, seeds: int = 2,
    swing: float = 0.0, **changes: Any,
) -> Collected:  # fmt: skip
    """Seeds `apart` from each other; each patient has a slice at middle + swing and one at - swing,
    so patients are equal and the SD over slices is swing.
    """
    means = {seed: middle + apart * (seed - (seeds - 1) / 2) for seed in range(seeds)}
    dice = {seed: [mean + swing, mean - swing] * 2 for seed, mean in means.items()}
    own = {"kernel_size": kernel, "alpha": alpha, "patients": PATIENTS}
    params = f'{{"alpha":{json.dumps(alpha)},"kernel_size":{kernel}}}'
    return table(dice, **(own | {"params": params} | changes))


def evidence_of(
    *parts: Collected, reading: Reading = Reading.TEXT, level: float | None = None
) -> GridEvidence:
    """What runs on one set of terms say; level: of the claims' intervals, where it is another."""
    reference, rules = terms()
    if level is not None:
        rules = replace(rules, claims=replace(rules.claims, level=level))
    (panel,) = panels(join(*parts) if len(parts) > 1 else parts[0])
    return grid_evidence(panel, reading, reference, rules)
