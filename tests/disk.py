"""Tests do not wait for the disk: a kill loses nothing that was written; only a power cut could."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy


def at_once(file: int) -> None:
    """In place of ``os.fsync``."""


def commit_at_once(connection: object, _: object) -> None:
    """For a new connection: SQLite waits several times for each commit, and searches commit often."""
    if isinstance(connection, sqlite3.Connection):
        with contextlib.suppress(sqlite3.Error):  # as of a damaged file: it is told when it is used
            connection.execute("PRAGMA synchronous=OFF")


@contextmanager
def without_waiting() -> Iterator[None]:
    """Within it, this process writes without waiting for the disk."""
    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", commit_at_once)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", at_once)
        yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", commit_at_once)
