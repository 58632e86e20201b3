"""Claims that set cells of the grid against each other: kernels, alphas, the best of them. Pure."""

from __future__ import annotations

import numpy as np

from benchmark.judge.claims.evidence import (
    ClaimVerdict,
    Finding,
    GridEvidence,
    GridPoint,
    average,
    better,
    in_words,
    judge,
    name_of,
    nearest,
    side,
)
from benchmark.judge.statistics.contrast import DICE, LOG_SD, common, mean, mean_of

CONFIRMED, CONTRADICTED, UNDECIDED, NOT_TESTABLE = ClaimVerdict
EXTREME, NEAR = (0.1, 0.9), (0.4, 0.5, 0.6)
SMALL, LARGE = (3, 5), (7, 9)


def best_cell(on: GridEvidence) -> Finding:
    """5x5, alpha 0.5 has the highest mean Dice of the 36 cells, and a spread over slices in the
    lower half of theirs.

    Contradicted as soon as a cell is better (Holm over the cells run); confirmed when all 36 were
    run, it is better than each of them, and at least half of them have no smaller SD over slices.
    """
    mine, grid = on.printed, on.spots()
    if mine not in on.cells:
        return Finding(NOT_TESTABLE, "5x5, alpha 0.5 has not been run", cells=f"0 of {len(grid)}")
    others = [spot for spot in on.cells if spot != mine]
    cells = f"{len(others) + 1} of {len(grid)}"
    found = {spot: on.contrast({mine: 1.0, spot: -1.0}, DICE) for spot in others}
    measured = nearest(found, on.rule.level)
    if beaten := better(found, on.rule.level):
        return Finding(CONTRADICTED, f"{name_of(beaten)} is better", measured, cells)
    if len(others) + 1 < len(grid):
        return Finding(
            NOT_TESTABLE,
            "not all cells have been run; none so far is shown to be better",
            measured,
            cells,
        )
    pairs = [common([on.cells[mine], on.cells[spot]]) for spot in others]
    calm = 2 * sum(mean(my, LOG_SD) <= mean(its, LOG_SD) for my, its in pairs) >= len(on.cells)
    ahead = sum(side(one, on.rule.level) > 0 for one in found.values())
    if ahead == len(found) and calm:
        return Finding(
            CONFIRMED,
            "better than every other cell, and its spread is in the lower half",
            measured,
            cells,
        )
    spread = "" if calm else "; its spread over slices is in the upper half"
    return Finding(
        UNDECIDED, f"better than {ahead} of the {len(found)} others{spread}", measured, cells
    )


def extremes_worse(on: GridEvidence) -> Finding:
    """Mean Dice of alphas 0.4, 0.5, 0.6 minus that of 0.1 and 0.9, over the kernels that have both
    extremes and 0.5.
    """
    groups = on.complete([[(k, a) for a in (*EXTREME, 0.5)] for k in on.reference.kernels])
    weights: dict[GridPoint, float] = {}
    for group in groups:
        kernel = group[0][0]
        near = [spot for spot in on.spots([kernel], NEAR) if spot in on.cells]
        weights |= average(near, 1 / len(groups)) | average(
            on.spots([kernel], EXTREME), -1 / len(groups)
        )
    cells = f"{len(weights)} of {len(on.reference.kernels) * len(EXTREME + NEAR)}"
    return judge(on, weights, cells, DICE, +1, "mean Dice, alphas near 0.5 minus extreme alphas:")


def small_kernels_mean(on: GridEvidence) -> Finding:
    """Mean Dice of kernels 3 and 5 minus that of 7 and 9, over the alphas at which all four were
    run.
    """
    return judge(on, *_by_kernel(on), DICE, +1, "mean Dice, small minus large kernels:")


def small_kernels_spread(on: GridEvidence) -> Finding:
    """SD of Dice over the test slices, kernels 3 and 5 over 7 and 9 (ratio of geometric means), at
    the same alphas.

    A training with one Dice on all slices (collapsed, say) has no log of an SD: undecided.
    """
    weights, cells = _by_kernel(on)
    dice = (on.cells[spot].rows.groupby(["split_id", "seed"])["dice"] for spot in weights)
    if any((by_run.max() == by_run.min()).any() for by_run in dice):
        return Finding(
            UNDECIDED,
            "a training has the same Dice on every slice, so no SD to compare",
            cells=cells,
        )
    return judge(
        on, weights, cells, LOG_SD, -1, "SD over slices, small kernels over large ones:", ratio=True
    )


def tversky_no_gain(on: GridEvidence) -> Finding:
    """No alpha beats 0.5 at the same kernel.

    Contradicted as soon as one does (Holm over those run); confirmed when all were run and
    simultaneous (Bonferroni) intervals put none more than `gain` above it.
    """
    pairs = on.complete([[(k, a), (k, 0.5)] for k, a in on.spots() if a != 0.5])
    total = len(on.reference.kernels) * (len(on.reference.alphas) - 1)
    cells = f"{len(pairs)} of {total}"
    found = {spot: on.contrast({spot: -1.0, middle: 1.0}, DICE) for spot, middle in pairs}
    measured = nearest(found, on.rule.level)
    if beaten := better(found, on.rule.level):
        return Finding(CONTRADICTED, f"{name_of(beaten)} beats alpha 0.5", measured, cells)
    if len(pairs) < total:
        return Finding(
            NOT_TESTABLE,
            "not all alphas have been run; none so far is shown to beat 0.5",
            measured,
            cells,
        )
    level = 1 - (1 - on.rule.level) / total
    if all(side(one, level, -on.rule.gain) > 0 for one in found.values()):
        return Finding(
            CONFIRMED, f"no alpha is better by more than {on.rule.gain}", measured, cells
        )
    return Finding(
        UNDECIDED, f"an alpha may be better by more than {on.rule.gain}", measured, cells
    )


def alpha_direction(on: GridEvidence) -> Finding:
    """Slope of mean sensitivity on alpha above 0 and of mean precision below, over kernels with
    alphas on both sides.

    Specificity saturates on these slices, so precision stands for it.
    """
    weights: dict[GridPoint, float] = {}
    kernels = [
        k
        for k in on.reference.kernels
        if any(a < 0.5 for a in _alphas(on, k)) and _alphas(on, k)[-1] > 0.5
    ]
    for kernel in kernels:
        alphas = np.array(_alphas(on, kernel))
        slopes = (alphas - alphas.mean()) / ((alphas - alphas.mean()) ** 2).sum() / len(kernels)
        weights |= {(kernel, float(a)): float(w) for a, w in zip(alphas, slopes, strict=True)}
    cells = f"{len(weights)} of {len(on.spots())}"
    if not weights:
        return Finding(
            NOT_TESTABLE,
            "no kernel size has been run with alphas on both sides of 0.5",
            cells=cells,
        )
    if lacking := on.lacking(weights, ("sensitivity", "precision")):
        return Finding(NOT_TESTABLE, lacking, cells=cells)
    found = [on.contrast(weights, mean_of(column)) for column in ("sensitivity", "precision")]
    up, down = (side(one, on.rule.level) for one in found)
    measured = "; ".join(f"{word} {in_words(one, on.rule.level)} per unit of alpha" for word, one in
                         zip(("sensitivity", "precision"), found, strict=True))  # fmt: skip
    if None in found:
        return Finding(UNDECIDED, on.unknown(weights, DICE), measured, cells)
    if up < 0 or down > 0:
        return Finding(CONTRADICTED, "one of the two goes the other way", measured, cells)
    both = up > 0 and down < 0
    why = (
        "sensitivity rises and precision falls with alpha"
        if both
        else "at least one of the two slopes may be 0"
    )
    return Finding(CONFIRMED if both else UNDECIDED, why, measured, cells)


def _alphas(on: GridEvidence, kernel: int) -> list[float]:
    return [a for k, a in on.cells if k == kernel]


def _by_kernel(on: GridEvidence) -> tuple[dict[GridPoint, float], str]:
    """Weights of small minus large kernels at the alphas that have all four, and how many cells
    that are.
    """
    alphas = [
        group[0][1] for group in on.complete([on.spots(alphas=[a]) for a in on.reference.alphas])
    ]
    weights = (
        average(on.spots(SMALL, alphas)) | average(on.spots(LARGE, alphas), -1.0) if alphas else {}
    )
    return weights, f"{len(weights)} of {len(on.spots())}"
