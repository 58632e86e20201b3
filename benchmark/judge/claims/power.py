"""The chance that a claim is confirmed or contradicted where it is true, and where it is not.

    python -m benchmark.judge.claims.power

judges scores drawn from `worlds` by the very predicates, for the cells, splits and seeds of the
records shipped here and for the whole grid, and writes `reference_results/power.csv`, which
`power_table` reads. It takes some minutes of one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from benchmark.judge.cells import panels
from benchmark.judge.claims.evidence import (
    ONE_SEED_EACH,
    ClaimVerdict,
    Finding,
    GridEvidence,
    Reading,
    grid_evidence,
)
from benchmark.judge.claims.power_table import FILE, GRID, USUAL, rules_hash, runs_hash
from benchmark.judge.claims.predicates import CLAIMS
from benchmark.judge.claims.table import on_its_terms
from benchmark.judge.claims.worlds import WORLDS, Design, Noise, World
from benchmark.judge.reference import Tolerances, load_reference, load_tolerances
from benchmark.judge.tables import rounded_csv
from benchmark.runs.collect import Collected, collect, reproduction_folder
from benchmark.storage.atomic import write_bytes

NOISES: Mapping[str, Noise] = MappingProxyType(
    {USUAL: Noise(), "as on the first split": Noise(training=0.023)}
)
"""Trainings as they vary on all splits at 256x256, and as on by-image-1."""
READ = ("split_id", "seed", "slice_id", "patient_id", "dice", "sensitivity", "precision",
        "truth_mm2", "nsd_1mm", "core_sensitivity")  # fmt: skip
MAY_BE_RIGHT = (0.16, 0.55)  # of small slices at 512x512: 6 of 38, of whose 18 outlines 10 look so
REPETITIONS, SEEDS, KEY = 60, 3, 20261130


def designs(collected: Collected, rules: Tolerances) -> list[Design]:
    """The cells run under each of the terms that the thesis may have had but for the size; the
    printed cell with three seeds on each split of those; and the whole grid, each cell on the
    slices and with the seeds of the printed one's first split at the size nearest the thesis's.
    """
    reference = load_reference()
    at_hand = {
        int(panel.runs["height"].iloc[0]): Design(
            f"{panel.title.rpartition('protocol ')[2]}, as run",
            _lean(grid_evidence(panel, Reading.TEXT, reference, rules)),
        )
        for panel in panels(collected)
        if on_its_terms(panel, reference, rules)
        and panel.runs["precision"].iloc[0] in rules.dice.precisions
    }
    nearest = min(at_hand, key=lambda size: abs(size - rules.dice.image_size))
    most = max(at_hand.values(), key=lambda design: len(design.printed.splits))
    five = Design(f"{most.printed.name} with {SEEDS} seeds on {len(most.printed.splits)} splits",
                  _repeated(most))  # fmt: skip
    return [*at_hand.values(), five, Design(GRID, _whole(at_hand[nearest]))]


def _lean(evidence: GridEvidence) -> GridEvidence:
    """The evidence without columns that no predicate reads."""
    cells = {
        point: replace(cell, rows=cell.rows[list(READ)]) for point, cell in evidence.cells.items()
    }
    return replace(evidence, cells=cells)


def _whole(design: Design) -> GridEvidence:
    """The printed cell's trainings on its first split, at all points of the grid."""
    one = design.printed.on(splits=[min(design.printed.splits)])
    points = design.evidence.points()
    cells = {(k, a): replace(one, kernel_size=k, alpha=a) for k, a in points}
    return replace(design.evidence, cells=cells)


def _repeated(design: Design) -> GridEvidence:
    """The printed cell alone, the first training of each split `SEEDS` times, outlines right as
    often as at the thesis's size: `MAY_BE_RIGHT`.
    """
    once = design.printed.runs.drop_duplicates("split_id")
    keys = ["split_id", "seed"]
    first = design.printed.rows.merge(once[keys].astype({"seed": "int64"}), on=keys)
    runs, rows = (
        pd.concat([part.assign(seed=seed) for seed in range(SEEDS)], ignore_index=True)
        for part in (once, first)
    )
    rng, (share, often) = np.random.Generator(np.random.Philox(KEY)), MAY_BE_RIGHT
    may = rng.random(len(first)) < share
    right = np.tile(may, SEEDS) & (rng.random(len(rows)) < often)
    cell = replace(design.printed, runs=runs, rows=rows.assign(nsd_1mm=right.astype(float)))
    return replace(design.evidence, cells={design.evidence.printed: cell})


def power_of(
    world: World, design: Design, noise: Noise, repetitions: int, key: Sequence[int]
) -> dict[str, tuple[float, float]]:
    """By claim of the world, the shares of repetitions that confirm it and that contradict it.

    (0, 0) at once where the design leaves it open, whatever the scores.
    """
    seed = np.random.SeedSequence(key)
    rng = np.random.Generator(np.random.Philox(seed))
    counts, asked = {claim: [0, 0] for claim in world.claims}, list(world.claims)
    for _ in range(repetitions if asked else 0):
        evidence = world.draw(design, noise, rng)
        findings = {claim: CLAIMS[claim](evidence) for claim in asked}
        for claim, finding in findings.items():
            counts[claim][0] += finding.standing is ClaimVerdict.CONFIRMED
            counts[claim][1] += finding.standing is ClaimVerdict.CONTRADICTED
        asked = [claim for claim in asked if not _of_design(findings[claim])]
        if not asked:
            break
    return {claim: (a / repetitions, b / repetitions) for claim, (a, b) in counts.items()}


def _of_design(finding: Finding) -> bool:
    """True where which cells were run decides, and no score changes the verdict."""
    if finding.standing is ClaimVerdict.NOT_TESTABLE:
        return not finding.measured
    once = finding.why.startswith(ONE_SEED_EACH.partition("{")[0])
    return finding.standing is ClaimVerdict.UNDECIDED and once


def power_rows(
    collected: Collected, rules: Tolerances, repetitions: int, claims: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """The rows of `reference_results/power.csv`, of these claims, or of all."""
    stamp = rules_hash(rules)
    numbered = product(enumerate(designs(collected, rules)), enumerate(NOISES), enumerate(WORLDS))
    for (d, design), (n, noise), (w, world) in numbered:
        wanted = {c: t for c, t in world.claims.items() if c in claims or not claims}
        if not wanted or (n and not (design.name == GRID and "extremes-worse" in wanted)):
            continue
        world = replace(world, claims=wanted)
        found = power_of(world, design, NOISES[noise], repetitions, (KEY, d, n, w))
        for claim, (confirmed, contradicted) in found.items():
            yield {
                "claim": claim,
                "world": world.words,
                "truth": world.claims[claim].value,
                "design": design.name,
                "noise": noise,
                "confirmed": confirmed,
                "contradicted": contradicted,
                "repetitions": repetitions,
                "runs": runs_hash(design.evidence),
                "rules": stamp,
            }


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the file anew; a line for each row as it is made."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.judge.claims.power")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, metavar="N")
    parser.add_argument("--out", type=Path, default=Path(str(files("reference_results") / FILE)))
    asked = parser.parse_args(arguments)
    rows = []
    for row in power_rows(collect(reproduction_folder()), load_tolerances(), asked.repetitions):
        rows.append(row)
        shown = ("claim", "truth", "design", "noise", "confirmed", "contradicted")
        print(*(row[name] for name in shown), sep="; ", file=sys.stderr, flush=True)
    order = list(CLAIMS)
    frame = pd.DataFrame(sorted(rows, key=lambda row: order.index(row["claim"])))
    write_bytes(asked.out, rounded_csv(frame).encode())


if __name__ == "__main__":
    main()
