"""A run is told to trackers as it happens; nothing that they do stops it or changes a bit."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bench_forms import FAULTY, Faulty, bits, spec_of
from run_records import a_spec, halves, squares
from tracker_forms import NOTES, Notes, broken

from baselines import ARMS
from benchmark.arm import ArmEntry, Cases, FitReport, RunContext
from benchmark.data.slices import SliceSet
from benchmark.protocol import Recipe
from benchmark.runs.prepared_data import PreparedData
from benchmark.runs.run_folder import RunFolder, RunState, read_json
from benchmark.runs.runner import RunOptions, run_one
from benchmark.runs.spec import RunSpec
from benchmark.runs.tracking import config_of, tracked
from benchmark.splits.split import make

Capture = pytest.CaptureFixture[str]


@dataclass
class Late(Faulty):
    """Has epochs, and tells of them only when it is done."""

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        return FitReport(history=[{"epoch": 0, "seconds": 1.5}, {"epoch": 1, "seconds": 2.5}])


@dataclass
class Stepping(Faulty):
    """Has two epochs, and tells of each as it goes."""

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        history = [{"epoch": n, "seconds": n + 1.5} for n in range(2)]
        for count in (1, 2):
            context.on_epoch(history[:count])
        return FitReport(history=history)


@dataclass
class Wordy(Faulty):
    """Has words among the numbers of its epochs; early: tells of them as it goes."""

    early: bool = False

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        history: list[Any] = [{"epoch": "the first", "best": True, "loss": 0.5, "seconds": 1.5}]
        if self.early:
            context.on_epoch(history)
        return FitReport(history=history)


OWN = {"late": ArmEntry.of(Late), "stepping": ArmEntry.of(Stepping), "wordy": ArmEntry.of(Wordy)}
TABLE = {**ARMS, "faulty": FAULTY, **OWN}


@dataclass
class Bench:
    data: PreparedData
    recipe: Recipe
    out: Path

    def spec(self, arm: str, **params: Any) -> RunSpec:
        (split,) = self.data.splits.values()
        return spec_of(arm, TABLE[arm], self.data.slices, split, self.recipe, **params)

    def run(self, spec: RunSpec, out: str = "runs", **options: Any) -> RunState:
        return run_one(spec, self.data, RunOptions(self.out / out, **options))


@pytest.fixture
def bench(slices: SliceSet, recipe: Recipe, tmp_path: Path) -> Bench:
    split = make(slices, recipe.split, 1)
    return Bench(PreparedData(slices, {split.split_id: split}, TABLE), recipe, tmp_path)


@pytest.fixture
def network(bench: Bench) -> RunSpec:
    return bench.spec("unet", kernel_size=3)


@pytest.fixture(autouse=True)
def told() -> Iterator[list[tuple[Any, ...]]]:
    Notes.told.clear()
    yield Notes.told
    Notes.told.clear()


@pytest.mark.slow
def test_a_training_is_told_as_its_records_have_it_and_stays_bit_for_bit(
    bench: Bench, network: RunSpec, told: list[tuple[Any, ...]]
) -> None:
    assert bench.run(network) is bench.run(network, "told", tracks=(NOTES,)) is RunState.DONE
    assert told[0] == ("made", "here")
    assert bits(bench.out / "runs") == bits(bench.out / "told")
    _, start, *epochs, (_, summary) = told
    assert start == ("start", network.run_id, config_of(network))
    folder = bench.out / "told" / network.run_id
    table = pd.read_csv(folder / "history.csv", dtype=str).map(float)
    rows = table.to_dict("records")
    assert len(rows) == 2
    assert epochs == [("epoch", row.pop("epoch"), row) for row in rows]
    result, timing = read_json(folder / "result.json"), read_json(folder / "timing.json")
    assert summary.pop("state") == "done"
    parts = {"fit": result["fit"], "test": result["test"], "timing": timing}
    assert summary == {f"{p}.{k}": v for p, values in parts.items() for k, v in values.items()}
    told.clear()
    assert bench.run(network, "told", tracks=(NOTES,)) is RunState.DONE
    assert told == []  # it was done before


@pytest.mark.slow
def test_a_training_that_goes_on_is_told_anew_from_its_first_epoch(
    bench: Bench, network: RunSpec, told: list[tuple[Any, ...]]
) -> None:
    def stop(spec: RunSpec, history: list[dict[str, float]]) -> None:
        raise KeyboardInterrupt

    how = {"tracks": (NOTES,), "checkpoint_every_seconds": 0}
    with pytest.raises(KeyboardInterrupt):
        bench.run(network, on_epoch=stop, **how)
    assert told[2:] == [("end", {"state": "interrupted"})]  # told after everything else
    told.clear()
    bench.run(network, **how)
    assert read_json(bench.out / "runs" / network.run_id / "timing.json")["resumed"]
    assert [call[:2] for call in told[2:4]] == [("epoch", 0), ("epoch", 1)]
    assert told[4][1]["state"] == "done"
    assert len(told) == 5


@pytest.mark.parametrize("moment", ["made", "start", "epoch", "end", "exit at epoch"])
def test_a_tracker_that_breaks_is_one_warning_and_the_other_is_told_on(
    bench: Bench, told: list[tuple[Any, ...]], capsys: Capture, moment: str
) -> None:
    spec = bench.spec("stepping")
    assert bench.run(spec) is bench.run(spec, "told", tracks=(broken(moment), NOTES))
    assert bits(bench.out / "runs") == bits(bench.out / "told")
    assert [call[0] for call in told] == ["made", "start", "epoch", "epoch", "end"]
    why = "SystemExit: 3" if moment.startswith("exit") else "OSError: the server"
    assert capsys.readouterr().err == (
        f"warning: {spec.run_id}: tracker broken is told no more of it, since it raised {why}; "
        "the run goes on, and history.csv has its epochs\n"
    )


def test_what_a_tracker_does_with_what_it_is_given_is_its_own_affair(
    slices: SliceSet, tmp_path: Path
) -> None:
    spec, history = a_spec(squares(), halves(squares())), [{"epoch": 0.0, "loss": 0.5}]
    with tracked(spec, RunFolder(tmp_path, "x"), (broken("never"),)) as tell:
        tell(history)
    assert history == [{"epoch": 0.0, "loss": 0.5}]


def test_a_run_that_fails_is_told_as_failed(bench: Bench, told: list[tuple[Any, ...]]) -> None:
    assert bench.run(bench.spec("faulty", breach="raises"), tracks=(NOTES,)) is RunState.FAILED
    assert told[2:] == [("end", {"state": "failed"})]


def test_epochs_that_an_arm_tells_late_are_told_at_the_end(
    bench: Bench, told: list[tuple[Any, ...]]
) -> None:
    bench.run(bench.spec("late"), tracks=(NOTES,))
    assert told[2:4] == [("epoch", 0, {"seconds": 1.5}), ("epoch", 1, {"seconds": 2.5})]
    assert told[4][1]["state"] == "done"


@pytest.mark.parametrize("early", [False, True])
def test_words_in_an_arms_history_stop_no_run(
    bench: Bench, told: list[tuple[Any, ...]], capsys: Capture, early: bool
) -> None:
    """With a tracker or without, the run is done; the tracker gets what numbers there are."""
    spec = bench.spec("wordy", early=early)
    assert bench.run(spec) is bench.run(spec, "told", tracks=(NOTES,)) is RunState.DONE
    assert bits(bench.out / "runs") == bits(bench.out / "told")
    if early:  # what it tells itself is handed on as it is
        assert "is told no more of it, since it raised ValueError" in capsys.readouterr().err
    else:
        assert told[2] == ("epoch", 0, {"loss": 0.5, "seconds": 1.5})
        assert told[3][1]["state"] == "done"


def test_no_epoch_is_told_twice(tmp_path: Path, told: list[tuple[Any, ...]]) -> None:
    spec = a_spec(squares(), halves(squares()))
    rows = [{"epoch": float(n), "loss": 1 / (n + 1)} for n in range(4)]
    with tracked(spec, RunFolder(tmp_path, "x"), (NOTES,)) as tell:
        for count in (2, 2, 3, 4):
            tell(rows[:count])
    assert told[2:-1] == [("epoch", n, {"loss": 1 / (n + 1)}) for n in range(4)]


def test_the_config_has_plain_values_under_the_names_of_the_options() -> None:
    spec = a_spec(squares(), halves(squares()))
    config = config_of(spec)
    cell = {"arm": "unet", "kernel_size": 5, "alpha": 0.5, "seed": 1, "height": 512, "width": 512}
    assert {key: config[key] for key in cell} == cell
    identity = spec.recipe.identity()
    assert config["training.learning_rate"] == identity["training"]["learning_rate"]
    assert config["network.channels"] == "[16,32,64,128,256,512]"
    assert {type(value) for value in config.values()} <= {str, int, float, bool, type(None)}


def test_options_with_trackers_reach_another_process(tmp_path: Path) -> None:
    options = RunOptions(tmp_path, tracks=(NOTES,))
    assert pickle.loads(pickle.dumps(options)) == options
    assert options != replace(options, tracks=())
