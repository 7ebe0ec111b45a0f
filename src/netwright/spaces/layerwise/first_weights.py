"""How a network's weights are initialised: rebuilt networks follow what the authors chose for the original."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod, sqrt
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from netwright.spaces.layerwise.layers import TRANSPOSED

WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)


@dataclass(frozen=True)
class FirstWeights:
    """The initialisation of a network, estimated from its weights.

    ``gains``: for each convolution and dense layer, the standard deviation of its weights times the square root of the
    number of terms that an output value sums. It says how strongly a layer amplifies a signal, whatever its width:
    1 / sqrt(3) is torch's default, sqrt(2) that of He et al. 2015. ``constants``: for each parameter whose numbers are
    all equal, such as biases of 0 and scales of 1, that number.
    """

    gains: Mapping[str, float]
    constants: Mapping[str, float]

    @classmethod
    def read(cls, network: nn.Module) -> FirstWeights:
        """Read it from a network with real tensors as weights; uninitialised lazy ones are left out.

        Layers whose classes initialise their weights themselves have no gain either: when rebuilt they do so again.
        """
        gains = {}
        for name, module in network.named_modules():
            if _begins_as_torch_has_it(module) and _varies(module.weight):
                gains[name] = float(module.weight.detach().double().std()) * sqrt(terms_of(module))
        constants = {
            name: float(parameter.detach().flatten()[0])
            for name, parameter in network.named_parameters()
            if not is_lazy(parameter) and parameter.numel() > 1 and not _varies(parameter)
        }
        return cls(gains, constants)

    def apply(self, network: nn.Module) -> None:
        """Initialise a rebuilt network's weights in the same way; layers that the original lacks stay as they are.

        Fresh weights are only multiplied by a factor, so torch's random numbers decide them.
        """
        with torch.no_grad():
            for name, module in network.named_modules():
                if name in self.gains and isinstance(module, WEIGHTED):
                    own = 1 / sqrt(3 * module.weight[0].numel())  # from torch's reset_parameters
                    module.weight.mul_(self.gains[name] / sqrt(terms_of(module)) / own)
            for name, parameter in network.named_parameters():
                if name in self.constants:
                    parameter.fill_(self.constants[name])


def terms_of(layer: nn.Module) -> float:
    """The number of products of a weight and an input that an output value sums, in a convolution or dense layer.

    >>> terms_of(nn.Conv2d(8, 16, 3))
    72.0
    """
    weight = layer.weight
    assert isinstance(weight, Tensor)
    if isinstance(layer, TRANSPOSED):
        return weight[:, 0].numel() / prod(layer.stride) / layer.groups
    return float(weight[0].numel())


def _begins_as_torch_has_it(module: nn.Module) -> TypeGuard[nn.Linear | nn.Conv2d]:
    own = getattr(type(module), "reset_parameters", None)
    return isinstance(module, WEIGHTED) and own in [kind.reset_parameters for kind in WEIGHTED]


def _varies(parameter: Tensor) -> bool:
    if is_lazy(parameter):
        return False
    return parameter.numel() > 1 and bool((parameter != parameter.flatten()[0]).any())
