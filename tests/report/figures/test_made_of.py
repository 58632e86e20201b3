"""What the numbers are made of, plotted: every training, its best epoch, Dice by patient."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from figure_forms import least_points, plotted
from run_records import BY_PATIENT, join, table, terms

from benchmark.judge.comparisons.patients import distribution_table
from benchmark.judge.judgement import Judgement
from benchmark.judge.shipped import shipped
from benchmark.report.docs_pages import page_figures
from benchmark.report.figure import SMALL, Figure, svg_of
from benchmark.report.figures.dice_by_patient import distribution_figures
from benchmark.report.figures.seeds_and_draws import seeds_and_draws_figures
from benchmark.report.figures.stopping import stopping_figures
from benchmark.runs.collect import Collected

SLUGS = ("seeds-and-draws", "best-epoch", "dice-by-patient-256x256-fp32")


@cache
def ours() -> Judgement:
    return shipped()


@cache
def by_slug() -> dict[str, Figure]:
    return {figure.slug: figure for figure in page_figures(ours())}


def judged(*parts: Collected) -> Judgement:
    return Judgement(join(*parts), *terms())


@pytest.mark.parametrize("slug", SLUGS)
def test_a_page_may_show_it_and_its_text_can_be_read(slug: str) -> None:
    figure = by_slug()[slug]
    assert least_points(figure) >= SMALL
    assert figure.alt.endswith(".")
    assert svg_of(figure) == svg_of(figure)


def test_every_training_of_the_cell_is_a_row_under_its_draw() -> None:
    """As many as the headline counts; means of draws and of all lie between those of seeds."""
    data = by_slug()["seeds-and-draws"].data
    headline = ours().patients()[0].numbers
    assert (data["row"] == "training").sum() == headline.loc[1:, "trainings"].sum()
    whole = data[data["row"] == "all"].sort_values("dice")
    expected = headline[headline["what"] == "ours"].sort_values("dice")
    for name in ("dice", "low", "high"):
        assert whole[name].tolist() == pytest.approx(expected[name].tolist())
    seeds = data[(data["row"] == "training") & (data["kind"] == "patient")]["dice"]
    means = data[(data["row"] == "split") & (data["kind"] == "patient")]["dice"]
    assert means.tolist() == pytest.approx(seeds.to_numpy().reshape(-1, 2).mean(axis=1).tolist())


def test_the_interval_of_a_training_has_patients_as_its_unit_by_hand() -> None:
    """Patients at 0.7 and 0.9, two slices each: SE 0.1, df 1, 12.7062 x 0.1 to each side."""
    both = table({seed: [0.7, 0.7, 0.9, 0.9] for seed in (1, 2)}, [*"aabb"])
    (figure,) = seeds_and_draws_figures(judged(both))
    row = figure.data[figure.data["row"] == "training"].iloc[0]
    assert (row["dice"], row["low"], row["high"]) == pytest.approx(
        (0.8, -0.47062, 2.07062), abs=1e-5
    )


def thesis_lines(figure: Figure) -> list[Any]:
    return [line for axes in plotted(figure).axes for line in axes.lines
            if line.get_linestyle() == "--"]  # fmt: skip


def test_the_printed_mean_stands_over_the_rows_of_its_own_terms_alone() -> None:
    (line,) = thesis_lines(by_slug()["seeds-and-draws"])
    data = by_slug()["seeds-and-draws"].data
    own = data[data["kind"] == "image"].reset_index(drop=True)
    rows = own.index[own["terms"] == "512x512, fp32"]
    low, high = line.get_ydata()
    assert rows[0] < low < high < rows[-1] + 1
    small = {"height": 256, "width": 256}
    both = table({1: [0.9, 0.8], 2: [0.9, 0.8]}, ["p", "q"], **small)
    (figure,) = seeds_and_draws_figures(judged(both))
    assert thesis_lines(figure) == []
    assert "thesis 0.898" not in svg_of(figure)


def test_one_training_or_none_is_no_figure_of_seeds() -> None:
    assert seeds_and_draws_figures(judged(table({1: [0.9]}, ["p"]))) == []
    other = table({1: [0.9], 2: [0.8]}, ["p"], arm="mine")
    assert seeds_and_draws_figures(judged(other)) == []


def test_unknown_patients_take_the_intervals_and_leave_the_means() -> None:
    (figure,) = seeds_and_draws_figures(judged(table({1: [0.9, 0.7], 2: [0.8, 0.8]}, ["p", None])))
    rows = figure.data[figure.data["row"] == "training"]
    assert rows["low"].isna().all()
    assert rows["dice"].tolist() == pytest.approx([0.8, 0.8])


def test_the_best_epochs_are_those_of_the_table() -> None:
    """The line's slope and the words are the table's; deviations add up to none in each group."""
    figure = by_slug()["best-epoch"]
    row = ours().stopping()[0].records[0]
    assert len(figure.data) == row["trainings"]
    assert f"correlation {row['r']:.2f}" in figure.caption
    assert f"is {row['sd']:.4f}; given the best epoch, {row['sd_given']:.4f}" in figure.caption
    several = figure.data[figure.data["doublings"].notna()]
    assert several.groupby("group")["dice_from_mean"].sum().abs().max() < 1e-9
    x, y = several["doublings"], several["dice_from_mean"]
    assert float(x @ y / (x @ x)) == pytest.approx(row["doubling"])
    assert stopping_figures(judged(table({1: [0.9], 2: [0.8]}, ["p"]))) == []


def test_the_steps_reach_the_shares_of_the_table() -> None:
    figure = by_slug()["dice-by-patient-256x256-fp32"]
    made = distribution_table(ours().reference_trainings[0])
    assert made is not None
    for row in made.records:
        of = figure.data[(figure.data["kind"] == row["kind"]) & (figure.data["of"] == row["of"])]
        assert len(of) == row["n"]
        assert (of["dice"] < 0.7).mean() == pytest.approx(row["low_share"])
        assert f"by {row['kind']}, {row['low_share']:.0%} of {row['of']}" in figure.caption
    left, right = plotted(figure).axes
    for axes, of in ((left, "patients"), (right, "slices")):
        line = axes.lines[0]
        assert np.all(np.diff(line.get_xdata()) >= 0)
        assert line.get_ydata()[-1] == 1
        assert axes.get_xlabel() == f"Dice of {of}"


def test_one_kind_of_split_is_one_line_in_each_panel() -> None:
    (figure,) = distribution_figures(judged(table({1: [0.9, 0.8]}, ["p", "q"], **BY_PATIENT)))
    assert [len(axes.lines) for axes in plotted(figure).axes] == [2, 2]  # and that at 0.7
    unknown = judged(table({1: [0.9, 0.8]}, ["p", None]))
    assert distribution_figures(unknown) == []


def test_no_run_of_the_cell_is_no_figure() -> None:
    collected = ours().collected
    none = type(collected)(collected.runs.head(0), collected.scores.head(0), ())
    judgement = Judgement(none, *terms())
    for figures_of in (seeds_and_draws_figures, stopping_figures, distribution_figures):
        assert figures_of(judgement) == []
