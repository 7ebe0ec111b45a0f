"""Half precision on the CPU must give the gradients of full precision, to its own accuracy, for every shape."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.nn.losses import dice_cross_entropy
from netwright.spaces.auto import EncoderDecoderSpace
from netwright.spaces.references import REFERENCES
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.training.device import half_precision, tensor_channels_last, to_channels_last
from netwright.training.precision import half_precision_training

CPU = torch.device("cpu")


def leave_rubbish() -> None:
    """Fill memory that will be handed out again, so that what is read before it is written shows."""
    for size in (100, 1000, 10_000, 100_000, 1_000_000, 3_000_000):
        torch.full((size,), float("nan"))


def gradient(
    images: Tensor,
    weight: Tensor,
    upstream: Tensor,
    half: torch.dtype | None,
    transposed: bool,
    stride: int = 1,
    dilation: int = 1,
    fast: bool = False,
) -> Tensor:
    weight = weight.clone().requires_grad_()
    convolution = {
        (2, False): F.conv2d,
        (2, True): F.conv_transpose2d,
        (3, False): F.conv3d,
        (3, True): F.conv_transpose3d,
    }[images.ndim - 2, transposed]
    leave_rubbish()
    with half_precision_training(CPU, half, fast=fast):
        padding = dilation * (weight.shape[-1] // 2)
        result = convolution(images, weight, padding=padding, stride=stride, dilation=dilation)
    leave_rubbish()
    result.backward(upstream.to(result.dtype))
    assert weight.grad is not None
    return weight.grad


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("size", "kernel"), [((2, 3, 2), 3), ((2, 2, 16), 5), ((3, 4, 3), 5), ((6, 6, 6), 3), ((2, 3, 2), 1)]
)
def test_weight_gradients_of_small_volumes_are_right(
    size: tuple[int, ...], kernel: int, transposed: bool, fast: bool
) -> None:
    half = half_precision(CPU)
    if half is None:
        pytest.skip("this CPU has no fast half precision")
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        images = torch.randn(3, 16, *size, generator=generator)
        shape = (16, 32) if transposed else (32, 16)
        weight = 0.05 * torch.randn(*shape, kernel, kernel, kernel, generator=generator)
        upstream = torch.randn(3, 32, *size, generator=generator)
        exact = gradient(images, weight, upstream, None, transposed)
        found = gradient(images, weight, upstream, half, transposed, fast=fast)
        assert torch.isfinite(found).all()
        assert (found - exact).abs().max() <= 0.02 * exact.abs().max()


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("stride", "dilation"), [(2, 1), (1, 2), (1, 3), (1, 1)])
@pytest.mark.parametrize(("size", "kernel"), [((2, 4, 2), 3), ((6, 6, 8), 3), ((10, 2, 10), 5)])
def test_weight_gradients_are_right_with_stride_dilation_and_channels_last(
    size: tuple[int, ...], kernel: int, stride: int, dilation: int, channels_last: bool, fast: bool
) -> None:
    half = half_precision(CPU)
    if half is None:
        pytest.skip("this CPU has no fast half precision")
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        images = torch.randn(3, 8, *size, generator=generator)
        weight = 0.05 * torch.randn(16, 8, kernel, kernel, kernel, generator=generator)
        if channels_last:
            images, weight = tensor_channels_last(images), tensor_channels_last(weight)
        upstream = torch.randn(3, 16, *(-(-length // stride) for length in size), generator=generator)
        exact = gradient(images, weight, upstream, None, False, stride, dilation)
        found = gradient(images, weight, upstream, half, False, stride, dilation, fast)
        assert torch.isfinite(found).all()
        assert (found - exact).abs().max() <= 0.02 * exact.abs().max()


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("stride", "channels_last"), [(1, False), (2, False), (2, True), (3, True)])
@pytest.mark.parametrize(
    ("size", "kernel"), [((1, 1), 2), ((1, 1), 3), ((2, 3), 3), ((4, 4), 5), ((2, 16), 3)]
)
def test_weight_gradients_of_small_pictures_are_right(
    size: tuple[int, ...], kernel: int, stride: int, channels_last: bool, transposed: bool, fast: bool
) -> None:
    half = half_precision(CPU)
    if half is None:
        pytest.skip("this CPU has no fast half precision")
    generator = torch.Generator().manual_seed(0)
    for inputs, outputs in ((3, 16), (16, 32), (64, 10)):
        images = torch.randn(3, inputs, *size, generator=generator)
        shape = (inputs, outputs) if transposed else (outputs, inputs)
        weight = 0.1 * torch.randn(*shape, kernel, kernel, generator=generator)
        if channels_last:
            images, weight = tensor_channels_last(images), tensor_channels_last(weight)
        convolution = F.conv_transpose2d if transposed else F.conv2d
        result = convolution(images, weight, padding=kernel // 2, stride=stride)
        upstream = torch.randn(result.shape, generator=generator)
        exact = gradient(images, weight, upstream, None, transposed, stride)
        found = gradient(images, weight, upstream, half, transposed, stride, fast=fast)
        assert torch.isfinite(found).all()
        assert (found - exact).abs().max() <= 0.02 * exact.abs().max()


def test_large_volumes_stay_in_half_precision() -> None:
    half = half_precision(CPU)
    if half is None:
        pytest.skip("this CPU has no fast half precision")
    weight = torch.randn(8, 4, 3, 3, 3)
    with half_precision_training(CPU, half):
        assert F.conv3d(torch.randn(1, 4, 12, 12, 12), weight).dtype == half
        assert F.conv3d(torch.randn(1, 4, 3, 12, 12), weight).dtype == torch.float32


def test_full_precision_stays_full() -> None:
    with half_precision_training(CPU, None):
        assert F.conv3d(torch.randn(1, 4, 12, 12, 12), torch.randn(8, 4, 3, 3, 3)).dtype == torch.float32


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("size", [(4, 4), (20, 20)])
def test_layers_may_be_called_in_every_way_that_torch_s_can(size: tuple[int, ...], fast: bool) -> None:
    """As the networks of users do: arguments by name, and images without an axis for the batch."""
    images, weight, slope = torch.randn(2, 3, *size), torch.randn(3, 3, 3, 3), torch.full((1,), 0.2)
    slope.requires_grad_()
    calls: list[Callable[[], Tensor]] = [
        lambda: F.conv2d(images, weight=weight, padding=1),
        lambda: F.conv2d(input=images, weight=weight, bias=torch.ones(3)),
        lambda: F.conv2d(images[0], weight),
        lambda: F.conv_transpose2d(input=images, weight=weight, bias=torch.ones(3), stride=3),
        lambda: F.conv_transpose2d(images[0], weight, stride=2),
        lambda: F.prelu(images, weight=slope),
        lambda: F.instance_norm(input=images, weight=torch.ones(3)),
    ]
    for call in calls:
        with half_precision_training(CPU, torch.bfloat16, fast=fast):
            found = call()
        expected = call()
        assert (found.float() - expected).abs().max() <= 0.02 * expected.abs().max()


def gradients(network: nn.Module, images: Tensor, labels: Tensor, half: torch.dtype | None) -> list[Tensor]:
    network.zero_grad()
    with half_precision_training(CPU, half, fast=True):
        output = network(tensor_channels_last(images))
    dice_cross_entropy(output, labels, torch.ones(3)).backward()
    return [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]


def rounded(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """In float32, but output and gradient have the digits of bfloat16."""
    return output.bfloat16().float()


@pytest.mark.parametrize("name", ["auto", "monai-unet"])
def test_the_gradients_of_a_step_are_those_of_full_precision_to_rounding(name: str) -> None:
    """They are no farther from it than those in float32 where only what goes from layer to layer is rounded."""
    half = half_precision(CPU)
    if half is None:
        pytest.skip("this CPU has no fast half precision")
    size = (24, 32, 24)
    task = SegmentationTask(1, ("one", "two"), size)
    space = EncoderDecoderSpace(channels=1, classes=3, size=size)
    torch.manual_seed(0)
    network = (
        space.build(space.starting_choice(), task) if name == "auto" else REFERENCES[name].make(task)
    ).train()
    to_channels_last(network)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(weight.bfloat16())
    images = torch.randn(3, 1, *size).bfloat16().float()
    labels = (images[:, 0] > 0.5).long() + (images[:, 0] > 1.5)
    exact = gradients(network, images, labels, None)
    found = gradients(network, images, labels, half)
    for layer in network.modules():
        if not any(layer.children()):
            layer.register_forward_hook(rounded)
    by_rounding = gradients(network, images, labels, None)
    assert len(found) == len(exact) == len([*network.parameters()])
    off, allowed = (
        [(one - other).norm().item() for one, other in zip(given, exact, strict=True)]
        for given in (found, by_rounding)
    )
    assert math.hypot(*off) < 1.2 * math.hypot(*allowed)
    once = 2**-8 * math.hypot(*(gradient.norm().item() for gradient in exact))
    assert all(mine < 2 * theirs + once for mine, theirs in zip(off, allowed, strict=True))
