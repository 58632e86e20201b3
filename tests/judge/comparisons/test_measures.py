"""Measures by tumour size and Bland-Altman's agreement, every expected value derived by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest
from run_records import join, table, terms

from benchmark.judge.cells import panels
from benchmark.judge.comparisons.measures import (
    agreement_table,
    boundaries_table,
    by_size,
    measured,
    thirds,
)
from benchmark.judge.judgement import Judgement
from benchmark.judge.tables import Table
from benchmark.runs.collect import Collected

SIZES = terms()[1].sizes
PATIENTS = ["a", "a", "b"]
OF_SIZE = ("mm2", "diameter_mm", "perpendicular_mm")
EVERY = ["nsd_1mm", "nsd_2mm", "hd95_mm", "assd_mm",
         *(f"{side}_{size}" for size in OF_SIZE for side in ("truth", "predicted"))]  # fmt: skip


def runs(
    dice: Sequence[float], patients: Sequence[Any] = PATIENTS, *, seeds: Sequence[int] = (1,),
    **more: Any,
) -> Any:  # fmt: skip
    """Runs with every measure, 100 (mm2, mm or share) unless given as a list."""
    given = {name: values for name, values in more.items() if isinstance(values, list)}
    changes = {name: value for name, value in more.items() if name not in given}
    measures = {name: [100.0] * len(dice) for name in EVERY} | given
    return table(dict.fromkeys(seeds, dice), patients, measures=measures, **changes)


def boundaries(collected: Collected) -> Table:
    return boundaries_table(panels(collected)[0], SIZES)


def agreement(collected: Collected) -> pd.DataFrame:
    """The rows of all tumours, by quantity."""
    found = agreement_table(panels(collected)[0], SIZES).numbers
    return found[found["tumours"] == "all"].set_index("quantity")


def test_thirds_part_below_and_from_their_edges_on() -> None:
    """663 and 1263 mm2 belong to the group above them."""
    area = [0.24, 662.9, 663.0, 1262.9, 1263.0, 3654.0]
    (cell,) = panels(runs([0.5] * 6, list("aabbcc"), truth_mm2=area))[0].cells
    assert {name: rows["truth_mm2"].tolist() for name, rows in by_size(cell, SIZES)} == {
        "all": area,
        "under 663 mm2": area[:2],
        "663 to 1263 mm2": area[2:4],
        "1263 mm2 and more": area[4:],
    }


def test_a_third_is_named_by_the_same_edges_and_there_is_none_without_a_tumour() -> None:
    named = thirds(pd.Series([0.24, 662.9, 663.0, 1262.9, 1263.0, 0.0]), SIZES)
    assert named.tolist()[:5] == ["small", "small", "middle", "middle", "large"]
    assert pd.isna(named.iloc[5])


def test_a_third_without_tumours_has_no_row() -> None:
    assert boundaries(runs([0.5] * 3)).numbers["tumours"].tolist() == ["all", "under 663 mm2"]


def test_a_missed_tumour_stays_in_every_mean() -> None:
    """Dice 0.8, 0.6, 0: mean 1.4 / 3, median 0.6, found 0.7. HD95 2, 4, 354: 120, 4, 3. NSD 0.5."""
    measures = {
        "hd95_mm": [2.0, 4.0, 354.0],
        "assd_mm": [1.0, 2.0, 354.0],
        "nsd_1mm": [0.9, 0.6, 0.0],
    }
    made = boundaries(runs([0.8, 0.6, 0.0], **measures))
    row = made.records[0]
    kinds = ("mean", "median", "detected")
    assert [row[f"dice_{kind}"] for kind in kinds] == pytest.approx([1.4 / 3, 0.6, 0.7])
    assert [row[f"hd95_mm_{kind}"] for kind in kinds] == pytest.approx([120, 4, 3])
    assert (row["nsd_1mm_mean"], row["nsd_1mm_detected"]) == pytest.approx((0.5, 0.75))
    assert row["missed"] == pytest.approx(1 / 3)
    assert made.texts["missed"][0] == "33.3%"
    assert made.texts["HD95, mm: mean, median, detected"][0] == "120.0, 4.0, 3.0"
    assert made.texts["ASSD, mm: mean, median, detected"][0] == "119.0, 2.0, 1.5"


def test_where_all_are_missed_there_is_no_mean_over_the_detected() -> None:
    row = boundaries(runs([0.0] * 3, hd95_mm=[354.0] * 3)).shown.iloc[0]
    assert row[["missed", "Dice", "detected"]].tolist() == ["100.0%", "0.000", ""]
    assert row["HD95, mm: mean, median, detected"] == "354.0, 354.0, -"


def test_a_slice_without_a_tumour_is_neither_missed_nor_small() -> None:
    """Of three slices one has no tumour, and one of two tumours is missed; the Dice of 1 counts."""
    measures = {"tp": [5, 0, 0], "fn": [0, 5, 0], "truth_mm2": [700.0, 600.0, 0.0]}
    rows = boundaries(runs([0.8, 0.0, 1.0], **measures)).numbers.set_index("tumours")
    assert rows["slices"].to_dict() == {"all": 3, "under 663 mm2": 1, "663 to 1263 mm2": 1}
    assert rows["missed"].to_dict() == {"all": 0.5, "under 663 mm2": 1, "663 to 1263 mm2": 0}
    assert rows.loc["all", "dice_mean"] == pytest.approx(0.6)


def test_bland_altman_by_hand() -> None:
    """+1, +3 mm2: bias 2, SD sqrt(2), limits 2 -+ 1.96 x 1.414214 = -0.771859 and 4.771859.

    Two patients of one slice: SE 1, df 1, so the bias's interval is 2 -+ 12.706205.
    """
    collected = runs([0.8, 0.8], ["a", "b"], truth_mm2=[100.0, 200.0], predicted_mm2=[101.0, 203.0])
    row = agreement(collected).loc["area, mm2"]
    assert (row["truth"], row["bias"]) == (150, pytest.approx(2))
    ends = row[["lower_limit", "upper_limit", "low", "high"]].tolist()
    half = 12.706205
    assert ends == pytest.approx([-0.771859, 4.771859, 2 - half, 2 + half], abs=1e-6)


def test_each_quantity_is_its_own_predicted_minus_truth() -> None:
    measures = {"predicted_diameter_mm": [90.0] * 3, "predicted_perpendicular_mm": [107.0] * 3}
    found = agreement(runs([0.8] * 3, **measures))
    expected = {"area, mm2": 0, "longest diameter, mm": -10, "its perpendicular, mm": 7}
    assert found["bias"].to_dict() == expected


def test_a_missed_tumour_is_predicted_as_nothing() -> None:
    """Areas of 300 each, one not found: the bias is -100, not the 0 of those that were."""
    collected = runs([0.8, 0.8, 0.0], truth_mm2=[300.0] * 3, predicted_mm2=[300.0, 300.0, 0.0])
    assert agreement(collected).loc["area, mm2", "bias"] == pytest.approx(-100)


def test_more_seeds_of_the_same_patients_do_not_narrow_the_interval() -> None:
    """The same differences under five seeds: patients are the unit."""
    measures = {"predicted_mm2": [110.0, 120.0, 90.0]}
    one, five = (
        agreement(runs([0.8] * 3, seeds=range(n), **measures)).loc["area, mm2", ["low", "high"]]
        for n in (1, 5)
    )
    assert five.tolist() == pytest.approx(one.tolist())


def test_every_slice_counts_once_and_the_limits_are_of_single_measurements() -> None:
    """Draw 1 from two seeds, +10 and +30 mm2, truth 100; draw 2 from one, +0, truth 200, one of
    three missed.

    Slices (that of both draws is two): bias (20 + 0) / 2, truth 150, missed 1/6. Measurements: 10,
    30, 0, thrice each: squares 1400 over 8.
    """
    parts = join(
        runs([0.8] * 3, seeds=(1,), predicted_mm2=[110.0] * 3),
        runs([0.8] * 3, seeds=(2,), predicted_mm2=[130.0] * 3),
        runs([0.8, 0.8, 0.0], [*"baa"], first_slice=2, split_id="by-image-2",
             truth_mm2=[200.0] * 3, predicted_mm2=[200.0] * 3),
    )  # fmt: skip
    row = agreement(parts).loc["area, mm2"]
    assert row[["slices", "bias", "truth"]].tolist() == pytest.approx([6, 10, 150])
    assert row[["low", "high"]].tolist() == pytest.approx([10, 10])  # both patients' means are 10
    assert row["upper_limit"] - row["bias"] == pytest.approx(1.96 * (1400 / 8) ** 0.5)
    assert boundaries(parts).numbers.loc[0, "missed"] == pytest.approx(1 / 6)


@pytest.mark.parametrize("patients", [[None] * 3, ["a", "b", None], ["a"] * 3])
def test_without_two_known_patients_the_bias_has_no_interval(patients: list[str | None]) -> None:
    collected = runs([0.8] * 3, patients, predicted_mm2=[110.0] * 3)
    row = agreement(collected).loc["area, mm2"]
    assert row["bias"] == pytest.approx(10)
    assert row[["low", "high"]].isna().all()
    texts = agreement_table(panels(collected)[0], SIZES).texts
    assert (texts["bias"][0], texts["95% interval"][0]) == ("+10", "")


@pytest.mark.parametrize("name", [name for name in EVERY if not name.endswith("mm2")])
def test_runs_without_a_measure_give_no_table(name: str) -> None:
    old = runs([0.8] * 3)
    old = Collected(old.runs, old.scores.drop(columns=name), ())
    assert not measured(panels(old)[0].cells[0])
    assert Judgement(old, *terms()).measures() == []
    assert measured(panels(runs([0.8] * 3))[0].cells[0])


def test_one_run_that_lacks_them_takes_them_from_its_terms_alone() -> None:
    """Means over other runs than the reader thinks would be worse than none."""
    old, small = table({2: [0.8] * 3}, PATIENTS), runs([0.8] * 3, height=256, width=256)
    made = Judgement(join(runs([0.8] * 3), old, small), *terms()).measures()
    assert [", 256x256, " in one.title for one in made] == [True, True]


def test_cells_that_lack_the_measures_are_named_below_the_others() -> None:
    old = table({1: [0.8] * 3}, PATIENTS, params="older", alpha=0.6)
    both = Judgement(join(runs([0.8] * 3), old), *terms()).measures()
    why = "Left out, for their runs lack these measures until they are rescored"
    assert [made.notes[-1] for made in both] == [f"{why}: unet 5x5, alpha 0.6."] * 2


def test_a_click_is_marked_in_both() -> None:
    for made in Judgement(runs([0.8] * 3, needs_click=True), *terms()).measures():
        assert set(made.shown["arm"]) == {"unet 5x5, alpha 0.5 (click)"}
