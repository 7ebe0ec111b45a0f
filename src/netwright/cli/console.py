"""Printing for the verbs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from netwright.errors import SettingsError
from netwright.files import json_text

if TYPE_CHECKING:
    from netwright.api.run import Run
    from netwright.runs.folder import RunFolder

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print JSON for other programs on standard output, without wrapping lines."""
    sys.stdout.write(json_text(value) + "\n")


def print_lines(lines: Iterable[str], console: Console = out) -> None:
    """Print lines unchanged, without interpreting markup in them."""
    for line in lines:
        console.print(line, markup=False)


@contextlib.contextmanager
def located_run(run: Path | None, storage: str | None, study: str | None) -> Iterator[RunFolder]:
    """The folder of a run to look at, by its path, or by its study in a database.

    Args:
        run: its folder; None: it is a study.
        storage: the URL of the database.
        study: the name of the study.

    Raises:
        SettingsError: neither was given, or both.
        RunError: there is no such run or study.
        StorageError: the database cannot be used.
    """
    from netwright.runs.folder import open_run_folder
    from netwright.runs.studies import study_at, visited_study

    given = study_of(run, storage, study)
    if given is None:
        assert run is not None
        yield open_run_folder(run)
    else:
        with visited_study(study_at(*given)) as visited:
            yield visited


def study_of(run: Path | None, storage: str | None, study: str | None) -> tuple[str, str] | None:
    """The database and the name of the study that a verb is for; None where it is for a run folder.

    Args:
        run: the folder, if it was given.
        storage: the URL of the database, if it was given.
        study: the name of the study, if it was given.

    Raises:
        SettingsError: neither was given, or both.
    """
    if run is not None and storage is None and study is None:
        return None
    if run is None and storage is not None and study is not None:
        return storage, study
    raise SettingsError("Give the folder of a run, or --storage URL and --study NAME.")


def opened_run(run: Path, *, trust_code: bool, searching: bool = False) -> Run:
    """Open a run whose networks will be used, and say which of the user's code it runs.

    Args:
        run: its folder.
        trust_code: as in `netwright.open_run`.
        searching: whether its search will go on, which runs the code of its strategy, too.

    Raises:
        RunError: there is no such run.
        UntrustedCode: it names code that may not be run.
    """
    from netwright.api import open_run

    opened = open_run(run, trust_code=trust_code)
    told = opened.code(searching=searching)
    if told is not None:
        err.print(f"code       {told}", markup=False)
    return opened
