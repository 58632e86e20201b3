"""One cell plotted: its trainings, its Dice by tumour size, its sizes against the truth's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_forms import plotted
from run_records import join, table, terms

from benchmark.errors import RecordError
from benchmark.judge.cells import panels
from benchmark.judge.comparisons.measures import agreement_table
from benchmark.report.figure import Figure, svg_of
from benchmark.report.figures.cell import cell_figures, curves, read_history
from benchmark.runs.collect import Collected

HISTORY = """epoch,train_loss,val_loss,val_dice,seconds
0,0.9,0.8,0.2,1
1,0.5,0.4,0.6,1
2,0.3,0.5,0.5,1
"""
TRUTH, PREDICTED = [100.0, 900.0, 2000.0], [110.0, 880.0, 2030.0]
MEASURES = {  # every column that agreement needs; sides are square roots of areas
    "truth_mm2": TRUTH,
    "predicted_mm2": PREDICTED,
    **{f"truth_{of}": np.sqrt(TRUTH).tolist() for of in ("diameter_mm", "perpendicular_mm")},
    **{
        f"predicted_{of}": np.sqrt(PREDICTED).tolist() for of in ("diameter_mm", "perpendicular_mm")
    },
    **{name: [1.0] * 3 for name in ("nsd_1mm", "nsd_2mm", "hd95_mm", "assd_mm")},
}
ONE = {1: [0.9, 0.8, 0.7]}
TWO = {**ONE, 2: [0.7, 0.6, 0.7]}


def runs(dice: dict[int, Sequence[float]], **more: Any) -> Collected:
    return table(dice, ["p", "p", "q"], **({"measures": MEASURES, "fit.best_epoch": 1} | more))


def figures(collected: Collected, root: Path) -> dict[str, Figure]:
    (panel,) = panels(collected)
    (cell,) = panel.cells
    for run_id in collected.runs["run_id"]:
        (root / run_id).mkdir()
        (root / run_id / "history.csv").write_text(HISTORY)
    return {f.slug: f for f in (*curves(cell, root), *cell_figures(cell, terms()[1].sizes))}


@pytest.mark.parametrize(("seeds", "shown"), [((1, 452669), 452669), ((7, 2), 2)])
def test_the_curve_of_the_thesiss_seed_else_of_the_first(
    tmp_path: Path, seeds: tuple[int, int], shown: int
) -> None:
    """The epoch that was kept is marked and named."""
    dice = {seed: [0.9, 0.8, 0.7] for seed in seeds}
    curve = figures(runs(dice), tmp_path)["loss-by-epoch"]
    assert f"seed {shown}:" in curve.caption
    assert "epoch 1, whose weights were kept" in curve.caption
    assert curve.data["train_loss"].tolist() == [0.9, 0.5, 0.3]
    svg_of(curve)


@pytest.mark.parametrize(
    "text", [None, "", "epoch,loss\n0,1\n", "epoch,train_loss,val_loss,val_dice\n0,a,b,c\n"]
)
def test_a_damaged_history_is_named_with_its_cure(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "history.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RecordError, match=r"history\.csv: cannot be read .*; copy the file again"):
        read_history(path)


def test_a_history_that_stops_before_the_best_epoch_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="has no epoch 7, which result"):
        figures(runs(ONE, **{"fit.best_epoch": 7}), tmp_path)


def test_dice_by_area_averages_the_seeds(tmp_path: Path) -> None:
    data = (figure := figures(runs(TWO), tmp_path)["dice-by-area"]).data
    assert data["dice"].round(9).tolist() == [0.8, 0.7, 0.7]
    assert data["truth_mm2"].tolist() == TRUTH
    svg_of(figure)


def test_bias_and_limits_are_those_of_the_table(tmp_path: Path) -> None:
    """+10, -20, +30 mm2: bias 20/3; one place works them out; dots stand at the means of both."""
    collected = runs(TWO)
    figure = figures(collected, tmp_path)["agreement-area"]
    (panel,) = panels(collected)
    row = agreement_table(panel, terms()[1].sizes).numbers.iloc[0]
    assert row["bias"] == pytest.approx(20 / 3)
    text = svg_of(figure)
    for name in ("bias", "lower_limit", "upper_limit"):
        assert figure.data[name].unique() == pytest.approx([row[name]])
        assert f"{row[name]:+.1f} mm²" in figure.caption
        assert f">{row[name]:+.0f}</text>" in text
    (axes,) = plotted(figure).axes
    (dots,) = [line for line in axes.lines if line.get_marker() == "."]
    assert dots.get_xdata().tolist() == [105, 890, 2015]
    assert dots.get_ydata().tolist() == [10, -20, 30]


def test_diameters_are_given_to_a_tenth(tmp_path: Path) -> None:
    figure = figures(runs(ONE), tmp_path)["agreement-longest-diameter"]
    bias = float(np.mean(np.sqrt(PREDICTED) - np.sqrt(TRUTH)))
    assert f">{bias:+.1f}</text>" in svg_of(figure)


def test_what_records_do_not_hold_is_not_plotted(tmp_path: Path) -> None:
    """Runs made before the measures were: the curve alone. An arm without seeds: no curve."""
    older, classical = runs(ONE, measures={}), runs(ONE)
    classical.runs["seed"] = pd.array([pd.NA], dtype="Int64")
    assert set(figures(older, tmp_path)) == {"loss-by-epoch"}
    (tmp_path / "classical").mkdir()
    assert "loss-by-epoch" not in figures(classical, tmp_path / "classical")


def test_many_splits_are_counted(tmp_path: Path) -> None:
    parts = [runs(ONE, split_id=f"by-image-{n}") for n in (1, 2, 3)]
    assert "9 test slices of 3 splits" in figures(join(*parts), tmp_path)["dice-by-area"].caption
