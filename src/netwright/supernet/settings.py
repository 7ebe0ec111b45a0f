"""How networks are searched inside one training: every setting of it, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from netwright.errors import SettingsError


@dataclass(frozen=True)
class SupernetSettings:
    """The search of PDAS (Section 4.1, Training Detail) by default: 200 epochs, batches of 64, SGD.

    What is not here is that of the networks' own training: loss, augmentation, precision, device.

    epochs: passes over the half of the training cases that the weights are trained on. steps: in place of epochs, steps
    of the search. seconds: wall time; the search then ends with it, and at the latest after so many epochs or steps,
    and the learning rate falls with the time. batch_size: images of each of a step's two batches. learning_rate: at the
    start; it falls to zero along half a cosine (Loshchilov and Hutter 2017, without restarts). momentum, weight_decay:
    of the stochastic gradient descent. gradient_norm: longer gradients are cut to it. checkpoint_seconds: from one
    checkpoint to the next, or twenty times as long as writing one takes; a kill loses no more. snapshots: of the
    probabilities, for the report. space: options of the space that differ between the search and the training of the
    network that it found.

    Raises:
        SettingsError: a value is out of range.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    epochs: int = 200
    steps: int | None = None
    seconds: float | None = None
    batch_size: int = 64
    learning_rate: float = 0.025
    momentum: float = 0.9
    weight_decay: float = 3e-4
    gradient_norm: float = 5.0
    checkpoint_seconds: float = 120.0
    snapshots: int = 200
    space: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "batch_size", "snapshots"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"supernet.{name} must be at least 1, got {value}.")
        for name in ("seconds", "learning_rate", "gradient_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"supernet.{name} must be over 0, got {value}.")
        for name in ("weight_decay", "checkpoint_seconds"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"supernet.{name} must be at least 0, got {getattr(self, name)}.")
        if not 0 <= self.momentum < 1:
            raise SettingsError(f"supernet.momentum must be at least 0 and under 1, got {self.momentum}.")

    def steps_of(self, steps_an_epoch: int) -> int:
        """The steps, at most, of a search of so many steps an epoch."""
        return self.steps or self.epochs * steps_an_epoch
