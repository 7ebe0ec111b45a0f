"""A finished run as one that another search starts from: its best choices, and the weights of the best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.errors import SettingsError
from netwright.files import read_json
from netwright.models.store import ARCHITECTURE, ENSEMBLE, FOLDS
from netwright.runs.candidates import candidates_of
from netwright.runs.folder import RunFolder, open_run_folder
from netwright.runs.front import front_of
from netwright.runs.marks import FINISHED, has_mark
from netwright.runs.results import winner_folder
from netwright.runs.trials import TrialRecord, load_trials, record_of
from netwright.settings import RunSettings
from netwright.tasks import task_of_metric
from netwright.tasks.base import Task
from netwright.training.files import WEIGHTS
from netwright.training.weights import is_readable

MOST = 4
"""So many of a run's choices are tried first."""


@dataclass(frozen=True)
class OtherRun:
    """A run that another starts from.

    Args:
        folder: of the run.
        settings: of the run.
        choices: its best ones, the best first, each with the values that its space had fixed; with several objectives
            those of its Pareto front.
        weights: the file with the weights of the best one's network; None: the run has none.
    """

    folder: RunFolder
    settings: RunSettings
    choices: tuple[dict[str, Any], ...]
    weights: Path | None

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.root.name

    @property
    def task(self) -> Task:
        """What its networks are for."""
        return task_of_metric(str(self.settings.objective.metric))


def read_other_run(root: Path) -> OtherRun:
    """A finished run in a folder. None of its code is run.

    Raises:
        RunError: there is no run, or it is damaged.
        SettingsError: it is not finished, or trained nothing.
    """
    folder = open_run_folder(root)
    settings = folder.settings()
    if not has_mark(folder, FINISHED):
        raise SettingsError(
            f"--start-from {root}: the run is not finished, so its best choice may still change. Expected a finished "
            f"one: 'netwright resume {root}' finishes it. To begin with weights alone, name a safetensors file."
        )
    trained = _ranked([record_of(trial) for trial in load_trials(folder)], race=settings.race is not None)
    chosen = _winners_choice(folder)
    trained = [*_spread(front_of(trained, settings.objective)), *trained]
    trained.sort(key=lambda record: record.choice != chosen)  # the winner first, the others as they are
    if not trained:
        raise SettingsError(f"--start-from {root}: the run has no trained network. Name another run.")
    options = settings.space.options
    started, fixed = dict(options.get("start") or {}), dict(options.get("fixed") or {})
    choices: list[dict[str, Any]] = []
    for record in trained:
        whole = {**started, **record.choice, **fixed}
        if whole not in choices:
            choices.append(whole)
    weights = next((path for path in _weights(folder, trained, chosen) if is_readable(path)), None)
    return OtherRun(folder, settings, tuple(choices[:MOST]), weights)


def _ranked(records: list[TrialRecord], *, race: bool) -> list[TrialRecord]:
    """The trained networks, the best first; of a training in parts its last one."""
    if race:
        latest = [candidate.latest for candidate in candidates_of(records)]
        records = [record for record in latest if record is not None]
    scored = [r for r in records if r.reward is not None and r.choice and r.cached_from is None]
    return sorted(scored, key=lambda record: (-(record.reward or 0.0), record.number))


def _spread(front: list[TrialRecord]) -> list[TrialRecord]:
    """At most `MOST` networks of a Pareto front, from one end to the other at even distances."""
    if len(front) <= MOST:
        return front
    return [front[round(step * (len(front) - 1) / (MOST - 1))] for step in range(MOST)]


def _winners_choice(folder: RunFolder) -> dict[str, Any] | None:
    path = winner_folder(folder) / ARCHITECTURE
    return None if not path.exists() else read_json(path).get("choice")


def _weights(folder: RunFolder, trained: list[TrialRecord], chosen: dict[str, Any] | None) -> Iterator[Path]:
    """Where the weights of the best network may be, those of the longest training first."""
    best = trained[0]
    if chosen == best.choice:
        winner = winner_folder(folder)
        architecture = read_json(winner / ARCHITECTURE)
        if not {ENSEMBLE, FOLDS} & architecture.keys() and architecture.get("reference") is None:
            yield winner / WEIGHTS
    yield folder.trained(best.number) / WEIGHTS
    yield folder.trial(best.number) / WEIGHTS
