"""The weights of another network that a run begins with: a copy in the run folder, so that the run needs no other."""

from __future__ import annotations

import hashlib
from pathlib import Path

from netwright.errors import RunError
from netwright.runs.folder import RunFolder
from netwright.settings import RunSettings


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits.

    Raises:
        RunError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror or error}).") from None


def start_weights(folder: RunFolder, settings: RunSettings) -> Path | None:
    """The file of weights that the networks of a run begin with; None: they begin anew.

    Raises:
        RunError: the file is missing from the run folder.
    """
    if settings.start_from is None or settings.start_from.digest is None:
        return None
    path = folder.start_weights
    if not path.is_file():
        raise RunError(
            f"{path} is missing: the networks of this run begin with it. Restore it from a copy, or from "
            f"{settings.start_from.file}."
        )
    return path


def found_again(settings: RunSettings) -> Path | None:
    """The file that the weights of a run were copied from, for another folder of the same run; None: there are none.

    Raises:
        RunError: it is gone, or has changed.
    """
    start = settings.start_from
    if start is None or start.digest is None or start.file is None:
        return None
    if not start.file.is_file() or digest_of(start.file) != start.digest:
        changed = "has changed" if start.file.is_file() else "is gone"
        raise RunError(
            f"{start.file}, with whose weights the networks of this run begin, {changed}. Restore it from a copy, or "
            "name what to start from anew with --start-from."
        )
    return start.file
