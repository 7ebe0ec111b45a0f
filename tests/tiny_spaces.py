"""A user's own space: a module that is named on the command line as ``tiny_spaces:Stack``."""

from itertools import pairwise
from typing import Any

from optuna.distributions import IntDistribution
from torch import nn


class Stack:
    """A few convolutions, for pictures or volumes, with a label for each voxel or for the whole image."""

    name = "stack"

    def __init__(self, size: tuple[int, ...], *, dense: bool = True) -> None:
        self.convolution: Any = nn.Conv3d if len(size) == 3 else nn.Conv2d
        self.pooling: Any = nn.AdaptiveAvgPool3d if len(size) == 3 else nn.AdaptiveAvgPool2d
        self.dense = dense

    def distributions(self) -> dict[str, Any]:
        """How many convolutions, and how wide; numbers, as a few categories are soon tried."""
        return {"depth": IntDistribution(1, 4), "width": IntDistribution(2, 32)}

    def starting_choice(self) -> dict[str, Any]:
        """A small one."""
        return {"depth": 1, "width": 4}

    def canonical(self, choice: Any) -> dict[str, Any]:
        """Every value shapes the network."""
        return dict(choice)

    def build(self, choice: Any, task: Any) -> nn.Module:
        """The network of a choice."""
        widths = [task.channels, *[choice["width"]] * choice["depth"]]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [self.convolution(before, after, 3, padding=1), nn.ReLU()]
        head = [] if self.dense else [self.pooling(1), nn.Flatten(1)]
        last = (
            self.convolution(widths[-1], task.classes, 1)
            if self.dense
            else nn.Linear(widths[-1], task.classes)
        )
        return nn.Sequential(*layers, *head, last)

    def describe(self, choice: Any) -> str:
        """In words."""
        return f"{choice['depth']} of {choice['width']}"

    def diagrams(self, choice: Any, task: Any) -> tuple[Any, ...]:
        """None."""
        return ()
