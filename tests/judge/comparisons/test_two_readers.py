"""How well two readers agree: tables by hand, and the shipped second reading's known numbers."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from run_records import join, table, terms
from second_readings import reading
from statsmodels.regression.linear_model import OLS

from benchmark.judge.answers import questions
from benchmark.judge.comparisons.second_reader import SecondReading
from benchmark.judge.comparisons.two_readers import estimated
from benchmark.judge.judgement import Judgement
from benchmark.judge.shipped import load_second_reading, shipped
from benchmark.judge.statistics.estimate import clustered_mean
from benchmark.judge.tables import Table
from benchmark.runs.collect import Collected

PATIENTS: list[Any] = ["a", "a", "b", "b"]
RULES = terms()[1]
BEST = "unet 5x5, alpha 0.5"
EVEN = reading([0.9] * 4, PATIENTS)


@cache
def ours() -> Judgement:
    return shipped()


@cache
def second() -> SecondReading:
    return load_second_reading()


def network(dice: list[float], **measures: list[float]) -> Collected:
    """The printed cell with two seeds, every size 100 unless given."""
    names = reading([1.0], ["a"]).scores.columns
    own = {n: [100.0] * len(dice) for n in names if n.endswith(("_mm", "_mm2"))}
    own |= {"nsd_1mm": [1.0] * 4, "nsd_2mm": [1.0] * 4, **measures}
    return table({1: dice, 2: dice}, PATIENTS, measures=own)


def tables(second: SecondReading, *runs: Collected) -> dict[str, Table]:
    """The section's tables, by the first words of their titles."""
    made = Judgement(join(*runs), *terms(), second=second).readers()
    return {table.title.split(",")[0].split(":")[0]: table for table in made}


class TestByHand:
    """What the tables print of four slices of two patients."""

    def test_readers_agree_at(self) -> None:
        """0.6, 0.8 | 0.9, 1.0: mean 0.825; patients 0.7 and 0.95, SE 0.125; one below 0.7."""
        areas = {"truth_mm2": [100.0, 700.0, 700.0, 2000.0], "hd95_mm": [1.0, 2.0, 4.0, 9.0]}
        own = reading([0.6, 0.8, 0.9, 1.0], PATIENTS, within=[0.95, 0.97], **areas)
        shown = tables(own, network([0.8] * 4))["Two readers"]
        first = shown.records[0]
        assert (first["dice"], first["median"], first["of_patients"]) == pytest.approx(
            (0.825, 0.85, 0.825)
        )
        assert (first["slices"], first["patients"], first["low_slices"]) == (4, 2, 1)
        assert first["lowest"] == pytest.approx(np.quantile([0.6, 0.8, 0.9, 1.0], 0.05))
        assert first["hd95_mm"] == 3
        found = estimated(own.scores)
        assert found is not None
        assert found.se == pytest.approx(0.125)
        assert shown.texts["tumours"] == ["all", "small", "middle", "large", "all"]
        assert shown.texts["mean Dice"] == ["0.825", "0.600", "0.850", "1.000", "0.960"]
        assert shown.texts["readers"][-1] == "second reading against itself"

    def test_sizes_of_an_arm_stand_beside_the_readers_on_the_same_slices(self) -> None:
        """The arm is +10 off everywhere; the reader 0, 20 | 40, 60, -999 where none tested."""
        truth = {"truth_mm2": [100.0] * 5, "predicted_mm2": [100.0, 120.0, 140.0, 160.0, -899.0]}
        own = reading([0.9] * 5, [*PATIENTS, "c"], **truth)
        arm = network([0.8] * 4, predicted_mm2=[110.0] * 4, truth_mm2=[100.0] * 4)
        shown = tables(own, arm)["Sizes between readers and of networks (Bland-Altman)"]
        row = shown.records[0]
        assert (row["arm"], row["quantity"], row["slices"]) == (BEST, "area, mm2", 4)
        assert (row["bias"], row["lower"], row["upper"]) == pytest.approx((10, 10, 10))
        # 0, 20 | 40, 60: MSB 1600, MSW 200, n0 2: between 700, SD 30
        assert row["reader_bias"] == pytest.approx(30)
        assert row["reader_lower"] == pytest.approx(30 - 1.96 * 30)
        expected = clustered_mean(np.array([0.0, 20.0, 40.0, 60.0]), PATIENTS).interval(0.95)
        assert (row["reader_low"], row["reader_high"]) == pytest.approx(expected)

    def test_slices_on_which_readers_differ_most_come_first_with_the_networks_dice(self) -> None:
        own = reading([0.6, 0.2, 0.9, 0.4], PATIENTS)
        made = tables(own, network([0.1, 0.2, 0.3, 0.4]))
        shown = made["Slices on which the two readers differ most."]
        assert shown.numbers["slice_id"].tolist() == [1, 3, 0, 2]
        assert shown.numbers["dice_image"].tolist() == pytest.approx([0.2, 0.4, 0.1, 0.3])
        assert "network by patient" not in shown.texts

    def test_an_arm_without_sizes_is_in_no_table_of_sizes(self) -> None:
        bare = table({1: [0.8] * 4, 2: [0.7] * 4}, PATIENTS)
        assert not [name for name in tables(EVEN, bare) if name.startswith("Sizes")]
        assert [name for name in tables(EVEN, network([0.8] * 4)) if name.startswith("Sizes")]


class TestShipped:
    """The second reading that is shipped, and our records beside it."""

    def test_it_has_the_numbers_that_are_known_of_it(self) -> None:
        """Found before there was this code; see reference_results/second-reading/README.md."""
        scores, within = second().scores, second().within
        dice, once = scores["dice"], within.loc[within["variant"] == 1, "dice"]
        assert (len(scores), scores["patient_id"].nunique(), len(once)) == (683, 82, 619)
        assert round(dice.mean(), 3) == 0.909
        assert round(dice.median(), 3) == 0.931
        assert round(dice.quantile(0.05), 3) == 0.781
        assert round(dice.groupby(scores["patient_id"]).mean().mean(), 3) == 0.890
        assert (dice < 0.7).sum() == 19
        assert scores.loc[dice.idxmin(), "slice_id"] == 111
        assert round(once.mean(), 3) == 0.940

    def test_our_trainings_stand_beside_it_as_is_known(self) -> None:
        """0.892 by image at 512x512, 0.872 at 256x256, 0.834 by patient, on the same slices."""
        found = [
            (panel.runs["height"].iloc[0], panel.runs["split_unit"].iloc[0], row)
            for panel, row in ours().reference_against_reader
        ]
        dice = {(size, unit): (round(row.dice, 3), len(set(row.cell.rows["slice_id"])))
                for size, unit, row in found}  # fmt: skip
        assert dice[512, "image"] == (0.892, 102)
        assert dice[256, "image"] == (0.872, 512)
        assert dice[256, "patient"] == (0.834, 683)
        assert next(iter(dice)) == (512, "image")

    def test_the_margin_is_half_of_what_another_reader_costs_as_its_reason_says(self) -> None:
        """0.940 within the second reading, 0.911 between readers on the same slices: half of
        0.029, to the nearest 0.005.
        """
        rule = RULES.second_reader
        within = second().within.query("variant == 1").set_index("slice_id")
        between = second().scores.set_index("slice_id").loc[within.index]
        apart = within["dice"] - between["dice"]
        cost = clustered_mean(apart.to_numpy(dtype=float), within["patient_id"].tolist())
        low, high = cost.interval(0.95)
        numbers = within["dice"].mean(), between["dice"].mean(), cost.value, low, high
        for number in numbers:
            assert f"{number:.3f}" in rule.reason
        assert rule.margin == pytest.approx(round(cost.value / 2 / 0.005) * 0.005)

    def test_no_verdict_hangs_on_the_margin_as_its_change_says(self) -> None:
        """ "The same for any margin up to 0.039": less stays less, and nothing is equivalent."""
        (change,) = [change for change in RULES.changes if change.rule == "second_reader"]
        assert "up to 0.039" in change.known
        for _, row in ours().reference_against_reader:
            assert row.difference is not None
            assert row.difference.smallest_margin(0.95) > 0.039

    def test_a_regression_with_clustered_errors_agrees_by_patient(self) -> None:
        """The difference by patient and its patients' part of the error, by statsmodels; its
        variance is that of the plain sandwich, a little too small for few patients.
        """
        by_unit = {p.runs["split_unit"].iloc[0]: r for p, r in ours().reference_against_reader}
        row = by_unit["patient"]
        apart = row.apart.rows.groupby(["patient_id", "slice_id"])["dice"].mean()
        patients = apart.index.get_level_values("patient_id")
        groups = np.unique(patients, return_inverse=True)[1]
        fitted = OLS(apart.to_numpy(), np.ones(len(apart))).fit(
            cov_type="cluster", cov_kwds={"groups": groups}
        )
        own = clustered_mean(apart.to_numpy(), patients.tolist())
        assert row.difference is not None
        assert row.difference.value == pytest.approx(fitted.params[0])
        assert own.se == pytest.approx(fitted.bse[0], rel=0.03)
        assert row.difference.se > own.se


def test_the_answer_says_both_means_the_difference_and_what_is_not_known() -> None:
    """0.8 from both seeds against 0.9, which varies with no patient and no seed: -0.1, and the
    stated SD of training sets, 0.005, to 1.96 of either side.
    """
    judged = Judgement(network([0.8] * 4), *terms(), second=EVEN)
    (answer,) = [a for a in questions(judged) if a.question.endswith("two readers agree on?")]
    assert answer.verdict == "512x512 by image: agrees less"
    readers, cell, margin = answer.lines
    assert readers.startswith("Two readers agree at a mean Dice of 0.900 (95% interval 0.900 to ")
    assert "not known who drew them and whether they saw the first" in readers
    assert cell == (
        f"{BEST} at 512x512, fp32, split by image: 0.800 against the second reader's 0.900 on the "
        "same 4 slices of 2 patients; difference -0.100, 95% interval -0.110 to -0.090."
    )
    assert f"within {RULES.second_reader.margin:g} of the reader" in margin
    assert judged.in_short["second-reader"] == "agrees less: -0.100 [-0.110, -0.090]"


def test_without_a_second_reading_there_is_no_answer_and_no_section() -> None:
    found = Judgement(network([0.8] * 4), *terms())
    assert found.readers() == []
    assert not [a for a in questions(found) if "readers" in a.question]
    assert "second-reader" not in found.in_short
