"""A journal of Optuna's on a shared disk, whose writers take turns by a lock that ends with their process."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock

from netwright.errors import StorageError

LOCK_SECONDS = 600.0
"""Nobody holds the lock for so long but a process that is suspended, or a disk that does not answer."""
POLL_SECONDS = 0.01
_LAST_LINE_BYTES = 2**24


class DiskLock(BaseJournalFileLock):
    """The lock of a journal. Its holder may take it again. The system releases it however a process ends.

    Args:
        path: of a file beside the journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = threading.RLock()
        self._file = FileLock(path, timeout=LOCK_SECONDS, thread_local=False, poll_interval=POLL_SECONDS)

    def acquire(self) -> bool:
        """Wait for it.

        Raises:
            StorageError: another process holds it for too long, or the disk cannot be written to.
        """
        self._thread.acquire()
        try:
            self._file.acquire()
        except Timeout:
            self._thread.release()
            raise StorageError(
                f"{self._path} has been locked by another process for {LOCK_SECONDS / 60:.0f} minutes. End that one if "
                "it hangs, or wait for the disk; then go on with 'netwright resume'. Nothing that was stored is lost."
            ) from None
        except OSError as error:
            self._thread.release()
            raise cannot_be_used(self._path, error) from error
        return True

    def release(self) -> None:
        """Give it back."""
        self._file.release()
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

    Raises:
        StorageError: it cannot be made.
    """

    def __init__(self, path: Path, lock: DiskLock) -> None:
        self._path = path
        self.lock = lock
        try:
            super().__init__(str(path), lock)
        except OSError as error:
            raise cannot_be_used(path, error) from error

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """As in `JournalFileBackend`.

        Raises:
            StorageError: it cannot be read.
        """
        try:
            yield from super().read_logs(log_number_from)
        except OSError as error:
            raise cannot_be_used(self._path, error) from error

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


def cannot_be_used(path: Path, error: OSError) -> StorageError:
    """The error for a file of a journal that cannot be read or written, with what to do."""
    return StorageError(
        f"{path} cannot be used ({error.strerror or error}). Mount its disk, make room or mend its permissions, then "
        "go on with 'netwright resume'; nothing that was stored is lost."
    )
