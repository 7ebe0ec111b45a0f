"""Any network as a space of layers: it is read as a graph and rebuilt for other values of its layers."""

from netwright.spaces.layerwise.space import LayerwiseSpace, copy_weights, from_module

__all__ = ["LayerwiseSpace", "copy_weights", "from_module"]
