"""Equivalence of precisions: three verdicts, by the spread between seeds."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.precisions import Agreement, agreement, precisions, precisions_text
from benchmark.reference import PrecisionRule, load_tolerances

RULE = PrecisionRule("fp32", 3, 0.95, "")
DICE = st.floats(0, 1)


def run(seed: int | None, precision: str, dice: float, **more: Any) -> dict[str, Any]:
    same = {
        "phantom": False, "dataset_id": "d", "protocol_hash": "p", "split_id": "by-image-1", "split_fingerprint": "s",
        "height": 256, "width": 256, "arm": "unet", "params": "{}",
    }  # fmt: skip
    return {**same, "seed": seed, "precision": precision, "test.dice_mean": dice, **more}


def table(*runs: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(runs).astype({"seed": "Int64"})


def test_the_spread_by_hand() -> None:
    # fp32 0.80 0.82 0.84: mean 0.82, variance 0.0004; bf16 0.83 0.83 0.86: mean 0.84, variance 0.0003; pooled
    # SD sqrt(0.00035) = 0.018708; the difference 0.02 is above it and below t(4) 2.7764 * 0.018708 * sqrt(2/3) = 0.0424
    runs = table(*(run(s, "fp32", d) for s, d in enumerate((0.80, 0.82, 0.84))),
                 *(run(s, "bf16", d) for s, d in enumerate((0.83, 0.83, 0.86))))  # fmt: skip
    (row,) = precisions(runs, RULE)
    assert (row.precision, row.seeds, row.agreement) == ("bf16", 3, Agreement.UNDECIDED)
    assert (row.plain_dice, row.dice) == (pytest.approx(0.82), pytest.approx(0.84))
    assert row.seed_sd == pytest.approx(0.0187083, abs=1e-6)
    assert "+0.0200" in precisions_text([row], RULE)


@pytest.mark.parametrize(
    ("difference", "seeds", "expected"),
    [
        (0.0187, 3, "equivalent"),
        (-0.0187, 3, "equivalent"),
        (0.0423, 3, "undecided"),
        (0.0425, 3, "different"),
        (-0.0425, 3, "different"),
        (0.0, 2, "undecided"),
    ],
)
def test_the_three_verdicts(difference: float, seeds: int, expected: str) -> None:
    """SD 0.018708: up to one SD; from 2.7764 sqrt(2/3) SD; between, or with two seeds."""
    assert agreement(difference, 0.0187083, seeds, RULE) == expected


@given(dice=st.lists(DICE, min_size=3, max_size=6))
def test_a_precision_never_differs_from_itself(dice: list[float]) -> None:
    runs = table(*(run(s, p, d) for p in ("fp32", "bf16") for s, d in enumerate(dice)))
    (row,) = precisions(runs, RULE)
    assert row.agreement is Agreement.EQUIVALENT


@given(plain=st.lists(DICE, min_size=3, max_size=3), other=st.lists(DICE, min_size=3, max_size=3), key=st.randoms())
def test_the_order_of_runs_changes_nothing(plain: list[float], other: list[float], key: Any) -> None:
    rows = [run(s, p, d) for p, dice in (("fp32", plain), ("bf16", other)) for s, d in enumerate(dice)]
    (before,) = precisions(table(*rows), RULE)
    key.shuffle(rows)
    (after,) = precisions(table(*rows), RULE)
    assert after.agreement == before.agreement
    assert (after.dice, after.seed_sd) == (pytest.approx(before.dice), pytest.approx(before.seed_sd))


def test_only_seeds_that_both_have_count() -> None:
    runs = table(run(1, "fp32", 0.8), run(2, "fp32", 0.1), run(1, "bf16", 0.8), run(3, "bf16", 0.2))
    (row,) = precisions(runs, RULE)
    assert (row.seeds, row.dice, row.plain_dice) == (1, 0.8, 0.8)
    assert math.isnan(row.seed_sd)
    assert row.agreement is Agreement.UNDECIDED


@pytest.mark.parametrize(
    "other", [{"split_id": "by-image-2"}, {"params": "{1}"}, {"height": 512}, {"protocol_hash": "q"}]
)
def test_runs_of_other_conditions_are_never_paired(other: dict[str, Any]) -> None:
    assert precisions(table(run(1, "fp32", 0.8), run(1, "bf16", 0.8, **other)), RULE) == []


def test_without_the_plain_precision_or_a_seed_there_is_nothing_to_say() -> None:
    assert precisions(table(run(1, "bf16", 0.8), run(1, "tf32", 0.8)), RULE) == []
    assert precisions(table(run(None, "fp32", 0.8), run(None, "bf16", 0.8)), RULE) == []
    assert precisions_text([], RULE) == ""


def test_the_rule_is_read_from_the_margins() -> None:
    rule = load_tolerances().precision
    assert (rule.plain, rule.min_seeds, rule.level) == ("fp32", 3, 0.95)
