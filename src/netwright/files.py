"""Small files of a run or a network: text and JSON, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from netwright.errors import RunError, StorageError

PARTIAL = ".partial"
"""The ending of files, and of folders with a file, that are being written. A kill leaves them behind."""
_OWN_PARTIAL = re.compile(rf"(\..+|.+\.safetensors|curves\.jsonl){re.escape(PARTIAL)}")
"""The names of those in a run: hidden ones, networks, and curves. What else ends so is a user's."""
_WRITER = re.compile(rf"\.(\d+)@(.+){re.escape(PARTIAL)}$")
"""In the name of a file that is being written: by which process of which machine."""
ABANDONED_SECONDS = 600.0
"""Nobody takes so long to write a small file."""


def json_text(value: Any) -> str:
    """A value as JSON that any reader takes, which knows no NaN and no infinity: NaN is null, an infinity the text
    "Infinity" or "-Infinity". What JSON has no type for is written as `str` has it.

    >>> json_text([0.5, math.nan, math.inf]).split()
    ['[', '0.5,', 'null,', '"Infinity"', ']']
    """
    return json.dumps(_plain(value), indent=1, default=str, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def number(value: float | str | None) -> float:
    """A number that `json_text` has written."""
    return math.nan if value is None else float(value)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: whoever reads it never sees half of it.

    Raises:
        StorageError: it cannot be written (a full disk, say).
    """
    new = temporary(path)
    try:
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # the disk may be away
            new.unlink()
        raise StorageError(
            f"{path} cannot be written ({error.strerror or error}). Make room or mend the folder, then go on with "
            "'netwright resume'; nothing finished is lost."
        ) from error


def temporary(path: Path) -> Path:
    """Where this process writes what will be a file."""
    return path.with_name(f".{path.name}.{os.getpid()}@{socket.gethostname()}{PARTIAL}")


def remove_partial(root: Path, but: Callable[[Path], bool] = lambda folder: False) -> None:
    """Removes what processes have left in a folder that were killed while they wrote.

    Args:
        root: the folder. The caller knows that nobody writes to it now, except that a running process may `write_text`,
            on any machine: what is being written stays.
        but: whether a folder below it is left alone, with all that is in it.
    """
    for parent, folders, files in os.walk(root):
        at = Path(parent)
        for name in files:
            if _OWN_PARTIAL.fullmatch(name) and not _is_written_now(at / name):
                (at / name).unlink(missing_ok=True)
        for name in [name for name in folders if _OWN_PARTIAL.fullmatch(name)]:
            shutil.rmtree(at / name, ignore_errors=True)
        folders[:] = [name for name in folders if not (_OWN_PARTIAL.fullmatch(name) or but(at / name))]


def _is_written_now(path: Path) -> bool:
    """Whether a temporary file is being written: its process runs on this machine, or on another one it is recent."""
    writer = _WRITER.search(path.name)
    if writer is None:
        return False
    if writer[2] != socket.gethostname():
        return _is_recent(path)
    try:
        os.kill(int(writer[1]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # a process of another user
        return True
    return True


def _is_recent(path: Path) -> bool:
    """Whether a file was written to lately, by the clock of the disk: those of two machines may differ."""
    probe = temporary(path.with_name("clock"))
    try:
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
        return now - path.stat().st_mtime < ABANDONED_SECONDS
    except OSError:
        return True


def file_stamp(path: Path) -> tuple[int, int, int] | None:
    """A value that changes when the file is written to or replaced; None while there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def write_json(path: Path, value: Any) -> None:
    """`write_text` of a value as `json_text`."""
    write_text(path, json_text(value) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        RunError: the file is missing, unreadable or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); the run folder is incomplete.") from None
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}). Restore it from a copy.") from None


def require_writable_parent(path: Path, advice: str) -> None:
    """Makes the folder of a file that will be written, where it does not exist.

    Args:
        path: of the file.
        advice: what the user can do, a sentence for the error.

    Raises:
        StorageError: the folder cannot be made, or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror or error}). {advice}") from None
    if not os.access(path.parent, os.W_OK):
        raise StorageError(f"{path} cannot be written, as {path.parent} is not writable. {advice}")
