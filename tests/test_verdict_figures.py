"""The verdicts drawn say what the tables say."""

from __future__ import annotations

from functools import cache

import pandas as pd
import pytest
from run_records import join, table, terms

from benchmark.collect import Collected, collect, reproduction_folder
from benchmark.judge.leak import leak_table
from benchmark.judge.sections import Judgement
from benchmark.report.figure import Figure, svg_of
from benchmark.report.verdict_figures import duel_figures, verdict_figures

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
    row = leak_table([leak], shipped().tolerances.leak).numbers.iloc[0]
    data = figure.data
    assert (len(data), data["slices"].sum()) == (row["patients"], row["slices"])
    for side in ("image", "patient"):
        assert (data[f"by_{side}"] * data["slices"]).sum() / row["slices"] == pytest.approx(row[f"dice_{side}"])
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
