"""The grid plotted: numbers by hand, what was not run as such, all cells on the same images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

import pytest
from claim_cells import evidence_of
from figure_forms import plotted
from run_records import join, table

from benchmark.judge.cells import panels
from benchmark.judge.statistics.contrast import DICE, mean
from benchmark.report.figure import Figure, svg_of
from benchmark.report.figures.boxes import box_figures, image_figures
from benchmark.report.figures.cost import cost_figures
from benchmark.report.figures.grid_data import SharedGrid, shared
from benchmark.report.figures.heat_maps import heat_figures, ink_on, time_figures
from benchmark.runs.collect import Collected

AREAS = {"truth_mm2": [100.0, 900.0, 2000.0]}
ANY = {1: [0.9, 0.8, 0.7]}
MAPS = ("mean-dice", "variance-of-mean-dice", "variance-over-slices")


def cell(
    kernel: int, alpha: float = 0.5, dice: Mapping[int, Sequence[float]] = ANY, draw: int = 1,
    **more: object,
) -> Collected:  # fmt: skip
    params = f'{{"alpha":{alpha},"kernel_size":{kernel}}}'
    own = {"params": params, "kernel_size": kernel, "alpha": alpha}
    own |= {"split_id": f"by-image-{draw}", **more}
    return table(dice, ["p", "p", "q"], measures=AREAS, **own)


def grid(*cells: Collected, printed: float | None = 0.898) -> SharedGrid:
    own = shared(evidence_of(join(*cells)), printed)
    assert own is not None
    return own


TWO = (
    cell(5, 0.5, {1: [0.9, 0.8, 0.7], 2: [0.7, 0.6, 0.5]}),  # means 0.8 and 0.6
    cell(3, 0.9, {1: [0.5, 0.5, 0.2]}),
)


def figures(own: SharedGrid) -> dict[str, Figure]:
    made = (*box_figures(own), *heat_figures(own), *image_figures(own))
    return {figure.slug: figure for figure in made}


@cache
def two() -> dict[str, Figure]:
    """Of `TWO`, made once."""
    return figures(grid(*TWO))


@cache
def svg(slug: str) -> str:
    return svg_of(two()[slug])


def values(figure: Figure) -> dict[tuple[int, float], float]:
    rows = figure.data.itertuples()
    return {(row.kernel_size, row.alpha): row.value for row in rows}


class TestOnOneGround:
    """Cells stand side by side on the test images that all of them met."""

    def test_the_split_that_most_cells_were_run_on(self) -> None:
        """Of 5x5 on draws 1, 2 and 3, and 3x3 on draw 2, only draw 2 counts."""
        own = grid(*(cell(5, draw=n) for n in (1, 2, 3)), cell(3, draw=2))
        assert own.splits == ("by-image-2",)
        assert [sorted(part.splits) for part in own.cells.values()] == [["by-image-2"]] * 2

    def test_all_splits_where_every_cell_has_them(self) -> None:
        both = [cell(k, draw=n) for k in (3, 5) for n in (1, 2)]
        assert grid(*both).splits == ("by-image-1", "by-image-2")

    def test_a_cell_run_elsewhere_is_left_out_and_named(self) -> None:
        own = grid(cell(3), cell(5), cell(7, draw=4))
        assert own.left_out == ((7, 0.5),)
        assert "; 1 cell run on other splits only" in own.where

    def test_trainings_on_other_splits_are_left_out_and_counted(self) -> None:
        """Else a map's mean and the headline's, which takes all splits, would seem to disagree."""
        best = [cell(5, dice={**ANY, 2: [0.9, 0.8, 0.7]}, draw=n) for n in (1, 2)]
        assert grid(*best, cell(3)).where.endswith(
            "3 trainings on by-image-1; 2 trainings of these cells on other splits not in it"
        )

    def test_no_cell_no_grid(self) -> None:
        assert shared(evidence_of(cell(11))) is None


class TestHeatMaps:
    @pytest.mark.parametrize(
        ("slug", "best", "other"),
        [
            ("mean-dice", 0.7, 0.4),
            # 0.8 and 0.6: (0.1^2 + 0.1^2) / 1; one seed has none
            ("variance-of-mean-dice", 0.02, float("nan")),
            # 0.9, 0.8, 0.7 and 0.7, 0.6, 0.5: 0.01 each; 0.5, 0.5, 0.2: (2 x 0.1^2 + 0.2^2) / 2
            ("variance-over-slices", 0.01, 0.03),
        ],
    )
    def test_numbers_by_hand_and_what_was_not_run_is_said(
        self, slug: str, best: float, other: float
    ) -> None:
        """Of 36 cells 34 were not run; no number stands for them."""
        expected = {(5, 0.5): best, (3, 0.9): other}
        assert values(two()[slug]) == pytest.approx(expected, nan_ok=True)
        assert svg(slug).count(">not run</text>") == 34
        assert (">thesis 0.898</text>" in svg(slug)) == (slug == "mean-dice")

    def test_the_mean_is_the_one_that_is_judged(self) -> None:
        own = grid(*TWO)
        assert values(two()["mean-dice"])[5, 0.5] == mean(own.cells[5, 0.5], DICE)

    def test_every_cell_has_its_number_of_trainings(self) -> None:
        assert re.findall(r">n = (\d+)</text>", svg("mean-dice")) == ["1", "2"]

    def test_the_printed_number_is_marked_even_where_its_cell_was_not_run(self) -> None:
        text = svg_of(figures(grid(TWO[1]))["mean-dice"])
        assert ">thesis 0.898</text>" in text
        assert text.count(">not run</text>") == 35

    def test_it_stands_in_its_own_cell(self) -> None:
        """Kernel 5 is the second row of the map, alpha 0.5 the fifth column."""
        text, place = svg("mean-dice"), r'x="([\d.]+)" y="([\d.]+)"[^>]*>'
        ((x, y),) = re.findall(place + "thesis 0.898<", text)
        ticks = {alpha: float(own) for own, _, alpha in re.findall(place + r"(0\.\d)<", text)}
        assert float(x) == pytest.approx(ticks["0.5"], abs=2)
        rows = sorted({float(own) for _, own in re.findall(place + "not run<", text)})
        half = (rows[1] - rows[0]) / 2
        assert [abs(float(y) - row) < half for row in rows] == [False, True, False, False]
        data = two()["mean-dice"].data
        printed = data.loc[data["printed"].notna(), ["kernel_size", "alpha", "printed"]]
        assert printed.to_numpy().tolist() == [[5, 0.5, 0.898]]

    def test_runs_of_another_experiment_have_no_printed_number_beside_them(self) -> None:
        own = grid(*TWO, printed=None)
        for figure in (*figures(own).values(), *time_figures(own)):
            assert "0.898" not in svg_of(figure) + figure.caption + figure.alt
            assert "59.5" not in figure.caption
        assert any("0.898" in figure.caption for figure in two().values())

    def test_one_known_value_makes_no_scale(self) -> None:
        """A colour bar around one number would invent a range."""
        assert "Dice²" not in svg("variance-of-mean-dice")
        assert "Dice²" in svg("variance-over-slices")

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
    def test_a_box_that_is_missing_says_so_and_the_others_count_trainings(
        self, slug: str, missing: int
    ) -> None:
        assert svg(slug).count(">not run</text>") == missing
        assert sorted(re.findall(r">n=(\d+)</text>", svg(slug))) == ["1", "2"]

    def test_the_printed_mean_is_at_its_cell_alone(self) -> None:
        """One dashed line as wide as a box, in the row of 5x5 at alpha 0.5, at 0.898."""
        rows = plotted(two()["dice-by-kernel-and-alpha"]).axes
        ((row, line),) = [(i, line) for i, axes in enumerate(rows) for line in axes.collections]
        ((left, low), (right, high)) = line.get_segments()[0]
        assert (row, low, high) == (1, 0.898, 0.898)
        assert left < 4 < right < left + 1


class TestEveryImage:
    def test_slices_stand_by_their_median(self) -> None:
        """Medians over three trainings: 0.7, 0.6, 0.5 of slices 0, 1, 2."""
        data = two()["dice-by-image"].data
        assert dict(zip(data["slice_id"], data["rank"], strict=True)) == {0: 3, 1: 2, 2: 1}

    def test_one_training_is_no_spread(self) -> None:
        assert "dice-by-image" not in figures(grid(TWO[1]))

    def test_steady_images_are_counted(self) -> None:
        """Spreads over the three trainings are 0.4, 0.3 and 0.5; of the close ones one is 0.04."""
        assert "On 0 of them" in two()["dice-by-image"].alt
        close = grid(cell(5, 0.5, {1: [0.90, 0.80, 0.70], 2: [0.94, 0.70, 0.60]}))
        assert "On 1 of them" in figures(close)["dice-by-image"].alt

    def test_tumours_are_marked_by_size(self) -> None:
        sizes = ("small", "middle", "large")
        assert all(f">{size} tumour</text>" in svg("dice-by-image") for size in sizes)


class TestCosts:
    def test_minutes_of_every_cell(self) -> None:
        slower = cell(3, 0.9, {1: [0.5, 0.5, 0.2]}, **{"timing.fit_seconds": 90.0})
        (figure,) = time_figures(grid(TWO[0], slower))
        assert values(figure) == {(5, 0.5): 1, (3, 0.9): 1.5}

    def test_dice_against_cost_on_the_split_of_most(self) -> None:
        """A cell that was run on draw 2 alone is named, and has no dot."""
        otsu = cell(5, 0.5, {1: [0.3, 0.3, 0.3]})
        none = {"arm": "otsu", "params": "{}", "kernel_size": None, "alpha": float("nan")}
        otsu.runs[list(none)] = [list(none.values())]
        (panel,) = panels(join(*TWO, otsu, cell(7, draw=2)))
        (figure,) = cost_figures(panel, "unet")
        dice = figure.data.set_index("arm")["dice"].round(9).to_dict()
        assert dice == {"otsu": 0.3, "unet 5x5, alpha 0.5": 0.7, "unet 3x3, alpha 0.9": 0.4}
        assert figure.data["fit_minutes"].tolist() == [1, 1, 1]
        assert "Run on other splits only: unet 7x7, alpha 0.5." in figure.caption
        text = svg_of(figure)
        assert all(f">{name}</text>" in text for name in ("otsu", "unet 3x3", "unet 5x5"))

    def test_kernels_are_told_apart_however_many_cells_there_are(self) -> None:
        """A legend of four kernels, not of 36 cells."""
        kernels = (3, 5, 7, 9)
        (panel,) = panels(join(*(cell(k, a / 10) for k in kernels for a in range(1, 10))))
        (figure,) = cost_figures(panel, "unet")
        assert len(figure.data) == 36
        names = re.findall(r">(unet [^<]*)</text>", svg_of(figure))
        assert names == [f"unet {k}x{k}" for k in kernels]

    def test_one_cell_is_no_comparison(self) -> None:
        (panel,) = panels(TWO[0])
        assert cost_figures(panel, "unet") == []


def test_captions_say_what_stands_behind_a_figure() -> None:
    for slug, figure in two().items():
        n = "3 trainings of 2 cells" if slug == "dice-by-image" else "2 of 36 cells"
        assert n in figure.caption
        assert figure.alt
        assert figure.thesis
