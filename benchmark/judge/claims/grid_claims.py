"""Claims that set cells of the grid against each other: kernels, alphas, the best of them. Pure.

What a claim says of several kernels or alphas is a mean over groups, each on the splits of its own
cells, so that a run that is added to one takes nothing from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from benchmark.judge.claims.evidence import (
    NO_BEST,
    NO_SPLIT,
    ClaimVerdict,
    Finding,
    GridEvidence,
    GridPoint,
    average,
    collapsed,
    in_words,
    judge_groups,
    name_of,
    side,
)
from benchmark.judge.claims.may_be_best import Contest, contest, trained_twice
from benchmark.judge.statistics.contrast import DICE, LOG_SD, common, mean, mean_of
from benchmark.judge.statistics.groups import Group

CONFIRMED, CONTRADICTED, UNDECIDED, NOT_TESTABLE = ClaimVerdict
EXTREME, NEAR = (0.1, 0.9), (0.4, 0.5, 0.6)
SMALL, LARGE = (3, 5), (7, 9)
MIDDLE = 0.5  # the alpha at which Tversky's loss is Dice's

Weights = Mapping[GridPoint, float]
Key = TypeVar("Key", int, float)


def best_cell(evidence: GridEvidence) -> Finding:
    """No cell is better than 5x5, alpha 0.5 by more than `gain`, and its SD over slices is in the
    lower half of theirs.

    Confirmed when all 36 were run, from two seeds each, the chance that none is better by more than
    `gain` is at least `level`, and at least half have no smaller SD. Contradicted as soon as it is
    not in the model confidence set of those run from two seeds, be they all or not. Both are of
    `statistics.best`: patients and trainings of all cells together, so no correction for many
    cells is needed. Nothing is confirmed where a training has one Dice on all slices (collapsed,
    say). A cell that is not the best by less than `gain` may be confirmed: it is as good
    as the best, as far as the thesis tells means apart.
    """
    mine, total, rule = evidence.printed, len(evidence.points()), evidence.rule
    if mine not in evidence.cells:
        return Finding(NOT_TESTABLE, NO_BEST, cells=f"0 of {total}")
    cells = f"{len(evidence.cells)} of {total}"
    met = contest(evidence, lambda _: mine)
    measured = _chance_in_words(met, mine, rule.gain, rule.level) if met else ""
    twice = trained_twice(evidence, met.points, mine) if met else []
    left = met.may_be_best(rule.level, twice) if met else []
    if met and mine in twice and mine not in left:
        of = f"{len(left)} cells that may be the best of the {len(twice)} run from two seeds"
        why = f"not among the {of}; {name_of(max(left, key=met.chance))} leads"
        return Finding(CONTRADICTED, why, measured, cells)
    if len(evidence.cells) < total:
        why = "not all cells have been run; none run from two seeds so far is shown to be better"
        return Finding(NOT_TESTABLE, why, measured, cells)
    if why := _open(evidence, met, [(point, mine) for point in evidence.cells]):
        return Finding(UNDECIDED, why, measured, cells)
    others = [point for point in evidence.cells if point != mine]
    pairs = [common([evidence.cells[mine], evidence.cells[point]]) for point in others]
    calm = 2 * sum(mean(my, LOG_SD) <= mean(its, LOG_SD) for my, its in pairs) >= total
    sure = met is not None and met.race.none_better(rule.gain) >= rule.level
    if sure and calm:
        why = f"no cell is better by more than {rule.gain}, and its spread is in the lower half"
        return Finding(CONFIRMED, why, measured, cells)
    reasons = [] if sure else [f"a cell may be better by more than {rule.gain}"]
    reasons += [] if calm else ["its spread over slices is in the upper half"]
    return Finding(UNDECIDED, "; ".join(reasons), measured, cells)


def _chance_in_words(met: Contest, mine: GridPoint, gain: float, level: float) -> str:
    """Both chances of a cell, and the size of the set at this level."""
    left = met.may_be_best(level)
    within = "it among them" if mine in left else "it not among them"
    return (
        f"chance that none of {len(met.points) - 1} others is better by more than {gain}: "
        f"{met.race.none_better(gain):.2f}; of being the best: {met.chance(mine):.2f}; "
        f"{len(left)} of {len(met.points)} cells may be the best, {within}"
    )


def _open(
    evidence: GridEvidence, met: Contest | None, pairs: Collection[Sequence[GridPoint]]
) -> str:
    """Why a race of these cells with their bases decides nothing, or ""."""
    for point, base in pairs:
        splits = evidence.cells[point].splits & evidence.cells[base].splits
        if not splits:
            return NO_SPLIT
        if met is None:
            return evidence.unknown([point, base], DICE)
        if why := evidence.twice([point, base], splits):
            return why
    return collapsed(evidence, (point for pair in pairs for point in pair))


def extremes_worse(evidence: GridEvidence) -> Finding:
    """Mean Dice of alphas 0.4, 0.5, 0.6 minus that of 0.1, and minus that of 0.9, each a mean over
    the four kernels, lies above 0.

    Both must be confirmed, and one below 0 contradicts (an intersection-union test, so neither
    needs a correction: Berger, Technometrics 24 (1982) 295). Of the alphas near 0.5 those count
    that were run with the extreme, kernel by kernel and split by split.
    """
    kernels, level = evidence.reference.kernels, evidence.rule.level
    by_extreme = {extreme: _by_kernel(evidence, extreme) for extreme in EXTREME}
    points = {p for found in by_extreme.values() for group in found.values() for p in group.points}
    cells = f"{len(points)} of {len(kernels) * len(EXTREME + NEAR)}"
    if not points:
        why = "the trainings needed to test this have not been run"
        return Finding(NOT_TESTABLE, why, cells=cells)
    groups = {extreme: list(found.values()) for extreme, found in by_extreme.items()}
    estimates = {
        extreme: evidence.combined(found, DICE) if found else None
        for extreme, found in groups.items()
    }
    measured = "mean Dice of 0.4, 0.5 and 0.6 minus that of " + "; ".join(
        f"{extreme}: {in_words(estimate, level)}" for extreme, estimate in estimates.items()
    )
    if lacking := [
        f"{extreme} at {_kernels_in_words(k for k in kernels if k not in found)}"
        for extreme, found in by_extreme.items()
        if len(found) < len(kernels)
    ]:
        why = f"not run on one split with an alpha near 0.5: {', '.join(lacking)}"
        return Finding(NOT_TESTABLE, why, measured, cells)
    for extreme, found in groups.items():
        if estimates[extreme] is None:
            return Finding(UNDECIDED, evidence.unknown_in(found, DICE), measured, cells)
    if why := evidence.twice_in([group for found in groups.values() for group in found]):
        return Finding(UNDECIDED, why, measured, cells)
    sides = [side(estimate, level) for estimate in estimates.values()]
    if sides == [1, 1]:
        return Finding(CONFIRMED, "both intervals lie above 0", measured, cells)
    if -1 in sides:
        return Finding(CONTRADICTED, "an interval lies below 0", measured, cells)
    return Finding(UNDECIDED, "an interval includes 0", measured, cells)


def _by_kernel(evidence: GridEvidence, extreme: float) -> dict[int, Group]:
    """By kernel, the alphas near 0.5 minus one extreme; each weighs alike."""

    def of(kernel: int) -> Callable[[Collection[GridPoint]], Weights]:
        def weights(there: Collection[GridPoint]) -> Weights:
            near = [point for point in evidence.points([kernel], NEAR) if point in there]
            if not near or (kernel, extreme) not in there:
                return {}
            return average(near) | {(kernel, extreme): -1.0}

        return weights

    kernels = evidence.reference.kernels
    return _alike({kernel: evidence.group(1.0, of(kernel)) for kernel in kernels})


def _alike(groups: Mapping[Key, Group | None]) -> dict[Key, Group]:
    """The groups that there are, with weights that sum to 1."""
    found = {key: group for key, group in groups.items() if group is not None}
    return {key: replace(group, weight=1 / len(found)) for key, group in found.items()}


def _kernels_in_words(kernels: Iterable[int]) -> str:
    return ", ".join(f"{kernel}x{kernel}" for kernel in kernels)


def small_kernels_mean(evidence: GridEvidence) -> Finding:
    """Mean Dice of kernels 3 and 5 minus that of 7 and 9 lies above 0, over the alphas that all
    four have on one split.
    """
    groups, cells = _by_alpha(evidence)
    if not groups:
        return _not_run(evidence, cells)
    name = "mean Dice, small minus large kernels:"
    return judge_groups(evidence, groups, cells, DICE, +1, name)


def small_kernels_spread(evidence: GridEvidence) -> Finding:
    """SD of Dice over the test slices, kernels 3 and 5 over 7 and 9 (ratio of geometric means),
    lies below 1, over the same alphas.

    A training with one Dice on all slices (collapsed, say) has no log of an SD: undecided.
    """
    groups, cells = _by_alpha(evidence)
    if not groups:
        return _not_run(evidence, cells)
    points = sorted({point for group in groups for point in group.points})
    if why := collapsed(evidence, points):
        return Finding(UNDECIDED, why, cells=cells)
    name = "SD over slices, small kernels over large ones:"
    return judge_groups(evidence, groups, cells, LOG_SD, -1, name, ratio=True)


def _by_alpha(evidence: GridEvidence) -> tuple[list[Group], str]:
    """Small minus large kernels at the alphas that have all four, and how many cells they are."""

    def of(alpha: float) -> Callable[[Collection[GridPoint]], Weights]:
        small, large = evidence.points(SMALL, [alpha]), evidence.points(LARGE, [alpha])

        def weights(there: Collection[GridPoint]) -> Weights:
            whole = all(point in there for point in (*small, *large))
            return average(small) | average(large, -1.0) if whole else {}

        return weights

    alphas = evidence.reference.alphas
    groups = list(_alike({alpha: evidence.group(1.0, of(alpha)) for alpha in alphas}).values())
    return groups, _count(groups, evidence)


def _not_run(evidence: GridEvidence, cells: str) -> Finding:
    """No alpha has all four kernels on one split."""
    anywhere = evidence.complete([evidence.points(alphas=[a]) for a in evidence.reference.alphas])
    why = NO_SPLIT if anywhere else "no alpha has been run at all four kernels"
    return Finding(NOT_TESTABLE, why, cells=cells)


def _count(groups: Sequence[Group], evidence: GridEvidence) -> str:
    """How many of the grid's cells are in the groups."""
    points = {point for group in groups for point in group.points}
    return f"{len(points)} of {len(evidence.points())}"


def tversky_no_gain(evidence: GridEvidence) -> Finding:
    """At no kernel is another alpha better than 0.5 by more than `gain`.

    Confirmed when all were run, from two seeds each, none of which has one Dice on all slices, and
    the chance that none is, at any of the kernels, is at least `level`. Contradicted as soon as 0.5
    is not in the model confidence set of a kernel's alphas run from two seeds, at a level that
    leaves the four kernels together no more error than one (Bonferroni; four, however many were
    run, so that another kernel undoes nothing).
    """
    rule, kernels = evidence.rule, evidence.reference.kernels
    pairs = [[(k, a), (k, MIDDLE)] for k, a in evidence.points() if a != MIDDLE]
    run = evidence.complete(pairs)
    cells = f"{len(run)} of {len(pairs)}"
    met = contest(evidence, lambda point: (point[0], MIDDLE)) if run else None
    level = 1 - (1 - rule.level) / len(kernels)
    measured = _alphas_in_words(met, rule.gain, level) if met else ""
    if met and (beaten := _beaten(evidence, met, level)):
        where = _kernels_in_words(beaten)
        why = f"at {where}, 0.5 is not one of the alphas run from two seeds that may be the best"
        return Finding(CONTRADICTED, why, measured, cells)
    if len(run) < len(pairs):
        why = "not all alphas have been run; none run from two seeds so far is shown to beat 0.5"
        return Finding(NOT_TESTABLE, why, measured, cells)
    if why := _open(evidence, met, run):
        return Finding(UNDECIDED, why, measured, cells)
    if met and met.race.none_better(rule.gain) >= rule.level:
        return Finding(CONFIRMED, f"no alpha is better by more than {rule.gain}", measured, cells)
    return Finding(UNDECIDED, f"an alpha may be better by more than {rule.gain}", measured, cells)


def _beaten(evidence: GridEvidence, met: Contest, level: float) -> list[int]:
    """The kernels at which 0.5 is not in the set of the alphas that were run from two seeds."""
    found = []
    for kernel in sorted({kernel for kernel, _ in met.points}):
        own, middle = [point for point in met.points if point[0] == kernel], (kernel, MIDDLE)
        twice = trained_twice(evidence, own, middle)
        if middle in twice and middle not in met.may_be_best(level, twice):
            found.append(kernel)
    return found


def _alphas_in_words(met: Contest, gain: float, level: float) -> str:
    """The chance over all kernels, and by kernel the set's size and whether 0.5 is in it."""
    words = []
    for kernel in sorted({kernel for kernel, _ in met.points}):
        own = [point for point in met.points if point[0] == kernel]
        left = met.may_be_best(level, own)
        within = "one of" if (kernel, MIDDLE) in left else "not one of"
        words.append(f"{kernel}x{kernel} {within} {len(left)}")
    return (
        f"chance that no alpha is better than 0.5 by more than {gain}: "
        f"{met.race.none_better(gain):.2f}; 0.5 among those that may be the best: "
        + ", ".join(words)
    )


def alpha_direction(evidence: GridEvidence) -> Finding:
    """Slope of mean sensitivity on alpha above 0 and of mean precision below, over kernels with
    alphas on both sides of 0.5.

    A check, and counted apart: the loss weighs false negatives by alpha and false positives by the
    rest, so its minimum moves that way whatever the data. Specificity saturates on these slices, so
    precision stands for it.
    """
    groups = _slopes(evidence)
    cells = _count(groups, evidence)
    if not groups:
        why = "no kernel size has been run with alphas on both sides of 0.5"
        return Finding(NOT_TESTABLE, why, cells=cells)
    points = sorted({point for group in groups for point in group.points})
    if lacking := evidence.lacking(points, ("sensitivity", "precision")):
        return Finding(NOT_TESTABLE, lacking, cells=cells)
    level = evidence.rule.level
    up, down = (evidence.combined(groups, mean_of(name)) for name in ("sensitivity", "precision"))
    measured = (
        f"sensitivity {in_words(up, level)} per unit of alpha; "
        f"precision {in_words(down, level)} per unit of alpha"
    )
    if up is None or down is None:
        return Finding(UNDECIDED, evidence.unknown_in(groups, DICE), measured, cells)
    if why := evidence.twice_in(groups):
        return Finding(UNDECIDED, why, measured, cells)
    if side(up, level) < 0 or side(down, level) > 0:
        return Finding(CONTRADICTED, "one of the two goes the other way", measured, cells)
    if side(up, level) > 0 > side(down, level):
        why = "a check: sensitivity rises and precision falls with alpha, as the loss asks"
        return Finding(CONFIRMED, why, measured, cells)
    return Finding(UNDECIDED, "at least one of the two slopes may be 0", measured, cells)


def _slopes(evidence: GridEvidence) -> list[Group]:
    """The least-squares slopes on alpha of kernels with alphas on both sides of 0.5; each weighs
    alike.
    """

    def of(kernel: int) -> Callable[[Collection[GridPoint]], Weights]:
        def weights(there: Collection[GridPoint]) -> Weights:
            alphas = np.array(sorted(alpha for at, alpha in there if at == kernel))
            if not len(alphas) or not alphas[0] < MIDDLE < alphas[-1]:
                return {}
            away = alphas - alphas.mean()
            slope = away / (away**2).sum()
            return {(kernel, float(a)): float(w) for a, w in zip(alphas, slope, strict=True)}

        return weights

    kernels = evidence.reference.kernels
    return list(_alike({kernel: evidence.group(1.0, of(kernel)) for kernel in kernels}).values())
