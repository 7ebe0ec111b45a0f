"""The progress of a training, read from the curves that it writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from netwright.runs.status import read_curves
from netwright.training.outcome import TRAIN_LOSS, VALIDATION_SCORE


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
