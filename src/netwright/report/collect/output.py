"""Where a report is written, and which files it may overwrite."""

from __future__ import annotations

import os
from pathlib import Path

from netwright.errors import StorageError
from netwright.files import require_writable_parent
from netwright.runs.folder import RunFolder

HISTORY = "policy.json"
"""The file beside the report that holds the course of the strategy, for programs."""

GENERATOR = b'<meta name="generator" content="netwright">'
HISTORY_START = b'"rounds": ['


def report_path(folder: RunFolder, output: Path | None) -> Path:
    """The path of the report. The folder of ``output`` is made where it does not exist.

    Raises:
        StorageError: the report cannot be written there, or another file is there.
    """
    if output is not None:
        return page_path(output, folder.report.name)
    require_writable_parent(folder.report, "Give another path with -o.")
    return folder.report


def page_path(output: Path, name: str) -> Path:
    """The path of a page that the user asked for. Its folder is made where it does not exist.

    Args:
        output: the file, or the folder for it (a name without an ending is a folder).
        name: of the file in that folder.

    Raises:
        StorageError: it cannot be written there, or another file is there.
    """
    path = output / name if output.is_dir() or not output.suffix else output
    if path.suffix.lower() not in (".html", ".htm"):
        raise StorageError(
            f"{path} is not a name for a report: expected one that ends in .html, or a folder. Change -o."
        )
    require_own(path)
    require_writable_parent(path, "Give a file in a writable folder.")
    return path


def require_own(path: Path) -> None:
    """Refuses a file that is neither a report nor a file beside one, so that no file of the user is lost.

    Raises:
        StorageError: the file exists, and does not begin like a file that is written here.
    """
    if not os.path.lexists(path):
        return
    own = GENERATOR if path.name != HISTORY else HISTORY_START
    try:
        with path.open("rb") as file:
            is_own = own in file.read(1000)
    except OSError:
        is_own = False
    if not is_own:
        raise StorageError(
            f"{path} already exists and is not a report of netwright, so it is kept. Give another path with -o."
        )
