"""A network whose output is one tensor."""

from __future__ import annotations

from torch import Tensor, nn

from netwright.nn.losses import main_output


class Logits(nn.Module):
    """A network without the outputs of its auxiliary heads."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """The logits, or values, of images (B, C, *size)."""
        return main_output(self.network(images))
