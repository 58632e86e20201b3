"""Another tool beside the recorded arms: paired on the same slices of the same split."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest
from run_records import join, table, terms

from benchmark.judge.comparisons.external_tool import external_tool_table
from benchmark.runs.collect import Collected
from benchmark.scoring.external_masks import ExternalScores
from benchmark.splits.split import Split, pooled

PATIENTS = ["a", "a", "b", "b"]
SPLIT = Split("by-image-1", (4,), (5,), (0, 1, 2, 3))


def judged(dice: list[float], dataset_id: str = "d") -> ExternalScores:
    scores = table({0: dice}, PATIENTS).scores.drop(columns="run_id")
    return ExternalScores(dataset_id, SPLIT, scores, "")


def recorded(dice: dict[int, list[float]], **changes: object) -> Collected:
    return table(dice, PATIENTS, split_fingerprint=SPLIT.fingerprint, dataset_id="d", **changes)


def rows(tool: ExternalScores, collected: Collected) -> pd.DataFrame:
    found = external_tool_table("tool", tool, collected, terms()[1])
    assert found
    return found.numbers


def test_the_difference_by_hand() -> None:
    """0.9 against seeds at 0.80, 0.82, 0.84: +0.08, SE 0.02 / sqrt(3), t(0.975, 2) = 4.302653."""
    found = rows(judged([0.9] * 4), recorded({1: [0.80] * 4, 2: [0.82] * 4, 3: [0.84] * 4}))
    assert found.loc[0, "difference"] == pytest.approx(0.08)
    half = 4.302653 * 0.02 / math.sqrt(3)
    ends = found.loc[0, ["low", "high"]].tolist()
    assert ends == pytest.approx([0.08 - half, 0.08 + half])


def test_masks_set_beside_their_own_run_differ_by_nothing() -> None:
    own = [0.8, 0.9, 0.7, 0.6]
    found = rows(judged(own), recorded({1: own}, seed=pd.NA, arm="otsu", kernel_size=pd.NA))
    assert found.loc[0, ["difference", "low", "high"]].tolist() == [0, 0, 0]


def test_other_splits_and_other_slices_are_not_met() -> None:
    elsewhere = table({1: [0.8] * 4}, PATIENTS, split_fingerprint="x", dataset_id="d")
    assert external_tool_table("tool", judged([0.9] * 4), elsewhere, terms()[1]) is None
    here, other = recorded({1: [0.8] * 4}), judged([0.9] * 4, "e")
    assert external_tool_table("tool", other, here, terms()[1]) is None


def test_one_seed_alone_gives_no_interval_and_clicks_are_marked() -> None:
    grower = recorded({1: [0.85] * 4}, arm="grower", params="{}", needs_click=True)
    both = join(recorded({1: [0.8] * 4}), grower)
    table = external_tool_table("tool", judged([0.9] * 4), both, terms()[1])
    assert table
    assert table.numbers["difference"].isna().all()
    assert table.texts["arm"][0].endswith("(click)")
    assert any("semi-automatic" in note for note in table.notes)


def test_arms_are_taken_on_the_slices_that_the_tool_has() -> None:
    """The tool lacks slice 3, of patient b: on slices 0 to 2 the arm has 0.6, and 0.9 - 0.6."""
    tool = judged([0.9] * 4)
    left_out = tool.scores.loc[[3], ["slice_id", "patient_id"]]
    tool = replace(tool, scores=tool.scores.drop(index=3), left_out=left_out)
    collected = recorded({1: [0.6, 0.5, 0.7, 0.1]}, seed=pd.NA, arm="otsu", kernel_size=pd.NA)
    table = external_tool_table("tool", tool, collected, terms()[1])
    assert table
    assert table.numbers.loc[0, ["slices", "dice", "difference"]].tolist() == pytest.approx(
        [3, 0.6, 0.3]
    )
    assert "tool has no mask of 1 test slices: no arm is taken on these." in table.notes


def test_masks_of_all_slices_meet_each_cell_on_every_split_that_tested_it() -> None:
    """Two draws of two slices each; the arm that was run on one of them meets the tool there."""
    first = {"seed": pd.NA, "arm": "otsu", "kernel_size": pd.NA, "params": "{}", "dataset_id": "d"}
    second = first | {"split_id": "by-image-2", "split_fingerprint": "2"}
    patients = ["a", "b"]
    both = join(
        table({1: [0.5, 0.7]}, patients, **first),
        table({1: [0.2, 0.4]}, patients, first_slice=2, **second),
        table({1: [0.3, 0.1]}, patients, first_slice=2, **(second | {"arm": "threshold"})),
    )
    scores = table({0: [0.9, 0.9, 0.8, 0.6]}, PATIENTS).scores.drop(columns="run_id")
    scores["patient_id"] = ["a", "b", "a", "b"]
    tool = ExternalScores("d", Split("all", (), (), (0, 1, 2, 3)), scores, "")
    found = rows(tool, both).set_index("arm")
    assert found.loc["otsu", ["slices", "dice", "difference"]].tolist() == pytest.approx(
        [4, 0.45, 0.8 - 0.45]
    )
    assert found.loc["threshold", ["slices", "dice", "difference"]].tolist() == pytest.approx(
        [2, 0.2, 0.7 - 0.2]
    )
    assert external_tool_table("tool", tool, recorded({1: [0.8] * 4}), terms()[1])


def test_masks_of_several_folds_meet_each_cell_on_the_folds_that_it_was_run_on() -> None:
    """Two folds of two slices: otsu on both, 0.45; threshold on the second, 0.2. A draw by image
    that tested the same slices is another matter, and is not met.
    """
    first, second = (
        Split("by-patient-1", (2,), (3,), (0, 1)),
        Split("by-patient-2", (0,), (1,), (2, 3)),
    )
    otsu = {"seed": pd.NA, "arm": "otsu", "kernel_size": pd.NA, "params": "{}", "dataset_id": "d"}

    def run(dice: list[float], split: Split, patients: list[str], **more: object) -> Collected:
        of = {"split_id": split.split_id, "split_fingerprint": split.fingerprint}
        return table({1: dice}, patients, first_slice=split.test[0], **(otsu | of | more))

    image = Split("by-image-1", (2, 3), (), (0, 1))
    collected = join(
        run([0.5, 0.7], first, ["a", "b"]),
        run([0.2, 0.4], second, ["c", "d"]),
        run([0.3, 0.1], second, ["c", "d"], arm="threshold"),
        run([0.9, 0.9], image, ["a", "b"], arm="background"),
    )
    patients = ["a", "b", "c", "d"]
    scores = table({0: [0.9, 0.9, 0.8, 0.6]}, patients).scores.drop(columns="run_id")
    folds = (first, second)
    tool = ExternalScores("d", pooled(folds), scores, "", parts=folds)
    found = rows(tool, collected).set_index("arm")
    assert set(found.index) == {"otsu", "threshold"}
    numbers = ["trainings", "slices", "dice", "difference"]
    assert found.loc["otsu", numbers].tolist() == pytest.approx([2, 4, 0.45, 0.8 - 0.45])
    assert found.loc["threshold", numbers].tolist() == pytest.approx([1, 2, 0.2, 0.7 - 0.2])
