"""A drawing of a network's layers, as plain data."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from netwright.spaces.base import Diagram, Edge, Node, TaskShape
from netwright.spaces.layerwise.builder import Builder, Values
from netwright.spaces.layerwise.graph import LayerNetwork, layer_name


def layer_diagram(network: LayerNetwork, values: Values, builder: Builder, task: TaskShape) -> Diagram:
    """The tunable layers."""
    raise NotImplementedError
