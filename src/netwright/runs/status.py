"""The state of a run, read from its folder alone, during the run or afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from netwright.errors import NetwrightError
from netwright.files import read_json
from netwright.objective import ObjectiveSettings
from netwright.runs.candidates import RaceStatus
from netwright.runs.folder import RunFolder
from netwright.runs.marks import COMPARING, FINISHED, has_mark
from netwright.runs.only_default import why_only_default
from netwright.runs.results import RESULT
from netwright.runs.storage import drivers_elsewhere, finished_elsewhere, reopened_elsewhere
from netwright.runs.summary import SearchSummary, read_summary, summary_of
from netwright.runs.trials import RUNNING, TrialRecord, path_of
from netwright.settings import RunSettings
from netwright.supernet.snapshots import LastStep, last_snapshot, last_step
from netwright.training.files import CURVES
from netwright.training.outcome import TRAIN_LOSS, VALIDATION_SCORE, current_names

CURVE_NAMES = (TRAIN_LOSS, VALIDATION_SCORE)


@dataclass(frozen=True)
class RunningTrial:
    """A candidate in training: its epochs done and planned (None: not known yet), its last reward, and the seconds so
    far.
    """

    number: int
    choice: str
    epoch: int
    planned_epochs: int | None
    reward: float | None
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """The state of the final comparison: who takes part, who is done, and who is in training, with epochs done and
    planned.

    Each trains for ``share_seconds``, or for ``epochs``. ``crf_seconds`` is the longest time for fitting its CRF after
    that; None without a CRF.
    """

    entries: tuple[str, ...]
    done: tuple[str, ...]
    share_seconds: float | None
    epochs: int | None
    running: tuple[tuple[str, int, int | None], ...]
    crf_seconds: float | None = None


@dataclass(frozen=True)
class SharedStatus:
    """The state of a search inside one training.

    It holds the steps done; the share of it that is done (0 to 1); the last mean loss of the sampled networks; and the
    certainty of the choice, which is the mean over its variables of the largest probability. Loss and certainty are
    None before the first snapshot.
    """

    step: int
    progress: float
    loss: float | None
    certainty: float | None


@dataclass(frozen=True)
class RunStatus:
    """The state of a run.

    ``phase`` is "searching", "comparing" (the final comparison), "finished", or "stopped" (cut off; it can be resumed).
    ``trials`` holds the number of trials with each status, and of all trials; in a run that is not searching, those cut
    off are "unfinished". ``counted`` of the finished trials count against ``budget_trials``. ``best`` is the best trial
    so far. ``seconds`` were spent on the search, of ``budget_seconds`` if its time is limited. ``shared`` is the state
    of a search inside one training, which has no budget of trials; ``race`` of a search whose trainings go on.
    ``drivers`` are the processes that work on a study which several may share, in words. ``front`` is the number of
    trials on the Pareto front; None where there is one objective.
    """

    run: str
    recipe: str
    dataset: str
    phase: str
    trials: dict[str, int]
    counted: int
    budget_trials: int | None
    budget_seconds: float | None
    seconds: float
    best: dict[str, Any] | None
    running: tuple[RunningTrial, ...]
    comparison: Comparison | None
    shared: SharedStatus | None = None
    race: RaceStatus | None = None
    drivers: tuple[str, ...] = ()
    front: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @property
    def _most_trials(self) -> int | None:
        """The trials with which the search ends. Trainings that go on share all of the time, however few they are."""
        return None if self.race is not None else self.budget_trials

    @property
    def done(self) -> float:
        """The share of the search's budget that is spent, 0 to 1. It is 1 once the search has ended, spent or not."""
        if self.phase in ("comparing", "finished"):
            return 1.0
        parts = [0.0 if self.shared is None else self.shared.progress]
        if self._most_trials:
            parts.append(self.counted / self._most_trials)
        if self.budget_seconds:
            parts.append(self.seconds / self.budget_seconds)
        return min(1.0, max(parts))

    @property
    def seconds_left(self) -> float | None:
        """An estimate of the search's remaining time, from its speed so far; None before there is one."""
        estimates = []
        if self.shared is not None and self.shared.progress and self.seconds:
            estimates.append(self.seconds / self.shared.progress * (1.0 - self.shared.progress))
        if self._most_trials and self.counted and self.seconds:
            estimates.append(self.seconds / self.counted * max(0, self._most_trials - self.counted))
        if self.budget_seconds:
            estimates.append(max(0.0, self.budget_seconds - self.seconds))
        return min(estimates, default=None)


def read_status(folder: RunFolder) -> RunStatus:
    """The current state of the run.

    Raises:
        RunError: the folder or its storage cannot be read.
    """
    settings = folder.settings()
    summary, spent = read_summary(folder, settings)
    drivers, finished = drivers_elsewhere(folder), finished_elsewhere(folder) is not None
    goes_on = folder.shared_trials is not None and reopened_elsewhere(folder)
    return _status(folder, settings, summary, spent, drivers, finished=finished, goes_on=goes_on)


def status_of(
    folder: RunFolder, settings: RunSettings, records: Sequence[TrialRecord], seconds: float
) -> RunStatus:
    """The state of the run, from its trials and the seconds spent on the search.

    Args:
        folder: of the run.
        settings: of the run.
        records: of its trials.
        seconds: that the search took so far.
    """
    summary = summary_of(records, race=settings.race is not None, objective=settings.objective)
    return _status(folder, settings, summary, seconds)


def _status(
    folder: RunFolder,
    settings: RunSettings,
    summary: SearchSummary,
    seconds: float,
    drivers: tuple[str, ...] = (),
    *,
    finished: bool = False,
    goes_on: bool = False,
) -> RunStatus:
    """The state of the run.

    Args:
        folder: of the run.
        settings: of the run.
        summary: of its search.
        seconds: that the search took so far.
        drivers: that work on a study which several may share, if they were asked for.
        finished: whether another one of them has finished it, in a folder of its own.
        goes_on: whether the study goes on, though it may have been finished before.
    """
    describe = describer(settings)
    best, race = summary.best, summary.race
    if race is not None:
        race = replace(race, only_default=why_only_default(folder, settings))
    counts, distinct = summary.counts, settings.budget.count == "distinct"
    ended = counts["total"] - counts[RUNNING]
    phase = _phase(folder, drivers, finished=finished, goes_on=goes_on)
    if phase != "searching":
        counts |= {RUNNING: 0, "unfinished": counts[RUNNING]}
    return RunStatus(
        run=str(folder.root),
        recipe=settings.recipe,
        dataset=settings.dataset.path.name,
        phase=phase,
        trials=counts,
        counted=race.begun if race is not None else ended - (counts["cached"] if distinct else 0),
        budget_trials=None if settings.supernet is not None else settings.budget.trials,
        budget_seconds=None if settings.budget.hours is None else settings.budget.hours * 3600.0,
        seconds=seconds,
        best=None if best is None else _best(best, describe(best), settings.objective),
        running=tuple(
            _running(folder, record, describe)
            for record in summary.running
            if phase == "searching" and record.choice
        ),
        comparison=_comparison(folder, settings),
        shared=None if settings.supernet is None else _shared(folder),
        race=race,
        drivers=drivers,
        front=summary.front,
    )


def _shared(folder: RunFolder) -> SharedStatus:
    snapshot, last = last_snapshot(folder.shared), last_step(folder.shared)
    if snapshot is None:
        return SharedStatus(0, 0.0, None, None)
    if last is None or last.step < snapshot.step:
        last = LastStep(snapshot.step, snapshot.progress)
    return SharedStatus(last.step, last.progress, snapshot.loss, snapshot.certainty)


def describer(settings: RunSettings) -> Callable[[TrialRecord], str]:
    """Describes a trial's choice in words.

    The search has stored the words. For runs of earlier versions, the space describes the choice, unless a user's code
    makes the space: that code is not run.
    """

    def describe(record: TrialRecord) -> str:
        if record.words:
            return record.words
        from netwright.runs.drawings import NOT_STORED
        from netwright.runs.trust import names_code
        from netwright.spaces import make_space

        if names_code(settings.space):
            return NOT_STORED
        try:
            return make_space(settings.space).describe(record.choice)
        except (
            NetwrightError,
            KeyError,
        ):  # another process is storing the choice, one dimension after the other
            return ""

    return describe


def _phase(folder: RunFolder, drivers: tuple[str, ...], *, finished: bool, goes_on: bool) -> str:
    if has_mark(folder, FINISHED) and not goes_on:
        return "finished"
    if not drivers and not folder.in_use():
        return "finished" if finished else "stopped"
    return "comparing" if has_mark(folder, COMPARING) else "searching"


def _comparison(folder: RunFolder, settings: RunSettings) -> Comparison | None:
    if not has_mark(folder, COMPARING):
        return None
    values = read_json(folder.root / COMPARING)
    done = tuple(name for name in values["entries"] if (folder.contestant(name) / RESULT).exists())
    running = []
    for name in [name for name in values["entries"] if name not in done][: settings.machine.workers]:
        planned, curves = read_curves(folder.contestant(name))
        running.append((name, max(map(len, curves.values()), default=0), planned))
    return Comparison(
        entries=tuple(values["entries"]),
        done=done,
        share_seconds=values["share_seconds"],
        epochs=values.get("epochs"),
        running=tuple(running),
        crf_seconds=settings.postprocessing.most_seconds,
    )


def _best(best: TrialRecord, description: str, objective: ObjectiveSettings) -> dict[str, Any]:
    metric = str(objective.metric)
    return {
        "trial": best.number,
        "reward": best.reward,
        "objective": objective.words(),
        "metric": metric,
        "score": best.outcome.metrics.get(metric) if best.outcome else None,
        "choice": description,
        "parameters": best.outcome.cost.parameters if best.outcome else None,
    }


def _running(folder: RunFolder, record: TrialRecord, describe: Any) -> RunningTrial:
    planned, curves = read_curves(path_of(folder, record))
    return RunningTrial(
        number=record.number,
        choice=describe(record),
        epoch=max(map(len, curves.values()), default=0),
        planned_epochs=planned,
        reward=next((v for v in reversed(curves.get(VALIDATION_SCORE, [])) if v is not None), None),
        seconds=time.time() - record.started if record.started else 0.0,
    )


def read_curves(folder: Path) -> tuple[int | None, dict[str, list[float]]]:
    """The planned epochs and the curves (one value an epoch) of a running or finished training in the folder.

    A last line that is still being written is skipped.
    """
    planned: int | None = None
    curves: dict[str, list[float]] = {}
    try:
        lines = (folder / CURVES).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None, {}
    for line in lines:
        try:
            values = current_names(json.loads(line))
        except ValueError:
            continue
        planned = values.get("planned_epochs", planned)
        for name in CURVE_NAMES:
            if name in values:
                curves.setdefault(name, []).append(values[name])
    return planned, curves
