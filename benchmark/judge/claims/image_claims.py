"""Claims about single images: small tumours, images that are easy or hard, what is left out of a
tumour. Pure.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.judge.cells import Cell
from benchmark.judge.claims.evidence import (
    FEW_PATIENTS,
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


def small_tumours(on: GridEvidence) -> Finding:
    """Mean Dice of the smallest third of tumours below that of the largest, and so where the
    outline looks right.

    On the best cell. An outline looks right where NSD at 1 mm is at least
    `outline_right_nsd_1mm`; both differences must lie below 0.
    """
    cell = on.best
    if cell is None:
        return Finding(NOT_TESTABLE, "5x5, alpha 0.5 has not been run", cells="0 of 1")
    if lacking := on.lacking([on.printed], ("nsd_1mm", "truth_mm2")):
        return Finding(NOT_TESTABLE, lacking, cells="1 of 1")
    statistics = [
        small_minus_large(on.sizes, least) for least in (0.0, on.rule.outline_right_nsd_1mm)
    ]
    found = [on.within(cell, statistic) for statistic in statistics]
    measured = "Dice, small minus large tumours: " + "; ".join(
        f"{word} {in_words(one, on.rule.level)}"
        for word, one in zip(("all", "outline looks right"), found, strict=True)
    )
    if None in found:
        return Finding(
            UNDECIDED, on.unknown([on.printed], statistics[found.index(None)]), measured, "1 of 1"
        )
    sides = [side(one, on.rule.level) for one in found]
    standing = CONTRADICTED if 1 in sides else CONFIRMED if sides == [-1, -1] else UNDECIDED
    return Finding(
        standing,
        "both differences are below 0"
        if standing is CONFIRMED
        else "at least one difference may be 0",
        measured,
        "1 of 1",
    )


@cache
def small_minus_large(sizes: Sizes, least: float) -> Statistic:
    """Mean Dice of the smallest third of tumours minus that of the largest, of outlines with at
    least this NSD.
    """

    def of(rows: pd.DataFrame) -> NDArray[np.float64]:
        dice, nsd, area = (
            rows[name].to_numpy(dtype=float) for name in ("dice", "nsd_1mm", "truth_mm2")
        )
        right, (low, high) = nsd >= least, sizes.edges_mm2
        return difference_within(dice, right & (area < low), right & (area >= high))

    return Statistic(f"mean Dice, small minus large tumours, NSD from {least}", of)


def image_spread(on: GridEvidence) -> Finding:
    """On the split with most cells: some images have a Dice of `well` in every cell, on some cells
    differ by `vary`.

    A cell's Dice is its mean over at least two seeds, so that two trainings of one model are
    not two models. "Some" is a share of the images whose interval lies above `share`.
    """
    whole = [
        (split, cell)
        for cell in on.cells.values()
        for split in sorted(cell.splits)
        if _seeds(cell, split) > 1
    ]
    count = pd.Series([split for split, _ in whole], dtype=str).value_counts()
    cells = f"{count.max() if len(count) else 0} of {len(on.spots())}"
    if not len(count) or count.max() < on.rule.fewest_cells:
        why = (
            f"fewer than {on.rule.fewest_cells} cells have been trained from two seeds on one split"
        )
        return Finding(NOT_TESTABLE, why, cells=cells)
    split = sorted(count.index[count == count.max()])[0]
    means = [
        cell.on(splits=[split])
        .rows.groupby(["patient_id", "slice_id"], dropna=False)["dice"]
        .mean()
        for name, cell in whole
        if name == split
    ]
    rows = pd.concat(means).reset_index()
    if rows["patient_id"].isna().any() or rows["patient_id"].nunique() < 2:
        return Finding(UNDECIDED, FEW_PATIENTS, cells=cells)
    dice = rows.groupby(["patient_id", "slice_id"])["dice"].agg(["min", "max"])
    patients = dice.index.get_level_values("patient_id").tolist()
    shares = {
        "segmented well by all": dice["min"] >= on.rule.well,
        "models differ": dice["max"] - dice["min"] >= on.rule.vary,
    }
    ends = {
        name: clustered_share(hit.to_numpy(), patients, on.rule.level)
        for name, hit in shares.items()
    }
    measured = "; ".join(
        f"{name} {value:.2f} [{low:.2f}, {high:.2f}]" for name, (value, low, high) in ends.items()
    )
    low, high = (
        min(end) for end in zip(*((low, high) for _, low, high in ends.values()), strict=True)
    )
    return _some(on, low, high, f"the images of {split}", measured, cells)


def _seeds(cell: Cell, split: str) -> int:
    return int(cell.runs.loc[cell.runs["split_id"] == split, "seed"].nunique())


def necrotic_centres(on: GridEvidence) -> Finding:
    """Of some tumours of the largest third, the centre is missed by the best cell's trainings as a
    habit.

    Missed: `core_sensitivity` below `core_missed` though the tumour's sensitivity is not. Of the
    tumours that three or more trainings tested, the share is taken of those that at least
    `consistently` of them miss: confirmed or contradicted where its interval (patients as the unit)
    lies above or below `share`. Whether a centre is necrotic is on no record.
    """
    cell = on.best
    if cell is None:
        return Finding(NOT_TESTABLE, "5x5, alpha 0.5 has not been run", cells="0 of 1")
    if lacking := on.lacking([on.printed], ("core_sensitivity", "sensitivity", "truth_mm2")):
        return Finding(NOT_TESTABLE, lacking, cells="1 of 1")
    rows = largest_third(cell.rows, on.sizes)
    missed = centre_missed(rows, on.rule)
    habit = missed.groupby(
        [rows["split_id"], rows["slice_id"], rows["patient_id"]], dropna=False
    ).agg(["mean", "size"])
    habit = habit.loc[habit["size"] >= FEWEST_TRAININGS, "mean"]
    if habit.empty:
        return Finding(
            UNDECIDED,
            f"no large tumour was tested by {FEWEST_TRAININGS} trainings or more",
            cells="1 of 1",
        )
    patients = habit.index.get_level_values("patient_id")
    if patients.isna().any() or patients.nunique() < 2:
        return Finding(UNDECIDED, FEW_PATIENTS, cells="1 of 1")
    hits = (habit >= on.rule.consistently).to_numpy()
    share, low, high = clustered_share(hits, patients.tolist(), on.rule.level)
    measured = f"centre missed in {hits.sum()} of {len(hits)} large tumours, {share:.2f} [{low:.2f}, {high:.2f}]"
    return _some(on, low, high, "the large tumours", measured, "1 of 1")


def largest_third(rows: pd.DataFrame, sizes: Sizes) -> pd.DataFrame:
    """The rows (run and slice) of the large tumours."""
    return rows[rows["truth_mm2"] >= sizes.edges_mm2[1]]


def centre_missed(rows: pd.DataFrame, rule: ClaimRule) -> pd.Series[bool]:
    """True where the tumour's core was missed though the tumour was not; beside rows. Of a large
    one it is the centre.

    Both shares that were found are held against `core_missed`.
    """
    return (rows["core_sensitivity"] < rule.core_missed) & (rows["sensitivity"] >= rule.core_missed)


def _some(on: GridEvidence, low: float, high: float, of: str, measured: str, cells: str) -> Finding:
    """Judge a share that a claim calls "some": more than `share`."""
    limit = f"{on.rule.share:.0%} of {of}"
    if low > on.rule.share:
        return Finding(CONFIRMED, f"more than {limit}", measured, cells)
    if high < on.rule.share:
        return Finding(CONTRADICTED, f"less than {limit}", measured, cells)
    return Finding(
        UNDECIDED, f"too few cases to say whether it is more than {limit}", measured, cells
    )


def vessels_excluded(on: GridEvidence) -> Finding:
    """Vessels that the truth includes: no source of these slices marks them, so no record can
    tell.
    """
    return Finding(
        NOT_TESTABLE,
        "vessels are marked in no copy of these slices; a radiologist would have to look",
    )
