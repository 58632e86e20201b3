"""The thesis's claims in words, each a predicate on records with a statistic of its own. Pure.

`CLAIMS` maps the ids of `reference_results/thesis.toml` to their predicates, whose docstrings
say how each is read. Numbers come from `[claims]` of `tolerances.toml`, fixed before the runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import pandas as pd

from benchmark.judge.contrast import DICE, LOG_SD, Statistic, common, difference_within, mean, mean_of
from benchmark.judge.estimate import clustered_share
from benchmark.judge.ground import (
    FEW_PATIENTS,
    Finding,
    Ground,
    Predicate,
    Spot,
    Standing,
    average,
    better,
    judge,
    name_of,
    nearest,
    side,
    told,
)

CONFIRMED, CONTRADICTED, UNDECIDED, NOT_TESTABLE = Standing
EXTREME, NEAR = (0.1, 0.9), (0.4, 0.5, 0.6)
SMALL, LARGE = (3, 5), (7, 9)
FEWEST_TRAININGS = 3  # before "no training does so" means anything


def best_cell(on: Ground) -> Finding:
    """5x5, alpha 0.5 has the highest mean Dice of the 36 cells, and a spread over slices in the lower half of theirs.

    Contradicted as soon as a cell is better (Holm over the cells run); confirmed when all 36
    were run, it is better than each of them, and at least half of them have no smaller SD over slices.
    """
    mine, grid = on.printed, on.spots()
    if mine not in on.cells:
        return Finding(NOT_TESTABLE, "that cell was not run", cells=f"0 of {len(grid)}")
    others = [spot for spot in on.cells if spot != mine]
    cells = f"{len(others) + 1} of {len(grid)}"
    found = {spot: on.contrast({mine: 1.0, spot: -1.0}, DICE) for spot in others}
    measured = nearest(found, on.rule.level)
    if beaten := better(found, on.rule.level):
        return Finding(CONTRADICTED, f"{name_of(beaten)} is better", measured, cells)
    if len(others) + 1 < len(grid):
        return Finding(NOT_TESTABLE, "not all cells were run; none is shown to be better", measured, cells)
    pairs = [common([on.cells[mine], on.cells[spot]]) for spot in others]
    calm = 2 * sum(mean(my, LOG_SD) <= mean(its, LOG_SD) for my, its in pairs) >= len(on.cells)
    ahead = sum(side(one, on.rule.level) > 0 for one in found.values())
    if ahead == len(found) and calm:
        return Finding(CONFIRMED, "better than every other cell, and its spread is in the lower half", measured, cells)
    spread = "" if calm else "; its spread over slices is in the upper half"
    return Finding(UNDECIDED, f"better than {ahead} of the {len(found)} others{spread}", measured, cells)


def extremes_worse(on: Ground) -> Finding:
    """Mean Dice of alphas 0.4, 0.5, 0.6 minus that of 0.1 and 0.9, over the kernels that have both extremes and 0.5."""
    groups = on.complete([[(k, a) for a in (*EXTREME, 0.5)] for k in on.reference.kernels])
    weights: dict[Spot, float] = {}
    for group in groups:
        kernel = group[0][0]
        near = [spot for spot in on.spots([kernel], NEAR) if spot in on.cells]
        weights |= average(near, 1 / len(groups)) | average(on.spots([kernel], EXTREME), -1 / len(groups))
    cells = f"{len(weights)} of {len(on.reference.kernels) * len(EXTREME + NEAR)}"
    return judge(on, weights, cells, DICE, +1, "near 0.5 - extremes, mean Dice")


def small_kernels_mean(on: Ground) -> Finding:
    """Mean Dice of kernels 3 and 5 minus that of 7 and 9, over the alphas at which all four were run."""
    return judge(on, *_by_kernel(on), DICE, +1, "small - large kernels, mean Dice")


def small_kernels_spread(on: Ground) -> Finding:
    """SD of Dice over the test slices, kernels 3 and 5 over 7 and 9 (ratio of geometric means), at the same alphas.

    A training with one Dice on all slices (collapsed, say) has no log of an SD: undecided.
    """
    weights, cells = _by_kernel(on)
    dice = (on.cells[spot].rows.groupby(["split_id", "seed"])["dice"] for spot in weights)
    if any((by_run.max() == by_run.min()).any() for by_run in dice):
        return Finding(UNDECIDED, "a training has the same Dice on every slice, so no SD to compare", cells=cells)
    return judge(on, weights, cells, LOG_SD, -1, "small / large kernels, SD over slices", ratio=True)


def tversky_no_gain(on: Ground) -> Finding:
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
        return Finding(NOT_TESTABLE, "not all alphas were run; none is shown to beat 0.5", measured, cells)
    level = 1 - (1 - on.rule.level) / total
    if all(side(one, level, -on.rule.gain) > 0 for one in found.values()):
        return Finding(CONFIRMED, f"no alpha is better by more than {on.rule.gain}", measured, cells)
    return Finding(UNDECIDED, f"an alpha may be better by more than {on.rule.gain}", measured, cells)


def alpha_direction(on: Ground) -> Finding:
    """Slope of mean sensitivity on alpha above 0 and of mean precision below, over kernels with alphas on both sides.

    Specificity saturates on these slices, so precision stands for it.
    """
    weights: dict[Spot, float] = {}
    kernels = [k for k in on.reference.kernels if any(a < 0.5 for a in _alphas(on, k)) and _alphas(on, k)[-1] > 0.5]
    for kernel in kernels:
        alphas = np.array(_alphas(on, kernel))
        slopes = (alphas - alphas.mean()) / ((alphas - alphas.mean()) ** 2).sum() / len(kernels)
        weights |= {(kernel, float(a)): float(w) for a, w in zip(alphas, slopes, strict=True)}
    cells = f"{len(weights)} of {len(on.spots())}"
    if not weights:
        return Finding(NOT_TESTABLE, "no kernel was run at an alpha on each side of 0.5", cells=cells)
    if lacking := on.lacking(weights, ("sensitivity", "precision")):
        return Finding(NOT_TESTABLE, lacking, cells=cells)
    found = [on.contrast(weights, mean_of(column)) for column in ("sensitivity", "precision")]
    up, down = (side(one, on.rule.level) for one in found)
    measured = "; ".join(f"{word} {told(one, on.rule.level)} per 1 of alpha" for word, one in
                         zip(("sensitivity", "precision"), found, strict=True))  # fmt: skip
    if None in found:
        return Finding(UNDECIDED, on.unknown(weights, DICE), measured, cells)
    if up < 0 or down > 0:
        return Finding(CONTRADICTED, "one of them goes the other way", measured, cells)
    both = up > 0 and down < 0
    return Finding(CONFIRMED if both else UNDECIDED, "both go as said" if both else "the slopes are not told from 0",
                   measured, cells)  # fmt: skip


def small_tumours(on: Ground) -> Finding:
    """Mean Dice of the smallest third of tumours below that of the largest, and so where the outline looks right.

    On the best cell. An outline looks right where NSD at 1 mm is at least
    `outline_right_nsd_1mm`; both differences must lie below 0.
    """
    cell = on.best
    if cell is None:
        return Finding(NOT_TESTABLE, "5x5, alpha 0.5 was not run", cells="0 of 1")
    if lacking := on.lacking([on.printed], ("nsd_1mm", "truth_mm2")):
        return Finding(NOT_TESTABLE, lacking, cells="1 of 1")
    edges = on.sizes.edges_mm2

    def small_minus_large(rows: pd.DataFrame, least: float) -> pd.Series[float]:
        right = rows["nsd_1mm"] >= least
        small, large = rows["truth_mm2"] < edges[0], rows["truth_mm2"] >= edges[1]
        return difference_within("dice", right & small, right & large, rows)

    limits = (0.0, on.rule.outline_right_nsd_1mm)
    statistics = [Statistic("small - large", partial(small_minus_large, least=least)) for least in limits]
    found = [on.within(cell, statistic) for statistic in statistics]
    measured = "small - large tumours, Dice: " + "; ".join(
        f"{word} {told(one, on.rule.level)}" for word, one in zip(("all", "outline right"), found, strict=True)
    )
    if None in found:
        return Finding(UNDECIDED, on.unknown([on.printed], statistics[found.index(None)]), measured, "1 of 1")
    sides = [side(one, on.rule.level) for one in found]
    standing = CONTRADICTED if 1 in sides else CONFIRMED if sides == [-1, -1] else UNDECIDED
    return Finding(standing, "both below 0" if standing is CONFIRMED else "not both below 0", measured, "1 of 1")


def image_spread(on: Ground) -> Finding:
    """On the split with most cells: some images have a Dice of `well` in every training, on some it varies by `vary`.

    "Some" is a share of the images whose interval (patients as the unit) lies above `share`.
    """
    count = pd.Series([split for cell in on.cells.values() for split in cell.splits], dtype=str).value_counts()
    cells = f"{count.max() if len(count) else 0} of {len(on.spots())}"
    if not len(count) or count.max() < on.rule.fewest_cells:
        return Finding(NOT_TESTABLE, f"fewer than {on.rule.fewest_cells} cells on one split", cells=cells)
    split = sorted(count.index[count == count.max()])[0]
    rows = pd.concat([cell.on(splits=[split]).rows for cell in on.cells.values()])
    if rows["patient_id"].isna().any() or rows["patient_id"].nunique() < 2:
        return Finding(UNDECIDED, FEW_PATIENTS, cells=cells)
    dice = rows.groupby(["patient_id", "slice_id"])["dice"].agg(["min", "max"])
    patients = dice.index.get_level_values("patient_id").tolist()
    shares = {
        "well by all": dice["min"] >= on.rule.well,
        "differ": dice["max"] - dice["min"] >= on.rule.vary,
    }
    ends = {name: clustered_share(hit.to_numpy(), patients, on.rule.level) for name, hit in shares.items()}
    measured = "; ".join(f"{name} {value:.2f} [{low:.2f}, {high:.2f}]" for name, (value, low, high) in ends.items())
    lows, highs = [low for _, low, _ in ends.values()], [high for _, _, high in ends.values()]
    if min(lows) > on.rule.share:
        return Finding(CONFIRMED, f"both above {on.rule.share:.0%} of the images of {split}", measured, cells)
    if min(highs) < on.rule.share:
        return Finding(CONTRADICTED, f"one is below {on.rule.share:.0%} of the images of {split}", measured, cells)
    return Finding(UNDECIDED, f"not told from {on.rule.share:.0%} of the images of {split}", measured, cells)


def necrotic_centres(on: Ground) -> Finding:
    """Of some tumours of the largest third, the centre is missed by the best cell's trainings as a habit.

    Missed: `core_sensitivity` below `core_missed` though the tumour's sensitivity is not. Of the tumours
    that three or more trainings tested: confirmed where at least `consistently` of them miss the same
    one; contradicted where none misses any. Whether a centre is necrotic is on no record.
    """
    cell = on.best
    if cell is None:
        return Finding(NOT_TESTABLE, "5x5, alpha 0.5 was not run", cells="0 of 1")
    if lacking := on.lacking([on.printed], ("core_sensitivity", "sensitivity", "truth_mm2")):
        return Finding(NOT_TESTABLE, lacking, cells="1 of 1")
    rows = cell.rows[cell.rows["truth_mm2"] >= on.sizes.edges_mm2[1]]
    missed = (rows["core_sensitivity"] < on.rule.core_missed) & (rows["sensitivity"] >= on.rule.core_missed)
    habit = missed.groupby([rows["split_id"], rows["slice_id"]]).agg(["mean", "size"])
    habit = habit.loc[habit["size"] >= FEWEST_TRAININGS, "mean"]
    measured = f"{int((habit >= on.rule.consistently).sum())} of {len(habit)} large tumours"
    if habit.empty:
        return Finding(UNDECIDED, f"no large tumour was tested by {FEWEST_TRAININGS} trainings", measured, "1 of 1")
    if (habit >= on.rule.consistently).any():
        return Finding(CONFIRMED, "such tumours were found", measured, "1 of 1")
    if not (habit > 0).any():
        return Finding(CONTRADICTED, "no training misses any", measured, "1 of 1")
    return Finding(UNDECIDED, "missed by single trainings only", measured, "1 of 1")


def vessels_excluded(on: Ground) -> Finding:
    """Vessels that the truth includes: no source of these slices marks them, so no record can tell."""
    return Finding(NOT_TESTABLE, "no source of these slices marks vessels; only a reader's eye can tell")


CLAIMS: Mapping[str, Predicate] = MappingProxyType(
    {
        "best-cell": best_cell,
        "extremes-worse": extremes_worse,
        "small-kernels-mean": small_kernels_mean,
        "small-kernels-spread": small_kernels_spread,
        "tversky-no-gain": tversky_no_gain,
        "alpha-direction": alpha_direction,
        "small-tumours": small_tumours,
        "image-spread": image_spread,
        "necrotic-centres": necrotic_centres,
        "vessels-excluded": vessels_excluded,
    }
)


def _alphas(on: Ground, kernel: int) -> list[float]:
    return [a for k, a in on.cells if k == kernel]


def _by_kernel(on: Ground) -> tuple[dict[Spot, float], str]:
    """Weights of small minus large kernels at the alphas that have all four, and how many cells that are."""
    alphas = [group[0][1] for group in on.complete([on.spots(alphas=[a]) for a in on.reference.alphas])]
    weights = average(on.spots(SMALL, alphas)) | average(on.spots(LARGE, alphas), -1.0) if alphas else {}
    return weights, f"{len(weights)} of {len(on.spots())}"
