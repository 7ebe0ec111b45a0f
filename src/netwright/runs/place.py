"""Where the trials of a run are stored: which database, and which study in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from netwright.errors import SettingsError
from netwright.files import file_stamp
from netwright.runs.folder import RunFolder
from netwright.settings import StorageSettings

STUDY_NAME = "search"
"""The name of the study in a run's own database, until the run's space is changed."""
SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Place:
    """Where trials are stored.

    Args:
        url: of the database, in the form of SQLAlchemy.
        study: the name of the study.
        lease_seconds: after this time without a sign of life, the trials of a driver are taken up by others.
    """

    url: str
    study: str = STUDY_NAME
    lease_seconds: float = 60.0


def place_in(settings: StorageSettings, folder: RunFolder) -> Place:
    """Where the trials of the run in a folder are stored.

    Args:
        settings: of the run.
        folder: of the run.

    Raises:
        SettingsError: a file is named, which might be any file of the user's.
    """
    if settings.url is None:
        return Place(f"{SQLITE}{folder.database}", settings.study or STUDY_NAME)
    if settings.url.startswith("sqlite"):
        raise SettingsError(
            f"{folder.settings_file}: storage.url is {settings.url!r}: expected a PostgreSQL database, a journal, or "
            "null for study.db in the run folder. Correct it."
        )
    return Place(settings.url, settings.study or folder.root.resolve().name, settings.lease_seconds)


def place_of(folder: RunFolder) -> Place:
    """Where the trials of a run are stored, as its ``run.yaml`` says; without one, in its own database."""
    if not folder.settings_file.exists():
        return place_in(StorageSettings(), folder)
    return _place(folder, file_stamp(folder.settings_file))


@lru_cache(maxsize=16)
def _place(folder: RunFolder, stamp: object) -> Place:
    """The settings are read again only when their file has changed: a live page asks several times a second."""
    return place_in(folder.settings().storage, folder)
