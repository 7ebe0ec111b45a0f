"""An executor without workers, whose futures end as a test says, and what a search with it needs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage

from netwright.execution.base import WorkerLost
from netwright.searches.jobs import CandidateJob
from netwright.settings import RunSettings, parse_settings
from netwright.spaces.base import Space
from netwright.strategies.makers import make_sampler
from netwright.training.outcome import Cost, Outcome, Status

Answer = Callable[[CandidateJob], Any]


def trained(dice: float) -> dict[str, Any]:
    return Outcome(Status.COMPLETE, metrics={"dice": dice}, cost=Cost(parameters=10), epochs=1).to_dict()


def killed() -> WorkerLost:
    return WorkerLost(9, "gone")


class Answering:
    """An executor that answers at once, or, given ``hold``, only when the test releases it."""

    def __init__(self, answer: Answer, hold: bool = False) -> None:
        self.answer = answer
        self.hold = hold
        self.jobs: list[CandidateJob] = []
        self.waiting: deque[tuple[Future[Any], CandidateJob]] = deque()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.jobs.append(arguments[0])
        self.waiting.append((future, arguments[0]))
        if not self.hold:
            self.release()
        return future

    def release(self) -> None:
        future, job = self.waiting.popleft()
        try:
            future.set_result(self.answer(job))
        except Exception as error:
            future.set_exception(error)

    def shutdown(self) -> None:
        pass


def settings_of(tmp_path: Path, **changes: Any) -> RunSettings:
    values: dict[str, Any] = {
        "recipe": "segnas4",
        "dataset": {"path": str(tmp_path)},
        "space": {"name": "segnas4"},
        "strategy": {"name": "controlled-random-search", "population": 6},
        "objective": "dice",
        "budget": {"trials": 12},
    }
    return parse_settings(values | changes)


def study_of(settings: RunSettings, space: Space, storage: BaseStorage | None) -> optuna.Study:
    """The study of a search, made where it is not there yet; without a storage a new one in memory."""
    return optuna.create_study(
        storage=storage,
        study_name="study",
        sampler=make_sampler(settings.strategy, space, settings.seed),
        direction="maximize",
        load_if_exists=True,
    )
