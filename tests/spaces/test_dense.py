"""The densely connected encoder-decoder: its 76 dimensions, its connections, its sizes, and one training step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.searches.random_choices import draw_choice
from netwright.spaces import SPACES, Space
from netwright.spaces.dense import DenseEncoderDecoder, DenseSpace, DenseThroughout
from netwright.strategies.view import dimensions_of
from netwright.tasks.classification.task import ClassificationTask

SMALL = DenseSpace(filters=(2, 6, 2), kernels=(1, 5, 2), layers=3)


@dataclass(frozen=True)
class Shape:
    channels: int = 2
    classes: int = 4
    size: tuple[int, ...] = (16, 12)


def drawn(space: DenseSpace, seed: int) -> dict[str, Any]:
    return draw_choice(space.distributions(), np.random.default_rng(seed))


def test_has_the_papers_76_hyperparameters() -> None:
    space = SPACES["dense-encoder-decoder"]()
    assert isinstance(space, Space)
    dimensions = {d.name: d for d in dimensions_of(space.distributions())}
    assert len(dimensions) == 76 == 3 * 25 - 1 + 2
    filters = dimensions["layer1.filters"]
    assert list(range(int(filters.low), int(filters.high) + 1, int(filters.step or 0))) == [
        16 * x + 16 for x in range(1, 13)
    ]
    side = dimensions["layer25.height"]
    assert list(range(int(side.low), int(side.high) + 1, int(side.step or 0))) == [
        2 * x + 1 for x in range(6)
    ]
    assert dimensions["pool2"].choices == ("max", "average")
    assert "layer25.filters" not in dimensions
    assert "layer24.filters" in dimensions
    assert isinstance(space, DenseSpace)
    assert space.count_choices() == 12**24 * 6**50 * 2**2


def by_hand(network: DenseEncoderDecoder, images: Tensor) -> Tensor:
    """The forward pass written out with functions: every layer's input is put together anew."""

    def layer(module: Any, inputs: list[Tensor]) -> Tensor:
        swished = torch.cat([x * torch.sigmoid(x) for x in inputs], dim=1)
        mean, variance = module.norm.running_mean, module.norm.running_var
        normal = F.batch_norm(swished, mean, variance, module.norm.weight, module.norm.bias)
        kernel = module.conv.weight
        return F.conv2d(
            normal, kernel, module.conv.bias, padding=(kernel.shape[2] // 2, kernel.shape[3] // 2)
        )

    def block(module: Any, x: Tensor) -> Tensor:
        outputs = [x]
        for one in module.layers:
            outputs.append(layer(one, outputs))
        return outputs[-1]

    pools = {"max": F.max_pool2d, "average": F.avg_pool2d}
    first = block(network.encoder[0], images)
    second = block(network.encoder[1], pools[network.poolings[0]](first, 2))
    bottom = block(network.bottom, pools[network.poolings[1]](second, 2))
    up = nn.Upsample(scale_factor=2, mode="bilinear")
    joined = block(network.decoder[0], torch.cat([up(bottom), second], 1))
    return block(network.decoder[1], torch.cat([up(joined), first], 1))


@pytest.mark.parametrize("seed", range(4))
def test_computes_what_the_equations_say(seed: int) -> None:
    torch.manual_seed(seed)
    network = SMALL.build(drawn(SMALL, seed), Shape()).eval()
    assert isinstance(network, DenseEncoderDecoder)
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    images = torch.randn(2, 2, 16, 12)
    with torch.no_grad():
        torch.testing.assert_close(network(images), by_hand(network, images))


THROUGHOUT = DenseSpace(filters=(2, 6, 2), kernels=(1, 5, 2), layers=3, dense_connections="network")


def throughout_by_hand(network: DenseThroughout, images: Tensor) -> Tensor:
    """Layer by layer, from l = 1 to L: what a layer gets is brought to its resolution from where it was made."""
    pools = {"max": F.max_pool2d, "average": F.avg_pool2d}
    blocks = list(network.blocks)
    made: list[tuple[int, Tensor]] = [(0, images)]  # level and features

    def brought(level: int, features: Tensor, wanted: int) -> Tensor:
        for one in range(level, wanted):
            features = pools[network.poolings[one]](features, 2)
        for _ in range(wanted, level):
            features = nn.Upsample(scale_factor=2, mode="bilinear")(features)
        return features

    for place, block in enumerate(blocks):
        level = min(place, len(blocks) - 1 - place)
        for module in block:
            inputs = torch.cat([brought(*one, level) for one in made], dim=1)
            normal = F.batch_norm(
                inputs * torch.sigmoid(inputs),
                *(module.norm.running_mean, module.norm.running_var, module.norm.weight, module.norm.bias),
            )
            kernel = module.conv.weight
            padding = kernel.shape[2] // 2, kernel.shape[3] // 2
            made.append((level, F.conv2d(normal, kernel, module.conv.bias, padding=padding)))
    return made[-1][1]


@pytest.mark.parametrize("seed", range(3))
def test_every_layer_of_the_network_gets_all_before_it(seed: int) -> None:
    torch.manual_seed(seed)
    network = THROUGHOUT.build(drawn(THROUGHOUT, seed), Shape()).eval()
    assert isinstance(network, DenseThroughout)
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    images = torch.randn(2, 2, 16, 12)
    with torch.no_grad():
        torch.testing.assert_close(network(images), throughout_by_hand(network, images))


def test_connections_throughout_the_network_are_those_of_the_equation() -> None:
    """Layer l has the image's channels and the filters of all l - 1 layers before it."""
    choice, task = drawn(THROUGHOUT, 5), Shape()
    layers = [layer for block in THROUGHOUT.layers_of(choice, task.classes) for layer in block]
    network = THROUGHOUT.build(choice, task)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [m.in_channels for m in convolutions] == [
        task.channels + sum(layer.filters for layer in layers[:before]) for before in range(len(layers))
    ]
    # ... and a change of any earlier layer's weights changes what the last layer gets from it alone.
    images, last = torch.randn(1, 2, 16, 12), convolutions[-1]
    for number, layer in enumerate(convolutions[:-1]):
        network.eval()
        with torch.no_grad():
            first = task.channels + sum(one.filters for one in layers[:number])
            kept = last.weight.clone()
            last.weight.zero_()
            last.weight[:, first : first + layers[number].filters] = 1.0
            before = network(images)
            layer.bias += 1.0
            assert not torch.equal(network(images), before), number
            layer.bias -= 1.0
            last.weight.copy_(kept)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(1, 21), st.integers(1, 21))
def test_any_image_has_its_network_throughout(seed: int, height: int, width: int) -> None:
    network = THROUGHOUT.build(drawn(THROUGHOUT, seed), Shape()).eval()
    assert network(torch.zeros(1, 2, height, width)).shape == (1, 4, height, width)


def test_connections_throughout_are_drawn() -> None:
    block, network = THROUGHOUT.diagrams(THROUGHOUT.starting_choice(), Shape())
    assert block.nodes[0].label == "all before"
    dashed = {(edge.source, edge.target) for edge in network.edges if edge.dashed}
    into_last = {source for source, target in dashed if target == "block 5"}
    assert into_last == {"image", "block 1", "block 2", "block 3"}
    assert {target for source, target in dashed if source == "image"} == {
        f"block {number}" for number in (2, 3, 4, 5)
    }


def test_connections_are_those_of_blocks_unless_it_is_said() -> None:
    """Runs made before the setting have it not."""
    assert isinstance(SMALL.build(drawn(SMALL, 0), Shape()), DenseEncoderDecoder)


def test_parameters_follow_from_the_choice() -> None:
    choice, task = drawn(SMALL, 7), Shape()
    blocks = SMALL.layers_of(choice, task.classes)
    outputs = [block[-1].filters for block in blocks]
    inputs = [task.channels, outputs[0], outputs[1], outputs[2] + outputs[1], outputs[3] + outputs[0]]
    expected = 0
    for width, block in zip(inputs, blocks, strict=True):
        for layer in block:
            expected += 2 * width + width * layer.filters * layer.height * layer.width + layer.filters
            width += layer.filters
    network = SMALL.build(choice, task)
    assert sum(p.numel() for p in network.parameters()) == expected
    assert blocks[-1][-1].filters == task.classes


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 21), st.integers(1, 21))
def test_any_choice_labels_an_image_of_any_size(seed: int, height: int, width: int) -> None:
    network = SMALL.build(drawn(SMALL, seed), Shape()).eval()
    assert network(torch.zeros(1, 2, height, width)).shape == (1, 4, height, width)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"blocks": 3, "layers": 1},
        {"blocks": 7, "layers": 2},
        {"dense_connections": "network"},
        {"blocks": 3, "dense_connections": "network"},
    ],
)
def test_starts_with_a_network_that_learns(options: dict[str, Any]) -> None:
    space = DenseSpace(filters=(4, 12, 4), kernels=(1, 5, 2), **options)
    torch.manual_seed(0)
    network = space.build(space.starting_choice(), Shape())
    images = torch.randn(4, 2, 16, 12)
    labels = (images[:, 0] > 0).long() + 2 * (images[:, 1] > 0).long()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters() if p.ndim > 1)


def test_forms_words_and_drawings() -> None:
    choice = SMALL.starting_choice()
    assert SMALL.canonical({**choice, "other": 1}) == choice
    assert SMALL.describe(choice) == "filters 2-2 (mean 2), kernels 3-3 (mean 3.0), pooling max, max"
    changed = {**choice, "layer2.filters": 6, "layer3.width": 5, "pool2": "average"}
    assert SMALL.describe(changed) == "filters 2-6 (mean 2), kernels 3-5 (mean 3.1), pooling max, average"
    table = SMALL.table(changed, 4)
    assert len(table) == 15 + 2
    assert table[1] == ("layer 2", "6", "3", "3")
    assert table[7] == ("pooling 2", "average", "", "")
    assert table[-1] == ("layer 15", "4", "3", "3")
    block, network = SMALL.diagrams(changed, Shape(size=(9, 13)))
    assert len(block.edges) == 1 + 2 + 3
    details = {node.name: node.detail for node in network.nodes}
    assert details["block 1"] == "2-6-2 filters, 9 x 13"
    assert details["block 3"].endswith("3 x 4")
    dashed = {(edge.source, edge.target) for edge in network.edges if edge.dashed}
    assert dashed == {("block 1", "block 5"), ("block 2", "block 4")}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"blocks": 4}, "blocks must be odd"),
        ({"blocks": 1}, "blocks must be odd"),
        ({"layers": 0}, "layers must be"),
        ({"layers": 1.5}, "layers must be"),
        ({"blocks": "five"}, "blocks must be odd"),
        ({"poolings": 3}, "poolings must be"),
        ({"filters": (16, 30, 8)}, "filters"),
        ({"filters": (16, 32)}, "filters"),
        ({"filters": (0, 32, 16)}, "filters"),
        ({"kernels": (2, 6, 2)}, "kernels must be odd"),
        ({"kernels": (1, 4, 1)}, "kernels must be odd"),
        ({"poolings": ("max", "median")}, "poolings must be of max, average"),
        ({"poolings": ()}, "poolings"),
        ({"dense_connections": "layer"}, "dense_connections must be one of block, network"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        DenseSpace(**options)


def test_other_tasks_are_refused() -> None:
    with pytest.raises(InfeasibleArchitecture, match="two dimensions"):
        SMALL.build(SMALL.starting_choice(), Shape(size=(8, 8, 8)))
    with pytest.raises(InfeasibleArchitecture, match="every pixel"):
        SMALL.build(SMALL.starting_choice(), ClassificationTask(1, ("a", "b"), (8, 8)))
