"""Equivalence of precisions: three verdicts, by two one-sided tests over pairs of one seed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.judge.comparisons.precisions import (
    Equivalence,
    judge_precision,
    paired_difference,
    precisions,
    precisions_table,
)
from benchmark.judge.reference import PrecisionRule, load_tolerances
from benchmark.runs.collect import collect, reproduction_folder

RULE = PrecisionRule("fp32", 3, 0.95, 0.01, "")
DICE = st.floats(0, 1)


def run(seed: int | None, precision: str, dice: float, **more: Any) -> dict[str, Any]:
    same = {
        "phantom": False, "dataset_id": "d", "protocol_hash": "p", "split_id": "by-image-1",
        "split_fingerprint": "s", "height": 256, "width": 256, "arm": "unet", "params": "{}",
        "source": "", "needs_click": False,
        "fit.collapsed": False,
    }  # fmt: skip
    return {**same, "seed": seed, "precision": precision, "test.dice_mean": dice, **more}


def table(*runs: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(runs).astype({"seed": "Int64"})


def judge(plain: Any, other: Any, collapsed: bool = False) -> Equivalence:
    return judge_precision(paired_difference(plain, other), len(plain), collapsed, RULE)


def test_the_interval_by_hand() -> None:
    # fp32 0.80 0.82 0.84, SD 0.02; bf16 0.83 0.84 0.88, SD 0.0264575; pairs 0.03 0.02 0.04:
    # mean 0.03, SD 0.01, SE 0.0057735; t(0.95, 2) 2.919986: 0.0168585; t(0.975, 2) 4.302653:
    # 0.0248414, so 0 lies outside the 95 % interval
    runs = table(*(run(s, "fp32", d) for s, d in enumerate((0.80, 0.82, 0.84))),
                 *(run(s, "bf16", d) for s, d in enumerate((0.83, 0.84, 0.88))))  # fmt: skip
    (row,) = precisions(runs, RULE)
    assert (row.precision, row.seeds, row.agreement) == ("bf16", 3, Equivalence.DIFFERENT)
    assert (row.plain_dice, row.dice) == (pytest.approx(0.82), pytest.approx(0.85))
    assert (row.plain_sd, row.sd) == (pytest.approx(0.02), pytest.approx(0.0264575, abs=1e-6))
    assert (row.low, row.high) == pytest.approx((0.0131415, 0.0468585), abs=1e-6)
    shown = precisions_table([row], RULE)
    assert shown.texts["difference"] == ["+0.0300"]
    assert shown.texts["90% interval"] == ["+0.013 to +0.047"]


PLAIN = (0.80, 0.82, 0.84)
SWAY = (-0.001, 0.0, 0.001)
"""Of pairs: SD 0.001, SE 0.00057735; half widths 0.00168585 at 90 % and 0.00248414 at 95 %."""


@pytest.mark.parametrize(
    ("shift", "collapsed", "expected"),
    [(0.0083, False, "equivalent"), (-0.0083, False, "equivalent"), (0.0084, False, "different"),
     (0.0083, True, "different"), (0.0024, True, "undecided"), (0.0024, False, "equivalent"),
     (0.0025, False, "equivalent"), (-0.0084, False, "different")],
)  # fmt: skip
def test_a_precision_is_judged_by_the_margin_then_by_the_interval(
    shift: float, collapsed: bool, expected: str
) -> None:
    """Equivalent up to 0.01 - 0.00168585, unless one collapsed; told apart from 0.00248414 on."""
    other = [dice + shift + sway for dice, sway in zip(PLAIN, SWAY, strict=True)]
    assert judge(PLAIN, other, collapsed) == expected


def test_a_wide_spread_of_pairs_decides_nothing() -> None:
    """Pairs -0.02, 0.01, 0.01: a mean of 0 is not shown to lie within 0.01."""
    assert judge(PLAIN, (0.78, 0.83, 0.85)) is Equivalence.UNDECIDED


def test_what_pairs_have_in_common_is_no_spread_of_their_difference() -> None:
    """Seeds 0.1 apart, pairs 0.001 apart."""
    assert judge((0.7, 0.8, 0.9), (0.7, 0.801, 0.899)) is Equivalence.EQUIVALENT


@pytest.mark.parametrize("edge", [0.01, -0.01])
@pytest.mark.parametrize(("common", "ratio"), [(0.0, 1.0), (0.0, 4.0), (0.5, 1.0), (0.9, 2.0)])
def test_of_precisions_a_margin_apart_one_in_twenty_is_called_equivalent(
    edge: float, common: float, ratio: float
) -> None:
    """The size of the two tests at either edge, whatever part of their variance pairs have in
    common and however much wider the lower precision spreads: four standard errors of 20,000.

    SD 0.001 of the plain, so that the other edge is out of reach and the size is that of one test.
    """
    found = np.mean([
        judge(plain, other) is Equivalence.EQUIVALENT
        for plain, other in zip(*drawn(edge, common, ratio), strict=True)
    ])  # fmt: skip
    assert abs(found - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 20_000)


@pytest.mark.parametrize(
    ("common", "ratio", "low", "high"),
    [(0.0, 1.0, 0.044, 0.056), (0.0, 4.0, 0.062, 0.080), (0.5, 1.0, 0.018, 0.028)],
)
def test_why_pairs_and_not_two_groups(common: float, ratio: float, low: float, high: float) -> None:
    """The size of the test of two independent groups is right only where neither matters.

    t(0.95, 4) = 2.131847.
    """
    plain, other = drawn(0.01, common, ratio)
    error = np.sqrt((plain.var(axis=1, ddof=1) + other.var(axis=1, ddof=1)) / 3)
    shown = np.abs(other.mean(axis=1) - plain.mean(axis=1)) + 2.131847 * error < 0.01
    assert low < shown.mean() < high


def drawn(edge: float, common: float, ratio: float) -> Any:
    """Dice (20000, 3) of three seeds in both precisions, whose means lie edge apart."""
    z = np.random.Generator(np.random.Philox(key=15)).standard_normal((3, 20_000, 3))
    shared, own = math.sqrt(common) * z[0], math.sqrt(1 - common)
    return 0.8 + 0.001 * (shared + own * z[1]), 0.8 + edge + 0.001 * ratio * (shared + own * z[2])


def test_a_seed_on_two_forms_of_the_files_counts_once_at_its_mean() -> None:
    (row,) = precisions(table(run(1, "fp32", 0.8), run(1, "fp32", 0.6), run(1, "bf16", 0.8)), RULE)
    assert (row.seeds, row.plain_dice) == (1, pytest.approx(0.7))


def test_two_seeds_decide_nothing() -> None:
    assert judge(PLAIN[:2], PLAIN[:2]) is Equivalence.UNDECIDED


def test_a_precision_that_fails_now_and_then_is_not_equivalent_for_its_own_spread() -> None:
    plain = [run(s, "fp32", d) for s, d in enumerate((0.90, 0.89, 0.91))]
    lower = [run(s, "bf16", d, **{"fit.collapsed": d == 0}) for s, d in enumerate((0.9, 0.0, 0.9))]
    assert precisions(table(*plain, *lower), RULE)[0].agreement is Equivalence.UNDECIDED


def test_an_arm_that_tells_of_no_collapse_had_none() -> None:
    runs = table(*(run(s, p, d) for p in ("fp32", "bf16") for s, d in enumerate(PLAIN)))
    for silent in (runs.drop(columns="fit.collapsed"), runs.assign(**{"fit.collapsed": None})):
        assert precisions(silent, RULE)[0].agreement is Equivalence.EQUIVALENT


@given(dice=st.lists(DICE, min_size=3, max_size=6))
def test_a_precision_never_differs_from_itself(dice: list[float]) -> None:
    runs = table(*(run(s, p, d) for p in ("fp32", "bf16") for s, d in enumerate(dice)))
    (row,) = precisions(runs, RULE)
    assert row.agreement is Equivalence.EQUIVALENT


@given(
    plain=st.lists(DICE, min_size=3, max_size=3),
    other=st.lists(DICE, min_size=3, max_size=3),
    key=st.randoms(),
)
def test_the_order_of_runs_changes_nothing(
    plain: list[float], other: list[float], key: Any
) -> None:
    rows = [
        run(s, p, d) for p, dice in (("fp32", plain), ("bf16", other)) for s, d in enumerate(dice)
    ]
    (before,) = precisions(table(*rows), RULE)
    key.shuffle(rows)
    (after,) = precisions(table(*rows), RULE)
    assert after.agreement == before.agreement
    assert (after.dice, after.sd) == (pytest.approx(before.dice), pytest.approx(before.sd))


def test_only_seeds_that_both_have_count() -> None:
    runs = table(run(1, "fp32", 0.8), run(2, "fp32", 0.1), run(1, "bf16", 0.8), run(3, "bf16", 0.2))
    (row,) = precisions(runs, RULE)
    assert (row.seeds, row.dice, row.plain_dice) == (1, 0.8, 0.8)
    assert math.isnan(row.sd)
    assert (row.difference, row.low, row.high) == (0, None, None)
    assert row.agreement is Equivalence.UNDECIDED


@pytest.mark.parametrize(
    "other",
    [{"split_id": "by-image-2"}, {"params": "{1}"}, {"height": 512}, {"protocol_hash": "q"}],
)
def test_runs_of_other_conditions_are_never_paired(other: dict[str, Any]) -> None:
    assert precisions(table(run(1, "fp32", 0.8), run(1, "bf16", 0.8, **other)), RULE) == []


def test_without_the_plain_precision_or_a_seed_there_is_nothing_to_say() -> None:
    assert precisions(table(run(1, "bf16", 0.8), run(1, "tf32", 0.8)), RULE) == []
    assert precisions(table(run(None, "fp32", 0.8), run(None, "bf16", 0.8)), RULE) == []


def test_the_rule_is_read_from_the_margins() -> None:
    rule = load_tolerances().precision
    assert (rule.plain, rule.min_seeds, rule.level, rule.margin) == ("fp32", 3, 0.95, 0.01)


def test_bf16_is_not_shown_to_be_equivalent_by_our_records() -> None:
    """Pairs 0.8958507 - 0.8414217, 0.8552386 - 0.8779251 and 0.8272466 - 0.8349304 (test.dice_mean
    of result.json): 0.008020, SD 0.040886; 2.919986 x 0.040886 / sqrt(3) = 0.068927.
    """
    (row,) = precisions(collect(reproduction_folder()).runs, load_tolerances().precision)
    assert (row.seeds, row.agreement) == (3, Equivalence.UNDECIDED)
    assert (row.low, row.high) == pytest.approx((-0.060907, 0.076948), abs=1e-5)
