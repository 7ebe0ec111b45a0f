"""Spaces of the built-in networks and of a user's own, made from plain settings."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import prod
from pathlib import Path
from random import Random

import pytest
import torch
from optuna.distributions import CategoricalDistribution
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from netwright.errors import SettingsError
from netwright.spaces import SPACES, Space
from netwright.spaces.base import Layered
from netwright.spaces.layerwise.makers import original
from netwright.spaces.layerwise.networks import VGG16, GoogLeNet, UNet
from netwright.spaces.layerwise.space import LayerwiseSpace
from netwright.spaces.layerwise.table3 import TABLE_3


@dataclass(frozen=True)
class Task:
    channels: int
    classes: int
    size: tuple[int, ...]

    def settings(self) -> dict[str, object]:
        return {"channels": self.channels, "classes": self.classes, "size": self.size}


TASKS = {"vgg16": Task(3, 10, (32, 32)), "googlenet": Task(1, 10, (28, 28)), "unet": Task(1, 3, (35, 51))}
DOCS = Path(__file__).resolve().parents[2] / "docs"
MODULES = {"vgg16": VGG16, "googlenet": GoogLeNet, "unet": UNet}


def made(name: str, **settings: object) -> LayerwiseSpace:
    space = SPACES[name](**TASKS[name].settings(), **settings)
    assert isinstance(space, LayerwiseSpace)
    return space


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def actions(space: LayerwiseSpace) -> list[int]:
    """Number of actions of each agent: of the tuples of its layer's values."""
    distributions = space.distributions()
    return [
        prod(len(distributions[name].choices) for name in names)  # type: ignore[attr-defined]
        for names in space.agent_graph().agents
    ]


@pytest.mark.parametrize("name", sorted(TASKS))
def test_the_dimensions_hold_the_values_of_table_3(name: str) -> None:
    space = made(name)
    assert isinstance(space, Space)
    assert isinstance(space, Layered)
    assert space.name == name
    for dimension, distribution in space.distributions().items():
        assert isinstance(distribution, CategoricalDistribution)
        assert distribution.choices == TABLE_3[name][dimension.rpartition(".")[2]]


def test_vgg16_has_19_agents_of_20_2_and_6_actions() -> None:
    """Thirteen convolutions, five poolings, one dense layer in a chain: 400 episodes at least."""
    space = made("vgg16")
    graph = space.agent_graph()
    sizes = actions(space)
    assert (sizes.count(20), sizes.count(2), sizes.count(6), len(sizes)) == (13, 5, 1, 19)
    assert graph.edges == tuple(itertools.pairwise(range(19)))
    assert max(sizes[i] * sizes[j] for i, j in graph.edges) == 400


def test_unet_has_22_convolutions_and_needs_1764_episodes() -> None:
    space = made("unet")
    graph = space.agent_graph()
    sizes = actions(space)
    convolutions = [name for name in graph.names if any(f"{name}.kernels" in agent for agent in graph.agents)]
    assert len(convolutions) == 22
    assert max(sizes[i] * sizes[j] for i, j in graph.edges) == 42 * 42 == 1764
    index = {name: i for i, name in enumerate(graph.names)}
    for level in range(4):  # skips: the last convolution of each level reaches its fellow in the decoder
        assert (
            index[f"encoder.{level}.second.conv"],
            index[f"decoder.{3 - level}.first.conv"],
        ) in graph.edges


def test_googlenet_s_branches_meet_in_the_next_module() -> None:
    """Four convolutions of a module reach the four branches of the next: three convolutions and the pooling."""
    space = made("googlenet")
    graph = space.agent_graph()
    index = {name: i for i, name in enumerate(graph.names)}
    sources = [index[f"inception.4b.{branch}.conv"] for branch in ("one", "three", "five", "pooled")]
    targets = [
        index[f"inception.4c.{way}"]
        for way in ("one.conv", "three_reduced.conv", "five_reduced.conv", "pool")
    ]
    assert set(itertools.product(sources, targets)) <= set(graph.edges)
    assert (index["inception.4d.one.conv"], index["auxiliary2.pool"]) in graph.edges
    assert max(actions(space)) == 60


def rows_of(page: str) -> dict[str, list[str]]:
    """First cell -> the others, of the tables of a page; the first row of a name counts."""
    text = (DOCS / page).read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines()]
    return {row[0]: row[1:] for row in reversed(rows) if len(row) > 1}


def test_the_pages_have_the_figures_of_the_built_in_networks() -> None:
    """The networks are those of the recipes, for pictures of 32 x 32; tables have four bytes a cell."""
    space_page, results = rows_of("multi-agent-q-learning.md"), rows_of("results.md")
    recipes = {"vgg16": {"units": 512}, "googlenet": {}, "unet": {"up_kernel": 3}}
    for column, (name, title) in enumerate(
        (("vgg16", "VGG-16"), ("googlenet", "GoogLeNet"), ("unet", "U-Net"))
    ):
        space = made(name)
        graph, sizes, distributions = space.agent_graph(), actions(space), space.distributions()
        agents, edges = len(graph.agents), len(graph.edges)
        assert space_page["agents, edges between them"][column] == f"{agents}, {edges}"
        dimensions, choices = space_page["dimensions, choices"][column].split(", ")
        assert dimensions == str(len(distributions))
        assert prod(sizes) == pytest.approx(float(choices), rel=0.2)
        shape = {"channels": 1, "classes": 3} if name == "unet" else {"channels": 3, "classes": 10}
        with torch.device("meta"):
            weights = count(original(name, **shape, size=(32, 32), **recipes[name]))
        assert space_page["parameters of the original"][column] == f"{weights / 1e6:.1f} M"
        cells = sum(sizes[i] * sizes[j] for i, j in graph.edges)
        kilobytes = f"{4 * cells / 1000:,.0f}"
        assert results[title][:4] == [str(agents), str(edges), f"{cells:,}", kilobytes]
    for values, column in ((TABLE_3["vgg16"], 0), (TABLE_3["googlenet"], 1), (TABLE_3["unet"], 2)):
        for key in ("kernels", "kernel_size", "stride", "pool_size"):
            assert space_page[key.replace("_", " ")][column] == ", ".join(map(str, values[key]))


@pytest.mark.parametrize("name", sorted(TASKS))
def test_the_original_choice_is_the_original_network(name: str) -> None:
    space, task = made(name), TASKS[name]
    with torch.device("meta"):
        expected = MODULES[name](task.channels, task.classes, task.size)
    with FakeTensorMode():
        rebuilt = space.build(space.original_choice(), task)
    assert {key: tuple(p.shape) for key, p in rebuilt.named_parameters()} == {
        key: tuple(p.shape) for key, p in expected.named_parameters()
    }


@pytest.mark.parametrize("name", sorted(TASKS))
def test_the_smallest_networks_are_built_and_learn(name: str) -> None:
    """All first values: logits of the right shape, auxiliary heads in training alone, gradients."""
    space, task = made(name), TASKS[name]
    choice = {key: dist.choices[0] for key, dist in space.distributions().items()}  # type: ignore[attr-defined]
    network = space.build(choice, task)
    expected = (2, task.classes, *task.size) if name == "unet" else (2, task.classes)
    images = torch.randn(2, task.channels, *task.size)
    results = network.train()(images)
    heads = results if isinstance(results, tuple) else (results,)
    assert [tuple(head.shape) for head in heads] == [expected] * (3 if name == "googlenet" else 1)
    torch.stack([head.square().mean() for head in heads]).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    result = network.eval()(images)
    assert isinstance(result, Tensor)
    assert tuple(result.shape) == expected


LARGE = pytest.param("googlenet", marks=pytest.mark.slow)


@pytest.mark.parametrize("name", [LARGE, "unet", "vgg16"])
def test_no_choice_of_table_3_runs_out_of_image(name: str) -> None:
    """Whatever strides and poolings leave of a small image, the next layers take: sizes end at one pixel."""
    space, task = made(name), TASKS[name]
    random = Random(0)
    choices = [
        {key: random.choice(dist.choices) for key, dist in space.distributions().items()} for _ in range(12)
    ]  # type: ignore[attr-defined]
    choices.append({key: dist.choices[-1] for key, dist in space.distributions().items()})  # type: ignore[attr-defined]
    for choice in choices:
        with FakeTensorMode():
            result = space.build(choice, task).eval()(torch.zeros(1, task.channels, *task.size))
        assert tuple(result.shape) == ((1, task.classes, *task.size) if name == "unet" else (1, task.classes))


def test_subsets_of_table_3_and_frozen_layers() -> None:
    values = {"kernels": (8, 16), "stride": None, "pool_size": (), "units": (64,)}
    space = made("vgg16", values=values, frozen=("features.conv1_*", "features.conv5_3"))
    dimensions = space.distributions()
    assert len(dimensions) == 10 * 2 + 1
    assert not any(name.endswith((".stride", ".pool_size")) for name in dimensions)
    assert not any(name.startswith(("features.conv1_", "features.conv5_3")) for name in dimensions)
    assert dimensions["features.conv2_1.kernels"].choices == (8, 16)  # type: ignore[attr-defined]
    assert dimensions["features.conv2_1.kernel_size"].choices == (3, 5)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("vgg16", {"values": {"kernels": [4, 0]}}, "values.kernels: expected positive whole numbers, got 0"),
        (
            "unet",
            {"values": {"kernels": None, "kernel_size": [], "stride": [], "pool_size": []}},
            "no layer to tune",
        ),
        ("unet", {"frozen": "encoder.*"}, "frozen: expected a list"),
        ("unet", {"frozen": ("no_such_layer",)}, "no_such_layer"),
        ("unet", {"size": (32, 32, 32)}, "unet is a network for 2D images"),
        ("vgg16", {"dense": True}, "vgg16 is a network for classification, but the task is segmentation"),
        ("googlenet", {"dense": True}, "googlenet is a network for classification"),
        ("unet", {"dense": False}, "unet is a network for segmentation, but the task is classification"),
    ],
)
def test_wrong_settings_are_named(name: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        SPACES[name](**{**TASKS[name].settings(), **settings})


def test_spaces_are_kept_and_leave_the_random_numbers_alone() -> None:
    values = {"kernels": [8, 24]}
    torch.manual_seed(3)
    first = made("vgg16", values=values)
    after = torch.rand(1)
    again = made("vgg16", values={"kernels": (8, 24)})
    torch.manual_seed(3)
    assert torch.rand(1) == after
    assert again is first
    assert made("vgg16", values={"kernels": (8, 25)}) is not first


def test_rebuilt_networks_begin_as_strongly_as_the_original() -> None:
    """He et al. 2015: sqrt(2 / terms), also where layers are narrower; a plain VGG-16 does not learn otherwise."""
    space, task = made("vgg16", values={"kernels": (16, 48)}), TASKS["vgg16"]
    torch.manual_seed(0)
    network = space.build({name: dist.choices[0] for name, dist in space.distributions().items()}, task)  # type: ignore[attr-defined]
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.weight.std().item() == pytest.approx(
                (2 / layer.weight[0].numel()) ** 0.5, rel=0.1
            ), name
            assert not layer.bias.any()
    with torch.no_grad():
        logits = network.eval()(torch.randn(16, 3, 32, 32))
    assert logits.std() > 0.01


@pytest.mark.parametrize("name", sorted(TASKS))
def test_the_original_is_made_anew_for_the_comparison(name: str) -> None:
    task = TASKS[name]
    settings = {**task.settings(), "values": {"kernels": (8,)}, "frozen": ("x",), "dense": name == "unet"}
    with torch.device("meta"):
        network = original(name, **settings, batch_norm=True)
    assert isinstance(network, MODULES[name])
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    if name == "unet":
        first, second = (original(name, **settings).get_submodule("output").weight for _ in range(2))
        assert not torch.equal(first, second)


def test_the_original_of_what_there_is_not() -> None:
    with pytest.raises(SettingsError, match=r"no original of the space 'segnas11'.*vgg16, googlenet"):
        original("segnas11")
    with pytest.raises(SettingsError, match="2D"):
        original("unet", channels=1, classes=2, size=(32, 32, 32))


@pytest.fixture
def residual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's 3D network in the current directory, by its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = f"residual_of_{tmp_path.name}"
    (tmp_path / f"{module}.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, channels, classes):\n"
        "        super().__init__()\n"
        "        self.first = nn.Conv3d(channels, 8, 3, padding=1)\n"
        "        self.second = nn.Conv3d(8, 8, 3, padding=1)\n"
        "        self.last = nn.Conv3d(8, classes, 1)\n"
        "    def forward(self, images):\n"
        "        features = self.first(images).relu()\n"
        "        return self.last(features + self.second(features).relu())\n"
    )
    return f"{module}:Net"


def test_a_user_s_network_becomes_a_space(residual: str) -> None:
    task = Task(2, 3, (9, 8, 7))
    space = SPACES["layerwise"](residual, **task.settings(), dense=True)
    assert space.name == "layerwise"
    assert space is SPACES["layerwise"](network=residual, **task.settings(), dense=True)
    assert {name: dist.choices for name, dist in space.distributions().items()} == {  # type: ignore[attr-defined]
        "first.kernels": (2, 4, 8),
        "first.kernel_size": (3, 5),
        "second.kernels": (2, 4, 8),
        "second.kernel_size": (3, 5),
    }
    network = space.build({"first.kernels": 4, "second.kernels": 2}, task)
    assert network(torch.randn(2, 2, 9, 8, 7)).shape == (2, 3, 9, 8, 7)
    assert count(original("layerwise", network=residual, **task.settings(), values=None)) == count(
        space.build(space.original_choice(), task)
    )
    strides = SPACES["layerwise"](residual, **task.settings(), values={"stride": [1, 2], "kernels": None})
    assert set(strides.distributions()) == {"first.stride", "second.stride", "last.stride"}
    with pytest.raises(SettingsError, match=r"\(2, 3, 9, 8, 7\).*expected \(2, 3\) for classification"):
        SPACES["layerwise"](residual, **task.settings(), dense=False)
