"""Convolutions of ours give torch's output and gradients in float32, to the rounding of bfloat16 on this processor."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from netwright.nn import fast_convolutions
from netwright.training.device import tensor_channels_last

ROUNDING = 2**-8
GENERATOR = torch.Generator()


def compared(images: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool, **how: Any) -> None:
    """Compares output and all gradients in both memory formats."""
    torch_s = {
        (False, 4): F.conv2d,
        (False, 5): F.conv3d,
        (True, 4): F.conv_transpose2d,
        (True, 5): F.conv_transpose3d,
    }[transposed, images.ndim]
    ours = fast_convolutions.transposed_convolution if transposed else fast_convolutions.convolution
    rounded = [None if given is None else given.bfloat16().float() for given in (images, weight, bias)]
    upstream = torch.randn(torch_s(*rounded, **how).shape, generator=GENERATOR).bfloat16().float()
    results = []
    single, half = torch.float32, torch.bfloat16
    for function, last, dtype in (
        (torch_s, False, single),
        (torch_s, False, half),
        (ours, False, single),
        (ours, True, single),
    ):
        given = [
            None
            if one is None
            else (tensor_channels_last(one) if last else one).clone().to(dtype).requires_grad_()
            for one in rounded
        ]
        result = function(*given, **how)
        result = result.mul_(-0.5)  # as an activation in place, which autograd refuses for some views
        result.backward(upstream.to(result.dtype))
        results.append([result.detach(), *(one.grad for one in given if one is not None)])
    expected, in_bfloat16, *found = results
    for tensors in found:
        for one, other, theirs in zip(tensors, expected, in_bfloat16, strict=True):
            assert one is not None
            # Processors without instructions for bfloat16 round more often, in torch's own convolutions too.
            error = (theirs.float() - other).abs().max()
            assert (one.float() - other).abs().max() <= max(3 * ROUNDING * other.abs().max(), 1.01 * error)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize(
    ("size", "kernel", "how"),
    [
        ((5, 7, 5), (3, 3, 3), {"padding": 1}),
        ((3, 4, 3), (3, 3, 3), {"padding": (1, 1, 1), "stride": (2, 2, 2)}),
        ((2, 9, 4), (1, 5, 3), {"padding": (0, 2, 1), "stride": (1, 2, 1)}),
        ((2, 12), (3, 3), {"padding": 1}),
        ((6, 4), (5, 5), {"padding": (2, 2), "stride": 2}),
        ((3, 3), (2, 2), {}),
    ],
)
def test_small_images(
    transposed: bool,
    with_bias: bool,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    how: dict[str, Any],
) -> None:
    GENERATOR.manual_seed(0)
    images = torch.randn(3, 12, *size, generator=GENERATOR)
    shape = (12, 20) if transposed else (20, 12)
    weight = torch.randn(*shape, *kernel, generator=GENERATOR)
    bias = torch.randn(20, generator=GENERATOR) if with_bias else None
    compared(images, weight, bias, transposed, **how)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("channels", [1, 16])
@pytest.mark.parametrize(
    ("size", "kernel"), [((7, 6, 8), (2, 2, 2)), ((3, 5, 4), (1, 2, 2)), ((9, 8), (4, 4)), ((3, 5), (2, 1))]
)
def test_transposed_convolutions_to_few_channels_without_overlap(
    with_bias: bool, channels: int, size: tuple[int, ...], kernel: tuple[int, ...]
) -> None:
    GENERATOR.manual_seed(0)
    images = torch.randn(2, channels, *size, generator=GENERATOR)
    weight = torch.randn(channels, 3, *kernel, generator=GENERATOR)
    compared(images, weight, torch.randn(3, generator=GENERATOR) if with_bias else None, True, stride=kernel)


@pytest.mark.parametrize("more", [0, 1])
def test_transposed_convolutions_with_bias(more: int) -> None:
    GENERATOR.manual_seed(0)
    images = torch.randn(2, 16, 8, 9, 8, generator=GENERATOR)
    weight = torch.randn(16, 10, 3, 3, 3, generator=GENERATOR)
    bias = torch.randn(10, generator=GENERATOR)
    compared(images, weight, bias, True, stride=2, padding=1, output_padding=more)


def test_what_is_not_for_them_is_left_to_torch() -> None:
    small, large = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 20, 20)
    weight = torch.randn(4, 4, 3, 3)
    assert fast_convolutions.convolution(large, weight) is None
    assert fast_convolutions.convolution(small, weight[:, :1], groups=4, padding=1) is None
    assert fast_convolutions.convolution(small, weight, padding="same") is None
    assert fast_convolutions.convolution(small, weight, padding=2, dilation=2) is None
    assert fast_convolutions.convolution(small[0], weight, padding=1) is None
    assert fast_convolutions.transposed_convolution(large, weight, padding=1) is None
    most = torch.zeros(1, 1, 4, 1).expand(2**19, 4, 4, 2)
    assert fast_convolutions.convolution(most, weight, padding=1) is None
