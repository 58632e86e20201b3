"""The grid drawn: its numbers by hand, what was not run shown as such, and every cell on the same
test images.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import pytest
from run_records import join, table, terms

from benchmark.judge.cells import panels
from benchmark.judge.claims.evidence import GridEvidence, Reading, grid_evidence
from benchmark.judge.statistics.contrast import DICE, mean
from benchmark.report.figure import Figure, drawing, svg_of
from benchmark.report.figures.boxes import box_figures, image_figures
from benchmark.report.figures.cost import cost_figures
from benchmark.report.figures.grid_data import SharedGrid, shared
from benchmark.report.figures.heat_map import ink_on
from benchmark.report.figures.heat_maps import heat_figures, time_figures
from benchmark.runs.collect import Collected

PATIENTS = ["p", "p", "q"]


def cell(
    kernel: int,
    alpha: float,
    dice: Mapping[int, Sequence[float]],
    split: str = "by-image-1",
    **more: object,
) -> Collected:
    params = f'{{"alpha":{alpha},"kernel_size":{kernel}}}'
    area = {"truth_mm2": [100.0, 900.0, 2000.0]}
    return table(
        dice,
        PATIENTS,
        measures=area,
        params=params,
        kernel_size=kernel,
        alpha=alpha,
        split_id=split,
        **more,
    )


def evidence_of(*cells: Collected) -> GridEvidence:
    (panel,) = panels(join(*cells))
    reference, rules = terms()
    return grid_evidence(panel, Reading.TEXT, reference, rules.claims, rules.sizes)


def grid(*cells: Collected, printed: float | None = 0.898) -> SharedGrid:
    found = shared(evidence_of(*cells), printed)
    assert found is not None
    return found


TWO = (
    cell(5, 0.5, {1: [0.9, 0.8, 0.7], 2: [0.7, 0.6, 0.5]}),  # means 0.8 and 0.6
    cell(3, 0.9, {1: [0.5, 0.5, 0.2]}),
)


@cache
def two() -> dict[str, Figure]:
    """Of `TWO`, made once."""
    return figures(grid(*TWO))


@cache
def drawn(slug: str) -> str:
    return svg_of(two()[slug])


def all_of(found: SharedGrid) -> list[Figure]:
    return [*box_figures(found), *heat_figures(found), *image_figures(found)]


def figures(found: SharedGrid) -> dict[str, Figure]:
    return {figure.slug: figure for figure in all_of(found)}


def value(figure: Figure, kernel: int, alpha: float) -> float:
    data = figure.data
    row = data[(data["kernel_size"] == kernel) & (data["alpha"] == alpha)]
    return float(row["value"].iloc[0])


class TestOnOneGround:
    """Cells stand side by side on the test images that all of them met."""

    def test_the_split_that_most_cells_were_run_on(self) -> None:
        """Of 5x5 on draws 1, 2 and 3, and 3x3 on draw 2, only draw 2 counts."""
        best = [cell(5, 0.5, {1: [0.9, 0.8, 0.7]}, f"by-image-{n}") for n in (1, 2, 3)]
        found = grid(*best, cell(3, 0.5, {1: [0.1, 0.2, 0.3]}, "by-image-2"))
        assert found.splits == ("by-image-2",)
        assert [sorted(one.splits) for one in found.cells.values()] == [["by-image-2"]] * 2

    def test_all_splits_where_every_cell_has_them(self) -> None:
        both = [cell(k, 0.5, {1: [0.9, 0.8, 0.7]}, f"by-image-{n}") for k in (3, 5) for n in (1, 2)]
        assert grid(*both).splits == ("by-image-1", "by-image-2")

    def test_a_cell_run_elsewhere_is_left_out_and_told(self) -> None:
        two = [cell(k, 0.5, {1: [0.9, 0.8, 0.7]}) for k in (3, 5)]
        found = grid(*two, cell(7, 0.5, {1: [0.1, 0.2, 0.3]}, "by-image-4"))
        assert found.left_out == ((7, 0.5),)
        assert "; 1 cell run on other splits only" in found.where

    def test_trainings_on_other_splits_are_left_out_and_told(self) -> None:
        """Else a map's mean and the headline's, which takes all splits, would seem to disagree."""
        best = [
            cell(5, 0.5, {1: [0.9, 0.8, 0.7], 2: [0.9, 0.8, 0.7]}, f"by-image-{n}") for n in (1, 2)
        ]
        found = grid(*best, cell(3, 0.5, {1: [0.1, 0.2, 0.3]}))
        assert found.where.endswith(
            "3 trainings on by-image-1; 2 trainings of these cells on other splits not in it"
        )

    def test_no_cell_no_grid(self) -> None:
        assert shared(evidence_of(cell(11, 0.5, {1: [0.1, 0.2, 0.3]}))) is None


class TestHeatMaps:
    def test_mean_by_hand_and_as_it_is_judged(self) -> None:
        found = grid(*TWO)
        figure = figures(found)["mean-dice"]
        assert value(figure, 5, 0.5) == pytest.approx(0.7)
        assert value(figure, 3, 0.9) == pytest.approx(0.4)
        assert value(figure, 5, 0.5) == mean(found.cells[5, 0.5], DICE)

    def test_variance_of_the_mean_between_seeds(self) -> None:
        """0.8 and 0.6: (0.1^2 + 0.1^2) / 1 = 0.02; one seed has none."""
        figure = two()["variance-of-mean-dice"]
        assert value(figure, 5, 0.5) == pytest.approx(0.02)
        assert np.isnan(value(figure, 3, 0.9))

    def test_variance_over_slices(self) -> None:
        """0.9, 0.8, 0.7 and 0.7, 0.6, 0.5: 0.01 each; 0.5, 0.5, 0.2: 2 x 0.1^2 + 0.2^2 = 0.06,
        halved.
        """
        figure = two()["variance-over-slices"]
        assert value(figure, 5, 0.5) == pytest.approx(0.01)
        assert value(figure, 3, 0.9) == pytest.approx(0.03)

    @pytest.mark.parametrize("slug", ["mean-dice", "variance-of-mean-dice", "variance-over-slices"])
    def test_what_was_not_run_is_said_in_its_place(self, slug: str) -> None:
        """34 of 36 cells; no number stands for them."""
        figure = two()[slug]
        assert svg_of(figure).count(">not run</text>") == 34
        assert len(figure.data) == 2

    def test_every_cell_tells_its_number_of_trainings(self) -> None:
        text = drawn("mean-dice")
        assert re.findall(r">n = (\d+)</text>", text) == ["1", "2"]

    def test_the_printed_number_stands_on_the_map_of_means_alone(self) -> None:
        maps = ("mean-dice", "variance-of-mean-dice", "variance-over-slices")
        has_line = {slug: ">thesis 0.898</text>" in drawn(slug) for slug in maps}
        assert [slug for slug, there in has_line.items() if there] == ["mean-dice"]

    def test_it_is_marked_even_where_its_cell_was_not_run(self) -> None:
        text = svg_of(figures(grid(TWO[1]))["mean-dice"])
        assert ">thesis 0.898</text>" in text
        assert text.count(">not run</text>") == 35

    def test_it_stands_in_its_own_cell(self) -> None:
        """Kernel 5 is the second row of the map, alpha 0.5 the fifth column: no other cell has a
        printed number.
        """
        (found,) = re.findall(r'x="([\d.]+)" y="([\d.]+)"[^>]*>thesis 0.898<', drawn("mean-dice"))
        ticks = {
            t: float(x)
            for x, t in re.findall(r'x="([\d.]+)" y="[\d.]+"[^>]*>(0\.\d)<', drawn("mean-dice"))
        }
        assert float(found[0]) == pytest.approx(ticks["0.5"], abs=2)
        centres = sorted(
            {float(y) for y in re.findall(r'y="([\d.]+)"[^>]*>not run<', drawn("mean-dice"))}
        )
        assert [abs(float(found[1]) - y) < (centres[1] - centres[0]) / 2 for y in centres] == [
            False,
            True,
            False,
            False,
        ]
        data = two()["mean-dice"].data
        assert data.loc[
            data["printed"].notna(), ["kernel_size", "alpha", "printed"]
        ].to_numpy().tolist() == [[5, 0.5, 0.898]]

    def test_runs_of_another_experiment_have_no_printed_number_beside_them(self) -> None:
        for figure in (*all_of(grid(*TWO, printed=None)), *time_figures(grid(*TWO, printed=None))):
            assert "0.898" not in svg_of(figure) + figure.caption + figure.alt
            assert "59.5" not in figure.caption
        assert any("0.898" in figure.caption for figure in all_of(grid(*TWO)))

    def test_one_known_value_makes_no_scale(self) -> None:
        """A colour bar around one number would invent a range."""
        assert "Dice²" not in drawn("variance-of-mean-dice")
        assert "Dice²" in drawn("variance-over-slices")

    @pytest.mark.parametrize("grey", [0.0, 0.2, 0.46, 0.47, 0.8, 1.0])
    def test_ink_stands_out_from_what_it_is_on(self, grey: float) -> None:
        """WCAG's contrast (L1 + 0.05) / (L2 + 0.05) is at least 4.5 on every grey."""
        luminance = grey / 12.92 if grey <= 0.04045 else ((grey + 0.055) / 1.055) ** 2.4
        ink = {"#000000": 0.0, "#ffffff": 1.0}[ink_on((grey, grey, grey))]
        high, low = max(ink, luminance), min(ink, luminance)
        assert (high + 0.05) / (low + 0.05) >= 4.5


class TestBoxes:
    def test_every_slice_of_every_training_is_in_the_table(self) -> None:
        data = two()["dice-by-kernel-and-alpha"].data
        assert len(data) == 9
        assert sorted(data.loc[data["kernel_size"] == 3, "dice"]) == [0.2, 0.5, 0.5]

    @pytest.mark.parametrize(
        ("slug", "missing"),
        [("dice-by-kernel-and-alpha", 34), ("dice-by-alpha", 7), ("dice-by-kernel", 2)],
    )
    def test_a_box_that_is_missing_says_so(self, slug: str, missing: int) -> None:
        assert drawn(slug).count(">not run</text>") == missing

    def test_n_counts_trainings(self) -> None:
        found = re.findall(r">n=(\d+)</text>", drawn("dice-by-kernel"))
        assert found == ["1", "2"]

    def test_the_printed_mean_is_drawn_at_its_cell_alone(self) -> None:
        """One dashed line as wide as a box, in the row of 5x5 at alpha 0.5, at 0.898."""
        figure = two()["dice-by-kernel-and-alpha"]
        with drawing("test"):
            panels_drawn = figure.draw(figure.data).axes
        lines = [(row, line) for row, axes in enumerate(panels_drawn) for line in axes.collections]
        ((row, line),) = lines
        assert row == 1
        ((left, low), (right, high)) = line.get_segments()[0]
        assert (low, high) == (0.898, 0.898)
        assert left < 4 < right
        assert right - left < 1


class TestEveryImage:
    def test_slices_stand_by_their_median(self) -> None:
        """Medians over three trainings: 0.7, 0.6, 0.5 of slices 0, 1, 2."""
        data = two()["dice-by-image"].data
        assert data.drop_duplicates("slice_id").set_index("slice_id")["rank"].to_dict() == {
            0: 3,
            1: 2,
            2: 1,
        }

    def test_one_training_is_no_spread(self) -> None:
        assert "dice-by-image" not in figures(grid(TWO[1]))

    def test_steady_images_are_counted(self) -> None:
        """Spreads over the three trainings: 0.9 to 0.5, 0.8 to 0.5, 0.7 to 0.2; none below 0.05. Of
        one image 0.04.
        """
        assert "On 0 of them" in two()["dice-by-image"].alt
        close = grid(cell(5, 0.5, {1: [0.90, 0.80, 0.70], 2: [0.94, 0.70, 0.60]}))
        assert "On 1 of them" in figures(close)["dice-by-image"].alt

    def test_tumours_are_told_by_size(self) -> None:
        text = drawn("dice-by-image")
        assert all(f">{size} tumour</text>" in text for size in ("small", "middle", "large"))


class TestCosts:
    def test_minutes_of_every_cell(self) -> None:
        (figure,) = time_figures(
            grid(TWO[0], cell(3, 0.9, {1: [0.5, 0.5, 0.2]}, **{"timing.fit_seconds": 90.0}))
        )
        assert value(figure, 5, 0.5) == 1
        assert value(figure, 3, 0.9) == 1.5

    def test_dice_against_cost_on_the_split_of_most(self) -> None:
        """5x5, 3x3 and Otsu were run on draw 1, a fourth on draw 2 alone: it is named, not
        drawn.
        """
        params = {"arm": "otsu", "params": "{}", "kernel_size": None, "alpha": float("nan")}
        otsu = cell(5, 0.5, {1: [0.3, 0.3, 0.3]})
        otsu.runs[list(params)] = [list(params.values())]
        elsewhere = cell(7, 0.5, {1: [0.9, 0.9, 0.9]}, "by-image-2")
        (panel,) = panels(join(*TWO, otsu, elsewhere))
        (figure,) = cost_figures(panel, "unet")
        assert figure.data.set_index("arm")["dice"].round(9).to_dict() == {
            "otsu": 0.3, "unet 5x5, alpha 0.5": 0.7, "unet 3x3, alpha 0.9": 0.4}  # fmt: skip
        assert figure.data["fit_minutes"].tolist() == [1, 1, 1]
        assert "Run on other splits only: unet 7x7, alpha 0.5." in figure.caption
        text = svg_of(figure)
        assert all(f">{name}</text>" in text for name in ("otsu", "unet 3x3", "unet 5x5"))

    def test_kernels_are_told_however_many_cells_there_are(self) -> None:
        """A legend of four kernels, not of 36 cells."""
        cells = [cell(k, a / 10, {1: [0.5, 0.5, 0.2]}) for k in (3, 5, 7, 9) for a in range(1, 10)]
        (panel,) = panels(join(*cells))
        (figure,) = cost_figures(panel, "unet")
        assert len(figure.data) == 36
        assert re.findall(r">(unet [^<]*)</text>", svg_of(figure)) == [
            f"unet {k}x{k}" for k in (3, 5, 7, 9)
        ]

    def test_one_cell_is_no_comparison(self) -> None:
        (panel,) = panels(TWO[0])
        assert cost_figures(panel, "unet") == []


def test_captions_tell_what_stands_behind_a_figure() -> None:
    for figure in all_of(grid(*TWO)):
        assert (
            "2 of 36 cells" in figure.caption or "3 trainings of 2 cells" in figure.caption
        )  # of every image
        assert figure.alt
        assert figure.thesis
