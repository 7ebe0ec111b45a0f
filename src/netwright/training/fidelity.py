"""The budget of a training. It tells which results can be compared with those of shorter and longer trainings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netwright.training.config import TrainingProtocol


@dataclass(frozen=True)
class Fidelity:
    """The budget of a training. All trainings of a search have the same unit.

    >>> Fidelity(9, "epochs").covers(Fidelity(3, "epochs"))
    True

    Args:
        amount: the number of units at most.
        unit: seconds of wall time where the training is limited in time; else optimizer steps, or epochs.
    """

    amount: float
    unit: Literal["epochs", "steps", "seconds"]

    def covers(self, other: Fidelity) -> bool:
        """Whether a result with this budget says at least as much about a network as one with the other budget."""
        return self.unit == other.unit and self.amount >= other.amount


def fidelity_of(protocol: TrainingProtocol, stop_after: int | None = None) -> Fidelity:
    """The budget of a training by a protocol, or of its part up to the epoch ``stop_after``."""
    if stop_after is not None:
        return Fidelity(stop_after, "epochs")
    if protocol.seconds is not None:
        return Fidelity(protocol.seconds, "seconds")
    if protocol.steps is not None:
        return Fidelity(protocol.steps, "steps")
    return Fidelity(protocol.epochs, "epochs")
