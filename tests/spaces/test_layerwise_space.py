"""The space of layers: its dimensions, agents, starting choice, words and drawings."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.spaces.layerwise import LayerwiseSpace, from_module
from netwright.training.cost import dry_run
from spaces.layerwise_networks import CASES, Inception, Plain, Residual, Shape, SmallUNet, prepared, unit


def space_of(module: nn.Module, size: int = 16, **settings: object) -> LayerwiseSpace:
    return from_module(module, torch.randn(2, 1, size, size), **settings)  # type: ignore[arg-type]


def named_edges(space: LayerwiseSpace) -> set[tuple[str, str]]:
    graph = space.agent_graph()
    return {(graph.names[i], graph.names[j]) for i, j in graph.edges}


def test_layers_of_a_chain_are_connected_one_by_one() -> None:
    graph = space_of(Plain(2), values={"kernels": [2], "pool_size": [2], "units": [3]}).agent_graph()
    assert graph.names == ("conv1", "pool", "conv2.0", "pool@2", "dense")
    assert graph.agents == tuple(
        (f"{name}.{kind}",)
        for name, kind in zip(
            graph.names, ("kernels", "pool_size", "kernels", "pool_size", "units"), strict=True
        )
    )
    assert graph.edges == tuple(pairwise(range(5)))


def test_edges_go_through_shortcuts_branches_and_skips() -> None:
    kernels = {"kernels": [2]}
    residual = named_edges(space_of(Residual(2), values=kernels))
    assert {
        ("stem.0", "layer1.0.conv1"),
        ("stem.0", "layer1.1.conv1"),
        ("layer1.0.conv2", "layer2.0.shortcut.0"),
    } <= residual
    assert ("stem.0", "layer1.0.conv2") not in residual
    inception = named_edges(space_of(Inception(2), values=kernels))
    branches = ("one.0", "three.1.0", "five.1.0", "pool.1.0")
    for branch in branches:
        assert (f"block1.{branch}", "block2.three.0.0") in inception
    assert ("stem.0", "block2.one.0") not in inception
    skips = named_edges(space_of(SmallUNet(2), values=kernels))
    assert {("down.0.1.0", "merge.1.0"), ("down.1.1.0", "merge.0.0"), ("up.1", "merge.1.0")} <= skips
    assert ("down.0.1.0", "down.1.0.0") in skips  # past the pooling, which is not tuned here


def test_layers_left_out_are_passed() -> None:
    space = space_of(Plain(2), values={"kernels": [2, 3], "units": [4]}, frozen=["conv2.*"])
    assert space.agent_graph().names == ("conv1", "dense")
    assert space.agent_graph().edges == ((0, 1),)
    assert space.original_choice() == {"conv1.kernels": 4, "dense.units": 12}
    assert space.starting_choice() == {"conv1.kernels": 3, "dense.units": 4}
    network = space.build({"conv1.kernels": 2}, Shape(1, 3, (16, 16)))
    assert network.get_submodule("conv2.0").out_channels == 8
    assert network.get_submodule("dense").out_features == 12


def test_outputs_keep_their_channels() -> None:
    plain, inception = space_of(Plain(2)).distributions(), space_of(Inception(2)).distributions()
    assert not any(name.startswith("classify.") for name in plain)
    assert not any(name.startswith(("classify.", "auxiliary.")) for name in inception)
    dense = space_of(SmallUNet(2), values={"kernels": [2], "kernel_size": [3]}).distributions()
    assert "classify.kernel_size" in dense
    assert "classify.kernels" not in dense


def test_the_default_values_are_a_quarter_a_half_and_all_of_the_original() -> None:
    distributions = space_of(Inception(2)).distributions()
    assert distributions["stem.0.kernels"].choices == (1, 2, 4)  # type: ignore[attr-defined]
    assert distributions["stem.0.kernel_size"].choices == (3, 5)  # type: ignore[attr-defined]
    assert "block1.one.0.kernel_size" not in distributions  # 1 stays 1
    assert not any(name.endswith((".stride", ".pool_size")) for name in distributions)
    space = space_of(nn.Sequential(nn.Conv2d(1, 8, 7, padding=3), nn.ReLU(), nn.Conv2d(8, 3, 1)))
    assert space.distributions()["0.kernel_size"].choices == (3, 5, 7)  # type: ignore[attr-defined]


def test_the_values_are_those_given_whether_or_not_they_are_the_original_s() -> None:
    space = space_of(Plain(2), values={"kernels": [7, 2, 7]})
    assert all(values.choices == (2, 7) for values in space.distributions().values())  # type: ignore[attr-defined]
    assert space.original_choice() == {"conv1.kernels": 4, "conv2.0.kernels": 8}
    assert space.starting_choice() == {"conv1.kernels": 2, "conv2.0.kernels": 7}


def test_the_starting_choice_takes_small_strides_where_the_nearest_leave_nothing() -> None:
    module = nn.Sequential(
        *(
            nn.Sequential(nn.Conv2d(1 if i == 0 else 3, 3, 3, stride=2, padding=1), nn.InstanceNorm2d(3))
            for i in range(3)
        ),
        nn.Conv2d(3, 2, 1),
    )
    space = space_of(module, values={"stride": [1, 4]}, frozen=["3"])
    assert set(space.starting_choice().values()) == {1}
    with pytest.raises(InfeasibleArchitecture, match=r"Layer 1\.1"):
        space.build(dict.fromkeys(space.distributions(), 4), Shape(1, 2, (16, 16)))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"values": {"width": [1]}}, ["kernels, kernel_size, stride", "width"]),
        ({"values": {"kernels": [0, 2]}}, ["kernels", "positive whole number", "0"]),
        ({"values": {"kernels": 4}}, ["kernels", "list of positive whole numbers"]),
        (
            {"values": {"kernels": []}},
            [
                "no layer to tune",
                "values have none for these",
                "space.values.kernels=[2,4]",
                "leave space.values out",
            ],
        ),
        ({"frozen": ["encoder.*"]}, ["encoder.*", "conv1"]),
        ({"frozen": ["*"]}, ["no layer to tune", "every layer that could be (5) is frozen"]),
        ({"values": {}}, ["no layer to tune"]),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, object], words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        space_of(Plain(2), **settings)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("first", "settings", "words"),
    [
        (nn.ReLU(), {"frozen": ["*"]}, "none of its layers has a free hyperparameter. Expected convolutions"),
        (nn.AvgPool2d(1), {}, "have pool_size, and the default values leave these as they are. Give some"),
    ],
)
def test_a_network_without_anything_to_search_is_told(
    first: nn.Module, settings: dict[str, object], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        space_of(nn.Sequential(first, nn.Flatten(), nn.Linear(256, 3)), **settings)


def test_a_misspelt_name_in_a_choice_is_met_with_the_nearest() -> None:
    space, task = space_of(Plain(2)), Shape(1, 3, (16, 16))
    wrong = {**space.starting_choice(), "conv1.kernel": 2}
    for use in (space.build, space.diagrams):
        with pytest.raises(
            SettingsError, match=r"no hyperparameter 'conv1.kernel'.*nearest are conv1\.kernels"
        ):
            use(wrong, task)
    assert space.canonical(wrong) == space.starting_choice()
    space.build({"conv1.stride": 1}, task)  # the network's, if not searched


def test_a_task_of_other_classes_or_dimensions_is_refused() -> None:
    space = space_of(SmallUNet(2))
    with pytest.raises(SettingsError, match="3 classes, but the task has 5"):
        space.build(space.starting_choice(), Shape(1, 5, (16, 16)))
    with pytest.raises(SettingsError, match="images of 2 dimensions"):
        space.build(space.starting_choice(), Shape(1, 3, (16, 16, 16)))
    with pytest.raises(SettingsError, match=r"kernels must be a positive integer, but is 0"):
        space.build({"down.0.0.0.kernels": 0}, Shape(1, 3, (16, 16)))


def test_other_channels_and_sizes_of_the_image_are_followed() -> None:
    space = space_of(Plain(2))
    network = space.build(space.original_choice(), Shape(3, 3, (24, 20)))
    assert network(torch.randn(2, 3, 24, 20)).shape == (2, 3)
    assert network.get_submodule("dense").in_features == 8 * 6 * 5


def test_layers_may_be_called_as_we_call_our_steps() -> None:
    class Names(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input = unit(2, 1, 4)
            self.add = nn.Conv2d(4, 4, 3, padding=1)
            self.add_adapter = nn.Conv2d(4, 4, 3, padding=1)
            self.output = nn.Conv2d(4, 3, 1)

        def forward(self, images: Tensor) -> Tensor:
            features = self.input(images)
            return self.output(self.add_adapter(F.relu(torch.add(self.add(features), features))))

    space = space_of(Names())
    network = space.build({"input.0.kernels": 2, "add.kernels": 1}, Shape(1, 3, (16, 16)))
    assert network(torch.randn(2, 1, 16, 16)).shape == (2, 3, 16, 16)
    assert space.agent_graph().names == ("input.0", "add", "add_adapter")


def test_a_dry_run_counts_the_parameters_of_a_choice() -> None:
    space, task = prepared("u-net 2D")[1], CASES["u-net 2D"].task

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels)

    choice = space.starting_choice()
    cost = dry_run(lambda shape: space.build(choice, shape), task, 2, loss=loss)
    network = space.build(choice, task)
    assert cost.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert cost.flops is not None
    assert cost.flops > 0


def test_a_u_is_drawn_as_one_with_the_values_of_its_layers() -> None:
    space = prepared("u-net 2D")[1]
    choice = {**space.original_choice(), "down.1.1.0.kernels": 7, "down.1.1.0.kernel_size": 5}
    (diagram,) = space.diagrams(choice, CASES["u-net 2D"].task)
    nodes = {node.name: node for node in diagram.nodes}
    assert nodes["down.1.1.0"].detail == "convolution, 7 kernels of 5"
    assert nodes["pool"].detail == "pooling of 2"
    assert nodes["up.0"].detail == "up-convolution, 6 kernels of 2"
    rows = [nodes[name].row for name in ("down.0.0.0", "down.1.0.0", "down.2.0.0", "merge.0.0", "merge.1.0")]
    assert rows[0] < rows[1] < rows[2] > rows[3] > rows[4]
    dashed = {(edge.source, edge.target) for edge in diagram.edges if edge.dashed}
    assert {("down.0.1.0", "merge.1.0"), ("down.1.1.0", "merge.0.0")} == dashed


def test_what_stands_side_by_side_is_drawn_so() -> None:
    space = prepared("inception 2D")[1]
    (diagram,) = space.diagrams(space.original_choice(), CASES["inception 2D"].task)
    places = {node.name: (node.column, node.row) for node in diagram.nodes}
    branches = ("one.0", "three.0.0", "five.0.0", "pool.0")
    assert [places[f"block1.{branch}"] for branch in branches] == [(2, 0), (2, 1), (2, 2), (2, 3)]
    assert places["block1.three.1.0"][0] == 3


def test_words_say_what_a_choice_has() -> None:
    space = prepared("plain 2D")[1]
    choice = {**space.original_choice(), "conv1.stride": 2}
    assert space.describe(choice) == "5 layers, 4-8 kernels of 3, 1 with stride, pools of 2, 12 units"
