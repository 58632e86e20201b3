"""Laws of comparing that hold for any scores."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_records import table, terms
from strategies import costly, law

from benchmark.judge.comparisons.runs import runs_tables
from benchmark.judge.statistics.prediction_interval import Question, of_draws
from benchmark.judge.verdicts import (
    Verdict,
    VerdictRow,
    counts,
    exit_code,
    judge_printed_numbers,
    verdict_table,
)
from benchmark.runs.collect import Collected

pytestmark = pytest.mark.slow

SCORES = st.lists(st.floats(0, 1), min_size=4, max_size=4)
PATIENTS = ["a", "a", "b", "c"]


@st.composite
def runs(draw: st.DrawFn, fewest: int = 1) -> Collected:
    """Comparable runs of the printed cell under one to five seeds."""
    seeds = draw(st.lists(st.integers(0, 99), min_size=fewest, max_size=5, unique=True))
    return table({seed: draw(SCORES) for seed in seeds}, PATIENTS)


def dice_row(collected: Collected, printed: float = 0.898, **rule: float) -> VerdictRow:
    reference, rules = terms()
    reference = replace(reference, best_cell=replace(reference.best_cell, dice_mean=printed))
    return judge_printed_numbers(
        collected, reference, replace(rules, dice=replace(rules.dice, **rule))
    ).rows[-1]


@costly
@given(runs(fewest=3))
def test_a_result_never_differs_from_itself(collected: Collected) -> None:
    """Its own mean as the printed number is reproduced, unless the interval is too wide for it."""
    ours = dice_row(collected).ours
    assert ours is not None
    assert dice_row(collected, printed=ours, max_half_width=99).verdict is Verdict.REPRODUCED
    assert dice_row(collected, printed=ours).verdict in (Verdict.REPRODUCED, Verdict.INCONCLUSIVE)


@costly
@given(runs(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(collected: Collected, random: object) -> None:
    """Bit for bit, in both tables."""
    shuffled = [list(range(len(frame))) for frame in (collected.runs, collected.scores)]
    for order in shuffled:
        random.shuffle(order)  # type: ignore[attr-defined]
    other = replace(
        collected, runs=collected.runs.iloc[shuffled[0]], scores=collected.scores.iloc[shuffled[1]]
    )
    assert (
        judge_printed_numbers(other, *terms()).rows
        == judge_printed_numbers(collected, *terms()).rows
    )
    assert [t.render() for t in runs_tables(other)] == [t.render() for t in runs_tables(collected)]


@costly
@given(runs(), st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 0.04))
def test_a_wider_margin_never_turns_reproduced_into_not_reproduced(
    collected: Collected, printed: float, rounding: float, width: float, level: float
) -> None:
    """More rounding, a wider allowed interval, or a higher level."""
    narrow = dice_row(collected, printed)
    rule = {"rounding": 0.0005 + rounding, "max_half_width": 0.06 + width, "level": 0.95 + level}
    wide = dice_row(collected, printed, **rule)
    if narrow.verdict is Verdict.REPRODUCED:
        assert wide.verdict is not Verdict.NOT_REPRODUCED
    if wide.verdict is Verdict.NOT_REPRODUCED:
        assert narrow.verdict is Verdict.NOT_REPRODUCED


@costly
@given(st.integers(7_300_000, 7_500_000), st.floats(0, 5))
def test_a_wider_margin_on_parameters_keeps_what_was_reproduced(count: int, more: float) -> None:
    collected = table({1: [0.5] * 4}, PATIENTS, parameters=count)
    reference, rules = terms()
    within = rules.parameters.within + more
    wide = replace(rules, parameters=replace(rules.parameters, within=within))
    both = (judge_printed_numbers(collected, reference, rule) for rule in (rules, wide))
    before, after = (judged.rows[1] for judged in both)
    assert (before.verdict is Verdict.REPRODUCED) <= (after.verdict is Verdict.REPRODUCED)
    assert (before.verdict is Verdict.REPRODUCED) == (7_350_000 <= count <= 7_450_000)


NUMBERS = (st.floats(0, 1), st.none() | st.floats(0, 1), st.integers(0, 9))
SAID = (st.sampled_from(Verdict), st.just(""), st.booleans())
ROWS = st.lists(st.builds(VerdictRow, st.text("abc", min_size=1), *NUMBERS, *SAID), max_size=9)


@law
@given(ROWS)
def test_marker_count_and_exit_code_read_one_verdict(rows: list[VerdictRow]) -> None:
    """In the text: markers down the first column, words in the tally, and the two exit codes."""
    lines = verdict_table(rows).render().splitlines()
    shown = [line[0] for line in lines[3 : 3 + len(rows)]]
    assert shown == [row.verdict.marker for row in rows]
    for verdict, n in counts(rows).items():
        assert shown.count(verdict.marker) == n
        told = re.findall(rf"\b(\d+) {verdict}\b", " ".join(lines[3 + len(rows) :]))
        assert sum(map(int, told)) == n
    required = [row.verdict.marker for row in rows if row.required]
    assert exit_code(rows) == int("x" in required)
    assert exit_code(rows, strict=True) == int(any(marker != "+" for marker in required))


def test_every_verdict_has_its_own_marker() -> None:
    assert len({verdict.marker for verdict in Verdict}) == len(Verdict)


@costly
@given(runs(fewest=2), st.floats(-1, 1))
def test_the_interval_moves_with_the_scores(collected: Collected, shift: float) -> None:
    """Adding a constant to every score moves the mean by it and leaves the width."""
    wide = collected.scores.pivot_table(
        index="slice_id", columns="run_id", values="dice"
    ).to_numpy()
    a, b = (of_draws([scores], [PATIENTS], 708, 0.005) for scores in (wide, wide + shift))
    assert abs(b.mean - a.mean - shift) < 1e-9
    for question in Question:
        before, after = (one.half_width(question, 3, 0.95) for one in (a, b))
        assert abs(after - before) < 1e-6 * max(1, before)


@costly
@given(runs(fewest=2))
def test_twice_the_same_runs_are_still_n_seeds(collected: Collected) -> None:
    """Runs of one seed on two file forms are averaged, so copies add no certainty."""
    rename = {"run_id": lambda frame: frame["run_id"] + "_copy"}
    both = replace(
        collected,
        runs=pd.concat([collected.runs, collected.runs.assign(**rename)]),
        scores=pd.concat([collected.scores, collected.scores.assign(**rename)]),
    )
    once, twice = dice_row(collected), dice_row(both)
    assert (twice.n, twice.verdict) == (once.n, once.verdict)
