"""Sums of groups of cells that were run on different splits: by hand, and as plain contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_records import join, table
from strategies import costly
from strategies import seeds as keys

from benchmark.judge.cells import Cell, cell_of
from benchmark.judge.statistics.contrast import DICE, LOG_SD, Statistic, contrast
from benchmark.judge.statistics.estimate import Estimate, clustered_mean
from benchmark.judge.statistics.groups import Group, combined
from benchmark.judge.statistics.spread_of_seeds import spreads

DRAWS = {"one": 0, "two": 10, "three": 20}  # and the number of the first slice of each


def cell(name: str, patients: Mapping[str, str], **draws: Mapping[int, Sequence[float]]) -> Cell:
    """Dice of the slices by seed, draw by draw."""
    parts = [
        table(dice, [*patients[draw]], params=name, split_id=draw, first_slice=DRAWS[draw])
        for draw, dice in draws.items()
    ]
    whole = join(*parts)
    return cell_of(whole.runs, whole)


def flat(middle: float, n: int, seeds: int = 2) -> dict[int, list[float]]:
    """Two seeds 0.02 apart (variance 0.0002), or one in the middle; slices alike."""
    return {i: [middle + (0.02 * i - 0.01) * (seeds > 1)] * n for i in range(seeds)}


def estimate(
    groups: Sequence[Group], cells: Mapping[Any, Cell], statistic: Statistic = DICE
) -> Estimate | None:
    return combined(groups, cells, statistic, spreads(cells.values(), statistic))


WHO = {"one": "aabb", "two": "cd", "three": "abcd"}
A = cell("a", WHO, one=flat(0.8, 4), two=flat(0.8, 2, seeds=1))
B = cell("b", WHO, one=flat(0.7, 4))
C = cell("c", WHO, two=flat(0.6, 2, seeds=1))
CELLS = {"A": A, "B": B, "C": C}


def test_a_group_of_two_splits_with_other_cells_on_each_by_hand() -> None:
    """k is 1/2 + 1/2 on four slices, 1 + 1 on two: they weigh 4 to 1. 0.8 x 0.1 + 0.2 x 0.2 = 0.12.

    Slices lie 0.02 below and 0.08 above that, and pull 6 x 0.8 / 4 and 6 x 0.2 / 2 times as much.
    Trainings bring s^2 (0.8^2 x 1 + 0.2^2 x 2), s^2 = 0.0002 of two groups.
    """
    found = estimate([Group(1.0, {"one": {"A": 1, "B": -1}, "two": {"A": 1, "C": -1}})], CELLS)
    slices = [0.12 - 0.02 * 1.2] * 4 + [0.12 + 0.08 * 0.6] * 2
    patients, seeds = clustered_mean(np.array(slices), [*"aabbcd"]).variance, 0.0002 * 0.72
    assert found
    assert found.value == pytest.approx(0.12)
    assert found.variance.value == pytest.approx(patients.value + seeds)
    expected = found.variance.value**2 / (patients.value**2 / patients.df + seeds**2 / 2)
    assert found.variance.df == pytest.approx(expected)


def test_a_training_of_two_groups_counts_once_with_all_of_its_weight() -> None:
    """1/2 (A - B) + 1/2 (A - D) is A - B / 2 - D / 2: s^2 (1 + 1/4 + 1/4) / 2."""
    cells = {"A": cell("a", WHO, one=flat(0.8, 4)), "B": B, "D": cell("d", WHO, one=flat(0.5, 4))}
    halves = [Group(0.5, {"one": {"A": 1, other: -1}}) for other in "BD"]
    found = estimate(halves, cells)
    assert found
    assert found.value == pytest.approx(0.8 - 0.35 - 0.25)
    assert found.variance.value == pytest.approx(0.0002 * 0.75)
    whole = estimate([Group(1.0, {"one": {"A": 1, "B": -0.5, "D": -0.5}})], cells)
    assert whole
    assert (whole.value, whole.se) == (pytest.approx(found.value), pytest.approx(found.se))


def test_groups_on_different_splits_are_summed() -> None:
    """A - B on one, twice A - C on two: 0.1 + 2 x 0.2. Patients of each pull in their own group."""
    groups = [Group(1.0, {"one": {"A": 1, "B": -1}}), Group(2.0, {"two": {"A": 1, "C": -1}})]
    found = estimate(groups, CELLS)
    assert found
    assert found.value == pytest.approx(0.5)
    assert found.variance.value == pytest.approx(0.0002 * (1 + 4 * 2))  # slices are alike
    assert groups[0].points == ["A", "B"]


@costly
@given(keys, st.integers(1, 3), st.sampled_from([("one",), ("one", "three")]),
       st.sampled_from([DICE, LOG_SD]))  # fmt: skip
def test_where_seeds_are_equal_it_is_the_plain_contrast(
    key: int, n: int, draws: tuple[str, ...], statistic: Statistic
) -> None:
    """Two cells on the same draws, from as many seeds on each: value, variance and df to 1e-9."""
    random = np.random.default_rng(key)
    first, second = (
        cell(name, WHO, **{d: dict(enumerate(random.uniform(0.2, 0.9, (m, 4)))) for d in draws})
        for name, m in (("a", n), ("b", 2))
    )
    there = spreads([first, second], statistic)
    plain = contrast([(1.0, first), (-1.0, second)], statistic, there.of([first, second]))
    weights = {draw: {"A": 1.0, "B": -1.0} for draw in draws}
    found = combined([Group(1.0, weights)], {"A": first, "B": second}, statistic, there)
    assert found
    assert plain
    assert found.value == pytest.approx(plain.value, abs=1e-12)
    assert found.variance.value == pytest.approx(plain.variance.value, rel=1e-9)
    assert found.variance.df == pytest.approx(plain.variance.df, rel=1e-6)


@settings(costly, max_examples=6)
@given(keys, st.permutations(["one", "two", "three"]))
def test_the_order_of_runs_groups_and_splits_changes_nothing(key: int, order: list[str]) -> None:
    """But for the last bits of sums."""
    random = np.random.default_rng(key)
    dice = {d: {i: random.uniform(0.2, 0.9, len(WHO[d])) for i in range(2)} for d in DRAWS}
    other = {d: {i: random.uniform(0.2, 0.9, len(WHO[d])) for i in range(2)} for d in DRAWS}

    def made(draws: Sequence[str]) -> Estimate | None:
        cells = {
            "A": cell("a", WHO, **{d: dice[d] for d in draws}),
            "B": cell("b", WHO, **{d: other[d] for d in draws}),
        }
        groups = [Group(w, {d: {"A": 1.0, "B": -1.0} for d in draws if (d == "two") == (w > 1)})
                  for w in (1.0, 2.0)]  # fmt: skip
        return estimate(groups if draws[0] == "one" else groups[::-1], cells)

    one, another = made(list(DRAWS)), made(order)
    assert one
    assert another
    assert one.value == pytest.approx(another.value, abs=1e-12)
    assert one.variance.value == pytest.approx(another.variance.value, rel=1e-9)


COUNTS = st.tuples(*[st.integers(1, 4)] * 2)


@costly
@given(COUNTS.filter(lambda n: max(n) > 1), COUNTS, COUNTS)
def test_a_split_that_agrees_never_widens_the_interval_however_few_its_trainings(
    first: tuple[int, int], second: tuple[int, int], third: tuple[int, int]
) -> None:
    """Two cells 0.1 apart, seeds of variance 0.0002; a plain mean over slices would be wider where
    one split has four seeds each and the other one.
    """

    def trained(middle: float, n: int) -> dict[int, list[float]]:
        offsets = np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
        scale = np.sqrt(0.0002 / np.var(offsets, ddof=1)) if n > 1 else 0
        return {i: [middle + scale * x] * 4 for i, x in enumerate(offsets)}

    who = dict.fromkeys(DRAWS, "aabb")
    widths = []
    for counts in ([first], [first, second], [first, second, third]):
        draws = list(zip(DRAWS, counts, strict=False))
        cells = {
            name: cell(name, who, **{d: trained(middle, n[i]) for d, n in draws})
            for i, (name, middle) in enumerate((("A", 0.8), ("B", 0.7)))
        }
        found = estimate([Group(1.0, {d: {"A": 1.0, "B": -1.0} for d, _ in draws})], cells)
        assert found
        assert found.value == pytest.approx(0.1)
        widths.append(found.half_width(0.95))
    assert widths == sorted(widths, reverse=True) or np.ptp(widths) < 1e-9


@pytest.mark.parametrize("patients", ["aaaa", [None] * 4, ["a", "b", None, "b"]])
def test_nothing_is_known_of_one_patient_or_unknown_ones(patients: Any) -> None:
    who = {"one": patients}
    cells = {"A": cell("a", who, one=flat(0.8, 4)), "B": cell("b", who, one=flat(0.7, 4))}
    assert estimate([Group(1.0, {"one": {"A": 1, "B": -1}})], cells) is None


def test_nothing_is_known_without_a_group_a_slice_or_a_second_seed() -> None:
    nothing = Statistic("of nothing", lambda rows: np.full(len(rows), np.nan))
    group = Group(1.0, {"one": {"A": 1, "B": -1}})
    assert estimate([], CELLS) is None
    assert estimate([Group(1.0, {})], CELLS) is None
    assert estimate([group, Group(1.0, {"two": {"B": 1}})], CELLS) is None  # B was not run there
    assert estimate([group], CELLS, nothing) is None
    assert estimate([Group(1.0, {"two": {"A": 1, "C": -1}})], {"A": A.on(["two"]), "C": C}) is None
