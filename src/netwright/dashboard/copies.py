"""Copies of a run's study, from which the pages of the dashboard are made."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from optuna.storages import BaseStorage, get_storage
from optuna.trial import FrozenTrial

from netwright.errors import RunError
from netwright.runs.folder import RunFolder
from netwright.runs.place import place_of
from netwright.runs.storage import reading_storage
from netwright.runs.trials import TrialRecord, record_of

Environ = dict[str, Any]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]

_METRIC_NAMES = "study:metric_names"


@dataclass(eq=False)
class StudyCopy:
    """A copy of the study.

    Args:
        app: the application that shows it.
        study: its number.
        trials: of the study, by number.
        files: removes the copy when closed.
        readers: how many pages are being made from it.
        replaced: whether there is a newer copy, so that the last reader removes this one.
    """

    app: Application
    study: int
    trials: dict[int, FrozenTrial]
    files: contextlib.ExitStack
    readers: int = 0
    replaced: bool = False
    _records: dict[int, TrialRecord] = field(default_factory=dict)

    def record(self, number: int) -> TrialRecord | None:
        """The record of a trial; None: there is no such trial."""
        if number not in self._records and number in self.trials:
            self._records[number] = record_of(self.trials[number])
        return self._records.get(number)


def copied(folder: RunFolder, metric: str, make_app: Callable[[BaseStorage], Application]) -> StudyCopy:
    """A copy of a run's study as it is now.

    Args:
        folder: of the run.
        metric: the name of its objective.
        make_app: makes the application for a storage.

    Raises:
        RunError: the run has no trials yet, or its database cannot be read.
        StorageError: its server cannot be used.
    """
    with contextlib.ExitStack() as files:
        storage = get_storage(files.enter_context(reading_storage(folder)))  # reads finished trials once
        try:
            study = storage.get_study_id_from_name(place_of(folder).study)
        except KeyError:
            raise RunError(f"{folder.root} has no trials to show yet. Start the search first.") from None
        storage.set_study_system_attr(study, _METRIC_NAMES, [metric])
        trials = {trial.number: trial for trial in storage.get_all_trials(study, deepcopy=False)}
        return StudyCopy(make_app(storage), study, trials, files.pop_all())
