"""The course of a search: from a run's trials to the rows of its report."""

from __future__ import annotations

import time
from collections.abc import Sequence

import optuna

from netwright.report.draw.search import ChangedDimensions
from netwright.report.metrics import metric_named
from netwright.report.results import TrialRow
from netwright.runs.changes import changes_of
from netwright.runs.folder import RunFolder
from netwright.runs.status import read_curves
from netwright.runs.trials import RUNNING, TrialRecord, path_of
from netwright.settings import RunSettings
from netwright.spaces.base import Space
from netwright.strategies.base import Penalising
from netwright.strategies.sampler import StrategySampler


def reward_name(settings: RunSettings) -> str:
    """The short name of the reward, for axes. The facts say what it is made of."""
    if not settings.objective.plain:
        return "reward"
    weights = "" if settings.supernet is None else " with the shared weights"
    return f"validation {metric_named(settings.objective.words()).name}{weights}"


def penalty_of(study: optuna.Study | None) -> float | None:
    """The number that the strategy gets for a candidate without a reward, if it gets one."""
    sampler = None if study is None else study.sampler
    if isinstance(sampler, StrategySampler) and isinstance(sampler.strategy, Penalising):
        return float(sampler.strategy.penalty)
    return None


def best_curves(folder: RunFolder, best: TrialRecord | None) -> dict[str, list[float]]:
    """The curves of the best trial's training."""
    return {} if best is None else read_curves(path_of(folder, best))[1]


def changed_dimensions(study: optuna.Study | None) -> tuple[ChangedDimensions, ...]:
    """The changes of the space so far."""
    return tuple(
        ChangedDimensions(
            time.strftime("%Y-%m-%d %H:%M", time.localtime(change.time)),
            change.words(),
            change.trials,
            change.fitted,
            change.left_out,
            change.assumed,
            change.tested,
        )
        for change in changes_of({} if study is None else study.user_attrs)
    )


def trial_rows(records: Sequence[TrialRecord], space: Space) -> tuple[TrialRow, ...]:
    """The trials as rows."""
    began = min((r.started for r in records if r.started is not None), default=0.0)
    rows = []
    for record in records:
        outcome = record.outcome
        # Of a trial that runs, another process may have stored only a part of the choice.
        described = record.words or (space.describe(record.choice) if record.status != RUNNING else "")
        rows.append(
            TrialRow(
                number=record.number,
                status=record.status,
                reason=record.reason,
                choice=described if record.choice else "",
                reward=record.reward,
                parameters=outcome.cost.parameters if outcome else None,
                epochs=outcome.epochs if outcome else 0,
                planned_epochs=outcome.planned_epochs if outcome else 0,
                seconds=0.0 if outcome is None or record.cached_from is not None else outcome.seconds,
                finished_at=None if record.finished is None else record.finished - began,
                cached_from=record.cached_from,
                phase=record.phase,
            )
        )
    return tuple(rows)
