"""Truth and prediction over the slices: drawn from the stored masks, where they are, and
readable.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from benchmark.report.slices.case_text import heading
from figure_forms import least_points
from matplotlib.colors import to_hex
from matplotlib.text import Text
from numpy.typing import NDArray
from run_records import as_before, halves, rows_found, squares, terms, write_run

from benchmark.errors import RecordError
from benchmark.judge.cells import panels
from benchmark.judge.claims.evidence import GridEvidence, Reading, grid_evidence
from benchmark.report.figure import ORANGE, SKY, Figure, canvas, drawing, svg_of
from benchmark.report.figures.predictions import picture_figures
from benchmark.report.slices.contour import loops
from benchmark.report.slices.crop import crop, show
from benchmark.runs import run_folder
from benchmark.runs.collect import collect

SLICES = squares(12)
SPLIT = halves(SLICES)  # tests slices 1 to 6
SLUGS = [
    "examples",
    "failures-lowest",
    "failures-small",
    "failures-vessels",
    "failures-straight",
    "failures-centres",
]


def evidence_of(root: Path) -> GridEvidence:
    reference, tolerances = terms()
    (panel,) = panels(collect(root))
    return grid_evidence(panel, Reading.TEXT, reference, tolerances.claims, tolerances.sizes)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three trainings that find 6, 8 and 9 rows of each square of ten."""
    folder = tmp_path_factory.mktemp("runs")
    for seed, rows in ((1, 6), (2, 8), (3, 9)):
        write_run(folder, SLICES, SPLIT, seed=seed, rows=rows)
    return folder


@pytest.fixture(scope="module")
def figures(root: Path) -> dict[str, Figure]:
    return {figure.slug: figure for figure in picture_figures(evidence_of(root), root, SLICES)}


def test_figures_18_to_22(figures: dict[str, Figure]) -> None:
    assert list(figures) == SLUGS
    assert [figures[slug].thesis for slug in SLUGS] == ["18", "", "19", "20", "21", "22"]


@pytest.mark.parametrize("slug", SLUGS)
def test_every_figure_is_drawn_with_text_that_can_be_read(
    figures: dict[str, Figure], slug: str
) -> None:
    """ "readable at column width": no text below 6.5 points at the drawn size."""
    assert least_points(figures[slug]) >= 6.5
    assert figures[slug].alt.endswith(".")


def test_the_training_shown_and_its_numbers_stand_above_the_picture(
    figures: dict[str, Figure],
) -> None:
    """Dice of 6, 8 and 9 rows: 0.750, 0.889, 0.947, mean 0.862, nearest 8 rows; 100 and 80 pixels
    of 0.2401 mm2.
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


def test_vessels_are_called_candidates(figures: dict[str, Figure]) -> None:
    assert "candidates for a reader's eye" in figures["failures-vessels"].caption


def test_the_caption_says_which_runs(figures: dict[str, Figure]) -> None:
    assert "3 trainings on by-image-1; 6 test slices." in figures["examples"].caption


def test_pictures_of_real_slices_ask_for_attribution(figures: dict[str, Figure]) -> None:
    assert figures["examples"].pictures


def test_the_same_runs_give_the_same_drawing(figures: dict[str, Figure], root: Path) -> None:
    drawn = picture_figures(evidence_of(root), root, SLICES)
    (again,) = [figure for figure in drawn if figure.slug == "failures-small"]
    assert svg_of(again) == svg_of(figures["failures-small"])


def test_other_slices_and_cells_that_were_not_run_show_nothing(root: Path, tmp_path: Path) -> None:
    assert picture_figures(evidence_of(root), root, squares(6, first=50)) == []
    write_run(tmp_path, SLICES, SPLIT, params={"alpha": 0.1, "kernel_size": 5})
    assert picture_figures(evidence_of(tmp_path), tmp_path, SLICES) == []


def by_slug(root: Path) -> dict[str, Figure]:
    return {figure.slug: figure for figure in picture_figures(evidence_of(root), root, SLICES)}


def test_trainings_whose_predictions_are_damaged_are_left_out_and_named(tmp_path: Path) -> None:
    """Of 3 and 8 rows the mean is that of 8 alone; the caption counts one training."""
    damaged, whole = (
        write_run(tmp_path, SLICES, SPLIT, rows=3),
        write_run(tmp_path, SLICES, SPLIT, seed=2, rows=8),
    )
    (damaged / run_folder.PREDICTIONS).write_bytes(b"")
    figures = by_slug(tmp_path)
    lowest = figures["failures-lowest"]
    assert set(lowest.data["run_id"]) == {whole.run_id}
    assert lowest.data["dice_mean"].tolist() == pytest.approx([16 / 18] * 4)
    for figure in figures.values():
        assert "1 training on by-image-1" in figure.caption
        assert f"Left out: {damaged.run_id}/predictions.zip: is not the file" in figure.caption


def test_without_a_training_that_can_be_read_nothing_is_drawn(tmp_path: Path) -> None:
    folder = write_run(tmp_path, SLICES, SPLIT)
    (folder / run_folder.PREDICTIONS).write_bytes(
        run_folder.pack_masks(rows_found(SLICES, SPLIT, 3))
    )
    with pytest.raises(RecordError, match="hash"):
        picture_figures(evidence_of(tmp_path), tmp_path, SLICES)


@pytest.mark.parametrize("older", [1, 2], ids=["one of two", "all"])
def test_a_rule_that_a_run_has_no_measure_for_is_not_judged_and_says_so(
    tmp_path: Path, older: int
) -> None:
    """Never "none met it": nobody looked at the older runs."""
    for folder in [write_run(tmp_path, SLICES, SPLIT, seed=seed) for seed in (1, 2)][:older]:
        as_before(folder)
    figures = by_slug(tmp_path)
    for slug, kind, column in (
        ("failures-small", "Outline looks right", "nsd_1mm"),
        ("failures-centres", "Centre missed", "core_sensitivity"),
    ):
        words = f"{kind}: not measured: no {column} in the scores of some runs; rescore them"
        drawn = svg_of(figures[slug])
        assert f"{words}." in figures[slug].caption
        assert f"{words}." in figures[slug].alt
        assert words in drawn
        assert "met it" not in figures[slug].caption.partition(kind)[2]
        assert f"{kind}: no tested slice" not in drawn


def a_case(**changes: float) -> Any:
    return SimpleNamespace(
        **{"slice_id": 7, "truth_mm2": 120.2, "predicted_mm2": 271.6, "dice": 0.4} | changes
    )


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (
            a_case(),
            "slice 7, 120 mm², Dice 0.40\n272 mm² predicted",
        ),  # most of it is no tumour: not "found"
        (a_case(dice=0, predicted_mm2=29), "slice 7, 120 mm², missed\n29 mm² predicted elsewhere"),
        (a_case(dice=0, predicted_mm2=0), "slice 7, 120 mm², missed\nnothing predicted"),
        (
            a_case(truth_mm2=0, dice=0, predicted_mm2=29),
            "slice 7, 0 mm², Dice 0.00\n29 mm² predicted",
        ),
    ],
)
def test_what_is_predicted_is_not_called_found(case: Any, words: str) -> None:
    assert heading(case) == words


def test_headings_of_neighbours_do_not_meet(tmp_path: Path) -> None:
    """The longest: a large tumour missed, with as much predicted elsewhere."""
    write_run(tmp_path, SLICES, SPLIT)
    lowest = by_slug(tmp_path)["failures-lowest"]
    with drawing(lowest.slug):
        drawn = lowest.draw(lowest.data)
        for axes in drawn.axes:
            axes.set_title(
                heading(a_case(slice_id=708, dice=0, truth_mm2=8888, predicted_mm2=8888)),
                loc="left",
                fontsize=7,
            )
        drawn.draw_without_rendering()
        titles = drawn.findobj(
            lambda one: isinstance(one, Text) and one.get_text().startswith("slice 708")
        )
        ends = sorted((box.x0, box.x1) for box in (title.get_window_extent() for title in titles))
    assert len(ends) == 4
    assert all(left[1] < right[0] for left, right in pairwise(ends))


def test_the_rule_of_thin_parts_says_what_is_compared(figures: dict[str, Figure]) -> None:
    """`shapes.left_out_strand_mm2` holds a part's mean against two medians."""
    words = "mean grey nearer to the median of the tumour found than to that of the 5 mm around the truth"
    assert words in figures["failures-vessels"].caption


def square(top: int, left: int, side: int, size: int = 512) -> NDArray[np.bool_]:
    mask = np.zeros((size, size), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


IMAGE = np.add.outer(np.arange(512), np.arange(512)).astype(np.uint16)


@pytest.mark.parametrize(
    ("truth", "predicted", "top", "left", "side"),
    [
        (
            square(200, 300, 20),
            square(200, 300, 20),
            146,
            246,
            128,
        ),  # at least 128, around the middle at 210, 310
        (square(0, 500, 12), square(0, 500, 12), 0, 384, 128),  # moved inside the slice
        (
            square(100, 100, 200),
            square(150, 100, 200),
            62,
            37,
            325,
        ),  # 250 rows in all, 15 % on each side
        (square(0, 0, 512), square(0, 0, 1), 0, 0, 512),  # never more than the slice
    ],
)
def test_crops_by_hand(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], top: int, left: int, side: int
) -> None:
    cut = crop(IMAGE, truth, predicted, (0.49, 0.49))
    assert (cut.top, cut.left, cut.grey.shape) == (top, left, (side, side))


def test_a_slice_smaller_than_the_least_crop_is_shown_whole() -> None:
    cut = crop(IMAGE[:64, :64], square(3, 3, 9, 64), square(3, 3, 9, 64), (0.49, 0.49))
    assert (cut.top, cut.left, cut.grey.shape) == (0, 0, (64, 64))


def test_outlines_lie_on_pixel_edges_over_their_pixels() -> None:
    """Truth solid sky blue, prediction dashed orange; pixel (r, c) of the picture covers [c, c + 1]
    x [r, r + 1].
    """
    truth, predicted = square(200, 300, 20), square(205, 300, 20)
    cut = crop(IMAGE, truth, predicted, (0.49, 0.49))
    with drawing("crop"):
        _, axes = canvas(3, 3)
        show(axes, cut)
    first, second = axes.patches
    assert (to_hex(first.get_edgecolor()), first.get_linestyle()) == (SKY, "-")
    assert to_hex(second.get_edgecolor()) == ORANGE
    assert second.get_linestyle() != "-"
    for patch, mask in ((first, truth), (second, predicted)):
        np.testing.assert_array_equal(
            patch.get_xy()[:-1], loops(mask)[0]
        )  # the last point closes it
    (image,) = axes.images
    assert image.get_extent() == [cut.left, cut.left + 128, cut.top + 128, cut.top]


def test_the_bar_is_ten_millimetres() -> None:
    """At 0.5 mm a pixel it spans 20 pixels, whatever the crop."""
    with drawing("bar"):
        _, axes = canvas(3, 3)
        show(axes, crop(IMAGE, square(200, 300, 20), square(200, 300, 20), (0.5, 0.5)))
    (bar,) = axes.lines
    assert np.ptp(bar.get_xdata()) == pytest.approx(20)
    assert np.ptp(bar.get_ydata()) == 0


def test_slices_of_phantoms_need_no_attribution(tmp_path: Path) -> None:
    drawn = squares(12, phantom=True)
    write_run(tmp_path, drawn, SPLIT)
    assert not any(
        figure.pictures for figure in picture_figures(evidence_of(tmp_path), tmp_path, drawn)
    )
