"""Access to Optuna's storage of a run, in whatever database it lies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import import_module
from typing import Protocol, cast

import optuna
from optuna.storages import BaseStorage, RDBStorage

from netwright.errors import SettingsError, StorageError, first_line
from netwright.runs.drivers import Driver
from netwright.runs.folder import RunFolder
from netwright.runs.kept_run import KeptRun
from netwright.runs.own_databases import require_own_database
from netwright.runs.place import SQLITE, Place, place_of


class Backend(Protocol):
    """A kind of database for trials: a module with these functions, which take the place of a study in it."""

    def exists(self, place: Place) -> bool:
        """Whether there is such a database, or study."""

    def open_for_writing(self, place: Place) -> BaseStorage:
        """Opens the storage. It is made where there is none."""

    def driving(self, place: Place, folder: str) -> contextlib.AbstractContextManager[Driver]:
        """This process as a driver of the study, from its run folder."""

    def drivers(self, place: Place) -> tuple[str, ...]:
        """The drivers that work on the study now, in words, as far as the database knows them."""

    def itself(self, place: Place) -> contextlib.AbstractContextManager[RDBStorage]:
        """The storage itself, for a few questions that read little. Readers need no permission to write."""

    def reopen(self, place: Place, settings: str) -> None:
        """Notes that the run goes on, with other settings: the text of ``run.yaml``."""

    def reading(self, place: Place) -> contextlib.AbstractContextManager[BaseStorage]:
        """A copy of the storage, to be read. Changes to it do not reach the run."""

    def stamp(self, place: Place) -> object:
        """A value that changes whenever the search has stored something."""


class SharedBackend(Backend, Protocol):
    """A kind of database in which several drivers may share a study, with what they need beside it."""

    def require_url(self, url: str) -> None:
        """Refuses a URL that names no such database."""

    def register_run(self, place: Place, settings: str, splits: str) -> bool:
        """Keeps the settings and the parts of a run with its study; False: another run was there first."""

    def registered_run(self, place: Place) -> KeptRun | None:
        """What `register_run` has kept; None where the database has no such study."""

    def registered_studies(self, place: Place) -> tuple[str, ...]:
        """The names of all studies with a run, sorted."""


POSTGRESQL = "postgresql+psycopg"
BACKENDS: dict[str, str] = {
    "sqlite": "netwright.runs.sqlite",
    POSTGRESQL: "netwright.runs.postgresql",
    "journal": "netwright.runs.journal",
}
"""The modules of the backends by the scheme of the URL. One is imported when a run needs it."""


def shared_backend(url: str) -> SharedBackend:
    """The kind of database that a URL names, for a study that several may share. Whether the URL is one of that kind,
    `SharedBackend.require_url` says.
    """
    scheme = url.partition(":")[0]
    shared = scheme in BACKENDS and not url.startswith(SQLITE)
    return cast(SharedBackend, import_module(BACKENDS[scheme if shared else POSTGRESQL]))


def has_storage(folder: RunFolder) -> bool:
    """Whether the search of a run has stored anything."""
    place = place_of(folder)
    return backend(place).exists(place)


def open_storage(folder: RunFolder) -> BaseStorage:
    """Optuna's storage of the run, for writing.

    Raises:
        RunError: the database cannot be opened or is damaged.
        StorageError: its server cannot be used.
    """
    place = place_of(folder)
    return backend(place).open_for_writing(place)


def driving(folder: RunFolder) -> contextlib.AbstractContextManager[Driver]:
    """This process as a driver of the run's study, in a ``with`` block.

    Raises:
        RunError: the database cannot be opened or is damaged.
        StorageError: its server cannot be used.
    """
    place = place_of(folder)
    return backend(place).driving(place, str(folder.root.resolve()))


def drivers_elsewhere(folder: RunFolder) -> tuple[str, ...]:
    """The drivers that work on the run's study now, in words, as far as its database knows them.

    Raises:
        StorageError: its server cannot be used.
    """
    place = place_of(folder)
    return backend(place).drivers(place)


def storage_itself(folder: RunFolder) -> contextlib.AbstractContextManager[RDBStorage]:
    """The run's storage itself, for a few questions that read little, in a ``with`` block. Writing to it fails.

    Errors of SQLAlchemy and Optuna come through where a copy, see `reading_storage`, may be mended or explain them.

    Raises:
        StorageError: its server cannot be used.
    """
    place = place_of(folder)
    return backend(place).itself(place)


def finished_elsewhere(folder: RunFolder) -> str | None:
    """The folder in which one of several drivers has finished the run's study; None: it is not finished, or has one.

    Raises:
        StorageError: its server cannot be used.
    """
    return _finished(place_of(folder))


def reopen(folder: RunFolder, settings: str) -> None:
    """Notes for all who share the run's study that it goes on, with other settings.

    Args:
        folder: of the run.
        settings: the text of ``run.yaml``.

    Raises:
        StorageError: its server cannot be used.
    """
    place = place_of(folder)
    backend(place).reopen(place, settings)


def reopened_elsewhere(folder: RunFolder) -> bool:
    """Whether a study that was finished goes on, because one of several drivers gave it more hours.

    Raises:
        StorageError: its server cannot be used.
    """
    place = place_of(folder)
    if place.url.startswith(SQLITE):
        return False
    return backend(place).exists(place) and _finished(place) is None


def _finished(place: Place) -> str | None:
    """The folder in which a study that several may share was finished."""
    kept = None if place.url.startswith(SQLITE) else shared_backend(place.url).registered_run(place)
    return None if kept is None else kept.finished


def reading_storage(folder: RunFolder) -> contextlib.AbstractContextManager[BaseStorage]:
    """A copy of the run's storage, to be read in a ``with`` block. The run's own storage is never changed.

    Raises:
        RunError: the database cannot be read or is damaged.
        StorageError: its server cannot be used.
    """
    place = place_of(folder)
    return backend(place).reading(place)


def storage_stamp(folder: RunFolder) -> object:
    """A value that changes whenever the search has stored something."""
    place = place_of(folder)
    return backend(place).stamp(place)


@contextlib.contextmanager
def storage_errors(folder: RunFolder) -> Iterator[None]:
    """A context in which a database that cannot be written raises an error with advice.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        yield
    except optuna.exceptions.StorageInternalError as error:
        place = place_of(folder)
        what = folder.database if place.url.startswith(SQLITE) else place.url
        raise StorageError(
            f"{what} cannot be written ({first_line(error.__cause__ or error)}). Is the disk full? Make "
            f"room, then go on with 'netwright resume {folder.root}'; nothing finished is lost."
        ) from error


def backend(place: Place) -> Backend:
    """The backend of a place that a run names.

    Raises:
        SettingsError: there is none, a package that it needs is missing, or the user never named its server.
    """
    scheme = place.url.partition(":")[0]
    if scheme not in BACKENDS:
        raise SettingsError(f"storage.url begins with {scheme!r}: expected one of {', '.join(BACKENDS)}.")
    if not place.url.startswith(SQLITE):
        require_own_database(place.url, place.study)
    return cast(Backend, import_module(BACKENDS[scheme]))
