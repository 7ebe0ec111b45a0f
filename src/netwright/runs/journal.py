"""Optuna's storage in a journal file on a shared disk. Several searches may share a study in it, without a server."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage

from netwright.errors import SettingsError, StorageError
from netwright.files import file_stamp
from netwright.runs.drivers import Driver
from netwright.runs.journal_driver import JournalDriver, SharedJournal, StudyFiles, drivers_in, folder_beside
from netwright.runs.journal_file import DiskLock, JournalFile, cannot_be_used, read_beside
from netwright.runs.kept_run import KeptRun
from netwright.runs.lease_holder import renewed
from netwright.runs.place import Place

SCHEME = "journal"
EXAMPLE = "journal:///shared/lab.journal"


def require_url(url: str) -> None:
    """Refuses a URL that names no file by its absolute path.

    Raises:
        SettingsError: it does not.
    """
    path = url.removeprefix(f"{SCHEME}://")
    if not path.startswith("/") or path.endswith("/"):
        raise SettingsError(
            f"storage.url is {url!r}: expected the absolute path of a file on a disk that all processes share, such as "
            f"{EXAMPLE}."
        )


def exists(place: Place) -> bool:
    """Whether there is such a study, or a run that was to search in it."""
    return registered_run(place) is not None


def open_for_writing(place: Place) -> BaseStorage:
    """Opens the storage.

    Raises:
        RunError: the journal is damaged.
        StorageError: its disk cannot be used, or it has no such study.
    """
    return _opened(place, _registered(place), None)


@contextlib.contextmanager
def driving(place: Place, folder: str) -> Iterator[Driver]:
    """This process as one of the drivers of the study.

    Args:
        place: of the study.
        folder: of the run, for messages.

    Raises:
        RunError: the journal is damaged.
        StorageError: its disk cannot be used, or it has no such study.
    """
    files = _registered(place)
    driver = JournalDriver(files, place, folder)
    driver.storage = _opened(place, files, driver)
    with renewed(driver):
        yield driver


def drivers(place: Place) -> tuple[str, ...]:
    """The drivers that work on the study now, in words."""
    return drivers_in(StudyFiles(_journal(place), place.study))


@contextlib.contextmanager
def itself(place: Place) -> Iterator[RDBStorage]:
    """None: a journal cannot be asked questions, only read as a whole.

    Raises:
        StorageInternalError: always.
    """
    raise StorageInternalError("A journal is read as a whole.")
    yield


def reopen(place: Place, settings: str) -> None:
    """Notes that a study goes on that was finished, with other settings.

    Args:
        place: of the study.
        settings: the text of ``run.yaml``.

    Raises:
        StorageError: its disk cannot be used, or it has no such study.
    """
    files = _registered(place)
    with files.lock:
        kept = files.kept()
        if kept is not None:
            files.keep(replace(kept, settings=settings, finished=None))


@contextlib.contextmanager
def reading(place: Place) -> Iterator[BaseStorage]:
    """A copy of the storage at this moment. Readers need no permission to write.

    Raises:
        RunError: the journal is damaged.
        StorageError: it cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = _journal(place)
    with tempfile.TemporaryDirectory(prefix="netwright-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / journal.name
        try:
            shutil.copyfile(journal, copy)
        except FileNotFoundError:
            copy.touch()  # a run that has not begun
        except OSError as error:
            raise cannot_be_used(journal, error) from error
        yield JournalStorage(JournalFile(copy, DiskLock(Path(folder) / "lock"), journal))


def stamp(place: Place) -> object:
    """A value that changes whenever a search has stored something."""
    return file_stamp(_journal(place))


def register_run(place: Place, settings: str, splits: str) -> bool:
    """Keeps the settings and the parts of a run with its study, so that other drivers can join it.

    Args:
        place: of the study.
        settings: the text of ``run.yaml``.
        splits: the text of ``splits.json``.

    Returns:
        Whether they are kept; False: another run was there first.

    Raises:
        StorageError: its disk cannot be used.
    """
    files = _new(place)
    with files.lock:
        if files.kept() is not None:
            return False
        JournalFile(_journal(place), files.lock)
        if not files.begin(KeptRun(settings, splits)):
            return False
        files.write_leases({})
        return True


def registered_run(place: Place) -> KeptRun | None:
    """What `register_run` has kept; None where the journal has no such study.

    Raises:
        StorageError: its disk cannot be used.
    """
    return StudyFiles(_journal(place), place.study).kept()


def registered_studies(place: Place) -> tuple[str, ...]:
    """The names of all studies with a run, sorted.

    Raises:
        StorageError: its disk cannot be used.
    """
    kept = map(read_beside, folder_beside(_journal(place)).glob("run-*.json"))
    return tuple(sorted(str(values["study"]) for values in kept if values is not None))


def _journal(place: Place) -> Path:
    require_url(place.url)
    return Path(place.url.removeprefix(f"{SCHEME}://"))


def _new(place: Place) -> StudyFiles:
    """The files of a study that may be new, in a folder that is made beside the journal where there is none.

    Raises:
        StorageError: it cannot be made.
    """
    journal = _journal(place)
    files = StudyFiles(journal, place.study)
    try:
        files.folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise StorageError(
            f"{journal} cannot be made: there is no folder {journal.parent}. Mount its disk, make the folder, or "
            "correct --storage."
        ) from None
    except OSError as error:
        raise cannot_be_used(files.folder, error) from error
    return files


def _registered(place: Place) -> StudyFiles:
    """The files of a study that has begun.

    Raises:
        StorageError: there is none.
    """
    journal = _journal(place)
    files = StudyFiles(journal, place.study)
    if files.kept() is None or not journal.exists():
        raise StorageError(
            f"{journal}, or what belongs to the study {place.study!r} in {files.folder}, is not there. Mount its disk, "
            "or restore both from a copy; then go on with 'netwright resume'."
        )
    return files


def _opened(place: Place, files: StudyFiles, driver: JournalDriver | None) -> SharedJournal:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return SharedJournal(JournalFile(_journal(place), files.lock), driver)
