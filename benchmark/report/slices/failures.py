"""Failure cases found by stated rules, never by hand: one row per case, worst first. Pure.

Rows are those of one cell: one per run and test slice, as `rows_of` makes them. Each slice is a
case once, shown as one of the trainings that tested it; ties go to the lower slice number, then to
the lower run_id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.judge.cells import NO_SEED
from benchmark.judge.claims.image_claims import centre_missed, largest_third
from benchmark.judge.reference import ClaimRule, Sizes

MOST = 4  # cases of a kind
COLUMNS = ("split_id", "seed", "run_id", "slice_id", "patient_id", "dice", "dice_mean", "trainings",
           "truth_mm2", "predicted_mm2")  # fmt: skip
RIGHT, CENTRE = (
    "outline looks right",
    "centre missed",
)  # kinds whose rules read columns that older runs lack
EXACT = 12  # decimals to which numbers tie
STANDINGS = (90, 50, 10)  # percentiles of the slices' mean Dice


@dataclass(frozen=True, eq=False)
class FailureCases:
    """What one rule found.

    kind: a word or two; rule: which slices, in words; found: how many met it; table: the first
    `MOST` of them, with kind, rule, measure and value (what they were ordered or chosen by), and
    `COLUMNS`. Empty where none met it. measured: False where the rule could not be held against all
    runs; then rule says why, and the table is empty.
    """

    kind: str
    rule: str
    found: int
    table: pd.DataFrame
    measured: bool = True


def rows_of(runs: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores of these runs (rows of `Collected`), one row per run and slice, with what the
    rules below read.

    Beside the columns of scores.csv: split_id, seed, dice_mean over the trainings that tested the
    slice, and how many trainings these are. Sorted by slice, then by how near the run's Dice is to
    that mean.
    """
    named = runs[["run_id", "split_id"]].assign(seed=runs["seed"].fillna(NO_SEED).astype(int))
    rows = scores.merge(named, on="run_id")
    dice = rows.groupby("slice_id")["dice"]
    rows = rows.assign(
        dice_mean=dice.transform("mean").round(EXACT), trainings=dice.transform("size")
    )
    off = (rows["dice"] - rows["dice_mean"]).abs().round(EXACT)
    return (
        rows.assign(off=off)
        .sort_values(["slice_id", "off", "run_id"], ignore_index=True)
        .drop(columns="off")
    )


def unmeasured(kind: str, lacking: str) -> FailureCases:
    """No case, since some run lacks what the rule reads; lacking: which columns, and the cure.

    Trainings that have it are not judged alone: "none met it" would then be said of trainings that
    nobody looked at.
    """
    table = pd.DataFrame(columns=["kind", "rule", "measure", "value", *COLUMNS])
    return FailureCases(kind, f"not measured: {lacking}", 0, table, measured=False)


def standings(rows: pd.DataFrame) -> FailureCases:
    """The slices whose mean Dice stands at the `STANDINGS` among all that were tested: good, usual
    and poor ones.
    """
    ordered = _typical(rows).sort_values(["dice_mean", "slice_id"])
    places = (
        [round((len(ordered) - 1) * share / 100) for share in STANDINGS] if len(ordered) else []
    )
    shares = f"{', '.join(f'{share}th' for share in STANDINGS[:-1])} and {STANDINGS[-1]}th"
    rule = f"the slices whose mean Dice stands at the {shares} percentile of all that were tested"
    return _cases(ordered.iloc[places], "example", rule, "dice_mean")


def lowest(rows: pd.DataFrame) -> FailureCases:
    """The slices of lowest mean Dice, tumours that were missed among them."""
    rule = "all test slices, lowest mean Dice of the trainings that tested them first"
    return _cases(
        _typical(rows).sort_values(["dice_mean", "slice_id"]), "lowest Dice", rule, "dice_mean"
    )


def small(rows: pd.DataFrame, sizes: Sizes) -> FailureCases:
    """Of the smallest third, those of lowest mean Dice that every training found at least in
    part.
    """
    found = rows.groupby("slice_id")["tp"].transform("min") > 0
    rule = f"tumours under {sizes.edges_mm2[0]:g} mm² that every training found at least in part, lowest mean Dice first"
    chosen = _typical(rows[found & (rows["truth_mm2"] < sizes.edges_mm2[0])])
    return _cases(chosen.sort_values(["dice_mean", "slice_id"]), "lowest Dice", rule, "dice_mean")


def small_right(rows: pd.DataFrame, sizes: Sizes, rule: ClaimRule) -> FailureCases:
    """Of the smallest third, where a training's outline looks right (NSD at 1 mm) and its Dice is
    low: lowest Dice.

    Low: below the mean Dice of all outlines that look right, of any size.
    """
    right = rows[rows["nsd_1mm"] >= rule.outline_right_nsd_1mm]
    usual = right["dice"].mean()
    chosen = right[(right["truth_mm2"] < sizes.edges_mm2[0]) & (right["dice"] < usual)]
    words = (
        f"tumours under {sizes.edges_mm2[0]:g} mm² where a training's outline looks right (NSD at 1 mm of "
        f"{rule.outline_right_nsd_1mm:g} or more) and its Dice is below the mean of all outlines that do, "
        f"{usual:.3f}, lowest first"
    )
    chosen = chosen.sort_values(["dice", "slice_id", "run_id"]).drop_duplicates("slice_id")
    return _cases(chosen, RIGHT, words, "nsd_1mm")


def necrotic(rows: pd.DataFrame, rule: ClaimRule, sizes: Sizes) -> FailureCases:
    """Large tumours whose centre a training missed, by the predicate of the claim: lowest core
    sensitivity first.
    """
    large = largest_third(rows, sizes)
    chosen = large[centre_missed(large, rule)].sort_values(
        ["core_sensitivity", "slice_id", "run_id"]
    )
    words = (
        f"tumours of {sizes.edges_mm2[1]:g} mm² or more of whose core a training found less than a share of "
        f"{rule.core_missed:g}, though of the whole tumour as much or more; least core found first"
    )
    return _cases(chosen.drop_duplicates("slice_id"), CENTRE, words, "core_sensitivity")


def by_truth(
    rows: pd.DataFrame,
    values: Mapping[int, float],
    least: float,
    kind: str,
    rule: str,
    measure: str,
) -> FailureCases:
    """The slices with the greatest value, from least up, of a measure by slice; each in its typical
    run.
    """
    chosen = _typical(rows[rows["slice_id"].isin(values)])
    chosen = chosen.assign(**{measure: chosen["slice_id"].map(values).astype(float).round(EXACT)})
    chosen = chosen[chosen[measure] >= least].sort_values(
        [measure, "slice_id"], ascending=[False, True]
    )
    return _cases(chosen, kind, rule, measure)


def by_run(
    rows: pd.DataFrame,
    values: Mapping[tuple[str, int], float],
    least: float,
    kind: str,
    rule: str,
    measure: str,
) -> FailureCases:
    """The slices with the greatest value, from least up, of a measure by (run_id, slice); each in
    that run.
    """
    keys = zip(rows["run_id"], rows["slice_id"], strict=True)
    chosen = rows.assign(**{measure: np.round([values[key] for key in keys], EXACT)})
    chosen = chosen[chosen[measure] >= least]
    chosen = chosen.sort_values([measure, "slice_id", "run_id"], ascending=[False, True, True])
    return _cases(chosen.drop_duplicates("slice_id"), kind, rule, measure)


def _typical(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per slice: of the run whose Dice is nearest to the slice's mean."""
    return rows.drop_duplicates("slice_id")


def _cases(chosen: pd.DataFrame, kind: str, rule: str, measure: str) -> FailureCases:
    first = chosen.head(MOST)
    named = {"kind": kind, "rule": rule, "measure": measure, "value": first[measure]}
    return FailureCases(
        kind, rule, len(chosen), first.assign(**named)[[*named, *COLUMNS]].reset_index(drop=True)
    )
