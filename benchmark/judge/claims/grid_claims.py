"""Claims that set cells of the grid against each other: kernels, alphas, the best of them. Pure."""

from __future__ import annotations

import numpy as np

from benchmark.judge.claims.evidence import (
    NO_BEST,
    ClaimVerdict,
    Finding,
    GridEvidence,
    GridPoint,
    average,
    better,
    in_words,
    judge_contrast,
    name_of,
    nearest_in_words,
    side,
)
from benchmark.judge.statistics.contrast import DICE, LOG_SD, common, mean, mean_of

CONFIRMED, CONTRADICTED, UNDECIDED, NOT_TESTABLE = ClaimVerdict
EXTREME, NEAR = (0.1, 0.9), (0.4, 0.5, 0.6)
SMALL, LARGE = (3, 5), (7, 9)


def best_cell(evidence: GridEvidence) -> Finding:
    """5x5, alpha 0.5 has the highest mean Dice of the 36 cells, and a spread over slices in the
    lower half of theirs.

    Contradicted as soon as a cell is better (Holm over the cells run); confirmed when all 36 were
    run, it is better than each of them, and at least half of them have no smaller SD over slices.
    """
    mine, total, level = evidence.printed, len(evidence.points()), evidence.rule.level
    if mine not in evidence.cells:
        return Finding(NOT_TESTABLE, NO_BEST, cells=f"0 of {total}")
    others = [point for point in evidence.cells if point != mine]
    cells = f"{len(evidence.cells)} of {total}"
    differences = {point: evidence.contrast({mine: 1.0, point: -1.0}, DICE) for point in others}
    measured = nearest_in_words(differences, level)
    if beaten := better(differences, level):
        return Finding(CONTRADICTED, f"{name_of(beaten)} is better", measured, cells)
    if len(evidence.cells) < total:
        why = "not all cells have been run; none so far is shown to be better"
        return Finding(NOT_TESTABLE, why, measured, cells)
    pairs = [common([evidence.cells[mine], evidence.cells[point]]) for point in others]
    calm = 2 * sum(mean(my, LOG_SD) <= mean(its, LOG_SD) for my, its in pairs) >= total
    ahead = sum(side(difference, level) > 0 for difference in differences.values())
    if ahead == len(others) and calm:
        why = "better than every other cell, and its spread is in the lower half"
        return Finding(CONFIRMED, why, measured, cells)
    spread = "" if calm else "; its spread over slices is in the upper half"
    why = f"better than {ahead} of the {len(others)} others{spread}"
    return Finding(UNDECIDED, why, measured, cells)


def extremes_worse(evidence: GridEvidence) -> Finding:
    """Mean Dice of alphas 0.4, 0.5, 0.6 minus that of 0.1 and 0.9, over the kernels that have both
    extremes and 0.5.
    """
    kernels = evidence.reference.kernels
    groups = evidence.complete([[(k, a) for a in (*EXTREME, 0.5)] for k in kernels])
    weights: dict[GridPoint, float] = {}
    for group in groups:
        kernel, share = group[0][0], 1 / len(groups)
        near = [point for point in evidence.points([kernel], NEAR) if point in evidence.cells]
        weights |= average(near, share) | average(evidence.points([kernel], EXTREME), -share)
    cells = f"{len(weights)} of {len(kernels) * len(EXTREME + NEAR)}"
    name = "mean Dice, alphas near 0.5 minus extreme alphas:"
    return judge_contrast(evidence, weights, cells, DICE, +1, name)


def small_kernels_mean(evidence: GridEvidence) -> Finding:
    """Mean Dice of kernels 3 and 5 minus that of 7 and 9, at the alphas that all four have."""
    name = "mean Dice, small minus large kernels:"
    return judge_contrast(evidence, *_by_kernel(evidence), DICE, +1, name)


def small_kernels_spread(evidence: GridEvidence) -> Finding:
    """SD of Dice over the test slices, kernels 3 and 5 over 7 and 9 (ratio of geometric means), at
    the same alphas.

    A training with one Dice on all slices (collapsed, say) has no log of an SD: undecided.
    """
    weights, cells = _by_kernel(evidence)
    for point in weights:
        by_run = evidence.cells[point].rows.groupby(["split_id", "seed"])["dice"]
        if (by_run.max() == by_run.min()).any():
            why = "a training has the same Dice on every slice, so no SD to compare"
            return Finding(UNDECIDED, why, cells=cells)
    name = "SD over slices, small kernels over large ones:"
    return judge_contrast(evidence, weights, cells, LOG_SD, -1, name, ratio=True)


def tversky_no_gain(evidence: GridEvidence) -> Finding:
    """No alpha beats 0.5 at the same kernel.

    Contradicted as soon as one does (Holm over those run); confirmed when all were run and
    simultaneous (Bonferroni) intervals put none more than `gain` above it.
    """
    rule, pairs = evidence.rule, [[(k, a), (k, 0.5)] for k, a in evidence.points() if a != 0.5]
    run = evidence.complete(pairs)
    cells = f"{len(run)} of {len(pairs)}"
    differences = {
        point: evidence.contrast({point: -1.0, middle: 1.0}, DICE) for point, middle in run
    }
    measured = nearest_in_words(differences, rule.level)
    if beaten := better(differences, rule.level):
        return Finding(CONTRADICTED, f"{name_of(beaten)} beats alpha 0.5", measured, cells)
    if len(run) < len(pairs):
        why = "not all alphas have been run; none so far is shown to beat 0.5"
        return Finding(NOT_TESTABLE, why, measured, cells)
    level = 1 - (1 - rule.level) / len(pairs)
    if all(side(difference, level, -rule.gain) > 0 for difference in differences.values()):
        return Finding(CONFIRMED, f"no alpha is better by more than {rule.gain}", measured, cells)
    return Finding(UNDECIDED, f"an alpha may be better by more than {rule.gain}", measured, cells)


def alpha_direction(evidence: GridEvidence) -> Finding:
    """Slope of mean sensitivity on alpha above 0 and of mean precision below, over kernels with
    alphas on both sides.

    Specificity saturates on these slices, so precision stands for it.
    """
    weights = _slope_weights(evidence)
    cells = f"{len(weights)} of {len(evidence.points())}"
    if not weights:
        why = "no kernel size has been run with alphas on both sides of 0.5"
        return Finding(NOT_TESTABLE, why, cells=cells)
    if lacking := evidence.lacking(weights, ("sensitivity", "precision")):
        return Finding(NOT_TESTABLE, lacking, cells=cells)
    level = evidence.rule.level
    up, down = (evidence.contrast(weights, mean_of(name)) for name in ("sensitivity", "precision"))
    measured = (
        f"sensitivity {in_words(up, level)} per unit of alpha; "
        f"precision {in_words(down, level)} per unit of alpha"
    )
    if up is None or down is None:
        return Finding(UNDECIDED, evidence.unknown(weights, DICE), measured, cells)
    if side(up, level) < 0 or side(down, level) > 0:
        return Finding(CONTRADICTED, "one of the two goes the other way", measured, cells)
    if side(up, level) > 0 > side(down, level):
        why = "sensitivity rises and precision falls with alpha"
        return Finding(CONFIRMED, why, measured, cells)
    return Finding(UNDECIDED, "at least one of the two slopes may be 0", measured, cells)


def _slope_weights(evidence: GridEvidence) -> dict[GridPoint, float]:
    """Weights of the least-squares slope on alpha, averaged over the kernels that have alphas on
    both sides of 0.5.
    """
    by_kernel = {k: [a for at, a in evidence.cells if at == k] for k in evidence.reference.kernels}
    usable = {k: np.array(alphas) for k, alphas in by_kernel.items()
              if alphas and min(alphas) < 0.5 < max(alphas)}  # fmt: skip
    weights: dict[GridPoint, float] = {}
    for kernel, alphas in usable.items():
        slopes = (alphas - alphas.mean()) / ((alphas - alphas.mean()) ** 2).sum() / len(usable)
        weights |= {(kernel, float(a)): float(w) for a, w in zip(alphas, slopes, strict=True)}
    return weights


def _by_kernel(evidence: GridEvidence) -> tuple[dict[GridPoint, float], str]:
    """Weights of small minus large kernels at the alphas that have all four, and how many cells."""
    columns = [evidence.points(alphas=[a]) for a in evidence.reference.alphas]
    alphas = [points[0][1] for points in evidence.complete(columns)]
    weights = {}
    if alphas:
        small, large = evidence.points(SMALL, alphas), evidence.points(LARGE, alphas)
        weights = average(small) | average(large, -1.0)
    return weights, f"{len(weights)} of {len(evidence.points())}"
