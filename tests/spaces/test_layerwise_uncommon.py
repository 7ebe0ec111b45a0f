"""Rebuilding what is less common: gates, shared layers of even width, indices, a single voxel that is flattened."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.spaces.layerwise import from_module
from spaces.layerwise_networks import Shape

VALUES = {"kernels": [4], "kernel_size": [3], "stride": [1], "units": [4]}


def build(module: nn.Module, choice: dict[str, int]) -> nn.Module:
    space = from_module(module, torch.randn(2, 1, 8, 8), VALUES)
    return space.build({**space.original_choice(), **choice}, Shape(1, 3, (8, 8)))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(1, 1, 3, padding=1)
        self.classify = nn.Conv2d(1, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.shared(self.shared(images)))


def test_an_even_kernel_keeps_the_size_at_each_use_of_its_layer() -> None:
    network = build(Twice(), {"shared.kernel_size": 4})
    sizes: list[torch.Size] = []
    network.get_submodule("shared").register_forward_hook(
        lambda module, given, result: sizes.append(result.shape[2:])
    )
    network(torch.randn(2, 1, 8, 8))
    assert sizes == [(8, 8), (8, 8)]


class Gated(nn.Module):
    """A squeeze-and-excitation written with expand_as, and a highway's interpolation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.gate = nn.Linear(4, 4)
        self.way = nn.Conv2d(4, 4, 3, padding=1)
        self.classify = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        gate = torch.sigmoid(self.gate(features.mean((2, 3))))[:, :, None, None]
        features = features * gate.expand_as(features)
        return self.classify(torch.lerp(features, self.way(features), gate).mean((2, 3)))


def test_gates_fit_what_they_are_spread_over() -> None:
    choice = {"stem.kernels": 6, "gate.units": 5, "way.kernels": 3, "way.stride": 2}
    network = build(Gated(), choice)
    network(torch.randn(2, 1, 8, 8)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    adapters = {name: tuple(value.shape) for name, value in network.named_parameters() if "adapter" in name}
    assert adapters == {
        "expand_as_adapter.projection.weight": (6, 5, 1, 1),
        "lerp_adapter.projection.weight": (3, 6, 1, 1),
        "lerp_adapter1.projection.weight": (3, 5, 1, 1),
    }


class Flattened(nn.Module):
    """Its features are a single voxel where they are flattened, as in LeNet-5."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 8)
        self.classify = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.conv(images).view(-1, 4))


def test_a_single_voxel_that_is_flattened_may_become_more() -> None:
    network = build(Flattened(), {"conv.kernel_size": 7, "conv.kernels": 5})
    assert network.get_submodule("classify").in_features == 5 * 2 * 2
    assert network(torch.randn(3, 1, 8, 8)).shape == (3, 3)


class Centred(nn.Module):
    """Subtracts from its features fixed values, of each channel or of each pixel."""

    def __init__(self, values: Tensor, *, in_place: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.register_buffer("mean", values)
        self.classify = nn.Conv2d(8, 3, 1)
        self.in_place = in_place

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        return self.classify(features.sub_(self.mean) if self.in_place else features - self.mean)


@pytest.mark.parametrize("shape", [(1, 8, 1, 1), (8, 1, 1), (1, 8, 8, 8)])
@pytest.mark.parametrize("in_place", [False, True])
def test_features_that_meet_fixed_values_get_their_original_channels(
    shape: tuple[int, ...], in_place: bool
) -> None:
    """Where others still take the features, as of an operation in place, the values are projected."""
    module = Centred(torch.randn(shape), in_place=in_place and len(shape) == 4)
    space = from_module(module, torch.randn(2, 1, 8, 8), {"kernels": [4, 6]})
    assert space.starting_choice() == {"stem.kernels": 6}
    for kernels in (4, 6):
        network = space.build({"stem.kernels": kernels}, Shape(1, 3, (8, 8)))
        assert torch.equal(network.get_buffer("mean"), module.get_buffer("mean"))
        assert network.get_submodule("classify").in_channels == (kernels if module.in_place else 8)
        network(torch.randn(2, 1, 8, 8)).square().sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())


def test_fixed_values_of_pixels_are_resized_and_constants_follow() -> None:
    values = torch.randn(1, 8, 8, 8)
    network = build(Centred(values), {"stem.stride": 2, "stem.kernels": 4})
    reached: list[Tensor] = []
    network.get_submodule("classify").register_forward_pre_hook(lambda module, given: reached.extend(given))
    network(torch.randn(2, 1, 8, 8))
    assert reached[0].shape == (2, 8, 4, 4)
    assert torch.equal(network.get_buffer("mean"), values)
    network = build(Centred(torch.full((1, 8, 1, 1), 0.5)), {"stem.kernels": 4})
    assert torch.equal(network.get_buffer("mean"), torch.full((1, 4, 1, 1), 0.5))


def test_fixed_values_that_cannot_be_resized_are_infeasible_and_named_before_anything_is_built() -> None:
    module = Centred(torch.arange(512).reshape(1, 8, 8, 8))
    space = from_module(module, torch.randn(2, 1, 8, 8), {"stride": [2]}, frozen=["classify"])
    with pytest.raises(SettingsError, match=r"make no network.*sub_adapter: values of torch.int64"):
        space.starting_choice()


class Unpooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.middle = nn.Conv2d(4, 4, 3, padding=1)
        self.unpool = nn.MaxUnpool2d(2)
        self.classify = nn.Conv2d(4, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        features, indices = self.pool(self.conv(images))
        return self.classify(self.unpool(self.middle(features), indices))


def test_indices_are_not_projected() -> None:
    with pytest.raises(InfeasibleArchitecture, match=r"unpool_adapter.*int64"):
        build(Unpooled(), {"conv.kernels": 5})
