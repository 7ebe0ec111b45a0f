"""Access to Optuna's storage of a run, in whatever database it lies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

import optuna
from optuna.storages import BaseStorage

from netwright.errors import StorageError, first_line
from netwright.runs import sqlite
from netwright.runs.folder import RunFolder


class Backend(Protocol):
    """A kind of database for trials: a module with these functions, which take its URL."""

    def exists(self, url: str) -> bool:
        """Whether there is such a database."""

    def open_for_writing(self, url: str) -> BaseStorage:
        """Opens the storage. It is made where there is none."""

    def reading(self, url: str) -> contextlib.AbstractContextManager[BaseStorage]:
        """A copy of the storage, to be read. Changes to it do not reach the run."""

    def stamp(self, url: str) -> object:
        """A value that changes whenever the search has stored something."""


BACKENDS: dict[str, Backend] = {"sqlite": sqlite}
"""The backends by the scheme of the URL."""


def storage_url(folder: RunFolder) -> str:
    """The URL of the run's trials."""
    return f"{sqlite.PREFIX}{folder.database}"


def has_storage(folder: RunFolder) -> bool:
    """Whether the search of a run has stored anything."""
    url = storage_url(folder)
    return _backend(url).exists(url)


def open_storage(folder: RunFolder) -> BaseStorage:
    """Optuna's storage of the run, for writing.

    Raises:
        RunError: the database cannot be opened or is damaged.
    """
    url = storage_url(folder)
    return _backend(url).open_for_writing(url)


def reading_storage(folder: RunFolder) -> contextlib.AbstractContextManager[BaseStorage]:
    """A copy of the run's storage, to be read in a ``with`` block. The run's own storage is never changed.

    Raises:
        RunError: the database cannot be read or is damaged.
    """
    url = storage_url(folder)
    return _backend(url).reading(url)


def storage_stamp(folder: RunFolder) -> object:
    """A value that changes whenever the search has stored something."""
    url = storage_url(folder)
    return _backend(url).stamp(url)


@contextlib.contextmanager
def storage_errors(folder: RunFolder) -> Iterator[None]:
    """A context in which a database that cannot be written raises an error with advice.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        yield
    except optuna.exceptions.StorageInternalError as error:
        raise StorageError(
            f"{folder.database} cannot be written ({first_line(error.__cause__ or error)}). Is the disk full? Make "
            f"room, then go on with 'netwright resume {folder.root}'; nothing finished is lost."
        ) from error


def _backend(url: str) -> Backend:
    return BACKENDS[url.partition(":")[0]]
