"""Estimates, from numbers derived by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench_forms import spec_of

from baselines import ARMS
from benchmark.data.slices import SliceSet
from benchmark.planning.time_estimate import (
    GUESS,
    CostKey,
    Sources,
    TimeEstimate,
    TimingRecord,
    estimate,
    learnt_from,
    left,
    span,
    states,
    timing_records,
)
from benchmark.protocol import Recipe, override
from benchmark.runs.run_folder import RunState
from benchmark.runs.spec import RunSpec
from benchmark.splits.split import make

THESIS = override(Recipe(), "thesis", {})
NOWHERE: Sources = {"runs": [], "our records": []}


def spec(slices: SliceSet, arm: str = "unet", recipe: Recipe = THESIS, **more: object) -> RunSpec:
    return spec_of(arm, ARMS[arm], slices, make(slices, recipe.split, 1), recipe, **more)  # type: ignore[arg-type]


def taught(
    by: RunSpec, per_epoch: float | None, epochs: int | None = 20, gflop: float | None = 10.0
) -> TimingRecord:
    return TimingRecord(CostKey.of(by.canonical()), 1000.0, per_epoch, epochs, gflop)


def test_without_a_finished_cell_the_estimate_is_a_guess_that_says_so(slices: SliceSet) -> None:
    """22.12 GFLOP at 512 x 512, at 64 x 64 a 64th; 96 images, 40 epochs, 100 GFLOP/s."""
    found = estimate(spec(slices), 96, NOWHERE)
    assert found == TimeEstimate(pytest.approx(22.12 / 64 * 96 * 40 / 100), 40, GUESS)
    assert estimate(spec(slices, "attention-unet"), 96, NOWHERE).seconds == pytest.approx(
        78.3 / 64 * 96 * 40 / 100
    )
    bigger = estimate(spec(slices, shape=(512, 512), kernel_size=9), 96, NOWHERE)
    assert bigger.seconds == pytest.approx(71.68 * 96 * 40 / 100)


def test_a_like_cell_tells_seconds_and_epochs_directly(slices: SliceSet) -> None:
    """Another alpha and seed are alike: the median of 2, 3 and 10 s an epoch, the mean of 10, 20
    and 60 epochs.
    """
    seen = [taught(spec(slices, alpha=0.9, seed=2), s, n) for s, n in ((2, 10), (10, 60), (3, 20))]
    other = taught(spec(slices, kernel_size=9), 99, 99)
    found = estimate(spec(slices, alpha=0.1), 96, {"runs": [*seen, other], "our records": []})
    assert found == TimeEstimate(3 * 30, 30, "like cells in runs")


def test_else_cells_of_that_size_and_precision_tell_the_rate(slices: SliceSet) -> None:
    """10 GFLOP an image in 5 s an epoch: a cell of 0.1244 GFLOP (7.96 / 64) an image takes 0.0622
    s.
    """
    bf16 = override(THESIS, "bf16", {"training.precision": "bf16"})
    strangers = [taught(spec(slices, shape=(128, 128)), 99), taught(spec(slices, recipe=bf16), 99)]
    found = estimate(
        spec(slices, kernel_size=3), 96, {"runs": [*strangers, taught(spec(slices), 5)]}
    )
    assert found == TimeEstimate(
        pytest.approx(7.96 / 64 * 5 / 10 * 20), 20, "cells of that size and precision in runs"
    )


def test_else_all_trainings_of_the_slices_do_and_only_then_our_records(slices: SliceSet) -> None:
    large = taught(spec(slices, kernel_size=9, shape=(128, 128)), 5)
    ours = {"our records": [taught(spec(slices), 7, gflop=None)]}
    found = estimate(spec(slices), 96, {"runs": [large], **ours})
    assert found == TimeEstimate(
        pytest.approx(22.12 / 64 * 5 / 10 * 20), 20, "other cells of these slices in runs"
    )
    assert estimate(spec(slices), 96, {"runs": [], **ours}) == TimeEstimate(
        7 * 20, 20, "like cells in our records"
    )


def test_the_cost_of_an_arm_that_we_never_counted_is_that_of_its_finished_cells(
    slices: SliceSet,
) -> None:
    """Kernel 11 is in no table of ours: recorded as 3 GFLOP at 64 x 64, it is 12 at 128 x 128."""
    strange, known = (
        spec(slices, kernel_size=11),
        taught(spec(slices, shape=(128, 128)), 5, 20, 10.0),
    )
    assert estimate(strange, 96, {"runs": [known]}) == TimeEstimate(None)
    seen = [known, taught(strange, 1.0, 20, 3.0)]
    bigger = estimate(spec(slices, kernel_size=11, shape=(128, 128)), 96, {"runs": seen})
    assert bigger == TimeEstimate(
        pytest.approx(12 * 5 / 10 * 20), 20, "cells of that size and precision in runs"
    )


def test_a_training_that_the_protocol_cut_tells_its_pace_but_no_epochs(slices: SliceSet) -> None:
    found = estimate(spec(slices), 96, {"runs": [taught(spec(slices), 2, None)]})
    assert found == TimeEstimate(2 * 40, 40, "like cells in runs")


def test_another_network_is_not_alike(slices: SliceSet) -> None:
    thin = override(THESIS, "thin", {"network.channels": [4, 8]})
    found = estimate(spec(slices), 96, {"runs": [taught(spec(slices, recipe=thin), 2, 20, 10.0)]})
    assert found.learnt == "cells of that size and precision in runs"


def test_no_more_epochs_than_the_protocol_allows(slices: SliceSet) -> None:
    short = override(THESIS, "short", {"training.max_epochs": 4})
    assert (
        estimate(spec(slices, recipe=short), 96, {"runs": [taught(spec(slices), 2)]}).seconds
        == 2 * 4
    )


@pytest.mark.parametrize(
    ("behind", "rest"),
    [(1, 19), (14, 6), (15, 5), (19, 5), (40, 5), (196, 4), (200, 0)],
    ids=lambda n: f"{n}",
)
def test_of_a_cell_that_was_begun_only_the_expected_rest_counts(
    slices: SliceSet, behind: int, rest: int
) -> None:
    """20 epochs are expected; at least its patience (5) more, and never more than max_epochs (200);
    at its own pace.
    """
    seen = {"runs": [taught(spec(slices), 2)]}
    found = estimate(spec(slices), 96, seen, [3.0] * behind)
    assert found == TimeEstimate(3.0 * rest, rest, "their own epochs")


def test_the_pace_of_a_cell_that_was_begun_is_its_median(slices: SliceSet) -> None:
    assert estimate(spec(slices), 96, NOWHERE, [9.0, 1.0, 2.0]).seconds == 2.0 * (40 - 3)


def test_the_time_of_an_arm_without_epochs(slices: SliceSet) -> None:
    """0.05 s an image of 512 x 512 where nothing is known; else the median of like cells, whole."""
    otsu = spec(slices, "otsu", shape=(512, 512))
    assert estimate(otsu, 100, NOWHERE) == TimeEstimate(pytest.approx(5.0))
    assert estimate(spec(slices, "otsu"), 100, NOWHERE) == TimeEstimate(
        pytest.approx(5.0 / 64)
    )  # of 64 x 64
    seen = [TimingRecord(CostKey.of(otsu.canonical()), seconds) for seconds in (8.0, 2.0, 3.0)]
    assert estimate(otsu, 100, {"runs": seen}) == TimeEstimate(3.0, None, "like cells in runs")


def finished(root: Path, by: RunSpec, name: str = "a", **changes: Any) -> None:
    """A finished run's folder; changes go into its files: fit, timing, spec."""
    texts: dict[str, Any] = {
        "spec": {"spec": {**by.canonical(), **changes.get("spec", {})}},
        "timing": {
            "fit_seconds": 40.0,
            "predict_seconds": 2.0,
            "seconds_per_epoch": 4.0,
            "train_gflop_per_image": 20.0,
        }
        | changes.get("timing", {}),
        "result": {"fit": {"stopped_early": True, "stop_epoch": 9} | changes.get("fit", {})},
    }
    (root / name).mkdir(parents=True)
    for file, content in texts.items():
        (root / name / f"{file}.json").write_text(json.dumps(content))


def test_lessons_are_read_off_finished_folders(slices: SliceSet, tmp_path: Path) -> None:
    one = spec(slices)
    finished(tmp_path, one)
    finished(tmp_path, one, "b", fit={"stopped_early": False})
    finished(
        tmp_path,
        spec(slices, "otsu"),
        "c",
        timing={"seconds_per_epoch": None, "train_gflop_per_image": None},
    )
    (tmp_path / "unfinished").mkdir()
    assert timing_records(tmp_path, one.dataset_id) == [
        TimingRecord(CostKey.of(one.canonical()), 42.0, 4.0, 10, 20.0),
        TimingRecord(CostKey.of(one.canonical()), 42.0, 4.0, None, 20.0),
        TimingRecord(CostKey.of(spec(slices, "otsu").canonical()), 42.0),
    ]
    assert timing_records(tmp_path / "nothing", one.dataset_id) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": {"dataset_id": "elsewhere"}},
        {"spec": {"params": None}},
        {"spec": {"protocol": {}}},
        {"timing": {"seconds_per_epoch": 0.0}},
        {"timing": {"seconds_per_epoch": -1.0}},
        {"timing": {"seconds_per_epoch": "fast"}},
        {"timing": {"fit_seconds": None}},
        {"timing": {"fit_seconds": float("nan")}},
        {"timing": {"train_gflop_per_image": "many"}},
        {"fit": {"stop_epoch": None}},
    ],
    ids=str,
)
def test_folders_of_other_slices_and_damaged_ones_teach_nothing(
    slices: SliceSet, tmp_path: Path, changes: dict[str, Any]
) -> None:
    finished(tmp_path, spec(slices), **changes)
    assert timing_records(tmp_path, spec(slices).dataset_id) == []


@pytest.mark.parametrize("file", ["spec.json", "timing.json", "result.json"])
def test_a_file_that_is_no_json_teaches_nothing(
    slices: SliceSet, tmp_path: Path, file: str
) -> None:
    finished(tmp_path, spec(slices))
    (tmp_path / "a" / file).write_text("{")
    assert timing_records(tmp_path, spec(slices).dataset_id) == []


def test_what_is_left() -> None:
    assert left([TimeEstimate(1.0), TimeEstimate(2.0), TimeEstimate(None), TimeEstimate(4.0)]) == (
        7.0,
        1,
    )
    assert left([]) == (0, 0)


def test_where_it_was_learnt_is_told_with_numbers_only_where_that_differs() -> None:
    one, other = TimeEstimate(1.0, 1, "like cells in runs"), TimeEstimate(1.0, 1, "a guess")
    assert learnt_from([one, TimeEstimate(0.1), one]) == "like cells in runs"
    assert learnt_from([one, other, one]) == "like cells in runs (2), a guess (1)"
    assert learnt_from([TimeEstimate(0.1)]) == ""


def test_states_are_read_off_the_folders(slices: SliceSet, tmp_path: Path) -> None:
    one, two = spec(slices, "otsu"), spec(slices, "background")
    (tmp_path / one.run_id).mkdir()
    (tmp_path / one.run_id / "result.json").touch()
    assert states([one, two], tmp_path) == [RunState.DONE, RunState.PENDING]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (59.5, "1 min 0 s"),
        (60, "1 min 0 s"),
        (3599.4, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (108 * 3600, "108 h 0 min"),
    ],
)
def test_words_for_a_time(seconds: float, words: str) -> None:
    assert span(seconds) == words
