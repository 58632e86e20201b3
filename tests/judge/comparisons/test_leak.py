"""The anatomy of a split's effect: by hand, from the shipped splits, and against statsmodels."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from run_records import BY_PATIENT, join, table, terms

from benchmark.data.registry import cheng_registry
from benchmark.judge.comparisons.leak import (
    anatomy_table,
    differences,
    slope_within,
    what_differs_table,
)
from benchmark.judge.comparisons.split_effect import SplitEffect, split_effects
from benchmark.judge.shipped import shipped
from benchmark.splits.files import shipped as shipped_files
from benchmark.splits.leakage import leakage

RULE = terms()[1].split_effect
SIX = "abcdef"
PATIENT_OF = {its.slice_id: its.patient_id for its in cheng_registry().values() if its.label == 1}


@cache
def ours() -> SplitEffect:
    return shipped().split_effects_nearest_first[0]


def both(differences: list[float], patients: str = SIX, **more: Any) -> SplitEffect:
    """By image minus by patient, slice by slice: 0.2 + each against 0.2, seeds 0.02 apart."""
    image = {seed: [0.2 + x + level for x in differences] for seed, level in ((1, 0), (2, 0.02))}
    patient = {seed: [0.2 + level for _ in differences] for seed, level in ((1, 0), (2, 0.02))}
    of: dict[str, Any] = {"patients": list(patients), **more}
    (effect,) = split_effects(join(table(image, **of), table(patient, **{**of, **BY_PATIENT})))
    return effect


def anatomy(effect: SplitEffect) -> pd.DataFrame:
    made = anatomy_table(effect, RULE)
    assert made is not None
    return made.numbers.set_index("what")


def test_a_difference_that_one_patient_brings_by_hand() -> None:
    """Five patients at 0.1 and one at 0.6: mean 1.1 / 6, median 0.1.

    Without that one 0.1, without another 1.0 / 5. The five that bring most bring 1.0 of 1.1.
    """
    rows = anatomy(both([0.1, 0.1, 0.1, 0.1, 0.1, 0.6]))
    assert rows.loc["mean difference", "value"] == pytest.approx(1.1 / 6)
    assert rows.loc["median over slices", "value"] == pytest.approx(0.1)
    assert rows.loc["mean over patients", "value"] == pytest.approx(1.1 / 6)
    assert rows.loc["slices that are lower by patient", "value"] == 1
    assert rows.loc["share of the 5 patients that bring most", "value"] == pytest.approx(1.0 / 1.1)
    ends = rows.loc["without one patient", ["low", "high"]].tolist()
    assert ends == pytest.approx([0.1, 0.2])


def test_the_mean_over_patients_weighs_each_once() -> None:
    """Patient a has two slices at 0.4, the others one at 0.1: 1.3 / 7, but 0.9 / 6."""
    rows = anatomy(both([0.4, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1], "aabcdef"))
    assert rows.loc["mean difference", "value"] == pytest.approx(1.3 / 7)
    assert rows.loc["mean over patients", "value"] == pytest.approx(0.9 / 6)


def test_a_share_stands_in_no_column_of_dice() -> None:
    made = anatomy_table(both([0.1, 0.1, 0.1, 0.1, 0.1, 0.6]), RULE)
    assert made is not None
    shares = [("lower by patient" in row["what"] or "share of" in row["what"])
              for row in made.records]  # fmt: skip
    assert [bool(text) for text in made.texts["share"]] == shares
    assert not any("%" in text for text in made.texts["Dice"])
    assert made.texts["share"][shares.index(True)] == "100%"


def test_splits_that_are_not_known_here_leave_their_neighbours_out() -> None:
    rows = anatomy(both([0.1, 0.1, 0.1, 0.1, 0.1, 0.6]))
    assert not [what for what in rows.index if "neighbour" in what]
    blank = what_differs_table(both([0.1] * 6)).shown.set_index("beside the leak")
    assert blank.loc["patients in training"].tolist() == ["", ""]
    assert blank.loc["best epoch, mean over trainings"].tolist() == ["", ""]
    assert blank.loc["slices to train on"].tolist() == ["482", "482"]


@pytest.mark.parametrize("patients", ["abcde", ["a", "b", "c", "d", "e", None]])
def test_few_or_unknown_patients_have_no_anatomy(patients: Any) -> None:
    assert anatomy_table(both([0.1] * len(patients), patients), RULE) is None


def test_neighbours_are_those_that_the_audit_of_splits_counts() -> None:
    """Over the five draws as many slices with one in training as `leakage` finds in them."""
    data = differences(ours())
    draws = {name: shipped_files()[name].split for name in ours().image.splits}
    counted = sum(leakage(split, PATIENT_OF).neighbour_in_train for split in draws.values())
    assert int((data["neighbours"] > 0).sum()) == counted
    own = data.set_index("slice_id")
    for name, split in draws.items():
        for number in split.test[::10]:
            beside = {number - 1, number + 1} & set(split.train)
            same = [n for n in beside if PATIENT_OF[n] == PATIENT_OF[number]]
            assert own.loc[number, "neighbours"] == len(same)
            assert own.loc[number, "split_id"] == name


def test_the_parts_by_neighbours_make_up_the_whole() -> None:
    rows = anatomy(ours())
    parts = rows.loc[[what for what in rows.index if what.endswith("in training")]]
    assert parts["slices"].sum() == rows.loc["mean difference", "slices"]
    whole = (parts["value"] * parts["slices"]).sum() / parts["slices"].sum()
    assert whole == pytest.approx(rows.loc["mean difference", "value"])


def test_the_slope_within_patients_is_that_of_a_regression_with_a_level_for_each() -> None:
    """statsmodels' least squares with dummies, covariance clustered by patient without its own
    correction for few; ours takes G / (G - 1) over the patients in whom x varies."""
    from statsmodels.regression.linear_model import OLS

    own = np.random.Generator(np.random.Philox(key=5))
    patients = pd.Series(list("aaabbbbccddddde"))
    x = own.integers(0, 3, 15).astype(float)
    x[patients.isin(["c", "e"])] = 1  # tell nothing
    y = own.random(15)
    design = np.column_stack([x, pd.get_dummies(patients).astype(float)])
    groups = patients.astype("category").cat.codes.to_numpy()
    fit = OLS(y, design).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    found = slope_within(x, y, patients)
    assert found is not None
    estimate, enters = found
    assert estimate.value == pytest.approx(fit.params[0])
    assert estimate.se == pytest.approx(fit.bse[0] * np.sqrt(3 / 2))
    assert estimate.variance.df == 2
    assert set(patients[enters]) == {"a", "b", "d"}
    assert slope_within(np.ones(15), y, patients) is None


def test_what_differs_between_the_shipped_splits() -> None:
    """Four things; the counts are those of the split files."""
    made = what_differs_table(ours())
    assert made.shown["by image"].tolist()[:3] == ["all", "482", "78 to 82"]
    assert made.shown["by patient"].tolist()[:3] == ["train", "505 to 506", "58 to 60"]
    image, patient = made.records[3]["image"], made.records[3]["patient"]
    assert image.rank > patient.rank
    epochs = shipped().collected.runs.set_index("run_id")["fit.best_epoch"]
    assert image == f"{epochs[ours().image.runs['run_id']].mean():.1f}"


def test_a_protocol_of_ones_own_does_not_pass_for_a_shipped_one() -> None:
    """Its name alone says nothing of Nyul's fit."""
    made = what_differs_table(both([0.1] * 6, protocol="thesis"))
    assert made.shown["by image"].tolist()[0] == "all"
    assert made.shown["by patient"].tolist()[0] == ""
