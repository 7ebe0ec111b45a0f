"""Schedule-free AdamW (Defazio et al. 2024): no schedule, and averaged weights that need no decay.

Gradients are taken at the weights y, between the fast weights z and their average x; networks are judged by x. The
optimizer keeps z, and turns y into x where it is asked to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

NAME = "schedule_free"
_COUNTED = ("k", "weight_sum", "lr_max")
"""What the optimizer counts beside its state for each weight: steps, weights in the average, the highest rate."""


def schedule_free(
    weights: Iterable[nn.Parameter], *, lr: float, weight_decay: float, foreach: bool
) -> torch.optim.Optimizer:
    """The optimizer, ready to train.

    Args:
        weights: to optimise.
        lr: the learning rate.
        weight_decay: of all weights.
        foreach: whether all weights are updated at once.
    """
    from schedulefree import AdamWScheduleFree

    optimizer: torch.optim.Optimizer = AdamWScheduleFree(
        weights, lr=lr, weight_decay=weight_decay, foreach=foreach
    )
    go_on(optimizer)
    return optimizer


def average(optimizer: torch.optim.Optimizer) -> None:
    """Turns the weights y into their average x."""
    optimizer.eval()  # type: ignore[attr-defined]


def go_on(optimizer: torch.optim.Optimizer) -> None:
    """Says that the weights are y again.

    The optimizer's own ``train()`` would compute y from x, with other rounding: a validation would change the training.
    """
    for group in optimizer.param_groups:
        group["train_mode"] = True


def values(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What the optimizer has counted, for a checkpoint."""
    (group,) = optimizer.param_groups
    return {name: group[name] for name in _COUNTED}


def restore(optimizer: torch.optim.Optimizer, counted: Mapping[str, Any]) -> None:
    """Takes up what `values` gave."""
    (group,) = optimizer.param_groups
    group.update({name: counted[name] for name in _COUNTED})
