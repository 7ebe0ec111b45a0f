"""What the drivers of a study have in common that lease its trials, whatever the database is.

A lease has its end by the clock of the database, so the drivers' clocks do not matter. A thread renews the leases of
this process. Those of a process that was killed, or that has lost the network, lapse, and the first driver that looks
takes its trials up.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from netwright.execution.notes import say_once
from netwright.runs.drivers import END, new_trial
from netwright.runs.place import Place

RENEWALS = 4
"""A lease is renewed so many times before it would end."""
LEAVING_SECONDS = 5.0
"""How long a renewal that has begun is waited for in the end. The database may be away."""
WORKERS = "workers of "
"""What a driver leases to tell how many candidates it trains at once, before its name."""


class Overtaken(Exception):  # noqa: N818  nothing is wrong
    """Another driver has made a trial since this one counted them, or makes the end of the run."""


class LeaseHolder(ABC):
    """One of several drivers of a study: see `netwright.runs.drivers.Driver`.

    Args:
        place: of the study.
        folder: the run folder of this driver, for messages.
    """

    several = True
    storage: BaseStorage

    def __init__(self, place: Place, folder: str) -> None:
        self._place = place
        self._folder = folder
        self._driver = secrets.token_hex(8)
        self._words = f"process {os.getpid()} on {socket.gethostname()}, in {folder}"
        self._known: int | None = None

    @property
    def lease_seconds(self) -> float:
        """How long a lease lasts."""
        return self._place.lease_seconds

    def ask(self, study: optuna.Study, known: int, born: FrozenTrial | None = None) -> optuna.Trial | None:
        """A new trial, leased in the step that makes it.

        None: there are not ``known`` trials any more, or another driver makes the end.
        """
        self._known = known
        try:
            return new_trial(study, born)
        except Overtaken:
            return None
        finally:
            self._known = None

    def reserve(self, what: str) -> str | None:
        """Leases a task that only one driver may do; None if it is this driver's now, else whose it is.

        It waits for a lease to lapse, as that may be of a driver that is gone, unless the end of the run is wanted and
        it is made. No trial is made at that moment: who makes the end sees all that were made before it was its task,
        and no driver makes one after that.
        """
        waited = time.monotonic() + self.lease_seconds + 1.0
        while (holder := self._lease_task(what)) is not None:
            if time.monotonic() > waited or (what == END and self.finished() is not None):
                return holder
            say_once(
                f"Waiting up to {self.lease_seconds:.0f} s to see whether {holder}, still works on this."
            )
            time.sleep(min(1.0, self.lease_seconds / RENEWALS))
        return None

    @abstractmethod
    def _lease_task(self, what: str) -> str | None:
        """Leases a task while no trial is made; None if it is this driver's now, else whose it is, in words."""

    @abstractmethod
    def finished(self) -> str | None:
        """The run folder in which a driver has finished the run; None: none has."""

    @abstractmethod
    def enter(self) -> None:
        """Makes this driver known, and removes what drivers have left that were killed long ago."""

    @abstractmethod
    def renew(self) -> None:
        """Renews every lease of this driver. If the database is away, that is done the next time."""

    @abstractmethod
    def leave(self) -> None:
        """Ends every lease, so that others need not wait for that. If the database is away, the leases lapse."""


def lease_of(trial: int) -> str:
    """What is leased of a trial, by its id in the storage."""
    return f"trial {trial}"


@contextlib.contextmanager
def renewed(driver: LeaseHolder) -> Iterator[None]:
    """Within it, the leases of a driver are renewed by a thread. They end with it."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(driver.lease_seconds / RENEWALS):
            driver.renew()

    thread = threading.Thread(target=renew, name="netwright-leases", daemon=True)
    driver.enter()
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(LEAVING_SECONDS)
        driver.leave()
