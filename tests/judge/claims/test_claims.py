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
from benchmark.judge.claims.may_be_best import best_table
from benchmark.judge.claims.predicates import CHECKS, CLAIMS
from benchmark.judge.claims.table import best_cells, claims_table, judge_claims, on_its_terms
from benchmark.judge.reference import load_reference
from benchmark.judge.statistics.contrast import NO_SPREAD
from benchmark.judge.tables import Table
from benchmark.runs.collect import Collected

T = {1: 12.706205, 2: 4.302653, 4: 2.776445, 20: 2.085963}  # any printed table
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
    assert set(CHECKS) < set(CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("other", [{"alpha": 0.55}, {"kernel_size": 11}, {"arm": "attention-unet"}])
def test_cells_off_the_grid_test_no_claim(claim: str, other: dict[str, Any]) -> None:
    found = judged(claim, table({0: [0.8] * 4, 1: [0.9] * 4}, PATIENTS, **other))
    assert found.standing is NOT_TESTABLE
    assert found.cells.startswith("0 of") or claim == "vessels-excluded"


AROUND, NEAR = [0.1, 0.4, 0.5, 0.6, 0.9], [0.4, 0.5, 0.6]
OF_MEANS = ("extremes-worse", "small-kernels-mean", "small-kernels-spread", "alpha-direction")


@pytest.mark.parametrize("claim", CLAIMS)
def test_one_seed_each_decides_nothing_about_trainings(claim: str) -> None:
    """Extremes and large kernels 0.5 below the others: no spread, or that of one cell alone."""
    parts = [
        part
        for k in KERNELS
        for part in row(k, np.array([0.3, 0.8, 0.8, 0.8, 0.3]) - 0.1 * (k > 5), AROUND, seeds=1)
    ]
    found = judged(claim, *parts)
    assert found.standing in (UNDECIDED, NOT_TESTABLE)
    if claim in OF_MEANS:
        assert (found.standing, found.why) == (UNDECIDED, NO_SPREAD)
    borrowed = judged(claim, *parts, cell(5, 0.8, 0.4, apart=0.001))
    assert borrowed.standing in (UNDECIDED, NOT_TESTABLE)
    if claim in OF_MEANS:
        assert borrowed.why.startswith("trained from fewer than 2 seeds")


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ("best-cell", "not all cells have been run"),
        ("extremes-worse", "not run on one split with an alpha near 0.5: 0.1 at 3x3, 5x5, 9x9"),
        ("small-kernels-mean", NO_SPLIT),
        ("small-kernels-spread", NO_SPLIT),
        ("tversky-no-gain", "not all alphas have been run"),
        ("alpha-direction", "no kernel size has been run with alphas on both sides of 0.5"),
    ],
)
def test_cells_on_different_splits_are_not_set_against_each_other(claim: str, why: str) -> None:
    """Extremes on another split than the middle, large kernels than small ones."""

    def others(**split: str) -> list[Collected]:
        low = [cell(k, 0.1, 0.3, **split) for k in (3, 5, 7)]
        return [*low, cell(5, 0.9, 0.3, **split), *(cell(k, 0.5, 0.3, **split) for k in (7, 9))]

    mine = [cell(5, 0.5), cell(3, 0.5), cell(5, 0.6, split_id="by-image-3")]
    elsewhere = judged(claim, *mine, *others(split_id="by-image-2"))
    if claim == "alpha-direction":  # 0.1 and 0.9 are on one
        elsewhere = judged(claim, *mine, cell(5, 0.1, split_id="by-image-2"))
    assert elsewhere.standing is NOT_TESTABLE
    assert elsewhere.why.startswith(why)


# best-cell


@cache
def alike(seeds: int, apart: float) -> GridEvidence:
    """All 36 cells at 0.8 and +-0.1."""
    return evidence_of(*(cell(k, a, seeds=seeds, apart=apart) for k in KERNELS for a in ALPHAS))


def whole(*others: Collected, seeds: int = 2, apart: float = 0.01) -> GridEvidence:
    """All 36 cells, some of them other ones."""
    grid = alike(seeds, apart)
    return replace(grid, cells={**grid.cells, **evidence_of(*others).cells})


def none_above(margin: float, sd: float, others: int, df: int, groups: int = 1) -> float:
    """The chance that none of some cells, each sd (known with df) from its mean as their base is,
    lies above the base by as much as margin: Dunnett, J. American Statistical Association 50 (1955)
    1096, by two integrals; groups: each with a base of its own.
    """
    middles = (np.arange(400) + 0.5) / 400
    scale = np.sqrt(stats.chi2(df).ppf(middles) / df)[:, None]
    of_base = stats.norm.ppf(middles)
    by_scale = (stats.norm.cdf(margin * scale / sd + of_base) ** others).mean(axis=1)
    return float((by_scale**groups).mean())


@pytest.mark.parametrize(
    ("best", "swing", "seeds", "standing"),
    [
        (0.812, 0.05, 2, CONFIRMED),
        (0.809, 0.05, 2, UNDECIDED),
        (0.812, 0.11, 2, UNDECIDED),  # its spread is the widest
        (0.9, 0.05, 1, UNDECIDED),
    ],
)
def test_best_cell_on_the_whole_grid(
    best: float, swing: float, seeds: int, standing: ClaimVerdict
) -> None:
    """All others at 0.8, 36 spreads known with 36 degrees of freedom, 0.005 each, no patients'."""
    found = CLAIMS["best-cell"](whole(cell(5, 0.5, best, swing=swing, seeds=seeds), seeds=seeds))
    assert (found.standing, found.cells) == (standing, "36 of 36")
    assert ("upper half" in found.why) == (swing > 0.1)
    if seeds == 2:
        chance = none_above(best - 0.8 + 0.01, 0.005, others=35, df=36)
        assert (chance >= 0.95) == (best == 0.812)
        told = float(found.measured.split("by more than 0.01: ")[1].split(";")[0])
        assert told == pytest.approx(chance, abs=0.01)


def test_best_cell_may_be_a_little_behind_one_but_not_by_the_gain() -> None:
    """34 at 0.79, one 0.004 above it, then 0.02: as good as the best, and not."""
    for ahead, standing in ((0.004, CONFIRMED), (0.02, UNDECIDED)):
        others = [
            cell(k, a, 0.77, apart=0.004) for k in KERNELS for a in ALPHAS if (k, a) != (5, 0.5)
        ]
        near = cell(3, 0.4, 0.8 + ahead - 0.004, apart=0.004)
        grid = evidence_of(cell(5, 0.5, swing=0.05, apart=0.004), *others)
        found = CLAIMS["best-cell"](replace(grid, cells={**grid.cells, **evidence_of(near).cells}))
        assert found.standing is (standing if ahead < 0.01 else CONTRADICTED)


def test_best_cell_needs_two_seeds_of_every_cell() -> None:
    """One of 36 with one, far below: nothing shows how far its trainings lie apart."""
    found = CLAIMS["best-cell"](whole(cell(5, 0.5, 0.9, swing=0.05), cell(9, 0.9, 0.3, seeds=1)))
    assert found.standing is UNDECIDED
    assert found.why.endswith("apart: 9x9, alpha 0.9")


def test_best_cell_is_as_calm_as_it_is_on_the_splits_of_both() -> None:
    """A second draw, where it alone was run, has three times the SD over slices of all others."""
    second = cell(5, 0.5, 0.815, swing=0.3, split_id="by-image-2")
    found = CLAIMS["best-cell"](whole(join(cell(5, 0.5, 0.815, swing=0.05), second)))
    assert found.standing is CONFIRMED


def test_runs_of_other_cells_on_another_draw_leave_best_cell_confirmed() -> None:
    """A draw that it was not run on, and one that they share with it."""
    best, more = cell(5, 0.5, 0.815, swing=0.05), {"split_id": "by-image-2"}
    alone = join(cell(3, 0.4), cell(3, 0.4, 0.9, **more))
    shared = [join(cell(3, 0.4), cell(3, 0.4, seeds=1, **more)),
              join(best, cell(5, 0.5, 0.815, swing=0.05, **more))]  # fmt: skip
    for parts in ([best], [best, alone], shared):
        assert CLAIMS["best-cell"](whole(*parts)).standing is CONFIRMED


def test_best_cell_falls_as_soon_as_it_is_not_one_that_may_be_the_best() -> None:
    """Two cells: T[2] 0.005 sqrt(2) = 0.030424, and 34 cells to go."""
    assert T[2] * 0.005 * 2**0.5 == pytest.approx(0.030424, abs=1e-6)
    for middle, standing in ((0.832, CONTRADICTED), (0.829, NOT_TESTABLE), (0.7, NOT_TESTABLE)):
        found = judged("best-cell", cell(5, 0.5), cell(3, 0.7, middle))
        assert (found.standing, found.cells) == (standing, "2 of 36")
    assert judged("best-cell", cell(5, 0.5), cell(3, 0.7, 0.85)).why.endswith("alpha 0.7 leads")
    assert judged("best-cell", cell(3, 0.7, 0.9)).cells == "0 of 36"


def test_best_cell_is_told_with_its_chances_and_the_size_of_the_set() -> None:
    """0.829 above 0.8: t = 0.029 / 0.007071 = 4.10, df 2: one-sided p 0.0273; by 0.01 less: t 2.69,
    p 0.058.
    """
    p, less = stats.t(2).sf([0.029 / 0.005 / 2**0.5, 0.019 / 0.005 / 2**0.5])
    assert (round(p, 3), round(less, 3)) == (0.027, 0.058)
    assert judged("best-cell", cell(5, 0.5), cell(3, 0.7, 0.829)).measured == (
        "chance that none of 1 others is better by more than 0.01: 0.06; of being the best: 0.03; "
        "2 of 2 cells may be the best, it among them"
    )


def test_best_cell_alone_and_better_ones_of_one_seed_claim_nothing() -> None:
    for parts in (
        [cell(5, 0.5)],
        [cell(5, 0.5, seeds=1), cell(3, 0.7, 0.99, swing=0.0, seeds=1)],
        [cell(5, 0.5), cell(3, 0.7, 0.99, seeds=1)],
    ):
        found = judged("best-cell", *parts)
        assert found.standing is NOT_TESTABLE
        assert found.why.startswith("not all cells have been run; none run from two seeds")
    assert found.measured.endswith("1 of 2 cells may be the best, it not among them")


@pytest.mark.parametrize("claim", ["best-cell", "tversky-no-gain"])
@pytest.mark.parametrize("poor", [0.0, 0.8])
def test_collapsed_trainings_confirm_nothing_of_the_best_cell(claim: str, poor: float) -> None:
    """All 36 with one Dice on all slices, then one of them alone."""
    every = [cell(k, a, poor, swing=0.0, apart=0.0) for k in KERNELS for a in ALPHAS]
    for evidence in (evidence_of(*every), whole(cell(9, 0.9, poor, swing=0.0), apart=0.001)):
        found = CLAIMS[claim](evidence)
        assert found.standing is UNDECIDED
        assert found.why.startswith("a training has the same Dice on every slice: ")


@pytest.mark.parametrize("claim", CLAIMS)
def test_no_claim_is_confirmed_where_every_training_collapsed(claim: str) -> None:
    every = [cell(k, a, 0.0, swing=0.0, apart=0.0) for k in KERNELS for a in ALPHAS]
    assert judged(claim, *every).standing in (UNDECIDED, NOT_TESTABLE)


# extremes-worse, small-kernels-mean, small-kernels-spread


def kernels(small: float, large: float, alpha: float, split: str = "1") -> list[Collected]:
    own = {"split_id": f"by-image-{split}"}
    return [cell(k, alpha, small if k < 7 else large, **own) for k in KERNELS]


def around(low: float, high: float, alphas: Iterable[float] = AROUND, **changes: Any) -> list[Any]:
    """All four kernels, near alphas at 0.8 and the extremes at low and high."""
    middles = {0.1: low, 0.9: high}
    return [cell(k, a, middles.get(a, 0.8), **changes) for k in KERNELS for a in alphas]


@pytest.mark.parametrize("reading", Reading)
@pytest.mark.parametrize(
    ("low", "high", "standing"),
    [
        (0.7931, 0.7931, CONFIRMED),
        (0.7931, 0.7933, UNDECIDED),
        (0.7, 0.8, UNDECIDED),  # one extreme alone is no claim, however bad
        (0.7, 0.8067, UNDECIDED),
        (0.7, 0.8069, CONTRADICTED),
    ],
)
def test_each_extreme_alpha_is_judged_by_itself(
    low: float, high: float, standing: ClaimVerdict, reading: Reading
) -> None:
    """Weights 1/12 (12 cells) and -1/4 (4): squares sum to 1/3, their squares to 0.0162. Each cell
    has a spread of its own, df 1: together (1/3)^2 / 0.0162 = 6.857, t 2.3741. 2.3741 x 0.005
    sqrt(1/3) = 0.00685. Swapped, 0.1 is 0.9: nothing else.
    """
    df = (1 / 3) ** 2 / (12 / 12**4 + 4 / 4**4)
    assert stats.t.ppf(0.975, df) * 0.005 * (1 / 3) ** 0.5 == pytest.approx(0.00685, abs=1e-5)
    found = judged("extremes-worse", *around(low, high), reading=reading)
    assert (found.standing, found.cells) == (standing, "20 of 20")


def test_extreme_alphas_are_judged_over_all_four_kernels() -> None:
    """What lacks is named, and what there is shown: 0.1 by the four, 0.9 by three."""
    parts = [part for part in around(0.7, 0.75) if part is not cell(9, 0.9, 0.75)]
    found = judged("extremes-worse", *parts)
    assert (found.standing, found.cells) == (NOT_TESTABLE, "19 of 20")
    assert found.why == "not run on one split with an alpha near 0.5: 0.9 at 9x9"
    assert "that of 0.1: +0.100 [" in found.measured
    assert "0.9: +0.050 [" in found.measured
    for alphas in ([0.1, 0.9], [0.4, 0.5, 0.6]):
        assert judged("extremes-worse", *around(0.7, 0.7, alphas)).cells == "0 of 20"


def test_one_alpha_near_the_middle_is_enough_and_kernels_weigh_alike() -> None:
    """Kernel 5: 0.82 three times; kernel 7: 0.82 at 0.4; 3 and 9: 0.8 at 0.5; extremes at 0.78:
    (0.04 + 0.04 + 2 x 0.02) / 4.
    """
    parts = row(5, [0.82] * 3, [0.4, 0.5, 0.6]), [cell(7, 0.4, 0.82)], [cell(3, 0.5), cell(9, 0.5)]
    ends = around(0.78, 0.78, [0.1, 0.9])
    found = judged("extremes-worse", *ends, *(cell for part in parts for cell in part))
    assert found.measured.startswith("mean Dice of 0.4, 0.5 and 0.6 minus that of 0.1: +0.030 [")
    assert (found.standing, found.cells) == (CONFIRMED, "14 of 20")


@pytest.mark.parametrize("seeds", [1, 2])
def test_an_added_run_near_the_middle_on_another_draw_leaves_extremes_confirmed(seeds: int) -> None:
    """Cells are not cut to the draws that all have: the run that made them share none."""
    more = cell(5, 0.4, seeds=seeds, split_id="by-image-2")
    found = judged("extremes-worse", *around(0.79, 0.79), more)
    assert (found.standing, found.cells) == (CONFIRMED, "20 of 20")


def test_kernels_of_a_claim_need_not_share_a_draw() -> None:
    """Each kernel, and each alpha, on a draw of its own."""
    parts = [
        cell(k, a, 0.8 if a in NEAR else 0.79, split_id=f"by-image-{i + 1}")
        for i, k in enumerate(KERNELS)
        for a in AROUND
    ]
    assert judged("extremes-worse", *parts).standing is CONFIRMED
    by_alpha = [
        part for i, a in enumerate((0.2, 0.3)) for part in kernels(0.82, 0.8, a, f"{i + 1}")
    ]
    found = judged("small-kernels-mean", *by_alpha)
    assert (found.standing, found.cells) == (CONFIRMED, "8 of 36")


@pytest.mark.parametrize("reading", Reading)
@pytest.mark.parametrize(
    ("small", "standing"),
    [(0.814, CONFIRMED), (0.8138, UNDECIDED), (0.7862, UNDECIDED), (0.786, CONTRADICTED)],
)
def test_small_kernels_are_judged_by_the_interval_of_their_difference(
    small: float, standing: ClaimVerdict, reading: Reading
) -> None:
    """Weights +-1/2 (4 cells): sum of squares 1. T[4] 0.005 = 0.013882. Swapped, 0.2 is 0.8."""
    found = judged("small-kernels-mean", *kernels(small, 0.8, alpha=0.2), reading=reading)
    assert (found.standing, found.cells) == (standing, "4 of 36")


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
    ("other", "standing"), [(0.872, CONTRADICTED), (0.853, NOT_TESTABLE), (0.5, NOT_TESTABLE)]
)
def test_one_alpha_shown_to_beat_the_middle_contradicts_that_none_does(
    other: float, standing: ClaimVerdict
) -> None:
    """One pair at a quarter of 0.05, for four kernels: t at 1 - 0.0125 / 2 is 8.8602, df 2; times
    0.005 sqrt(2): 0.062651. At any kernel, under both readings.
    """
    assert stats.t(2).isf(0.00625) * 0.005 * 2**0.5 == pytest.approx(0.062651, abs=1e-6)
    for reading in Reading:
        found = judged("tversky-no-gain", cell(7, 0.5), cell(7, 0.6, other), reading=reading)
        assert (found.standing, found.cells) == (standing, "1 of 32")
    assert judged("tversky-no-gain", cell(5, 0.5), cell(7, 0.6, other)).cells == "0 of 32"
    once = judged("tversky-no-gain", cell(7, 0.5), cell(7, 0.6, other, seeds=1))
    assert once.standing is NOT_TESTABLE


def test_another_kernel_leaves_a_contradiction_of_one_as_it_is() -> None:
    """The family is four kernels from the start, and each is raced by itself."""
    beaten = [cell(7, 0.5), cell(7, 0.6, 0.87)]
    found = judged("tversky-no-gain", *beaten, cell(3, 0.5), cell(3, 0.1, 0.79))
    assert found.standing is CONTRADICTED
    assert found.why.startswith("at 7x7, 0.5 is not one of")
    assert found.measured.endswith("may be the best: 3x3 one of 2, 7x7 not one of 1")


@pytest.mark.parametrize(("middle", "standing"), [(0.801, CONFIRMED), (0.7995, UNDECIDED)])
def test_that_no_alpha_gains_takes_the_chance_that_none_does_at_any_kernel(
    middle: float, standing: ClaimVerdict
) -> None:
    """All 32 pairs, apart 0.005, so 0.0025 each."""
    chance = none_above(middle - 0.8 + 0.01, 0.0025, others=8, df=36, groups=4)
    assert (chance >= 0.95) == (standing is CONFIRMED)
    middles = (cell(k, 0.5, middle, apart=0.005) for k in KERNELS)
    found = CLAIMS["tversky-no-gain"](whole(*middles, apart=0.005))
    assert (found.standing, found.cells) == (standing, "32 of 32")
    told = float(found.measured.split("by more than 0.01: ")[1].split(";")[0])
    assert told == pytest.approx(chance, abs=0.01)


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


# The tables, and the best cell by validation.


def best(*parts: Collected) -> Table | None:
    (panel,) = panels(join(*parts))
    return best_table(panel, *terms())


def test_every_cell_stands_with_its_chance_of_being_the_best_the_likeliest_first() -> None:
    """As the claim's finding says of one of them."""
    parts = [cell(5, 0.5), cell(3, 0.7, 0.829), cell(9, 0.1, 0.5, seeds=1)]
    found = best(*parts)
    assert found is not None
    names = ["3x3, alpha 0.7", "5x5, alpha 0.5", "9x9, alpha 0.1 (one seed)"]
    assert found.texts["cell"] == names
    assert found.texts["trainings"] == ["2", "2", "1"]
    assert found.texts["above the base"] == ["+0.0290", "+0.0000", "-0.3000"]
    assert found.texts["may be the best"] == ["yes", "yes", "no"]
    assert found.numbers["chance"].sum() == pytest.approx(1)
    assert found.numbers["chance"][1] == pytest.approx(stats.t(2).sf(4.101), abs=0.006)
    assert found.notes[0].startswith("2 of 3 cells may be the best: the set that holds it at 95%")
    assert any("contradict nothing" in note for note in found.notes)


def test_the_base_s_mean_is_on_the_splits_that_another_cell_shares() -> None:
    """0.8 there, and 0.4 on a draw of its own: 0.8, which the other's lead is of."""
    alone = cell(5, 0.5, 0.4, split_id="by-image-2")
    found = best(join(cell(5, 0.5, 0.8), alone), cell(3, 0.7, 0.829))
    assert found is not None
    numbers = found.numbers.set_index("cell")
    base, other = numbers.loc["5x5, alpha 0.5"], numbers.loc["3x3, alpha 0.7"]
    assert (base["dice"], base["trainings"], base["splits"]) == (pytest.approx(0.8), 2, 1)
    assert other["lead"] == pytest.approx(other["dice"] - base["dice"])


def test_cells_are_told_apart_without_the_printed_one_and_not_without_a_spread() -> None:
    """The base is then the cell with most draws; one on other draws is named and left out."""
    more = {"split_id": "by-image-2"}
    both = [join(cell(7, 0.5), cell(7, 0.5, **more)), cell(3, 0.7, **more)]
    found = best(*both, cell(9, 0.1, split_id="by-image-3"))
    assert found is not None
    assert found.texts["above the base"] == ["+0.0000", "+0.0000"]
    assert found.notes[-1].endswith("left out: 9x9, alpha 0.1.")
    assert best(cell(5, 0.5), cell(11, 0.5)) is None
    assert best(cell(5, 0.5, seeds=1), cell(3, 0.5, seeds=1)) is None
    assert best(cell(5, 0.5), cell(3, 0.5, **more)) is None


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
