"""Trials and epochs in MLflow: an experiment for each run folder, and in it a run for each training.

``MLFLOW_TRACKING_URI`` says where, as for any program; without it, ``mlflow.db`` of the run folder, which
``mlflow ui --backend-store-uri sqlite:///RUN/mlflow.db`` shows. MLflow's own reports on its use are turned off unless
``MLFLOW_DISABLE_TELEMETRY`` says otherwise.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from netwright.errors import StorageError
from netwright.logs.base import Sink, Values

DATABASE = "mlflow.db"
TRAINING = "netwright.training"
FINISHED = "netwright.finished"
LONGEST, LONGEST_NAME = 500, 250
"""Characters of a parameter or tag, and of a name, that every server of MLflow takes."""
MOST_PARAMETERS = 100
"""In one request."""


class MLflow:
    """Writes to a tracking server or database."""

    def __init__(self, root: Path) -> None:
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / DATABASE}"
        self._uri = uri
        self._last: dict[str, int] = {}
        try:
            self._client = mlflow.tracking.MlflowClient(tracking_uri=uri)
            name = f"netwright {root.resolve()}"
            known = self._client.get_experiment_by_name(name)
            self._experiment = known.experiment_id if known else self._client.create_experiment(name)
            self._runs = {run.data.tags[TRAINING]: run.info.run_id for run in self._stored()}
            self._trials = {
                int(run.data.tags[TRAINING].rsplit("/", 1)[1])
                for run in self._stored()
                if FINISHED in run.data.tags and run.data.tags[TRAINING].startswith("trials/")
            }
        except (MlflowException, OSError) as error:
            raise self._unusable(error) from error

    def _stored(self) -> list[Any]:
        stored: list[Any] = []
        page = None
        while True:
            runs = self._client.search_runs([self._experiment], page_token=page)
            stored += [run for run in runs if TRAINING in run.data.tags]
            page = runs.token
            if not page:
                return stored

    def epochs(self, training: str) -> int:
        """The last epoch that it has of a training; 0: none."""
        if training not in self._last:
            run = self._runs.get(training)
            metrics = self._client.get_metric_history(run, "train_loss") if run else []
            latest = max(metrics, key=lambda metric: (metric.timestamp, metric.step), default=None)
            self._last[training] = 0 if latest is None else latest.step
        return self._last[training]

    def has_trial(self, number: int) -> bool:
        """Whether it has the end of a trial."""
        return number in self._trials

    def log_epoch(self, training: str, epoch: int, values: Values) -> None:
        """Log an epoch as metrics with a step."""
        self._log(training, values, step=epoch)
        self._last[training] = epoch

    def log_trial(
        self, number: int, choice: Mapping[str, Any], words: Mapping[str, str], values: Values
    ) -> None:
        """Log a trial: its choice as parameters, status and words as tags, results as metrics."""
        tags = {**words, FINISHED: "true"}
        self._log(
            f"trials/{number:04d}",
            {f"final {name}": value for name, value in values.items()},
            0,
            choice,
            tags,
        )
        self._trials.add(number)

    def close(self) -> None:
        """Everything is written already."""

    def _log(
        self,
        training: str,
        values: Values,
        step: int,
        choice: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        now = int(1000 * time.time())
        metrics = [Metric(_named(name), float(v), now, step) for name, v in values.items() if v is not None]
        parameters = [Param(_named(name), str(value)[:LONGEST]) for name, value in (choice or {}).items()]
        labels = [RunTag(name, value[:LONGEST]) for name, value in (tags or {}).items()]
        try:
            if training not in self._runs:
                run = self._client.create_run(self._experiment, run_name=training, tags={TRAINING: training})
                self._runs[training] = run.info.run_id
            run_id = self._runs[training]
            for first in range(0, len(parameters), MOST_PARAMETERS):
                self._client.log_batch(run_id, params=parameters[first : first + MOST_PARAMETERS])
            self._client.log_batch(run_id, metrics=metrics, tags=labels)
            if tags is not None:
                self._client.set_terminated(self._runs[training])
        except (MlflowException, OSError) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StorageError:
        return StorageError(f"MLflow at {self._uri} cannot be written to ({error}). Mend it, then resume.")


def _named(name: str) -> str:
    """A name that MLflow takes, for names of labels that hold other characters."""
    return re.sub(r"[^\w\-. :/]", "_", name)[:LONGEST_NAME]


def open_sink(root: Path) -> Sink:
    """MLflow's records of the run in a folder."""
    return MLflow(root)
