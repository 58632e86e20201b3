"""Estimates, from numbers derived by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench_forms import spec_of

from baselines import ARMS
from benchmark import plan
from benchmark.data.slices import SliceSet
from benchmark.plan import Pace, estimate, left, pace, states
from benchmark.protocol import Recipe, override
from benchmark.record import State
from benchmark.spec import RunSpec
from benchmark.split import make

THESIS = override(Recipe(), "thesis", {})


def spec(slices: SliceSet, arm: str, recipe: Recipe = THESIS, **more: object) -> RunSpec:
    return spec_of(arm, ARMS[arm], slices, make(slices, recipe.split, 1), recipe, **more)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_records_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plan, "reproduction_folder", lambda: tmp_path / "shipped")


def finished(root: Path, name: str, dataset_id: str, seconds: float, stop_epoch: int, **fit: object) -> None:
    folder = root / name
    folder.mkdir(parents=True)
    texts = {
        "spec": {"spec": {"dataset_id": dataset_id}},
        "timing": {"train_gflop_per_image": 20.0, "seconds_per_epoch": seconds},
        "result": {"fit": {"stopped_early": True, "stop_epoch": stop_epoch, **fit}},
    }
    for file, content in texts.items():
        (folder / f"{file}.json").write_text(json.dumps(content))


def test_without_a_training_the_pace_is_a_guess_that_says_so(tmp_path: Path) -> None:
    seen = pace(tmp_path / "nothing", "d", 500)
    assert seen == Pace()
    assert seen.seen_in.startswith("a guess of 100 GFLOP/s and 40 epochs")


def test_the_pace_of_finished_trainings(tmp_path: Path) -> None:
    # 20 GFLOP x 500 images in 100, 50 and 25 s: 100, 200 and 400 GFLOP/s, median 200; 10, 20 and 60 epochs, mean 30
    for name, seconds, stop in (("a", 100, 9), ("b", 50, 19), ("c", 25, 59)):
        finished(tmp_path / "runs", name, "d", seconds, stop)
    seen = pace(tmp_path / "runs", "d", 500)
    assert (seen.gflop_per_second, seen.epochs) == (200, 30)
    assert seen.seen_in == f"3 trainings in {tmp_path / 'runs'}"


def test_only_trainings_of_the_same_slices_that_ended_by_themselves_count(tmp_path: Path) -> None:
    finished(tmp_path / "runs", "other", "elsewhere", 1, 9)
    finished(tmp_path / "runs", "cut", "d", 1, 9, stopped_early=False)
    (tmp_path / "runs" / "classical").mkdir()
    for file, text in {"spec": '{"spec": {"dataset_id": "d"}}', "timing": "{}", "result": '{"fit": {}}'}.items():
        (tmp_path / "runs" / "classical" / f"{file}.json").write_text(text)
    assert pace(tmp_path / "runs", "d", 500) == Pace()


def test_a_training_of_which_half_is_known_does_not_count(tmp_path: Path) -> None:
    finished(tmp_path / "runs", "half", "d", 1, 9)
    result = tmp_path / "runs" / "half" / "result.json"
    result.write_text('{"fit": {"stopped_early": true}}')
    assert pace(tmp_path / "runs", "d", 500) == Pace()


def test_our_records_stand_in(tmp_path: Path) -> None:
    finished(tmp_path / "shipped", "a", "d", 50, 19)
    assert pace(tmp_path / "runs", "d", 500) == Pace(200, 20, "1 trainings in our records")


def test_the_time_of_a_training(slices: SliceSet) -> None:
    # 22.12 GFLOP at 512 x 512; at 64 x 64 a 64th; 96 images, 40 epochs, 100 GFLOP/s
    assert estimate(spec(slices, "unet"), 96, Pace()) == pytest.approx(22.12 / 64 * 96 * 40 / 100)
    assert estimate(spec(slices, "attention-unet"), 96, Pace()) == pytest.approx(78.3 / 64 * 96 * 40 / 100)
    bigger = estimate(spec(slices, "unet", shape=(512, 512), kernel_size=9), 96, Pace(50, 10))
    assert bigger == pytest.approx(71.68 * 96 * 10 / 50)


def test_no_more_epochs_than_the_protocol_allows(slices: SliceSet) -> None:
    short = override(THESIS, "short", {"training.max_epochs": 4})
    assert estimate(spec(slices, "unet", short), 96, Pace()) == pytest.approx(22.12 / 64 * 96 * 4 / 100)


def test_the_time_of_a_classical_arm(slices: SliceSet) -> None:
    assert estimate(spec(slices, "otsu", shape=(512, 512)), 100, Pace()) == pytest.approx(5.0)


def test_of_a_strange_kernel_nothing_is_known(slices: SliceSet) -> None:
    assert estimate(spec(slices, "unet", kernel_size=11), 96, Pace()) is None


def test_what_is_left() -> None:
    """Cells not done count, whatever state they are in."""
    found = [State.DONE, State.PENDING, State.FAILED, State.PARTIAL, State.RUNNING]
    assert left([100.0, 1.0, 2.0, None, 4.0], found) == (7.0, 1)
    assert left([], []) == (0, 0)


def test_states_are_read_off_the_folders(slices: SliceSet, tmp_path: Path) -> None:
    one, two = spec(slices, "otsu"), spec(slices, "background")
    (tmp_path / one.run_id).mkdir()
    (tmp_path / one.run_id / "result.json").touch()
    assert states([one, two], tmp_path) == [State.DONE, State.PENDING]
