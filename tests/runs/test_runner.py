"""Running specs: what is done is left, what fails is told, and no cell is run twice."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from bench_forms import (
    FAULTY,
    PINCHED,
    TINY_GRID,
    Faulty,
    bits,
    called,
    finish,
    process,
    small_recipe,
    small_slices,
    spec_of,
)
from data_forms import write_pairs
from numpy.typing import NDArray

from baselines import ARMS
from benchmark.__main__ import main
from benchmark.arm import ArmEntry, Cases, FitReport, FloatImages, RunContext
from benchmark.data.slices import SliceSet
from benchmark.protocol import Recipe
from benchmark.runs.cache import FILES
from benchmark.runs.prepared_data import PreparedData
from benchmark.runs.run_folder import RunFolder, RunState, read_json, unpack_masks
from benchmark.runs.runner import RunOptions, run_grid, run_one
from benchmark.runs.spec import RunSpec
from benchmark.splits.split import Split, make

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
pytestmark = pytest.mark.slow


class Soft(Faulty):
    """The brighter, the likelier tumour: -1 is 0, 1 is 1."""

    def predict(self, images: FloatImages) -> NDArray[np.float32]:
        return (images + 1) / 2


class Stopped(Faulty):
    """Is interrupted the first time, a checkpoint behind it, and keeps what it is given."""

    given: ClassVar[list[tuple[int, bool]]] = []  # threads, and whether there was a checkpoint

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        assert context.checkpoint is not None
        self.given.append((torch.get_num_threads(), context.checkpoint.exists()))
        if len(self.given) == 1:
            context.checkpoint.write_bytes(b"half")
            raise KeyboardInterrupt
        return FitReport()


@dataclass
class Timed(Faulty):
    """Naps and says that it took epochs of 2 and 4 seconds."""

    epochs: int = 2

    NAP: ClassVar[float] = 0.5
    told: ClassVar[list[object]] = []  # history.csv after an epoch, checkpoint's seconds, device

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        time.sleep(self.NAP)
        times = enumerate([(2.0, 0.5), (4.0, 0.25)])
        rows = [{"epoch": i, "seconds": a, "gpu_seconds": b} for i, (a, b) in times]
        if self.epochs and context.checkpoint:
            context.on_epoch(rows[:1])
            history = context.checkpoint.with_name("history.csv").read_text()
            type(self).told = [history, context.checkpoint_every_seconds, context.device]
        return FitReport(history=rows[: self.epochs], parameters=7, train_gflop_per_image=1.5)


OWN = {"soft": ArmEntry.of(Soft), "stopped": ArmEntry.of(Stopped), "timed": ArmEntry.of(Timed)}
TABLE = {**ARMS, "faulty": FAULTY, "pinched": PINCHED, **OWN}


@dataclass
class Floor:
    """Prepared data, a folder, and what the runner tells while it works."""

    data: PreparedData
    split: Split
    recipe: Recipe
    out: Path
    begun: list[str] = field(default_factory=list)
    ended: list[tuple[str, RunState]] = field(default_factory=list)

    def spec(self, arm: str = "faulty", **more: Any) -> RunSpec:
        return spec_of(arm, TABLE[arm], self.data.slices, self.split, self.recipe, **more)

    def options(self, **more: Any) -> RunOptions:
        return RunOptions(
            self.out,
            on_begin=lambda spec: self.begun.append(spec.run_id),
            on_state=lambda spec, state: self.ended.append((spec.run_id, state)),
            **more,
        )

    def run(self, *specs: RunSpec, **more: Any) -> list[RunState]:
        return list(run_grid(specs, self.data, self.options(**more)).values())

    def folder(self, spec: RunSpec) -> RunFolder:
        return RunFolder(self.out, spec.run_id)

    def json(self, spec: RunSpec, name: str) -> dict[str, Any]:
        return read_json(self.folder(spec) / f"{name}.json")

    def scores(self, spec: RunSpec) -> pd.DataFrame:
        return pd.read_csv(self.folder(spec) / "scores.csv")


@pytest.fixture
def floor(slices: SliceSet, recipe: Recipe, tmp_path: Path) -> Floor:
    return floor_in(slices, recipe, tmp_path)


def floor_in(slices: SliceSet, recipe: Recipe, out: Path) -> Floor:
    split = make(slices, recipe.split, 1)
    return Floor(PreparedData(slices, {split.split_id: split}, TABLE), split, recipe, out)


@pytest.fixture
def mended(monkeypatch: Patch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(Faulty, "mended", True)


def test_what_is_done_is_not_touched(floor: Floor) -> None:
    spec = floor.spec()
    assert floor.run(spec) == [RunState.DONE]
    files = [path for path in floor.folder(spec).path.iterdir() if path.name != ".lock"]
    before = [path.stat().st_mtime_ns for path in files]
    floor.data = replace(floor.data, arms={})  # whoever tries to run it fails
    assert floor.run(spec) == [RunState.DONE]
    assert [path.stat().st_mtime_ns for path in files] == before
    assert floor.begun == [spec.run_id]
    assert floor.ended == [(spec.run_id, RunState.DONE)] * 2


def test_a_failing_cell_is_told_and_the_rest_goes_on(floor: Floor) -> None:
    specs = [floor.spec(breach=breach) for breach in ("none", "raises", "shape")]
    specs.append(floor.spec("background"))
    assert floor.run(*specs) == [RunState.DONE, RunState.FAILED, RunState.FAILED, RunState.DONE]
    failure = floor.json(specs[1], "failure")
    assert (failure["error"], failure["message"]) == ("RuntimeError", "out of luck")
    assert "in fit" in failure["traceback"]


def test_what_failed_is_tried_again_next_time(floor: Floor, mended: Callable[[], None]) -> None:
    spec = floor.spec(breach="raises")
    assert floor.run(spec) == [RunState.FAILED]
    assert floor.run(spec) == [RunState.FAILED]
    assert len(floor.begun) == 2
    mended()
    since = floor.run(spec, retry_failures_before=0.0)  # it failed since: left to the next call
    assert since == [RunState.FAILED]
    assert len(floor.begun) == 2
    assert floor.run(spec) == [RunState.DONE]
    assert not (floor.folder(spec) / "failure.json").exists()


@pytest.mark.parametrize(
    ("breach", "words"),
    [("shape", "must be a numpy array"), ("fewer", "must be a numpy array"), ("dtype", "float64"),
     ("list", "gave list"), ("above", "must be probabilities"), ("nan", "not finite"),
     ("below", "must be probabilities")],
)  # fmt: skip
def test_an_arm_that_breaks_the_contract_fails_by_name(
    floor: Floor, breach: str, words: str
) -> None:
    spec = floor.spec(breach=breach)
    assert floor.run(spec) == [RunState.FAILED]
    failure = floor.json(spec, "failure")
    assert failure["error"] == "ArmError"
    assert failure["message"].startswith("faulty: predict() gave")
    assert words in failure["message"]
    assert not (floor.folder(spec) / "scores.csv").exists()


def test_an_arm_that_cannot_be_imported_fails_alone(floor: Floor) -> None:
    floor.data = replace(floor.data, arms={**TABLE, "faulty": ArmEntry("no_such_module:Arm")})
    spec = floor.spec()
    assert floor.run(spec, floor.spec("background")) == [RunState.FAILED, RunState.DONE]
    assert "no_such_module" in floor.json(spec, "failure")["message"]


def test_ctrl_c_is_no_failure(floor: Floor, monkeypatch: Patch) -> None:
    def interrupt(*words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Faulty, "fit", interrupt)
    spec = floor.spec()
    with pytest.raises(KeyboardInterrupt):
        floor.run(spec)
    assert floor.folder(spec).state is RunState.PARTIAL


def test_a_cell_of_another_process_is_left_to_it(floor: Floor, monkeypatch: Patch) -> None:
    spec = floor.spec()
    monkeypatch.setattr("benchmark.runs.run_folder.LOCK_PATIENCE_SECONDS", 0.05)
    with floor.folder(spec).lock():
        assert run_one(spec, floor.data, floor.options()) is RunState.RUNNING
    assert (floor.begun, floor.ended) == ([], [(spec.run_id, RunState.RUNNING)])


def test_a_finished_run_records_what_it_learned_what_it_took_and_what_it_scored(
    floor: Floor,
) -> None:
    spec = floor.spec(level=0.25)
    floor.run(spec)
    slices = floor.data.slices
    result, timing = floor.json(spec, "result"), floor.json(spec, "timing")
    assert result["fit"] == {"level": 0.25, "nothing": None}
    assert result["dataset"] == {"slices": 24, "patients": 8, "phantom": True}
    assert result["test"]["n"] == len(floor.split.test) == 4
    assert result["needs_click"] is False
    assert min(timing["fit_seconds"], timing["predict_seconds"]) > 0
    assert timing["peak_process_mib"] > 1
    assert (timing["peak_gpu_mib"], timing["resumed"]) == (None, False)
    scores, masks = floor.scores(spec), unpack_masks(floor.folder(spec) / "predictions.zip")
    assert scores["slice_id"].tolist() == list(masks) == sorted(floor.split.test)
    test = floor.data.cases(spec, floor.split, floor.split.test)
    for i, number in enumerate(test.slice_id.tolist()):
        np.testing.assert_array_equal(masks[number], test.images[i] > 0.25)
        where = slices.slice_id.tolist().index(number)
        assert scores["tp"][i] == np.count_nonzero(masks[number] & slices.masks[where])
        assert scores["patient_id"][i] == slices.patient_id[where]


def test_an_arm_that_needs_a_click_gets_one_inside_each_tumour(floor: Floor) -> None:
    spec = floor.spec("pinched")
    assert floor.run(spec) == [RunState.DONE]
    assert floor.scores(spec)[["tp", "fp"]].to_numpy().tolist() == [[1, 0]] * 4
    assert floor.json(spec, "result")["needs_click"] is True


def test_the_sets_an_arm_sees_are_those_of_the_split(floor: Floor) -> None:
    floor.run(floor.spec())
    assert Faulty.seen["train"].slice_id.tolist() == sorted(floor.split.train)
    assert Faulty.seen["val"].slice_id.tolist() == sorted(floor.split.val)
    train = Faulty.seen["train"]
    assert (train.images.dtype, train.images.min(), train.images.max()) == (np.float32, -1, 1)
    assert (len(train), train.spacing_mm) == (16, floor.data.slices.spacing_mm)


def test_test_images_reach_training_images_by_the_histogram_alone(
    slices: SliceSet, tmp_path: Path
) -> None:
    """By patient, changing every test image changes nothing that is learned from; else it does."""
    changed = {}
    for protocol in ("thesis", "patient"):
        floor = floor_in(slices, small_recipe(protocol), tmp_path)
        spec, test = floor.spec(), np.isin(slices.slice_id, floor.split.test)
        images = slices.images.copy()
        images[test] = np.sqrt(images[test] / 255.0) * 255  # lighter
        other = replace(floor.data, slices=replace(slices, images=images), _last=None)
        before, after = (
            data.cases(spec, floor.split, floor.split.train).images for data in (floor.data, other)
        )
        changed[protocol] = not np.array_equal(after, before)
    assert changed == {"thesis": True, "patient": False}


def enlarged(maps: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, 64, 64) -> (N, 128, 128), bilinear: new pixel i lies at old (i + 0.5) / 2 - 0.5."""
    places = (np.arange(128) + 0.5) / 2 - 0.5
    for axis in (1, 2):
        maps = np.apply_along_axis(lambda line: np.interp(places, np.arange(64), line), axis, maps)
    return maps


def test_an_arm_fed_smaller_images_is_scored_at_the_full_size(
    recipe: Recipe, tmp_path: Path, monkeypatch: Patch
) -> None:
    """Its probabilities are enlarged, then cut at 0.5: the other way round gives a staircase."""
    monkeypatch.setattr("benchmark.runs.runner.MASKS_AT_ONCE", 3)  # of four: changes nothing
    slices = small_slices(size=128)
    floor = floor_in(slices, recipe, tmp_path)
    spec = floor.spec("soft", shape=(64, 64))
    assert floor.run(spec) == [RunState.DONE]
    train = Soft.seen["train"]
    assert train.images.shape == (16, 64, 64)
    assert train.spacing_mm == pytest.approx(tuple(2 * side for side in slices.spacing_mm))
    masks = unpack_masks(floor.folder(spec) / "predictions.zip")
    likely = (floor.data.cases(spec, floor.split, floor.split.test).images + 1) / 2
    expected, staircase = enlarged(likely), (likely > 0.5).repeat(2, axis=1).repeat(2, axis=2)
    clear = np.abs(expected - 0.5) > 1e-6  # float32 against float64
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(np.stack(list(masks.values()))[clear], (expected > 0.5)[clear])
    assert ((expected > 0.5) != staircase).sum() > 100
    scores = floor.scores(spec)
    assert (scores[["tp", "fp", "fn", "tn"]].sum(axis=1) == 128 * 128).all()
    sizes = dict(zip(slices.slice_id.tolist(), slices.masks.sum(axis=(1, 2)), strict=True))
    found = (scores["tp"] + scores["fn"]).tolist()
    assert found == [sizes[number] for number in scores["slice_id"]]


def test_the_same_spec_gives_the_same_bits_in_any_folder(floor: Floor, tmp_path: Path) -> None:
    specs = [floor.spec("unet", kernel_size=3), floor.spec("otsu")]
    for place in ("a", "b"):
        floor.out = tmp_path / place
        assert floor.run(*specs) == [RunState.DONE] * 2
    first = bits(tmp_path / "a")
    assert len(first) == 5  # two of each, and one history
    assert bits(tmp_path / "b") == first


def test_the_checkpoint_goes_when_the_run_is_done(floor: Floor) -> None:
    spec = floor.spec("unet", kernel_size=3)
    floor.run(spec, checkpoint_every_seconds=0)
    names = {path.name for path in floor.folder(spec).path.iterdir()} - {".lock"}
    assert names == {*FILES, "history.csv", "predictions.zip"}


@pytest.mark.usefixtures("few_phantoms")
def test_a_failed_cell_is_exit_code_1(tmp_path: Path, monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.setattr("benchmark.__main__.ARMS", TABLE)
    grid = tmp_path / "two.toml"
    grid.write_text('seeds = [1]\n[[arms]]\nname = "faulty"\nbreach = ["raises", "none"]\n')
    words = f"reproduce --data=phantoms --grid={grid} --out={tmp_path}/out --threads=1".split()
    assert main(words) == 1
    output = capsys.readouterr().out
    assert re.search(r"failed: faulty_breachraises\S+: RuntimeError: out of luck", output)
    assert "faulty(breach=none, level=0.0): done" in output
    monkeypatch.setattr(Faulty, "mended", True)
    assert main(words) == 0


@pytest.fixture(scope="module")
def words(slices: SliceSet, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs the tiny grid on a folder of few slices, but for where to."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "tiny.toml").write_text(TINY_GRID)
    data = write_pairs(slices, folder / "slices")
    grid = folder / "tiny.toml"
    return ["reproduce", f"--data={data}", f"--grid={grid}", "--threads=1", "--out"]


@pytest.fixture(scope="module")
def alone(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bits of the tiny grid run by one process."""
    out = tmp_path_factory.mktemp("alone")
    assert main([*words, str(out)]) == 0
    return bits(out)


def times_begun(output: str) -> Counter[str]:
    """How many times each cell was begun, by what a process printed."""
    return Counter(re.findall(r"\] (.*): begins", output))


def test_two_processes_share_a_grid_and_no_cell_is_run_twice(
    words: list[str], alone: dict[str, bytes], tmp_path: Path
) -> None:
    team = [process(["-m", "benchmark", *words, "out"], cwd=tmp_path) for _ in range(2)]
    ends = [finish(member) for member in team]
    assert [(code, err) for code, _, err in ends] == [(0, "")] * 2
    begun = times_begun(ends[0][1]) + times_begun(ends[1][1])
    assert len(begun) == 4
    assert set(begun.values()) == {1}
    assert bits(tmp_path / "out") == alone


def test_workers_give_the_bits_of_one_process(
    words: list[str], alone: dict[str, bytes], tmp_path: Path
) -> None:
    more = ["out", "--workers", "2", "--keep-models"]
    code, output, err = called([*words, *more], tmp_path)
    assert (code, err) == (0, "")
    assert set(times_begun(output).values()) == {1}
    assert len(times_begun(output)) == 4
    assert bits(tmp_path / "out") == alone
    assert len(list(tmp_path.glob("out/*/model.pt"))) == 4  # the wish reaches the workers


def test_preparing_the_slices_is_no_part_of_a_fit(floor: Floor, monkeypatch: Patch) -> None:
    """It is done once for many cells: booked on the first it would make that arm seem dear."""
    nap, cases = 0.5, PreparedData.cases

    def slowly(data: PreparedData, *asked: Any) -> Cases:
        time.sleep(nap)
        return cases(data, *asked)

    monkeypatch.setattr(PreparedData, "cases", slowly)
    floor.run(floor.spec())
    timing = floor.json(floor.spec(), "timing")
    assert timing["prepare_seconds"] >= 2 * nap > timing["fit_seconds"] > 0


@pytest.mark.parametrize(
    ("keep", "now", "then", "note"),
    [(True, 2, 1, "goes on with the 1 threads"), (False, 2, 2, "the checkpoint is dropped"),
     (True, 1, 1, "")],
)  # fmt: skip
def test_an_interrupted_training_goes_on_with_the_threads_it_was_begun_with(
    floor: Floor, monkeypatch: Patch, keep: bool, now: int, then: int, note: str
) -> None:
    """Where they were not asked for: another number would drop the checkpoint."""
    monkeypatch.setattr(Stopped, "given", [])
    spec, usual, notes = floor.spec("stopped"), torch.get_num_threads(), list[str]()
    try:
        torch.set_num_threads(1)
        with pytest.raises(KeyboardInterrupt):
            floor.run(spec)
        torch.set_num_threads(now)
        assert floor.run(spec, keep_threads=keep, on_note=notes.append) == [RunState.DONE]
        assert torch.get_num_threads() == now
    finally:
        torch.set_num_threads(usual)
    assert Stopped.given == [(1, False), (then, keep)]
    assert floor.json(spec, "environment")["threads"] == then
    assert floor.json(spec, "timing")["resumed"] is keep
    assert len(notes) == bool(note)
    assert note in "".join(notes)


def test_the_time_of_a_training_is_that_of_its_epochs_and_its_history_is_on_the_disk_after_each(
    floor: Floor,
) -> None:
    """Epochs of 2 s and 4 s, some before an interruption: this process's clock knows less."""
    spec = floor.spec("timed")
    assert floor.run(spec, checkpoint_every_seconds=12.5, device="cpu:0") == [RunState.DONE]
    timing, history = floor.json(spec, "timing"), floor.folder(spec) / "history.csv"
    seconds = [timing[name] for name in ("fit_seconds", "seconds_per_epoch", "gpu_seconds")]
    assert seconds == [6.0, 3.0, 0.75]
    assert (timing["parameters"], timing["train_gflop_per_image"]) == (7, 1.5)
    assert 0 < timing["predict_seconds"] < Timed.NAP  # the fit, which naps, is no part of it
    assert Timed.told == ["epoch,seconds,gpu_seconds\n0,2.0,0.5\n", 12.5, "cpu:0"]
    assert history.read_text() == "epoch,seconds,gpu_seconds\n0,2.0,0.5\n1,4.0,0.25\n"


def test_an_arm_without_epochs_took_as_long_as_its_fit(floor: Floor) -> None:
    spec = floor.spec("timed", epochs=0)
    assert floor.run(spec) == [RunState.DONE]
    timing = floor.json(spec, "timing")
    assert timing["fit_seconds"] >= Timed.NAP
    assert (timing["seconds_per_epoch"], timing["gpu_seconds"]) == (None, None)
    assert not (floor.folder(spec) / "history.csv").exists()


def test_slices_of_unknown_patients_count_none(
    recipe: Recipe, slices: SliceSet, tmp_path: Path
) -> None:
    real = replace(slices, patient_id=(None,) * 12 + slices.patient_id[12:], phantom=False)
    floor = floor_in(real, recipe, tmp_path)
    spec = floor.spec()
    floor.run(spec)
    dataset = {"slices": 24, "patients": 4, "phantom": False}
    assert floor.json(spec, "result")["dataset"] == dataset
    assert floor.json(spec, "spec")["phantom"] is False


def test_a_cell_that_another_process_ends_meanwhile_is_not_run_again(
    floor: Floor, monkeypatch: Patch
) -> None:
    """It is waited for at the lock, and by then it is done."""
    monkeypatch.setattr("benchmark.runs.run_folder.LOCK_PATIENCE_SECONDS", 60.0)
    spec = floor.spec()
    folder = floor.folder(spec)
    with ThreadPoolExecutor() as pool:
        with folder.lock():
            waiting = pool.submit(run_one, spec, floor.data, floor.options())
            time.sleep(0.3)
            (folder / "result.json").write_text("{}")
        assert waiting.result() is RunState.DONE
    assert floor.begun == []
