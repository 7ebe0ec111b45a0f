"""Drivers that share a study in a PostgreSQL database. Each trial in training is leased to one of them.

A lease is a row with its end by the clock of the database. What is not PostgreSQL's own is in
`netwright.runs.lease_holder`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from optuna.storages._rdb import models
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from netwright.runs.drivers import END, TakenUp
from netwright.runs.lease_holder import WORKERS, LeaseHolder, Overtaken, lease_of
from netwright.runs.place import Place
from netwright.runs.reconnecting import persistently

TABLES = (
    """
CREATE TABLE IF NOT EXISTS netwright_leases (
    study text NOT NULL, what text NOT NULL, driver text NOT NULL, words text NOT NULL,
    ends timestamptz NOT NULL, PRIMARY KEY (study, what))
""",
    """
CREATE TABLE IF NOT EXISTS netwright_runs (
    study text PRIMARY KEY, settings text NOT NULL, splits text NOT NULL, finished text)
""",
)
"""What is stored beside Optuna's tables: the leases; the settings and parts of a run, and the folder where it ended."""
TURN_SECONDS, LONGEST_TURN = 20.0, 60.0
"""How long a driver waits for its turn to make a trial, and after how long the server ends one of a driver that was cut
off."""

_ENDS = "now() + make_interval(secs => :seconds)"
_BOUNDS = """
SELECT set_config('lock_timeout', :wait, true), set_config('idle_in_transaction_session_timeout', :longest, true)
"""
_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('netwright: ' || :study, 0))"
_STUDY = "SELECT FROM studies WHERE study_name = :study FOR UPDATE"
"""Locks the study, as Optuna does where it creates a trial."""
_TAKE = f"""
INSERT INTO netwright_leases AS held (study, what, driver, words, ends)
SELECT :study, free.what, :driver, :words, {_ENDS} FROM (
    SELECT what FROM unnest(CAST(:wanted AS text[])) WITH ORDINALITY AS wanted (what, position)
    WHERE NOT EXISTS (SELECT FROM netwright_leases AS other WHERE other.study = :study
        AND other.what = wanted.what AND other.ends >= now() AND other.driver <> :driver)
    ORDER BY position LIMIT 1) AS free
ON CONFLICT (study, what) DO UPDATE SET driver = :driver, words = :words, ends = EXCLUDED.ends
WHERE held.ends < now() OR held.driver = :driver
RETURNING what
"""
_HOLD = (
    f"UPDATE netwright_leases SET ends = {_ENDS} WHERE study = :study AND what = :what AND driver = :driver"
)
_RENEW = f"UPDATE netwright_leases SET ends = {_ENDS} WHERE study = :study AND driver = :driver"
_HOLDER_NOW = "SELECT driver, words FROM netwright_leases WHERE study = :study AND what = :what FOR SHARE"
_HOLDER = "SELECT words FROM netwright_leases WHERE study = :study AND what = :what"
_ALL_WORKERS = (
    "SELECT sum(CAST(words AS integer)) FROM netwright_leases "
    f"WHERE study = :study AND what LIKE '{WORKERS}%' AND ends >= now()"
)
_RELEASE = "DELETE FROM netwright_leases WHERE study = :study AND what = :what AND driver = :driver"
_LEAVE = "DELETE FROM netwright_leases WHERE study = :study AND driver = :driver"
_TIDY = "DELETE FROM netwright_leases WHERE study = :study AND ends < now() - interval '1 day'"
_FINISH = "UPDATE netwright_runs SET finished = :folder WHERE study = :study AND finished IS NULL"
_FINISHED = "SELECT finished FROM netwright_runs WHERE study = :study"
_ENDS_ELSEWHERE = (
    "SELECT 1 WHERE EXISTS (SELECT FROM netwright_runs WHERE study = :study AND finished IS NOT NULL) "
    "OR EXISTS (SELECT FROM netwright_leases WHERE study = :study AND what = :what "
    "AND ends >= now() AND driver <> :driver)"
)
_DRIVERS = (
    "SELECT words FROM netwright_leases WHERE study = :study AND what = driver AND ends >= now() ORDER BY 1"
)


class LeasingDriver(LeaseHolder):
    """One of several drivers of a study. Use `driving`.

    Args:
        engine: of the database.
        place: of the study.
        folder: the run folder of this driver, for messages.
    """

    def __init__(self, engine: Engine, place: Place, folder: str) -> None:
        super().__init__(place, folder)
        self._engine = engine
        self._turn: Connection | None = None
        self._values = {
            "study": place.study,
            "driver": self._driver,
            "words": self._words,
            "folder": folder,
            "seconds": place.lease_seconds,
        }

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Within it, until it has made a trial, the other drivers wait with `ask`, so that none is refused.

        It saves work alone: who waited for too long, or has lost the connection, goes on without a turn, since a trial
        is refused in any case if another one was made since it was decided.
        """
        with contextlib.suppress(SQLAlchemyError):
            self._turn = self._engine.connect()
            self._turn.execute(text(_BOUNDS), {"wait": f"{TURN_SECONDS}s", "longest": f"{LONGEST_TURN}s"})
            self._turn.execute(text(_TURN), self._values)
        try:
            yield
        finally:
            self.end_turn()

    def end_turn(self) -> None:
        """Lets the other drivers make trials."""
        turn, self._turn = self._turn, None
        with contextlib.suppress(SQLAlchemyError):
            if turn is not None:
                turn.close()

    def workers(self, own: int) -> int:
        """How many candidates all drivers that live train at once, if this one trains ``own``."""
        lease = f"{WORKERS}{self._driver}"
        self._scalar(_TAKE, wanted=[lease], words=str(own))
        return int(self._scalar(_ALL_WORKERS) or own)

    def on_creation(self, session: Session, trial: models.TrialModel) -> None:
        """Leases a new trial, if nobody has made another one since this driver counted, or makes the end of the run.

        A search that no other may join makes its trials without `ask`, and needs no leases for them.
        """
        if self._known is None:
            return
        values = {**self._values, "what": END, "wanted": [lease_of(int(trial.trial_id))]}
        if trial.number != self._known or session.execute(text(_ENDS_ELSEWHERE), values).first() is not None:
            raise Overtaken
        session.execute(text(_TAKE), values)

    def on_end(self, session: Session, trial: int) -> None:
        """Keeps a trial from being taken up while it is finished here.

        Raises:
            TakenUp: another driver has it, as this one was away for longer than its lease.
        """
        values = {**self._values, "what": lease_of(trial)}
        driver, words = session.execute(text(_HOLDER_NOW), values).first() or (values["driver"], "")
        if driver != values["driver"]:
            raise TakenUp(f"Trial {trial} is that of {words} now.")

    def take_up(self, trials: Iterable[int]) -> int | None:
        """The first of these trials whose lease has lapsed. It is this driver's now.

        None, too, where it was finished since the caller looked: a finished trial has no lease either.
        """
        leases = {lease_of(trial): trial for trial in trials}
        taken = self._taken(list(leases)) if leases else None
        if taken is None:
            return None
        if self.storage.get_trial(leases[taken]).state.is_finished():
            self.release(leases[taken])
            return None
        return leases[taken]

    def holds(self, trial: int) -> bool:
        """Whether a trial is still this driver's. Its lease is renewed."""
        return self._execute(_HOLD, what=lease_of(trial)) == 1

    def release(self, trial: int) -> None:
        """Ends the lease of a finished trial."""
        self._execute(_RELEASE, what=lease_of(trial))

    def _lease_task(self, what: str) -> str | None:
        if self._scalar(_STUDY, _TAKE, wanted=[what]) is not None:
            return None
        return self._scalar(_HOLDER, what=what) or "another process"

    def ends_elsewhere(self) -> bool:
        """Whether another driver makes the end of the run now, or it is made."""
        return self._scalar(_ENDS_ELSEWHERE, what=END) is not None

    def finish(self) -> None:
        """Notes for the other drivers that the run is finished."""
        self._execute(_FINISH)

    def finished(self) -> str | None:
        """The run folder in which a driver has finished the run; None: none has."""
        return self._scalar(_FINISHED)

    def renew(self) -> None:
        """Renews every lease of this driver. If the server is away, that is done the next time."""
        with contextlib.suppress(SQLAlchemyError), self._engine.begin() as connection:
            connection.execute(text(_RENEW), self._values)

    def leave(self) -> None:
        """Ends every lease, so that others need not wait for that. If the server is away, the leases lapse."""
        with contextlib.suppress(SQLAlchemyError), self._engine.begin() as connection:
            connection.execute(text(_LEAVE), self._values)

    def enter(self) -> None:
        """Makes this driver known, and removes what drivers have left that were killed long ago."""
        self._execute(_TIDY)
        self._taken([self._driver])

    @property
    def _server(self) -> str:
        return f"the server of {self._place.url}"

    def _taken(self, wanted: list[str]) -> str | None:
        return self._scalar(_TAKE, wanted=wanted)

    def _scalar(self, *queries: str, **values: Any) -> str | None:
        """What the last of some queries in one transaction finds."""

        def execute() -> Any:
            with self._engine.begin() as connection:
                *before, last = (text(query) for query in queries)
                for query in before:
                    connection.execute(query, {**self._values, **values})
                return connection.execute(last, {**self._values, **values}).scalar()

        found = persistently(execute, self._server)
        return None if found is None else str(found)

    def _execute(self, query: str, **values: Any) -> int:
        def execute() -> int:
            with self._engine.begin() as connection:
                return connection.execute(text(query), {**self._values, **values}).rowcount

        return persistently(execute, self._server)


def drivers_of(connection: Connection, place: Place) -> tuple[str, ...]:
    """The drivers that work on a study now, in words."""
    return tuple(connection.execute(text(_DRIVERS), {"study": place.study}).scalars())
