"""A run whose trainings go on, as the rule of its race sees it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netwright.execution.resources import available_cores, devices
from netwright.runs.candidates import TrainedCandidate, curve_of
from netwright.runs.folder import RunFolder
from netwright.searches.race import RULES, Candidate, Race, Rule
from netwright.settings import RunSettings
from netwright.spec import entry_of

MOST_THREADS = 8
"""About so many threads are joined for one training. Two were measured, which are 1.75 times as fast as one; that more
than eight gain little on volumes of usual sizes is an estimate."""
MOST_THREADS_AT_END = 32
"""A finalist is compared and tested with no more threads: each takes memory of one worker's share, at least 8 MB for
its stack."""


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
    workers: int | None = None,
) -> Race:
    """The race as its rule sees it.

    Args:
        folder: of the run.
        settings: of the run.
        candidates: so far.
        remaining: seconds to the end of the race.
        kept: seconds of the hours that are left for what comes after it.
        workers: how many candidates are trained at once; None: as many as the run has workers.
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
        workers=workers or settings.machine.workers,
        first=settings.race.first_seconds,
        joins=joins_of(settings),
    )


def joins_of(settings: RunSettings) -> int:
    """The threads of how many workers one training can have, if the rule gives it those of several; else 1.

    They are workers on the CPU of one machine, of about `MOST_THREADS` threads in all. Where their number cannot be
    divided, some are left over.
    """
    machine, training = settings.machine, settings.training
    if not rule_of(settings).joins or machine.elsewhere or training.devices > 1:
        return 1
    if devices(training.device) != ("cpu",):
        return 1
    places = math.ceil(machine.workers / max(1, MOST_THREADS // machine.threads))
    return machine.workers // places


def threads_at_end(settings: RunSettings, at_once: int = 1) -> int:
    """The threads with which finalists are compared and tested: those of all workers of this machine, idle by then.

    Where this process may use fewer cores now than the run had at its begin, as in a smaller job of a cluster, they are
    as many as these cores, but at least those of one worker.

    Args:
        settings: of the run.
        at_once: how many jobs share them, if there are as many workers.
    """
    machine = settings.machine
    each = min(machine.whole_threads, available_cores()) // min(at_once, machine.workers)
    return max(machine.threads, min(each, MOST_THREADS_AT_END))
