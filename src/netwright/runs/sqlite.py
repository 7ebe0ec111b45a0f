"""Optuna's storage in one SQLite file."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import optuna
from optuna.storages import RDBStorage

from netwright.errors import RunError, first_line
from netwright.files import file_stamp
from netwright.runs.changes import remove_abandoned
from netwright.runs.drivers import Driver, SoleDriver
from netwright.runs.place import SQLITE, Place

BUSY_SECONDS = 60.0
"""How long to wait while another process writes to the database."""

_USABLE: set[str] = set()
"""Versions of tables that the installed Optuna can use. To ask it takes longer than to read a study."""


def exists(place: Place) -> bool:
    """Whether there is such a database."""
    return _file(place).exists()


def open_for_writing(place: Place) -> RDBStorage:
    """Opens the storage. It is made where there is none.

    Raises:
        RunError: the database cannot be opened or is damaged.
    """
    return _opened(_file(place), _file(place))


@contextlib.contextmanager
def driving(place: Place, folder: str) -> Iterator[Driver]:
    """This process as the only driver: the lock of the run folder keeps others out.

    Args:
        place: of the study.
        folder: of the run.

    Raises:
        RunError: as `open_for_writing`.
    """
    storage = open_for_writing(place)
    remove_abandoned(storage, place.study)
    yield SoleDriver(storage)


def drivers(place: Place) -> tuple[str, ...]:
    """None: the lock of the run folder says whether a process works on the study."""
    return ()


def reopen(place: Place, settings: str) -> None:
    """Nothing to do: only the run folder has its settings."""


@contextlib.contextmanager
def itself(place: Place) -> Iterator[RDBStorage]:
    """The storage itself, for a few questions that read little. SQLite opens the file for reading alone."""
    file = f"{_file(place).resolve().as_uri()}?mode=ro"
    connect = partial(sqlite3.connect, file, timeout=BUSY_SECONDS, uri=True, check_same_thread=False)
    storage = RDBStorage(
        place.url,
        engine_kwargs={"creator": connect},
        skip_compatibility_check=True,
        skip_table_creation=True,
    )
    try:
        yield storage
    finally:
        storage.engine.dispose()


@contextlib.contextmanager
def reading(place: Place) -> Iterator[RDBStorage]:
    """A copy of the storage at this moment. Readers need no permission to write to the run, and change nothing in it.

    Raises:
        RunError: the database cannot be read or is damaged.
    """
    database = _file(place)
    # A request of the dashboard that does not end in time may still write into the copy while it is removed.
    with tempfile.TemporaryDirectory(prefix="netwright-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / database.name
        _copy_database(database, copy)
        storage = _opened(copy, database)
        try:
            yield storage
        except optuna.exceptions.StorageInternalError as error:
            raise RunError(f"{database} is damaged ({first_line(error)}). Restore it from a copy.") from None
        finally:
            storage.engine.dispose()


def stamp(place: Place) -> object:
    """A value that changes whenever the search has stored something."""
    database = _file(place)
    parts = [database, *(database.with_name(f"{database.name}{end}") for end in ("-journal", "-wal"))]
    return tuple(map(file_stamp, parts))


def _file(place: Place) -> Path:
    return Path(place.url.removeprefix(SQLITE))


def _copy_database(database: Path, copy: Path) -> None:
    """Makes a consistent copy, even while other processes write to the database.

    A process that was killed may have left a journal. SQLite must roll it back before it reads, and needs to write for
    that. In this case both files are copied, and the copy is rolled back.

    Raises:
        RunError: the database cannot be read or is damaged.
    """
    try:
        with (
            contextlib.closing(
                sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", timeout=BUSY_SECONDS, uri=True)
            ) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            target.execute("PRAGMA synchronous=OFF")  # it is thrown away, and need not be on the disk
            source.backup(target)
    except sqlite3.OperationalError:
        try:
            for ending in ("", "-journal", "-wal"):
                if (part := database.with_name(f"{database.name}{ending}")).exists():
                    shutil.copyfile(part, copy.with_name(f"{copy.name}{ending}"))
        except OSError as error:
            raise RunError(
                f"{database} cannot be read ({error.strerror}). Give yourself leave to read the run folder."
            ) from None
    except sqlite3.DatabaseError as error:
        raise RunError(f"{database} is damaged ({first_line(error)}). Restore it from a copy.") from None


def _opened(path: Path, told: Path) -> RDBStorage:
    """Optuna's storage in a file. Error messages name the file ``told``."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    usable = _version(path) in _USABLE
    try:
        storage = RDBStorage(
            f"{SQLITE}{path}",
            engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}},
            skip_compatibility_check=usable,
            skip_table_creation=usable,
        )
    except Exception as error:
        raise RunError(
            f"{told} cannot be opened ({error.__class__.__name__}: {first_line(error)}). "
            f"Is the disk full, or the file damaged or not writable?"
        ) from error
    if not usable and (version := _version(path)) is not None:
        _USABLE.add(version)
    return storage


def _version(path: Path) -> str | None:
    """The version of the tables in a file; None: it has none, or they are not whole yet: Optuna writes it last."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database,
    ):
        row = database.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])
    return None
