"""The loss of a training protocol on a task."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from netwright.errors import SettingsError
from netwright.nn.losses import AuxiliaryLoss
from netwright.training.config import TrainingProtocol
from netwright.training.problem import NetworkTask

TrainingLoss = AuxiliaryLoss
"""Maps what a network returns in training (logits (B, K, *size), maybe with those of auxiliary heads) and labels to a
scalar."""


def loss_of(protocol: TrainingProtocol, task: NetworkTask, class_weights: Tensor) -> TrainingLoss:
    """The loss of a protocol. This is the only place that adds auxiliary heads to it.

    Args:
        protocol: names the loss and its constants.
        task: the task that the loss is for.
        class_weights: (K,), on the device of the logits.

    Raises:
        SettingsError: the loss is not defined for the task.
    """
    require_loss(protocol, task)
    loss = partial(
        task.loss_function(protocol.loss),
        class_weights=class_weights,
        dice_weight=protocol.loss_dice_weight,
        cross_entropy_weight=protocol.loss_cross_entropy_weight,
        gamma=protocol.loss_gamma,
    )
    return AuxiliaryLoss(loss, protocol.loss_auxiliary_weight)


def require_loss(protocol: TrainingProtocol, task: NetworkTask) -> None:
    """Refuses a loss that is not defined for the task, for example one of regions for classification.

    Raises:
        SettingsError: the message lists the losses that are defined.
    """
    if protocol.loss not in task.losses:
        raise SettingsError(
            f"training.loss is {protocol.loss!r}, which is not defined for a task that is judged by {task.metric}: "
            f"expected {' or '.join(task.losses)}. Set training.loss={task.losses[0]}."
        )
