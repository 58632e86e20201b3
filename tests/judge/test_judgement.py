"""The whole judgement: sections that hold whatever was run, and in any order."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judged_runs import RUNS, judge, judged
from strategies import costly

from benchmark.cli.parser import SECTION_NAMES
from benchmark.judge.answers import answers
from benchmark.judge.judgement import SECTIONS, USUAL, WHY_EMPTY
from benchmark.judge.tables import FORMATS, render
from benchmark.runs.collect import Collected


def everything(collected: Collected) -> str:
    """All answers and every section as text."""
    found = judge(collected)
    tables = [render(section(found), "text") for section in SECTIONS.values()]
    return "\n".join([*answers(found), *tables])


@pytest.mark.parametrize("name", SECTIONS)
@pytest.mark.parametrize("runs", RUNS)
def test_every_section_holds_whatever_was_run(runs: str, name: str) -> None:
    """In every format, nothing for what is not known; a section that may be empty says why."""
    made = SECTIONS[name](judged(runs))
    assert made or name in WHY_EMPTY
    for form in FORMATS:
        text = render(made, form)
        assert not {"nan", "None", "<NA>"} & set(text.replace(",", " ").split())
        assert bool(text) == bool(made)
    if made:  # the last was csv
        assert len(pd.read_csv(io.StringIO(text))) == sum(len(table.records) for table in made)


def test_the_words_of_the_command_line_are_the_sections() -> None:
    assert tuple(SECTIONS) == SECTION_NAMES
    assert set(USUAL) <= set(SECTIONS)
    assert set(WHY_EMPTY) <= set(SECTIONS)


def test_each_section_shows_what_it_is_named_after() -> None:
    found = judge(RUNS["everything"])
    titles = {
        name: [made.title.split(",")[0] for made in SECTIONS[name](found)] for name in SECTIONS
    }
    printed = "The thesis's printed numbers."
    assert titles["verdicts"] == [printed, "What more trainings would bring"]
    assert found.verdicts()[0].notes[-1].startswith("Run so far: ")
    assert titles["patients"][0] == "unet 5x5"
    assert titles["patients"][1].startswith("By image against by patient")
    claims = ("The thesis's claims on ", "Which cell may be the best on ")
    assert all(title.startswith(claims) for title in titles["claims"])
    assert [title for title in titles["arms"] if not title.startswith("Arms against arms")] == []
    sizes = "Sizes against the truth (Bland-Altman)"
    assert set(titles["measures"]) == {"Measures by tumour size", sizes}
    assert titles["runs"][-1] == "Lower precisions"
    assert titles["rules"] == ["Rules that were changed after results were known."]


@pytest.mark.parametrize("name", SECTIONS)
def test_a_table_too_wide_for_a_terminal_keeps_what_it_is_read_for(name: str) -> None:
    """Its verdict, the numbers behind it, whose they are; tables of seven columns keep all."""
    numbers = {"ours", "mean Dice", "Dice", "difference", "95% interval", "missed"}
    kept = {"", "arm", "verdict"} | numbers
    for made in SECTIONS[name](judged("everything")):
        headings = set(made.texts)
        assert made.essential or len(headings) <= 7, made.title
        assert kept & headings <= set(made.essential or headings) <= headings, made.title


ORDERS = st.randoms(use_true_random=False)


@cache
def everything_in_order() -> str:
    return everything(RUNS["everything"])


@settings(costly, max_examples=5)  # each judges all of it
@given(ORDERS)
def test_the_order_of_runs_changes_no_word(random: Any) -> None:
    whole = RUNS["everything"]
    orders = [list(range(len(frame))) for frame in (whole.runs, whole.scores)]
    for order in orders:
        random.shuffle(order)
    shuffled = replace(whole, runs=whole.runs.iloc[orders[0]], scores=whole.scores.iloc[orders[1]])
    assert everything(shuffled) == everything_in_order()
