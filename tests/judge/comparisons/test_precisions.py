"""Equivalence of precisions: three verdicts, by the spread between seeds."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.judge.comparisons.precisions import (
    Equivalence,
    judge_precision,
    precisions,
    precisions_table,
)
from benchmark.judge.reference import PrecisionRule, load_tolerances

RULE = PrecisionRule("fp32", 3, 0.95, "")
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


def test_the_spread_by_hand() -> None:
    # fp32 0.80 0.82 0.84: mean 0.82, SD 0.02; bf16 0.83 0.84 0.88: mean 0.85, SD 0.0264575; the
    # difference 0.03 is above 0.02; pooled SD sqrt((0.0004 + 0.0007) / 2) = 0.0234521; t(4) 2.77645
    # * 0.0234521 * sqrt(2/3) = 0.05316
    runs = table(*(run(s, "fp32", d) for s, d in enumerate((0.80, 0.82, 0.84))),
                 *(run(s, "bf16", d) for s, d in enumerate((0.83, 0.84, 0.88))))  # fmt: skip
    (row,) = precisions(runs, RULE)
    assert (row.precision, row.seeds, row.agreement) == ("bf16", 3, Equivalence.UNDECIDED)
    assert (row.plain_dice, row.dice) == (pytest.approx(0.82), pytest.approx(0.85))
    assert (row.plain_sd, row.sd) == (pytest.approx(0.02), pytest.approx(0.0264575, abs=1e-6))
    assert "+0.0300" in precisions_table([row], RULE).render()


PLAIN = (0.80, 0.82, 0.84)
"""SD 0.02; shifted, the pooled SD is the same and the t test tells apart from 0.045339."""


@pytest.mark.parametrize(
    ("shift", "collapsed", "expected"),
    [(0.0199, False, "equivalent"), (-0.0199, False, "equivalent"), (0.0199, True, "undecided"),
     (0.0453, False, "undecided"), (0.0454, False, "different"), (-0.0454, True, "different")],
)  # fmt: skip
def test_precisions_are_judged_by_the_spread_between_seeds(
    shift: float, collapsed: bool, expected: str
) -> None:
    """Up to one SD of the plain precision; from 2.77645 sqrt(2/3) SD; between; a collapse."""
    assert judge_precision(PLAIN, [dice + shift for dice in PLAIN], collapsed, RULE) == expected


def test_a_lower_precision_is_no_nearer_for_its_own_wider_spread() -> None:
    """0.81, 0.85, 0.89 is 0.03 above: more than the plain SD 0.02, but less than its own 0.04."""
    assert judge_precision(PLAIN, (0.81, 0.85, 0.89), False, RULE) is Equivalence.UNDECIDED


def test_a_seed_on_two_forms_of_the_files_counts_once_at_its_mean() -> None:
    (row,) = precisions(table(run(1, "fp32", 0.8), run(1, "fp32", 0.6), run(1, "bf16", 0.8)), RULE)
    assert (row.seeds, row.plain_dice) == (1, pytest.approx(0.7))


def test_two_seeds_decide_nothing() -> None:
    assert judge_precision(PLAIN[:2], PLAIN[:2], False, RULE) is Equivalence.UNDECIDED


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
    assert (rule.plain, rule.min_seeds, rule.level) == ("fp32", 3, 0.95)
