"""The verdicts plotted say what the tables say."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pandas as pd
import pytest
from figure_forms import plotted
from matplotlib.backends.backend_agg import FigureCanvasAgg
from run_records import BY_PATIENT, join, table, terms

from benchmark.judge.comparisons.split_effect import split_effect_table
from benchmark.judge.judgement import Judgement
from benchmark.report.figure import Figure, svg_of
from benchmark.report.figures.verdicts import arms_figures, verdict_figures
from benchmark.runs.collect import Collected, collect, reproduction_folder

DICE = {1: [0.9, 0.8, 0.9, 0.8], 2: [0.9, 0.8, 0.8, 0.8]}


@cache
def shipped() -> Judgement:
    return Judgement(collect(reproduction_folder()), *terms())


@cache
def by_slug() -> dict[str, Figure]:
    return {figure.slug: figure for figure in verdict_figures(shipped())}


def runs(less: float = 0, **more: object) -> Collected:
    dice = {seed: [value - less for value in values] for seed, values in DICE.items()}
    return table(dice, ["p", "p", "q", "r"], **more)


def judged(*parts: Collected) -> Judgement:
    return Judgement(join(*parts), *terms())


def test_the_headline_is_the_table_of_patients() -> None:
    """The same numbers, and each interval written beside its bar."""
    figure, expected = by_slug()["headline"], shipped().patients()[0].numbers
    data = figure.data.head(len(expected))
    pd.testing.assert_frame_equal(data[list(expected)], expected, check_dtype=False)
    text = svg_of(figure)
    for row in data[data["what"] == "ours"].itertuples():
        assert f">{row.dice:.3f} [{row.low:.3f}, {row.high:.3f}]</text>" in text
    assert ">thesis 0.898</text>" in text


def test_the_headline_shows_both_intervals_of_the_verdict_the_one_that_decides_as_a_band() -> None:
    """The band is where another split of the same slices would lie, other patients a thin line."""
    figure, row = by_slug()["headline"], shipped().printed.dice
    assert row.ours
    assert row.half_width
    assert row.other_patients
    (axes,) = plotted(figure).axes
    (band,) = [line for line in axes.lines if line.get_linewidth() == 8]
    (thin,) = [
        line for line in axes.lines if line.get_linewidth() == 1 and len(set(line.get_xdata())) > 1
    ]
    for line, half in ((band, row.half_width), (thin, row.other_patients)):
        assert line.get_xdata().tolist() == pytest.approx([row.ours - half, row.ours + half])
        assert line.get_ydata().tolist() == [-1, -1]
    assert (
        "on another random split of the same slices (band; it decides the verdict)"
        in figure.caption
    )
    assert (
        f"Another mean, other patients: 0.889 [{row.ours - row.other_patients:.3f}, " in figure.alt
    )


def test_the_label_of_the_printed_number_is_crossed_by_no_line() -> None:
    """Its line ends below it, in a figure whose first row is on top."""
    figure = by_slug()["headline"]
    (axes,) = plotted(figure).axes
    (line,) = [line for line in axes.lines if set(line.get_xdata()) == {0.898}]
    (label,) = [text for text in axes.texts if text.get_text() == "thesis 0.898"]
    drawn = FigureCanvasAgg(axes.figure)
    drawn.draw()
    window = label.get_window_extent(drawn.get_renderer())
    top = axes.transData.transform((0.898, min(line.get_ydata())))[1]
    assert top <= window.y0


def test_what_training_sets_bring_is_said_to_be_stated_where_few_draws_show_it() -> None:
    """One draw cannot show what its training set brings."""
    assert "a stated SD where there are fewer than four draws" in shipped().patients()[0].notes[0]


def test_without_a_verdict_on_the_thesis_s_terms_the_headline_has_no_band() -> None:
    (figure,) = verdict_figures(judged(runs(height=256, width=256)))
    assert "Another mean" not in figure.alt
    assert "band" not in figure.caption
    (axes,) = plotted(figure).axes
    assert not [line for line in axes.lines if line.get_linewidth() == 8]


def test_without_a_run_there_is_no_headline() -> None:
    collected = shipped().collected
    none = replace(collected, runs=collected.runs.head(0), scores=collected.scores.head(0))
    assert verdict_figures(Judgement(none, *terms())) == []


def test_every_patient_is_a_dot() -> None:
    """Weighted by slices, the dots' means are those of the table of both splits."""
    effect = shipped().split_effects_nearest_first[0]
    figure = by_slug()["patients-unet-5x5-alpha-0.5-256x256-fp32"]
    data = figure.data
    row = split_effect_table([effect], shipped().tolerances.split_effect).numbers.iloc[0]
    assert (len(data), data["slices"].sum()) == (row["patients"], row["slices"])
    for side in ("image", "patient"):
        mean = (data[f"by_{side}"] * data["slices"]).sum() / row["slices"]
        assert mean == pytest.approx(row[f"dice_{side}"])
    lower = int((data["by_patient"] < data["by_image"]).sum())
    assert figure.alt.startswith(f"{lower} of {len(data)} patients")
    svg_of(figure)


def test_arms_against_the_reference() -> None:
    """One bar for each arm that has a difference; words for those that were told apart."""
    other = runs(0.4, params='{"alpha":0.5,"kernel_size":3}', kernel_size=3)
    (arms,) = judged(runs(), other).arms()
    (figure,) = arms_figures(arms, terms()[1].contrasts)
    (row,) = figure.data.to_dict("records")
    assert row["difference"] == pytest.approx(-0.4)
    assert row["standing"] in figure.alt
    assert ">unet 3x3, alpha 0.5</text>" in svg_of(figure)
    # Better and worse have the colour of their line inside, undecided have nothing.
    bar = {"click": False, "difference": -0.3, "low": -0.4, "high": -0.2}
    rows = [{**bar, "arm": name, "standing": name} for name in ("worse", "undecided")]
    (axes,) = plotted(replace(figure, data=pd.DataFrame(rows))).axes
    marked = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_markerfacecolor() != "none" for line in marked] == [True, False]


def test_a_reference_of_ours_is_marked_under_the_bars_of_a_users_arms() -> None:
    mine = runs(0.4, arm="mine", params="{}", kernel_size=None, alpha=float("nan"))
    (arms,) = Judgement(mine, *terms(), runs()).arms()
    (figure,) = arms_figures(arms, terms()[1].contrasts)
    assert figure.caption.startswith("Mean test Dice minus that of unet 5x5, alpha 0.5 (ours), on ")
    assert figure.data["arm"].tolist() == ["mine"]


def test_rows_that_would_be_called_the_same_name_their_protocol() -> None:
    (figure,) = verdict_figures(judged(runs(), runs(protocol="mine", protocol_hash="feed")))
    assert "fp32, protocol thesis" in figure.alt
    assert "fp32, protocol mine" in figure.alt
    assert ">by image, 512x512, fp32, protocol mine (feed)</text>" in svg_of(figure)
    assert "protocol" not in verdict_figures(judged(runs()))[0].alt


def test_phantoms_are_no_verdict_beside_real_slices_and_are_named_alone() -> None:
    phantoms = {"phantom": True, "dataset_id": "drawn"}
    real = (runs(), runs(**BY_PATIENT))
    simulated = (runs(**phantoms), runs(**BY_PATIENT, **phantoms))
    _, beside = verdict_figures(judged(*real, *simulated))
    assert beside.slug == "patients-unet-5x5-alpha-0.5-512x512-fp32"
    assert "cheng-meningioma" in beside.caption
    (alone,) = verdict_figures(judged(*simulated))
    assert alone.slug == "patients-phantoms-unet-5x5-alpha-0.5-512x512-fp32"
    assert "phantoms" in alone.title
    assert "phantoms" in alone.caption
