"""What one candidate costs, measured in a worker."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from netwright.data.open import open_prepared_once
from netwright.errors import InfeasibleArchitecture
from netwright.execution import heartbeat
from netwright.files import write_json
from netwright.searches.components import problem_of, protocol_of
from netwright.settings import RunSettings
from netwright.spaces import make_space, network_builder
from netwright.training.outcome import Status
from netwright.training.time_budget import VALIDATION_SHARE

if TYPE_CHECKING:
    from netwright.training.config import TrainingProtocol
    from netwright.training.problem import Problem

PROBE_BATCHES = 6
PROBE_SECONDS = 20.0
NOT_MEASURED = "not measured"
"""The status of a candidate that finished no training step in time."""
VALIDATION, BESIDE = "validation", "what comes beside the epochs"
"""What is measured last. Without time for it, the validation is estimated, and the other is left out."""


@dataclass(frozen=True)
class Measurement:
    """What one candidate costs. A value is None if it is not known.

    Args:
        name: for the table of a plan.
        choice: in words.
        status: "complete", or why it could not be measured.
        reason: of the status, in words.
        parameters: how many the network has.
        seconds_an_epoch: of training and validation together.
        seconds_a_batch: of one training step.
        seconds_beside: what the candidate takes beside its epochs.
        peak_memory_mb: measured during training steps, in MB of 1e6 bytes.
        predicted_memory_mb: from a dry run, in MB of 1e6 bytes.
        unmeasured: what there was no time for. The time of a validation is then estimated from the training steps.
        seconds_a_validation: of the validation alone.
        flops: of a forward pass of one image.
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
    unmeasured: tuple[str, ...] = ()
    seconds_a_validation: float | None = None
    flops: float | None = None


@dataclass(frozen=True)
class ProbeJob:
    """A candidate to be measured.

    Args:
        name: for the table of a plan.
        settings: of the run.
        prepared: the folder of the prepared data.
        choice: the candidate.
        training: indices of the training cases.
        validation: indices of the validation cases.
        notes: the file to which it writes what it has measured so far.
        whole: whether to evaluate one epoch of a few cases from beginning to end, too, to know what comes beside the
            epochs. This is left out if a single batch takes longer than a probe should.
        seconds: after so many it should stop with what it has.
        until: the time on the worker's monotonic clock when they are over.
    """

    name: str
    settings: RunSettings
    prepared: Path
    choice: dict[str, Any]
    training: Sequence[int]
    validation: Sequence[int]
    notes: Path
    whole: bool = False
    seconds: float = math.inf
    until: float = math.inf

    @property
    def protocol(self) -> TrainingProtocol:
        """How the candidate is trained, as it sets that itself or as the run says."""
        return protocol_of(self.settings, make_space(self.settings.space), self.choice)

    def over(self) -> bool:
        """Whether its time is up."""
        return time.monotonic() > self.until


def probe(job: ProbeJob) -> Measurement:
    """Measure a few training steps and a validation of one candidate, in a worker, until its time is up."""
    job = replace(job, until=time.monotonic() + job.seconds)
    with heartbeat.watched(job.settings.machine.hang_seconds):
        for measurement in _stages(job):
            write_json(job.notes, asdict(measurement))
            if job.over():
                break
    return measurement


def _stages(job: ProbeJob) -> Iterator[Measurement]:
    """What is known after the dry run, after some training steps, after a validation, and at the end."""
    from netwright.execution.memory import is_out_of_memory
    from netwright.training.cost import fits
    from netwright.training.device import resolve_device
    from netwright.training.trial import predicted_cost

    settings = job.settings
    task = problem_of(settings, open_prepared_once(job.prepared)).task
    known = Measurement(job.name, make_space(settings.space).describe(job.choice), NOT_MEASURED, "")
    build = network_builder(settings.space, job.choice, None)
    try:
        cost = predicted_cost(build, task, job.protocol)
    except InfeasibleArchitecture as error:
        yield replace(known, status=Status.INFEASIBLE, reason=str(error))
        return
    known = replace(
        known,
        parameters=cost.parameters,
        predicted_memory_mb=cost.predicted_memory_mb,
        flops=cost.flops,
    )
    limit = settings.machine.memory_limit_mb
    if not fits(cost, limit):
        reason = f"needs about {cost.predicted_memory_mb:.0f} MB, the limit is {limit:.0f} MB"
        yield replace(known, status=Status.OUT_OF_MEMORY, reason=reason)
        return
    yield replace(known, reason="no time was left for a training step")
    on_gpu = resolve_device(settings.training.device).type == "cuda"
    heartbeat.predict_batch(cost.flops, job.protocol.batch_size, settings.machine.threads, on_gpu)
    try:
        yield from _timed(job, build, known)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        yield replace(known, status=Status.OUT_OF_MEMORY, reason=str(error).splitlines()[0])


def _timed(job: ProbeJob, build: Any, known: Measurement) -> Iterator[Measurement]:
    """The stages after the dry run. The time of an epoch is extrapolated from a few batches."""
    from netwright.training.device import resolve_device, threads

    problem, protocol = problem_of(job.settings, open_prepared_once(job.prepared)), job.protocol
    device = resolve_device(protocol.device)
    network = build(problem.task)
    with threads(job.settings.machine.threads):
        batches, a_batch, peak_mb = _steps(job, network, problem)
    estimated = VALIDATION_SHARE * problem.validation_batches(job.validation, protocol) * a_batch
    beside = (BESIDE,) if job.whole else ()
    measurement = replace(
        known,
        status=Status.COMPLETE,
        seconds_an_epoch=batches * a_batch + estimated,
        seconds_a_batch=a_batch,
        seconds_a_validation=estimated,
        peak_memory_mb=peak_mb,
        unmeasured=(VALIDATION, *beside),
    )
    yield measurement
    with threads(job.settings.machine.threads):
        some = _about_a_batch(job, problem)
        # The first loads what scores are made with, which may differ from case to case.
        problem.scores(network, some, protocol, device)
        start = time.perf_counter()
        problem.scores(network, some, protocol, device)
        validation = (time.perf_counter() - start) / len(some) * len(job.validation)
    measurement = replace(
        measurement,
        seconds_an_epoch=batches * a_batch + validation,
        seconds_a_validation=validation,
        unmeasured=beside,
    )
    yield measurement
    if job.whole and a_batch < PROBE_SECONDS:
        yield replace(measurement, seconds_beside=_beside(job, build, measurement), unmeasured=())


def _steps(job: ProbeJob, network: Any, problem: Problem) -> tuple[int, float, float | None]:
    """Make some training steps.

    Returns:
        The number of batches in an epoch, the seconds of a batch, and the peak memory in MB.
    """
    from netwright.training.device import resolve_device
    from netwright.training.memory import measured_memory
    from netwright.training.step import TrainingStep

    protocol = job.protocol
    device = resolve_device(protocol.device)
    batches = problem.batches(job.training, protocol, device, seed=0)
    durations: list[float] = []
    with measured_memory(device) as memory:
        loss = problem.loss(job.training, protocol, device)
        step = TrainingStep(network, protocol, device, loss, len(batches))
        step.train_mode()
        start = last = time.perf_counter()
        for images, labels in batches:
            step(images, labels, protocol.epochs)
            now = time.perf_counter()
            durations.append(now - last)
            last = now
            if len(durations) >= PROBE_BATCHES or now - start > PROBE_SECONDS or job.over():
                break
    return len(batches), median(durations[1:] or durations), memory.peak_mb


def _about_a_batch(job: ProbeJob, problem: Problem) -> Sequence[int]:
    """Some validation cases that make about one forward pass, at least one. A case may be an image or many slices."""
    count, protocol = 1, job.protocol
    while (
        count < len(job.validation) and problem.validation_batches(job.validation[: 2 * count], protocol) <= 1
    ):
        count *= 2
    return job.validation[:count]


def _beside(job: ProbeJob, build: Any, timed: Measurement) -> float:
    """Seconds that a candidate takes beside its epochs: dry run, building, timing of its inference, files.

    They are what is left of a short evaluation when its epoch is subtracted.
    """
    from netwright.training.device import resolve_device
    from netwright.training.trial import evaluate_candidate

    problem = problem_of(job.settings, open_prepared_once(job.prepared))
    protocol = replace(
        job.protocol,
        epochs=1,
        seconds=None,
        early=None,
        patience=None,
        threads=job.settings.machine.threads,
    )

    def batches(cases: Sequence[int]) -> int:
        return len(problem.batches(cases, protocol, resolve_device(protocol.device), seed=0))

    few = 1  # so many cases that they make a full batch; a case may be an image or many slices
    while few < protocol.batch_size and batches(job.training[:few]) < 2:
        few *= 2
    training, validation = job.training[:few], job.validation[:1]
    with tempfile.TemporaryDirectory() as folder:
        whole = evaluate_candidate(
            build, problem, training, validation, protocol, seed=0, folder=Path(folder)
        ).seconds
    a_batch, an_epoch = timed.seconds_a_batch or 0.0, timed.seconds_an_epoch or 0.0
    a_case = (an_epoch - batches(job.training) * a_batch) / len(job.validation)
    beside: float = whole - batches(training) * a_batch - a_case
    return max(0.0, beside)
