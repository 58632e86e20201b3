"""Arms against arms: differences, Holm, costs derived by hand; tails of tests from scipy.stats."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_records import join, table, terms
from scipy import stats
from strategies import costly

from benchmark.judge.cells import panels
from benchmark.judge.comparisons.arms import (
    PairwiseComparison,
    Ranking,
    arms_table,
    pairwise_comparisons,
)
from benchmark.judge.judgement import Judgement
from benchmark.judge.reference import ContrastRule
from benchmark.judge.tables import Table
from benchmark.runs.collect import Collected

PATIENTS = ["a", "a", "b", "b"]
RULE, INTERVALS = terms()[1].contrasts, terms()[1].intervals
S2 = 0.0002  # between the seeds of `flat`: two values 0.02 apart


def flat(dice: float, n: int = 4) -> dict[int, list[float]]:
    """Two seeds, slices all alike: this mean, none between patients, s^2 = 0.0002 of seeds."""
    return {1: [dice - 0.01] * n, 2: [dice + 0.01] * n}


def cell(alpha: float, dice: Any, patients: list[Any] = PATIENTS, **changes: Any) -> Collected:
    params = f'{{"alpha":{alpha},"kernel_size":5}}'
    return table(dice, patients, **{"params": params, "alpha": alpha, **changes})


def classical(
    name: str, dice: list[float], patients: list[Any] = PATIENTS, **changes: Any
) -> Collected:
    """An arm without seeds."""
    changes = {"params": "{}", "kernel_size": None, "alpha": float("nan"), **changes}
    return table({None: dice}, patients, arm=name, **changes)  # type: ignore[dict-item]


def judged(*parts: Collected, rule: ContrastRule = RULE) -> dict[str, PairwiseComparison]:
    (panel,) = panels(join(*parts))
    return {row.cell.name: row for row in pairwise_comparisons(panel, rule, INTERVALS)}


def shown(*parts: Collected) -> Table:
    (panel,) = panels(join(*parts))
    return arms_table(panel, pairwise_comparisons(panel, RULE, INTERVALS), RULE)


OTHER = "unet 5x5, alpha 0.6"
FOUR = st.lists(st.floats(0, 1), min_size=4, max_size=4)


@pytest.mark.parametrize(
    ("dice", "level", "standing"),
    [(0.91, 0.95, Ranking.BETTER), (0.71, 0.95, Ranking.WORSE), (0.91, 0.99, Ranking.UNDECIDED)],
)
def test_a_difference_with_seeds_as_its_only_variance(
    dice: float, level: float, standing: Ranking
) -> None:
    """0.10 on every slice. v = s^2 (1/2 + 1/2) = 0.0002, SE 0.014142, df 2 (two cells of two
    seeds).

    t = 7.0711, p = 0.0194; 4.302653 x 0.014142 = 0.060849 to each side.
    """
    parts = cell(0.5, flat(0.81)), cell(0.6, flat(dice))
    row = judged(*parts, rule=replace(RULE, level=level))[OTHER]
    difference = row.difference
    assert difference is not None
    assert difference.value == pytest.approx(dice - 0.81)
    assert (difference.se, difference.variance.df) == pytest.approx((math.sqrt(S2), 2))
    assert difference.half_width(0.95) == pytest.approx(0.060849, abs=1e-6)
    assert row.p == pytest.approx(2 * stats.t.sf(0.1 / math.sqrt(S2), 2))
    assert row.standing is standing


def test_within_the_spread_of_seeds_nothing_is_decided() -> None:
    """t = 0.02 / 0.014142 = 1.414 with df 2: p = 0.29."""
    row = judged(cell(0.5, flat(0.81)), cell(0.6, flat(0.83)))[OTHER]
    assert row.p == pytest.approx(2 * stats.t.sf(math.sqrt(2), 2))
    assert (row.standing, row.why) == (Ranking.UNDECIDED, "p = 0.29 after Holm's correction")


def test_holm_over_three_cells_by_hand() -> None:
    """t = d / sqrt(s^2), df 2 (of the two cells): p become 3 p1, max(2 p2, 3 p1), max(p3, 2 p2)."""
    better = (cell(a, flat(0.7 + d)) for a, d in ((0.6, 0.1), (0.7, 0.05), (0.8, 0.01)))
    found = judged(cell(0.5, flat(0.7)), *better)
    p1, p2, p3 = (2 * stats.t.sf(d / math.sqrt(S2), 2) for d in (0.1, 0.05, 0.01))
    assert 3 * p1 < 2 * p2 < p3
    got = [found[f"unet 5x5, alpha {a}"].p for a in (0.6, 0.7, 0.8)]
    assert got == [pytest.approx(p) for p in (3 * p1, 2 * p2, p3)]


@costly
@given(FOUR, FOUR)
def test_one_more_contrast_can_only_raise_a_p(one: list[float], more: list[float]) -> None:
    """Of arms without seeds, so that the spread between seeds stays what it was."""
    reference = cell(0.5, {1: [0.8, 0.7, 0.9, 0.6], 2: [0.7, 0.8, 0.9, 0.7]})
    alone = judged(reference, classical("otsu", one))["otsu"]
    among = judged(reference, classical("otsu", one), classical("threshold", more))["otsu"]
    assert alone.p is not None
    assert among.p is not None
    assert among.p >= alone.p


@costly
@given(st.lists(FOUR, min_size=2, max_size=3))
def test_a_cell_is_neither_better_nor_worse_than_itself(dice: list[list[float]]) -> None:
    """The reference's own scores under another alpha: a difference of 0 on every slice, p = 1."""
    both = dict(enumerate(dice))
    row = judged(cell(0.5, both), cell(0.6, both))[OTHER]
    assert row.difference is not None
    assert (row.difference.value, row.p, row.wilcoxon_p) == (0, 1, 1)
    assert row.standing is Ranking.UNDECIDED


def test_the_signed_rank_test_is_on_patients_mean_differences() -> None:
    """a 0.03 on each of three slices, b -0.05, c to f 0.01, 0.02, 0.06, 0.07; g 0.08 in two draws
    and -0.12 in one.

    g's mean is 0.04 / 3, so b alone is negative, of rank 5 of 7. Of 2^7 sets of ranks 10 sum to 5
    or less: none, 1 to 5 alone, 12, 13, 14 and 23.
    """
    patients = list("aaabcdefgg")
    gains = [0.03, 0.03, 0.03, -0.05, 0.01, 0.02, 0.06, 0.07, 0.08, -0.12]
    draw_2: dict[str, Any] = {"first_slice": 8, "split_id": "by-image-2"}  # g's first once more
    row = judged(
        cell(0.5, {1: [0.5] * 10, 2: [0.5] * 10}, patients),
        cell(0.5, {1: [0.5]}, ["g"], **draw_2),
        classical("otsu", [0.5 + gain for gain in gains], patients),
        classical("otsu", [0.58], ["g"], **draw_2),
    )["otsu"]
    assert row.wilcoxon_p == pytest.approx(2 * 10 / 2**7)


def test_a_patient_without_a_difference_leaves_the_signed_ranks_of_the_others() -> None:
    row = judged(
        cell(0.5, {1: [0.5] * 4, 2: [0.5] * 4}, [*"abcd"]),
        classical("otsu", [0.5, 0.6, 0.7, 0.8], [*"abcd"]),
    )
    assert row["otsu"].wilcoxon_p == stats.wilcoxon([0.0, 0.1, 0.2, 0.3]).pvalue < 0.5


def test_arms_without_seeds_bring_no_spread_of_their_own() -> None:
    """v = s^2 / 2 of the reference's two seeds alone, df 1."""
    row = judged(cell(0.5, flat(0.81)), classical("otsu", [0.5] * 4))["otsu"]
    assert row.difference is not None
    variance = row.difference.variance
    assert (row.difference.value, variance.value, variance.df) == pytest.approx((-0.31, S2 / 2, 1))


def test_two_arms_without_seeds_have_their_patients_alone() -> None:
    """0.1, 0.1 | 0.3, 0.3: mean 0.2, SE 0.1 of patients, df 1: 2 (1/2 - atan(2) / pi) = 0.295."""
    reference = classical("unet", [0.5] * 4, kernel_size=5, alpha=0.5)
    row = judged(reference, classical("otsu", [0.6, 0.6, 0.8, 0.8]))["otsu"]
    assert row.difference is not None
    assert (row.difference.value, row.difference.se) == (pytest.approx(0.2), pytest.approx(0.1))
    assert row.p == pytest.approx(1 - 2 * math.atan(2) / math.pi)


SPREAD = "no cell was trained from two seeds, so the variation between trainings is unknown"
UNKNOWN = "some slices have no patient number, or there is only one patient"


@pytest.mark.parametrize(
    ("patients", "seeds", "why"),
    [(PATIENTS, 1, SPREAD), ([None] * 4, 2, UNKNOWN), (["a", "a", "b", None], 2, UNKNOWN),
     (["a"] * 4, 2, UNKNOWN)],
)  # fmt: skip
def test_without_two_seeds_or_two_known_patients_nothing_is_decided(
    patients: list[str | None], seeds: int, why: str
) -> None:
    parts = (
        cell(alpha, dict(list(flat(dice).items())[:seeds]), patients)
        for alpha, dice in ((0.5, 0.81), (0.6, 0.91))
    )
    row = judged(*parts)[OTHER]
    assert (row.difference, row.p, row.standing, row.why) == (None, None, Ranking.UNDECIDED, why)


@pytest.mark.parametrize("alpha", [0.5, 0.6])
def test_cells_meet_on_common_splits_alone(alpha: float) -> None:
    """One of the two has a second draw, of another Dice, on which the other was not run."""
    other_draw = cell(alpha, flat(0.2), first_slice=10, split_id="by-image-2")
    row = judged(cell(0.5, flat(0.81)), other_draw, cell(0.6, flat(0.91)))[OTHER]
    assert row.difference is not None
    assert (row.difference.value, row.dice) == (pytest.approx(0.1), pytest.approx(0.91))
    assert row.reference_dice == pytest.approx(0.81)


def test_beside_a_difference_stand_the_two_means_that_it_is_of() -> None:
    """Whatever the reference's own row comes to over all of its splits."""
    more = cell(0.5, flat(0.2), first_slice=10, split_id="by-image-2")
    made = shown(cell(0.5, flat(0.81)), more, cell(0.6, flat(0.91)))
    row, reference = made.records
    assert row["dice"] - row["reference_dice"] == pytest.approx(row["difference"])
    assert reference["dice"] == pytest.approx((0.81 + 0.2) / 2)
    assert reference["reference_dice"] is None
    assert "over the common splits, and the reference's own over all of its splits" in made.notes[1]


@pytest.mark.parametrize(("click", "standing"), [(False, Ranking.UNDECIDED), (True, Ranking.CLICK)])
def test_no_split_in_common(click: bool, standing: Ranking) -> None:
    elsewhere = {"first_slice": 10, "split_id": "by-image-2", "needs_click": click}
    row = judged(cell(0.5, flat(0.81)), cell(0.6, flat(0.91), **elsewhere))[OTHER]
    assert (row.difference, row.p, row.standing) == (None, None, standing)
    assert row.why == "tested on other splits than unet 5x5, alpha 0.5"
    assert (row.dice, row.cell.splits) == (pytest.approx(0.91), {"by-image-2"})


def test_a_click_is_no_contrast_and_stands_last() -> None:
    """It has a difference and no p, however good it is; and it leaves the others' p alone."""
    parts = cell(0.5, flat(0.81)), cell(0.6, flat(0.91))
    found = judged(*parts, classical("click-region-growing", [0.99] * 4, needs_click=True))
    assert list(found) == [OTHER, "unet 5x5, alpha 0.5", "click-region-growing"]
    click = found["click-region-growing"]
    assert click.difference is not None
    assert click.difference.value == pytest.approx(0.18)
    assert (click.p, click.wilcoxon_p, click.standing) == (None, None, Ranking.CLICK)
    assert found[OTHER].p == judged(*parts)[OTHER].p
    trained = cell(0.7, flat(0.99), needs_click=True)
    assert judged(*parts, trained)[OTHER].p == found[OTHER].p


def test_a_click_is_marked_and_explained() -> None:
    clicked = classical("click-region-growing", [0.99] * 4, needs_click=True)
    made = shown(cell(0.5, flat(0.81)), clicked)
    assert made.texts["arm"] == ["unet 5x5, alpha 0.5", "click-region-growing (click)"]
    assert "do not rank it" in made.notes[-1]
    without = shown(cell(0.5, flat(0.81)), cell(0.6, flat(0.91)))
    assert "do not rank it" not in " ".join(without.notes)


def test_best_first_with_the_reference_in_its_place() -> None:
    found = judged(cell(0.5, flat(0.7)), cell(0.6, flat(0.6)), cell(0.7, flat(0.8)))
    assert [row.cell.alpha for row in found.values()] == [0.7, 0.5, 0.6]
    assert [row.standing is Ranking.REFERENCE for row in found.values()] == [False, True, False]


def test_without_the_reference_or_another_cell_on_its_terms_there_is_no_table() -> None:
    reference, other = cell(0.5, flat(0.81)), cell(0.6, flat(0.91))
    assert len(Judgement(join(reference, other), *terms()).arms()) == 1
    assert judged(other, cell(0.7, flat(0.81))) == {}
    for changes in ({"kernel_size": 3}, {"arm": "attention-unet"}):  # the reference is unet 5x5
        assert judged(other, cell(0.5, flat(0.81), **changes)) == {}
    small = cell(0.6, flat(0.91), height=256, width=256)
    for parts in ([other, cell(0.7, flat(0.81))], [reference], [reference, small]):
        assert Judgement(join(*parts), *terms()).arms() == []


def test_costs_by_hand() -> None:
    """Epochs 0 to 9 and 0 to 19: 15; 20 GFLOP x 482 images x 15 / 10^6 = 0.1446 PFLOP."""

    def runs(*each: dict[str, int]) -> list[Collected]:
        gflop, dice = {"timing.train_gflop_per_image": 20.0}, [0.8] * 4
        return [table({seed: dice}, PATIENTS, **gflop, **own) for seed, own in enumerate(each)]

    otsu = classical("otsu", [0.5] * 4)
    made = shown(*runs({"fit.stop_epoch": 9}, {"fit.stop_epoch": 19}), otsu)
    row = made.numbers.iloc[0]
    assert row["training_pflop"] == pytest.approx(0.1446)
    assert (row["gflop_per_image"], row["fit_minutes"], row["parameters"]) == (20, 1, 7_360_000)
    assert made.texts["training, PFLOP"] == ["0.145", ""]
    assert made.texts["GFLOP an image"] == ["20.0", ""]
    sizes = [{"fit.stop_epoch": 9, "train": 482}, {"fit.stop_epoch": 19, "train": 400}]
    made = shown(*runs(*sizes), otsu)  # 20 GFLOP x (482 x 10 + 400 x 20) / 2, of each run its own
    assert made.records[0]["training_pflop"] == pytest.approx(0.1282)


def test_costs_of_a_split_of_unknown_size_are_left_open() -> None:
    unknown = {"train": None, "fit.stop_epoch": 9, "timing.train_gflop_per_image": 20.0}
    made = shown(cell(0.5, flat(0.81), **unknown), cell(0.6, flat(0.91), **unknown))
    assert made.texts["training, PFLOP"] == ["", ""]


def test_what_is_shown() -> None:
    made = shown(cell(0.5, flat(0.81)), cell(0.6, flat(0.91)), classical("otsu", [0.0] * 4))
    by_arm = made.shown.set_index("arm")
    known = by_arm.loc[OTHER, ["mean Dice", "difference", "verdict"]].tolist()
    assert known == ["0.9100", "+0.1000", "better"]
    assert by_arm.loc[OTHER, "95% interval"] == "+0.039 to +0.161"  # 0.10 -+ 0.060849
    assert by_arm["seeds x splits"].tolist() == ["2 x 1", "2 x 1", "- x 1"]
    assert made.numbers["slices"].tolist() == [4, 4, 4]
    assert by_arm.loc["unet 5x5, alpha 0.5", "p (Holm)"] == ""
    assert made.title == "Arms against arms, cheng-meningioma, protocol thesis, 512x512, fp32."


def test_cells_that_would_be_called_the_same_tell_what_differs() -> None:
    """Two widths of one arm; what they share is not told, and the reference keeps its name."""
    dice, patients = {1: [0.9, 0.8, 0.9, 0.8]}, ["p", "p", "q", "r"]
    own = {"arm": "mine", "kernel_size": None, "alpha": float("nan")}
    params = [f'{{"depth":4,"width":{width}}}' for width in (16, 32)]
    parts = [table(dice, patients, params=each, **own) for each in params]
    (panel,) = panels(join(table(dice, patients), *parts))
    names = [cell.name for cell in panel.cells]
    assert names == ["mine (width 16)", "mine (width 32)", "unet 5x5, alpha 0.5"]


# Cells of one seed, and spreads that differ.


def once(dice: float) -> dict[int, list[float]]:
    return {1: [dice] * 4}


@pytest.mark.parametrize("single", [0.5, 0.6])
def test_a_cell_of_one_seed_is_neither_better_nor_worse_but_its_numbers_are_shown(
    single: float,
) -> None:
    """0.10 on every slice; v = s^2 (1 + 1/2), s^2 of the one beside it, df 1. Whichever of the
    two was not repeated, and however sure the difference looks.
    """
    dice = {0.5: 0.81, 0.6: 0.91}
    parts = [cell(a, once(d) if a == single else flat(d)) for a, d in dice.items()]
    row = judged(*parts, cell(0.7, flat(0.81)))[OTHER]
    assert row.difference is not None
    assert row.difference.value == pytest.approx(0.1)
    assert (row.difference.se, row.difference.variance.df) == pytest.approx(
        (math.sqrt(1.5 * S2), 1)
    )
    sure = judged(cell(0.5, flat(0.1)), cell(0.6, once(0.9)), cell(0.7, flat(0.1)))[OTHER]
    assert sure.p is not None
    assert sure.p < 0.05
    name = f"unet 5x5, alpha {single}"
    for found, named in ((row, name), (sure, OTHER)):
        assert found.standing is Ranking.UNDECIDED
        assert found.why == (
            f"{named} has fewer than 2 seeds on each common split; the interval takes it to vary "
            "between trainings as others do"
        )


def test_two_seeds_count_on_a_common_split_alone() -> None:
    elsewhere = cell(0.6, flat(0.9), first_slice=10, split_id="by-image-2")
    row = judged(cell(0.5, flat(0.1)), cell(0.6, once(0.9)), elsewhere, cell(0.7, flat(0.1)))[OTHER]
    assert row.standing is Ranking.UNDECIDED
    assert row.why.startswith(OTHER)


def test_a_cell_of_one_seed_stays_in_holms_family_and_speaks_for_no_other() -> None:
    """Of two contrasts p of the firm one is doubled, however small that of the other is."""
    parts = cell(0.5, flat(0.81)), cell(0.6, flat(0.91)), cell(0.7, once(0.0))
    p1 = 2 * stats.t.sf(0.1 / math.sqrt(S2), 2)
    found = judged(*parts)
    single = found["unet 5x5, alpha 0.7"]
    assert found[OTHER].p == pytest.approx(2 * p1)
    assert single.p is not None
    assert single.p == pytest.approx(2 * 2 * stats.t.sf(0.81 / math.sqrt(1.5 * S2), 1))


def test_arms_without_seeds_are_ranked_as_ever() -> None:
    row = judged(cell(0.5, flat(0.81)), cell(0.6, flat(0.81)), classical("otsu", [0.1] * 4))["otsu"]
    assert row.standing is Ranking.WORSE


def test_a_comparison_uses_the_spread_of_its_own_cells_and_the_table_says_so() -> None:
    """A third cell varies by 0.2: of 0.5 and 0.6 s^2 is 0.0002 still, df 2."""
    wild = cell(0.7, {i: [0.1 + 0.2 * i] * 4 for i in range(5)})
    parts = cell(0.5, flat(0.81)), cell(0.6, flat(0.91)), wild
    row = judged(*parts)[OTHER]
    assert row.difference is not None
    variance = row.difference.variance
    assert (variance.value, variance.df) == pytest.approx((S2, 2))
    said = "That trainings of these cells vary alike is not shown (Bartlett's test: p ="
    assert any(note.startswith(said) for note in shown(*parts).notes)
    assert not any(note.startswith(said) for note in shown(*parts[:2]).notes)


def test_a_spread_that_is_known_elsewhere_alone_is_lent_and_decides_nothing() -> None:
    """Two wild groups of 0.1 (df 4 of 5) and 0.0002: over their df."""
    draw_2: dict[str, Any] = {"first_slice": 10, "split_id": "by-image-2"}
    wild = cell(0.7, {i: [0.1 + 0.2 * i] * 4 for i in range(5)}, **draw_2)
    calm = cell(0.8, flat(0.5), **draw_2)
    row = judged(cell(0.5, once(0.8)), cell(0.6, once(0.9)), wild, calm)[OTHER]
    assert row.difference is not None
    assert row.difference.variance.value == pytest.approx(2 * (4 * 0.1 + S2) / 5)
    assert (row.standing, "fewer than 2 seeds" in row.why) == (Ranking.UNDECIDED, True)
