"""What candidates cost on this machine, measured in workers and within a limit of time."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from netwright.data.base import AnyPrepared
from netwright.errors import RunError
from netwright.execution.executors import make_executor
from netwright.execution.notes import say_once
from netwright.execution.run_jobs import Cause, Done, Job, run_jobs
from netwright.files import read_json
from netwright.planning.probe import NOT_MEASURED, Measurement, ProbeJob, probe
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.training.outcome import Outcome, Status

GRACE_SECONDS = 0.5
"""How long after its end a probe may still be running, as it looks at the clock only between steps."""


def measure(
    settings: RunSettings,
    prepared: AnyPrepared,
    cases: tuple[Sequence[int], Sequence[int]],
    choices: Sequence[tuple[str, dict[str, Any]]],
    *,
    whole: bool = False,
    seconds: float = math.inf,
    on_done: Callable[[Measurement], None] = lambda measurement: None,
) -> list[Measurement]:
    """Measure choices, as many at once as there are workers, so that they share the machine as in a search.

    Args:
        settings: of the run.
        prepared: the data.
        cases: indices of the training and of the validation cases.
        choices: each with a name.
        whole: as in `ProbeJob`.
        seconds: wall time for all of them; what is not known by then stays unmeasured.
        on_done: called with each measurement, in the order of the choices.
    """
    machine = settings.machine
    begun, turns = time.monotonic(), math.ceil(len(choices) / machine.workers)
    results: dict[int, Measurement] = {}
    with (
        # Beside the data, where the machine of the worker finds it, too.
        tempfile.TemporaryDirectory(dir=prepared.folder if machine.elsewhere else None) as notes,
        make_executor(
            machine.workers,
            machine.threads,
            name=machine.executor,
            cluster=machine.cluster(data=prepared.folder),
        ) as executor,
    ):
        jobs = [
            ProbeJob(name, settings, prepared.folder, choice, *cases, Path(notes) / f"{i}.json", whole)
            for i, (name, choice) in enumerate(choices)
        ]
        ends = [begun + seconds * _share_by(i // machine.workers + 1, turns) for i in range(len(jobs))]
        calls = [
            Job(probe, partial(_until, job, end), key=i, until=end + GRACE_SECONDS)
            for i, (job, end) in enumerate(zip(jobs, ends, strict=True))
        ]
        told = 0
        for done in run_jobs(executor, calls, retries=0, at_once=machine.workers):
            results[done.job.key] = _measured(jobs[done.job.key], done)
            while told in results:
                on_done(results[told])
                told += 1
    return [results[i] for i in range(len(choices))]


def _until(job: ProbeJob, end: float, device: str) -> ProbeJob:
    """The job that begins now, with the seconds until a time on this machine's monotonic clock."""
    return replace(job, seconds=end - time.monotonic())


def _share_by(turn: int, turns: int) -> float:
    """The share of the time that is used up after a turn.

    Each turn gets half of what is left, and the last one the rest, because one number is better than none.
    """
    return 1.0 if turn == turns else 1.0 - 0.5**turn


def _measured(job: ProbeJob, done: Done) -> Measurement:
    """What a probe returned, or what it had written down when its time was up."""
    known = Measurement(job.name, make_space(job.settings.space).describe(job.choice), NOT_MEASURED, "")
    if done.failure is None:
        measurement: Measurement = done.result
        return measurement
    if done.failure.cause != Cause.OVERDUE:
        return replace(known, status=Outcome.of_failure(done.failure).status, reason=done.failure.reason)
    if not job.notes.exists():
        return replace(known, reason="no time was left to build it")
    noted = read_json(job.notes)
    measured = Measurement(**{**noted, "unmeasured": tuple(noted["unmeasured"])})
    if measured.status == NOT_MEASURED:
        waited = time.time() - job.notes.stat().st_mtime
        return replace(measured, reason=f"a training step takes longer than {waited:.0f} s")
    return measured


@dataclass(frozen=True)
class StartingTimes:
    """Seconds of an epoch with its validation, of a training step, and of a validation, and the FLOPs of a forward pass
    of one image; None: not measured.
    """

    epoch: float | None = None
    batch: float | None = None
    validation: float | None = None
    flops: float | None = None


def measure_start(
    settings: RunSettings,
    prepared: AnyPrepared,
    training: Sequence[int],
    validation: Sequence[int],
    *,
    required: bool = True,
) -> StartingTimes:
    """Measure the space's starting candidate, on all workers at once.

    Args:
        settings: of the run.
        prepared: the data.
        training: indices of the training cases.
        validation: indices of the validation cases.
        required: whether to raise if the candidate crashes. Else the times are None, as other candidates may do better.

    Raises:
        RunError: it cannot be trained on this machine.
    """
    start = make_space(settings.space).starting_choice()
    names = [f"start {i}" for i in range(settings.machine.workers)]
    measured = measure(settings, prepared, (training, validation), [(name, start) for name in names])
    epochs = [m.seconds_an_epoch for m in measured if m.seconds_an_epoch is not None]
    if not epochs and not required and measured[0].status == Status.CRASHED:
        say_once(
            f"The starting candidate could not be measured ({measured[0].reason}): no candidate is ended as too slow."
        )
        return StartingTimes()
    if not epochs:
        raise RunError(
            f"The starting candidate ({measured[0].choice}) cannot be trained here: {measured[0].reason}. Choose a "
            "smaller space (--set space...), a smaller input (--set preprocessing.size=[...]) or fewer workers."
        )
    return StartingTimes(
        max(epochs),
        max(m.seconds_a_batch for m in measured if m.seconds_a_batch is not None),
        max(m.seconds_a_validation for m in measured if m.seconds_a_validation is not None),
        measured[0].flops,
    )
