"""The number of weights of a network of cells without building it, and the channels for a wanted number of weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from netwright.spaces.cells import operations as modules
from netwright.spaces.cells.genotype import Cell, outputs_of
from netwright.spaces.cells.network import Shape, network_steps, operation_makers


def _projection(inputs: int, channels: int, affine: bool) -> int:
    return inputs * channels + 2 * channels * affine


def _separable(channels: int, kernel: int, stride: int, affine: bool) -> int:
    return 2 * (kernel**2 * channels + _projection(channels, channels, affine))


_COUNTS: dict[Callable[..., Any], Callable[..., int]] = {
    modules.Stem: lambda inputs, channels, affine: 9 * inputs * channels + 2 * channels,
    modules.Projection: _projection,
    modules.FactorisedReduction: _projection,
    modules.SeparableConvolution: _separable,
    modules.Concatenation: lambda channels, nodes, affine: _projection(
        channels * len(nodes), channels, affine
    ),
    modules.Head: lambda channels, classes: (channels + 1) * classes,
}
"""For each kind of module with weights, a function that gives their number from the module's arguments."""


@dataclass(frozen=True)
class _Task:
    channels: int
    classes: int
    size: tuple[int, ...] = ()


def count_weights(normal: Cell, reduction: Cell, shape: Shape, image_channels: int, classes: int) -> int:
    """The number of weights of a network without its auxiliary head.

    Args:
        normal: the normal cell.
        reduction: the reduction cell.
        shape: of the network.
        image_channels: of the input.
        classes: of the output.
    """
    plain = replace(shape, auxiliary=False)
    nodes = {False: outputs_of(normal), True: outputs_of(reduction)}
    makers = operation_makers(plain, _Task(image_channels, classes), nodes)
    used = {step.key for step in network_steps(normal, reduction, plain)}
    return sum(_COUNTS[makers[key].func](*makers[key].args) for key in used if makers[key].func in _COUNTS)


@lru_cache(maxsize=1024)
def channels_for(
    parameters: int, normal: Cell, reduction: Cell, shape: Shape, image_channels: int, classes: int
) -> int:
    """The channels of the first cell whose network comes nearest to a number of weights, without its auxiliary head.

    Args:
        parameters: the wanted number of weights.
        normal: the normal cell.
        reduction: the reduction cell.
        shape: of the network.
        image_channels: of the input.
        classes: of the output.
    """

    def count(width: int) -> int:
        return count_weights(normal, reduction, replace(shape, channels=width), image_channels, classes)

    # The inputs and outputs of every layer are the channels times a constant, or constant, so the count is a polynomial
    # of the second degree in the channels.
    one, two, three = count(1), count(2), count(3)
    square = (three - 2 * two + one) / 2
    linear = two - one - 3 * square
    beside = max(0.0, parameters - (one - square - linear))
    root = (-linear + (linear**2 + 4 * square * beside) ** 0.5) / (2 * square)
    lower = max(1, int(root))
    return min((lower, lower + 1), key=lambda width: abs(count(width) - parameters))
