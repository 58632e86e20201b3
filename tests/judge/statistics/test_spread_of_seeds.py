"""Whether trainings vary alike, and which spread a contrast uses: by scipy, by hand, simulated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from run_records import join, table
from scipy import stats

from benchmark.judge.cells import Cell, cell_of, panels
from benchmark.judge.statistics.contrast import DICE
from benchmark.judge.statistics.estimate import NONE, Variance
from benchmark.judge.statistics.spread_of_seeds import Spreads, same_spread_p, spreads
from benchmark.runs.collect import collect, reproduction_folder
from benchmark.splits.split import SPLIT_SEED

PATIENTS = list("aabb")
FOUND = {"by-image-1": (0.0232, 3), "by-image-2": (0.0025, 2), "by-image-3": (0.0018, 2),
         "by-image-4": (0.0115, 2), "by-image-5": (0.0003, 2)}  # fmt: skip
"""SD between seeds and seeds of the reference cell at 256x256 on each draw, as shipped."""
PANELS, REPEATS = 3000, 2000


def rng(key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([SPLIT_SEED, key], dtype=np.uint64)))


def groups(
    random: np.random.Generator, sds: Sequence[float], seeds: Sequence[int]
) -> list[list[float]]:
    return [
        (0.87 + sd * random.standard_normal(n)).tolist() for sd, n in zip(sds, seeds, strict=True)
    ]


def p_values(sds: Sequence[float], seeds: Sequence[int], key: int) -> NDArray[np.float64]:
    random = rng(key)
    return np.array([same_spread_p(groups(random, sds, seeds)) for _ in range(PANELS)])


# The test.


@pytest.mark.parametrize("n", [2, 3, 6])
def test_of_two_groups_alike_in_size_it_is_the_two_sided_f_test(n: int) -> None:
    """Whose p is exact; ours is known to +- 0.01."""
    for first, second in (groups(rng(n), (1.0, sd), (n, n)) for sd in (1.0, 2.0, 5.0, 30.0)):
        f = np.var(first, ddof=1) / np.var(second, ddof=1)
        exact = 2 * min(stats.f.sf(f, n - 1, n - 1), stats.f.cdf(f, n - 1, n - 1))
        assert same_spread_p([first, second]) == pytest.approx(exact, abs=0.02)


def test_of_many_values_it_is_scipys_bartlett() -> None:
    """Whose chi-square holds there, and not for groups of two."""
    for sd in (1.0, 1.1, 1.2, 1.3):
        there = groups(rng(9), (1.0, 1.0, sd), (40, 60, 80))
        assert same_spread_p(there) == pytest.approx(stats.bartlett(*there).pvalue, abs=0.02)


@pytest.mark.parametrize("seeds", [(3, 2, 2, 2, 2), (2,) * 12])
def test_groups_that_vary_alike_are_told_apart_as_often_as_the_level_says(
    seeds: tuple[int, ...],
) -> None:
    """3000 panels: 0.05 is known to +- 0.008, 0.25 to +- 0.016."""
    p = p_values([0.0142] * len(seeds), seeds, 1)
    assert 0.042 <= np.mean(p < 0.05) <= 0.058
    assert 0.234 <= np.mean(p < 0.25) <= 0.266


def test_spreads_as_found_are_told_apart() -> None:
    """At the SDs of the five draws: in 0.87 of panels at 5 %."""
    sds, seeds = zip(*FOUND.values(), strict=True)
    p = p_values(sds, seeds, 2)
    assert 0.84 <= np.mean(p < 0.05) <= 0.90


def test_one_draw_that_varies_four_times_as_much_is_often_missed_at_5_percent() -> None:
    """0.27 there: why that nothing is told apart at 5 % is no reason to pool."""
    p = p_values([4.0, 1, 1, 1, 1], (3, 2, 2, 2, 2), 3)
    assert 0.24 <= np.mean(p < 0.05) <= 0.30


def test_our_trainings_at_256_do_not_vary_alike() -> None:
    """Of draw 1 the variance is 15 times that of the others (F, p 0.014, picked after looking)."""
    (panel,) = (p for p in panels(collect(reproduction_folder()))
                if "protocol thesis, 256x256, fp32" in p.title)  # fmt: skip
    there = spreads(panel.cells, DICE)
    assert there.p == pytest.approx(0.026, abs=0.006)
    assert there.note.startswith("That trainings of these cells vary alike is not shown")


def test_equal_values_break_nothing() -> None:
    """Two collapsed trainings do not vary; beside others that do, that is a difference."""
    assert same_spread_p([[0.0, 0.0], [0.5, 0.5, 0.5]]) == 1
    assert same_spread_p([[0.1 + 0.2, 0.3], [0.5, 0.5]]) == 1  # equal but for rounding
    assert same_spread_p([[0.0, 0.0], [0.5, 0.6], [0.5, 0.7]]) < 0.001


def test_without_two_groups_of_two_seeds_no_difference_is_shown() -> None:
    assert same_spread_p([]) == same_spread_p([[0.1], [0.2], [0.1, 0.9]]) == 1


def test_order_shift_and_scale_of_groups_change_nothing() -> None:
    there = groups(rng(5), (1, 2, 3, 4), (2, 3, 2, 4))
    p = same_spread_p(there)
    assert same_spread_p(there[::-1]) == p
    assert same_spread_p([[7 - 3 * x for x in group] for group in there]) == p


# Which spread is used.


def cell(alpha: float, **draws: Sequence[float]) -> Cell:
    """Trainings on each draw, by their Dice, the same on all four slices."""
    first = {"draw_1": 0, "draw_2": 10, "draw_3": 20}
    parts = [
        table({i: [x] * 4 for i, x in enumerate(dice)}, PATIENTS, alpha=alpha, params=f"5 {alpha}",
              split_id=draw, first_slice=first[draw])
        for draw, dice in draws.items()
    ]  # fmt: skip
    whole = join(*parts)
    return cell_of(whole.runs, whole)


def of(there: Spreads, *cells: Cell) -> tuple[float, float]:
    found = there.of(cells)
    assert found
    return found.value, found.df


A = cell(0.1, draw_1=(0.79, 0.81))  # variance 0.0002, as all calm ones
B = cell(0.2, draw_1=(0.69, 0.71), draw_2=(0.59, 0.61))
WILD = cell(0.3, draw_1=(0.4, 0.6, 0.8), draw_3=(0.4, 0.6, 0.8))  # 0.04, df 2
ONE = cell(0.4, draw_1=(0.7,), draw_2=(0.7,))
ALONE = cell(0.5, draw_1=(0.7,), draw_3=(0.7,))
THERE = spreads([A, B, WILD, ONE, ALONE], DICE)


def test_alike_groups_pooled_are_one_and_nothing_is_told_of_a_difference() -> None:
    """Three groups of 0.0002."""
    there = spreads([A, B, ONE], DICE)
    assert (there.p, there.note) == (1, "")
    assert there.pooled == Variance(pytest.approx(0.0002), 3)
    assert there.on("draw_2") == Variance(pytest.approx(0.0002), 1)
    assert there.on("draw_3") == there.pooled


def test_each_cell_has_its_own() -> None:
    """0.0002 / 2 and 0.04 / 3 over 1/2 + 1/3, and Satterthwaite's df of those two."""
    wild = cell(0.3, draw_1=(0.4, 0.6, 0.8))
    calm, rest = 0.0002 / 2, 0.04 / 3
    v = calm + rest
    expected = v / (1 / 2 + 1 / 3), v**2 / (calm**2 / 1 + rest**2 / 2)
    assert of(THERE, A, wild) == pytest.approx(expected)


def test_a_cell_of_one_seed_borrows_from_the_contrast_on_its_split_then_from_all_cells_there() -> (
    None
):
    on_1, on_2 = cell(0.4, draw_1=(0.7,)), cell(0.4, draw_2=(0.7,))
    assert of(THERE, A, on_1) == pytest.approx((0.0002, 1))  # A's: one estimate, so its df stays
    assert of(THERE, on_2) == pytest.approx((0.0002, 1))  # B's
    pooled = (0.0002 + 0.0002 + 2 * 0.04) / 4  # on draw 1, A, B and the wild one
    df = (4 * pooled) ** 2 / (2 * 0.0002**2 + (2 * 0.04) ** 2 / 2)
    assert of(THERE, on_1) == pytest.approx((pooled, df))


def test_where_nobody_was_repeated_on_a_split_the_contrasts_other_splits_tell_then_all_cells() -> (
    None
):
    mine = cell(0.5, draw_1=(0.79, 0.81), draw_3=(0.7,))
    calm = spreads([A, B, cell(0.3, draw_1=(0.4, 0.6, 0.8))], DICE)
    assert of(calm, mine) == pytest.approx((0.0002, 1))
    mixed = (3 * 0.0002 + 2 * 0.04) / 5
    df = (5 * mixed) ** 2 / (3 * 0.0002**2 + (2 * 0.04) ** 2 / 2)
    assert of(calm, cell(0.5, draw_3=(0.7,))) == pytest.approx((mixed, df))
    assert spreads([ONE], DICE).of([ONE]) is None


def test_arms_without_seeds_bring_none() -> None:
    otsu = table({None: [0.5] * 4}, PATIENTS, arm="otsu")  # type: ignore[dict-item]
    assert THERE.of([cell_of(otsu.runs, otsu)]) == NONE


def coverage(
    sds: Sequence[float], seeds: Sequence[int], weights: Sequence[float]
) -> tuple[float, float]:
    """How often 95 % intervals hold a contrast of groups of which only trainings vary: those that
    follow the rule, and those that pool. Groups of weight 0 are elsewhere.
    """
    random, hits = rng(8), np.zeros((REPEATS, 2))
    share = [w**2 / n for w, n in zip(weights, seeds, strict=True)]
    for i in range(REPEATS):
        there = groups(random, sds, seeds)
        error = sum(w * (np.mean(x) - 0.87) for w, x in zip(weights, there, strict=True))
        df = [n - 1 for n in seeds]
        own = [Variance(float(np.var(x, ddof=1)), d) for x, d in zip(there, df, strict=True)]
        value = sum(v.value * v.df for v in own) / sum(df)
        pooled = Variance(value, sum(df)) * sum(share)
        mine = sum((v * c for v, c in zip(own, share, strict=True) if c), NONE)
        for j, v in enumerate((mine, pooled)):
            hits[i, j] = abs(error) <= stats.t.ppf(0.975, v.df) * np.sqrt(v.value)
    rule, always = hits.mean(axis=0)
    return float(rule), float(always)


@pytest.mark.parametrize(
    ("sds", "seeds", "weights", "least", "most"),
    [
        ([1.0] * 10, [2] * 10, [1, -1] + [0] * 8, 0.96, 0.985),
        ([1.0] * 5, [3] * 5, [1, -1, 0, 0, 0], 0.95, 0.98),
        ([4.0] * 10 + [1.0] * 10, [2] * 20, [1, -1] + [0] * 18, 0.96, 0.99),
        ([1.0] * 10 + [4.0] * 10, [2] * 20, [1, -1] + [0] * 18, 0.96, 0.99),
        ([0.023, 0.003, 0.003, 0.012, 0.003], [3, 2, 2, 2, 2], [0.2] * 5, 0.955, 0.985),
        ([0.023, 0.003, 0.003, 0.012, 0.003, 0.023], [3, 2, 2, 2, 2, 2], [1, 0, 0, 0, 0, -1],
         0.95, 0.98),
        ([4.0] + [1.0] * 9, [2] * 10, [1, -1] + [0] * 8, 0.945, 0.975),
    ],
    ids=["alike, two seeds", "alike, three seeds", "on a wild draw", "on a calm draw",
         "over draws as found", "on draw 1 as found", "one wild cell of ten"],
)  # fmt: skip
def test_intervals_of_trainings_alone_hold_the_truth_about_as_often_as_they_say(
    sds: list[float], seeds: list[int], weights: list[float], least: float, most: float
) -> None:
    """2000 times, so known to +- 0.01. Groups of two bring more than 0.95 (Satterthwaite's df of
    groups with one degree of freedom are too few).
    Patients, of whom more is known, bring coverage nearer to 0.95: `test_contrast_coverage.py`.
    """
    rule, _ = coverage(sds, seeds, weights)
    assert least <= rule <= most


def test_one_spread_for_all_would_hold_it_too_rarely_on_the_draw_that_varies_most() -> None:
    """0.83 on draw 1 as found, 0.70 for one wild cell among ten; and always on the calm draw."""
    sds, seeds = [0.023, 0.003, 0.003, 0.012, 0.003, 0.023], [3, 2, 2, 2, 2, 2]
    assert 0.80 <= coverage(sds, seeds, [1, 0, 0, 0, 0, -1])[1] <= 0.86
    assert coverage([4.0] + [1.0] * 9, [2] * 10, [1, -1] + [0] * 8)[1] <= 0.73
    calm = coverage([1.0] * 10 + [4.0] * 10, [2] * 20, [1, -1] + [0] * 18)
    assert calm[1] > 0.995 > calm[0]
