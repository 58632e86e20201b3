"""Scores, summaries, the check of an arm's answer and the simulated click, by hand."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bench_forms import ROOT, Faulty
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import law, masks

from benchmark.data.slices import SliceSet
from benchmark.errors import ArmError
from benchmark.runs.reader import parse_scores
from benchmark.scoring.evaluate import binarise, measures, predict_checked, score, simulated_clicks
from benchmark.scoring.summary import summarise

CODE = re.compile(r"`(\w+)`")


def pixels(text: str) -> NDArray[np.bool_]:
    """ "##. ..." -> two rows of three."""
    return np.array([[letter == "#" for letter in line] for line in text.split()])


TRUTH = [pixels("##.. ##.. ...."), pixels("...# .... ....")]


@pytest.fixture
def two() -> SliceSet:
    """Slices 4 and 9 of patients A and B; a pixel is 0.5 x 2 mm, so 1 mm2."""
    images, ones = np.zeros((2, 3, 4), np.uint8), np.ones(2, np.int64)
    return SliceSet(images, np.stack(TRUTH), np.array([4, 9]), ones, ("A", "B"), (0.5, 2.0))


def test_a_row_of_scores_by_hand(two: SliceSet) -> None:
    """Truth 4 pixels, predicted 3, of which 2 are true: TP 2, FP 1, FN 2, TN 12 - 5 = 7.

    Dice 2*2/(4+3), IoU 2/5, sensitivity 2/4, precision 2/3. All these pixels are border. Distances
    in mm, a row being 0.5 and a column 2: truth 0 0 0.5 0.5, predicted 0 0 2. So NSD(1) 6/7, NSD(2)
    7/7; 95th percentiles 0.5 and (rank 1.9) 1.8; mean 3/7. The truth spans 1 row and 2 columns,
    hypot(0.5, 4); a chord at right angles goes from top to bottom, 1 mm, and 0.125 mm across. The
    prediction, joined at a corner, spans 1 row and 3 columns, hypot(0.5, 6); in mm, along (6, -0.5)
    from the hull's corner (-0.25, 2) to its lower side, row = 0.25 + column / 8: -0.25 + 6 s = 0.5
    - s / 16 gives s = 12 / 97. All 4 pixels of the truth are 0.5 mm deep, so all are core: 2 of 4.
    """
    rows = score(two, {9: TRUTH[1], 4: pixels("##.. ..#. ....")}, (9, 4)).to_dict("records")
    expected = {
        "slice_id": 4, "patient_id": "A", "tp": 2, "fp": 1, "fn": 2, "tn": 7,
        "dice": 4 / 7, "iou": 2 / 5, "sensitivity": 0.5, "precision": 2 / 3,
        "truth_mm2": 4.0, "predicted_mm2": 3.0,
        "nsd_1mm": 6 / 7, "nsd_2mm": 1.0, "hd95_mm": 1.8, "assd_mm": round(3 / 7, 4),
        "truth_diameter_mm": round(math.hypot(0.5, 4), 4),
        "predicted_diameter_mm": round(math.hypot(0.5, 6), 4),
        "truth_perpendicular_mm": round(math.hypot(1, 0.125), 4),
        "predicted_perpendicular_mm": round(12 / 97 * math.hypot(0.5, 6), 4),
        "core_sensitivity": 0.5,
    }  # fmt: skip
    assert list(rows[0].items()) == list(expected.items())  # in the order of the file
    second = {"slice_id": 9, "patient_id": "B", "dice": 1.0, "tn": 11}
    assert second.items() <= rows[1].items()


def test_a_table_of_scores_comes_back_from_its_file_bit_for_bit(two: SliceSet) -> None:
    scores = score(two, {4: pixels("##.. ..#. ...."), 9: ~TRUTH[1]}, (4, 9))
    again = parse_scores(scores.to_csv(index=False).encode(), Path("scores.csv"))
    assert again.to_csv(index=False) == scores.to_csv(index=False)
    assert all((again[name] == scores[name]).all() for name in scores)


def test_every_number_is_defined(two: SliceSet) -> None:
    """docs/measures.md names each column of scores.csv and each number of the summary alone."""
    lines = (ROOT / "docs" / "measures.md").read_text(encoding="utf-8").splitlines()
    names = [line.split("|")[1] for line in lines if line.startswith("| `")]
    defined = {name for cell in names for name in CODE.findall(cell)}
    scores = score(two, {4: TRUTH[0], 9: TRUTH[1]}, (4, 9))
    assert defined == {*scores, *summarise(scores)}


def test_areas_are_in_mm2(two: SliceSet) -> None:
    # 0.49 * 0.49 = 0.2401 a pixel: 4 and 1 true, 4 and 11 predicted
    two = replace(two, spacing_mm=(0.49, 0.49))
    assert two.pixel_mm2 == pytest.approx(0.2401)
    rows = score(two, {4: TRUTH[0], 9: ~TRUTH[1]}, (4, 9))
    assert rows["truth_mm2"].tolist() == [0.9604, 0.2401]
    assert rows["predicted_mm2"].tolist() == [0.9604, 2.6411]


def test_the_depth_of_the_core_is_in_mm() -> None:
    # rows of 1 mm, columns of 3 mm: of 5 x 5 pixels the three middle rows, 15, are at least half as
    # deep as the middle
    truth, predicted = np.zeros((2, 7, 7), bool)
    truth[1:6, 1:6] = predicted[2, 1] = True
    assert measures(predicted, truth, (1.0, 3.0))["core_sensitivity"] == 1 / 15


def test_a_missed_tumour_scores_zero_and_keeps_its_row(two: SliceSet) -> None:
    nothing = np.zeros((3, 4), bool)
    rows = score(two, {4: nothing, 9: nothing}, (4, 9))
    shares = ["dice", "iou", "sensitivity", "precision", "nsd_1mm", "nsd_2mm", "core_sensitivity"]
    assert rows[shares].to_numpy().tolist() == [[0] * 7] * 2
    # 3 x 4 pixels of 0.5 x 2 mm: the image's diagonal is hypot(2 * 0.5, 3 * 2)
    far, lengths = ["hd95_mm", "assd_mm"], ["predicted_diameter_mm", "predicted_perpendicular_mm"]
    assert rows[far].to_numpy().tolist() == [[round(math.hypot(1, 6), 4)] * 2] * 2
    assert rows[lengths].to_numpy().tolist() == [[0, 0]] * 2


def test_the_wanted_slices_are_scored_neither_fewer_nor_more(two: SliceSet) -> None:
    assert score(two, {9: TRUTH[1]}, (9,))["slice_id"].tolist() == [9]
    with pytest.raises(ArmError, match="slice 9 is missing from the predictions"):
        score(two, {4: TRUTH[0]}, (4, 9))
    with pytest.raises(ArmError, match="slice 4 is not a test slice"):
        score(two, {4: TRUTH[0], 9: TRUTH[1]}, (9,))


def table(dice: list[float], patients: list[str | None]) -> pd.DataFrame:
    scores = pd.DataFrame({"patient_id": patients, "dice": dice, "precision": dice, "fn": 1})
    return scores.assign(sensitivity=scores["dice"] / 2, tp=(scores["dice"] > 0).astype(int))


def test_a_false_alarm_where_there_is_no_tumour_misses_none() -> None:
    """Truth empty and something predicted: Dice 0, but no tumour was missed, and none detected."""
    summary = summarise(table([0.0, 0.8], ["A", "A"]).assign(tp=[0, 1], fn=[0, 1]))
    assert (summary["missed"], summary["dice_mean_detected"], summary["dice_mean"]) == (0, 0.8, 0.4)


def test_a_summary_by_hand() -> None:
    # mean (0.9 + 0.7 + 0 + 0.8) / 4 = 0.6; deviations 0.3, 0.1, -0.6, 0.2: squares 0.09 + 0.01 +
    # 0.36 + 0.04 = 0.5, SD sqrt(0.5 / 3); median (0.7 + 0.8) / 2; detected (0.9 + 0.7 + 0.8) / 3 =
    # 0.8; patients (0.8 + 0.4) / 2
    expected = {
        "n": 4, "dice_mean": 0.6, "dice_sd": math.sqrt(0.5 / 3), "dice_median": 0.75,
        "dice_mean_detected": 0.8, "missed": 1, "patients": 2, "dice_mean_by_patient": 0.6,
        "sensitivity_mean": 0.3, "precision_mean": 0.6,
    }  # fmt: skip
    summary = summarise(table([0.9, 0.7, 0.0, 0.8], ["A", "A", "B", "B"]))
    assert summary == pytest.approx(expected)


def test_distances_are_summed_up_with_the_missed_and_without() -> None:
    # 1, 2 and 3 mm, and a missed one of 354: mean 360 / 4 = 90, median 2.5, detected 6 / 3 = 2
    far = [1.0, 354.0, 3.0, 2.0]
    nsd = {"nsd_1mm": [0.8, 0, 0.5, 0.7], "nsd_2mm": [1, 0, 0.6, 0.8]}
    scores = table([0.9, 0.0, 0.7, 0.8], ["A", "A", "B", "B"]).assign(
        hd95_mm=far, assd_mm=[d / 2 for d in far], core_sensitivity=[1, 0, 1, 1], **nsd
    )
    expected = {
        "missed_rate": 0.25, "nsd_1mm_mean": 0.5, "nsd_2mm_mean": 0.6,
        "hd95_mm_mean": 90.0, "hd95_mm_median": 2.5, "hd95_mm_mean_detected": 2.0,
        "assd_mm_mean": 45.0, "assd_mm_median": 1.25, "assd_mm_mean_detected": 1.0,
        "core_sensitivity_mean": 0.75,
    }  # fmt: skip
    assert dict(list(summarise(scores).items())[10:]) == pytest.approx(expected)


def test_a_false_alarm_is_neither_missed_nor_detected_but_in_the_mean() -> None:
    # the last two have no tumour: 1 of 4 is missed, and their distances count in the mean alone
    scores = table([0.8, 0.7, 0.6, 0.0, 0.0, 0.0], ["A"] * 6).assign(
        fn=[1, 1, 1, 1, 0, 0], fp=5, hd95_mm=[4.0, 5.0, 6.0, 354.0, 354.0, 354.0]
    )
    expected = {"missed_rate": 0.25, "hd95_mm_mean": 1077 / 6, "hd95_mm_mean_detected": 5.0}
    assert expected.items() <= summarise(scores).items()


def unknown(summary: dict[str, float | int]) -> set[str]:
    return {name for name, value in summary.items() if math.isnan(value)}


def test_without_a_tumour_no_rate_of_missed_ones_can_be_said() -> None:
    summary = summarise(table([1.0], ["A"]).assign(tp=0, fn=0, hd95_mm=0.0))
    detected = {"dice_mean_detected", "hd95_mm_mean_detected"}
    assert unknown(summary) == {"dice_sd", "missed_rate", *detected}
    assert summary["hd95_mm_mean"] == 0.0


def test_patients_of_different_weight() -> None:
    # A has three slices of Dice 1, B one of 0, C one of 0.8: slices 3.8 / 5, patients 1.8 / 3, not
    # their median 0.8
    summary = summarise(table([1, 1, 1, 0, 0.8], ["A", "A", "A", "B", "C"]))
    assert summary["dice_mean"] == pytest.approx(0.76)
    assert summary["dice_mean_by_patient"] == pytest.approx(0.6)


def test_what_cannot_be_said_is_nan() -> None:
    partly = summarise(table([1, 1, 0], ["A", "A", None]))
    assert (unknown(partly), partly["patients"]) == ({"dice_mean_by_patient"}, 0)
    summary = summarise(table([0.0], [None]))
    assert unknown(summary) == {"dice_sd", "dice_mean_detected", "dice_mean_by_patient"}
    assert (summary["n"], summary["missed"], summary["patients"]) == (1, 1, 0)


def test_tumour_is_where_the_probability_exceeds_one_half() -> None:
    maps = np.array([0.0, 0.5, np.nextafter(np.float32(0.5), np.float32(1)), 1.0], np.float32)
    assert binarise(maps).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("breach", "words"),
    [
        ("shape", r"float32 \(2, 2, 4\); must be a numpy array, float32 \(2, 3, 4\)"),
        ("fewer", r"float32 \(1, 3, 4\); must be"),
        ("dtype", r"float64 \(2, 3, 4\); must be"),
        ("list", "list; must be a numpy array"),
        ("above", "from 0.5 to 1.5; must be probabilities"),
        ("below", "from -0.5 to 0.5; must be probabilities"),
        ("nan", "4 values that are not finite; must be probabilities"),
    ],
)
def test_a_breach_of_the_contract_is_named(breach: str, words: str) -> None:
    images = np.zeros((2, 3, 4), np.float32)
    images[:, 0, :2] = 1
    for name, says in {"": "Faulty", "my-arm": "my-arm"}.items():
        with pytest.raises(ArmError, match=rf"^{says}: predict\(\) gave .*{words}"):
            predict_checked(Faulty(breach), images, None, name)


def test_a_proper_answer_comes_through_and_clicks_are_handed_on() -> None:
    class Echo:
        def predict(self, images: Any, clicks: Any = None) -> Any:
            return images if clicks is None else images * 0

    images = np.ones((1, 2, 2), np.float32)
    assert predict_checked(Echo(), images, None) is images  # type: ignore[arg-type]
    assert not predict_checked(Echo(), images, np.zeros((1, 2), np.int64)).any()  # type: ignore[arg-type]


def test_the_click_is_the_pixel_farthest_from_the_outline() -> None:
    block, corner = np.zeros((2, 9, 9), bool)
    block[2:7, 1:6] = True  # a square of five: its middle is (4, 3)
    block[0, 8] = True
    corner[:3, :3] = True  # the image border is outline too: the middle, not the edge on it
    assert simulated_clicks(np.stack([block, corner])).tolist() == [[4, 3], [1, 1]]
    # without a tumour it is the centre
    assert simulated_clicks(np.zeros((1, 64, 96), bool)).tolist() == [[32, 48]]


@law
@given(st.lists(masks((7, 6)).filter(lambda mask: bool(mask.any())), min_size=1, max_size=4))
def test_a_click_lies_inside_its_mask(tumours: list[NDArray[np.bool_]]) -> None:
    clicks = simulated_clicks(np.stack(tumours))
    assert clicks.dtype == np.int64
    assert all(mask[row, column] for mask, (row, column) in zip(tumours, clicks, strict=True))
