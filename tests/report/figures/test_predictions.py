"""Truth and prediction over the slices: from the stored masks, where they are, and readable."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from claim_cells import evidence_of
from figure_forms import least_points, plotted
from matplotlib.colors import to_hex
from matplotlib.text import Text
from numpy.typing import NDArray
from run_records import as_before, halves, rows_found, squares, write_run

from benchmark.data.slices import SliceSet
from benchmark.errors import RecordError
from benchmark.judge.reference import Sizes
from benchmark.report.figure import Figure, canvas, styled, svg_of
from benchmark.report.figures.predictions import missed_centres, picture_figures
from benchmark.report.inks import ORANGE, SKY
from benchmark.report.slices import stored_masks
from benchmark.report.slices.contour import loops
from benchmark.report.slices.crop import crop, show
from benchmark.report.slices.failures import case_heading
from benchmark.report.slices.stored_masks import StoredMasks
from benchmark.runs import run_folder
from benchmark.runs.collect import collect

SLICES = squares(12)
SPLIT = halves(SLICES)  # tests slices 1 to 6
THESIS = {"examples": "18", "failures-lowest": "", "failures-small": "19", "failures-vessels": "20",
          "failures-straight": "21", "failures-centres": "22"}  # fmt: skip


def figures_of(root: Path, slices: SliceSet = SLICES) -> dict[str, Figure]:
    collected = collect(root)
    masks = StoredMasks(root, slices, collected.scores)
    return {f.slug: f for f in picture_figures(evidence_of(collected), masks)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three trainings that find 6, 8 and 9 rows of each square of ten."""
    folder = tmp_path_factory.mktemp("runs")
    for seed, rows in ((1, 6), (2, 8), (3, 9)):
        write_run(folder, SLICES, SPLIT, seed=seed, rows=rows)
    return folder


@pytest.fixture(scope="module")
def figures(root: Path) -> dict[str, Figure]:
    return figures_of(root)


def test_figures_18_to_22_can_be_read_at_column_width(figures: dict[str, Figure]) -> None:
    """No text below 6.5 points at the size it is shown."""
    assert [(slug, figure.thesis) for slug, figure in figures.items()] == list(THESIS.items())
    assert min(map(least_points, figures.values())) >= 6.5
    assert all(figure.alt.endswith(".") for figure in figures.values())


def test_the_training_shown_and_its_numbers_stand_above_the_picture(
    figures: dict[str, Figure],
) -> None:
    """Dice of 6, 8 and 9 rows: 0.750, 0.889, 0.947, mean 0.862, nearest 8 rows.

    100 and 80 pixels of 0.2401 mm2.
    """
    lowest = figures["failures-lowest"]
    assert lowest.data["seed"].unique().tolist() == [2]
    text = svg_of(lowest)
    assert "slice 1, 24 mm², Dice 0.89" in text
    assert "19 mm² predicted" in text
    assert "found" not in text


def test_where_a_rule_finds_none_the_figure_says_so_and_shows_none(
    figures: dict[str, Figure],
) -> None:
    centres = figures["failures-centres"]
    assert (len(centres.data), centres.pictures) == (0, False)
    assert "no tested slice meets the rule" in svg_of(centres)
    assert "none met it" in centres.caption
    assert "<image" not in svg_of(centres)


def test_centres_that_trainings_miss_as_a_habit_are_shown_alone_on_other_terms(root: Path) -> None:
    """All three miss that of slice 3, one that of slice 5: both are shown, the habit first."""
    collected = collect(root)
    missed = collected.scores["slice_id"] == 3
    once = (collected.scores["slice_id"] == 5) & (collected.scores["dice"] > 0.9)
    scores = collected.scores.assign(core_sensitivity=np.select([missed, once], [0.4, 0.1], 1.0))

    def shown(scores: pd.DataFrame) -> list[Figure]:
        evidence = evidence_of(replace(collected, scores=scores))
        large = replace(evidence, sizes=Sizes((1.0, 10.0), "squares of 24 mm2 are large"))
        return missed_centres(large, StoredMasks(root, SLICES, scores))

    (figure,) = shown(scores)
    assert (figure.slug, figure.thesis) == ("failures-centres", "22")
    assert figure.data["slice_id"].tolist() == [3, 5]
    assert "<image" in svg_of(figure)
    assert shown(collected.scores.assign(core_sensitivity=np.where(once, 0.1, 1.0))) == []


def test_captions_say_which_runs_and_what_the_rule_of_thin_parts_compares(
    figures: dict[str, Figure],
) -> None:
    """Parts left out are candidates: their mean is held against two medians."""
    assert "3 trainings on by-image-1; 6 test slices." in figures["examples"].caption
    assert figures["examples"].pictures  # which asks for attribution
    thin = figures["failures-vessels"].caption
    assert "candidates for a reader's eye" in thin
    assert "mean grey nearer to the median of the tumour found than to that of the 5 mm " in thin


def test_the_same_runs_give_the_same_drawing_and_each_file_is_read_once(
    figures: dict[str, Figure], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, asked = stored_masks.read_predictions, []
    monkeypatch.setattr(
        stored_masks, "read_predictions", lambda run: asked.append(run.run_id) or read(run)
    )
    assert svg_of(figures_of(root)["failures-small"]) == svg_of(figures["failures-small"])
    assert sorted(asked) == sorted(collect(root).runs["run_id"])


def test_other_slices_and_cells_that_were_not_run_show_nothing(root: Path, tmp_path: Path) -> None:
    assert figures_of(root, squares(6, first=50)) == {}
    write_run(tmp_path, SLICES, SPLIT, params={"alpha": 0.1, "kernel_size": 5})
    assert figures_of(tmp_path) == {}


def test_trainings_whose_predictions_are_damaged_are_left_out_and_named(tmp_path: Path) -> None:
    """Of 3 and 8 rows the mean is that of 8 alone; the caption counts one training."""
    damaged = write_run(tmp_path, SLICES, SPLIT, rows=3)
    whole = write_run(tmp_path, SLICES, SPLIT, seed=2, rows=8)
    (damaged / run_folder.PREDICTIONS).write_bytes(b"")
    figures = figures_of(tmp_path)
    lowest = figures["failures-lowest"].data
    assert set(lowest["run_id"]) == {whole.run_id}
    assert lowest["dice_mean"].tolist() == pytest.approx([16 / 18] * 4)
    for figure in figures.values():
        assert "1 training on by-image-1" in figure.caption
        assert f"Left out: {damaged.run_id}/predictions.zip: is not the file" in figure.caption


def test_without_a_training_that_can_be_read_nothing_is_shown(tmp_path: Path) -> None:
    folder = write_run(tmp_path, SLICES, SPLIT)
    other = run_folder.pack_masks(rows_found(SLICES, SPLIT, 3))
    (folder / run_folder.PREDICTIONS).write_bytes(other)
    with pytest.raises(RecordError, match="hash"):
        figures_of(tmp_path)


@pytest.mark.parametrize("older", [1, 2], ids=["one of two", "all"])
def test_a_rule_that_a_run_has_no_measure_for_is_not_judged_and_says_so(
    tmp_path: Path, older: int
) -> None:
    """Never "none met it": nobody looked at the older runs."""
    for folder in [write_run(tmp_path, SLICES, SPLIT, seed=seed) for seed in (1, 2)][:older]:
        as_before(folder)
    figures = figures_of(tmp_path)
    for slug, kind, column in (
        ("failures-small", "Outline looks right", "nsd_1mm"),
        ("failures-centres", "Centre missed", "core_sensitivity"),
    ):
        words = f"{kind}: not measured: no {column} in the scores of some runs; rescore them"
        figure, text = figures[slug], svg_of(figures[slug])
        assert f"{words}." in figure.caption
        assert f"{words}." in figure.alt
        assert words in text
        assert "met it" not in figure.caption.partition(kind)[2]
        assert f"{kind}: no tested slice" not in text


def a_case(**changes: float) -> Any:
    usual = {"slice_id": 7, "truth_mm2": 120.2, "predicted_mm2": 271.6, "dice": 0.4}
    return SimpleNamespace(**usual | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "120 mm², Dice 0.40\n272 mm² predicted"),  # most of it is no tumour: not "found"
        ({"dice": 0, "predicted_mm2": 29}, "120 mm², missed\n29 mm² predicted elsewhere"),
        ({"dice": 0, "predicted_mm2": 0}, "120 mm², missed\nnothing predicted"),
        ({"truth_mm2": 0, "dice": 0, "predicted_mm2": 29}, "0 mm², Dice 0.00\n29 mm² predicted"),
    ],
)
def test_what_is_predicted_is_not_called_found(changes: dict[str, float], words: str) -> None:
    assert case_heading(a_case(**changes)) == f"slice 7, {words}"


def test_headings_of_neighbours_do_not_meet(figures: dict[str, Figure]) -> None:
    """The longest: a large tumour missed, with as much predicted elsewhere."""
    longest = case_heading(a_case(slice_id=708, dice=0, truth_mm2=8888, predicted_mm2=8888))
    whole = plotted(figures["failures-lowest"])
    with styled("headings"):
        for axes in whole.axes:
            axes.set_title(longest, loc="left", fontsize=7)
        whole.draw_without_rendering()
    titles = whole.findobj(lambda part: isinstance(part, Text) and part.get_text() == longest)
    ends = sorted((box.x0, box.x1) for box in (title.get_window_extent() for title in titles))
    assert len(ends) == 4
    assert all(left[1] < right[0] for left, right in pairwise(ends))


def test_slices_of_phantoms_need_no_attribution(tmp_path: Path) -> None:
    phantoms = squares(12, phantom=True)
    write_run(tmp_path, phantoms, SPLIT)
    assert not any(figure.pictures for figure in figures_of(tmp_path, phantoms).values())


def square(top: int, left: int, side: int, size: int = 512) -> NDArray[np.bool_]:
    mask = np.zeros((size, size), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


IMAGE = np.add.outer(np.arange(512), np.arange(512)).astype(np.uint16)
MIDDLE, CORNER = square(200, 300, 20), square(0, 500, 12)


@pytest.mark.parametrize(
    ("truth", "predicted", "top", "left", "side"),
    [
        (MIDDLE, MIDDLE, 146, 246, 128),  # at least 128, around the middle at 210, 310
        (CORNER, CORNER, 0, 384, 128),  # moved inside the slice
        # 250 rows in all, 15 % on each side
        (square(100, 100, 200), square(150, 100, 200), 62, 37, 325),
        (square(0, 0, 512), square(0, 0, 1), 0, 0, 512),  # never more than the slice
        (square(3, 3, 9, 64), square(3, 3, 9, 64), 0, 0, 64),  # nor more than a small one
    ],
)
def test_crops_by_hand(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], top: int, left: int, side: int
) -> None:
    cut = crop(IMAGE[: len(truth), : len(truth)], truth, predicted, (0.49, 0.49))
    assert (cut.top, cut.left, cut.grey.shape) == (top, left, (side, side))


def test_outlines_lie_on_pixel_edges_over_their_pixels() -> None:
    """Truth solid sky blue, prediction dashed orange; the bar of 10 mm is 20 pixels of 0.5 mm.

    Pixel (r, c) of the picture covers [c, c + 1] x [r, r + 1].
    """
    predicted = square(205, 300, 20)
    cut = crop(IMAGE, MIDDLE, predicted, (0.5, 0.5))
    with styled("crop"):
        _, axes = canvas(3, 3)
        show(axes, cut)
    first, second = axes.patches
    assert (to_hex(first.get_edgecolor()), first.get_linestyle()) == (SKY, "-")
    assert to_hex(second.get_edgecolor()) == ORANGE
    assert second.get_linestyle() != "-"
    for patch, mask in ((first, MIDDLE), (second, predicted)):
        corners = patch.get_xy()[:-1]  # the last point closes it
        np.testing.assert_array_equal(corners, loops(mask)[0])
    (image,) = axes.images
    assert image.get_extent() == [cut.left, cut.left + 128, cut.top + 128, cut.top]
    (bar,) = axes.lines
    assert np.ptp(bar.get_xdata()) == pytest.approx(20)
    assert np.ptp(bar.get_ydata()) == 0
