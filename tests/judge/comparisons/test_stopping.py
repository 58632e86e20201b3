"""Best epoch and test Dice within cells and splits; by hand, and against a regression by numpy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from run_records import BY_PATIENT, join, table, terms

from benchmark.judge.comparisons.stopping import best_epochs, stopping_table, within
from benchmark.judge.shipped import shipped
from benchmark.runs.collect import Collected

REFERENCE = terms()[0]


def rows(*groups: tuple[tuple[int, float], ...]) -> pd.DataFrame:
    """Trainings by group: (epochs trained until the best, Dice)."""
    return pd.DataFrame(
        [
            {"group": number, "best_epoch": epochs - 1, "dice": dice}
            for number, group in enumerate(groups)
            for epochs, dice in group
        ]
    )


def run(best_epoch: float | None, **more: object) -> Collected:
    dice = {1: [0.8, 0.9]}
    return table(dice, ["p", "q"], **{"fit.best_epoch": best_epoch, **more})


def test_groups_on_one_line_each() -> None:
    """Epochs 4 and 16 are two doublings apart, Dice 0.1: 0.05 for each, whatever the levels."""
    found = within(rows(*(((4, level), (16, level + 0.1)) for level in (0.5, 0.6, 0.8))))
    assert found is not None
    assert (found["r"], found["doubling"]) == pytest.approx((1, 0.05))
    assert found["sd_given"] == pytest.approx(0, abs=1e-9)
    # three pairs 0.1 apart: squares 3 x 0.005, df 3
    assert found["sd"] == pytest.approx(np.sqrt(0.005))
    assert (found["trainings"], found["groups"]) == (6, 3)


def test_a_training_that_is_alone_is_counted_and_tells_nothing() -> None:
    pairs = [((4, level), (16, level + 0.1)) for level in (0.5, 0.6, 0.8)]
    found, alone = within(rows(*pairs)), within(rows(*pairs, ((100, 0.1),)))
    assert found is not None
    assert alone == {**found, "trainings": 7}


def test_what_is_left_is_that_of_a_regression_with_a_level_for_each_group() -> None:
    own = np.random.Generator(np.random.Philox(key=4))
    data = rows(*(tuple(zip(own.integers(5, 60, 3), own.random(3), strict=True)) for _ in "abcd"))
    found = within(data)
    assert found is not None
    x = np.column_stack([pd.get_dummies(data["group"]), np.log2(data["best_epoch"] + 1)])
    y = data["dice"].to_numpy()
    by_numpy, (squares,), *_ = np.linalg.lstsq(x.astype(float), y, rcond=None)
    assert found["doubling"] == pytest.approx(by_numpy[-1])
    assert found["sd_given"] == pytest.approx(np.sqrt(squares / (12 - 4 - 1)))
    assert found["sd"] == pytest.approx(np.sqrt(data.groupby("group")["dice"].var().mean()))


@pytest.mark.parametrize(
    "groups",
    [
        (((4, 0.5), (16, 0.6)),) * 2,  # two degrees of freedom
        (((4, 0.5), (4, 0.6)),) * 4,  # all stopped at once
        (((4, 0.5), (16, 0.5)),) * 4,  # Dice all the same
    ],
)
def test_what_tells_nothing_is_not_told(groups: tuple[tuple[tuple[int, float], ...], ...]) -> None:
    assert within(rows(*groups)) is None


def test_seeds_of_one_cell_on_one_split_make_a_group() -> None:
    parts = [
        run(3),
        run(4, seed=2),
        run(5, split_id="by-image-2"),
        run(6, kernel_size=3, params="{}"),
        run(7, precision="bf16"),
        run(8, **BY_PATIENT),
    ]
    found = best_epochs(join(*parts), REFERENCE)
    assert found["group"].nunique() == 5
    assert found.loc[found["best_epoch"] < 5, "group"].nunique() == 1
    assert found["dice"].tolist() == pytest.approx([0.85] * 6)
    assert set(found["cell"]) == {"unet 5x5, alpha 0.5", "unet 3x3, alpha 0.5"}


def test_phantoms_other_slices_and_runs_without_a_best_epoch_are_left_out() -> None:
    parts = [run(3), run(None), run(4, phantom=True), run(5, dataset_id="another")]
    assert best_epochs(join(*parts), REFERENCE)["best_epoch"].tolist() == [3]
    none = table({1: [0.8]}, ["p"])
    assert best_epochs(none, REFERENCE).empty
    assert stopping_table(best_epochs(none, REFERENCE)) is None


def test_the_shipped_trainings_by_size_and_precision() -> None:
    """At 256x256 over both precisions first; at 512x512 three seeds tell too little."""
    judgement = shipped()
    (made,) = judgement.stopping()
    assert made.shown[["fed at", "precision"]].to_numpy().tolist() == [
        ["256x256", "all"],
        ["256x256", "fp32"],
    ]
    both = made.numbers.iloc[0]
    assert both["trainings"] == 60
    assert (both["r"], both["sd"], both["sd_given"]) == pytest.approx(
        (0.917, 0.01900, 0.00783), abs=5e-4
    )
