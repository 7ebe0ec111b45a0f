"""The folder of trainings that several processes share: trainings that go on may go on in any of them."""

from __future__ import annotations

import os
from pathlib import Path

from netwright.errors import RunError, StorageError
from netwright.runs.folder import RunFolder


def make_shared_trials(shared: Path | None) -> None:
    """Makes the folder of trainings that the processes of a new study are to share.

    Only the process that begins the study does this. Its name is random, so whoever finds it has the same disk.

    Args:
        shared: the folder; None: there is none.

    Raises:
        StorageError: it cannot be made.
    """
    if shared is None:
        return
    try:
        shared.mkdir(parents=True)
    except OSError as error:
        raise StorageError(
            f"{shared}, where all processes of the study keep their trainings, cannot be made "
            f"({error.strerror or error}). Begin another study, with --set storage.folder=PATH on a disk that all of "
            "them can write to."
        ) from error


def require_shared_trials(folder: RunFolder) -> None:
    """Refuses to take part in a study whose trainings cannot be reached from here.

    Args:
        folder: of the run that takes part.

    Raises:
        RunError: the folder of its trainings is not here, or cannot be written to.
    """
    shared = folder.shared_trials
    if shared is None or (shared.is_dir() and os.access(shared, os.W_OK | os.X_OK)):
        return
    fault = "cannot be written to" if shared.is_dir() else "is not there"
    raise RunError(
        f"{shared} {fault}. All processes of this study go on with one another's trainings, which are in this folder: "
        "expected a disk that they share, under the same path on each machine. Mount it, or begin another study with "
        "--set storage.folder=PATH on such a disk."
    )
