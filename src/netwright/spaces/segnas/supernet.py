"""The shared weights of all SegNAS3D networks of a space, so that they can be searched inside one training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netwright.errors import InfeasibleArchitecture
from netwright.nn.layers import projection, resize_linear, resize_nearest
from netwright.nn.steps import IMAGE, Step, Steps, Supernet
from netwright.spaces.base import Choice, TaskShape
from netwright.spaces.segnas.block import Matrix, illegality, sources_of
from netwright.spaces.segnas.network import Architecture, check_size
from netwright.spaces.segnas.operations import SKIP, make_operation, operation_name

Edges = frozenset[tuple[int, int, int]]
"""The edges of blocks as (source, target, operation)."""


@dataclass(frozen=True)
class Extent:
    """The largest extent of a supernet's networks.

    ``n``: channels of the first block. ``p``: the most max poolings. ``sup``: whether any network has deep supervision.
    ``res``: whether any has residual connections. ``edges``: the edges of all blocks.
    """

    n: int
    p: int
    sup: bool
    res: bool
    edges: Edges


class SegNASSupernet(Supernet):
    """Weights for every operation on every edge of the block, at every position of the block in the network.

    A network uses the weights of its block in its smallest form, so that choices with the same network are one network
    here, too. Networks with fewer max poolings are the upper levels of those with more. Deep supervision and residual
    connections are additions. Only the number of channels is the same for all. Batch normalisation uses the statistics
    of the batch, without affine weights, and there is no dropout.

    Args:
        extent: of all networks.
        architecture: gives the architecture of a choice, as it is built.
        task: channels, classes and size of the images.
    """

    def __init__(
        self, extent: Extent, architecture: Callable[[Choice], Architecture], task: TaskShape
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.size = task.size
        widths = [extent.n * 2**level for level in range(extent.p + 1)]
        inputs = [task.channels, *widths[:-1]]
        for level in range(extent.p + 1):
            self._add_section(f"encoder{level}", inputs[level], widths[level], extent)
        for level in range(extent.p):
            self.operations[f"halve{level}"] = nn.Conv3d(widths[level + 1], widths[level], 1, bias=False)
            self._add_section(f"decoder{level}", 2 * widths[level], widths[level], extent)
        for level in range(extent.p if extent.sup else 1):
            self.operations[f"head{level}"] = nn.Conv3d(widths[level], task.classes, 1)
        for module in (nn.MaxPool3d(2), Sum(), Join(), Deepen()):
            self.operations[_name(type(module))] = module

    def steps(self, choice: Choice) -> Steps:
        """The steps of a choice's network.

        Raises:
            InfeasibleArchitecture: its block is illegal, or its poolings reduce the images to nothing.
        """
        architecture = self.architecture(choice)
        reason = illegality(architecture.matrix)
        if reason is not None:
            raise InfeasibleArchitecture(f"Illegal block: {reason}.")
        check_size(self.size, architecture.p)
        return _steps(architecture)

    def _add_section(self, section: str, inputs: int, outputs: int, extent: Extent) -> None:
        for source, target, operation in sorted(extent.edges):
            if source > 0 and operation == SKIP:
                continue  # the features themselves
            channels = inputs if source == 0 else outputs
            module = make_operation(operation, channels, outputs, affine=False)
            self.operations[_edge(section, source, target, operation)] = module
        if extent.res:
            self.operations[f"{section}/residual"] = projection(inputs, outputs)


class Sum(nn.Module):
    """The sum of features."""

    def forward(self, *features: Tensor) -> Tensor:
        """Features, each (batch, channels, *spatial), to features of the same shape."""
        total = features[0]
        for term in features[1:]:
            total = total + term
        return total


class Join(nn.Module):
    """Encoder features, concatenated with features from below that are repeated to their size."""

    def forward(self, encoded: Tensor, below: Tensor) -> Tensor:
        """(batch, channels, *spatial) and (batch, more, *smaller) to (batch, channels + more, *spatial)."""
        return torch.cat([encoded, resize_nearest(below, encoded.shape[2:])], dim=1)


class Deepen(nn.Module):
    """Deep supervision: the logits of a level plus those from below, interpolated."""

    def forward(self, below: Tensor, here: Tensor) -> Tensor:
        """(batch, classes, *smaller) and (batch, classes, *spatial) to (batch, classes, *spatial)."""
        return resize_linear(below, here.shape[2:]) + here


def edges_of(matrices: Iterable[Matrix]) -> Edges:
    """All edges of blocks."""
    return frozenset(
        (source, target, matrix[source][target])
        for matrix in matrices
        for target in range(1, len(matrix))
        for source in sources_of(matrix, target)
    )


def _steps(architecture: Architecture) -> Steps:
    """What `netwright.spaces.segnas.network.SegNASNetwork` computes, step by step."""
    steps: list[Step] = []

    def add(key: str, *inputs: int) -> int:
        steps.append(Step(key, inputs))
        return len(steps) - 1

    def section(name: str, features: int) -> int:
        nodes = [features]
        for target in range(1, len(architecture.matrix)):
            incoming = [
                nodes[source]
                if source > 0 and architecture.matrix[source][target] == SKIP
                else add(_edge(name, source, target, architecture.matrix[source][target]), nodes[source])
                for source in sources_of(architecture.matrix, target)
            ]
            nodes.append(add(_name(Sum), *incoming) if len(incoming) > 1 else incoming[0])
        if not architecture.res:
            return nodes[-1]
        return add(_name(Sum), nodes[-1], add(f"{name}/residual", features))

    encoded = [section("encoder0", IMAGE)]
    for level in range(1, architecture.p + 1):
        encoded.append(section(f"encoder{level}", add(_name(nn.MaxPool3d), encoded[-1])))
    features, logits = encoded[-1], IMAGE
    for level in range(architecture.p - 1, -1, -1):
        joined = add(_name(Join), encoded[level], add(f"halve{level}", features))
        features = section(f"decoder{level}", joined)
        if architecture.sup or level == 0:
            here = add(f"head{level}", features)
            logits = here if logits == IMAGE else add(_name(Deepen), logits, here)
    return tuple(steps)


def _edge(section: str, source: int, target: int, operation: int) -> str:
    return f"{section}/{source}_{target}/{operation_name(operation)}"


def _name(module: type[nn.Module]) -> str:
    return module.__name__.lower()
