"""The loss of a training protocol on a task."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from netwright.errors import SettingsError
from netwright.evaluation.protocol import TrainingProtocol
from netwright.tasks.base import Task
from netwright.tasks.losses import CLASSIFICATION_LOSSES, LOSSES, AuxiliaryLoss

TrainingLoss = AuxiliaryLoss
"""What a network returns in training, logits (B, K, *size) or those with auxiliary heads', and labels, to a scalar."""


def loss_of(protocol: TrainingProtocol, task: Task, class_weights: Tensor) -> TrainingLoss:
    """The loss of a protocol; the one place where auxiliary heads are added to it.

    Args:
        protocol: names the loss and its constants.
        task: what the labels are of.
        class_weights: (K,), on the device of the logits.

    Raises:
        SettingsError: the loss is one of regions, and the task is to classify images.
    """
    if not task.label_size and protocol.loss not in CLASSIFICATION_LOSSES:
        raise SettingsError(
            f"training.loss {protocol.loss!r} is one of regions, and the task is to classify images: expected "
            f"{', '.join(CLASSIFICATION_LOSSES)}. Set training.loss={CLASSIFICATION_LOSSES[0]}."
        )
    loss = partial(
        LOSSES[protocol.loss],
        class_weights=class_weights,
        dice_weight=protocol.loss_dice_weight,
        cross_entropy_weight=protocol.loss_cross_entropy_weight,
        gamma=protocol.loss_gamma,
    )
    return AuxiliaryLoss(loss, protocol.loss_auxiliary_weight)
