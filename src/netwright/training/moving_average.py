"""The exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from netwright.training.state import require_tensor


class MovingAverage:
    """The average of weights over the steps of a training; each step forgets a little of those before.

    Args:
        weights: they are averaged as they are after each step.
        decay: what is kept of the average in a step, under 1. In the first steps t = 1, 2, ... it is
            (1 + t) / (10 + t) where that is less, so that the weights of the start are soon forgotten.
    """

    def __init__(self, weights: Iterable[nn.Parameter], decay: float) -> None:
        self._weights: list[Tensor] = list(weights)
        self._decay = decay
        self._averages = [weight.detach().clone() for weight in self._weights]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes up the weights after a step; the first is 1."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averages, self._weights, 1 - decay)

    @torch.no_grad()
    def copy_to_weights(self) -> None:
        """Sets the weights to their average."""
        for weight, average in zip(self._weights, self._averages, strict=True):
            weight.copy_(average)

    def tensors(self) -> dict[str, Tensor]:
        """The average, by the weight's number, for a checkpoint."""
        return {str(number): average for number, average in enumerate(self._averages)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes up what `tensors` gave.

        Raises:
            CheckpointRefused: an average is missing, or belongs to another network.
        """
        for name, average in self.tensors().items():
            require_tensor(tensors, name, average, "average")
            average.copy_(tensors[name])
