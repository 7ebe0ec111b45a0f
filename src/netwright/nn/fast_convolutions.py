"""Convolutions in bfloat16 on a CPU, where torch's own are wrong or slow.

Measured with torch 2.13, one thread, 4 images, channels last, forward and backward:

- The gradient of the weights of images shorter along an axis than twice the kernel. oneDNN's is wrong
  (`netwright.training.precision`); its output and its gradient of the images are right. As a matrix product: 9.9 ms for
  128 channels and 5 x 7 x 5 voxels, in float32 15 ms.
- The gradient of the bias of a transposed convolution. Torch's takes 23 ms for 16 channels and 40 x 56 x 40 voxels, a
  matrix product 0.6 ms.
- A transposed convolution to few channels, each output of which comes from one input, as in the last layer of a network
  that begins at half of the resolution. From 16 channels and 20 x 28 x 20 voxels to 3 channels: 9.0 ms; as a matrix
  product 3.5 ms.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from netwright.nn.fast_layers import CHANNELS_LAST

MOST_VALUES = 2**24
"""Of the matrix that the gradient of the weights is computed from: 32 MiB."""
FEW_CHANNELS = 8
"""To more channels than these, torch's transposed convolution is used."""


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    """`torch.conv2d` or `torch.conv3d` in bfloat16; None where there is no faster way than torch's.

    Args:
        input: images (B, C, *size), of any floating type, as the weights are.
        weight: (K, C, *kernel).
        bias: (K,).
        stride: as torch's, like all that follow.
        padding: another than a number is left to torch.
        dilation: another than 1 is left to torch.
        groups: another number than 1 is left to torch.
    """
    if not _is_plain(input, weight, padding, dilation, groups) or not is_small(input, weight):
        return None
    return _applied(_in_half(input, weight, bias), stride, padding, None) if _fits(input, weight) else None


def transposed_convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor | None:
    """`torch.conv_transpose2d` or `torch.conv_transpose3d` in bfloat16; None where there is no faster way than torch's.

    Args:
        input: images (B, C, *size), of any floating type, as the weights are.
        weight: (C, K, *kernel).
        bias: (K,).
        stride: as torch's, like all that follow.
        padding: another than a number is left to torch.
        output_padding: another than none is left to torch where each output comes from one input.
        groups: another number than 1 is left to torch.
        dilation: another than 1 is left to torch.
    """
    if not _is_plain(input, weight, padding, dilation, groups):
        return None
    axes = weight.ndim - 2
    stride, padding, more = (_for_each(given, axes) for given in (stride, padding, output_padding))
    half = _in_half(input, weight, bias)
    if stride == list(weight.shape[2:]) and not any(padding + more) and weight.shape[1] <= FEW_CHANNELS:
        with torch.autocast("cpu", enabled=False):
            result: Tensor = _Spread.apply(*half)  # type: ignore[no-untyped-call]
        return result
    if not (_fits(input, weight) if is_small(input, weight) else bias is not None):
        return None
    return _applied(half, stride, padding, more)


def is_small(input: Tensor, weight: Tensor, *_: Any, **__: Any) -> bool:
    """Whether oneDNN computes the gradient of the weights wrongly. Other arguments of a convolution do not matter."""
    # Kernels of one voxel are never wrong; twice the kernel, since the output of a stride of 2 counts as well.
    return any(
        kernel > 1 and length < 2 * kernel
        for length, kernel in zip(input.shape[2 - weight.ndim :], weight.shape[2:], strict=True)
    )


def _is_plain(images: Tensor, weight: Tensor, padding: Any, dilation: Any, groups: int) -> bool:
    batched = images.ndim == weight.ndim
    return (
        batched
        and groups == 1
        and not isinstance(padding, str)
        and set(_for_each(dilation, weight.ndim - 2)) == {1}
    )


def _fits(images: Tensor, weight: Tensor) -> bool:
    """Whether the windows of a batch do not need too much memory."""
    return len(images) * prod(images.shape[2:]) * prod(weight.shape[1:]) <= MOST_VALUES


def _in_half(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if tensor is None else tensor.to(torch.bfloat16) for tensor in tensors]


def _applied(half: list[Tensor | None], stride: Any, padding: Any, output_padding: Any) -> Tensor:
    assert half[1] is not None
    axes = half[1].ndim - 2
    more = None if output_padding is None else _for_each(output_padding, axes)
    with torch.autocast("cpu", enabled=False):
        result: Tensor = _Convolution.apply(  # type: ignore[no-untyped-call]
            *half, _for_each(stride, axes), _for_each(padding, axes), more
        )
    return result


class _Convolution(Function):
    """Plain, or transposed where there is an output padding."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: list[int],
        padding: list[int],
        output_padding: list[int] | None,
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ones, transposed = [1] * len(stride), output_padding is not None
        ctx.rest = stride, padding, ones, transposed, output_padding or [0] * len(stride), 1
        return torch.convolution(images, weight, bias, *ctx.rest)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        of_images, of_weight, of_bias, *_ = ctx.needs_input_grad
        stride, padding, _, transposed, *_ = ctx.rest
        own = of_weight and is_small(images, weight)
        wanted = [of_images, of_weight and not own, False]
        to_images, to_weight, _ = torch.ops.aten.convolution_backward(
            upstream, images, weight, None, *ctx.rest, wanted
        )
        if own:
            wide, narrow = (upstream, images) if transposed else (images, upstream)
            to_weight = _gradient_of_weight(wide, narrow, weight, stride, padding)
        to_bias = _column_sums(_rows(upstream)) if of_bias else None
        return to_images, to_weight, to_bias, None, None, None


class _Spread(Function):
    """A transposed convolution whose stride is its kernel: what a voxel gives is a row of a matrix product."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(images, weight)
        axes, kernel, channels = images.ndim - 2, weight.shape[2:], weight.shape[1]
        weights = _rows(weight).reshape(len(weight), -1)  # (inputs, *kernel * outputs)
        rows = _rows(images)
        result = rows @ weights if bias is None else torch.addmm(bias.repeat(prod(kernel)), rows, weights)
        result = result.view(len(images), *images.shape[2:], *kernel, channels)
        order = [0, *(number for axis in range(1, axes + 1) for number in (axis, axes + axis)), -1]
        size = [length * step for length, step in zip(images.shape[2:], kernel, strict=True)]
        # A view of something else could not be changed in place by what follows.
        shape, last = (len(images), channels, *size), CHANNELS_LAST[images.ndim]
        spread = torch.empty(shape, dtype=result.dtype, memory_format=last)
        spread.movedim(1, -1).view([result.shape[axis] for axis in order]).copy_(result.permute(order))
        return spread

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        of_images, of_weight, of_bias = ctx.needs_input_grad
        kernel, channels = weight.shape[2:], weight.shape[1]
        gathered = _gathered(upstream, images.shape[2:], kernel)  # (voxels, *kernel * outputs)
        to_images = to_weight = to_bias = None
        if of_images:
            to_images = (
                (gathered @ _rows(weight).reshape(len(weight), -1).T)
                .view(len(images), *images.shape[2:], -1)
                .movedim(-1, 1)
            )
        if of_weight:
            to_weight = (_rows(images).T @ gathered).view(len(weight), *kernel, channels).movedim(-1, 1)
        if of_bias:
            to_bias = _column_sums(gathered).view(-1, channels).sum(0)
        return to_images, to_weight, to_bias


def _gathered(images: Tensor, size: torch.Size, kernel: torch.Size) -> Tensor:
    """The inverse of what `_Spread` does with its matrix product: a row for each voxel of ``size``."""
    *steps, last = kernel
    pairs = [number for pair in zip(size, steps, strict=False) for number in pair]
    channels = images.shape[1]
    split = images.movedim(1, -1).contiguous().view(len(images), *pairs, size[-1], last * channels)
    # Copied voxel by voxel of the kernel: twice as fast as to permute them all.
    parts = []
    for offsets in product(*(range(step) for step in steps)):
        chosen = [index for offset in offsets for index in (slice(None), offset)]
        parts.append(split[:, *chosen])
    return torch.stack(parts, -2).view(len(images) * prod(size), -1)


def _gradient_of_weight(
    wide: Tensor, narrow: Tensor, weight: Tensor, stride: list[int], padding: list[int]
) -> Tensor:
    """The sum over images and voxels of each of ``narrow`` times the window of ``wide`` that belongs to it."""
    kernel, size = weight.shape[2:], narrow.shape[2:]
    around = [amount for width in reversed(padding) for amount in (width, width)]
    values = F.pad(wide.movedim(1, -1).contiguous(), [0, 0, *around])  # (B, *size, channels)
    for axis, (width, step) in enumerate(zip(kernel, stride, strict=True), start=1):
        values = values.unfold(axis, width, step)
    values = values[:, *(slice(length) for length in size)]  # (B, *size, channels, *kernel)
    values = values.movedim(len(size) + 1, -1).reshape(len(wide) * prod(size), -1)
    return (_rows(narrow).T @ values).view(len(weight), *kernel, weight.shape[1]).movedim(-1, 1)


def _rows(images: Tensor) -> Tensor:
    """The voxels of all images, or those of all kernels, as rows: (B * voxels, channels)."""
    return images.movedim(1, -1).reshape(-1, images.shape[1])


def _column_sums(rows: Tensor) -> Tensor:
    return (rows.new_ones(1, len(rows)) @ rows)[0]


def _for_each(given: Any, axes: int) -> list[int]:
    """One number for each axis, of those that a convolution takes."""
    numbers = [given] if isinstance(given, int) else list(given)
    return numbers * axes if len(numbers) == 1 else numbers
