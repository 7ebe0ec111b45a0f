"""An executor that trains in no time on a clock of its own, for searches whose trainings go on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from answering import settings_of as settings_of_search
from netwright.execution.base import WorkerLost
from netwright.searches.jobs import CandidateJob
from netwright.settings import RunSettings
from netwright.training.checkpoint import save_checkpoint, seconds_in
from netwright.training.fidelity import Fidelity
from netwright.training.files import CHECKPOINT
from netwright.training.outcome import Cost, Outcome, Status

BESIDE = 2.0
"""Seconds that a part takes beside its training."""


class Simulated:
    """Trains a candidate by advancing a clock. A checkpoint holds its seconds so far; the score rises with them."""

    def __init__(
        self, lost: Callable[[CandidateJob], bool] = lambda job: False, beside: float = BESIDE
    ) -> None:
        self.seconds = time.monotonic()
        self.jobs: list[CandidateJob] = []
        self.lost = lost
        self.beside = beside

    def now(self) -> float:
        return self.seconds

    def submit(self, function: Callable[..., Any], job: CandidateJob) -> Future[Any]:
        future: Future[Any] = Future()
        self.jobs.append(job)
        if self.lost(job):
            future.set_exception(WorkerLost(11, "gone"))
            return future
        own = job.folder / CHECKPOINT
        before = seconds_in(own if own.exists() or job.resume_from is None else job.resume_from)
        assert job.protocol.seconds is not None
        assert job.protocol.seconds > before, "a part trains"
        self.seconds += job.protocol.seconds - before + self.beside
        job.folder.mkdir(parents=True, exist_ok=True)
        save_checkpoint(own, {}, {"budget": {"seconds": job.protocol.seconds}})
        score = 1.0 - math.exp(-job.protocol.seconds / (100.0 + job.seed % 400))
        outcome = Outcome(
            Status.COMPLETE,
            metrics={"dice": score},
            cost=Cost(parameters=10, seconds_per_batch=0.6 / job.protocol.threads),
            epochs=1,
            seconds=job.protocol.seconds,
            fidelity=Fidelity(job.protocol.seconds, "seconds"),
        )
        future.set_result(outcome.to_dict())
        return future

    def shutdown(self) -> None:
        pass


def settings_of(tmp_path: Path, **changes: Any) -> RunSettings:
    """Settings of a race of an hour."""
    race = {"strategy": {"name": "random"}, "budget": {"hours": 1.0}, "race": {"first_seconds": 30}}
    return settings_of_search(tmp_path, **race | changes)
