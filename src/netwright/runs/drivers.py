"""A driver: a process that searches. Several may work on one study if its storage can keep them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

END = "comparison"
"""The task, see `Driver.reserve`, of the one that makes the end of a run."""


class TakenUp(UpdateFinishedTrialError):  # noqa: N818  what happened, not whose fault
    """A trial is another driver's now, because this one was away for longer than its lease."""


class Driver(Protocol):
    """This process, as one that works on a study."""

    @property
    def storage(self) -> BaseStorage:
        """Optuna's storage, for writing."""

    several: bool
    """Whether others may work on the study at the same time."""

    def ask(self, study: optuna.Study, known: int, born: FrozenTrial | None = None) -> optuna.Trial | None:
        """A new trial, which is this driver's; None: another driver has made one meanwhile, or makes the end.

        Args:
            study: with `storage`.
            known: how many trials the study has, as far as the caller knows.
            born: what the trial is like from its first moment on; None: the study's sampler is asked.
        """

    def turn(self) -> AbstractContextManager[None]:
        """Within it the other drivers wait with `ask`, so that none is refused."""

    def workers(self, own: int) -> int:
        """How many candidates all drivers train at once, if this one trains ``own``."""

    def take_up(self, trials: Iterable[int]) -> int | None:
        """Takes over one of these unfinished trials if its driver is gone. They are given, and it is returned, by
        their ids in the storage.
        """

    def holds(self, trial: int) -> bool:
        """Whether a trial is still this driver's. Then it stays so for a whole lease."""

    def release(self, trial: int) -> None:
        """Gives a finished trial back."""

    def reserve(self, what: str) -> str | None:
        """Takes a task that only one driver may do; None if it is this driver's now, else who does it, in words."""

    def ends_elsewhere(self) -> bool:
        """Whether another driver makes the end of the run now, or it is made."""

    def finish(self) -> None:
        """Notes for the other drivers that the run is finished."""

    def finished(self) -> str | None:
        """The run folder in which another driver has finished the run; None: none has."""


def new_trial(study: optuna.Study, born: FrozenTrial | None) -> optuna.Trial:
    """A new trial of a study.

    Args:
        study: with its storage.
        born: what the trial is like, stored in one step; None: the study's sampler is asked.
    """
    if born is None:
        return study.ask()
    return optuna.Trial(study, study._storage.create_new_trial(study._study_id, template_trial=born))


def finished_by(driver: Driver, study: optuna.Study, trial: optuna.Trial, store: Callable[[], None]) -> bool:
    """Finishes a trial by ``store``; False if another driver holds it, because this one was away for too long.

    Args:
        driver: this process as one that works on the study. It still holds the trial afterwards.
        study: with the driver's storage.
        trial: to finish.
        store: stores how it ended.
    """
    if not driver.holds(trial._trial_id):
        return False
    try:
        store()
    except TakenUp:
        return False  # this process was suspended just now
    except (UpdateFinishedTrialError, ValueError):
        if not (driver.several and study._storage.get_trial(trial._trial_id).state.is_finished()):
            raise
        return False  # the server was away just now
    return True


class SoleDriver:
    """The driver of a study in its run folder, whose lock keeps others out. Every unfinished trial is its own."""

    several = False

    def __init__(self, storage: BaseStorage) -> None:
        self.storage = storage

    def ask(self, study: optuna.Study, known: int, born: FrozenTrial | None = None) -> optuna.Trial | None:
        """A new trial."""
        return new_trial(study, born)

    def turn(self) -> AbstractContextManager[None]:
        """Always its own."""
        return nullcontext()

    def workers(self, own: int) -> int:
        """Its own."""
        return own

    def take_up(self, trials: Iterable[int]) -> int | None:
        """The first one."""
        return next(iter(trials), None)

    def holds(self, trial: int) -> bool:
        """Always."""
        return True

    def release(self, trial: int) -> None:
        """Nothing to do."""

    def reserve(self, what: str) -> str | None:
        """Always granted."""
        return None

    def ends_elsewhere(self) -> bool:
        """Never."""
        return False

    def finish(self) -> None:
        """Nothing to do."""

    def finished(self) -> str | None:
        """None."""
        return None
