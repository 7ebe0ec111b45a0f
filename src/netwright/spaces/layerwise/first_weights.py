"""How a network's weights begin: what its authors chose for the original holds for its rebuilt forms too."""

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
    """What the initialisation of a network was like, read from its weights.

    ``gains``: of each convolution and dense layer, the deviation of its weights times the root of the number of
    terms that an output value sums, which says how a layer strengthens a signal whatever its width: 1 / sqrt(3)
    is torch's own choice, sqrt(2) that of He et al. 2015. ``constants``: of each parameter whose numbers are
    all equal, such as biases of 0 and scales of 1, that number.
    """

    gains: Mapping[str, float]
    constants: Mapping[str, float]

    @classmethod
    def read(cls, network: nn.Module) -> FirstWeights:
        """From a network whose weights are real tensors; lazy ones that are not there yet are left out.

        So are gains of layers of classes with a first weight of their own, which has it when rebuilt, too.
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
        """Lets the fresh weights of a rebuilt network begin likewise; layers that the original has not stay.

        Weights keep their fresh values but for a factor, so that torch's random numbers decide them.
        """
        with torch.no_grad():
            for name, module in network.named_modules():
                if name in self.gains and isinstance(module, WEIGHTED):
                    own = 1 / sqrt(3 * module.weight[0].numel())  # of torch's reset_parameters
                    module.weight.mul_(self.gains[name] / sqrt(terms_of(module)) / own)
            for name, parameter in network.named_parameters():
                if name in self.constants:
                    parameter.fill_(self.constants[name])


def terms_of(layer: nn.Module) -> float:
    """How many products of a weight and an input an output value of a convolution or dense layer sums."""
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
