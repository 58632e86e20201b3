"""MLflow: a run of the experiment "meningioma-bench" for each run, in a store or on a server."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from typing import Any

EXPERIMENT = "meningioma-bench"
TAG = "meningioma_bench.run_id"
ENDED = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
AT_ONCE = 100  # parameters in a request, at most
REPORTS_USE = "MLFLOW_DISABLE_TELEMETRY"  # else 3.2 and later tell its makers of each run
RETRIES = "2"  # of the library's own 7 a dead server takes four minutes, in which a run would wait


class MLflow:
    """Sends what it is told to a tracking URI; needs the package mlflow. See `benchmark.tracker`.

    A run that is started again gets a new run of MLflow's, and one that was left running there by a
    process that is gone is marked as killed. The library's active run is not used: processes may
    share a store, and an arm may use MLflow for itself. A request is tried again `RETRIES` times,
    where MLFLOW_HTTP_REQUEST_MAX_RETRIES does not say otherwise; and what the library reports of
    its use to its makers is off, unless MLFLOW_DISABLE_TELEMETRY is set.
    """

    def __init__(self, where: str) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", RETRIES)
        os.environ.setdefault(REPORTS_USE, "true")
        import mlflow

        self.entities, self.client = mlflow.entities, mlflow.MlflowClient(tracking_uri=where)
        self.experiment = self._experiment()

    def _experiment(self) -> str:
        """Its id; it is made where it is not there, unless another process is quicker."""
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            with contextlib.suppress(Exception):
                return str(self.client.create_experiment(EXPERIMENT))
            found = self.client.get_experiment_by_name(EXPERIMENT)
        return str(found.experiment_id)

    def start(self, run_id: str, config: Mapping[str, object]) -> None:
        """Make a run with the settings as parameters; mark one that was left running as killed."""
        left = f"tags.`{TAG}` = '{run_id}' and attributes.status = 'RUNNING'"
        for run in self.client.search_runs([self.experiment], left):
            self.client.set_terminated(run.info.run_id, ENDED["interrupted"])
        made = self.client.create_run(self.experiment, tags={TAG: run_id}, run_name=run_id)
        self.run: str = made.info.run_id
        params = [self.entities.Param(name, str(value)) for name, value in config.items()]
        for first in range(0, len(params), AT_ONCE):
            self.client.log_batch(self.run, params=params[first : first + AT_ONCE])

    def epoch(self, number: int, numbers: Mapping[str, float]) -> None:
        self._log(numbers, number)

    def end(self, summary: Mapping[str, Any]) -> None:
        """Log the summary's numbers as metrics, and say how the run ended."""
        plain = {k: v for k, v in summary.items() if type(v) in (int, float)}
        self._log(plain, 0)
        self.client.set_terminated(self.run, ENDED[summary["state"]])

    def _log(self, numbers: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        metrics = [self.entities.Metric(name, v, now, step) for name, v in numbers.items()]
        self.client.log_batch(self.run, metrics=metrics)
