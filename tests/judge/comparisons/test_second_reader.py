"""Arms against a second reader: paired differences, Holm, equivalence; values by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_records import BY_PATIENT, join, table, terms
from scipy import stats
from second_readings import reading
from strategies import costly

from benchmark.judge.cells import panels
from benchmark.judge.comparisons.arms import NO_PATIENTS
from benchmark.judge.comparisons.second_reader import (
    AgainstReader,
    SecondReading,
    Standing,
    against_reader,
    against_reader_table,
    by_size_table,
)
from benchmark.judge.judgement import WHY_EMPTY, Judgement
from benchmark.judge.reference import Tolerances
from benchmark.judge.statistics.contrast import NO_SPREAD
from benchmark.judge.statistics.estimate import holm
from benchmark.runs.collect import Collected

PATIENTS: list[Any] = ["a", "a", "b", "b"]
RULES = terms()[1]
MARGIN = RULES.second_reader.margin
EVEN = reading([0.9] * 4, PATIENTS)
BEST = "unet 5x5, alpha 0.5"


def flat(dice: float, n: int = 4) -> dict[int, list[float]]:
    """Two seeds, slices all alike: this mean, s^2 = 0.0002 of seeds."""
    return {1: [dice - 0.01] * n, 2: [dice + 0.01] * n}


def network(
    dice: Any, patients: list[Any] = PATIENTS, alpha: float = 0.5, **more: Any
) -> Collected:
    params = f'{{"alpha":{alpha},"kernel_size":5}}'
    return table(dice, patients, **{"params": params, "alpha": alpha, **more})


def classical(
    name: str, dice: list[float], patients: list[Any] = PATIENTS, **more: Any
) -> Collected:
    own = {"params": "{}", "kernel_size": None, "alpha": float("nan"), "arm": name, **more}
    return table({None: dice}, patients, **own)  # type: ignore[dict-item]


def judged(
    *parts: Collected, second: SecondReading = EVEN, rules: Tolerances = RULES
) -> dict[str, AgainstReader]:
    (panel,) = panels(join(*parts))
    return {row.cell.name: row for row in against_reader(panel, second, rules)}


class TestDifference:
    """What the difference is, and what it varies by."""

    def test_of_a_network_by_hand(self) -> None:
        """0.81 - 0.90 on every slice. v = 0.0002 / 2 of seeds + 0.005^2 of training sets, of which
        the first has one degree of freedom: 0.000125^2 / 0.0001^2 = 1.5625 in all.
        """
        row = judged(network(flat(0.81)))[BEST]
        assert (row.dice, row.reader_dice) == pytest.approx((0.81, 0.9))
        assert row.difference is not None
        assert row.difference.value == pytest.approx(-0.09)
        assert row.difference.variance.value == pytest.approx(0.000125)
        assert row.difference.variance.df == pytest.approx(1.5625)
        half = stats.t.ppf(0.975, 1.5625) * math.sqrt(0.000125)
        assert row.difference.half_width(0.95) == pytest.approx(half)
        assert row.p == pytest.approx(2 * stats.t.sf(0.09 / math.sqrt(0.000125), 1.5625))

    def test_of_an_arm_without_seeds_by_hand(self) -> None:
        """0.7 less 0.9, 0.9 | 0.8, 0.8: patients' means -0.2 and -0.1, SE 0.05, df 1."""
        second = reading([0.9, 0.9, 0.8, 0.8], PATIENTS)
        row = judged(classical("otsu", [0.7] * 4), second=second)["otsu"]
        assert row.difference is not None
        assert (row.difference.value, row.difference.se) == pytest.approx((-0.15, 0.05))
        assert row.difference.variance.df == pytest.approx(1)

    @costly
    @given(*[st.lists(st.floats(0.3, 0.5), min_size=4, max_size=4)] * 2, st.lists(
        st.floats(0, 0.5), min_size=4, max_size=4))  # fmt: skip
    def test_what_is_hard_for_both_is_not_in_it(
        self, arm: list[float], reader: list[float], easy: list[float]
    ) -> None:
        """The same number more on a slice, for the arm and for the reader, changes nothing."""
        plain = judged(classical("x", arm), second=reading(reader, PATIENTS))["x"].difference
        arm, reader = ([a + b for a, b in zip(x, easy, strict=True)] for x in (arm, reader))
        shifted = judged(classical("x", arm), second=reading(reader, PATIENTS))["x"].difference
        assert plain is not None
        assert shifted is not None
        assert shifted.value == pytest.approx(plain.value, abs=1e-12)
        assert shifted.se == pytest.approx(plain.se, abs=1e-9)

    def test_each_slice_weighs_the_same_for_arm_and_reader_whatever_its_seeds(self) -> None:
        """Draw 1 from three seeds, draw 2 from two: the reader's mean is that over all slices."""
        second = reading([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2], [*PATIENTS, *PATIENTS])
        first = network({1: [0.5] * 4, 2: [0.6] * 4, 3: [0.7] * 4})
        other = network({1: [0.4] * 4, 2: [0.6] * 4}, split_id="by-image-2", first_slice=4)
        row = judged(first, other, second=second)[BEST]
        assert (row.dice, row.reader_dice) == pytest.approx((0.55, 0.55))

    def test_slices_without_a_second_reading_are_in_neither_mean(self) -> None:
        """Slices 2 to 5 were read twice, 0 to 3 tested: 2 and 3 count."""
        tested = {1: [0.1, 0.1, 0.7, 0.8], 2: [0.1, 0.1, 0.7, 0.8]}
        second = reading([0.9, 0.8, 0.1, 0.1], PATIENTS, first_slice=2)
        row = judged(network(tested, ["a", "a", "b", "c"]), second=second)[BEST]
        assert (row.dice, row.reader_dice) == pytest.approx((0.75, 0.85))
        assert len(row.cell.rows) == 4

    @pytest.mark.parametrize("patients", [["a"] * 4, ["a", "a", "b", None]])
    def test_patients_that_are_unknown_or_one_alone_give_none(self, patients: list[Any]) -> None:
        row = judged(network(flat(0.8), patients))[BEST]
        assert (row.difference, row.why) == (None, NO_PATIENTS)
        assert row.standing is Standing.UNDECIDED

    def test_a_training_on_another_split_alone_changes_nothing(self) -> None:
        """A verdict is on the splits with two seeds; a third training elsewhere takes none away."""
        second = reading([0.9] * 8, [*PATIENTS, *PATIENTS])
        own = network(flat(0.81))
        more = network({1: [0.2, 0.3, 0.2, 0.9]}, split_id="by-image-2", first_slice=4)
        alone, with_more = (judged(*x, second=second)[BEST] for x in ([own], [own, more]))
        assert with_more.difference == alone.difference
        assert (with_more.p, with_more.standing) == (alone.p, alone.standing)


class TestStanding:
    """When it is called equivalent, more, less or nothing."""

    @pytest.mark.parametrize(
        ("more", "standing"),
        [
            (0.0, Standing.EQUIVALENT),
            (MARGIN / 2, Standing.EQUIVALENT),  # told from 0, and too little to matter
            (2 * MARGIN, Standing.MORE),
            (-2 * MARGIN, Standing.LESS),
        ],
    )
    def test_a_difference_that_is_known_well(self, more: float, standing: Standing) -> None:
        row = judged(classical("x", [0.9 + more] * 4))["x"]
        assert row.standing is standing
        assert not row.why

    def test_what_may_be_nothing_and_may_be_more_than_the_margin_is_undecided(self) -> None:
        """-0.02, -0.02 | +0.01, +0.01: mean -0.005, SE 0.015, df 1."""
        row = judged(classical("x", [0.88, 0.88, 0.91, 0.91]))["x"]
        assert row.standing is Standing.UNDECIDED
        assert row.p_apart == pytest.approx(stats.t.sf((MARGIN - 0.005) / 0.015, 1))
        assert row.why == "may be 0, and may be the margin or more"

    @pytest.mark.parametrize(
        ("swing", "level", "inside"),
        [(0.025, 0.95, True), (0.03, 0.95, False), (0.025, 0.99, False), (0.03, 0.9, True)],
    )
    def test_equivalent_is_the_whole_interval_within_the_margin(
        self, swing: float, level: float, inside: bool
    ) -> None:
        """Of one arm: both one-sided tests pass where the interval at 2 level - 1 lies inside.

        12 patients swing to either side: SE swing / sqrt(11), 0.0075 and 0.0090; t at 0.90, 0.95
        and 0.99 of 11 degrees of freedom 1.363, 1.796 and 2.718; the margin 0.015.
        """
        rules = replace(RULES, second_reader=replace(RULES.second_reader, level=level))
        dice, patients = [0.8 + swing * (-1) ** i for i in range(12)], [f"p{i}" for i in range(12)]
        second = reading([0.8] * 12, patients)
        row = judged(classical("x", dice, patients), second=second, rules=rules)["x"]
        assert row.difference is not None
        low, high = row.difference.interval(2 * level - 1)
        assert (max(-low, high) < MARGIN) is inside
        assert (row.standing is Standing.EQUIVALENT) is inside

    def test_one_seed_decides_nothing_however_far_it_is(self) -> None:
        """It borrows the other's spread, and counts in Holm's family as if its p were 1."""
        parts = network(flat(0.85)), network({1: [0.1] * 4}, alpha=0.6)
        both = judged(*parts)
        once, firm = both["unet 5x5, alpha 0.6"], both[BEST]
        assert once.difference is not None
        assert once.standing is Standing.UNDECIDED
        assert "fewer than 2 seeds" in once.why
        assert once.p is not None
        alone = judged(parts[0])[BEST]
        assert alone.p is not None
        assert once.p < alone.p
        assert firm.p == pytest.approx(2 * alone.p)

    def test_where_no_cell_has_two_seeds_nothing_is_known(self) -> None:
        row = judged(network({1: [0.1] * 4}))[BEST]
        assert (row.difference, row.why) == (None, NO_SPREAD)

    def test_p_is_corrected_over_the_arms_without_a_click(self) -> None:
        dice = {"x": [0.5, 0.6, 0.7, 0.8], "y": [0.8, 0.8, 0.9, 0.8]}
        parts = [classical(name, values) for name, values in dice.items()]
        click = classical("z", [0.1, 0.2, 0.3, 0.4], needs_click=True)
        alone = [judged(part)[name] for name, part in zip(dice, parts, strict=True)]
        together = judged(*parts, click)
        for name in ("p", "p_apart"):
            expected = holm([getattr(row, name) for row in alone])
            assert [getattr(together[arm], name) for arm in dice] == pytest.approx(expected)
        assert together["z"].standing is Standing.CLICK
        assert (together["z"].p, list(together)[-1]) == (None, "z")

    def test_each_kind_of_split_and_each_size_is_judged_by_itself(self) -> None:
        by_image, by_patient = network(flat(0.9)), network(flat(0.5), **BY_PATIENT)
        small = network(flat(0.3), height=256, width=256)
        found = Judgement(join(by_image, by_patient, small), *terms(), second=EVEN)
        dice = {panel.title: [row.dice for row in rows] for panel, rows in found.against_reader}
        assert sorted(round(values[0], 9) for values in dice.values()) == [0.3, 0.5, 0.9]
        assert next(iter(dice)).endswith("thesis, 512x512, fp32")


class TestTables:
    """What is printed."""

    def test_an_arm_that_tested_nothing_that_was_read_twice_is_named(self) -> None:
        elsewhere = classical("y", [0.5] * 4, first_slice=90, split_id="by-image-2")
        (panel,) = panels(join(classical("x", [0.85] * 4), elsewhere))
        rows = against_reader(panel, EVEN, RULES)
        assert [row.cell.name for row in rows] == ["x"]
        shown = against_reader_table(panel, rows, RULES.second_reader)
        assert any(note.endswith("read twice: y.") for note in shown.notes)

    def test_where_no_slice_is_common_there_is_no_row(self) -> None:
        (panel,) = panels(network(flat(0.8), first_slice=90))
        assert against_reader(panel, EVEN, RULES) == []

    def test_a_row_by_hand(self) -> None:
        (panel,) = panels(classical("x", [0.88, 0.88, 0.91, 0.91]))
        rows = against_reader(panel, EVEN, RULES)
        shown = against_reader_table(panel, rows, RULES.second_reader)
        texts = {name: values[0] for name, values in shown.texts.items()}
        within = 0.005 + stats.t.ppf(0.95, 1) * 0.015
        assert texts["seeds x splits"] == "- x 1"
        assert (texts["mean Dice"], texts["second reader's"]) == ("0.895", "0.900")
        assert (texts["difference"], texts["verdict"]) == ("-0.005", "undecided")
        assert texts["equivalent within"] == f"{within:.3f}"

    def test_by_size_each_third_is_paired_by_itself(self) -> None:
        """Under 663 mm2: 0.6 less 0.9; from 1263 on: 0.9 less 0.8; few as they are, no interval."""
        sizes = {"truth_mm2": [100.0, 100.0, 2000.0, 2000.0]}
        (panel,) = panels(classical("x", [0.6, 0.6, 0.9, 0.9]))
        second = reading([0.9, 0.9, 0.8, 0.8], PATIENTS, **sizes)
        rows = against_reader(panel, second, RULES)
        shown = by_size_table(panel, rows, second, RULES)
        assert shown is not None
        assert shown.texts["tumours"] == ["small", "large"]
        assert shown.texts["difference"] == ["-0.300", "+0.100"]
        assert shown.numbers["low"].isna().all()

    def test_a_third_with_enough_patients_has_the_interval_of_its_slices(self) -> None:
        few = replace(RULES.intervals, fewest_slices=2, fewest_patients=2)
        rules = replace(RULES, intervals=few)
        sizes, patients = {"truth_mm2": [100.0] * 4}, ["a", "b", "c", "d"]
        dice = [0.6, 0.7, 0.8, 0.9]
        (panel,), second = (
            panels(classical("x", dice, patients)),
            reading([0.9] * 4, patients, **sizes),
        )
        shown = by_size_table(panel, against_reader(panel, second, rules), second, rules)
        assert shown is not None
        low, high = stats.t.interval(0.95, 3, -0.15, stats.sem(dice))
        assert shown.numbers.loc[0, ["low", "high"]].tolist() == pytest.approx([low, high])

    @pytest.mark.parametrize("change", [{"phantom": True}, {"dataset_id": "own"}])
    def test_phantoms_and_other_slices_have_no_second_reader(self, change: dict[str, Any]) -> None:
        """Their slices may have the numbers of some that were read twice."""
        found = Judgement(network(flat(0.8), **change), *terms(), second=EVEN)
        assert found.against_reader == []
        assert found.readers() == []
        assert "second reader" in WHY_EMPTY["readers"]
