"""The order in which the trials of a study were completed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime

from optuna.trial import FrozenTrial

COMPLETION = "netwright:completion"
"""The user attribute of a finished trial that holds its number in the order of completion, from 1 on."""


def in_order_of_completion(finished: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Finished trials sorted by the number stored at their completion, then by their own number.

    Trials without such a number (from a version that stored none, or added by hand) are sorted by their time of
    completion. Those that were there when the first number was given come first. The others come before the first
    numbered trial that was completed later by the clock.
    """
    counted = sorted((trial for trial in finished if count_of(trial) is not None), key=place_of)
    others = sorted(
        (trial for trial in finished if count_of(trial) is None), key=lambda t: (_completed_at(t), t.number)
    )
    there = (count_of(counted[0]) or 1) - 1 if counted else len(others)
    ordered, rest = others[:there], deque(others[there:])
    for trial in counted:
        while rest and _completed_at(rest[0]) < _completed_at(trial):
            ordered.append(rest.popleft())
        ordered.append(trial)
    return [*ordered, *rest]


def count_of(trial: FrozenTrial) -> int | None:
    """The number stored at the completion of a trial; None: it has none."""
    count = trial.user_attrs.get(COMPLETION)
    return count if isinstance(count, int) else None


def place_of(trial: FrozenTrial) -> tuple[int, int]:
    """The place of a trial among those with a number of completion."""
    return count_of(trial) or 0, trial.number


def _completed_at(trial: FrozenTrial) -> datetime:
    return trial.datetime_complete or datetime.min
