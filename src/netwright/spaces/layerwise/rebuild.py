"""Rebuilds a network for other values of its layers; whatever depends on a changed layer follows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch._guards import detect_fake_mode

from netwright.spaces.layerwise.builder import Builder, Shape, Values
from netwright.spaces.layerwise.graph import Held, LayerNetwork
from netwright.spaces.layerwise.network import LayeredNetwork

TRIAL_BATCH = 2  # a single image cannot be normalised where one voxel is left


def rebuild(network: LayerNetwork, choice: Values, channels: int, size: Sequence[int]) -> LayeredNetwork:
    """The network with the given values of its layers, for images (batch, channels, *size).

    Every step is tried in order on tensors without contents, so that each layer is made for the input that really
    reaches it. If operands of an elementwise operation had the same channels or sizes and now differ, they
    are fitted to the operand with the most layers before it, as a shortcut is fitted to its branch (He et al. 2016), or
    else to the first. Operands of a concatenation are resized to the largest. An operation that has no form for other
    channels (a function with weights of its own, attention) gets its original ones by a projection, and so do features
    that are combined with the fixed values of a buffer. Outputs keep their channels, and dense predictions keep the
    relation of their size to the image's.

    Weights are new and initialised by their layers. Parameters that the forward pass takes directly are
    drawn with the mean and the standard deviation of the original's.

    Args:
        network: that was read.
        choice: values of the layers.
        channels: of the images.
        size: of the images.

    Raises:
        InfeasibleArchitecture: no network is possible; the message says at which layer and why.
    """
    builder = plan(network, choice, channels, size)
    outputs = builder.outputs
    modules = {path: make() for path, make in builder.makers.items()}
    tensors = {path: _new_tensor(held, builder.held[path]) for path, held in network.tensors.items()}
    training = tuple(outputs[name] for name in network.training)
    return LayeredNetwork(
        builder.steps, training, outputs[network.evaluation], modules, tensors, network.title
    )


def plan(network: LayerNetwork, choice: Values, channels: int, size: Sequence[int]) -> Builder:
    """The steps of the rebuilt network and their shapes, without its weights.

    Args:
        network: that was read.
        choice: values of the layers.
        channels: of the images.
        size: of the images.

    Raises:
        InfeasibleArchitecture: as `rebuild`.
    """
    builder = Builder(network, choice, (TRIAL_BATCH, channels, *size))
    with torch.no_grad(), torch.device("meta"):
        for step in network.steps:
            builder.take(step)
        for name in network.outputs:
            builder.outputs[name] = builder.finish(name)
    return builder


def _new_tensor(held: Held, shape: Shape) -> Held:
    """A parameter or buffer of a shape, for the current mode of making tensors."""
    if held.parameter:
        value: Tensor = torch.empty(shape).normal_(held.mean, held.deviation)
        return Held(value.requires_grad_(held.value.requires_grad), True, held.persistent)
    if shape != tuple(held.value.shape):
        return Held(torch.full(shape, held.mean, dtype=held.value.dtype), False, held.persistent)
    mode = detect_fake_mode()
    return Held(mode.from_tensor(held.value) if mode else held.value.clone(), False, held.persistent)
