"""What the processes that share a study do together: they keep the same hours, and one of them makes the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netwright.execution.notes import say_once
from netwright.runs.drivers import END, Driver
from netwright.runs.folder import RunFolder
from netwright.runs.marks import COMPARING, FINISHED, has_mark
from netwright.runs.place import place_of
from netwright.runs.storage import reopened_elsewhere, shared_backend
from netwright.settings import parse_text


def is_finished(folder: RunFolder) -> bool:
    """Whether a run is finished, and its study does not go on with more hours that another folder gave it.

    Raises:
        StorageError: the server of a study that several share cannot be used.
    """
    if not has_mark(folder, FINISHED):
        return False
    return folder.shared_trials is None or not reopened_elsewhere(folder)


def keep_in_step(folder: RunFolder) -> None:
    """Takes over the hours of a study that several share. The database has them first, so what it says holds.

    Args:
        folder: of the run, which is locked.

    Raises:
        StorageError: the server cannot be used.
    """
    if folder.shared_trials is None:
        return
    place = place_of(folder)
    kept = shared_backend(place.url).registered_run(place)
    if kept is None:
        return
    here, there = folder.settings(), parse_text(kept.settings)
    if kept.finished is None and (folder.root / FINISHED).exists():
        for name in (FINISHED, COMPARING):
            (folder.root / name).unlink(missing_ok=True)
    changes: dict[str, Any] = {}
    if here.budget.hours != there.budget.hours:
        changes["budget.hours"] = there.budget.hours
    if here.race is not None and there.race is not None and here.race.compare != there.race.compare:
        changes["race.compare"] = there.race.compare
    if changes:
        (folder.root / COMPARING).unlink(missing_ok=True)
        folder.change_settings(changes)


def once(folder: RunFolder, driver: Driver, what: str, end: Callable[[], None]) -> bool:
    """The end of a run, if no other driver of the study makes it or has made it.

    Args:
        folder: of the run.
        driver: this process, as one that works on the study.
        what: is made in the end, in words.
        end: makes it.

    Returns:
        Whether it is made.
    """
    where = _made_in(folder, driver)
    other = None if where else driver.reserve(END)
    where = where or _made_in(folder, driver)  # another one may have made it while this one waited
    if where is None and other is not None:
        say_once(f"The search has ended. The {what} is made by {other}.")
        return False
    if where is None:
        end()
    elif not (folder.root / COMPARING).exists():
        say_once(f"The {what} has been made in {where}.")
    return True


def _made_in(folder: RunFolder, driver: Driver) -> str | None:
    """The folder in which the end was made; None: it was not. In this one it has left a file, if it was."""
    where = driver.finished()
    here = where == str(folder.root.resolve())
    return None if here and not (folder.root / COMPARING).exists() else where
