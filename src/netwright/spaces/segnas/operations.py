"""The block operations of SegNAS3D (Wong and Moradi 2019, Table 1)."""

from __future__ import annotations

from torch import nn

from netwright.nn.layers import convolution, projection

NONE = 0
SKIP = 6
# Operation number to (k, d) of Conv(k, d).
CONVOLUTIONS = {1: (1, 1), 2: (3, 1), 3: (5, 1), 4: (3, 2), 5: (5, 2)}
OPERATIONS = 7


def operation_name(operation: int) -> str:
    """The name in Table 1: ``none``, ``Conv(3,1)``, ``skip``."""
    if operation == NONE:
        return "none"
    if operation == SKIP:
        return "skip"
    kernel, dilation = CONVOLUTIONS[operation]
    return f"Conv({kernel},{dilation})"


def make_operation(operation: int, in_channels: int, out_channels: int, *, affine: bool = True) -> nn.Module:
    """The layer of an edge: Conv(k, d) with batch normalisation and ReLU, or a skip connection.

    The paper does not say how a skip connection joins different numbers of channels. As in the residual networks
    that it builds on (its reference 3), it is projected here by a 1 x 1 x 1 convolution without normalisation or
    activation.

    Args:
        operation: its number in Table 1.
        in_channels: channels of the input.
        out_channels: channels of the output.
        affine: see `netwright.nn.layers.convolution`.
    """
    if operation == SKIP:
        return projection(in_channels, out_channels)
    kernel, dilation = CONVOLUTIONS[operation]
    return convolution(in_channels, out_channels, kernel=kernel, dilation=dilation, affine=affine)
