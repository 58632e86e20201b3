"""What leads each claim to each standing, with every number derived by hand.

Where no other is named: two seeds `apart` from each other, so s^2 = apart^2 / 2 is pooled over the
cells that were run, with as many degrees of freedom as there are cells, and slices between
which patients show no spread. So half width = t apart / 2 sqrt(sum of w^2), t at 0.975:
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from claim_cells import ALPHAS, KERNELS, PATIENTS, evidence_of
from claim_cells import cell as plain_cell
from run_records import join, table, terms
from scipy import stats

from benchmark.judge.cells import panels
from benchmark.judge.claims.evidence import (
    NO_SPLIT,
    ClaimVerdict,
    Finding,
    GridEvidence,
    Reading,
)
from benchmark.judge.claims.predicates import CLAIMS
from benchmark.judge.claims.table import best_cells, claims_table, judge_claims, on_its_terms
from benchmark.judge.reference import load_reference
from benchmark.judge.statistics.contrast import NO_SPREAD
from benchmark.runs.collect import Collected

T = {1: 12.706205, 2: 4.302653, 4: 2.776445, 5: 2.570582, 36: 2.028094}  # any printed table
CONFIRMED, CONTRADICTED, UNDECIDED, NOT_TESTABLE = ClaimVerdict
cell = cache(partial(plain_cell, swing=0.1))


def judged(claim: str, *parts: Collected, reading: Reading = Reading.TEXT) -> Finding:
    return CLAIMS[claim](evidence_of(*parts, reading=reading))


def row(
    kernel: int, middles: Sequence[float], alphas: Iterable[float], **changes: Any
) -> list[Collected]:
    return [cell(kernel, a, middle, **changes) for a, middle in zip(alphas, middles, strict=True)]


# The claims and their predicates.


def test_every_claim_has_a_predicate_in_the_thesis_s_order_and_says_how_it_is_read() -> None:
    assert list(CLAIMS) == [claim.id for claim in load_reference().claims]
    assert all(len(predicate.__doc__ or "") > 40 for predicate in CLAIMS.values())


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("other", [{"alpha": 0.55}, {"kernel_size": 11}, {"arm": "attention-unet"}])
def test_cells_off_the_grid_test_no_claim(claim: str, other: dict[str, Any]) -> None:
    found = judged(claim, table({0: [0.8] * 4, 1: [0.9] * 4}, PATIENTS, **other))
    assert found.standing is NOT_TESTABLE
    assert found.cells.startswith("0 of") or claim == "vessels-excluded"


OF_MEANS = ("extremes-worse", "small-kernels-mean", "small-kernels-spread", "alpha-direction")


@pytest.mark.parametrize("claim", CLAIMS)
def test_one_seed_each_decides_nothing_about_trainings(claim: str) -> None:
    """5x5 with 0.4, 0.5, 0.6, 0.1, 0.9, other kernels at 0.5: differences of 0.5, and no spread."""
    parts = row(5, [0.8, 0.8, 0.8, 0.3, 0.3], [0.4, 0.5, 0.6, 0.1, 0.9], seeds=1)
    found = judged(claim, *parts, *(cell(k, 0.5, 0.3, seeds=1) for k in (3, 7, 9)))
    assert found.standing in (UNDECIDED, NOT_TESTABLE)
    if claim in OF_MEANS:
        assert (found.standing, found.why) == (UNDECIDED, NO_SPREAD)


@pytest.mark.parametrize("claim", OF_MEANS)
def test_cells_on_different_splits_are_not_set_against_each_other(claim: str) -> None:
    def others(**split: str) -> list[Collected]:
        return [
            *row(5, [0.3, 0.3], [0.1, 0.9], **split),
            *(cell(k, 0.5, 0.3, **split) for k in (7, 9)),
        ]

    mine = [cell(5, 0.5), cell(3, 0.5)]
    elsewhere = judged(claim, *mine, *others(split_id="by-image-2"))
    assert (elsewhere.standing, elsewhere.why) == (UNDECIDED, NO_SPLIT)
    assert judged(claim, *mine, *others()).why != NO_SPLIT


# best-cell


@cache
def alike(seeds: int, apart: float) -> GridEvidence:
    """All 36 cells at 0.8 and +-0.1."""
    return evidence_of(*(cell(k, a, seeds=seeds, apart=apart) for k in KERNELS for a in ALPHAS))


def whole(*others: Collected, seeds: int = 2, apart: float = 0.01) -> GridEvidence:
    """All 36 cells, some of them other ones."""
    grid = alike(seeds, apart)
    return replace(grid, cells={**grid.cells, **evidence_of(*others).cells})


@pytest.mark.parametrize(
    ("best", "swing", "seeds", "standing"),
    [
        (0.815, 0.05, 2, CONFIRMED),  # T[36] 0.005 sqrt(2) = 0.014341
        (0.814, 0.05, 2, UNDECIDED),
        (0.815, 0.11, 2, UNDECIDED),  # its spread is the widest
        (0.9, 0.05, 1, UNDECIDED),
    ],
)
def test_best_cell_on_the_whole_grid(
    best: float, swing: float, seeds: int, standing: ClaimVerdict
) -> None:
    assert T[36] * 0.005 * 2**0.5 == pytest.approx(0.014341, abs=1e-6)
    found = CLAIMS["best-cell"](whole(cell(5, 0.5, best, swing=swing, seeds=seeds), seeds=seeds))
    assert (found.standing, found.cells) == (standing, "36 of 36")
    assert ("upper half" in found.why) == (swing > 0.1)


def test_best_cell_must_be_shown_to_be_ahead_of_every_other_one() -> None:
    """Of 34 by 0.015, above the 0.014341, and of the last by 0.005."""
    found = CLAIMS["best-cell"](whole(cell(5, 0.5, 0.815, swing=0.05), cell(3, 0.4, 0.81)))
    assert (found.standing, found.why) == (UNDECIDED, "better than 34 of the 35 others")


def test_best_cell_is_as_calm_as_it_is_on_the_splits_of_both() -> None:
    """A second draw, where it alone was run, has three times the SD over slices of all others."""
    second = cell(5, 0.5, 0.815, swing=0.3, split_id="by-image-2")
    found = CLAIMS["best-cell"](whole(join(cell(5, 0.5, 0.815, swing=0.05), second)))
    assert found.standing is CONFIRMED


def test_best_cell_falls_as_soon_as_one_is_better() -> None:
    """Two cells: T[2] 0.005 sqrt(2) = 0.030424, and 34 cells to go."""
    for middle, standing in ((0.831, CONTRADICTED), (0.830, NOT_TESTABLE), (0.7, NOT_TESTABLE)):
        found = judged("best-cell", cell(5, 0.5), cell(3, 0.7, middle))
        assert (found.standing, found.cells) == (standing, "2 of 36")
    assert "3x3, alpha 0.7 is better" in judged("best-cell", cell(5, 0.5), cell(3, 0.7, 0.85)).why
    assert judged("best-cell", cell(3, 0.7, 0.9)).cells == "0 of 36"


def test_best_cell_alone_and_better_ones_of_one_seed_claim_nothing() -> None:
    for parts in ([cell(5, 0.5)], [cell(5, 0.5, seeds=1), cell(3, 0.7, 0.99, swing=0.0, seeds=1)]):
        found = judged("best-cell", *parts)
        assert found.standing is NOT_TESTABLE
        assert found.why == "not all cells have been run; none so far is shown to be better"


# extremes-worse, small-kernels-mean, small-kernels-spread

AROUND = [0.1, 0.4, 0.5, 0.6, 0.9]


def kernels(small: float, large: float, alpha: float) -> list[Collected]:
    return [cell(k, alpha, small if k < 7 else large) for k in KERNELS]


@pytest.mark.parametrize("reading", Reading)
@pytest.mark.parametrize(
    ("extreme", "small", "standing"),
    [
        (0.788, 0.814, CONFIRMED),
        (0.7885, 0.8138, UNDECIDED),
        (0.8115, 0.7862, UNDECIDED),
        (0.812, 0.786, CONTRADICTED),
    ],
)
def test_extreme_alphas_and_small_kernels_are_judged_by_the_interval_of_their_difference(
    extreme: float, small: float, standing: ClaimVerdict, reading: Reading
) -> None:
    """Weights 1/3 (3 cells) and -1/2 (2): sum of squares 5/6. T[5] 0.005 sqrt(5/6) = 0.011733.

    Weights +-1/2 (4 cells): sum of squares 1. T[4] 0.005 = 0.013882. Swapped, alpha 0.2 is 0.8:
    nothing else.
    """
    assert T[5] * 0.005 * (5 / 6) ** 0.5 == pytest.approx(0.011733, abs=1e-6)
    parts = row(5, [extreme, 0.8, 0.8, 0.8, extreme], AROUND)
    found = judged("extremes-worse", *parts, reading=reading)
    assert (found.standing, found.cells) == (standing, "5 of 20")
    found = judged("small-kernels-mean", *kernels(small, 0.8, alpha=0.2), reading=reading)
    assert (found.standing, found.cells) == (standing, "4 of 36")


def test_extreme_alphas_are_judged_at_kernels_that_have_both_of_them_and_the_middle() -> None:
    for alphas in ([0.1, 0.5], [0.1, 0.4, 0.6, 0.9], [0.5, 0.9]):
        parts = row(5, [0.5] * len(alphas), alphas)
        assert judged("extremes-worse", *parts).standing is NOT_TESTABLE
    parts = [*row(5, [0.8] * 3, [0.1, 0.5, 0.9]), *row(7, [0.1] * 2, [0.1, 0.5])]
    found = judged("extremes-worse", *parts)
    assert (found.standing, found.cells) == (UNDECIDED, "3 of 20")


def test_extreme_alphas_of_kernels_weigh_alike_however_many_alphas_near_the_middle_were_run() -> (
    None
):
    """Kernel 5: 0.82 three times, 0.78 at the ends; kernel 7: 0.81, 0.79: (0.04 + 0.02) / 2."""
    parts = row(5, [0.78, 0.82, 0.82, 0.82, 0.78], AROUND)
    found = judged("extremes-worse", *parts, *row(7, [0.79, 0.81, 0.79], [0.1, 0.5, 0.9]))
    assert found.measured.startswith("mean Dice, alphas near 0.5 minus extreme alphas: +0.030 [")
    assert found.cells == "8 of 20"


def of_swing(kernel: int, swing: float, ratio: float = 1.01) -> Collected:
    """SDs of swing times and by sqrt(ratio): their logs lie log(ratio) apart."""
    one, two = (cell(kernel, 0.5, seeds=1, swing=swing * ratio**power) for power in (-0.5, 0.5))
    return join(one, replace(two, runs=two.runs.assign(seed=1)))


@pytest.mark.parametrize(
    ("small", "standing"),
    [(0.0986, CONFIRMED), (0.0987, UNDECIDED), (0.1013, UNDECIDED), (0.1015, CONTRADICTED)],
)
def test_small_kernels_by_their_spread(small: float, standing: ClaimVerdict) -> None:
    """Log SDs 0.0099503 apart: T[4] 0.0049752 = 0.013813; 0.0986 is e^-0.0141 of 0.1."""
    found = judged("small-kernels-spread", *(of_swing(k, small if k < 7 else 0.1) for k in KERNELS))
    assert found.standing is standing
    if small == 0.0986:  # told as a ratio with its interval: e^(-0.0141 -+ 0.0138)
        assert found.measured == "SD over slices, small kernels over large ones: 0.99 [0.97, 1.00]"


def test_a_collapsed_training_is_no_tight_spread() -> None:
    """Dice 0 on every slice has SD 0, whose log would outweigh 35 cells; one of two is enough."""
    others = [cell(k, 0.5) for k in (5, 7, 9)]
    collapsed = cell(3, 0.5, 0.0, apart=0.0, swing=0.0)
    once = table({0: [0.0] * 4, 1: [0.9, 0.7] * 2}, PATIENTS, kernel_size=3, params="3 0.5")
    for small in (collapsed, once):
        found = judged("small-kernels-spread", small, *others)
        assert found.standing is UNDECIDED
        assert "same Dice on every slice" in found.why
    assert judged("small-kernels-mean", collapsed, *others).standing is CONTRADICTED


@pytest.mark.parametrize("claim", ["small-kernels-mean", "small-kernels-spread"])
def test_kernels_meet_at_alphas_that_all_four_were_run_at(claim: str) -> None:
    three = [cell(k, 0.5) for k in (3, 5, 7)]
    assert judged(claim, *three, cell(9, 0.4)).standing is NOT_TESTABLE
    assert judged(claim, *three, cell(9, 0.5), cell(3, 0.1)).cells == "4 of 36"


# tversky-no-gain


@pytest.mark.parametrize(
    ("other", "standing"), [(0.831, CONTRADICTED), (0.830, NOT_TESTABLE), (0.5, NOT_TESTABLE)]
)
def test_one_alpha_shown_to_beat_the_middle_contradicts_that_none_does(
    other: float, standing: ClaimVerdict
) -> None:
    """One pair: T[2] 0.005 sqrt(2) = 0.030424, at any kernel, under both readings."""
    for reading in Reading:
        found = judged("tversky-no-gain", cell(7, 0.5), cell(7, 0.6, other), reading=reading)
        assert (found.standing, found.cells) == (standing, "1 of 32")
    assert judged("tversky-no-gain", cell(5, 0.5), cell(7, 0.6, other)).cells == "0 of 32"


@pytest.mark.parametrize(("middle", "standing"), [(0.8025, CONFIRMED), (0.802, UNDECIDED)])
def test_that_no_alpha_gains_takes_all_to_gain_less_than_the_margin(
    middle: float, standing: ClaimVerdict
) -> None:
    """All 32 pairs, apart 0.005: t 3.43 x 0.0025 sqrt(2) = 0.0121, to be below 0.01 + the lead."""
    half = stats.t.isf(0.05 / 32 / 2, 36) * 0.0025 * 2**0.5
    assert 0.012 < half < 0.0125
    assert (half < 0.01 + middle - 0.8) == (standing is CONFIRMED)
    middles = (cell(k, 0.5, middle, apart=0.005) for k in KERNELS)
    found = CLAIMS["tversky-no-gain"](whole(*middles, apart=0.005))
    assert (found.standing, found.cells) == (standing, "32 of 32")


# alpha-direction


def slopes(up: float, down: float, alphas: tuple[float, float] = (0.4, 0.6)) -> list[Collected]:
    """Sensitivity rises by up and precision by down between two alphas; seeds are 0.01 apart."""

    def training(i: int, seed: int) -> Collected:
        rises = {"sensitivity": up, "precision": down}
        measures = {name: [0.5 + rise * i + 0.01 * seed] * 4 for name, rise in rises.items()}
        own = {"alpha": alphas[i], "params": f"5 {alphas[i]}"}
        return table({seed: [0.8] * 4}, PATIENTS, measures=measures, **own)

    return [training(i, seed) for i in (0, 1) for seed in (0, 1)]


@pytest.mark.parametrize(
    ("up", "down", "text", "swapped"),
    [
        (0.031, -0.031, CONFIRMED, CONTRADICTED),  # slopes 0.155, -0.155
        (0.030, -0.031, UNDECIDED, CONTRADICTED),
        (0.031, 0.0, UNDECIDED, CONTRADICTED),
        (0.0, 0.0, UNDECIDED, UNDECIDED),
        (-0.031, 0.031, CONTRADICTED, CONFIRMED),
        (0.031, 0.031, CONTRADICTED, CONTRADICTED),
    ],
)
def test_alpha_trades_precision_for_sensitivity(
    up: float, down: float, text: ClaimVerdict, swapped: ClaimVerdict
) -> None:
    """Weights of a slope: -+0.1 / 0.02 = -+5. T[2] 0.005 sqrt(50) = 0.152122. Swapped, it flips."""
    assert T[2] * 0.005 * 50**0.5 == pytest.approx(0.152122, abs=1e-6)
    assert judged("alpha-direction", *slopes(up, down)).standing is text
    assert judged("alpha-direction", *slopes(up, down), reading=Reading.SWAPPED).standing is swapped


def test_slopes_on_alpha_are_least_squares_of_each_kernel_and_their_mean() -> None:
    """0.5 to 0.6 over 0.4, 0.6; 0.2, 0.6, 0.55 over 0.1, 0.5, 0.6; precision is 1 less these."""
    of = {5: {0.4: 0.5, 0.6: 0.6}, 7: {0.1: 0.2, 0.5: 0.6, 0.6: 0.55}}

    def part(kernel: int, alpha: float, x: float) -> Collected:
        measures = {"sensitivity": [x] * 4, "precision": [1 - x] * 4}
        return plain_cell(kernel, alpha, apart=0.0, measures=measures)

    parts = [part(kernel, alpha, x) for kernel in of for alpha, x in of[kernel].items()]
    slope = np.mean([np.polyfit(list(by), list(by.values()), 1)[0] for by in of.values()])
    measured = judged("alpha-direction", *parts).measured
    assert f"sensitivity {slope:+.3f} [" in measured
    assert f"precision {-slope:+.3f} [" in measured


def test_slopes_on_alpha_need_alphas_on_both_sides_of_the_middle_and_both_measures() -> None:
    for alphas in ((0.5, 0.6), (0.1, 0.5), (0.6, 0.9)):
        assert judged("alpha-direction", *slopes(0.1, -0.1, alphas)).standing is NOT_TESTABLE
    parts = [replace(p, scores=p.scores.drop(columns="precision")) for p in slopes(0.1, -0.1)]
    found = judged("alpha-direction", *parts)
    lacking = "no precision in the scores of some runs; rescore them"
    assert (found.standing, found.why) == (NOT_TESTABLE, lacking)


# The table, and the best cell by validation.


def test_the_table_has_both_readings_of_every_claim() -> None:
    (panel,) = panels(join(*slopes(0.031, -0.031)))
    reference, rules = terms()
    found = claims_table(panel, judge_claims(panel, reference, rules), reference, rules)
    numbers = found.numbers.set_index("claim")
    assert numbers.index.tolist() == list(CLAIMS) == found.texts["id"]
    assert found.texts["the thesis says"] == [claim.statement for claim in reference.claims]
    both = numbers.loc["alpha-direction", ["standing", "standing_if_swapped", "cells"]]
    assert both.tolist() == ["confirmed", "contradicted", "2 of 36"]
    assert set(found.texts["verdict"]) <= {standing.value for standing in ClaimVerdict}


@pytest.mark.parametrize(
    ("changes", "same"),
    [({}, True), ({"height": 256}, True), ({"phantom": True}, False), ({"dataset_id": "x"}, False),
     ({"protocol_hash": "x"}, False), ({"arm": "otsu"}, False)],
)  # fmt: skip
def test_claims_are_judged_on_the_thesis_s_terms(changes: dict[str, Any], same: bool) -> None:
    (panel,) = panels(cell(5, 0.5, **changes))
    assert on_its_terms(panel, *terms()) is same


def chosen(*val_dice: float | None) -> list[str]:
    """5x5 has the better test Dice, 0.85 against 0.8."""
    more = [{} if one is None else {"fit.val_dice": one} for one in val_dice]
    return best_cells(evidence_of(cell(3, 0.5, 0.8, **more[0]), cell(5, 0.5, 0.85, **more[1])))


def test_chosen_on_validation_beside_chosen_on_test() -> None:
    """The best on the test set is optimistic (docs/thesis.md, trap 8)."""
    (sentence,) = chosen(0.9, 0.7)
    assert sentence == (
        "Best of 2 cells chosen by validation Dice, with its test Dice: 3x3, alpha 0.5, 0.8000 "
        "(5x5, alpha 0.5 there: 0.8500); chosen by test Dice, which is optimistic: 5x5, alpha 0.5, "
        "0.8500."
    )
    assert chosen(0.7, 0.9)[0].count("5x5, alpha 0.5, 0.8500") == 2


@pytest.mark.parametrize("val_dice", [(None, None), (0.9, None), (None, 0.9), (float("nan"), 0.9)])
def test_no_cell_is_chosen_where_a_validation_dice_is_not_known(
    val_dice: tuple[float | None, float | None],
) -> None:
    assert chosen(*val_dice) == []


def test_no_cell_is_chosen_among_different_splits_nor_among_none_nor_without_the_printed() -> None:
    assert best_cells(evidence_of(cell(11, 0.5))) == []  # off the grid
    good, bad, fair = ({"fit.val_dice": val} for val in (0.9, 0.1, 0.5))
    elsewhere = cell(5, 0.5, split_id="by-image-2", **good)
    assert best_cells(evidence_of(cell(3, 0.5, **good), elsewhere)) == []
    assert best_cells(evidence_of(cell(3, 0.5, **good), cell(7, 0.5, **good))) == []
    both = join(cell(3, 0.5, **good), cell(3, 0.5, 0.2, split_id="by-image-2", **bad))
    (sentence,) = best_cells(evidence_of(both, cell(5, 0.5, 0.7, **fair)))
    assert sentence.count("3x3, alpha 0.5, 0.8000 (5x5, alpha 0.5 there: 0.7000)") == 2


def test_a_run_of_one_cell_on_another_split_takes_no_other_cell_from_the_choice() -> None:
    """Cells were once cut to the splits that all had, so that one more run could end the choice."""
    val = {"fit.val_dice": 0.5}
    before = [cell(3, 0.5, 0.8, **val), cell(5, 0.5, 0.85, **val), cell(7, 0.5, 0.9, **val)]
    more = cell(3, 0.5, 0.8, split_id="by-image-2", **val)
    assert best_cells(evidence_of(*before, more)) == best_cells(evidence_of(*before))
    assert "7x7, alpha 0.5, 0.9000" in best_cells(evidence_of(*before))[0]


def test_an_arm_without_a_seed_is_no_cell_of_the_grid() -> None:
    own = {"arm": "otsu", "kernel_size": pd.NA, "seed": pd.NA}
    otsu = cell(5, float("nan"), 0.99, seeds=1, swing=0.0, **own)
    found = judged("best-cell", cell(5, 0.5), otsu)
    assert (found.standing, found.cells) == (NOT_TESTABLE, "1 of 36")
