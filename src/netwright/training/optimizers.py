"""The optimizers of a protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import nn

from netwright.training.config import TrainingProtocol
from netwright.training.schedule_free import schedule_free

_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "nadam": torch.optim.NAdam,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "schedule_free": schedule_free,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
}


def optimizer_of(protocol: TrainingProtocol, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of a protocol, at its full learning rate."""
    own = {"nesterov": protocol.nesterov} if protocol.optimizer == "sgd" else {}
    return _OPTIMIZERS[protocol.optimizer](
        weights, lr=protocol.learning_rate, weight_decay=protocol.weight_decay, foreach=True, **own
    )
