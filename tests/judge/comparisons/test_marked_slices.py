"""The table of what is marked: a row for each thing shown, patients being the unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.judge.comparisons.marked_slices import IN_TRAINING, marked_tables
from benchmark.judge.reference import load_tolerances
from benchmark.judge.statistics.estimate import clustered_mean, clustered_share
from benchmark.judge.tables import WIDTH, render

RULES = load_tolerances()


def row(shows: str, patient: str | None, area: float, inside: float = 0.0, **more: Any) -> dict:
    """A slice of 100 mm2 of truth, none of "none", of which inside is marked."""
    truth = 0.0 if shows == "none" else 100.0
    return {
        "shows": shows,
        "patient_id": patient,
        "in_training": "not seen",
        "tumour_found": area > 0,
        "area_mm2": area,
        "truth_mm2": truth,
        "outside_mm2": area - inside,
        "dice": 2 * inside / (area + truth) if truth else None,
        "covered": inside / truth if truth else None,
        "note": "",
        **more,
    }


def records(rows: list[dict]) -> list[dict]:
    return [*marked_tables(pd.DataFrame(rows), RULES)[0].records]


def test_a_row_by_hand() -> None:
    """Two of four marked, 50 and 150 mm2, of which 50 and 50 lie inside: half is outside.

    Dice 2*50/150, 2*50/250, 0 and 0. The 90th percentile of 50 and 150 is 50 + 0.9 * 100.
    """
    found = records([row("glioma", "a", 50, 50), row("glioma", "a", 150, 50),
                     row("glioma", "b", 0), row("glioma", "b", 0)])[0]  # fmt: skip
    assert (found["slices"], found["patients"], found["marked"]) == (4, 2, 2)
    assert found["marked_share"] == 0.5
    assert (found["area_mm2_median"], found["area_mm2_upper"]) == (100, pytest.approx(140))
    assert found["outside_share"] == 0.5
    assert found["touched_share"] == 0.5
    assert found["dice_mean"] == pytest.approx((2 / 3 + 0.4) / 4)


def test_slices_without_a_tumour_have_no_overlap_and_all_that_is_marked_is_outside() -> None:
    found = records([row("none", "a", 30), row("none", "b", 0)])[0]
    assert (found["marked_share"], found["outside_share"]) == (0.5, 1.0)
    assert (found["touched_share"], found["dice_mean"]) == (None, None)


def test_slices_of_another_field_of_view_are_told_beside_the_table() -> None:
    rows = [row("glioma", "a", 1), row("glioma", "b", 1, note="shows 0.49 times the field: ...")]
    told = " ".join(render(marked_tables(pd.DataFrame(rows), RULES), "text").split())
    assert "1 of 2 slices show much more, or much less, of a patient than those trained" in told
    assert "unreliable" not in render(marked_tables(pd.DataFrame(rows[:1]), RULES), "text")


def test_where_nothing_is_marked_there_is_no_area_to_speak_of() -> None:
    found = records([row("none", "a", 0), row("none", "b", 0)])[0]
    assert found["marked_share"] == 0
    assert [found[name] for name in ("area_mm2_median", "area_mm2_upper", "outside_share")] == [
        None
    ] * 3


def test_rows_stand_in_the_order_of_labels_the_healthy_last_and_what_was_seen_apart() -> None:
    rows = [row(shows, "a", 1) for shows in ("none", "pituitary", "glioma", "meningioma")]
    rows.append(row("meningioma", "b", 1, in_training="slice seen"))
    table = marked_tables(pd.DataFrame(rows), RULES)[0]
    assert [(own["shows"], own["in_training"]) for own in table.records] == [
        ("meningioma", "not seen"), ("meningioma", "slice seen"), ("glioma", "not seen"),
        ("pituitary", "not seen"), ("none", "not seen"),
    ]  # fmt: skip
    assert IN_TRAINING in table.notes
    assert IN_TRAINING not in marked_tables(pd.DataFrame(rows[:4]), RULES)[0].notes


def many(patients: int, each: int, tumour: str = "glioma") -> list[dict]:
    """Patients who are alike within, a third of them marked."""
    return [
        row(tumour, f"p{patient}", 60.0 * (patient % 3 == 0), 20.0 * (patient % 3 == 0))
        for patient in range(patients)
        for _ in range(each)
    ]


def test_intervals_have_patients_as_the_unit() -> None:
    """`clustered_share` and `clustered_mean`; ten times the slices of each narrow little."""
    rows = many(20, 3)
    found = records(rows)[0]
    names, marks = [own["patient_id"] for own in rows], [own["area_mm2"] > 0 for own in rows]
    assert (found["marked_share"], found["marked_low"], found["marked_high"]) == clustered_share(
        np.array(marks), names, 0.95
    )
    dice = np.array([own["dice"] for own in rows])
    assert (max(found["dice_low"], 0), found["dice_high"]) == pytest.approx(
        tuple(np.clip(clustered_mean(dice, names).interval(0.95), 0, 1))
    )
    more = records(many(20, 30))[0]
    assert more["marked_low"] == pytest.approx(found["marked_low"], abs=0.01)
    assert found["marked_low"] < found["marked_share"] < found["marked_high"]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (many(14, 3), "a part has 42 slices of 14 patients; an interval takes 15"),
        ([*many(20, 3), row("glioma", None, 1)], "patients are not all known"),
    ],
)
def test_few_or_unknown_patients_give_no_interval_and_the_table_says_why(
    rows: list[dict], why: str
) -> None:
    table = marked_tables(pd.DataFrame(rows), RULES)[0]
    (found,) = table.records
    assert found["marked_low"] is None
    assert found["dice_high"] is None
    assert any(note.startswith(f"No interval: {why}") for note in table.notes)


def test_the_tables_fit_a_terminal_with_every_column_and_whole_words() -> None:
    rows = [*many(20, 3), *many(20, 3, "pituitary"), *many(20, 3, "none")]
    rows += [own | {"in_training": "patient seen", "shows": "meningioma"} for own in many(20, 3)]
    text = render(marked_tables(pd.DataFrame(rows), RULES), "text")
    assert max(map(len, text.splitlines())) <= WIDTH
    for words in ("slice shows", "in training", "95% interval", "touched", "patient seen"):
        assert words in text


def test_only_slices_with_a_truth_are_held_against_one() -> None:
    """Without any there is no second table; healthy slices are no row of it."""
    healthy = many(20, 1, "none")
    assert len(marked_tables(pd.DataFrame(healthy), RULES)) == 1
    first, second = marked_tables(pd.DataFrame([*healthy, *many(20, 1)]), RULES)
    assert [own["shows"] for own in first.records] == ["glioma", "none"]
    assert [own["shows"] for own in second.records] == ["glioma"]
