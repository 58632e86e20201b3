"""Our reference beside a user's arms: under equal terms alone, marked, and in the arms alone."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from run_records import join, table, terms

from benchmark.judge.answers import answers
from benchmark.judge.cells import TERMS, panels
from benchmark.judge.comparisons.arms import (
    PairwiseComparison,
    Ranking,
    arms_table,
    pairwise_comparisons,
)
from benchmark.judge.judgement import SECTIONS, Judgement
from benchmark.judge.tables import FORMATS, render
from benchmark.judge.verdicts import exit_code
from benchmark.runs.collect import Collected

PATIENTS = ["a", "a", "b", "c"]
RULE, INTERVALS = terms()[1].contrasts, terms()[1].intervals
MINE: dict[str, Any] = {"arm": "my-arm", "params": '{"width":16}', "kernel_size": None,
                        "alpha": float("nan")}  # fmt: skip
ELSEWHERE = {"split_id": "by-image-2", "split_fingerprint": "another"}
MARKED = "unet 5x5, alpha 0.5 (ours)"
UNEVEN = {1: [0.9, 0.7, 0.8, 0.0], 2: [0.7, 0.9, 0.6, 0.4], 3: [0.8, 0.8, 0.7, 0.1]}


def mine(dice: float = 0.1, **changes: Any) -> Collected:
    """The user's arm from three seeds, each slice better than ours by so much."""
    better = {seed: [x + dice * seed for x in values] for seed, values in UNEVEN.items()}
    return table(better, PATIENTS, **{**MINE, **changes})


def ours(**changes: Any) -> Collected:
    return table(UNEVEN, PATIENTS, **changes)


def compared(user: Collected, records: Collected | None) -> list[PairwiseComparison]:
    (panel,) = panels(user)
    return pairwise_comparisons(panel, RULE, INTERVALS, records)


def same_numbers(one: list[PairwiseComparison], other: list[PairwiseComparison]) -> bool:
    """True where their tables are the same but for what marks ours."""
    (panel,) = panels(mine())
    tables = (arms_table(panel, rows, RULE).numbers for rows in (one, other))
    first, second = (numbers.drop(columns=["arm", "ours"]) for numbers in tables)
    return first.equals(second)


def test_lent_it_gives_what_the_users_own_would() -> None:
    """Every number of the table, p and interval among them, as if he had trained it himself."""
    other = mine(-0.1, arm="other", params="{}")
    lent = compared(join(mine(), other), ours())
    own = compared(join(mine(), other, ours()), None)
    assert same_numbers(lent, own)
    assert [row.cell.name for row in lent] == ["my-arm", MARKED, "other"]
    assert [row.cell.ours for row in lent] == [False, True, False]
    assert [row.standing for row in lent][1] is Ranking.REFERENCE


@pytest.mark.parametrize("term", TERMS)
def test_of_other_terms_nothing_is_lent(term: str) -> None:
    other = {"phantom": True, "height": 256, "width": 256}.get(term, "other")
    assert compared(mine(), ours(**{term: other})) == []
    assert len(compared(mine(**{term: other}), ours(**{term: other}))) == 2


def test_a_split_is_the_same_by_its_sets_and_not_by_its_name() -> None:
    assert compared(mine(), ours(split_fingerprint="drawn otherwise")) == []


def test_the_splits_that_the_user_did_not_run_stay_out() -> None:
    """Ours on a second draw, with another Dice, change nothing."""
    both = join(ours(), table({1: [0.1], 2: [0.3]}, ["d"], first_slice=9, **ELSEWHERE))
    assert same_numbers(compared(mine(), both), compared(mine(), ours()))


def test_the_users_own_reference_counts_and_ours_stays_out() -> None:
    own = table({1: [0.5, 0.6, 0.5, 0.4], 2: [0.5, 0.5, 0.5, 0.5]}, PATIENTS)
    rows = compared(join(mine(), own), ours())
    assert [row.cell.name for row in rows] == ["my-arm", "unet 5x5, alpha 0.5"]
    assert same_numbers(rows, compared(join(mine(), own), None))


@pytest.mark.parametrize(
    ("user", "own"),
    [
        (mine(), table(UNEVEN, PATIENTS, **ELSEWHERE)),  # on another split than the arm
        (mine(), table({1: [0.5, 0.6, 0.5, 0.4]}, PATIENTS)),  # from one seed
        (table({1: [0.1] * 4}, PATIENTS, **MINE), table({1: [0.5, 0.6, 0.5, 0.4]}, PATIENTS)),
    ],
)
def test_a_reference_of_the_users_that_decides_nothing_takes_no_verdict_away(
    user: Collected, own: Collected
) -> None:
    """It is set against ours like any other cell; without ours it is what there is."""
    rows = {row.cell.name: row for row in compared(join(user, own), ours())}
    assert set(rows) == {"my-arm", MARKED, "unet 5x5, alpha 0.5"}
    assert rows["my-arm"].difference is not None
    assert rows[MARKED].standing is Ranking.REFERENCE
    alone = {row.standing: row.cell.name for row in compared(join(user, own), None)}
    assert alone[Ranking.REFERENCE] == "unet 5x5, alpha 0.5"


def test_no_other_cell_of_ours_enlarges_the_family() -> None:
    more = [ours(alpha=a, params=f'{{"alpha":{a},"kernel_size":5}}') for a in (0.4, 0.6)]
    assert same_numbers(compared(mine(), join(ours(), *more)), compared(mine(), ours()))


def test_cells_of_the_thesiss_grid_stand_by_themselves() -> None:
    """Runs of the thesis's arm alone are lent nothing, so that all is as it was."""
    assert compared(ours(kernel_size=3, params='{"alpha":0.5,"kernel_size":3}'), ours()) == []


USERS = {
    "an arm": mine(),
    "an arm, and the thesis's cell": join(mine(), ours()),
    "the thesis's grid": join(ours(), ours(kernel_size=3, params='{"alpha":0.5,"kernel_size":3}')),
    "an arm at another size": mine(height=256, width=256),
}


@pytest.mark.parametrize("name", USERS)
def test_ours_enter_the_arms_alone(name: str) -> None:
    """Verdicts, claims, progress, exit codes, measures and the list of runs are the user's; what a
    rule says of his arms is of the arms.
    """
    alone, beside = (Judgement(USERS[name], *terms(), records) for records in (None, ours()))
    assert beside.rows == alone.rows
    for strict in (False, True):
        assert exit_code(beside.rows, strict) == exit_code(alone.rows, strict)
    for section, made in SECTIONS.items():
        if section not in ("arms", "rules") or name != "an arm":
            assert [render(made(judgement), "csv") for judgement in (alone, beside)] == [
                render(made(alone), "csv")
            ] * 2, section


def test_the_thesiss_grid_is_told_as_before() -> None:
    alone, beside = (
        Judgement(USERS["the thesis's grid"], *terms(), records) for records in (None, ours())
    )
    assert (answers(beside), beside.usual) == (answers(alone), alone.usual)


@pytest.mark.parametrize("form", FORMATS)
def test_ours_are_marked_in_every_form(form: str) -> None:
    """In the row, in the note on differences, and by a note: whose, how many, where, by what."""
    where = {"device": "a card", "commit": "c0ffee"}
    (made,) = Judgement(mine(), *terms(), ours(**where)).arms()
    text = " ".join(made.render(form).split())
    assert MARKED in text
    if form == "csv":
        marked = pd.read_csv(io.StringIO(made.render(form)))["ours"]
        assert marked.tolist() == [False, True]
        return
    assert f"Differences are from {MARKED}, on common splits" in text
    assert "(ours): not of your runs but of the records shipped here, under equal terms" in text
    assert "trainings: 3, on a card, at commit c0ffee. Its minutes are of that machine." in text


def test_a_cell_without_a_second_seed_has_an_interval_and_no_verdict() -> None:
    """Its interval takes it to vary as ours; unless it trains nothing."""
    single = table({1: [0.1] * 4}, PATIENTS, **MINE)
    (row,) = (row for row in compared(single, ours()) if not row.cell.ours)
    assert row.difference is not None
    assert (row.standing, row.why[:28]) == (Ranking.UNDECIDED, "my-arm has fewer than 2 seed")
    unseeded = replace(single, runs=single.runs.assign(seed=pd.array([None], "Int64")))
    (row,) = (row for row in compared(unseeded, ours()) if not row.cell.ours)
    assert "fewer than" not in row.why
