"""TensorBoard and MLflow, each behind what stands in for its library; docs/sharing.md says what
the libraries themselves were seen to do.
"""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.tracker import asked_for

Patch = pytest.MonkeyPatch
CONFIG = {"arm": "unet", "alpha": 0.5}
SUMMARY = {"state": "done", "fit.best_epoch": 1, "test.dice_mean": 0.75, "fit.collapsed": False}


class Writer:
    """A SummaryWriter that keeps its calls."""

    calls: list[tuple[Any, ...]]

    def __init__(self, folder: str, purge_step: int | None = None) -> None:
        type(self).calls = [("open", folder, purge_step)]

    def __getattr__(self, name: str) -> Any:
        return lambda *words: self.calls.append((name, *words))


def follow(word: str, summary: dict[str, Any] = SUMMARY) -> None:
    (track,) = asked_for([word])
    tracker = track.open()
    tracker.start("run_1", CONFIG)
    tracker.epoch(0, {"val_dice": 0.25})
    tracker.epoch(1, {"val_dice": 0.5})
    tracker.end(summary)


def test_tensorboard_gets_a_folder_a_run_its_scalars_and_two_tables(
    monkeypatch: Patch, tmp_path: Any
) -> None:
    library = SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", library)
    follow(f"tensorboard={tmp_path / 'tb'}")
    table = "| name | value |\n|---|---|\n"
    config = f"{table}| arm | unet |\n| alpha | 0.5 |"
    summary = (
        f"{table}| state | done |\n| fit.best_epoch | 1 |\n"
        "| test.dice_mean | 0.75 |\n| fit.collapsed | False |"
    )
    assert Writer.calls == [
        ("open", str(tmp_path / "tb" / "run_1"), 0),  # what an earlier start left is not shown
        ("add_text", "config", config, 0),
        ("flush",),
        ("add_scalar", "val_dice", 0.25, 0),
        ("flush",),
        ("add_scalar", "val_dice", 0.5, 1),
        ("flush",),
        ("add_scalar", "test/dice_mean", 0.75, 1),
        ("add_text", "summary", summary, 1),
        ("close",),
    ]


def test_tensorboard_shows_no_end_of_a_run_that_will_go_on(
    monkeypatch: Patch, tmp_path: Any
) -> None:
    library = SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", library)
    follow(f"tensorboard={tmp_path / 'tb'}", {"state": "interrupted"})
    assert Writer.calls[-2:] == [("flush",), ("close",)]


class Client:
    """An MlflowClient that keeps its calls; a store has one experiment and one run left running."""

    calls: list[tuple[Any, ...]]

    def __init__(self, tracking_uri: str) -> None:
        type(self).calls = [("connect", tracking_uri)]

    def create_experiment(self, name: str) -> str:
        self.calls.append(("experiment", name))
        raise ValueError("exists already: another process was quicker")

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id=name) if len(self.calls) > 1 else None

    def search_runs(self, experiments: list[str], text: str) -> list[Any]:
        self.calls.append(("search", experiments, text))
        return [SimpleNamespace(info=SimpleNamespace(run_id="left"))]

    def create_run(self, experiment: str, *, tags: dict[str, str], run_name: str) -> Any:
        self.calls.append(("create", experiment, tags, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id="new"))

    def log_batch(self, run: str, **what: Any) -> None:
        self.calls.append(("log", run, what))

    def set_terminated(self, run: str, status: str) -> None:
        self.calls.append(("end", run, status))


@pytest.fixture
def _mlflow(monkeypatch: Patch) -> None:
    entities = SimpleNamespace(
        Param=lambda name, value: (name, value), Metric=lambda name, v, now, step: (name, v, step)
    )
    library = SimpleNamespace(entities=entities, MlflowClient=Client)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")  # as a user's own
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")  # put back afterwards
    monkeypatch.setitem(sys.modules, "mlflow", library)


@pytest.mark.usefixtures("_mlflow")
def test_mlflow_gets_a_run_a_run_and_one_left_running_is_marked_as_killed() -> None:
    follow("mlflow=sqlite:///x.db")
    tag, name = "meningioma_bench.run_id", "meningioma-bench"
    assert Client.calls == [
        ("connect", "sqlite:///x.db"),
        ("experiment", name),
        ("search", [name], f"tags.`{tag}` = 'run_1' and attributes.status = 'RUNNING'"),
        ("end", "left", "KILLED"),
        ("create", name, {tag: "run_1"}, "run_1"),
        ("log", "new", {"params": [("arm", "unet"), ("alpha", "0.5")]}),
        ("log", "new", {"metrics": [("val_dice", 0.25, 0)]}),
        ("log", "new", {"metrics": [("val_dice", 0.5, 1)]}),
        ("log", "new", {"metrics": [("fit.best_epoch", 1, 0), ("test.dice_mean", 0.75, 0)]}),
        ("end", "new", "FINISHED"),
    ]


@pytest.mark.usefixtures("_mlflow")
@pytest.mark.parametrize(("state", "status"), [("failed", "FAILED"), ("interrupted", "KILLED")])
def test_mlflow_is_told_how_a_run_ended(state: str, status: str) -> None:
    follow("mlflow=sqlite:///x.db", {"state": state})
    assert Client.calls[-1] == ("end", "new", status)


@pytest.mark.usefixtures("_mlflow")
@pytest.mark.parametrize("own", [None, "false"])
def test_mlflow_reports_no_use_of_it_to_its_makers_unless_that_is_wanted(
    monkeypatch: Patch, own: str | None
) -> None:
    """https://mlflow.org/docs/latest/community/usage-tracking: on by default since 3.2.0."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "")  # so that it is put back afterwards
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    if own:
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", own)
    follow("mlflow=sqlite:///x.db")
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == (own or "true")
