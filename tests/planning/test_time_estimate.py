"""Estimates, from numbers derived by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench_forms import spec_of

from baselines import ARMS
from benchmark.arm import ArmEntry
from benchmark.data.slices import SliceSet
from benchmark.planning.time_estimate import (
    GUESS,
    CostKey,
    Sources,
    TimeEstimate,
    TimingRecord,
    estimate,
    left,
    remaining,
    sources_text,
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
LIKE, OTHER = "like cells in runs", "other cells in runs"


def spec(slices: SliceSet, arm: str = "unet", recipe: Recipe = THESIS, **more: object) -> RunSpec:
    return spec_of(arm, ARMS[arm], slices, make(slices, recipe.split, 1), recipe, **more)  # type: ignore[arg-type]


def of(cell: RunSpec, sources: Sources = NOWHERE) -> TimeEstimate:
    """From its beginning, of 96 images an epoch."""
    return estimate(cell, 96, ARMS[cell.arm], sources)


def taught(
    by: RunSpec, per_epoch: float, epochs: int | None = 20, gflop: float | None = 10.0
) -> TimingRecord:
    return TimingRecord(CostKey.of(by.canonical()), 1000.0, per_epoch, epochs, gflop)


def test_without_a_finished_cell_the_estimate_is_a_guess_that_says_so(slices: SliceSet) -> None:
    """0.885 k^2 GFLOP at 512 x 512, at 64 x 64 a 64th; 96 images, 40 epochs, 30 GFLOP/s."""
    seconds = 0.885 * 25 / 64 * 96 * 40 / 30
    assert of(spec(slices)) == TimeEstimate(pytest.approx(seconds), 40, GUESS)
    attention = of(spec(slices, "attention-unet"))
    assert attention.seconds == pytest.approx(78.3 / 64 * 96 * 40 / 30)
    bigger = of(spec(slices, shape=(512, 512), kernel_size=9))
    assert bigger.seconds == pytest.approx(0.885 * 81 * 96 * 40 / 30)


def test_a_like_cell_tells_seconds_and_epochs_directly(slices: SliceSet) -> None:
    """Another alpha and seed are alike: medians of 2, 3, 10 s an epoch, of 10, 20, 60 epochs."""
    seen = [taught(spec(slices, alpha=0.9, seed=2), s, n) for s, n in ((2, 10), (10, 60), (3, 20))]
    other = taught(spec(slices, kernel_size=9), 99, 99)
    got = of(spec(slices, alpha=0.1), {"runs": [*seen, other], "our records": []})
    assert got == TimeEstimate(3 * 20, 20, LIKE)


def test_else_other_cells_do_by_their_gflop_best_of_that_size_and_precision(
    slices: SliceSet,
) -> None:
    """10 GFLOP an image in 5 s an epoch: 0.1245 GFLOP (0.885 x 9 / 64) an image take 0.0622 s."""
    bf16 = override(THESIS, "bf16", {"training.precision": "bf16"})
    strangers = [taught(spec(slices, shape=(128, 128)), 99), taught(spec(slices, recipe=bf16), 99)]
    sources = {"runs": [*strangers, taught(spec(slices), 5)]}
    seconds = 0.885 * 9 / 64 * 5 / 10 * 20
    got = of(spec(slices, kernel_size=3), sources)
    assert got == TimeEstimate(pytest.approx(seconds), 20, OTHER)


def test_else_all_trainings_of_the_slices_do_and_only_then_our_records(slices: SliceSet) -> None:
    large = taught(spec(slices, kernel_size=9, shape=(128, 128)), 5)
    ours = {"our records": [taught(spec(slices), 7, gflop=None)]}
    seconds = 0.885 * 25 / 64 * 5 / 10 * 20
    got = of(spec(slices), {"runs": [large], **ours})
    assert got == TimeEstimate(pytest.approx(seconds), 20, OTHER)
    got = of(spec(slices), {"runs": [], **ours})
    assert got == TimeEstimate(7 * 20, 20, "like cells in our records")


def test_the_cost_of_an_arm_that_declares_none_is_that_of_its_finished_cells(
    slices: SliceSet,
) -> None:
    """Recorded as 3 GFLOP at 64 x 64, it is 12 at 128 x 128."""
    silent = ArmEntry("elsewhere:Arm", ARMS["unet"].defaults)
    strange, known = spec(slices, kernel_size=11), taught(spec(slices, shape=(128, 128)), 5)
    assert estimate(strange, 96, silent, {"runs": [known]}) == TimeEstimate(None, 20)
    sources = {"runs": [known, taught(strange, 1.0, 20, 3.0)]}
    bigger = estimate(spec(slices, kernel_size=11, shape=(128, 128)), 96, silent, sources)
    assert bigger == TimeEstimate(pytest.approx(12 * 5 / 10 * 20), 20, OTHER)


def test_a_training_that_the_protocol_cut_tells_its_pace_but_no_epochs(slices: SliceSet) -> None:
    got = of(spec(slices), {"runs": [taught(spec(slices), 2, None)]})
    assert got == TimeEstimate(2 * 40, 40, LIKE)


def test_another_network_is_not_alike(slices: SliceSet) -> None:
    thin = override(THESIS, "thin", {"network.channels": [4, 8]})
    assert of(spec(slices), {"runs": [taught(spec(slices, recipe=thin), 2)]}).source == OTHER


def test_no_more_epochs_than_the_protocol_allows(slices: SliceSet) -> None:
    short = override(THESIS, "short", {"training.max_epochs": 4})
    got = of(spec(slices, recipe=short), {"runs": [taught(spec(slices), 2)]})
    assert got.seconds == 2 * 4


@pytest.mark.parametrize(
    ("behind", "rest"), [(1, 19), (14, 6), (15, 5), (19, 5), (40, 5), (196, 4), (200, 0)]
)
def test_of_a_cell_that_was_begun_only_the_expected_rest_counts(behind: int, rest: int) -> None:
    """20 epochs are expected; at least the patience of 5 more, never more than max_epochs, 200."""
    whole = TimeEstimate(2.0 * 20, 20, LIKE)
    got = remaining(whole, THESIS.training, [3.0] * behind)
    assert got == TimeEstimate(3.0 * rest, rest, "their own epochs")


def test_the_pace_of_a_cell_that_was_begun_is_its_median() -> None:
    whole = TimeEstimate(80.0, 40, GUESS)
    assert remaining(whole, THESIS.training, [9.0, 1.0, 2.0]).seconds == 2.0 * (40 - 3)
    assert remaining(whole, THESIS.training, []) == whole


def test_the_time_of_an_arm_without_epochs(slices: SliceSet) -> None:
    """0.05 s an image of 512 x 512 where nothing is known; else as like cells, else by pixels."""
    otsu, small = spec(slices, "otsu", shape=(512, 512)), spec(slices, "otsu")
    assert of(otsu) == TimeEstimate(pytest.approx(0.05 * 96))
    assert of(small) == TimeEstimate(pytest.approx(0.05 * 96 / 64))
    sources = {"runs": [TimingRecord(CostKey.of(otsu.canonical()), s) for s in (8.0, 2.0, 3.0)]}
    assert of(otsu, sources) == TimeEstimate(3.0, None, LIKE)
    assert of(small, sources) == TimeEstimate(3.0 / 64, None, OTHER)


def finished(root: Path, by: RunSpec, name: str = "a", **changes: Any) -> None:
    """A finished run's folder; changes go into its files: fit, timing, spec."""
    timing = {"fit_seconds": 40.0, "predict_seconds": 2.0, "seconds_per_epoch": 4.0}
    timing["train_gflop_per_image"] = 20.0
    texts = {
        "spec": {"spec": by.canonical() | changes.get("spec", {})},
        "timing": timing | changes.get("timing", {}),
        "result": {"fit": {"stopped_early": True, "stop_epoch": 9} | changes.get("fit", {})},
    }
    (root / name).mkdir(parents=True)
    for file, content in texts.items():
        (root / name / f"{file}.json").write_text(json.dumps(content))


def test_timing_records_are_read_off_finished_folders(slices: SliceSet, tmp_path: Path) -> None:
    unet, otsu = spec(slices), spec(slices, "otsu")
    finished(tmp_path, unet)
    finished(tmp_path, unet, "b", fit={"stopped_early": False})
    without = {"seconds_per_epoch": None, "train_gflop_per_image": None}
    finished(tmp_path, otsu, "c", timing=without)
    (tmp_path / "unfinished").mkdir()
    key = CostKey.of(unet.canonical())
    assert timing_records(tmp_path, unet.dataset_id) == [
        TimingRecord(key, 42.0, 4.0, 10, 20.0),
        TimingRecord(key, 42.0, 4.0, None, 20.0),
        TimingRecord(CostKey.of(otsu.canonical()), 42.0),
    ]
    assert timing_records(tmp_path / "nothing", unet.dataset_id) == []


@pytest.mark.parametrize(
    "changes",
    [
        *({"spec": {"dataset_id": "elsewhere"}}, {"spec": {"params": None}}),
        *({"timing": {"seconds_per_epoch": pace}} for pace in (0.0, -1.0, "fast")),
        *({"timing": {"fit_seconds": seconds}} for seconds in (None, float("nan"))),
        *({"spec": {"protocol": {}}}, {"timing": {"train_gflop_per_image": "many"}}),
        {"fit": {"stop_epoch": None}},
        *("spec.json", "timing.json", "result.json"),
    ],
    ids=str,
)
def test_folders_of_other_slices_and_damaged_ones_teach_nothing(
    slices: SliceSet, tmp_path: Path, changes: dict[str, Any] | str
) -> None:
    finished(tmp_path, spec(slices), **({} if isinstance(changes, str) else changes))
    if isinstance(changes, str):
        (tmp_path / "a" / changes).write_text("{")
    assert timing_records(tmp_path, spec(slices).dataset_id) == []


def test_what_is_left() -> None:
    seconds = (1.0, 2.0, None, 4.0)
    assert left(TimeEstimate(s) for s in seconds) == (7.0, 1)
    assert left([]) == (0, 0)


def test_where_it_was_learnt_is_told_with_numbers_only_where_that_differs() -> None:
    like, guess, no = TimeEstimate(1, 1, LIKE), TimeEstimate(1, 1, "a guess"), TimeEstimate(1)
    assert sources_text([like, no, like]) == LIKE
    assert sources_text([like, guess, like]) == f"{LIKE} (2), a guess (1)"
    assert sources_text([no]) == ""


def test_states_are_read_off_the_folders(slices: SliceSet, tmp_path: Path) -> None:
    otsu, background = spec(slices, "otsu"), spec(slices, "background")
    (tmp_path / otsu.run_id).mkdir()
    (tmp_path / otsu.run_id / "result.json").touch()
    assert states([otsu, background], tmp_path) == [RunState.DONE, RunState.PENDING]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (59.5, "1 min 0 s"), (60, "1 min 0 s"),
     (3599.4, "59 min 59 s"), (3600, "1 h 0 min"), (108 * 3600, "108 h 0 min")],
)  # fmt: skip
def test_a_time_in_words(seconds: float, text: str) -> None:
    assert span(seconds) == text
