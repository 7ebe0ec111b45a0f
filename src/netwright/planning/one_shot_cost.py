"""What a search inside one training would cost here, measured."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from netwright.data.base import AnyPrepared
from netwright.data.volumes.sizes import PreparedSizes
from netwright.errors import MemoryShortage, RunError
from netwright.execution import heartbeat
from netwright.execution.base import WorkerLost
from netwright.execution.executors import make_executor
from netwright.execution.run_jobs import Cause, Job, run_jobs
from netwright.files import read_json, write_json
from netwright.planning.candidate_cost import GRACE_SECONDS, measure
from netwright.planning.cost import facts_of
from netwright.planning.probe import Measurement
from netwright.searches.one_shot import SharedJob, make_search, memory_limit_mb, shared_protocol
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.supernet.snapshots import read_snapshots

WARM_UP_STEPS = 2
TIMED_STEPS = 6
NOTES = "noted.json"


@dataclass(frozen=True)
class OneShotPlan:
    """What a search inside one training would be. What there was no time to measure is None.

    Args:
        recipe: its name.
        dataset: its name.
        choices: how many the space has; None: not known.
        dimensions: how many the space has.
        training_cases: how many there are.
        validation_cases: how many there are.
        size: of the images that a network gets.
        threads: of each worker.
        workers: how many there are.
        steps: of the search at most. Each takes one batch for the weights and one for the probabilities.
        batch_size: of each of the two.
        seconds_a_step: measured on the whole machine.
        peak_memory_mb: of the steps, with the momentum of all weights, in MB of 1e6 bytes; None also if it cannot be
            measured.
        weights: how many the supernet has.
        hours: of the whole search.
        epochs: of the training of the network that is found.
        networks: the space's starting network, as it is trained in the end, one on each worker.
        test_cases: how many there are.
        parts: which parts are not drawn by chance, in words; empty: all are drawn.
        prepared: the sizes of the prepared volumes; None: pictures, or slices of volumes.
    """

    recipe: str
    dataset: str
    choices: int | None
    dimensions: int
    training_cases: int
    validation_cases: int
    size: tuple[int, ...]
    threads: int
    workers: int
    steps: int | None
    batch_size: int
    seconds_a_step: float | None
    peak_memory_mb: float | None
    weights: int | None
    hours: float | None
    epochs: int
    networks: tuple[Measurement, ...]
    test_cases: int = 0
    parts: str = ""
    prepared: PreparedSizes | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def plan_one_shot(
    settings: RunSettings,
    prepared: AnyPrepared,
    training: Sequence[int],
    validation: Sequence[int],
    seconds: float = math.inf,
    on_done: Callable[[Measurement], None] = lambda measurement: None,
) -> OneShotPlan:
    """Measure steps of the search, and the training of the starting network.

    Args:
        settings: of the run.
        prepared: the data.
        training: indices of the training cases.
        validation: indices of the validation cases.
        seconds: wall time for all of it, of which the steps get half.
        on_done: called with the measurement of each network.

    Raises:
        RunError: the steps cannot be computed on this machine.
    """
    machine, begun = settings.machine, time.monotonic()
    with tempfile.TemporaryDirectory(dir=prepared.folder if machine.elsewhere else None) as folder:
        job = SharedJob(settings, prepared.folder, tuple(training), tuple(validation), Path(folder))
        measured = _steps_of(job, begun + seconds / 2)
    start = make_space(settings.space).starting_choice()
    names = [f"network {i + 1}" for i in range(machine.workers)]
    networks = measure(
        settings,
        prepared,
        (training, validation),
        [(name, start) for name in names],
        seconds=max(0.0, begun + seconds - time.monotonic()),
        on_done=on_done,
    )
    assert settings.supernet is not None
    limit, a_step = settings.supernet.seconds, measured["seconds_a_step"]
    taken = None if a_step is None else min(limit or math.inf, measured["steps"] * a_step)
    return OneShotPlan(
        **facts_of(settings, prepared, training, validation),
        batch_size=shared_protocol(settings).batch_size,
        hours=None if taken is None else taken / 3600.0,
        networks=tuple(networks),
        **measured,
    )


def _steps_of(job: SharedJob, until: float) -> dict[str, Any]:
    """What `_timed` returns in a worker, or what it had written down when its time was up."""
    settings = job.settings
    machine = settings.machine
    timed = Job(_timed, lambda device: (job, until - time.monotonic()), until=until + GRACE_SECONDS)
    with make_executor(
        1,
        machine.whole_threads,
        memory_limit_mb(settings),
        name=machine.executor,
        cluster=machine.cluster(job.folder, data=job.prepared),
    ) as executor:
        (done,) = run_jobs(executor, [timed], retries=0)
    failure = done.failure
    if failure is None:
        measured: dict[str, Any] = done.result
        return measured
    if failure.cause == Cause.OVERDUE:
        notes = job.folder / NOTES
        nothing = dict.fromkeys(("steps", "seconds_a_step", "peak_memory_mb", "weights"))
        return read_json(notes) if notes.exists() else nothing
    if (
        failure.cause == Cause.CRASHED
        and failure.error is not None
        and not isinstance(failure.error, WorkerLost)
    ):
        raise failure.error
    raise RunError(
        f"A step of the search cannot be computed here: {failure.reason}. Set a smaller supernet.batch_size, "
        "or a smaller network (--set supernet.space...)."
    ) from failure.error


def _timed(job_and_seconds: tuple[SharedJob, float]) -> dict[str, Any]:
    """Begin a search to measure it: its steps in all, the seconds of a step, peak memory, and weights.

    It stops when its seconds are up. What is known before the first step is written to a file.
    """
    from netwright.training.device import resolve_device
    from netwright.training.memory import measured_memory

    job, seconds = job_and_seconds
    until = time.monotonic() + seconds
    settings = job.settings
    assert settings.supernet is not None
    few = replace(settings.supernet, steps=WARM_UP_STEPS + TIMED_STEPS, seconds=None, checkpoint_seconds=1e9)

    def over() -> bool:
        return time.monotonic() > until

    with (
        heartbeat.watched(settings.machine.hang_seconds),
        measured_memory(resolve_device(shared_protocol(settings).device)) as memory,
    ):
        search = make_search(replace(job, settings=settings.model_copy(update={"supernet": few})))
        measured: dict[str, Any] = {
            "steps": settings.supernet.steps_of(search.steps_an_epoch),
            "seconds_a_step": None,
            "peak_memory_mb": None,
            "weights": sum(parameter.numel() for parameter in search.supernet.parameters()),
        }
        write_json(job.folder / NOTES, measured)
        search.advance(stop=lambda: search.step == WARM_UP_STEPS or over())
        first, before = search.step, search.seconds
        search.advance(stop=over)
    if not over() and not any(snapshot.loss is not None for snapshot in read_snapshots(job.folder)):
        raise MemoryShortage(
            f"None of the networks of {TIMED_STEPS + WARM_UP_STEPS} steps could be computed: memory does not hold "
            "them, or they leave a batch one value a channel. Set another supernet.batch_size, or other networks "
            "(--set supernet.space...)."
        )
    if search.step > first:
        measured["seconds_a_step"] = (search.seconds - before) / (search.step - first)
    elif search.step:  # the time was up within the first steps, which are slower than those after them
        measured["seconds_a_step"] = search.seconds / search.step
    if memory.peak_mb is not None:
        measured["peak_memory_mb"] = memory.peak_mb + search.momentum_to_come_mb
    return measured
