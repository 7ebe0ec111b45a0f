"""Networks that every process of a training on several devices makes anew."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

from netwright.nn.schedule import Scheduled

ENDS = "REPLICA_ENDS"
"""The environment variable that tells the other processes how to end at the second step."""


class Net(Scheduled):
    """Batch normalisation, an auxiliary head, and weights that no step uses; no dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.second = nn.Sequential(
            nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6, momentum=None), nn.ReLU()
        )
        self.head, self.auxiliary = nn.Conv2d(6, 3, 1), nn.Conv2d(6, 3, 1)
        self.unused = nn.Conv2d(6, 3, 1)
        self.share = 0.0

    def set_progress(self, share: float) -> None:
        self.share = share

    def forward(self, images: Tensor) -> Any:
        features = self.first(images) * (1 + self.share)
        logits = self.head(self.second(features))
        return (logits, self.auxiliary(features)) if self.training else logits


class Drawing(Net):
    """With dropout."""

    def forward(self, images: Tensor) -> Any:
        return super().forward(nn.functional.dropout(images, 0.3, self.training))


class Ending(Net):
    """Ends its process at the second step, but not the first one of a training."""

    steps = 0

    def forward(self, images: Tensor) -> Any:
        self.steps += self.training
        if self.steps == 2 and torch.distributed.is_initialized() and torch.distributed.get_rank() == 1:
            if os.environ[ENDS] == "killed":
                os.kill(os.getpid(), 9)
            if os.environ[ENDS] == "memory":
                raise MemoryError("no more of it")
            raise ValueError("a fault of the network")
        return super().forward(images)


class Classifier(nn.Module):
    """The mean of a network's output over a picture."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        outputs = self.network(images)
        return (outputs[0] if self.training else outputs).mean((2, 3))


def of_regions(task: Any) -> nn.Module:
    return Net()


def plain(task: Any) -> nn.Module:
    return Classifier(Net())


def drawing(task: Any) -> nn.Module:
    return Classifier(Drawing())


def ending(task: Any) -> nn.Module:
    return Classifier(Ending())


def failing(task: Any) -> nn.Module:
    """Can be made in the first process alone."""
    import multiprocessing

    if multiprocessing.current_process().daemon:
        raise ValueError("it cannot be made here")
    return Classifier(Net())
