"""What stands beside the verdict on 0.898: severity, and the number corrected for its choice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from judged_runs import SMALL, judge
from run_records import join, table, terms

from benchmark.judge.answers import questions
from benchmark.judge.does_it_hold import Selection, corrected, listed
from benchmark.judge.judgement import Judgement
from benchmark.judge.statistics.selection import Optimism
from benchmark.judge.tables import Table
from benchmark.runs.collect import Collected, collect, reproduction_folder

PATIENTS = ["a", "a", "b", "c"]


def severity_of(found: Judgement) -> list[Table]:
    return [made for made in found.verdicts() if made.title == "How severe the verdict is."]


def first(found: Judgement) -> str:
    return " ".join(["", *questions(found)[0].lines])


def test_severity_is_told_where_there_are_seeds_enough_and_no_difference_is_passed_over() -> None:
    """Three seeds 0.01 apart, df 2: each of 0, 0.03 and 0.05, in the answer and in a table beside
    what the rule before would have said, by which training sets brought nothing; with two seeds
    nothing can be reproduced.
    """
    three = judge(table({1: [0.888] * 4, 2: [0.898] * 4, 3: [0.908] * 4}, PATIENTS))
    told = " Severity, at the spread of these trainings: at a true difference of 0, 0.03 and 0.05 "
    assert told in first(three)
    (made,) = severity_of(three)
    assert made.texts["true difference"] == ["0", "0.03", "0.05"]
    chances = [float(text) for text in made.texts["chance of reproduced"]]
    assert chances == sorted(chances, reverse=True)
    assert made.texts["by the rule before"] != made.texts["chance of reproduced"]
    reference, rules = terms()
    before = replace(rules, dice=replace(rules.dice, training_set_sd=0.0))
    (bare,) = severity_of(Judgement(three.collected, reference, before))
    assert bare.texts["by the rule before"] == bare.texts["chance of reproduced"]  # equal slices
    two = judge(table({1: [0.888] * 4, 2: [0.908] * 4}, PATIENTS))
    assert "Severity" not in first(two)
    assert "How severe" not in " ".join(t.title for t in two.verdicts())


def four_cells(seeds: int) -> list[Collected]:
    """At 256x256, kernels 3 to 9; seeds 0.02 apart."""
    return [
        table({s: [0.8 + s / 50] * 4 for s in range(seeds)}, PATIENTS, kernel_size=k, params=f"{k}",
              **SMALL)
        for k in (3, 5, 7, 9)
    ]  # fmt: skip


def test_the_printed_best_is_corrected_for_its_choice_by_the_noise_of_the_runs_judged() -> None:
    """Four cells alike, seeds 0.02 apart: sqrt(0.0002 / 3) x 2.118 = 0.0173; 0.898 less that."""
    told = first(judge(join(table({1: [0.897] * 4, 2: [0.898] * 4, 3: [0.899] * 4}, PATIENTS),
                            *four_cells(2))))  # fmt: skip
    assert (
        " 0.898 corrected for being the best of 36: about 0.881 to 0.881 (winner's curse, "
        "simulated from 4 cells at 256x256, fp32); at either end the verdict is: not reproduced."
    ) in told


def test_a_correction_is_told_of_a_number_that_ours_stands_beside_alone() -> None:
    """Not where the printed cell was run at another size alone; without a verdict on one seed."""
    found = judge(join(*four_cells(2)))
    assert found.selection
    assert "corrected" not in first(found)
    one = judge(join(table({1: [0.898] * 4}, PATIENTS), *four_cells(2)))
    assert "at 256x256, fp32)." in first(one)


def test_runs_that_cannot_tell_what_a_choice_is_worth_do_not() -> None:
    """Single seeds, and fewer cells than four."""
    for parts in (four_cells(1), four_cells(2)[:3]):
        found = judge(join(*parts))
        assert found.selection is None
        assert "corrected" not in first(found)


def test_a_verdict_that_the_correction_changes_is_told_at_both_ends() -> None:
    """Ours at 0.888 +- 0.0139 holds 0.8905, and not 0.8735."""
    three = table({1: [0.887] * 4, 2: [0.888] * 4, 3: [0.889] * 4}, PATIENTS)
    row = judge(three).printed.dice
    rules = terms()[1].dice
    selection = Selection(Optimism(least=0.0075, most=0.0245, cells=4), 36, "256x256, fp32")
    assert corrected(row, selection, rules).endswith(
        "; at the lower end the verdict is: not reproduced, at the higher: reproduced."
    )


@pytest.mark.parametrize(("words", "told"), [("a", "a"), ("ab", "a and b"), ("abc", "a, b and c")])
def test_words_are_listed(words: str, told: str) -> None:
    assert listed(words) == told


def test_what_the_findings_say_of_0898_in_words_is_what_the_records_say() -> None:
    """Two in three at 0.03 and three in ten at 0.05; 0.012 to 0.036 of 0.898 are luck, and 0.889
    lies just above what that leaves.
    """
    found = judge(collect(reproduction_folder()))
    (severity,) = [made for made in found.verdicts() if made.title.startswith("How severe")]
    now, before = (severity.numbers[name].tolist() for name in ("chance", "before"))
    assert now == pytest.approx([0.95, 2 / 3, 0.3], abs=0.03)
    assert before == pytest.approx([0.87, 0.73, 0.41], abs=0.01)
    assert found.selection
    luck = found.selection.optimism
    assert (round(luck.least, 3), round(luck.most, 3), luck.cells) == (0.012, 0.036, 23)
    assert " about 0.862 to 0.886 (winner's curse, " in first(found)
    ours = found.printed.dice.ours
    assert ours
    assert 0 < ours - (0.898 - luck.least) < 0.005
