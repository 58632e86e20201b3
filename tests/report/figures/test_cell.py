"""One cell drawn: its trainings, its Dice by tumour size, its sizes against the truth's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from run_records import join, table, terms

from benchmark.errors import RecordError
from benchmark.judge.cells import Cell, panels
from benchmark.judge.comparisons.measures import agreement_table
from benchmark.report.figure import Figure, drawing, svg_of
from benchmark.report.figures.cell import cell_figures, curves, read_history
from benchmark.runs.collect import Collected

HISTORY = "epoch,train_loss,val_loss,val_dice,seconds\n0,0.9,0.8,0.2,1\n1,0.5,0.4,0.6,1\n2,0.3,0.5,0.5,1\n"
TRUTH = [100.0, 900.0, 2000.0]


def measures(predicted: Sequence[float]) -> dict[str, Sequence[float]]:
    """Every column that agreement needs; sides are square roots of areas."""
    more: dict[str, Sequence[float]] = {"truth_mm2": TRUTH, "predicted_mm2": predicted}
    for of in ("diameter_mm", "perpendicular_mm"):
        more |= {
            f"truth_{of}": np.sqrt(TRUTH).tolist(),
            f"predicted_{of}": np.sqrt(predicted).tolist(),
        }
    return more | {name: [1.0] * 3 for name in ("nsd_1mm", "nsd_2mm", "hd95_mm", "assd_mm")}


def runs(
    dice: dict[int, Sequence[float]],
    predicted: Sequence[float] = (110.0, 880.0, 2030.0),
    **more: Any,
) -> Collected:
    return table(
        dice, ["p", "p", "q"], measures=measures(predicted), **({"fit.best_epoch": 1} | more)
    )


def the_cell(found: Collected) -> Cell:
    (panel,) = panels(found)
    (cell,) = panel.cells
    return cell


def figures(found: Collected, root: Path) -> dict[str, Figure]:
    cell = the_cell(found)
    for run_id in found.runs["run_id"]:
        (root / run_id).mkdir()
        (root / run_id / "history.csv").write_text(HISTORY)
    return {one.slug: one for one in (*curves(cell, root), *cell_figures(cell, terms()[1].sizes))}


def test_the_curve_of_the_thesiss_seed(tmp_path: Path) -> None:
    """452669 where it was run, else the first; the epoch that was kept is marked and told."""
    found = figures(runs({1: [0.9, 0.8, 0.7], 452669: [0.9, 0.8, 0.6]}), tmp_path)["loss-by-epoch"]
    assert "seed 452669" in found.caption
    assert "epoch 1, whose weights were kept" in found.caption
    assert found.data["train_loss"].tolist() == [0.9, 0.5, 0.3]
    svg_of(found)


def test_without_that_seed_the_first(tmp_path: Path) -> None:
    assert (
        "seed 2"
        in figures(runs({7: [0.9, 0.8, 0.7], 2: [0.9, 0.8, 0.6]}), tmp_path)[
            "loss-by-epoch"
        ].caption
    )


@pytest.mark.parametrize(
    "text", [None, "", "epoch,loss\n0,1\n", "epoch,train_loss,val_loss,val_dice\n0,a,b,c\n"]
)
def test_a_damaged_history_is_named_with_its_cure(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "history.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RecordError, match=r"history\.csv: cannot be read .*; copy the file again"):
        read_history(path)


def test_dice_by_area_averages_the_seeds(tmp_path: Path) -> None:
    found = figures(runs({1: [0.9, 0.8, 0.7], 2: [0.7, 0.6, 0.7]}), tmp_path)["dice-by-area"]
    assert found.data["dice"].round(9).tolist() == [0.8, 0.7, 0.7]
    assert found.data["truth_mm2"].tolist() == TRUTH
    svg_of(found)


def test_bias_and_limits_are_those_of_the_table(tmp_path: Path) -> None:
    """+10, -20, +30 mm2: bias 20/3; one place works them out."""
    collected = runs({1: [0.9, 0.8, 0.7], 2: [0.7, 0.6, 0.7]})
    found = figures(collected, tmp_path)["agreement-area"]
    (panel,) = panels(collected)
    row = agreement_table(panel, terms()[1].sizes).numbers.iloc[0]
    assert row["bias"] == pytest.approx(20 / 3)
    for number in (row["bias"], row["lower_limit"], row["upper_limit"]):
        assert f"{number:+.1f} mm²" in found.caption
    text = svg_of(found)
    assert all(f">{number:+.0f}</text>" in text for number in (row["bias"], row["upper_limit"]))


def test_diameters_are_told_to_a_tenth(tmp_path: Path) -> None:
    found = figures(runs({1: [0.9, 0.8, 0.7]}), tmp_path)["agreement-longest-diameter"]
    bias = float(np.mean(found.data["predicted_diameter_mm"] - found.data["truth_diameter_mm"]))
    assert f">{bias:+.1f}</text>" in svg_of(found)


def test_what_records_do_not_hold_is_not_drawn(tmp_path: Path) -> None:
    """Runs made before the measures were: the curve alone."""
    older = table({1: [0.9, 0.8, 0.7]}, ["p", "p", "q"], **{"fit.best_epoch": 1})
    assert set(figures(older, tmp_path)) == {"loss-by-epoch"}


def test_an_arm_that_trains_nothing_has_no_curve(tmp_path: Path) -> None:
    classical = runs({1: [0.9, 0.8, 0.7]})
    classical.runs["seed"] = pd.array([pd.NA], dtype="Int64")
    assert "loss-by-epoch" not in figures(classical, tmp_path)


def test_many_splits_are_counted(tmp_path: Path) -> None:
    parts = [runs({1: [0.9, 0.8, 0.7]}, split_id=f"by-image-{n}") for n in (1, 2, 3)]
    assert "9 test slices of 3 splits" in figures(join(*parts), tmp_path)["dice-by-area"].caption


def test_a_history_that_stops_before_the_best_epoch_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="has no epoch 7, which result"):
        figures(runs({1: [0.9, 0.8, 0.7]}, **{"fit.best_epoch": 7}), tmp_path)


def test_dots_stand_at_predicted_minus_true(tmp_path: Path) -> None:
    """+10, -20 and +30 mm2 at the means of both: 105, 890 and 2015; bias and limits stand in the
    table too.
    """
    found = figures(runs({1: [0.9, 0.8, 0.7]}), tmp_path)["agreement-area"]
    with drawing("test"):
        (axes,) = found.draw(found.data).axes
    (dots,) = [line for line in axes.lines if line.get_marker() == "."]
    assert dots.get_xdata().tolist() == [105, 890, 2015]
    assert dots.get_ydata().tolist() == [10, -20, 30]
    assert found.data["bias"].unique() == pytest.approx([20 / 3])
    assert {"lower_limit", "upper_limit"} <= set(found.data)
