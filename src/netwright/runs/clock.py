"""The time that a search has used, over all processes that worked on it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import optuna

SPENT = "seconds_spent"
SAVE_EVERY_SECONDS = 5.0


class Clock:
    """Wall time of a search. A process that is killed loses at most the seconds since the last `save`.

    Where several processes search at once, the time of the one that began first counts for all.

    Args:
        study: where it is stored.
        hours: the limit; None: there is none.
        used: seconds that were spent before the search first began.
        now: gives the time in seconds; tests pass their own.
    """

    def __init__(
        self,
        study: optuna.Study,
        hours: float | None,
        *,
        used: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._study = study
        self.limit = math.inf if hours is None else hours * 3600.0
        self._before = float(study.user_attrs.get(SPENT, used))
        self._now = now
        self._start = now()
        self._saved = self._start

    def spent(self) -> float:
        """Seconds spent so far."""
        return self._before + self._now() - self._start

    def remaining(self) -> float:
        """Seconds left: infinite without a limit, negative past it."""
        return self.limit - self.spent()

    def ends(self) -> float:
        """The moment of `time.monotonic` at which no time is left; infinite without a limit."""
        return self._start + self.limit - self._before

    def save(self, *, now: bool = False) -> None:
        """Stores the seconds spent: every few seconds, or at once with ``now``."""
        if now or self._now() - self._saved >= SAVE_EVERY_SECONDS:
            stored = float(self._study.user_attrs.get(SPENT, 0.0))
            self._before += max(0.0, stored - self.spent())
            self._study.set_user_attr(SPENT, self.spent())
            self._saved = self._now()
