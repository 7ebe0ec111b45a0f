"""The loss of a network that has learned nothing. By it, early termination recognises trainings that do not learn."""

from __future__ import annotations

import math

from netwright.training.config import TrainingProtocol

GUESSED = ("cross_entropy", "dice", "dice_cross_entropy")
"""The losses for which the loss of a guess is known."""


def guessed_loss(training: TrainingProtocol, classes: int) -> float | None:
    """The loss if all classes are equally likely and nothing overlaps; None where it is not known.

    >>> guessed_loss(TrainingProtocol(loss="cross_entropy"), classes=10)
    2.302585092994046
    """
    if training.loss not in GUESSED:
        return None
    cross_entropy, dice = math.log(classes), 1.0
    if training.loss == "dice_cross_entropy":
        return training.loss_dice_weight * dice + training.loss_cross_entropy_weight * cross_entropy
    return cross_entropy if training.loss == "cross_entropy" else dice
