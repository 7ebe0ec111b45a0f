"""A journal of Optuna's on a shared disk, whose writers take turns by a lock that ends with their process."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock

from netwright.errors import RunError, StorageError, first_line

LOCK_SECONDS = 600.0
"""Nobody holds the lock for so long but a process that is suspended, or a disk that does not answer."""
POLL_SECONDS = 0.01
_LAST_LINE_BYTES = 2**24
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


class DiskLock(BaseJournalFileLock):
    """The lock of a journal. Its holder may take it again. The system releases it however a process ends.

    Args:
        path: of a file beside the journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = threading.RLock()
        self._file = FileLock(
            path,
            timeout=LOCK_SECONDS,
            thread_local=False,
            poll_interval=POLL_SECONDS,
            fallback_to_soft=False,  # a lock by a file's existence would outlive its process
        )

    def acquire(self) -> bool:
        """Wait for it.

        Raises:
            StorageError: another process holds it for too long, or the disk cannot be written to, or has no locks.
        """
        self._thread.acquire()
        try:
            self._lock_file()
        except BaseException:
            self._thread.release()
            raise
        return True

    def _lock_file(self) -> None:
        try:
            self._file.acquire()
        except Timeout:
            raise StorageError(
                f"{self._path} has been locked by another process for {LOCK_SECONDS / 60:.0f} minutes. End that one if "
                "it hangs, or wait for the disk; then go on with 'netwright resume'. Nothing that was stored is lost."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise cannot_be_used(self._path, error) from error
            raise StorageError(
                f"{self._path} cannot be locked ({error.strerror}): its disk has no flock. Mount it with flock, or "
                "name a journal on another disk, or a PostgreSQL database."
            ) from error

    def release(self) -> None:
        """Give it back.

        Raises:
            StorageError: the disk does not take it.
        """
        try:
            self._file.release()
        except OSError as error:
            raise cannot_be_used(self._path, error) from error
        finally:
            self._thread.release()

    def __enter__(self) -> DiskLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class JournalFile(JournalFileBackend):
    """The journal. A line that a process could not write to its end, as the disk was full, is removed by the next one.

    Args:
        path: of the file; it is made where there is none.
        lock: of its writers.
        original: of which the file is a copy, for messages; None: it is none.

    Raises:
        StorageError: it cannot be made.
    """

    def __init__(self, path: Path, lock: DiskLock, original: Path | None = None) -> None:
        self._path = path
        self._shown = original or path
        self.lock = lock
        try:
            super().__init__(str(path), lock)
        except OSError as error:
            raise cannot_be_used(path, error) from error

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """As in `JournalFileBackend`.

        Raises:
            RunError: it is damaged.
            StorageError: it cannot be read.
        """
        try:
            yield from super().read_logs(log_number_from)
        except OSError as error:
            raise cannot_be_used(self._path, error) from error
        except ValueError as error:  # of a line that is no JSON
            raise RunError(
                f"{self._shown} is damaged ({first_line(error)}). Restore it from a copy."
            ) from None

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """As in `JournalFileBackend`.

        Raises:
            StorageError: it cannot be written, as where the disk is full.
        """
        with self.lock:
            try:
                self._remove_torn_line()
                super().append_logs(logs)
            except OSError as error:
                raise cannot_be_used(self._path, error) from error

    def _remove_torn_line(self) -> None:
        with self._path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            begin = max(0, size - _LAST_LINE_BYTES)
            if size:
                file.seek(size - 1)
            if not size or file.read(1) == b"\n":
                return
            file.seek(begin)
            file.truncate(begin + file.read().rfind(b"\n") + 1)


def read_beside(path: Path) -> Any:
    """The value in a JSON file beside a journal; None: there is no such file.

    Raises:
        StorageError: it cannot be read, or is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot_be_used(path, error) from error
    except ValueError as error:
        raise StorageError(f"{path} is damaged ({first_line(error)}). Restore it from a copy.") from None


def cannot_be_used(path: Path, error: OSError) -> StorageError:
    """The error for a file of a journal that cannot be read or written, with what to do."""
    return StorageError(
        f"{path} cannot be used ({error.strerror or error}). Mount its disk, make room or mend its permissions, then "
        "go on with 'netwright resume'; nothing that was stored is lost."
    )
