"""Files that are there, and files that appear whole or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from netwright.data.problems import Problem, UnusableFile
from netwright.errors import StorageError


def require_file(
    path: Path,
    advice: str = "Restore the file, or remove the case from dataset.json.",
    expected: str = "a NIfTI volume",
) -> None:
    """Raise `UnusableFile` where there is no such file."""
    if not path.is_file():
        raise UnusableFile(
            Problem("error", str(path), "is missing", expected, "no file", advice, kind="missing-file")
        )


def content_digest(path: Path) -> str:
    """A hash of a file's bytes.

    Raises:
        UnusableFile: the file is missing.
    """
    require_file(path)
    with path.open("rb") as file:
        return file_digest(file, partial(blake2b, digest_size=16)).hexdigest()


def json_text(value: Any) -> str:
    """A value as JSON that any reader takes, which knows no NaN and no infinity: NaN is null, an infinity the text
    "Infinity" or "-Infinity". What JSON has no type for is written as `str` has it.
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
            f"{path} could not be written ({error.strerror or error}). Make room, or choose another folder."
        ) from error
