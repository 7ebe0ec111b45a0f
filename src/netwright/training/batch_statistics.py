"""The statistics of batch normalisation of a network, computed again for weights that it was not trained with."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from netwright.execution import heartbeat
from netwright.training.config import TrainingProtocol
from netwright.training.inference import forward
from netwright.training.problem import EpochBatches
from netwright.training.state import generator_tensors, restore_generators

BATCHES = 10
"""How many training batches the statistics come from, or an epoch where that has fewer. A channel has hundreds of
values in them even where there is one voxel an image: the standard error of a mean is a few per cent."""


class BatchStatistics:
    """The means and variances of the layers with batch normalisation.

    All else of the network is in evaluation mode meanwhile: the statistics are those of the network as it is used. The
    batches are the same each time, and no generator of the training draws for them.

    Args:
        network: on ``device``.
        batches: training batches with a generator of their own.
        protocol: how the network is computed.
        device: of the network.
    """

    def __init__(
        self, network: nn.Module, batches: EpochBatches, protocol: TrainingProtocol, device: torch.device
    ) -> None:
        self._network = network
        self._batches = batches
        self._order = None if batches.generator is None else batches.generator.get_state()
        self._mixed_precision = protocol.mixed_precision
        self._channels_last = protocol.channels_last
        self._device = device

    def compute(self) -> Mapping[str, Tensor]:
        """Gives each layer the mean of its batches' statistics. Returns what `set` takes.

        A layer that is not computed in evaluation mode, as one of an auxiliary head, keeps what it has.
        """
        layers = self._layers()
        if not layers:
            return {}
        before = {name: value.clone() for name, value in self._values().items()}
        momenta = {name: layer.momentum for name, layer in layers.items()}
        drawn = generator_tensors(self._device)
        training = self._network.training
        self._network.eval()
        try:
            for layer in layers.values():
                layer.reset_running_stats()
                layer.momentum = None  # the cumulative average
                layer.train()
            self._forward()
        finally:
            for name, layer in layers.items():
                layer.momentum = momenta[name]
            self._network.train(training)
            restore_generators(drawn, self._device)
        unused = {name for name, layer in layers.items() if not layer.num_batches_tracked}
        self.set({name: value for name, value in before.items() if name.rpartition(".")[0] in unused})
        return {name: value.clone() for name, value in self._values().items()}

    def set(self, values: Mapping[str, Tensor]) -> None:
        """Gives the layers what `compute` returned."""
        now = self._values()
        for name, value in values.items():
            now[name].copy_(value)

    @torch.no_grad()
    def _forward(self) -> None:
        if self._batches.generator is not None and self._order is not None:
            self._batches.generator.set_state(self._order.clone())
        for images, _ in islice(self._batches, BATCHES):
            forward(
                self._network,
                images,
                mixed_precision=self._mixed_precision,
                channels_last=self._channels_last,
            )
            heartbeat.beat()

    def _layers(self) -> dict[str, _BatchNorm]:
        return {
            name: module
            for name, module in self._network.named_modules()
            if isinstance(module, _BatchNorm) and module.running_mean is not None
        }

    def _values(self) -> dict[str, Tensor]:
        return {
            f"{name}.{buffer}": value
            for name, layer in self._layers().items()
            for buffer, value in layer.named_buffers()
        }
