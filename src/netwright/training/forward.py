"""The forward pass of a training step, in the precision and memory format of the protocol."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from netwright.training.config import TrainingProtocol
from netwright.training.device import call_network, half_precision, marked_channels_last
from netwright.training.precision import half_precision_training


class TrainingForward:
    """Computes a network on images as in a training step."""

    def __init__(self, protocol: TrainingProtocol, device: torch.device) -> None:
        self.half = half_precision(device) if protocol.mixed_precision else None
        self._channels_last = protocol.channels_last
        self._fast_convolutions = protocol.fast_convolutions
        self._device = device

    def __call__(self, network: nn.Module, images: Tensor) -> Any:
        """What a network returns in training for images (B, C, *size)."""
        if self._channels_last and self._fast_convolutions:
            images = marked_channels_last(images)
        with half_precision_training(self._device, self.half, fast=self._fast_convolutions):
            return call_network(network, images, channels_last=self._channels_last)
