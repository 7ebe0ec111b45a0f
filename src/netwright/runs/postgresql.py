"""Optuna's storage in a PostgreSQL database, through psycopg. Several searches may share a study in it."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from netwright.errors import SettingsError, StorageError, first_line
from netwright.runs import leases
from netwright.runs.drivers import Driver
from netwright.runs.kept_run import KeptRun
from netwright.runs.lease_holder import renewed
from netwright.runs.leases import LeasingDriver, drivers_of
from netwright.runs.place import Place
from netwright.runs.reconnecting import FULL, ROOM_SECONDS, ReconnectingStorage, server_full, tried_while

SCHEME = "postgresql+psycopg"
EXAMPLE = f"{SCHEME}://USER@HOST:5432/DATABASE"
_OPTIONS: dict[str, Any] = {
    "pool_pre_ping": True,
    "connect_args": {
        "application_name": "netwright",
        "connect_timeout": 10,
        # A network that was cut is noticed in half a minute, and not after the system's quarter of an hour.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    },
}
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(7305808869229)"  # a number of our own
_STAMP = """
SELECT count(*), count(*) FILTER (WHERE state NOT IN ('RUNNING', 'WAITING')), max(trial_user_attribute_id),
    (SELECT max(value_json) FROM study_user_attributes WHERE study_id = studies.study_id AND key = 'seconds_spent')
FROM studies LEFT JOIN trials USING (study_id) LEFT JOIN trial_user_attributes USING (trial_id)
WHERE study_name = :study GROUP BY studies.study_id
"""


def require_url(url: str) -> None:
    """Refuses a URL that is of no such database, has a password in it, or needs a package that is not there.

    Raises:
        SettingsError: one of these. The message does not show what may be a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number
        raise SettingsError(f"storage.url is no URL: expected {EXAMPLE}.") from None
    if parsed.password is not None or {"password", "passfile", "sslpassword"} & set(parsed.query):
        raise SettingsError(
            "storage.url has a password in it, which others could read in run.yaml and in lists of processes. Expected "
            f"{SCHEME}://{parsed.username or 'USER'}@{parsed.host or 'HOST'}/{parsed.database or 'DATABASE'}, and "
            "the password in the variable PGPASSWORD or in the file ~/.pgpass."
        )
    if parsed.drivername != SCHEME or not parsed.database:
        raise SettingsError(f"storage.url is {url!r}: expected {EXAMPLE}.")
    try:
        import psycopg  # noqa: F401  it may be missing, or its library
    except ImportError as error:
        raise SettingsError(
            f"storage.url needs a package that is not installed ({first_line(error)}): "
            "pip install 'netwright[postgresql]'."
        ) from None


def exists(place: Place) -> bool:
    """Whether there is such a study, or a run that was to search in it.

    Raises:
        StorageError: the database cannot be reached or read.
    """
    return registered_run(place) is not None


def open_for_writing(place: Place) -> BaseStorage:
    """Opens the storage. Its tables are made where there are none.

    Raises:
        StorageError: the database cannot be reached or written.
    """
    return _opened(place, None)


@contextlib.contextmanager
def driving(place: Place, folder: str) -> Iterator[Driver]:
    """This process as one of the drivers of the study.

    Args:
        place: of the study.
        folder: of the run, for messages.

    Raises:
        StorageError: the database cannot be reached or written.
    """
    driver = LeasingDriver(_engine(place), place, folder)
    driver.storage = storage = _opened(place, driver)
    try:
        with renewed(driver):
            yield driver
    finally:
        storage.engine.dispose()


def drivers(place: Place) -> tuple[str, ...]:
    """The drivers that work on the study now, in words.

    Raises:
        StorageError: the database cannot be reached or read.
    """
    with _explained(place), _connected(place) as connection:
        return drivers_of(connection, place)


def reopen(place: Place, settings: str) -> None:
    """Notes that a study goes on that was finished, with other settings.

    Args:
        place: of the study.
        settings: the text of ``run.yaml``.

    Raises:
        StorageError: the database cannot be reached or written.
    """
    query = "UPDATE netwright_runs SET finished = NULL, settings = :settings WHERE study = :study"
    with _explained(place), _connected(place) as connection, connection.begin():
        connection.execute(text(query), {"study": place.study, "settings": settings})


@contextlib.contextmanager
def itself(place: Place) -> Iterator[RDBStorage]:
    """The storage itself, for a few questions that read little. The user needs no permission to write.

    Raises:
        StorageError: the database cannot be reached or read.
    """
    with _explained(place):
        options = {**_OPTIONS, "execution_options": {"postgresql_readonly": True}}
        storage = ReconnectingStorage(place.url, place.url, engine_kwargs=options, skip_table_creation=True)
        try:
            yield storage
        finally:
            storage.engine.dispose()


@contextlib.contextmanager
def reading(place: Place) -> Iterator[BaseStorage]:
    """A copy of the study in memory. Readers need no permission to write.

    Raises:
        StorageError: the database cannot be reached or read.
    """
    yield _copied(place)


def stamp(place: Place) -> object:
    """A value that changes whenever the search has stored something.

    Raises:
        StorageError: the database cannot be reached or read.
    """
    with _explained(place), _connected(place) as connection:
        return tuple(connection.execute(text(_STAMP), {"study": place.study}).one_or_none() or ())


def register_run(place: Place, settings: str, splits: str) -> bool:
    """Keeps the settings and the parts of a run with its study, so that other drivers can join it.

    Args:
        place: of the study.
        settings: the text of ``run.yaml``.
        splits: the text of ``splits.json``.

    Returns:
        Whether they are kept; False: another run was there first.

    Raises:
        StorageError: the database cannot be reached or written.
    """
    _opened(place, None).engine.dispose()
    query = (
        "INSERT INTO netwright_runs (study, settings, splits) VALUES (:study, :settings, :splits) "
        "ON CONFLICT DO NOTHING"
    )
    with _explained(place), _connected(place) as connection, connection.begin():
        kept = connection.execute(text(query), {"study": place.study, "settings": settings, "splits": splits})
        return kept.rowcount == 1


def registered_run(place: Place) -> KeptRun | None:
    """What `register_run` has kept; None where the database has no such study.

    Raises:
        StorageError: the database cannot be reached or read.
    """
    query = "SELECT settings, splits, finished FROM netwright_runs WHERE study = :study"
    with _explained(place), _connected(place) as connection:
        if not inspect(connection).has_table("netwright_runs"):
            return None
        row = connection.execute(text(query), {"study": place.study}).one_or_none()
        return None if row is None else KeptRun(*row)


def registered_studies(place: Place) -> tuple[str, ...]:
    """The names of all studies with a run, sorted.

    Raises:
        StorageError: the database cannot be reached or read.
    """
    with _explained(place), _connected(place) as connection:
        if not inspect(connection).has_table("netwright_runs"):
            return ()
        return tuple(connection.execute(text("SELECT study FROM netwright_runs ORDER BY 1")).scalars())


@lru_cache(maxsize=4)
def _engine_of(url: str) -> Engine:
    require_url(url)
    return create_engine(url, **_OPTIONS)


def _engine(place: Place) -> Engine:
    return _engine_of(place.url)


def _connected(place: Place) -> Connection:
    """A connection, to be closed. A server that has none left is asked again for a while."""
    return tried_while(server_full, _engine(place).connect, f"the server of {place.url}", ROOM_SECONDS)


def _opened(place: Place, driver: LeasingDriver | None) -> ReconnectingStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("optuna.storages._rdb.storage").setLevel(
        logging.ERROR
    )  # a lost connection is told here
    with _explained(place), _connected(place) as connection, connection.begin():
        # Drivers that begin at the same time would make the same tables.
        connection.execute(text(_ONE_AT_A_TIME))
        storage = ReconnectingStorage(
            place.url,
            f"the server of {place.url}",
            on_creation=None if driver is None else driver.on_creation,
            on_created=None if driver is None else driver.end_turn,
            on_end=None if driver is None else driver.on_end,
            engine_kwargs=dict(_OPTIONS),
        )
        for table in leases.TABLES:
            connection.execute(text(table))
    return storage


def _copied(place: Place) -> InMemoryStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    copy = InMemoryStorage()
    with _explained(place), contextlib.ExitStack() as ended:
        source = ReconnectingStorage(
            place.url, place.url, engine_kwargs=dict(_OPTIONS), skip_table_creation=True
        )
        ended.callback(source.engine.dispose)
        try:
            study = source.get_study_id_from_name(place.study)
        except KeyError:
            return copy
        made = copy.create_new_study(source.get_study_directions(study), place.study)
        for name, value in source.get_study_user_attrs(study).items():
            copy.set_study_user_attr(made, name, value)
        for name, value in source.get_study_system_attrs(study).items():
            copy.set_study_system_attr(made, name, value)
        for trial in sorted(source.get_all_trials(study, deepcopy=False), key=lambda t: t.number):
            copy.create_new_trial(made, trial)
    return copy


@contextlib.contextmanager
def _explained(place: Place) -> Iterator[None]:
    """A context in which an error of the database gets a message that says what to do.

    Raises:
        StorageError: the database could not be used.
    """
    try:
        yield
    except (DBAPIError, optuna.exceptions.StorageInternalError) as error:
        cause = error if isinstance(error, DBAPIError) else error.__cause__
        reason = first_line(cause.orig if isinstance(cause, DBAPIError) and cause.orig else error)
        raise StorageError(f"The database {place.url} cannot be used: {reason}. {_advice(reason)}") from error
    except RuntimeError as error:  # Optuna's, where its tables are of another version
        raise StorageError(
            f"The database {place.url} cannot be used: {first_line(error)} Name a new database."
        ) from error


def _advice(reason: str) -> str:
    if "password" in reason or "authentication" in reason:
        return "Give the password in the variable PGPASSWORD or in the file ~/.pgpass."
    if re.search(r'(database|role) ".*" does not exist', reason):
        return "Name one that exists, or make it (createdb, createuser)."
    if "permission denied" in reason:
        return "Give the user leave to make and write tables in this database."
    if FULL.search(reason):
        return "No connection is left; a search keeps up to four. Let fewer search at once, or raise max_connections."
    if "connection" in reason:
        return "Is the server running, and can it be reached from here?"
    return "Was it made by another version of netwright or Optuna? Then name a new database."
