"""A short digest of a network: it tells whether a network is the same as before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from netwright.spaces.layerwise.graph import ByMode, ImageDevice, LayerNetwork, Ref, TorchOperation

LETTERS = 16


def fingerprint(network: LayerNetwork) -> str:
    """A digest of the names and settings of steps, layers and shapes, without weights and source text."""
    described = {
        "steps": [[s.name, s.kind, *map(_words, (s.target, s.args, s.kwargs))] for s in network.steps],
        "outputs": [network.training, network.evaluation],
        "modules": {path: _layer(module) for path, module in network.modules.items()},
        "tensors": {path: _words(held.value) for path, held in network.tensors.items()},
        "shapes": network.shapes,
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:LETTERS]


def _layer(module: nn.Module) -> dict[str, Any]:
    """Class, plain attributes, parameters and buffers of a layer and its submodules, by name."""
    return {
        name: [
            type(part).__name__,
            {key: _words(value) for key, value in vars(part).items() if key[0] != "_" and key != "training"},
            {key: _words(value) for key, value in {**part._parameters, **part._buffers}.items()},
        ]
        for name, part in module.named_modules()
    }


def _words(value: Any) -> Any:
    """A value for JSON that is the same in every process: without addresses, and for tensors only the shape."""
    if isinstance(value, torch.Tensor):
        return [list(value.shape), str(value.dtype)]
    if isinstance(value, (tuple, list)):
        return [_words(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _words(item) for key, item in value.items()}
    if isinstance(value, slice):
        return ["slice", *map(_words, (value.start, value.stop, value.step))]
    if isinstance(value, ByMode):
        return ["by mode", _words(value.training), _words(value.evaluation)]
    if isinstance(value, (Ref, ImageDevice, TorchOperation, torch.dtype, int, float, complex, str)):
        return repr(value)
    return getattr(value, "__qualname__", type(value).__name__)
