"""The result of one candidate: a status, metrics, cost, curves, and a reason in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, TypeVar

from netwright.execution.run_jobs import Cause, Failure
from netwright.training.fidelity import Fidelity

T = TypeVar("T")

TRAIN_LOSS = "train_loss"
VALIDATION_SCORE = "validation_score"
VALIDATION_DICE = "validation_dice"
"""The name of the second curve in files of version 0.1, which had only segmentation."""


class Status(StrEnum):
    """How an evaluation ended. A strategy learns from all except ``CRASHED``."""

    COMPLETE = "complete"
    INFEASIBLE = "infeasible"
    OUT_OF_MEMORY = "out_of_memory"
    TOO_SLOW = "too_slow"
    LOSS_STALLED = "loss_stalled"
    DIVERGED = "diverged"
    CRASHED = "crashed"


@dataclass(frozen=True)
class Cost:
    """What a network costs. None: not measured.

    Args:
        parameters: trainable and not trainable.
        size_mb: of the weights in float32; 1 MB = 1e6 bytes.
        flops: of one forward pass of one image. A multiplication and an addition count as two.
        predicted_memory_mb: of a training step, from a dry run.
        peak_memory_mb: of a training step, measured.
        seconds_per_batch: the median of the training batches.
        inference_ms: the median for one image of the network's input size.
        inference_ms_per_batch: the median for as many images as a training batch has.
    """

    parameters: int | None = None
    size_mb: float | None = None
    flops: float | None = None
    predicted_memory_mb: float | None = None
    peak_memory_mb: float | None = None
    seconds_per_batch: float | None = None
    inference_ms: float | None = None
    inference_ms_per_batch: float | None = None


@dataclass(frozen=True)
class Outcome:
    """The result of evaluating one candidate. Survives a round trip through JSON.

    Args:
        status: how it ended.
        reason: why, in words.
        metrics: name to value, for example ``dice`` and ``dice.1``; only those that a case defines.
        cost: what the network costs.
        curves: name to one value an epoch. The score of a validation that no case defines is NaN, in files null.
        epochs: how many were finished.
        planned_epochs: how many were planned.
        seconds: wall time in all.
        restarts: how often the training was started again with new weights because its loss stayed over the threshold
            of early termination. Curves and epochs are those of the last training.
        loss_met_epoch: the first epoch whose training loss was not over that threshold; None: never, or no threshold.
        fidelity: the budget of the training. A complete training stands for it, also where patience ended it earlier.
            None: of a version that did not store it.
    """

    status: Status
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    curves: dict[str, list[float]] = field(default_factory=dict)
    epochs: int = 0
    planned_epochs: int = 0
    seconds: float = 0.0
    restarts: int = 0
    loss_met_epoch: int | None = None
    fidelity: Fidelity | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def of_failure(cls, failure: Failure) -> Outcome:
        """The outcome of a candidate whose job was lost."""
        lacked_memory = failure.cause == Cause.OUT_OF_MEMORY
        return cls(Status.OUT_OF_MEMORY if lacked_memory else Status.CRASHED, failure.reason)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Outcome:
        """The inverse of `to_dict`. Unknown keys of a newer version are ignored."""
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        known["status"] = Status(known["status"])
        curves = current_names(known.get("curves", {}))
        known["curves"] = {name: list(map(_number, values)) for name, values in curves.items()}
        cost = known.get("cost") or {}
        known["cost"] = Cost(**{f.name: cost.get(f.name) for f in fields(Cost)})
        known["fidelity"] = Fidelity(**known["fidelity"]) if known.get("fidelity") else None
        return cls(**known)


def _number(value: float | None) -> float:
    """A number from a file. JSON has no NaN, so null stands for it."""
    return math.nan if value is None else value


def current_names(curves: Mapping[str, T]) -> dict[str, T]:
    """Curves, or the values of an epoch, with their current names, whichever version wrote them."""
    return {VALIDATION_SCORE if name == VALIDATION_DICE else name: values for name, values in curves.items()}
