"""What a worker process is asked to do. Arguments and results are plain values; a worker finds the rest on disk."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from netwright.data.open import open_prepared_once
from netwright.execution import heartbeat
from netwright.searches.components import problem_of
from netwright.settings import RunSettings
from netwright.spaces import network_builder
from netwright.training.config import TrainingProtocol


@dataclass(frozen=True)
class CandidateJob:
    """One candidate to train.

    ``training`` and ``validation`` are case indices of the prepared data; ``reference`` names a hand-made network
    to train in place of ``choice``; ``folder`` is where curves and weights go. ``limited``: whether the limits of
    the objective hold; the networks of the final comparison need not keep them.
    """

    settings: RunSettings
    prepared: Path
    training: tuple[int, ...]
    validation: tuple[int, ...]
    choice: dict[str, Any]
    reference: str | None
    protocol: TrainingProtocol
    seed: int
    folder: Path
    memory_limit_mb: float | None
    limited: bool = False


def run_candidate(job: CandidateJob) -> dict[str, Any]:
    """Train one candidate, in a worker. Returns `Outcome.to_dict()`."""
    from netwright.training.trial import evaluate_candidate

    job.folder.mkdir(parents=True, exist_ok=True)
    with heartbeat.watched(job.settings.machine.hang_seconds):
        outcome = evaluate_candidate(
            network_builder(job.settings.space, job.choice, job.reference),
            problem_of(job.settings, open_prepared_once(job.prepared)),
            job.training,
            job.validation,
            job.protocol,
            seed=job.seed,
            memory_limit_mb=job.memory_limit_mb,
            refuse=lambda cost: job.settings.objective.violation({}, asdict(cost)) if job.limited else None,
            folder=job.folder,
        )
    return outcome.to_dict()
