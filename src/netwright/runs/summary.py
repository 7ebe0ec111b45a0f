"""What the state of a search is told from: counts, the best trial and the running ones.

They are read by a few questions to the database, which take a second where there are 100,000 trials.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from netwright.objective import ObjectiveSettings
from netwright.runs.candidates import RaceStatus, race_status
from netwright.runs.clock import SPENT
from netwright.runs.folder import RunFolder
from netwright.runs.front import front_indices, front_of
from netwright.runs.place import place_of
from netwright.runs.storage import has_storage, storage_itself
from netwright.runs.trials import (
    RUNNING,
    TrialRecord,
    best_of,
    count_statuses,
    load_search,
    named_counts,
    record_of,
    status_in_words,
)
from netwright.settings import RunSettings

UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)
_COUNTS = """
SELECT state, status.value_json, COALESCE(cached.value_json, 'null') <> 'null', count(*)
FROM trials
LEFT JOIN trial_user_attributes AS status ON status.trial_id = trials.trial_id AND status.key = 'status'
LEFT JOIN trial_user_attributes AS cached ON cached.trial_id = trials.trial_id AND cached.key = 'cached_from'
WHERE study_id = :study
GROUP BY 1, 2, 3
"""
_BEST = """
SELECT trials.trial_id
FROM trials JOIN trial_values ON trial_values.trial_id = trials.trial_id
WHERE study_id = :study AND state = 'COMPLETE' AND objective = 0
ORDER BY CASE value_type WHEN 'INF_POS' THEN 2 WHEN 'FINITE' THEN 1 ELSE 0 END DESC, value DESC, number
LIMIT 1
"""
_VALUES = """
SELECT trials.trial_id, value
FROM trials
JOIN trial_values ON trial_values.trial_id = trials.trial_id
LEFT JOIN trial_user_attributes AS cached ON cached.trial_id = trials.trial_id AND cached.key = 'cached_from'
WHERE study_id = :study AND state = 'COMPLETE' AND COALESCE(cached.value_json, 'null') = 'null'
ORDER BY trials.trial_id, objective
"""


@dataclass(frozen=True)
class SearchSummary:
    """A search in short.

    Args:
        counts: see `count_statuses`.
        best: see `best_of`.
        running: the trials that have not ended, in the order of their proposal.
        race: of a search whose trainings go on; else None.
        front: how many trials are on the Pareto front; None: there is one objective.
    """

    counts: dict[str, int]
    best: TrialRecord | None
    running: tuple[TrialRecord, ...]
    race: RaceStatus | None = None
    front: int | None = None


def summary_of(
    records: Iterable[TrialRecord], *, race: bool, objective: ObjectiveSettings | None = None
) -> SearchSummary:
    """The summary of trials.

    Args:
        records: of all trials.
        race: whether the trainings go on.
        objective: of the run; None: there is a single one.
    """
    records = list(records)
    return SearchSummary(
        counts=count_statuses(records),
        best=best_of(records),
        running=tuple(record for record in records if record.status == RUNNING),
        race=race_status(records) if race else None,
        front=len(front_of(records, objective)) if objective is not None and objective.several else None,
    )


def read_summary(folder: RunFolder, settings: RunSettings) -> tuple[SearchSummary, float]:
    """The summary of a run's search, and the seconds spent on it when they were last stored.

    Raises:
        RunError: the database is damaged.
        StorageError: its server cannot be used.
    """
    if settings.race is None and has_storage(folder):
        # Such as a journal that a killed process left, or damage: a copy can be mended, or says what is wrong.
        with (
            contextlib.suppress(SQLAlchemyError, StorageInternalError),
            storage_itself(folder) as storage,
        ):
            return _asked(storage, place_of(folder).study, settings.objective)
    trials, seconds = load_search(folder)
    records = map(record_of, trials)
    return summary_of(records, race=settings.race is not None, objective=settings.objective), seconds


def _asked(storage: RDBStorage, name: str, objective: ObjectiveSettings) -> tuple[SearchSummary, float]:
    """The summary of a study in which each candidate is trained once, asked of its database."""
    try:
        study = storage.get_study_id_from_name(name)
    except KeyError:
        return summary_of((), race=False, objective=objective), 0.0
    with storage.engine.connect() as connection:
        groups = connection.execute(text(_COUNTS), {"study": study}).all()
        best = connection.execute(text(_BEST), {"study": study}).scalar()
        front = None
        if objective.several:
            rows = connection.execute(text(_VALUES), {"study": study}).all()
            count = len(objective.names)
            members = front_indices(
                [[row.value for row in rows[i : i + count]] for i in range(0, len(rows), count)], objective
            )
            front, best = len(members), rows[count * members[0]].trial_id if members else None
    summary = SearchSummary(
        counts=named_counts(_counted(groups)),
        best=None if best is None else record_of(storage.get_trial(best)),
        running=tuple(
            record_of(trial) for trial in storage.get_all_trials(study, deepcopy=False, states=UNFINISHED)
        ),
        front=front,
    )
    return summary, float(storage.get_study_user_attrs(study).get(SPENT, 0.0))


def _counted(groups: Iterable[Any]) -> Counter[tuple[str, bool]]:
    """How many trials have each status, with and without a result that they took from another one."""
    counts: Counter[tuple[str, bool]] = Counter()
    for state, status, cached, number in groups:
        stored = None if status is None else json.loads(status)
        counts[status_in_words(TrialState[state], stored), bool(cached)] += number
    return counts
