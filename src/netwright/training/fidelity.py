"""How long a training may be: what its result stands for, beside those of shorter and longer ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netwright.training.config import TrainingProtocol


@dataclass(frozen=True)
class Fidelity:
    """The budget of a training. Within a search, all are in one unit.

    >>> Fidelity(9, "epochs").covers(Fidelity(3, "epochs"))
    True

    Args:
        amount: of the unit, at most.
        unit: wall time in seconds where the training is limited in it; else steps of the optimizer, or epochs.
    """

    amount: float
    unit: Literal["epochs", "steps", "seconds"]

    def covers(self, other: Fidelity) -> bool:
        """Whether what comes of this one says at least as much of a network as what would come of the other."""
        return self.unit == other.unit and self.amount >= other.amount


def fidelity_of(protocol: TrainingProtocol, stop_after: int | None = None) -> Fidelity:
    """The budget of a training by a protocol, or of the part of it that ends after an epoch."""
    if stop_after is not None:
        return Fidelity(stop_after, "epochs")
    if protocol.seconds is not None:
        return Fidelity(protocol.seconds, "seconds")
    if protocol.steps is not None:
        return Fidelity(protocol.steps, "steps")
    return Fidelity(protocol.epochs, "epochs")
