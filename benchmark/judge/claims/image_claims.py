"""Claims about single images: small tumours, easy and hard images, what is left out. Pure."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.judge.cells import Cell
from benchmark.judge.claims.evidence import (
    FEW_PATIENTS,
    NO_BEST,
    ClaimVerdict,
    Finding,
    GridEvidence,
    in_words,
    side,
)
from benchmark.judge.reference import ClaimRule, Sizes
from benchmark.judge.statistics.contrast import Statistic, difference_within
from benchmark.judge.statistics.estimate import clustered_share

CONFIRMED, CONTRADICTED, UNDECIDED, NOT_TESTABLE = ClaimVerdict
FEWEST_TRAININGS = 3  # before "no training does so" means anything
SHARE = "{:.2f} [{:.2f}, {:.2f}]"  # with its interval


def small_tumours(evidence: GridEvidence) -> Finding:
    """Mean Dice of the smallest third of tumours below that of the largest, and so where the
    outline looks right.

    On the best cell. An outline looks right where NSD at 1 mm is at least
    `outline_right_nsd_1mm`; both differences must lie below 0.
    """
    cell, rule = evidence.best, evidence.rule
    if cell is None:
        return Finding(NOT_TESTABLE, NO_BEST, cells="0 of 1")
    if lacking := evidence.lacking([evidence.printed], ("nsd_1mm", "truth_mm2")):
        return Finding(NOT_TESTABLE, lacking, cells="1 of 1")
    of_all = small_minus_large(evidence.sizes, 0.0)
    of_right = small_minus_large(evidence.sizes, rule.outline_right_nsd_1mm)
    estimates = [evidence.within(cell, statistic) for statistic in (of_all, of_right)]
    words = [in_words(estimate, rule.level) for estimate in estimates]
    measured = "Dice, small minus large tumours: all {}; outline looks right {}".format(*words)
    if None in estimates:
        unknown = of_all if estimates[0] is None else of_right
        why = evidence.unknown([evidence.printed], unknown)
        return Finding(UNDECIDED, why, measured, "1 of 1")
    sides = [side(estimate, rule.level) for estimate in estimates]
    if sides == [-1, -1]:
        return Finding(CONFIRMED, "both differences are below 0", measured, "1 of 1")
    standing = CONTRADICTED if 1 in sides else UNDECIDED
    return Finding(standing, "at least one difference may be 0", measured, "1 of 1")


@cache
def small_minus_large(sizes: Sizes, least: float) -> Statistic:
    """Mean Dice of the smallest third of tumours minus that of the largest, from this NSD on."""

    def of(rows: pd.DataFrame) -> NDArray[np.float64]:
        dice, nsd, area = (
            rows[name].to_numpy(dtype=float) for name in ("dice", "nsd_1mm", "truth_mm2")
        )
        right, (low, high) = nsd >= least, sizes.edges_mm2
        return difference_within(dice, right & (area < low), right & (area >= high))

    return Statistic(f"mean Dice, small minus large tumours, NSD from {least}", of)


def image_spread(evidence: GridEvidence) -> Finding:
    """On the split with most cells: some images have a Dice of `well` in every cell, on some cells
    differ by `vary`.

    A cell's Dice is its mean over at least two seeds, so that two trainings of one model are
    not two models. "Some" is a share of the images whose interval lies above `share`.
    """
    rule = evidence.rule
    by_split = _trained_twice(evidence)
    most = max(map(len, by_split.values()), default=0)
    cells = f"{most} of {len(evidence.points())}"
    if most < rule.fewest_cells:
        why = f"fewer than {rule.fewest_cells} cells have been trained from two seeds on one split"
        return Finding(NOT_TESTABLE, why, cells=cells)
    split = min(name for name, parts in by_split.items() if len(parts) == most)
    image = ["patient_id", "slice_id"]
    means = [part.rows.groupby(image, dropna=False)["dice"].mean() for part in by_split[split]]
    dice = pd.concat(means).groupby(level=image, dropna=False).agg(["min", "max"])
    patients = dice.index.get_level_values("patient_id")
    if patients.isna().any() or patients.nunique() < 2:
        return Finding(UNDECIDED, FEW_PATIENTS, cells=cells)
    well, vary = (
        clustered_share(hits.to_numpy(), patients.tolist(), rule.level)
        for hits in (dice["min"] >= rule.well, dice["max"] - dice["min"] >= rule.vary)
    )
    measured = f"segmented well by all {SHARE}; models differ {SHARE}".format(*well, *vary)
    low, high = min(well[1], vary[1]), min(well[2], vary[2])
    return _some(evidence, low, high, f"the images of {split}", measured, cells)


def _trained_twice(evidence: GridEvidence) -> dict[str, list[Cell]]:
    """By split, the cells that two seeds or more were trained for there, on that split alone."""
    by_split = defaultdict(list)
    for cell in evidence.cells.values():
        seeds = cell.runs.groupby("split_id")["seed"].nunique()
        for split in seeds.index[seeds > 1]:
            by_split[split].append(cell.on(splits=[split]))
    return by_split


def necrotic_centres(evidence: GridEvidence) -> Finding:
    """Of some tumours of the largest third, the centre is missed by the best cell's trainings as a
    habit.

    Missed: `core_sensitivity` below `core_missed` though the tumour's sensitivity is not. Of the
    tumours that three or more trainings tested, the share is taken of those that at least
    `consistently` of them miss: confirmed or contradicted where its interval (patients as the unit)
    lies above or below `share`. Whether a centre is necrotic is on no record.
    """
    cell, rule = evidence.best, evidence.rule
    if cell is None:
        return Finding(NOT_TESTABLE, NO_BEST, cells="0 of 1")
    needed = ("core_sensitivity", "sensitivity", "truth_mm2")
    if lacking := evidence.lacking([evidence.printed], needed):
        return Finding(NOT_TESTABLE, lacking, cells="1 of 1")
    rows = largest_third(cell.rows, evidence.sizes)
    slices = [rows["split_id"], rows["slice_id"], rows["patient_id"]]
    missed = centre_missed(rows, rule).groupby(slices, dropna=False).agg(["mean", "size"])
    habit = missed.loc[missed["size"] >= FEWEST_TRAININGS, "mean"]
    if habit.empty:
        why = f"no large tumour was tested by {FEWEST_TRAININGS} trainings or more"
        return Finding(UNDECIDED, why, cells="1 of 1")
    patients = habit.index.get_level_values("patient_id")
    if patients.isna().any() or patients.nunique() < 2:
        return Finding(UNDECIDED, FEW_PATIENTS, cells="1 of 1")
    hits = (habit >= rule.consistently).to_numpy()
    share, low, high = clustered_share(hits, patients.tolist(), rule.level)
    measured = f"centre missed in {hits.sum()} of {len(hits)} large tumours, {SHARE}"
    measured = measured.format(share, low, high)
    return _some(evidence, low, high, "the large tumours", measured, "1 of 1")


def largest_third(rows: pd.DataFrame, sizes: Sizes) -> pd.DataFrame:
    """The rows (run and slice) of the large tumours."""
    return rows[rows["truth_mm2"] >= sizes.edges_mm2[1]]


def centre_missed(rows: pd.DataFrame, rule: ClaimRule) -> pd.Series[bool]:
    """True where the tumour's core was missed though the tumour was not; beside rows. Of a large
    one it is the centre.

    Both shares that were found are held against `core_missed`.
    """
    return (rows["core_sensitivity"] < rule.core_missed) & (rows["sensitivity"] >= rule.core_missed)


def _some(
    evidence: GridEvidence, low: float, high: float, of: str, measured: str, cells: str
) -> Finding:
    """Judge a share that a claim calls "some": more than `share`."""
    limit = f"{evidence.rule.share:.0%} of {of}"
    if low > evidence.rule.share:
        return Finding(CONFIRMED, f"more than {limit}", measured, cells)
    if high < evidence.rule.share:
        return Finding(CONTRADICTED, f"less than {limit}", measured, cells)
    why = f"too few cases to say whether it is more than {limit}"
    return Finding(UNDECIDED, why, measured, cells)


def vessels_excluded(evidence: GridEvidence) -> Finding:
    """Vessels that the truth includes: no source of these slices marks them, so none can tell."""
    why = "vessels are marked in no copy of these slices; a radiologist would have to look"
    return Finding(NOT_TESTABLE, why)
