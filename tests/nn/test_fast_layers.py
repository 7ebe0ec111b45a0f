"""Layers of ours give what torch's give in float32, to the rounding of bfloat16, and keep the memory format."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from netwright.nn.fast_layers import instance_norm, prelu
from netwright.training.device import tensor_channels_last

ROUNDING = 2**-8


def with_gradients(
    function: Callable[..., Tensor], tensors: list[Tensor], upstream: Tensor | None = None
) -> list[Tensor]:
    tensors = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    result = function(*tensors).mul_(-0.5)  # as an activation in place, which autograd refuses for some views
    result.backward(torch.ones_like(result) if upstream is None else upstream.to(result.dtype))
    return [result.detach(), *(tensor.grad for tensor in tensors if tensor.grad is not None)]


def assert_alike(found: list[Tensor], expected: list[Tensor], tolerance: float = 3 * ROUNDING) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.float() - other).abs().max() <= tolerance * max(1.0, float(other.abs().max()))


def stored(images: Tensor, last: bool) -> Tensor:
    return tensor_channels_last(images) if last else images


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("slope", [-0.5, 0.0, 0.25])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_prelu_is_torch_s(last: bool, slope: float, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    images, upstream = (torch.randn(2, 8, 5, 6, 4, generator=generator).to(dtype) for _ in range(2))
    weight = torch.tensor([slope])
    found = with_gradients(
        prelu, [stored(images, last), weight], upstream
    )  # the gradient is stored otherwise
    assert_alike(found, with_gradients(F.prelu, [images.float(), weight], upstream.float()))
    assert found[2].dtype == torch.float32
    assert found[0].stride() == stored(images, last).stride()


def test_prelu_with_a_slope_for_each_channel_is_torch_s() -> None:
    images, slopes = torch.randn(2, 3, 4, 4), torch.rand(3)
    assert_alike(
        with_gradients(prelu, [images, slopes]), with_gradients(F.prelu, [images, slopes]), tolerance=1e-6
    )


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 16, 24])
@pytest.mark.parametrize(("size", "dtype"), [((5, 6, 4), torch.bfloat16), ((7, 6), torch.float32)])
def test_instance_norm_is_torch_s(
    last: bool, affine: bool, channels: int, size: tuple[int, ...], dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    images = (3 * torch.randn(3, channels, *size, generator=generator) + 1).to(dtype)
    upstream = torch.randn(images.shape, generator=generator).to(dtype)
    weights = [torch.randn(channels, generator=generator) for _ in range(2)] if affine else []

    def ours(images: Tensor, *weights: Tensor) -> Tensor:
        return instance_norm(images, None, None, *(weights or (None, None)), eps=1e-3)

    def torch_s(images: Tensor, *weights: Tensor) -> Tensor:
        return F.instance_norm(images, None, None, *(weights or (None, None)), eps=1e-3)

    given = stored(images, last)
    found = with_gradients(ours, [given, *weights], upstream)
    expected = with_gradients(torch_s, [images.float(), *weights], upstream.float())
    assert_alike(found, expected, 1e-5 if dtype == torch.float32 else 3 * ROUNDING)
    assert found[0].is_contiguous() or found[0].stride() == given.stride()
    assert found[0].dtype == dtype


def test_instance_norm_of_one_voxel_is_torch_s_error() -> None:
    with pytest.raises(ValueError, match="Expected more than 1 spatial element"):
        instance_norm(torch.randn(2, 3, 1, 1))


@pytest.mark.parametrize("given", ["weight", "bias"])
def test_instance_norm_with_weight_or_bias_alone_is_torch_s(given: str) -> None:
    images, values = torch.randn(2, 3, 5, 4), torch.randn(3)
    found, expected = (
        with_gradients(lambda x, v, norm=norm: norm(x, **{given: v}), [images, values], images)
        for norm in (instance_norm, F.instance_norm)
    )
    assert_alike(found, expected, 1e-5)
