"""Operations by other ways give what torch's own give, with their gradients, in every precision and layout."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from netwright.nn.kernels import average_pool, depthwise, maximum_pool
from netwright.nn.standardised import separable, standardise

SIZES = [(1, 1), (2, 5), (9, 12), (16, 16)]
LAYOUTS = [torch.contiguous_format, torch.channels_last]

layouts = pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels last"])
sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
strides = pytest.mark.parametrize("stride", [1, 2])


def drawn(*shape: int, layout: torch.memory_format = torch.contiguous_format) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).contiguous(memory_format=layout)


def assert_same(
    ours: Callable[..., Tensor],
    reference: Callable[..., Tensor],
    *arguments: Tensor,
    tolerance: float = 1e-12,
) -> None:
    """Values and gradients of all arguments."""
    results = []
    for function in (ours, reference):
        inputs = [argument.clone().requires_grad_() for argument in arguments]
        value = function(*inputs)
        upstream = torch.randn(value.shape, generator=torch.Generator().manual_seed(1), dtype=value.dtype)
        results.append([value.detach(), *torch.autograd.grad(value, inputs, upstream)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance * 10)


@strides
@layouts
@sizes
@pytest.mark.parametrize("side", [3, 5])
def test_depthwise_convolution(
    side: int, size: tuple[int, int], layout: torch.memory_format, stride: int
) -> None:
    def reference(features: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(features, weight, stride=stride, padding=side // 2, groups=4)

    features, weight = drawn(3, 4, *size, layout=layout), drawn(4, 1, side, side)
    assert_same(lambda x, w: depthwise(x, w, stride), reference, features, weight)


@strides
@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("size", [(4, 4), (11, 8), (32, 32)])
def test_depthwise_convolution_in_half_precision(side: int, size: tuple[int, int], stride: int) -> None:
    """The gradients are those of full precision, to the accuracy of half."""
    features, weight = (
        drawn(3, 16, *size, layout=torch.channels_last).float(),
        drawn(16, 1, side, side).float(),
    )
    found = []
    for enabled in (False, True):
        inputs = features.clone().requires_grad_(), weight.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            value = depthwise(*inputs, stride)
        upstream = torch.randn(value.shape, generator=torch.Generator().manual_seed(1))
        found.append([value, *torch.autograd.grad(value, inputs, upstream.to(value.dtype))])
    for exact, rounded in zip(*found, strict=True):
        assert (rounded.float() - exact).norm() < 0.01 * exact.norm()


@strides
@layouts
@sizes
def test_poolings(size: tuple[int, int], layout: torch.memory_format, stride: int) -> None:
    def average(features: Tensor) -> Tensor:
        return F.avg_pool2d(features, 3, stride, padding=1, count_include_pad=False)

    def maximum(features: Tensor) -> Tensor:
        return F.max_pool2d(features, 3, stride, padding=1)

    # Whole numbers, so that the largest is often there twice.
    for features in (drawn(2, 5, *size, layout=layout), drawn(2, 5, *size, layout=layout).round()):
        assert_same(lambda x: average_pool(x, stride), average, features)
        assert_same(lambda x: maximum_pool(x, stride), maximum, features)
        with torch.inference_mode():
            assert torch.equal(maximum_pool(features, stride), maximum(features))
            torch.testing.assert_close(average_pool(features, stride), average(features))


def test_a_pooling_of_many_pixels_finds_the_maxima_again() -> None:
    """More than two bytes count."""
    features = drawn(1, 1, 190, 180)
    assert_same(maximum_pool, lambda x: F.max_pool2d(x, 3, 1, padding=1), features)


def normal(features: Tensor) -> Tensor:
    return F.batch_norm(features, None, None, training=True)


@layouts
@pytest.mark.parametrize("channels", [1, 3, 16])
def test_standardisation(channels: int, layout: torch.memory_format) -> None:
    features = 3 + 5 * drawn(4, channels, 6, 7, layout=layout)
    assert_same(standardise, normal, features)


def test_standardisation_is_exact_in_single_precision() -> None:
    """A large mean is no harm: variances are of what is left without it."""
    features = (100 + drawn(64, 16, 16, 16, layout=torch.channels_last)).float()
    expected = normal(features.double())
    assert (standardise(features).double() - expected).norm() < 1e-5 * expected.norm()


@strides
@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("size", [(2, 3), (9, 12)])
def test_separable_convolution(size: tuple[int, int], side: int, stride: int) -> None:
    def reference(features: Tensor, *weights: Tensor) -> Tensor:
        for place, step in ((0, stride), (2, 1)):
            features = F.relu(features) if place else features
            features = F.conv2d(features, weights[place], stride=step, padding=side // 2, groups=4)
            features = normal(F.conv2d(features, weights[place + 1]))
        return features

    weights = [
        drawn(4, 1, side, side),
        drawn(4, 4, 1, 1),
        drawn(4, 1, side, side) + 0.1,
        drawn(4, 4, 1, 1) + 0.1,
    ]
    features = drawn(5, 4, *size, layout=torch.channels_last)
    assert_same(lambda x, *w: separable(x, w, stride), reference, features, *weights, tolerance=1e-10)
