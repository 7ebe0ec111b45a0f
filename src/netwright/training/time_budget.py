"""Plans how many epochs fit into a given wall time."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

_WARM_UP_BATCHES = 2
_TIMED_BATCHES = 5
VALIDATION_SHARE = 0.4
"""The time of a forward pass as a share of a training step's, until a validation has been timed."""


class TooSlow(Exception):  # noqa: N818  a verdict on a candidate, not a mishap
    """Not one epoch fits into the wall time. The message says why."""


class TimeBudget:
    """Times batches and validations, and plans the epochs of a training.

    Without a time limit, the plan is ``epochs``. With one, the batches after two warm-up batches are timed. The plan is
    then the number of epochs, at most ``epochs``, that fit together with their validations. It is made again after
    every epoch, so that the schedule ends when the time ends, even where the speed of the machine changes.

    A training ``in_parts`` may also end within an epoch. Its last epoch is then the one that the end of the time cuts
    short, and nothing is too slow.

    Args:
        share: seconds of wall time, or None.
        epochs: at most.
        batches: in an epoch.
        validation_batches: in a validation.
        validate_every: epochs from one validation to the next.
        clock: gives the time in seconds; tests pass their own.
        in_parts: whether the training may end within an epoch.
        validation_share: the validations' largest share of the time, in place of ``validate_every``.
        cool_down: the last seconds of the time, over which the learning rate falls to zero.
    """

    def __init__(
        self,
        share: float | None,
        epochs: int,
        batches: int,
        validation_batches: int,
        validate_every: int,
        clock: Callable[[], float] = time.perf_counter,
        *,
        in_parts: bool = False,
        validation_share: float | None = None,
        cool_down: float = 0.0,
    ) -> None:
        self.planned_epochs = epochs
        self.in_parts = in_parts
        self._share = share
        self._epochs = epochs
        self.batches = batches
        self._validate_every = validate_every
        self._validation_batches = validation_batches
        self._validation_seconds: float | None = None
        self._validation_share = validation_share
        self._validated = 0.0
        self._cool_down = cool_down
        self._clock = clock
        self._started = self._last = clock()
        self._durations: list[float] = []
        self._planned = share is None
        self._fitting = math.inf

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    @property
    def planned(self) -> bool:
        """Whether ``planned_epochs`` is more than an upper bound."""
        return self._planned

    @property
    def schedule_epochs(self) -> float:
        """How many epochs a schedule lasts. In parts, this counts the last one only as far as the time goes."""
        return min(float(self.planned_epochs), self._fitting)

    @property
    def in_time(self) -> bool:
        """Whether there is time for more, and for a last validation."""
        return self._share is None or self.elapsed + self._validation_cost() <= self._share

    @property
    def rate_share(self) -> float:
        """The share of its learning rate that the next step has, from 1 to 0 in the course of the cool-down."""
        if self._share is None or not self._cool_down:
            return 1.0
        left = self._share - self._validation_cost() - self.elapsed
        return min(1.0, max(0.0, left / self._cool_down))

    @property
    def seconds_per_batch(self) -> float | None:
        """The median of the batches, without warm-up batches where there are others."""
        timed = self._durations[_WARM_UP_BATCHES:] or self._durations
        return median(timed) if timed else None

    @property
    def last_batch_seconds(self) -> float:
        """The seconds of the last batch for which `batch_done` was called."""
        return self._durations[-1]

    def batch_done(self) -> bool:
        """Call this after each batch. False: the time is used up, except for a last validation.

        Raises:
            TooSlow: not one epoch fits, and the training is not in parts.
        """
        now = self._clock()
        self._durations.append(now - self._last)
        self._last = now
        if self._share is None:
            return True
        count = len(self._durations)
        within_first_epoch = count < self.batches
        over = not self.in_time
        if count == self._first_plan_after or (over and within_first_epoch):
            self._plan(0, self._share)
            if within_first_epoch and (over or self.planned_epochs < 1):
                self.require_epoch()
            self.planned_epochs = max(1, self.planned_epochs)
        return not over

    def require_epoch(self) -> None:
        """Call this where the first epoch does not fit into the wall time.

        Raises:
            TooSlow: the training is not in parts.
        """
        if self.in_parts:
            return
        raise TooSlow(
            f"not one epoch fits into {self._share:.1f} s: an epoch of {self.batches} batches takes "
            f"{self._epoch_seconds():.1f} s and a validation {self._validation_cost():.1f} s"
        )

    @property
    def batch_seconds(self) -> Sequence[float]:
        """The seconds of each batch so far."""
        return self._durations

    def values(self) -> dict[str, Any]:
        """What a checkpoint needs beside `batch_seconds`."""
        return {
            "seconds": self.elapsed,
            "validation_seconds": self._validation_seconds,
            "validated": self._validated,
        }

    def restore(self, batch_seconds: Sequence[float], values: Mapping[str, Any], epochs: int) -> None:
        """Restores the state of a training. Its wall time may have changed.

        Args:
            batch_seconds: what the property gave.
            values: what `values` gave.
            epochs: how many are finished.
        """
        self._durations = list(batch_seconds)
        self._validation_seconds = values["validation_seconds"]
        self._validated = values["validated"]
        self._started = self._clock() - values["seconds"]
        if self._share is not None and (self.in_parts or len(self._durations) >= self._first_plan_after):
            self._plan(epochs, self._share - self.elapsed - self._validation_cost())
            self.planned_epochs = max(self.planned_epochs, epochs + 1)

    def batch_starts(self) -> None:
        """Call this before a batch if something other than a batch came before it."""
        self._last = self._clock()

    def epoch_done(self, epoch: int) -> None:
        """Call this after an epoch and before its validation. It plans the rest again."""
        if self._share is not None:
            self._plan(epoch, self._share - self.elapsed - self._validation_cost())

    def validation_due(self, epoch: int) -> bool:
        """Whether to validate: after the first epoch and every ``validate_every``, or where all validations, with this
        one, stay within their share of the time. The last epoch always has a validation.
        """
        if self._validation_share is not None:
            cost = self._validation_cost()
            return self._validated + cost <= self._validation_share * (self.elapsed + cost)
        return epoch == 1 or epoch % self._validate_every == 0

    def validation_done(self, seconds: float) -> None:
        """Call this with the seconds that a validation took."""
        self._validation_seconds = seconds
        self._validated += seconds

    @property
    def _first_plan_after(self) -> int:
        return min(_WARM_UP_BATCHES + _TIMED_BATCHES, self.batches)

    def _plan(self, done: int, seconds: float) -> None:
        self._planned = True
        if self.in_parts and self._share is not None:
            left = self._share - self.elapsed - self._validation_cost()
            steps = len(self._durations) + max(0.0, left) / self._step_seconds()
            self._fitting = steps / self.batches
            self.planned_epochs = min(self._epochs, max(done + 1, math.ceil(self._fitting)))
            return
        if self._validation_share is not None:
            training = (1 - self._validation_share) * seconds
            more = affordable_epochs(training, self._epoch_seconds(), 0.0, 1, self._epochs - done)
        else:
            more = affordable_epochs(
                seconds,
                self._epoch_seconds(),
                self._validation_cost(),
                self._validate_every,
                self._epochs - done,
            )
        self.planned_epochs = done + more

    def _step_seconds(self) -> float:
        """The seconds of a step, with its part of the validations."""
        if self._validation_share is not None:
            return self._epoch_seconds() / (1 - self._validation_share) / self.batches
        return (self._epoch_seconds() + self._validation_cost() / self._validate_every) / self.batches

    def _epoch_seconds(self) -> float:
        recent = self._durations[_WARM_UP_BATCHES:][-self.batches :] or self._durations
        return self.batches * sum(recent) / len(recent)

    def _validation_cost(self) -> float:
        if self._validation_seconds is not None:
            return self._validation_seconds
        return VALIDATION_SHARE * self._validation_batches * (self.seconds_per_batch or 0.0)


def affordable_epochs(
    seconds: float, epoch_seconds: float, validation_seconds: float, validate_every: int, at_most: int
) -> int:
    """The most epochs that fit, at most ``at_most``, with a validation each ``validate_every`` epochs and after the
    last.

    Args:
        seconds: that are left.
        epoch_seconds: of an epoch without its validation.
        validation_seconds: of a validation.
        validate_every: epochs from one validation to the next.
        at_most: epochs.
    """

    def needed(epochs: int) -> float:
        return epochs * epoch_seconds + -(-epochs // validate_every) * validation_seconds

    return bisect_right(range(1, at_most + 1), seconds, key=needed)
