"""Rebuilding networks for other values: what follows, how branches meet, and what is infeasible."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.errors import InfeasibleArchitecture
from netwright.spaces.layerwise import LayerwiseSpace, copy_weights, from_module
from spaces.layerwise_networks import (
    CASES,
    Plain,
    Residual,
    Shape,
    SmallUNet,
    assert_learns,
    prepared,
    unit,
)


def build(module: nn.Module, choice: dict[str, int], task: Shape, values: dict[str, list[int]]) -> nn.Module:
    space = from_module(module, torch.randn(2, task.channels, *task.size), values)
    return space.build({**space.original_choice(), **choice}, task)


ALL: dict[str, list[int]] = {
    "kernels": [4],
    "kernel_size": [3],
    "stride": [1],
    "pool_size": [2],
    "units": [4],
}


def test_what_depends_on_a_layer_follows_it() -> None:
    choice = {
        "conv1.kernels": 5,
        "conv2.0.kernels": 7,
        "conv2.0.kernel_size": 5,
        "pool.pool_size": 3,
        "dense.units": 6,
    }
    network = build(Plain(2), choice, Shape(1, 3, (16, 16)), ALL)
    size = 16 // 3 // 2
    weights = {name: tuple(value.shape) for name, value in network.named_parameters()}
    assert weights == {
        "conv1.weight": (5, 1, 3, 3),
        "conv1.bias": (5,),
        "conv2.0.weight": (7, 5, 5, 5),
        "conv2.1.weight": (7,),
        "conv2.1.bias": (7,),
        "dense.weight": (6, 7 * size**2),
        "dense.bias": (6,),
        "classify.weight": (3, 6),
        "classify.bias": (3,),
    }
    assert network.get_submodule("pool").kernel_size == (3, 3)
    assert network.get_submodule("pool@2").kernel_size == 2


def test_a_shortcut_is_projected_and_resized_to_its_branch() -> None:
    choice = {"layer1.0.conv2.kernels": 6, "layer1.1.conv1.stride": 2, "layer1.1.conv2.kernels": 6}
    network = build(Residual(2), choice, Shape(1, 3, (16, 16)), ALL)
    first, second = (network.get_submodule(f"layer1.{index}.add_adapter") for index in (0, 1))
    assert tuple(first.projection.weight.shape) == (6, 4, 1, 1)
    assert not first.resizes
    assert second.projection is None
    assert second.resizes
    shapes: dict[str, torch.Size] = {}
    second.register_forward_hook(
        lambda module, given, result: shapes.update(before=given[0].shape, after=result.shape)
    )
    network(torch.randn(2, 1, 16, 16))
    assert shapes == {"before": (2, 6, 16, 16), "after": (2, 6, 8, 8)}


def test_concatenated_features_get_the_size_of_the_largest_and_logits_the_image_s() -> None:
    network = build(SmallUNet(2), {"down.1.0.0.stride": 2, "classify.stride": 2}, Shape(1, 3, (16, 16)), ALL)
    shapes: list[torch.Size] = []
    adapter = network.get_submodule("cat_2_adapter")
    adapter.register_forward_hook(lambda module, given, result: shapes.extend((given[0].shape, result.shape)))
    assert network(torch.randn(2, 1, 16, 16)).shape == (2, 3, 16, 16)
    assert network(torch.randn(1, 1, 32, 24)).shape == (1, 3, 32, 24)
    assert [tuple(shape[2:]) for shape in shapes] == [(8, 8), (16, 16), (16, 12), (32, 24)]


@settings(max_examples=60)
@given(
    original=st.sampled_from([1, 3, 5, 7]),
    kernel=st.integers(1, 8),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    size=st.integers(1, 12),
    named=st.booleans(),
)
def test_same_padding_divides_the_size_by_the_stride(
    original: int, kernel: int, stride: int, dilation: int, size: int, named: bool
) -> None:
    padding: Any = "same" if named else dilation * (original // 2)
    conv = nn.Conv2d(1, 2, original, padding=padding, dilation=dilation)
    module = nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    space = from_module(module, torch.randn(2, 1, 16, 16), {"kernel_size": [kernel], "stride": [stride]})
    network = space.build(space.starting_choice(), Shape(1, 2, (size, size)))
    reached: list[torch.Size] = []
    network.get_submodule("0").register_forward_hook(
        lambda module, given, result: reached.append(result.shape)
    )
    network(torch.randn(2, 1, size, size))
    assert tuple(reached[0][2:]) == (-(-size // stride),) * 2  # the size divided by the stride, rounded up


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("original", [(2, 2, 0, 0), (3, 2, 1, 1), (4, 2, 1, 0), (4, 4, 0, 0), (3, 3, 0, 0)])
def test_an_up_convolution_keeps_its_scale(kernel: int, original: tuple[int, int, int, int]) -> None:
    size, stride, padding, extra = original
    up = nn.ConvTranspose2d(3, 4, size, stride=stride, padding=padding, output_padding=extra)
    module = nn.Sequential(unit(2, 1, 3), up, nn.ReLU(), nn.Conv2d(4, 2, 1))
    values = {"kernel_size": [kernel], "kernels": [5]}
    space = from_module(module, torch.randn(2, 1, 6, 6), values, frozen=["0.*", "3"])
    network = space.build(space.starting_choice(), Shape(1, 2, (6, 6)))
    assert tuple(network.get_submodule("1").weight.shape) == (3, 5, kernel, kernel)  # type: ignore[arg-type]
    assert network(torch.randn(2, 1, 6, 6)).shape == module(torch.randn(2, 1, 6, 6)).shape
    assert not any("resize" in step.name for step, _ in network._training_steps)


class Mobile(nn.Module):
    """A depthwise convolution, group and layer normalisation, PReLU, and a scale that is a parameter."""

    def __init__(self, groups: int = 1) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 16, 5, padding=2, groups=8)
        self.norm1 = nn.GroupNorm(4, 16)
        self.act = nn.PReLU(16)
        self.point = nn.Conv2d(16, 8, 1, groups=groups)
        self.norm2 = nn.LayerNorm(8)
        self.scale = nn.Parameter(torch.full((8, 1, 1), 0.5))
        self.classify = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = self.act(self.norm1(self.depthwise(self.stem(images))))
        features = self.norm2(self.point(features).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.classify((features * self.scale).mean((2, 3)))


def test_normalisations_depthwise_kernels_and_parameters_follow() -> None:
    choice = {"stem.kernels": 6, "depthwise.kernel_size": 3, "point.kernels": 10}
    network = build(Mobile(), choice, Shape(1, 3, (8, 8)), ALL)
    assert tuple(network.get_submodule("depthwise").weight.shape) == (12, 1, 3, 3)  # type: ignore[arg-type]
    norm = network.get_submodule("norm1")
    assert (norm.num_groups, norm.num_channels) == (4, 12)
    assert network.get_submodule("act").num_parameters == 12
    assert network.get_submodule("norm2").normalized_shape == (10,)
    assert torch.equal(network.get_parameter("scale"), torch.full((10, 1, 1), 0.5))
    assert_learns(train_one_step_of(network, Shape(1, 3, (8, 8))))


def train_one_step_of(network: nn.Module, task: Shape) -> nn.Module:
    network(torch.randn(2, task.channels, *task.size)).square().mean().backward()
    return network


def test_a_group_normalisation_keeps_as_many_groups_as_divide_its_channels() -> None:
    network = build(Mobile(), {"stem.kernels": 5}, Shape(1, 3, (8, 8)), ALL)
    assert network.get_submodule("norm1").num_groups == 2  # of 10 channels; it had 4 of 16


@pytest.mark.parametrize(
    ("module", "choice", "size", "words"),
    [
        (Mobile(4), {"point.kernels": 6}, 8, ["Layer point", "6 kernels", "4 groups"]),
        (Mobile(4), {"stem.kernels": 3}, 8, ["Layer point", "6 input channels", "4 groups"]),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 3, 1), nn.Flatten(), nn.Linear(108, 3)),
         {"0.kernel_size": 9}, 8, ["Layer 0", "9 x 9", "8 x 8"]),
        (nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.InstanceNorm2d(4), nn.Conv2d(4, 3, 1)),
         {"0.stride": 8}, 8, ["Layer 1", "single values"]),
        (nn.Sequential(nn.ConvTranspose2d(1, 4, 3, padding=1), nn.Conv2d(4, 3, 1)),
         {"0.kernel_size": 2}, 8, ["Layer 0", "kernels of 2", "kernels of 3"]),
    ],
)  # fmt: skip
def test_what_makes_no_network_is_said_with_layer_and_reason(
    module: nn.Module, choice: dict[str, int], size: int, words: list[str]
) -> None:
    with pytest.raises(InfeasibleArchitecture) as caught:
        build(module, choice, Shape(1, 3, (size, size)), ALL)
    for word in words:
        assert word in str(caught.value)


def test_a_pooling_larger_than_what_is_left_takes_all_of_it() -> None:
    network = build(Plain(2), {"pool.pool_size": 9, "pool@2.pool_size": 2}, Shape(1, 3, (16, 16)), ALL)
    assert network.get_submodule("dense").in_features == 8  # one voxel of 8 channels
    assert network(torch.randn(2, 1, 16, 16)).shape == (2, 3)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.shared = nn.Conv2d(4, 4, 3, padding=1)
        self.classify = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.shared(self.shared(self.stem(images))).mean((2, 3)))


def test_a_layer_that_is_used_twice_stays_one() -> None:
    space = from_module(Twice(), torch.randn(2, 1, 8, 8), ALL)
    assert space.agent_graph().names == ("stem", "shared")
    network = space.build({**space.original_choice(), "shared.kernels": 6}, Shape(1, 3, (8, 8)))
    assert {name: tuple(value.shape) for name, value in network.named_parameters() if "bias" not in name} == {
        "stem.weight": (4, 1, 3, 3),
        "shared.weight": (6, 4, 3, 3),
        "shared@2_adapter.projection.weight": (4, 6, 1, 1),
        "classify.weight": (3, 6),
    }
    assert_learns(train_one_step_of(network, Shape(1, 3, (8, 8))))


class Attention(nn.Module):
    """Tokens, an attention that takes their original width alone, and a residual connection around it."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, stride=4)
        self.position = nn.Parameter(torch.randn(1, 16, 8))
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.dense = nn.Linear(8, 8)
        self.classify = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.position
        normal = self.norm(tokens)
        tokens = tokens + self.attention(normal, normal, normal, need_weights=False)[0]
        return self.classify((tokens + F.gelu(self.dense(tokens))).mean(1))


def test_what_cannot_follow_gets_its_original_channels() -> None:
    network = build(
        Attention(), {"patches.kernels": 5, "patches.stride": 2, "dense.units": 7}, Shape(1, 3, (16, 16)), ALL
    )
    assert tuple(network.get_parameter("position").shape) == (1, 49, 5)
    assert network.get_submodule("attention").embed_dim == 8
    assert_learns(train_one_step_of(network, Shape(1, 3, (16, 16))))


@pytest.mark.parametrize("name", ["inception 2D", "BasicUNet 2D", "UNet 3D"])
def test_spaces_and_networks_go_to_other_processes_and_into_exported_programs(name: str) -> None:
    space: LayerwiseSpace = pickle.loads(pickle.dumps(prepared(name)[1]))
    network, images = space.build(space.starting_choice(), CASES[name].task).eval(), CASES[name].example()
    twin = pickle.loads(pickle.dumps(network))
    program = torch.export.export(network, (images,), strict=False).module()
    for other in (twin, program):
        torch.testing.assert_close(other(images), network(images))


def test_a_rebuilt_network_can_be_copied_and_its_copies_are_its_own() -> None:
    network = build(Residual(2), {"layer1.0.conv2.kernels": 6}, Shape(1, 3, (16, 16)), ALL)
    twin = copy.deepcopy(network)
    images = torch.randn(2, 1, 16, 16)
    torch.testing.assert_close(network.eval()(images), twin.eval()(images))
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert network(images).any()
    assert not twin(images).any()
    assert set(copy_weights(network, twin)) == set(network.state_dict())
    torch.testing.assert_close(network(images), twin(images))
