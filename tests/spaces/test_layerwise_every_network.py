"""What must hold of every network of the issue, in 2D and in 3D: each is read once, in this file."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from netwright.errors import InfeasibleArchitecture
from netwright.spaces.base import Layered, Space
from netwright.spaces.layerwise import LayerwiseSpace, copy_weights
from spaces.layerwise_networks import CASES, Shape, assert_learns, outputs, prepared

# The full number, 200, is in benchmarks/rebuild_any_network.py.
ATTEMPTS, TRAINED = 30, 4

LARGE = ("BasicUNet 3D", "DenseNet121 3D")
"""Networks that take seconds, and that are tried in two dimensions, too."""
NAMES = [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in CASES]


@pytest.mark.parametrize("name", NAMES)
def test_the_original_choice_with_copied_weights_gives_the_original_output(name: str) -> None:
    module, space = prepared(name)
    rebuilt = space.build(space.original_choice(), CASES[name].task)
    assert set(copy_weights(module, rebuilt)) == set(module.state_dict()) == set(rebuilt.state_dict())
    images = CASES[name].example()
    for training in (False, True):
        ours, theirs = (outputs(network, images, training=training) for network in (rebuilt, module))
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    one_image = images[:1]
    torch.testing.assert_close(
        outputs(rebuilt, one_image, training=False),
        outputs(module, one_image, training=False),
        rtol=0,
        atol=1e-5,
    )


@pytest.mark.parametrize("name", NAMES)
def test_torch_export_reads_what_torch_fx_reads_wrongly(name: str) -> None:
    assert prepared(name)[1].network.reader == ("torch.export" if "BasicUNet" in name else "torch.fx")


def random_choice(space: LayerwiseSpace, rng: random.Random) -> dict[str, Any]:
    return {name: rng.choice(values.choices) for name, values in space.distributions().items()}  # type: ignore[attr-defined]


def train_one_step(space: LayerwiseSpace, choice: Mapping[str, Any], task: Shape) -> nn.Module:
    """Forward, loss and backward of one batch of two; the outputs' shapes are those of the task."""
    network = space.build(choice, task)
    results = outputs(network, torch.randn(2, task.channels, *task.size), training=True)
    dense = len(space.network.shapes[space.network.training[0]] or ()) > 2
    expected = (2, task.classes, *(task.size if dense else ()))
    assert {tuple(output.shape) for output in results} == {expected}
    labels = torch.zeros(2, *(task.size if dense else ()), dtype=torch.int64)
    loss = sum((F.cross_entropy(output, labels) for output in results), torch.zeros(()))
    loss.backward()  # type: ignore[no-untyped-call]
    return network


@pytest.mark.parametrize("name", NAMES)
def test_random_choices_train_one_step_or_are_infeasible_with_a_reason(name: str) -> None:
    """Names are the original's, too, and adapters stand beside the steps that need them."""
    (module, space), task, rng = prepared(name), CASES[name].task, random.Random(name)
    trained, reasons, original = 0, [], set(module.state_dict())
    for _ in range(ATTEMPTS):
        try:
            network = train_one_step(space, random_choice(space, rng), task)
        except InfeasibleArchitecture as reason:
            reasons.append(str(reason))
            continue
        assert_learns(network)
        state = network.state_dict()
        assert original <= set(state)
        assert all(added.rpartition("_adapter")[0] in space.network.step for added in set(state) - original)
        assert len({value.data_ptr() for value in state.values()}) == len(state)
        trained += 1
        if trained == TRAINED:
            break
    assert trained > 0
    for reason in reasons:
        assert any(step in reason for step in space.network.step), f"names no step: {reason}"


@pytest.mark.parametrize("name", ["plain 2D", "inception 2D", "u-net 3D", "BasicUNet 2D", "UNet 2D"])
def test_a_network_of_fake_tensors_is_the_network(name: str) -> None:
    space, task = prepared(name)[1], CASES[name].task
    choice = space.starting_choice()
    with FakeTensorMode():
        fake = {key: value.shape for key, value in space.build(choice, task).state_dict().items()}
    assert fake == {key: value.shape for key, value in space.build(choice, task).state_dict().items()}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_space_of_layers(name: str) -> None:
    space = prepared(name)[1]
    assert isinstance(space, Space)
    assert isinstance(space, Layered)
    graph = space.agent_graph()
    distributions = space.distributions()
    assert [dimension for agent in graph.agents for dimension in agent] == list(distributions)
    for layer, agent in zip(graph.names, graph.agents, strict=True):
        assert all(dimension.rpartition(".")[0] == layer for dimension in agent)
    assert all(i < j for i, j in graph.edges)
    assert {j for _, j in graph.edges} == set(range(len(graph.names))) - fed_by_the_image(space)
    start = space.starting_choice()
    assert all(start[key] in values.choices for key, values in distributions.items())  # type: ignore[attr-defined]
    space.build(start, CASES[name].task)
    assert space.canonical({**start, "other": 1}) == start
    assert len(space.describe(start)) < 80


def fed_by_the_image(space: LayerwiseSpace) -> set[int]:
    names = space.agent_graph().names
    firsts = {"conv1", "stem.0", "down.0.0.0", "conv_0.conv_0.conv", "convInit.conv", "features.conv0"}
    firsts |= {"model.0.conv.unit0.conv", "model.0.residual"}
    return {index for index, name in enumerate(names) if name in firsts}


@pytest.mark.parametrize("name", NAMES)
def test_drawings_have_every_layer_once_and_nothing_over_another(name: str) -> None:
    space, task = prepared(name)[1], CASES[name].task
    (diagram,) = space.diagrams(space.starting_choice(), task)
    names = [node.name for node in diagram.nodes]
    layers = [layer.name for layer in space.network.layers]
    assert names[1:-1] == layers
    places = {(node.column, node.row) for node in diagram.nodes}
    assert len(places) == len(names)
    assert all(edge.source in names and edge.target in names for edge in diagram.edges)
    column = {node.name: node.column for node in diagram.nodes}
    assert all(column[edge.source] <= column[edge.target] for edge in diagram.edges)
    if "DenseNet" not in name:
        assert max(column.values()) <= 12
    assert {edge.target for edge in diagram.edges} == set(names[1:])
