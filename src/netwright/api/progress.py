"""The training of one network, and its progress, read from the curves that it writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from netwright.comparison.retrain import ContestantJob, run_contestant
from netwright.errors import NetwrightError
from netwright.execution.executors import make_executor
from netwright.execution.run_jobs import Job, fixed, run_jobs
from netwright.runs.status import read_curves
from netwright.training.checkpoint import remove_checkpoint
from netwright.training.files import CHECKPOINT, CURVES
from netwright.training.outcome import TRAIN_LOSS, VALIDATION_SCORE, Outcome


@dataclass(frozen=True)
class Progress:
    """The progress of a training.

    It holds the epochs done and planned (None: not known yet), the training loss of the last epoch, and the task's
    metric at the last validation.
    """

    epoch: int
    planned_epochs: int | None
    loss: float | None
    score: float | None


OnProgress = Callable[[Progress], None]


def report_epochs(folder: Path, on_epoch: OnProgress | None) -> Callable[[], None]:
    """A function that reads the curves in a training's folder, and calls ``on_epoch`` if there is a new epoch."""
    reported = 0

    def tick() -> None:
        nonlocal reported
        planned, curves = read_curves(folder)
        losses, scores = curves.get(TRAIN_LOSS, []), curves.get(VALIDATION_SCORE, [])
        if on_epoch is not None and len(losses) not in (0, reported):
            reported = len(losses)
            score = next((value for value in reversed(scores) if value is not None), None)
            on_epoch(Progress(reported, planned, losses[-1], score))

    return tick


def train_alone(job: ContestantJob, on_epoch: OnProgress | None) -> Outcome:
    """Trains a network in its own worker and returns the result.

    Raises:
        NetwrightError: as the worker raised it.
    """
    folder = job.candidate.folder
    (folder / CURVES).unlink(missing_ok=True)  # of an earlier training, not to be told as this one's
    jobs = [Job(run_contestant, fixed(job))]
    machine = job.candidate.settings.machine
    cluster = machine.cluster(folder.parent, data=job.candidate.prepared)
    with make_executor(1, job.candidate.protocol.threads, name=machine.executor, cluster=cluster) as executor:
        (done,) = run_jobs(executor, jobs, retries=0, on_tick=report_epochs(folder, on_epoch))
    if done.failure is None:
        remove_checkpoint(folder / CHECKPOINT)  # a worker that was lost leaves it for the next attempt
        return Outcome.from_dict(done.result["outcome"])
    if isinstance(done.failure.error, NetwrightError):
        raise done.failure.error
    return Outcome.of_failure(done.failure)
