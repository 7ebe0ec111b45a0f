"""The trained network, from the file that torch.export wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.export.passes import move_to_device_pass


class ExportedNetwork(nn.Module):
    """Probabilities (B, K, *size) of images (B, C, *size). Only for evaluation.

    Windows are blended by their probabilities, so the last activation is part of the network.

    Args:
        file: a ``.pt2`` file.
        output: whether labels exclude one another ("softmax"), or regions may overlap ("sigmoid").
        device: where it is computed.
    """

    def __init__(
        self, file: str | Path, output: Literal["softmax", "sigmoid"], device: torch.device | str = "cpu"
    ) -> None:
        super().__init__()
        self.network = move_to_device_pass(torch.export.load(file), str(device)).module()
        self.output = output
        self.training = False

    def train(self, mode: bool = True) -> Self:
        """Nothing: an exported network has one mode."""
        return self

    def forward(self, images: Tensor) -> Tensor:
        """The probabilities."""
        logits: Tensor = self.network(images).float()
        return logits.softmax(1) if self.output == "softmax" else logits.sigmoid()
