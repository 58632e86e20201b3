"""Figures of two readers say what the tables say; without a second reading there are none."""

from __future__ import annotations

from functools import cache

import pytest
from figure_forms import least_points, plotted
from run_records import join, table, terms
from second_readings import SIZED, reading

from benchmark.judge.judgement import Judgement
from benchmark.report.figure import SMALL, Figure, svg_of
from benchmark.report.figures.readers import READER, reader_figures
from benchmark.report.figures.verdicts import headline_figures

PATIENTS = ["a", "a", "b", "b"]
EVEN = reading([0.9, 0.9, 0.8, 0.8], PATIENTS, predicted_mm2=[100.0, 120.0, 140.0, 160.0])


@cache
def judged() -> Judgement:
    """The printed cell at two sizes, with all measures; the second reader on its slices."""
    measures = {name: [100.0] * 4 for name in SIZED} | {"predicted_mm2": [110.0] * 4}
    dice = {1: [0.7] * 4, 2: [0.8] * 4}
    runs = (table(dice, PATIENTS, measures=measures, **size)
            for size in ({}, {"height": 256, "width": 256}))  # fmt: skip
    return Judgement(join(*runs), *terms(), second=EVEN)


@cache
def by_slug() -> dict[str, Figure]:
    return {figure.slug: figure for figure in reader_figures(judged())}


def test_every_difference_from_the_reader_is_plotted_with_the_margin() -> None:
    figure = by_slug()["second-reader"]
    every = figure.data[figure.data["tumours"] == "all"]
    assert every["where"].tolist() == ["512x512 by image", "256x256 by image"]
    assert every["difference"].tolist() == pytest.approx([-0.1, -0.1])
    for row, (_, own) in zip(every.itertuples(), judged().reference_against_reader, strict=True):
        assert own.difference
        assert (row.low, row.high) == pytest.approx(own.difference.interval(0.95))
        assert f"{row.where}: -0.100, {row.standing}" in figure.alt
    (axes,) = plotted(figure).axes
    margin = terms()[1].second_reader.margin
    assert axes.patches[0].get_extents().width > 0
    assert axes.patches[0].get_x() == pytest.approx(-margin)
    assert f"within {margin:g}" in figure.caption


def test_sizes_of_reader_and_network_stand_side_by_side_on_one_scale() -> None:
    """The reader 0, 20 | 40, 60 mm2 off, the network 10: limits by hand in the tables' tests."""
    figure = by_slug()["readers-sizes"]
    data = figure.data[figure.data["quantity"] == "area, mm2"]
    by_hand = {READER: (30, 30 - 1.96 * 30), "unet 5x5, alpha 0.5, 512x512": (10, 10)}
    for outlines, (bias, lower) in by_hand.items():
        part = data[data["outlines"] == outlines]
        assert len(part) == 4
        assert part.iloc[0][["bias", "lower"]].tolist() == pytest.approx([bias, lower])
    left, right, *_ = plotted(figure).axes
    assert left.get_ylim() == right.get_ylim()
    assert left.get_xlim() == right.get_xlim()
    assert f"{READER}, area, mm2: +30.0 (-29 to 89)" in figure.alt


@pytest.mark.parametrize("slug", ["second-reader", "readers-sizes"])
def test_no_text_is_too_small_to_read(slug: str) -> None:
    assert least_points(by_slug()[slug]) >= SMALL


def test_the_headline_has_a_line_at_which_two_readers_agree() -> None:
    """0.85, named beside the thesis's 0.898: the lower on the left, so that neither hides one."""
    (figure,) = headline_figures(judged())
    text = svg_of(figure)
    assert ">two readers 0.850</text>" in text
    assert ">thesis 0.898</text>" in text
    (axes,) = plotted(figure).axes
    sides = {label.get_text(): label.get_ha() for label in axes.texts}
    assert (sides["two readers 0.850"], sides["thesis 0.898"]) == ("right", "left")
    assert "two readers agree at 0.850" in figure.caption
    assert "Two readers: 0.850" in figure.alt
    (line,) = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert line.get_xdata() == pytest.approx([0.85, 0.85])


def test_without_a_second_reading_there_is_no_line_and_no_figure() -> None:
    without = Judgement(judged().collected, *terms())
    assert reader_figures(without) == []
    (figure,) = headline_figures(without)
    assert "two readers" not in svg_of(figure)
    assert "readers" not in figure.caption
