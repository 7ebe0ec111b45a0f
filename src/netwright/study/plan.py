"""Measure before promising: what a candidate costs on this machine, and what the whole search would."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from netwright.data.classification.prepared import PreparedImages
from netwright.data.prepared import Prepared
from netwright.errors import InfeasibleArchitecture, RunError
from netwright.evaluation.outcome import Outcome, Status
from netwright.evaluation.seeding import derive_seed
from netwright.settings import RunSettings
from netwright.study.draw import draw_choice
from netwright.study.executor import LocalExecutor, lost_worker
from netwright.study.exploration import exploration_episodes
from netwright.study.folder import RunFolder
from netwright.study.jobs import network_builder, opened
from netwright.study.parts import make_space, open_study, problem_of
from netwright.study.records import store_outcome

if TYPE_CHECKING:
    from netwright.evaluation.problem import Problem

PROBE_BATCHES = 6
PROBE_SECONDS = 20.0
BOOKED = 3


@dataclass(frozen=True)
class Measurement:
    """What one candidate costs. ``status``: "complete", or why it could not be measured, with its ``reason``.

    ``seconds_an_epoch`` with its validation, ``seconds_a_batch`` of a training step, ``seconds_beside`` of what a
    candidate takes beside its epochs; ``peak_memory_mb`` measured during training steps (MB of 1e6 bytes),
    ``predicted_memory_mb`` from a dry run; None where not known.
    """

    name: str
    choice: str
    status: str
    reason: str
    parameters: int | None = None
    seconds_an_epoch: float | None = None
    seconds_a_batch: float | None = None
    seconds_beside: float | None = None
    peak_memory_mb: float | None = None
    predicted_memory_mb: float | None = None


@dataclass(frozen=True)
class Plan:
    """What a search would be.

    ``choices`` counts the space; ``seconds_a_candidate`` is what a candidate takes in all, ``seconds_beside`` what of
    it is not for its epochs, and ``share_seconds`` what these get in a search limited in hours; ``hours`` is what the
    whole search would take. ``crf_seconds``: what fitting a CRF adds to each network of the final comparison at most;
    None where none is fitted. ``exploration``: trials that the strategy draws at random before it uses what it learned;
    None where it has no such phase.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ProbeJob:
    """A candidate to time on the cases (indices of the prepared data) that a search trains and validates on.

    ``whole``: one epoch of a few cases is evaluated from beginning to end, too, for what comes beside the epochs;
    but not where a batch alone takes longer than a probe should.
    """

    name: str
    settings: RunSettings
    prepared: Path
    choice: dict[str, Any]
    training: Sequence[int]
    validation: Sequence[int]
    whole: bool = False


def probe(job: ProbeJob) -> Measurement:
    """Time a few training steps and a validation of one candidate, in a worker."""
    from netwright.evaluation.candidate import predicted_cost
    from netwright.evaluation.cost import fits
    from netwright.evaluation.device import is_out_of_memory

    settings = job.settings
    task = problem_of(settings, opened(job.prepared)).task
    choice = make_space(settings.space).describe(job.choice)
    build = network_builder(settings, job.choice, None)
    protocol = settings.training
    try:
        cost = predicted_cost(build, task, protocol)
    except InfeasibleArchitecture as error:
        return Measurement(job.name, choice, Status.INFEASIBLE, str(error))
    known: dict[str, Any] = {"parameters": cost.parameters, "predicted_memory_mb": cost.predicted_memory_mb}
    limit = settings.machine.memory_limit_mb
    if not fits(cost, limit):
        reason = f"needs about {cost.predicted_memory_mb:.0f} MB, the limit is {limit:.0f} MB"
        return Measurement(job.name, choice, Status.OUT_OF_MEMORY, reason, **known)
    try:
        timed = _timed(job, build(task))
        if job.whole and timed["seconds_a_batch"] < PROBE_SECONDS:
            timed |= {"seconds_beside": _beside(job, build, timed)}
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return Measurement(job.name, choice, Status.OUT_OF_MEMORY, str(error).splitlines()[0], **known)
    return Measurement(job.name, choice, Status.COMPLETE, "", **timed, **known)


def _timed(job: ProbeJob, network: Any) -> dict[str, Any]:
    """What a measurement has of times, those of an epoch extrapolated from a few batches, and of peak memory."""
    from netwright.evaluation.device import resolve_device, threads
    from netwright.evaluation.memory import measured_memory
    from netwright.evaluation.training import TrainingStep

    problem, protocol = problem_of(job.settings, opened(job.prepared)), job.settings.training
    device = resolve_device(protocol.device)
    batches = problem.batches(job.training, protocol, device, seed=0)
    durations: list[float] = []
    with threads(job.settings.machine.threads), measured_memory(device) as memory:
        loss = problem.loss(job.training, protocol, device)
        step = TrainingStep(network, protocol, device, loss, len(batches))
        step.train_mode()
        start = last = time.perf_counter()
        for images, labels in batches:
            step(images, labels, protocol.epochs)
            now = time.perf_counter()
            durations.append(now - last)
            last = now
            if len(durations) >= PROBE_BATCHES or now - start > PROBE_SECONDS:
                break
    with threads(job.settings.machine.threads):
        some = _about_a_batch(job, problem)
        problem.scores(network, some[:1], protocol, device)  # the first loads what scores are made with
        start = time.perf_counter()
        problem.scores(network, some, protocol, device)
        validation = (time.perf_counter() - start) / len(some) * len(job.validation)
    a_batch = median(durations[1:] or durations)
    return {
        "seconds_an_epoch": len(batches) * a_batch + validation,
        "seconds_a_batch": a_batch,
        "peak_memory_mb": memory.peak_mb,
    }


def _about_a_batch(job: ProbeJob, problem: Problem) -> Sequence[int]:
    """Validation cases that take about one forward pass, whether a case is an image or many slices; at least one."""
    count, protocol = 1, job.settings.training
    while (
        count < len(job.validation) and problem.validation_batches(job.validation[: 2 * count], protocol) <= 1
    ):
        count *= 2
    return job.validation[:count]


def _beside(job: ProbeJob, build: Any, timed: dict[str, Any]) -> float:
    """Seconds that a candidate takes beside its epochs: dry run, building, timing of its inference, files."""
    from netwright.evaluation.candidate import evaluate_candidate
    from netwright.evaluation.device import resolve_device

    problem = problem_of(job.settings, opened(job.prepared))
    protocol = replace(
        job.settings.training,
        epochs=1,
        seconds=None,
        early=None,
        patience=None,
        threads=job.settings.machine.threads,
    )

    def batches(cases: Sequence[int]) -> int:
        return len(problem.batches(cases, protocol, resolve_device(protocol.device), seed=0))

    few = 1  # cases that make a full batch, whether a case is an image or many slices
    while few < protocol.batch_size and batches(job.training[:few]) < 2:
        few *= 2
    training, validation = job.training[:few], job.validation[:1]
    with tempfile.TemporaryDirectory() as folder:
        whole = evaluate_candidate(
            build, problem, training, validation, protocol, seed=0, folder=Path(folder)
        ).seconds
    steps = batches(job.training) * timed["seconds_a_batch"]
    a_case = (timed["seconds_an_epoch"] - steps) / len(job.validation)
    beside: float = whole - batches(training) * timed["seconds_a_batch"] - a_case
    return max(0.0, beside)


def _bookkeeping(settings: RunSettings) -> float:
    """Seconds that it takes to propose a candidate and to store its outcome."""
    space, times = make_space(settings.space), []
    with tempfile.TemporaryDirectory() as folder:
        study = open_study(RunFolder(Path(folder)), settings)
        for _ in range(BOOKED):
            begun = time.perf_counter()
            trial = study.ask(space.distributions())
            store_outcome(study, trial, Outcome(Status.COMPLETE), 0.0)
            times.append(time.perf_counter() - begun)
    return median(times)


def measure(
    settings: RunSettings,
    prepared: Prepared | PreparedImages,
    cases: tuple[Sequence[int], Sequence[int]],
    choices: Sequence[tuple[str, dict[str, Any]]],
    *,
    whole: bool = False,
) -> list[Measurement]:
    """Measure named choices, as many at once as there are workers, so that they share the machine as in a search.

    ``cases``: indices of the training and of the validation cases. ``whole``: as in `ProbeJob`.
    """
    machine = settings.machine
    executor = LocalExecutor(machine.workers, machine.threads)
    jobs = [ProbeJob(name, settings, prepared.folder, choice, *cases, whole) for name, choice in choices]
    try:
        futures = [executor.submit(probe, job) for job in jobs]
        results = []
        for job, future in zip(jobs, futures, strict=True):
            try:
                results.append(future.result())
            except Exception as error:
                lost = lost_worker(error)
                if lost is None:
                    raise
                describe = make_space(settings.space).describe
                results.append(Measurement(job.name, describe(job.choice), Status.CRASHED, str(lost)))
        return results
    finally:
        executor.shutdown()


def measure_start(
    settings: RunSettings,
    prepared: Prepared | PreparedImages,
    training: Sequence[int],
    validation: Sequence[int],
) -> tuple[float, float]:
    """Seconds an epoch, and a training step, of the space's starting candidate, while as many run as there are
    workers.

    Raises:
        RunError: it cannot be trained on this machine.
    """
    start = make_space(settings.space).starting_choice()
    names = [f"start {i}" for i in range(settings.machine.workers)]
    found = measure(settings, prepared, (training, validation), [(name, start) for name in names])
    epochs = [m.seconds_an_epoch for m in found if m.seconds_an_epoch is not None]
    if not epochs:
        raise RunError(
            f"The starting candidate ({found[0].choice}) cannot be trained here: {found[0].reason}. Choose a smaller "
            "space (--set space...), a smaller input (--set preprocessing.size=[...]) or fewer workers."
        )
    return max(epochs), max(m.seconds_a_batch for m in found if m.seconds_a_batch is not None)


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
    prepared: Prepared | PreparedImages,
    training: Sequence[int],
    validation: Sequence[int],
    randoms: int = 4,
) -> Plan:
    """Measure the starting candidate and random ones, and reckon what the whole search would take.

    A candidate's time is the mean of what was measured, for all its epochs and what comes beside them.
    """
    space = make_space(settings.space)
    rng = np.random.default_rng(derive_seed(settings.seed, "plan"))
    choices = [("start", dict(space.starting_choice()))]
    choices += [(f"random {i + 1}", draw_choice(space.distributions(), rng)) for i in range(randoms)]
    found = measure(settings, prepared, (training, validation), choices, whole=True)
    seconds = [m.seconds_an_epoch for m in found if m.seconds_an_epoch is not None]
    # The first candidate of a worker pays for what is loaded once.
    beside = median([m.seconds_beside for m in found if m.seconds_beside is not None] or [0.0])
    beside += _bookkeeping(settings)
    facts = facts_of(settings, prepared, training, validation)
    a_candidate = sum(seconds) / len(seconds) * facts["epochs"] + beside if seconds else None
    trainable = len(seconds) / len(found)
    workers, trials = settings.machine.workers, settings.budget.trials
    return Plan(
        **facts,
        memory_limit_mb=settings.machine.memory_limit_mb,
        trials=trials,
        measurements=tuple(found),
        seconds_a_candidate=a_candidate,
        seconds_beside=beside,
        share_seconds=None,
        hours=None
        if a_candidate is None or trials is None
        else trials * trainable * a_candidate / workers / 3600.0,
        candidates_an_hour=None if a_candidate is None else 3600.0 * workers / a_candidate,
        crf_seconds=None if settings.verdict.hours == 0 else settings.postprocessing.most_seconds,
        exploration=exploration_episodes(settings),
    )


def facts_of(
    settings: RunSettings,
    prepared: Prepared | PreparedImages,
    training: Sequence[int],
    validation: Sequence[int],
) -> dict[str, Any]:
    """What a plan of either kind says without measuring: fields of `Plan`, and of a plan with shared weights."""
    space = make_space(settings.space)
    return {
        "recipe": settings.recipe,
        "dataset": settings.dataset.path.name,
        "choices": getattr(space, "count_choices", lambda: None)(),
        "dimensions": len(space.distributions()),
        "training_cases": len(training),
        "validation_cases": len(validation),
        "size": problem_of(settings, prepared).task.size,
        "workers": settings.machine.workers,
        "threads": settings.machine.threads,
        "epochs": epochs_of(settings, prepared, training),
    }


def epochs_of(settings: RunSettings, prepared: Prepared | PreparedImages, training: Sequence[int]) -> int:
    """The epochs of a training on those cases."""
    if settings.training.steps is None:
        return settings.training.epochs
    import torch

    batches = problem_of(settings, prepared).batches(training, settings.training, torch.device("cpu"), 0)
    return settings.training.epochs_of(len(batches))
