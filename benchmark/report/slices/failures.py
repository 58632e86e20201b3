"""Failure cases found by stated rules, never by hand: one row per case, worst first. Pure.

Rows are those of one cell: one per run and test slice, as `rows_of` makes them. Each slice is a
case once, shown as one of the trainings that tested it; ties go to the lower slice number, then to
the lower run_id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmark.judge.cells import NO_SEED
from benchmark.judge.claims.image_claims import centre_missed, largest_third, often_missed
from benchmark.judge.reference import ClaimRule, Sizes
from benchmark.report.slices.contour_shape import (
    AROUND_MM,
    LEAST_STRAIGHT,
    LEAST_STRAND_MM2,
    STRAIGHT_PIXELS,
    STRAND_MM,
)

MOST = 4  # cases of a kind
COLUMNS = ("split_id", "seed", "run_id", "slice_id", "patient_id", "dice", "dice_mean", "trainings",
           "truth_mm2", "predicted_mm2")  # fmt: skip
# kinds whose rules read columns that older runs lack
RIGHT, CENTRE = "outline looks right", "centre missed"
EXACT = 12  # decimals to which numbers tie
STANDINGS = (90, 50, 10)  # percentiles of the slices' mean Dice


@dataclass(frozen=True, eq=False)
class FailureCases:
    """What one rule found.

    kind: a word or two; rule: which slices, in words; met: how many met it; table: the first
    `MOST` of them, with kind, rule, measure and value (what they were ordered or chosen by), and
    `COLUMNS`. Empty where none met it. measured: False where the rule could not be held against all
    runs; then rule says why, and the table is empty.
    """

    kind: str
    rule: str
    met: int
    table: pd.DataFrame
    measured: bool = True

    @property
    def title(self) -> str:
        """The kind, as a sentence begins with it."""
        return self.kind[0].upper() + self.kind[1:]

    @property
    def tally(self) -> str:
        """How many met the rule, or are shown, in brackets after a space; empty if not measured."""
        if not self.measured:
            return ""
        if len(self.table) < self.met:
            return f" ({len(self.table)} of {self.met} shown)"
        return f" ({self.met} met it)" if self.met else " (none met it)"

    @property
    def why_none(self) -> str:
        return "no tested slice meets the rule" if self.measured else self.rule

    @property
    def sentence(self) -> str:
        """The cases in words, for who cannot see them."""
        headings = "; ".join(map(case_heading, self.table.itertuples())).replace("\n", ", ")
        return f"{headings if self.met else self.why_none}."


def case_heading(row: Any) -> str:
    """What stands above a picture: the truth and its Dice, below it the prediction.

    A tumour with Dice 0 is missed.
    """
    missed = row.truth_mm2 and not row.dice
    dice = "missed" if missed else f"Dice {row.dice:.2f}"
    predicted = f"{row.predicted_mm2:.0f} mm² predicted{' elsewhere' if missed else ''}"
    predicted = predicted if row.predicted_mm2 else "nothing predicted"
    return f"slice {row.slice_id}, {row.truth_mm2:.0f} mm², {dice}\n{predicted}"


def rows_of(runs: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores of these runs (rows of `Collected`) with what the rules below read.

    Beside the columns of scores.csv: split_id, seed, dice_mean over the trainings that tested the
    slice, and how many trainings these are. Sorted by slice, then by how near the run's Dice is to
    that mean.
    """
    named = runs[["run_id", "split_id"]].assign(seed=runs["seed"].fillna(NO_SEED).astype(int))
    rows = scores.merge(named, on="run_id")
    dice = rows.groupby("slice_id")["dice"]
    mean = dice.transform("mean").round(EXACT)
    rows = rows.assign(dice_mean=mean, trainings=dice.transform("size"))
    rows["off"] = (rows["dice"] - mean).abs().round(EXACT)
    return rows.sort_values(["slice_id", "off", "run_id"], ignore_index=True).drop(columns="off")


def unmeasured(kind: str, lacking: str) -> FailureCases:
    """No case, since some run lacks what the rule reads; lacking: which columns, and the cure.

    Trainings that have it are not judged alone: "none met it" would then be said of trainings that
    nobody looked at.
    """
    table = pd.DataFrame(columns=["kind", "rule", "measure", "value", *COLUMNS])
    return FailureCases(kind, f"not measured: {lacking}", 0, table, measured=False)


def standings(rows: pd.DataFrame) -> FailureCases:
    """The slices whose mean Dice stands at the `STANDINGS` of all: good, usual and poor ones."""
    ordered = _by_mean(rows)
    places = [round((len(ordered) - 1) * share / 100) for share in STANDINGS if len(ordered)]
    shares = f"{', '.join(f'{share}th' for share in STANDINGS[:-1])} and {STANDINGS[-1]}th"
    rule = f"the slices whose mean Dice stands at the {shares} percentile of all that were tested"
    return _cases(ordered.iloc[places], "example", rule, "dice_mean")


def lowest(rows: pd.DataFrame) -> FailureCases:
    """The slices of lowest mean Dice, tumours that were missed among them."""
    rule = "all test slices, lowest mean Dice of the trainings that tested them first"
    return _cases(_by_mean(rows), "lowest Dice", rule, "dice_mean")


def small(rows: pd.DataFrame, sizes: Sizes) -> FailureCases:
    """Of the smallest third, those of lowest mean Dice that every training found in part."""
    edge, found = sizes.edges_mm2[0], rows.groupby("slice_id")["tp"].transform("min") > 0
    rule = (
        f"tumours under {edge:g} mm² that every training found at least in part, lowest mean Dice "
        "first"
    )
    chosen = _by_mean(rows[found & (rows["truth_mm2"] < edge)])
    return _cases(chosen, "lowest Dice", rule, "dice_mean")


def small_right(rows: pd.DataFrame, sizes: Sizes, rule: ClaimRule) -> FailureCases:
    """Of the smallest third, where an outline looks right (NSD at 1 mm) with a low Dice: lowest.

    Low: below the mean Dice of all outlines that look right, of any size.
    """
    edge, right = sizes.edges_mm2[0], rows[rows["nsd_1mm"] >= rule.outline_right_nsd_1mm]
    usual = right["dice"].mean()
    chosen = right[(right["truth_mm2"] < edge) & (right["dice"] < usual)]
    words = (
        f"tumours under {edge:g} mm² where a training's outline looks right (NSD at 1 mm of "
        f"{rule.outline_right_nsd_1mm:g} or more) and its Dice is below the mean of all outlines "
        f"that do, {usual:.3f}, lowest first"
    )
    chosen = chosen.sort_values(["dice", "slice_id", "run_id"]).drop_duplicates("slice_id")
    return _cases(chosen, RIGHT, words, "nsd_1mm")


def necrotic(rows: pd.DataFrame, sizes: Sizes, rule: ClaimRule) -> FailureCases:
    """Large tumours whose centre was missed, as the claim has it: the claim's examples first, then
    lowest core sensitivity first.
    """
    large, of = largest_third(rows, sizes), "core_sensitivity"
    tumours = often_missed(rows, sizes, rule)
    examples = set(tumours.loc[tumours["example"], "slice_id"])
    chosen = large[centre_missed(large, rule)]
    chosen = chosen.assign(other=~chosen["slice_id"].isin(examples))
    chosen = chosen.sort_values(["other", of, "slice_id", "run_id"]).drop(columns="other")
    words = (
        f"tumours of {sizes.edges_mm2[1]:g} mm² or more of whose core a training found less than a "
        f"share of {rule.core_missed:g}, though of the whole tumour as much or more; first those "
        f"that at least {rule.consistently:.0%} of trainings missed ({len(examples)}), then least "
        "core found first"
    )
    return _cases(chosen.drop_duplicates("slice_id"), CENTRE, words, of)


def strands(rows: pd.DataFrame, areas_mm2: Mapping[tuple[str, int], float]) -> FailureCases:
    """Thin bright parts of the truth that a training left out, each in that training.

    areas_mm2: the largest by run_id and slice, as `left_out_strand_mm2` has it.
    """
    keys = zip(rows["run_id"], rows["slice_id"], strict=True)
    rows = rows.assign(left_out_mm2=np.round([areas_mm2[key] for key in keys], EXACT))
    rule = (
        f"parts of the truth less than {STRAND_MM:g} mm wide that a training left out, their mean "
        "grey nearer to the median of the tumour found than to that of the "
        f"{AROUND_MM:g} mm around the truth; {LEAST_STRAND_MM2:g} mm² or more, largest first"
    )
    return _greatest(rows, "left_out_mm2", LEAST_STRAND_MM2, "candidate", rule)


def straight(rows: pd.DataFrame, shares: Mapping[int, float], least_mm2: float) -> FailureCases:
    """Truths with straight edges, each in its typical run; shares: by slice, as `straight_share`.

    Of tumours of least_mm2 or more, on which pixels do not decide: shares has no others.
    """
    rows = _typical(rows[rows["slice_id"].isin(shares)])
    own = rows["slice_id"].map(shares).astype(float).round(EXACT)
    rule = (
        f"tumours of {least_mm2:g} mm² or more, by the share of the truth's outline that its four "
        f"longest straight edges make up (Douglas and Peucker, {STRAIGHT_PIXELS:g} pixel), "
        f"{LEAST_STRAIGHT:g} or more, largest first"
    )
    rows = rows.assign(straight_share=own)
    return _greatest(rows, "straight_share", LEAST_STRAIGHT, "straight edges", rule)


def _greatest(rows: pd.DataFrame, measure: str, least: float, kind: str, rule: str) -> FailureCases:
    """The slices with the greatest value of a measure, from least up."""
    chosen = rows[rows[measure] >= least]
    chosen = chosen.sort_values([measure, "slice_id", "run_id"], ascending=[False, True, True])
    return _cases(chosen.drop_duplicates("slice_id"), kind, rule, measure)


def _typical(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per slice: of the run whose Dice is nearest to the slice's mean."""
    return rows.drop_duplicates("slice_id")


def _by_mean(rows: pd.DataFrame) -> pd.DataFrame:
    return _typical(rows).sort_values(["dice_mean", "slice_id"])


def _cases(chosen: pd.DataFrame, kind: str, rule: str, measure: str) -> FailureCases:
    first = chosen.head(MOST)
    named = {"kind": kind, "rule": rule, "measure": measure, "value": first[measure]}
    table = first.assign(**named)[[*named, *COLUMNS]].reset_index(drop=True)
    return FailureCases(kind, rule, len(chosen), table)
