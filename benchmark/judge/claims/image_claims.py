"""Claims about single images: small tumours, easy and hard images, what is left out. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.judge.cells import Cell
from benchmark.judge.claims.evidence import (
    FEW_PATIENTS,
    NO_BEST,
    ROUNDING,
    TOO_FEW_ENTER,
    ClaimVerdict,
    Finding,
    GridEvidence,
    collapsed,
    in_words,
    side,
)
from benchmark.judge.reference import ClaimRule, Sizes
from benchmark.judge.statistics.contrast import DICE
from benchmark.judge.statistics.contrast import mean as mean_of_cell
from benchmark.judge.statistics.estimate import Estimate, clustered_share, too_few
from benchmark.judge.statistics.groups import Group, combined
from benchmark.judge.statistics.spread_of_seeds import spreads

CONFIRMED, CONTRADICTED, UNDECIDED, NOT_TESTABLE = ClaimVerdict
MOST_NAMED = 4  # examples in one sentence
RELABELLED, RELABELLED_KEY = 9999, 15  # ways drawn to deal trainings out, and the generator's key
MOST_DEALT = 10  # trainings of a cell on a split
SHARE = "{:.2f} [{:.2f}, {:.2f}]"  # with its interval


def small_tumours(evidence: GridEvidence) -> Finding:
    """Where the outline looks right, the mean Dice of the smallest third of tumours is low: below
    `well`, and below the largest third's.

    On the best cell. An outline looks right where NSD at 1 mm is at least `outline_right_nsd_1mm`;
    large tumours are all of them. Each part is one group of `statistics.groups`, over all draws and
    trainings, since one training may have a single right outline. Confirmed where the intervals of
    the mean and of the difference lie below `well` and 0, contradicted where one of them lies
    above.
    """
    cell, rule = evidence.best, evidence.rule
    if cell is None:
        return Finding(NOT_TESTABLE, NO_BEST, cells="0 of 1")
    if lacking := evidence.lacking([evidence.printed], ("nsd_1mm", "truth_mm2")):
        return Finding(NOT_TESTABLE, lacking, cells="1 of 1")
    parts = small_and_large(cell, evidence.sizes, rule.outline_right_nsd_1mm)
    few = _too_few(parts, evidence)
    mean, difference = (
        None if why else signed_sum(parts[:n]) for n, why in enumerate(few, start=1)
    )
    low, high = (mean_of_cell(part, DICE) for part in parts)
    small, less = (
        _in_words(value, estimate, rule.level)
        for value, estimate in ((low, mean), (low - high, difference))
    )
    small = small.replace("+", "")  # a Dice is no difference
    measured = f"Dice where the outline looks right: small tumours {small}; minus all large {less}"
    standing, why = _low(side(mean, rule.level, rule.well), side(difference, rule.level), rule)
    if standing is UNDECIDED and None in (mean, difference):
        unknown = any(part.rows["patient_id"].isna().any() for part in parts)
        first = 0 if mean is None else 1
        why = few[first] or (FEW_PATIENTS if unknown else TOO_FEW_ENTER)
    if once := evidence.twice([evidence.printed]):
        standing, why = UNDECIDED, once
    return Finding(standing, why, measured, "1 of 1")


def small_and_large(cell: Cell, sizes: Sizes, least: float) -> tuple[Cell, Cell]:
    """The cell on small tumours whose NSD at 1 mm is at least this, in the trainings where it is,
    and on all large ones.
    """
    low, high = sizes.edges_mm2
    return (
        cell.where(lambda rows: (rows["nsd_1mm"] >= least) & (rows["truth_mm2"] < low)),
        cell.where(lambda rows: rows["truth_mm2"] >= high),
    )


def signed_sum(parts: Sequence[Cell]) -> Estimate | None:
    """Mean Dice of the first part, minus that of the second if there is one; see `combined`.

    A slice's value is its mean over the trainings in which it is of the part, and a part's
    deviations are from its mean over all draws.
    """
    groups = [
        Group(sign, {split: {i: 1.0} for split in sorted(part.splits)})
        for i, (sign, part) in enumerate(zip((1.0, -1.0), parts, strict=False))
    ]
    return combined(groups, dict(enumerate(parts)), DICE, spreads(parts, DICE))


def _in_words(value: float, estimate: Estimate | None, level: float) -> str:
    """A statistic with its interval where it has one."""
    alone = "not known" if np.isnan(value) else f"{value:+.3f}, no interval"
    return in_words(estimate, level) if estimate else alone


def _low(mean: int, difference: int, rule: ClaimRule) -> tuple[ClaimVerdict, str]:
    """Of the sides of `well` and 0 on which the two intervals lie."""
    if mean > 0:
        return CONTRADICTED, f"the mean lies above {rule.well:g}"
    if difference > 0:
        return CONTRADICTED, "the difference lies above 0"
    if mean < 0 and difference < 0:
        return CONFIRMED, f"the mean lies below {rule.well:g} and the difference below 0"
    return UNDECIDED, "the difference may be 0" if mean < 0 else f"the mean may be {rule.well:g}"


def _too_few(parts: Sequence[Cell], evidence: GridEvidence) -> tuple[str, str]:
    """Why right outlines of small tumours, and why these or large tumours are too few, or "".

    Slices are counted over all splits; one is right that is so in some training.
    """
    slices = (part.rows.drop_duplicates(["split_id", "slice_id"])["patient_id"] for part in parts)
    of_small, of_large = (too_few(each.tolist(), evidence.intervals) for each in slices)
    return of_small, of_small or of_large


def image_spread(evidence: GridEvidence) -> Finding:
    """Some images have a Dice of `well` in every cell; on some, cells differ by `vary`, and by more
    than trainings of one cell do.

    On every split with `fewest_cells` cells of two seeds or more, whose mean is a cell's Dice on an
    image. "Some" is a share of the images whose interval lies above `share`. The best and the worst
    of many cells are far apart by chance alone, so for confirmed two things more are asked: the
    share has to stand where on each image both were chosen on other trainings than those that tell
    how far apart they are, and the cells' means have to vary more than they do with the trainings
    dealt out to the cells anew (`p_of_relabelled`). Undecided where a training has one Dice on all
    slices: collapsed, it would be the worst on every image.
    """
    rule, level = evidence.rule, evidence.rule.level
    trained = [
        cells
        for _, cells in sorted(_trained_twice(evidence).items())
        if len(cells) >= rule.fewest_cells
    ]
    tables = [training_table(cells) for cells in trained]
    most = max((table.index.get_level_values(0).nunique() for table in tables), default=0)
    cells = f"{most} of {len(evidence.points())}"
    if not tables:
        why = f"fewer than {rule.fewest_cells} cells have been trained from two seeds on one split"
        return Finding(NOT_TESTABLE, why, cells=cells)
    patients = [patient for table in tables for patient in table.columns.get_level_values(1)]
    if any(map(pd.isna, patients)) or len(set(patients)) < 2:
        return Finding(UNDECIDED, FEW_PATIENTS, cells=cells)
    twice = [point for point, cell in evidence.cells.items() if cell.most_seeds > 1]
    if why := collapsed(evidence, twice):
        return Finding(UNDECIDED, why, cells=cells)
    means = [table.groupby(level=0).mean() for table in tables]
    worst, range_ = (
        np.concatenate([np.asarray(part) for part in parts])
        for parts in ([m.min() for m in means], [m.max() - m.min() for m in means])
    )
    apart = np.concatenate([chosen_elsewhere(table) for table in tables])
    well, vary, beyond = (
        clustered_share(hits, patients, level)
        for hits in (worst >= rule.well, range_ >= rule.vary, apart >= rule.vary)
    )
    p = p_of_relabelled(tables)
    measured = (
        f"segmented well by all {SHARE}; best and worst differ {SHARE}, chosen on other trainings "
        f"{SHARE}; p {{:.4f}}"
    ).format(*well, *vary, *beyond, p)
    limit = f"{rule.share:.0%} of the images"
    if min(well[2], vary[2]) < rule.share:
        return Finding(CONTRADICTED, f"less than {limit}", measured, cells)
    if min(well[1], beyond[1]) <= rule.share:
        why = f"too few cases to say whether it is more than {limit}"
        return Finding(UNDECIDED, why, measured, cells)
    if p >= 1 - level:
        why = "models may differ by no more than trainings of one model do"
        return Finding(UNDECIDED, why, measured, cells)
    why = f"more than {limit} each, and by more than trainings of one model do"
    return Finding(CONFIRMED, why, measured, cells)


def _trained_twice(evidence: GridEvidence) -> dict[str, list[Cell]]:
    """By split, the cells that two seeds or more were trained for there, on that split alone."""
    by_split = defaultdict(list)
    for cell in evidence.cells.values():
        seeds = cell.runs.groupby("split_id")["seed"].nunique()
        for split in seeds.index[seeds > 1]:
            by_split[split].append(cell.on(splits=[split]))
    return by_split


def training_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """Dice of trainings on one split, by (number of the cell, seed), on images, by (slice_id,
    patient_id).
    """
    parts = {
        number: cell.rows.set_index(["seed", "slice_id", "patient_id"])["dice"].unstack("seed").T
        for number, cell in enumerate(cells)
    }
    return pd.concat(parts)


def chosen_elsewhere(trainings: pd.DataFrame) -> NDArray[np.float64]:
    """How far apart the best and the worst cell are on each image, (images,), in Dice.

    Both are chosen on the cells' means without one training of each, and set against each other on
    that one: a mean over the trainings left out in turn. Of cells that are alike, 0 on average.
    """
    cell = trainings.index.get_level_values(0).to_numpy()
    dice = trainings.to_numpy(dtype=float)  # (trainings, images)
    sizes = np.bincount(cell)
    starts, sums = np.cumsum(sizes) - sizes, np.add.reduceat(dice, np.flatnonzero(_first(cell)))
    total, image = np.zeros(dice.shape[1]), np.arange(dice.shape[1])
    for turn in range(sizes.max()):
        out = dice[starts + turn % sizes]  # (cells, images)
        rest = (sums - out) / (sizes - 1)[:, None]
        total += out[rest.argmax(0), image] - out[rest.argmin(0), image]
    return total / sizes.max()


def _first(cell: NDArray[np.int64]) -> NDArray[np.bool_]:
    """True where a cell's trainings begin."""
    return np.append(True, cell[1:] != cell[:-1])


def p_of_relabelled(tables: Sequence[pd.DataFrame]) -> float:
    """The share of ways to deal the trainings out to the cells that put the cells as far apart.

    Of the sum over images of squared differences between cells' means and the mean of all, each
    weighed by its trainings, and over splits, on each of which whole trainings are dealt anew: so
    images may be alike or not. Of each cell the first `MOST_DEALT` trainings, lest thousands
    fill the memory. Exact for cells that are alike, since the ways drawn (a fixed key)
    are those there are, with the one that was found (Anderson, Austral Ecology 26 (2001) 32;
    Phipson & Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010) 39).
    """
    rng, between = np.random.Generator(np.random.Philox(RELABELLED_KEY)), np.zeros(RELABELLED + 1)
    for table in tables:
        trainings = table.groupby(level=0).head(MOST_DEALT)
        cell = trainings.index.get_level_values(0).to_numpy()
        dice = trainings.to_numpy(dtype=float)
        dice = dice - dice.mean(0)
        products, n = dice @ dice.T, len(cell)
        order = rng.permuted(np.tile(np.arange(n), (RELABELLED, 1)), axis=1)
        order = np.concatenate([np.arange(n)[None], order])  # (1 + RELABELLED, trainings)
        for of_cell in np.split(order, np.flatnonzero(_first(cell))[1:], axis=1):
            pairs = products[of_cell[:, :, None], of_cell[:, None]]  # of itself too
            between += pairs.sum((1, 2)) / of_cell.shape[1]
    return float((between >= between[0] * (1 - ROUNDING)).mean())


def necrotic_centres(evidence: GridEvidence) -> Finding:
    """Of some tumours of the largest third, the centre is missed by the best cell's trainings.

    A claim of existence: `examples` of them (`often_missed`) confirm it, and nothing contradicts
    it. An example is what these trainings did; of few trainings it may be chance, so beside it
    stands how many trainings of all cells missed it.
    Where there is none, it is said how frequent they may be: at the share p of patients with
    1 - (1 - p)^n = level, one or more would have been seen in n patients with that chance. Whether
    a centre is necrotic is on no record.
    """
    cell, rule = evidence.best, evidence.rule
    if cell is None:
        return Finding(NOT_TESTABLE, NO_BEST, cells="0 of 1")
    needed = ("core_sensitivity", "sensitivity", "truth_mm2")
    if lacking := evidence.lacking([evidence.printed], needed):
        return Finding(NOT_TESTABLE, lacking, cells="1 of 1")
    tumours = often_missed(cell.rows, evidence.sizes, rule)
    if tumours.empty:
        why = f"no large tumour was tested by {rule.fewest_trainings} trainings or more"
        return Finding(UNDECIDED, why, cells="1 of 1")
    found = tumours[tumours["example"]]
    measured = (
        f"centre missed in {rule.consistently:.0%} of trainings or more of {len(found)} of "
        f"{len(tumours)} large tumours"
    )
    if len(found):
        measured += f": {named_examples(found, over_all_cells(evidence))}"
    if len(found) >= rule.examples:
        return Finding(CONFIRMED, "there is such a tumour", measured, "1 of 1")
    patients = tumours["patient_id"].nunique()
    if tumours["patient_id"].isna().any() or len(found):
        why = f"fewer examples than {rule.examples}" if len(found) else FEW_PATIENTS
        return Finding(UNDECIDED, why, measured, "1 of 1")
    share = 1 - (1 - rule.level) ** (1 / patients)
    why = (
        f"no example in {patients} patients; if {share:.0%} of patients had one, one or more would "
        f"have been seen with a chance of {rule.level:g}"
    )
    return Finding(UNDECIDED, why, measured, "1 of 1")


def often_missed(rows: pd.DataFrame, sizes: Sizes, rule: ClaimRule) -> pd.DataFrame:
    """The large tumours that `fewest_trainings` trainings or more on a split tested.

    split_id, slice_id, patient_id, missed (trainings that missed its centre), trainings, and
    example: at least a share `consistently` of them did. In order of slice, then split.
    """
    large = largest_third(rows, sizes)
    keys = ["slice_id", "split_id", "patient_id"]
    by_tumour = centre_missed(large, rule).groupby([large[key] for key in keys], dropna=False)
    counted = by_tumour.agg(["sum", "size"]).set_axis(["missed", "trainings"], axis=1)
    counted = counted[counted["trainings"] >= rule.fewest_trainings].reset_index()
    return counted.assign(example=counted["missed"] >= rule.consistently * counted["trainings"])


def over_all_cells(evidence: GridEvidence) -> pd.DataFrame:
    """By slice_id of large tumours: missed, of how many trainings of all cells that tell of it."""
    needed = ("core_sensitivity", "sensitivity", "truth_mm2")
    told = [point for point in evidence.cells if not evidence.lacking([point], needed)]
    rows = pd.concat([evidence.cells[point].rows for point in told])
    large = largest_third(rows, evidence.sizes)
    by_slice = centre_missed(large, evidence.rule).groupby(large["slice_id"])
    return by_slice.agg(["sum", "size"]).set_axis(["missed", "trainings"], axis=1)


def named_examples(found: pd.DataFrame, anywhere: pd.DataFrame) -> str:
    """Tumours of `often_missed` in words, the first `MOST_NAMED` of them, with `over_all_cells`."""
    words = [
        f"slice {row.slice_id} of patient {row.patient_id} in {row.missed} of {row.trainings} "
        "trainings ({} of {} of all cells)".format(*anywhere.loc[row.slice_id])
        for row in found.head(MOST_NAMED).itertuples()
    ]
    more = len(found) - len(words)
    return "; ".join([*words, *([f"and {more} more"] if more else [])])


def largest_third(rows: pd.DataFrame, sizes: Sizes) -> pd.DataFrame:
    """The rows (run and slice) of the large tumours."""
    return rows[rows["truth_mm2"] >= sizes.edges_mm2[1]]


def centre_missed(rows: pd.DataFrame, rule: ClaimRule) -> pd.Series[bool]:
    """True where the tumour's core was missed though the tumour was not; beside rows. Of a large
    one it is the centre.

    Both shares that were found are held against `core_missed`.
    """
    return (rows["core_sensitivity"] < rule.core_missed) & (rows["sensitivity"] >= rule.core_missed)


def vessels_excluded(evidence: GridEvidence) -> Finding:
    """Vessels that the truth includes: no source of these slices marks them, so none can tell."""
    why = "vessels are marked in no copy of these slices; a radiologist would have to look"
    return Finding(NOT_TESTABLE, why)
