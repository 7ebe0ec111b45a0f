"""Reads users' files with clear errors, and writes files whole or not at all."""

from __future__ import annotations

import gzip
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import blake2b, file_digest
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, cast

from netwright.data.issues import Problem, UnusableFile
from netwright.data.similar_names import near
from netwright.errors import NetwrightError, StorageError

READING = 2
"""A version number in the key of every cache. It grows whenever a file is read differently than before, so that values
that were read wrongly are not used again."""

_GZIP_MAGIC = b"\x1f\x8b"

BROKEN_OFF = "The copy or download was probably interrupted: copy it again"


@contextmanager
def reading(path: Path, expected: str, advice: str = f"{BROKEN_OFF}.", location: str = "") -> Iterator[None]:
    """Raises `UnusableFile` for whatever goes wrong while a user's file is read.

    Every reading of a user's file passes through here. No list of exception types would be complete: on a damaged file,
    decoders raise a `KeyError`, a `RecursionError`, errors of lzma, of struct, of the tokenizer and others. Keep the
    block small, ideally the call of the decoder alone, so that it does not hide our own faults.

    Args:
        path: the file.
        expected: what the file should be.
        advice: what to do.
        location: the file and the part of it that is read, where only a part is read.

    Raises:
        UnusableFile: the block raised anything but one of our own errors.
    """
    try:
        yield
    except NetwrightError:
        raise
    except Exception as error:
        raise unreadable(path, error, expected, advice, location) from error


def unreadable(
    path: Path, reason: object, expected: str, advice: str = f"{BROKEN_OFF}.", location: str = ""
) -> UnusableFile:
    """The error for a file that cannot be read, with its decoder's message. See `reading` for the arguments."""
    size = path.stat().st_size if is_file(path) else 0
    detail = " ".join(str(reason).split()).rstrip(".") or type(reason).__name__
    return UnusableFile(
        Problem(
            "error",
            location or str(path),
            "cannot be read",
            expected=expected,
            found=f"{size} bytes{'' if size else ', as the file is empty,'} and: {printable(detail)}",
            advice=advice,
            kind="unreadable",
        )
    )


def is_file(path: Path) -> bool:
    """Whether there is such a file. Also False for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder. Also False for a name that none can have."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def printable(text: str, most: int = 400) -> str:
    """A text from a user's file, safe to print: characters that do not print are escaped, and a long text is cut."""
    escaped = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[: most + 1])
    return escaped if len(escaped) <= most else f"{escaped[:most]} ..."


class _Silence:
    """Holds back the warnings of libraries. It counts its blocks, because warning filters are shared by all threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._blocks = 0
        self._caught: Any = None

    def enter(self) -> None:
        with self._lock:
            if not self._blocks:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
            self._blocks += 1

    def leave(self) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                self._caught.__exit__(None, None, None)


_silence = _Silence()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Holds back the warnings of libraries. What matters in them is reported as a problem of the file.

    For short blocks that do not ``yield`` to other code. It is safe where several threads are in such blocks at once;
    ``warnings.catch_warnings`` alone is not.
    """
    _silence.enter()
    try:
        yield
    finally:
        _silence.leave()


def is_gzipped(path: Path) -> bool:
    """Whether a file begins as those that gzip has packed."""
    with path.open("rb") as file:
        return file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC


def open_unpacked(path: Path) -> BinaryIO:
    """A file opened for reading; what gzip has packed is unpacked."""
    return cast(BinaryIO, gzip.open(path, "rb")) if is_gzipped(path) else path.open("rb")


def read_text(path: Path, expected: str, advice: str = "Repair or remove it.") -> str:
    """Reads a text in UTF-8.

    Args:
        path: of the file.
        expected: what the file should be, for the error.
        advice: what to do, for the error.

    Raises:
        UnusableFile: it cannot be read.
    """
    with reading(path, expected, advice):
        return path.read_text(encoding="utf-8-sig")


def read_json(path: Path, expected: str = "JSON", advice: str = "Repair or remove it.") -> Any:
    """Reads the value in a JSON file.

    Args:
        path: of the file.
        expected: what the file should be, for the error.
        advice: what to do, for the error.

    Raises:
        UnusableFile: the file cannot be read, or a text in it is not valid Unicode.
    """
    with reading(path, expected, advice):
        value = json.loads(path.read_text(encoding="utf-8-sig"))
        # Half of a surrogate pair is a valid escape, and no text: it can be neither printed nor the name of a file.
        json.dumps(value, ensure_ascii=False).encode()
        return value


def require_file(
    path: Path,
    advice: str = "Restore the file, or remove the case from dataset.json.",
    expected: str = "a NIfTI volume",
) -> None:
    """Raises `UnusableFile` where there is no such file.

    Args:
        path: of the file.
        advice: what to do, for the error.
        expected: what the file should be, for the error.
    """
    if not is_file(path):
        other = near(path)
        instead = "no file"
        if other is not None:
            name = other.name if other.parent == path.parent else other
            instead = f"no file, but {name} is there"
            advice = (
                f"If that is the file, use its name, or rename it. Otherwise: {advice[0].lower()}{advice[1:]}"
            )
        raise UnusableFile(
            Problem("error", str(path), "is missing", expected, instead, advice, kind="missing-file")
        )


def content_digest(path: Path) -> str:
    """A hash of a file's bytes.

    Raises:
        UnusableFile: the file is missing.
    """
    require_file(path)
    with path.open("rb") as file:
        return file_digest(file, partial(blake2b, digest_size=16)).hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, and the folders above it, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    partial_path = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial_path.write_bytes(content)
        partial_path.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial_path.unlink()
        raise StorageError(
            f"{path} could not be written ({error.strerror or error}). Free some space, or choose another folder."
        ) from error
