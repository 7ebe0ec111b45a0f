"""Averaged weights: a training goes on with its own weights, and is judged by, and gives, their average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from netwright.training.batch_statistics import BatchStatistics
from netwright.training.config import TrainingProtocol
from netwright.training.device import resolve_device
from netwright.training.problem import Problem
from netwright.training.seeding import derive_seed
from netwright.training.step import TrainingStep


class AveragedNetwork:
    """The network of a training with its averaged weights, for validations and for the end.

    Statistics of batch normalisation belong to the averaged weights, and are computed for them again.

    Args:
        network: the one that is trained.
        step: it knows the averaged weights.
        statistics: for the network.
    """

    def __init__(self, network: nn.Module, step: TrainingStep, statistics: BatchStatistics) -> None:
        self._network = network
        self._step = step
        self._statistics = statistics
        self._computed: tuple[int, Mapping[str, Tensor]] | None = None

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Within this context, the network has its averaged weights. After it, it is as before, bit for bit."""
        before = {name: value.detach().clone() for name, value in _state(self._network).items()}
        self._take()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in _state(self._network).items():
                    value.copy_(before[name])
            self._step.go_on()

    def take(self) -> None:
        """Gives the network its averaged weights for good."""
        self._take()

    def _take(self) -> None:
        self._step.average()
        steps = self._step.steps
        if self._computed is None or self._computed[0] != steps:
            self._computed = steps, self._statistics.compute()
        else:
            self._statistics.set(self._computed[1])


def averaged_network(
    network: nn.Module,
    step: TrainingStep,
    problem: Problem,
    training: Sequence[int],
    protocol: TrainingProtocol,
    *,
    seed: int,
) -> AveragedNetwork:
    """The network with its averaged weights, in a training that has them. Arguments as in
    `netwright.training.loop.train`.
    """
    device = resolve_device(protocol.device)
    batches = problem.batches(training, protocol, device, derive_seed(seed, "statistics"))
    return AveragedNetwork(network, step, BatchStatistics(network, batches, protocol, device))


def _state(network: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers by name, also buffers that a ``state_dict`` leaves out; shared ones once."""
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}
