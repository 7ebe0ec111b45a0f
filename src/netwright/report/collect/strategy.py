"""What a run's strategy shows of its search, and what it stores for programs."""

from __future__ import annotations

from typing import Any

import optuna

from netwright.runs.trials import TrialRecord
from netwright.strategies.base import KeepingHistory, Reporting
from netwright.strategies.pictures import StrategySection
from netwright.strategies.sampler import StrategySampler


def strategy_report(
    study: optuna.Study | None, best: TrialRecord | None, reward_name: str
) -> tuple[StrategySection, ...]:
    """The sections of a study's strategy; empty where it has nothing to show.

    Args:
        study: of the run; None where it has no trial yet.
        best: its best trial.
        reward_name: what the reward is, in words.
    """
    sampler = None if study is None else study.sampler
    if study is None or not isinstance(sampler, StrategySampler):
        return ()
    if not isinstance(sampler.strategy, Reporting):
        return ()
    return sampler.strategy.report(sampler.state(study), None if best is None else best.choice, reward_name)


def strategy_history(study: optuna.Study | None) -> list[dict[str, Any]]:
    """The rounds of a study's strategy, as plain JSON values; empty where it stores none."""
    sampler = None if study is None else study.sampler
    if study is None or not isinstance(sampler, StrategySampler):
        return []
    if not isinstance(sampler.strategy, KeepingHistory):
        return []
    return sampler.strategy.history(sampler.state(study))
