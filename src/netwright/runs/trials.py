"""Trials: how they lie in Optuna's storage, and how netwright reads them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from netwright.execution.interrupts import held_back
from netwright.runs.clock import SPENT
from netwright.runs.folder import RunFolder
from netwright.runs.left_out import LEFT_OUT, WAS, as_it_was
from netwright.runs.place import STUDY_NAME, place_of
from netwright.runs.storage import has_storage, reading_storage
from netwright.strategies.base import FIDELITY
from netwright.training.outcome import Outcome, Status

ENDED = "ended"
"""The study attribute with the reason why a search ended before its budget."""
WORDS = "words"
"""The user attribute with a trial's choice in words."""
FOLDER = "folder"
"""The user attribute with the run folder of the search that trains a trial, if several share the study."""
CONTINUES = "continues"
"""The user attribute of a trial with the number of the trial whose training it goes on with."""
JOINED = "joined"
"""The user attribute of a trial that has the threads of several workers, in a search whose trainings go on."""
DEFAULT = "default"
"""The user attribute of a trial of the space's starting choice, in a search whose trainings go on."""
MAXIMISED = "maximised"
"""The user attribute with the value of each objective, with the opposite sign if it is minimised, if there are several.
"""
STOPPED = "stopped"
RUNNING = "running"
LEARNED = frozenset(Status) - {Status.CRASHED}
"""The statuses that a strategy learns from. Those without a reward are stored as pruned trials and rank last."""


@dataclass(frozen=True)
class TrialRecord:
    """One candidate of a run. Times are seconds since 1970.

    ``status`` is that of an `Outcome`, or "running", or "stopped" when the time was up, or "left_out" if it is not of
    the run's space any more: then it has no reward, but still the outcome of its training. ``outcome`` is None while
    the candidate runs, and if it was stopped. ``cached_from`` is the trial that had trained the same network.
    ``phase`` is "exploration" or "exploitation" where the strategy has these phases. ``words`` is the choice in the
    words of its space; empty in runs of earlier versions. ``continues`` is the trial whose training this one goes
    on with; None: it starts one. ``joined``: whether it had the threads of several workers. ``network`` is the text of
    its canonical choice, see `network_key`, and ``default`` says whether it is the space's starting choice, where
    the search notes that. The choice was drawn from ``distributions``. ``values`` has the value of each objective; the
    first one is ``reward``.
    """

    number: int
    choice: dict[str, Any]
    status: str
    reason: str
    reward: float | None
    outcome: Outcome | None
    cached_from: int | None
    started: float | None
    finished: float | None
    phase: str | None = None
    words: str = ""
    continues: int | None = None
    joined: bool = False
    network: str = ""
    default: bool = False
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict, compare=False, repr=False)
    values: tuple[float, ...] = ()
    maximised: tuple[float, ...] = ()


def load_trials(folder: RunFolder) -> list[FrozenTrial]:
    """All trials of a run, for reading. Empty where the search has not begun."""
    return load_search(folder)[0]


def load_search(folder: RunFolder) -> tuple[list[FrozenTrial], float]:
    """All trials of a run, for reading, and the seconds spent on the search when they were last stored.

    Raises:
        RunError: the database is damaged.
    """
    trials, attributes, _ = _read(folder)
    return trials, float(attributes.get(SPENT, 0.0))


def copied_study(folder: RunFolder, sampler: BaseSampler | None = None) -> optuna.Study | None:
    """A copy of the run's study in memory, for reading; None where it has no trial yet.

    Raises:
        RunError: the database is damaged.
    """
    trials, attributes, directions = _read(folder)
    if not trials:
        return None
    study = optuna.create_study(study_name=STUDY_NAME, sampler=sampler, directions=directions)
    for name, value in attributes.items():
        study.set_user_attr(name, value)
    study.add_trials(trials)
    return study


def _read(folder: RunFolder) -> tuple[list[FrozenTrial], dict[str, Any], list[StudyDirection]]:
    """The trials, and the study's attributes and directions. Empty where there is no study yet."""
    if not has_storage(folder):
        return [], {}, []
    with reading_storage(folder) as storage:
        try:
            study_id = storage.get_study_id_from_name(place_of(folder).study)
        except KeyError:
            return [], {}, []
        directions = storage.get_study_directions(study_id)
        return storage.get_all_trials(study_id), storage.get_study_user_attrs(study_id), directions


def record_of(trial: FrozenTrial) -> TrialRecord:
    """The record of a stored trial."""
    attributes = trial.user_attrs
    outcome = attributes.get("outcome")
    shown = as_it_was(trial) if WAS in attributes else trial
    return TrialRecord(
        number=trial.number,
        choice=dict(shown.params),
        status=status_in_words(trial.state, attributes.get("status")),
        reason=attributes.get("reason", ""),
        reward=trial.values[0] if trial.state == TrialState.COMPLETE else None,
        outcome=Outcome.from_dict(outcome) if outcome else None,
        cached_from=attributes.get("cached_from"),
        started=trial.datetime_start.timestamp() if trial.datetime_start else None,
        finished=trial.datetime_complete.timestamp() if trial.datetime_complete else None,
        phase=_phase(trial),
        words=str(attributes.get(WORDS, "")),
        continues=attributes.get(CONTINUES),
        joined=bool(attributes.get(JOINED)),
        network=str(attributes.get("network", "")),
        default=bool(attributes.get(DEFAULT)),
        distributions=shown.distributions,
        values=tuple(trial.values) if trial.state == TrialState.COMPLETE else (),
        maximised=tuple(attributes.get(MAXIMISED, ())) if trial.state == TrialState.COMPLETE else (),
    )


def status_in_words(state: TrialState, stored: str | None) -> str:
    """The status of a trial in some state, for which the search has ``stored`` a status; None: it has stored none."""
    if not state.is_finished():
        return RUNNING
    return stored or (Status.COMPLETE.value if state == TrialState.COMPLETE else STOPPED)


class Records:
    """The records of a study's trials. That of a finished trial is made once, as it does not change any more."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._finished: dict[int, TrialRecord] = {}

    def read(self) -> list[TrialRecord]:
        """All trials as they are now."""
        return self.of(self._study.get_trials(deepcopy=False))

    def of(self, trials: Iterable[FrozenTrial]) -> list[TrialRecord]:
        """Those of the study's trials as they were read."""
        return [self._record(trial) for trial in trials]

    def _record(self, trial: FrozenTrial) -> TrialRecord:
        if not trial.state.is_finished():
            return record_of(trial)
        if trial.number not in self._finished:
            self._finished[trial.number] = record_of(trial)
        return self._finished[trial.number]


def _phase(trial: FrozenTrial) -> str | None:
    """The phase of a trial in published Q-learning. Its random episodes belong to the phase in which they alternate
    with others.
    """
    kinds = [
        s.get("kind") for name, s in trial.system_attrs.items() if name.startswith("netwright:q-learning:")
    ]
    if not kinds or kinds[-1] not in ("exploration", "random", "exploitation"):
        return None
    return "exploration" if kinds[-1] == "exploration" else "exploitation"


def store_outcome(
    study: optuna.Study,
    trial: optuna.Trial,
    outcome: Outcome,
    values: float | Sequence[float] | None,
    cached_from: int | None = None,
) -> None:
    """Finishes a trial: complete with a reward, pruned if there is something to learn from it, else failed.

    The curves stay in the trial's folder. The storage holds what tables need. A signal that ends the search waits until
    all of it is stored: Optuna would store the trial without its place in the order of completion.

    Args:
        study: of the run.
        trial: to finish.
        outcome: of its training.
        values: its reward, or the value of each objective; None if it has none.
        cached_from: the trial whose outcome is used; None: it was trained.
    """
    with held_back():
        trial.set_user_attr("outcome", replace(outcome, curves={}).to_dict())
        trial.set_user_attr("reason", outcome.reason)
        trial.set_user_attr("status", outcome.status.value)
        if outcome.fidelity is not None:
            trial.set_user_attr(FIDELITY, outcome.fidelity.amount)
        if cached_from is not None:
            trial.set_user_attr("cached_from", cached_from)
        if isinstance(values, Sequence) and len(values) > 1:
            higher = [direction == StudyDirection.MAXIMIZE for direction in study.directions]
            trial.set_user_attr(MAXIMISED, [v if up else -v for v, up in zip(values, higher, strict=True)])
        if outcome.status == Status.COMPLETE and values is not None:
            study.tell(trial, values)
        elif outcome.status in LEARNED:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, state=TrialState.FAIL)


def stop_trial(study: optuna.Study, trial: optuna.Trial, reason: str) -> None:
    """Finishes a trial that was cut off. The strategy learns nothing from it.

    Args:
        study: of the run.
        trial: to finish.
        reason: in words.
    """
    with held_back():
        trial.set_user_attr("status", STOPPED)
        trial.set_user_attr("reason", reason)
        study.tell(trial, state=TrialState.FAIL)


def count_statuses(records: Iterable[TrialRecord]) -> dict[str, int]:
    """The number of trials with each status. All statuses are named.

    In addition, "cached" counts the trials that reused a result, and "trained" the complete ones that did not. "total"
    and "cached" are without those that are left out.
    """
    return named_counts(Counter((record.status, record.cached_from is not None) for record in records))


def named_counts(counts: Counter[tuple[str, bool]]) -> dict[str, int]:
    """`count_statuses` from the number of trials with each status, apart for those that reused a result and others."""
    names = (*map(str, Status), STOPPED, RUNNING, LEFT_OUT)
    of_space = {key: number for key, number in counts.items() if key[0] != LEFT_OUT}
    return {
        "total": sum(of_space.values()),
        **{name: counts[name, True] + counts[name, False] for name in names},
        "cached": sum(number for (_, cached), number in of_space.items() if cached),
        "trained": counts[Status.COMPLETE.value, False],
    }


def best_of(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The trial with the greatest reward. Among equals, that which is better in further objectives, then the earliest.

    Of a training in parts, the last one counts.
    """
    rewarded = [record for record in records if record.reward is not None]
    gone_on = {record.continues for record in rewarded}
    rewarded = [r for r in rewarded if not gone_on & {r.number, r.cached_from} - {None}]
    return max(rewarded, key=lambda r: (r.reward, r.maximised, -r.number), default=None)


def network_key(canonical: dict[str, Any]) -> str:
    """A canonical choice as a text. Two choices have the same text if they make the same network."""
    return json.dumps(canonical, sort_keys=True)


def path_of(folder: RunFolder, record: TrialRecord) -> Path:
    """The folder with a trial's curves and weights. It is that of the trial that trained the network."""
    return folder.trial(record.number if record.cached_from is None else record.cached_from)
