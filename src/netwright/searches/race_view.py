"""A run whose trainings go on, as the rule of its race sees it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netwright.execution.resources import devices
from netwright.runs.candidates import TrainedCandidate, curve_of
from netwright.runs.folder import RunFolder
from netwright.searches.race import RULES, Candidate, Race, Rule
from netwright.settings import RunSettings
from netwright.spec import entry_of

MOST_THREADS = 8
"""With more threads, a training on volumes of usual sizes gains little. Measured: two are 1.75 times as fast as one."""


def rule_of(settings: RunSettings) -> Rule:
    """The rule of a run whose trainings go on.

    Raises:
        SettingsError: there is no such rule.
    """
    assert settings.race is not None
    rule: Rule = entry_of("rule", RULES, settings.race.rule)()
    return rule


def view_of(
    folder: RunFolder,
    settings: RunSettings,
    candidates: Sequence[TrainedCandidate],
    *,
    remaining: float,
    kept: float = 0.0,
    joins: int = 1,
) -> Race:
    """The race as its rule sees it.

    Args:
        folder: of the run.
        settings: of the run.
        candidates: so far.
        remaining: seconds to the end of the race.
        kept: seconds of the hours that are left for what comes after it.
        joins: the threads of how many workers one candidate can have.
    """
    assert settings.race is not None
    return Race(
        candidates=tuple(
            Candidate(
                number=candidate.number,
                curve=curve_of(folder, candidate, within=settings.objective.of_task),
                running=candidate.running,
                ended=candidate.ended,
                default=candidate.default,
            )
            for candidate in candidates
        ),
        remaining=remaining,
        total=(settings.budget.hours or 0.0) * 3600.0 - kept,
        workers=settings.machine.workers,
        first=settings.race.first_seconds,
        joins=joins,
    )


def joins_of(settings: RunSettings) -> int:
    """The threads of how many workers one training can have: of those that train on the CPU of one machine, for about
    `MOST_THREADS` in all. 1: of its own alone.
    """
    machine, training = settings.machine, settings.training
    if machine.elsewhere or training.devices > 1 or devices(training.device) != ("cpu",):
        return 1
    places = math.ceil(machine.workers / max(1, MOST_THREADS // machine.threads))
    return machine.workers // places
