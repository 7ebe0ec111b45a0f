"""What a sink of logs does. It gets every epoch of every training and every finished trial, each of them once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Values = Mapping[str, float | None]
"""Name -> number; None where it is not known, or not finite."""


class Sink(Protocol):
    """Takes what a run logs. A sink keeps what it took on disk, so that a run that is resumed logs nothing twice.

    A training is named by its folder in the run: ``trials/0003``, ``winner``, ``verdict/unet3d``.
    """

    def epochs(self, training: str) -> int:
        """The last epoch that it has of a training; 0: none."""

    def has_trial(self, number: int) -> bool:
        """Whether it has the end of a trial."""

    def log_epoch(self, training: str, epoch: int, values: Values) -> None:
        """Take the end of an epoch, the first of which is 1.

        Args:
            training: its name.
            epoch: greater than any before, unless the training began anew after a crash.
            values: loss, validation score, learning rate and seconds.
        """

    def log_trial(
        self, number: int, choice: Mapping[str, Any], words: Mapping[str, str], values: Values
    ) -> None:
        """Take the end of a trial.

        Args:
            number: of the trial, from 0.
            choice: the value of each dimension of the space.
            words: status, reason, and the choice in words.
            values: reward, metrics and costs.
        """

    def close(self) -> None:
        """Write what is not yet written."""
