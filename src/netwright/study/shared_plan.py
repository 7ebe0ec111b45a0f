"""What a search inside one training would cost here, measured."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from netwright.data.classification.prepared import PreparedImages
from netwright.data.prepared import Prepared
from netwright.errors import MemoryShortage, RunError
from netwright.evaluation.outcome import Status
from netwright.settings import RunSettings
from netwright.study.executor import LocalExecutor, lost_worker
from netwright.study.parts import make_space
from netwright.study.plan import Measurement, facts_of, measure
from netwright.study.search import outcome_of_loss
from netwright.study.shared import SharedJob, make_search, memory_limit_mb, shared_protocol
from netwright.supernet.path import read_snapshots

WARM_UP_STEPS = 2
TIMED_STEPS = 6


@dataclass(frozen=True)
class SharedPlan:
    """What a search inside one training would be.

    ``steps`` of the search at most, each on a batch of the weights' half and one of the other; ``seconds_a_step``
    measured on the whole machine, ``peak_memory_mb`` with it (MB of 1e6 bytes), the momentum of all weights included,
    None where it cannot be measured; ``weights``: shared ones, in all. ``hours``: of the whole search. ``networks``:
    the space's starting network as it is trained in the end, one on each worker.
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
    steps: int
    batch_size: int
    seconds_a_step: float
    peak_memory_mb: float | None
    weights: int
    hours: float
    epochs: int
    networks: tuple[Measurement, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def plan_shared(
    settings: RunSettings,
    prepared: Prepared | PreparedImages,
    training: Sequence[int],
    validation: Sequence[int],
) -> SharedPlan:
    """Measure steps of the search, and the training of the starting network.

    Raises:
        RunError: the steps cannot be computed on this machine.
    """
    machine = settings.machine
    with tempfile.TemporaryDirectory() as place:
        job = SharedJob(settings, prepared.folder, tuple(training), tuple(validation), Path(place))
        executor = LocalExecutor(1, machine.threads * machine.workers, memory_limit_mb(settings))
        try:
            found = executor.submit(_timed, job).result()
        except Exception as error:
            outcome = outcome_of_loss(error, 0, None, None)
            if lost_worker(error) is None and outcome.status != Status.OUT_OF_MEMORY:
                raise
            raise RunError(
                f"A step of the search cannot be computed here: {outcome.reason}. Set a smaller supernet.batch_size, "
                "or a smaller network (--set supernet.space...)."
            ) from error
        finally:
            executor.shutdown()
    start = make_space(settings.space).starting_choice()
    names = [f"network {i + 1}" for i in range(machine.workers)]
    networks = measure(settings, prepared, (training, validation), [(name, start) for name in names])
    assert settings.supernet is not None
    limit = settings.supernet.seconds
    return SharedPlan(
        **facts_of(settings, prepared, training, validation),
        batch_size=shared_protocol(settings).batch_size,
        hours=min(limit or math.inf, found["steps"] * found["seconds_a_step"]) / 3600.0,
        networks=tuple(networks),
        **found,
    )


def _timed(job: SharedJob) -> dict[str, Any]:
    """Of a search that is begun and left: its steps in all, seconds a step, peak memory, and weights."""
    from netwright.evaluation.device import resolve_device
    from netwright.evaluation.memory import measured_memory

    settings = job.settings
    assert settings.supernet is not None
    few = replace(settings.supernet, steps=WARM_UP_STEPS + TIMED_STEPS, seconds=None, checkpoint_seconds=1e9)
    with measured_memory(resolve_device(shared_protocol(settings).device)) as memory:
        search = make_search(replace(job, settings=settings.model_copy(update={"supernet": few})))
        search.advance(stop=lambda: search.step == WARM_UP_STEPS)
        before = search.seconds
        search.advance()
    if not any(snapshot.loss is not None for snapshot in read_snapshots(job.folder)):
        raise MemoryShortage(
            f"None of the networks of {TIMED_STEPS + WARM_UP_STEPS} steps could be computed: memory does not hold "
            "them, or they leave a batch one value a channel. Set another supernet.batch_size, or other networks "
            "(--set supernet.space...)."
        )
    return {
        "steps": settings.supernet.steps_of(search.steps_an_epoch),
        "seconds_a_step": (search.seconds - before) / TIMED_STEPS,
        "peak_memory_mb": None if memory.peak_mb is None else memory.peak_mb + search.momentum_to_come_mb,
        "weights": sum(parameter.numel() for parameter in search.supernet.parameters()),
    }
