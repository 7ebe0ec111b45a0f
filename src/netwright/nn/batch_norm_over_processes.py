"""Batch normalisation over the batches of several processes, where torch's own refuses: on CPUs.

`torch.nn.SyncBatchNorm` does the same on GPUs. Statistics are those of all images of all processes, and gradients flow
back into all of them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class BatchNormOverProcesses(_BatchNorm):
    """A layer of batch normalisation that shares its weights and statistics with the one that it replaces.

    Args:
        layer: the one to replace.
    """

    def __init__(self, layer: _BatchNorm) -> None:
        nn.Module.__init__(self)
        self.num_features, self.eps, self.momentum = layer.num_features, layer.eps, layer.momentum
        self.affine, self.track_running_stats = layer.affine, layer.track_running_stats
        self.weight, self.bias = layer.weight, layer.bias
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(layer, name))
        self.train(layer.training)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, ...), in training by the statistics of all processes."""
        if not self.training and self.running_mean is not None:
            return super().forward(input)
        values = input if input.dtype == torch.float64 else input.float()
        dims = [dim for dim in range(values.ndim) if dim != 1]
        shape = [1, -1, *[1] * (values.ndim - 2)]
        count = values.new_full((1,), values.numel() / values.shape[1])
        dist.all_reduce(count)
        mean = _total(values.sum(dims)) / count
        centred = values - mean.view(shape)
        variance = _total((centred**2).sum(dims)) / count
        if self.running_mean is not None:
            self._follow(mean.detach(), (variance * count / (count - 1).clamp(min=1)).detach())
        normalised = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            normalised = normalised * self.weight.view(shape) + self.bias.view(shape)
        result: Tensor = normalised.to(input.dtype)
        return result

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Take a batch into the running statistics, in place, as torch does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions: the replaced layer's task."""


class _Total(torch.autograd.Function):
    """The sum over all processes. The gradient of a process's values is the sum of all processes' gradients."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


def _total(values: Tensor) -> Tensor:
    total: Tensor = _Total.apply(values)  # type: ignore[no-untyped-call]
    return total


def normalising_over_processes(network: nn.Module) -> nn.Module:
    """Replace, in place, all layers of batch normalisation. Returns the network, which may itself be such a layer."""
    if isinstance(network, _BatchNorm):
        return BatchNormOverProcesses(network)
    for name, child in network.named_children():
        setattr(network, name, normalising_over_processes(child))
    return network
