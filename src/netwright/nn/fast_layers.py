"""PReLU and instance normalisation of features stored channels last, faster on a CPU than torch's.

Measured with torch 2.13, one thread, in bfloat16, 4 images of 16 channels and 20 x 28 x 20 voxels, backward:

- Torch's PReLU writes the gradient of its slope for each voxel, one voxel at a time: 4.7 ms, here 0.6 ms.
- Torch's instance normalisation gives features stored channels first. What adds them to features stored channels last
  takes 20 times as long as where both are stored alike.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """`torch.prelu`: negative features times ``weight``, the slope, of one value or one for each channel."""
    if weight.numel() != 1 or not weight.requires_grad or not torch.is_grad_enabled():
        return torch.prelu(input, weight.to(input.dtype))
    result: Tensor = _OneSlope.apply(input, weight)  # type: ignore[no-untyped-call]
    return result


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`torch.nn.functional.instance_norm`, with a result stored like the features.

    Args:
        input: (B, C, *size).
        running_mean: as torch's, like all that follow; with running statistics, torch computes it.
        running_var: (C,).
        weight: (C,).
        bias: (C,).
        use_input_stats: False: torch computes it.
        momentum: of running statistics.
        eps: added to the variance.
    """
    ours = running_mean is None and use_input_stats and input.dtype in (torch.bfloat16, torch.float32)
    if not ours or input.shape[2:].numel() == 1:  # torch has the error
        return F.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)
    weight = torch.ones(input.shape[1]) if weight is None else weight
    bias = torch.zeros(input.shape[1]) if bias is None else bias
    result: Tensor = _InstanceNorm.apply(input, weight, bias, eps)  # type: ignore[no-untyped-call]
    return result


CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""The memory format of tensors of so many axes that has the channels of a voxel next to one another."""
FEW_CHANNELS = 16
"""With fewer, statistics over features stored channels last take longer than storing them channels first."""


class _InstanceNorm(Function):
    """Batch normalisation of every image; of features stored channels first, with each channel of each image its own.

    What is normalised at once is called a part.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        parts, times = _parts(features)
        scale, shift = weight.repeat(times), bias.repeat(times)
        # Made in the shape of the result: a view of something else could not be changed in place by what follows.
        result = torch.empty_like(features, memory_format=_format(parts))
        out = result.view(parts.shape)
        statistics = parts.new_empty(2, len(parts), len(scale), dtype=torch.float32)
        for row in range(len(parts)):
            torch.ops.aten.native_batch_norm.out(
                parts[row : row + 1],
                scale,
                shift,
                None,
                None,
                True,
                0.0,
                eps,
                out=out[row : row + 1],
                save_mean=statistics[0, row],
                save_invstd=statistics[1, row],
            )
        ctx.save_for_backward(parts, scale, statistics)
        ctx.eps, ctx.times, ctx.format = eps, times, _format(features)
        return result.contiguous(memory_format=ctx.format)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        parts, scale, statistics = ctx.saved_tensors
        shape = upstream.shape
        upstream = upstream.contiguous(memory_format=_format(parts)).view(parts.shape)
        to_parts = torch.empty_like(parts)
        of_weights = parts.new_zeros(2, len(parts), len(scale), dtype=torch.float32)
        for row in range(len(parts)):
            torch.ops.aten.native_batch_norm_backward.out(
                upstream[row : row + 1],
                parts[row : row + 1],
                scale,
                None,
                None,
                statistics[0, row],
                statistics[1, row],
                True,
                ctx.eps,
                [True, True, True],
                out0=to_parts[row : row + 1],
                out1=of_weights[0, row],
                out2=of_weights[1, row],
            )
        to_weight, to_bias = of_weights.view(2, -1, shape[1]).sum(1)
        return to_parts.view(shape).contiguous(memory_format=ctx.format), to_weight, to_bias, None


def _parts(features: Tensor) -> tuple[Tensor, int]:
    """The features as images whose channels are normalised each, and how often the layer's channels are in them."""
    if features.shape[1] >= FEW_CHANNELS and _format(features) is not torch.contiguous_format:
        return features, 1
    images, channels = features.shape[:2]
    return features.contiguous().view(1, images * channels, *features.shape[2:]), images


def _format(features: Tensor) -> torch.memory_format:
    wanted = CHANNELS_LAST.get(features.ndim, torch.contiguous_format)
    return wanted if features.is_contiguous(memory_format=wanted) else torch.contiguous_format


class _OneSlope(Function):
    """PReLU with one slope for all channels, rounded to the type of the features."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(features, slope)
        return torch.prelu(features, slope.to(features.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor]:
        features, slope = ctx.saved_tensors
        upstream = upstream.contiguous(memory_format=_format(features))
        of_positive = torch.ops.aten.threshold_backward(upstream, features, 0)
        of_negative = upstream - of_positive
        to_features = torch.addcmul(of_positive, of_negative, slope.to(features.dtype).view(()))
        to_slope = (of_negative * features).sum(dtype=torch.float32)
        return to_features, to_slope.to(slope.dtype).view(slope.shape)
