"""What a search would cost on this machine, estimated from some candidates that are measured."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from netwright.data.base import AnyPrepared
from netwright.data.volumes.sizes import PreparedSizes
from netwright.planning.candidate_cost import measure
from netwright.planning.exploration_length import exploration_episodes
from netwright.planning.probe import NOT_MEASURED, Measurement
from netwright.runs.folder import RunFolder
from netwright.runs.trials import store_outcome
from netwright.searches.components import open_study, problem_of
from netwright.searches.random_choices import draw_choice
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.training.outcome import Outcome, Status
from netwright.training.seeding import derive_seed

BOOKED = 3
RESERVE_SECONDS = 8.0
"""The part of a plan's time that is not for measuring: loading the program, ending its workers, computing the rest."""
LEAST_SECONDS = 10.0
"""A plan measures at least this long, no matter how long reading the data took."""


@dataclass(frozen=True)
class Plan:
    """What a search would be.

    Args:
        recipe: its name.
        dataset: its name.
        choices: how many the space has; None: not known.
        dimensions: how many the space has.
        training_cases: how many there are.
        validation_cases: how many there are.
        size: of the images that a network gets.
        workers: candidates that train at once.
        threads: of each worker.
        memory_limit_mb: of a candidate, in MB of 1e6 bytes; None: no limit.
        trials: candidates of the search; None: as many as its hours allow.
        epochs: of each candidate.
        measurements: of the starting candidate and of some random ones.
        seconds_a_candidate: what a candidate takes in all; None: not known.
        seconds_beside: the part of it that is not for its epochs.
        share_seconds: what the epochs of a candidate get in a search limited in hours; None: it is not limited so.
        hours: what the whole search would take; None: not known.
        candidates_an_hour: of all workers together; None: not known.
        crf_seconds: the longest time to fit a CRF to each network that is tested; None: none is fitted.
        exploration: trials that the strategy draws at random before it uses what it learned; None: there are none.
        race_hours: of a search whose trainings go on until its time is up; None: each candidate is trained once.
        race_compares: whether the default is then trained alone for as long.
        race_only_default: whether nothing but the default is trained.
        test_cases: how many there are.
        parts: which parts are not drawn by chance, in words; empty: all are drawn.
        prepared: the sizes of the prepared volumes; None: pictures, or slices of volumes.
        started_from: what is taken over from another run, in words; empty: nothing.
    """

    recipe: str
    dataset: str
    choices: int | None
    dimensions: int
    training_cases: int
    validation_cases: int
    size: tuple[int, ...]
    workers: int
    threads: int
    memory_limit_mb: float | None
    trials: int | None
    epochs: int
    measurements: tuple[Measurement, ...]
    seconds_a_candidate: float | None
    seconds_beside: float
    share_seconds: float | None
    hours: float | None
    candidates_an_hour: float | None
    crf_seconds: float | None = None
    exploration: int | None = None
    race_hours: float | None = None
    race_compares: bool = False
    race_only_default: bool = False
    test_cases: int = 0
    parts: str = ""
    prepared: PreparedSizes | None = None
    started_from: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def _bookkeeping(settings: RunSettings) -> float:
    """Seconds that it takes to propose a candidate and to store its outcome, measured."""
    space, times = make_space(settings.space), []
    with tempfile.TemporaryDirectory() as folder:
        study = open_study(RunFolder(Path(folder)), settings)
        for _ in range(BOOKED):
            begun = time.perf_counter()
            trial = study.ask(space.distributions())
            store_outcome(study, trial, Outcome(Status.COMPLETE), [0.0] * len(settings.objective.names))
            times.append(time.perf_counter() - begun)
    return median(times)


def measuring_seconds(left: float) -> float:
    """How many of the seconds that are left to a plan are for measuring."""
    return max(LEAST_SECONDS, left - RESERVE_SECONDS)


def plan_by_hours(plan: Plan, settings: RunSettings) -> Plan:
    """The plan of a search limited in hours, in which every candidate gets an equal share."""
    share, hours = settings.training.seconds, settings.budget.hours
    if share is None or hours is None:
        return plan
    an_hour = 3600.0 * plan.workers / (share + plan.seconds_beside)
    trials = min(settings.budget.trials or math.inf, an_hour * hours)
    return replace(plan, share_seconds=share, candidates_an_hour=an_hour, trials=int(trials), hours=hours)


def make_plan(
    settings: RunSettings,
    prepared: AnyPrepared,
    training: Sequence[int],
    validation: Sequence[int],
    randoms: int = 4,
    seconds: float = math.inf,
    on_done: Callable[[Measurement], None] = lambda measurement: None,
) -> Plan:
    """Measure the starting candidate and random ones, and estimate what the whole search would take.

    A candidate's time is the mean time of an epoch times its epochs, and what comes beside them.

    Args:
        settings: of the run.
        prepared: the data.
        training: indices of the training cases.
        validation: indices of the validation cases.
        randoms: how many random candidates to measure.
        seconds: wall time for all of it.
        on_done: called with each measurement.
    """
    begun = time.monotonic()
    space = make_space(settings.space)  # takes half a minute for a large network on a slow machine
    rng = np.random.default_rng(derive_seed(settings.seed, "plan"))
    choices = [("start", dict(space.starting_choice()))]
    choices += [(f"random {i + 1}", draw_choice(space.distributions(), rng)) for i in range(randoms)]
    left = max(LEAST_SECONDS, seconds - (time.monotonic() - begun))
    measurements = measure(
        settings, prepared, (training, validation), choices, whole=True, seconds=left, on_done=on_done
    )
    epochs = [m.seconds_an_epoch for m in measurements if m.seconds_an_epoch is not None]
    # A median, because the first candidate of each worker also pays for what is loaded once.
    beside = median([m.seconds_beside for m in measurements if m.seconds_beside is not None] or [0.0])
    beside += _bookkeeping(settings)
    facts = facts_of(settings, prepared, training, validation)
    a_candidate = sum(epochs) / len(epochs) * facts["epochs"] + beside if epochs else None
    known = [m for m in measurements if m.status != NOT_MEASURED]
    trainable = len(epochs) / len(known) if known else 0.0
    workers, trials, hours = settings.machine.workers, settings.budget.trials, None
    if a_candidate is not None and trials is not None:
        hours = trials * trainable * a_candidate / workers / 3600.0
    return Plan(
        **facts,
        memory_limit_mb=settings.machine.memory_limit_mb,
        trials=trials,
        measurements=tuple(measurements),
        seconds_a_candidate=a_candidate,
        seconds_beside=beside,
        share_seconds=None,
        hours=hours,
        candidates_an_hour=None if a_candidate is None else 3600.0 * workers / a_candidate,
        crf_seconds=None if settings.verdict.hours == 0 else settings.postprocessing.most_seconds,
        exploration=exploration_episodes(settings),
        race_hours=None if settings.race is None else settings.budget.hours,
        race_compares=settings.race is not None and settings.race.compare == "full",
        race_only_default=settings.race is not None and settings.race.only_default,
        started_from=() if settings.start_from is None else settings.start_from.told,
    )


def facts_of(
    settings: RunSettings,
    prepared: AnyPrepared,
    training: Sequence[int],
    validation: Sequence[int],
) -> dict[str, Any]:
    """What a plan says without measuring: fields that `Plan` and the plan of a one-shot search have in common.

    Args:
        settings: of the run.
        prepared: the run's data.
        training: indices of the training cases.
        validation: indices of the validation cases.
    """
    space = make_space(settings.space)
    return {
        "recipe": settings.recipe,
        "dataset": settings.dataset.path.name,
        "choices": getattr(space, "count_choices", lambda: None)(),
        "dimensions": len(space.distributions()),
        "training_cases": len(training),
        "validation_cases": len(validation),
        "size": problem_of(settings, prepared).task.size,
        "prepared": _sizes(settings, prepared),
        "workers": settings.machine.workers,
        "threads": settings.machine.threads,
        "epochs": _epochs_of(settings, prepared, training),
    }


def _sizes(settings: RunSettings, prepared: AnyPrepared) -> PreparedSizes | None:
    """The sizes of prepared volumes, with those of the patches that the space chooses from."""
    sizes, options = prepared.sizes, settings.space.options
    if settings.slices is not None or sizes is None:
        return None
    patches = zip(options.get("patches") or (), options.get("batches") or (), strict=True)
    return replace(sizes, patches=tuple((tuple(size), batch) for size, batch in patches))


def _epochs_of(settings: RunSettings, prepared: AnyPrepared, training: Sequence[int]) -> int:
    """The epochs of a training on those cases."""
    if settings.training.steps is None:
        return settings.training.epochs
    import torch

    batches = problem_of(settings, prepared).batches(training, settings.training, torch.device("cpu"), 0)
    return settings.training.epochs_of(len(batches))
