"""The verdicts drawn say what the tables say."""

from __future__ import annotations

from functools import cache

import pandas as pd
import pytest
from run_records import join, table, terms

from benchmark.judge.comparisons.split_effect import split_effect_table
from benchmark.judge.judgement import Judgement
from benchmark.report.figure import Figure, drawing, svg_of
from benchmark.report.figures.verdicts import _draw_duels, duel_figures, verdict_figures
from benchmark.runs.collect import Collected, collect, reproduction_folder

PATIENTS = ["p", "p", "q", "r"]


@cache
def shipped() -> Judgement:
    return Judgement(collect(reproduction_folder()), *terms())


def judged(*parts: Collected) -> Judgement:
    return Judgement(join(*parts), *terms())


@cache
def drawn() -> dict[str, Figure]:
    return {figure.slug: figure for figure in verdict_figures(shipped())}


def test_the_headline_is_the_table_of_patients() -> None:
    """The same numbers, and each interval written beside its bar."""
    figure = drawn()["headline"]
    pd.testing.assert_frame_equal(figure.data, shipped().patients()[0].numbers)
    text = svg_of(figure)
    ours = figure.data[figure.data["what"] == "ours"]
    for row in ours.itertuples():
        assert f">{row.dice:.3f} [{row.low:.3f}, {row.high:.3f}]</text>" in text
    assert ">thesis 0.898</text>" in text


def test_without_a_run_there_is_no_headline() -> None:
    nothing = Collected(shipped().collected.runs.head(0), shipped().collected.scores.head(0), ())
    assert verdict_figures(Judgement(nothing, *terms())) == []


def test_every_patient_of_the_leak_is_a_dot() -> None:
    """Weighted by slices, the dots' means are those of the leak's table."""
    (leak,) = shipped().leaks
    (figure,) = [one for slug, one in drawn().items() if slug.startswith("patients-")]
    row = split_effect_table([leak], shipped().tolerances.leak).numbers.iloc[0]
    data = figure.data
    assert (len(data), data["slices"].sum()) == (row["patients"], row["slices"])
    for side in ("image", "patient"):
        assert (data[f"by_{side}"] * data["slices"]).sum() / row["slices"] == pytest.approx(
            row[f"dice_{side}"]
        )
    lower = int((data["by_patient"] < data["by_image"]).sum())
    assert figure.alt.startswith(f"{lower} of {len(data)} patients")
    svg_of(figure)


def test_arms_against_the_reference() -> None:
    """One bar for each arm that has a difference; words for those that were told apart."""
    reference = table({1: [0.9, 0.8, 0.9, 0.8], 2: [0.9, 0.8, 0.8, 0.8]}, PATIENTS)
    other = table(
        {1: [0.5, 0.4, 0.5, 0.4], 2: [0.5, 0.4, 0.4, 0.4]},
        PATIENTS,
        params='{"alpha":0.5,"kernel_size":3}',
        kernel_size=3,
    )
    found = judged(reference, other)
    (figure,) = duel_figures(found.panels[0], found)
    (row,) = figure.data.to_dict("records")
    assert row["difference"] == pytest.approx(-0.4)
    assert row["standing"] in figure.alt
    assert ">unet 3x3, alpha 0.5</text>" in svg_of(figure)


def test_an_arm_alone_is_no_contrast() -> None:
    found = judged(table({1: [0.9, 0.8, 0.9, 0.8]}, PATIENTS))
    assert duel_figures(found.panels[0], found) == []


def test_what_was_told_apart_is_filled() -> None:
    """Better and worse have the colour of their line inside, undecided have nothing."""
    data = pd.DataFrame(
        [
            {
                "arm": "worse one",
                "click": False,
                "difference": -0.3,
                "low": -0.4,
                "high": -0.2,
                "standing": "worse",
            },
            {
                "arm": "unknown one",
                "click": False,
                "difference": -0.1,
                "low": -0.3,
                "high": 0.1,
                "standing": "undecided",
            },
        ]
    )
    with drawing("test"):
        (axes,) = _draw_duels(data).axes
    marked = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_markerfacecolor() != "none" for line in marked] == [True, False]


def test_rows_that_would_be_called_the_same_tell_their_protocol() -> None:
    one = table({1: [0.9, 0.8, 0.9, 0.8], 2: [0.9, 0.8, 0.8, 0.8]}, PATIENTS)
    other = table(
        {1: [0.9, 0.8, 0.9, 0.8], 2: [0.9, 0.8, 0.8, 0.8]},
        PATIENTS,
        protocol="mine",
        protocol_hash="feed",
    )
    (figure,) = verdict_figures(judged(one, other))
    assert "fp32, protocol thesis" in figure.alt
    assert "fp32, protocol mine" in figure.alt
    assert ">by image, 512x512, fp32, protocol mine (feed)</text>" in svg_of(figure)
    assert "protocol" not in verdict_figures(judged(one))[0].alt


def both_ways(**more: object) -> list[Collected]:
    patient = {
        "split_unit": "patient",
        "split_id": "by-patient-1",
        "protocol": "patient",
        "protocol_hash": "feed",
    }
    dice = {1: [0.9, 0.8, 0.9, 0.8], 2: [0.9, 0.8, 0.8, 0.8]}
    return [table(dice, PATIENTS, **more), table(dice, PATIENTS, **patient, **more)]


def test_phantoms_are_no_verdict_beside_real_slices_and_are_named_alone() -> None:
    drawn_ones = {"phantom": True, "dataset_id": "drawn"}
    both = verdict_figures(judged(*both_ways(), *both_ways(**drawn_ones)))
    assert [figure.slug for figure in both][1:] == ["patients-unet-5x5-alpha-0.5-512x512-fp32"]
    assert "cheng-meningioma" in both[1].caption
    (alone,) = verdict_figures(judged(*both_ways(**drawn_ones)))
    assert alone.slug == "patients-phantoms-unet-5x5-alpha-0.5-512x512-fp32"
    assert "phantoms" in alone.title
    assert "phantoms" in alone.caption
