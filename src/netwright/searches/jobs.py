"""The jobs of worker processes. Arguments and results are plain values; a worker reads the rest from disk."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from netwright.data.open import open_prepared_once
from netwright.execution import heartbeat
from netwright.execution.run_jobs import keep_trace
from netwright.runs.data import SearchData
from netwright.searches.components import problem_of
from netwright.settings import RunSettings
from netwright.spaces import network_builder
from netwright.training.checkpoint import CheckpointRefused, Checkpoints, load_values
from netwright.training.config import TrainingProtocol
from netwright.training.files import CHECKPOINT, LOG
from netwright.training.outcome import Cost

_JOB = "job"


@dataclass(frozen=True)
class CandidateJob:
    """One candidate to train.

    ``training`` and ``validation`` are case indices of the prepared data. ``reference`` names a hand-made network to
    train in place of ``choice``. ``folder`` is where curves and weights go. ``limited`` says whether the limits of the
    objective hold; the networks of the final comparison need not keep them. ``resume_from`` is the checkpoint of an
    earlier part of the training, to go on from. ``stop_after`` is the epoch after which this part ends, though the
    protocol has more, and ``keep_checkpoint`` says whether it leaves a checkpoint for the next part. ``cost`` is what
    an earlier part measured; None: it is measured now. ``begin_again`` says whether the training begins again where
    ``resume_from`` is missing or damaged. ``weights`` is a file that the network begins with, as far as it fits.
    ``most_seconds`` is how long a part in seconds may train at most, from wherever it goes on; None: as long as its
    protocol says.
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
    resume_from: Path | None = None
    stop_after: int | None = None
    keep_checkpoint: bool = False
    cost: Cost | None = None
    begin_again: bool = False
    weights: Path | None = None
    most_seconds: float | None = None


def candidate_job(
    settings: RunSettings,
    data: SearchData,
    choice: dict[str, Any],
    protocol: TrainingProtocol,
    *,
    seed: int,
    folder: Path,
    device: str,
    weights: Path | None = None,
) -> CandidateJob:
    """The job of a choice, with the threads and the memory of a worker.

    Args:
        settings: of the run.
        data: the cases to train on and to validate on.
        choice: of a candidate.
        protocol: how to train it.
        seed: of all its random numbers.
        folder: where curves and weights go.
        device: where it is trained.
        weights: a file that the network begins with, as far as it fits; None: it begins anew.
    """
    return CandidateJob(
        settings=settings,
        prepared=data.prepared,
        training=data.training,
        validation=data.validation,
        choice=choice,
        reference=None,
        protocol=replace(protocol, threads=settings.machine.threads, device=device),
        seed=seed,
        folder=folder,
        memory_limit_mb=settings.machine.memory_limit_mb,
        weights=weights,
    )


def run_candidate(job: CandidateJob) -> dict[str, Any]:
    """Trains one candidate in a worker. Returns `Outcome.to_dict()`.

    If the same job was killed before, it goes on from the checkpoint that it left in its folder. The caller removes
    that file, once the outcome is stored.

    Raises:
        CheckpointRefused: ``resume_from`` is missing or damaged, or belongs to another training, and the training is
            not to begin again.
    """
    with heartbeat.watched(job.settings.machine.hang_seconds):
        return _resumed(job)


def _resumed(job: CandidateJob) -> dict[str, Any]:
    """Trains the candidate from its own checkpoint, else from that of the part before, else from the start."""
    job.folder.mkdir(parents=True, exist_ok=True)
    path = job.folder / CHECKPOINT
    checkpoints = Checkpoints(
        path,
        job.settings.machine.checkpoint_seconds,
        keep=job.keep_checkpoint,
        resume_from=job.resume_from,
        notes={_JOB: _identity(job)},
    )
    sources = [path] * path.exists() + [job.resume_from]
    sources += [None] * (job.begin_again and job.resume_from is not None)
    for source in sources[:-1]:
        try:
            if source != path or _is_of(job, path):
                return _run(job, replace(checkpoints, resume_from=source))
        except CheckpointRefused as error:
            keep_trace(job.folder / LOG, error)  # to begin at an earlier point costs time alone
    return _run(job, replace(checkpoints, resume_from=sources[-1]))


def _identity(job: CandidateJob) -> dict[str, Any]:
    """A job as plain values, by which it is recognised. `train` checks the rest of the protocol, and the cases."""
    protocol = job.protocol
    values = {
        "choice": job.choice,
        "reference": job.reference,
        "seed": job.seed,
        "epochs": protocol.epochs,
        "steps": protocol.steps,
        "stop_after": job.stop_after,
        "resume_from": None if job.resume_from is None else str(job.resume_from),
    }
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


def _is_of(job: CandidateJob, path: Path) -> bool:
    """Whether the same job has written the file.

    Raises:
        CheckpointRefused: it is damaged.
    """
    return path.exists() and load_values(path).get("notes", {}).get(_JOB) == _identity(job)


def _refusal(job: CandidateJob, cost: Cost) -> str | None:
    """Why a candidate is not trained, from what is known of its cost; None: it is."""
    if not job.limited:
        return None
    race = job.settings.race
    most = None if race is None else race.most_flops
    if most is not None and cost.flops is not None and cost.flops > most:
        return f"flops is {cost.flops:.3g}, the limit of these hours is {most:.3g} (race.most_flops)"
    return job.settings.objective.violation({}, asdict(cost))


def _protocol(job: CandidateJob, checkpoints: Checkpoints) -> TrainingProtocol:
    """The protocol of a part that goes on from a checkpoint, or begins anew.

    Raises:
        CheckpointRefused: the checkpoint is missing or damaged.
    """
    from netwright.training.attempt import attempt_of

    protocol = job.protocol
    if job.most_seconds is None or protocol.seconds is None:
        return protocol
    before = attempt_of(checkpoints, job.seed).seconds_before
    return replace(protocol, seconds=min(protocol.seconds, before + job.most_seconds))


def _run(job: CandidateJob, checkpoints: Checkpoints) -> dict[str, Any]:
    from netwright.training.trial import evaluate_candidate

    return evaluate_candidate(
        network_builder(job.settings.space, job.choice, job.reference),
        problem_of(job.settings, open_prepared_once(job.prepared)),
        job.training,
        job.validation,
        _protocol(job, checkpoints),
        seed=job.seed,
        memory_limit_mb=job.memory_limit_mb,
        refuse=lambda cost: _refusal(job, cost),
        folder=job.folder,
        stop_after=job.stop_after,
        checkpoints=checkpoints,
        cost=job.cost,
        weights=job.weights,
    ).to_dict()
