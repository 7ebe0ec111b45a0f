"""Shared weights of SegNAS3D networks: a network built alone is a part of them, and what is shared by which."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import IntDistribution
from torch import Tensor, nn

from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.nn.steps import Supernet
from netwright.spaces import SPACES
from netwright.spaces.base import SharesWeights
from netwright.spaces.segnas import SegNAS
from netwright.spaces.segnas.operations import operation_name

SEGNAS = ("segnas11", "segnas4", "segnas7")


@dataclass(frozen=True)
class Shape:
    channels: int = 2
    classes: int = 3
    size: tuple[int, ...] = (4, 7, 5)


def made(name: str, **changes: Any) -> SegNAS:
    space = SPACES[name](**{"n": 2, "p": (1, 3), "dropout": 0.0, **changes})
    assert isinstance(space, SegNAS)
    return space


@st.composite
def choices(draw: st.DrawFn, space: SegNAS) -> dict[str, int]:
    found = {}
    for name, distribution in space.distributions().items():
        assert isinstance(distribution, IntDistribution)
        found[name] = draw(st.integers(distribution.low, distribution.high))
    return found


def shared_name(name: str, space: SegNAS, choice: dict[str, int]) -> str | None:
    """Where a weight of a network that is built alone stands among the shared ones; None: in no place."""
    architecture = space.architecture(choice)
    part, place, rest = name.split(".", 2)
    # Decoder, heads and the convolutions before upsampling are listed from the bottom on.
    level = int(place) if part == "encoder" else architecture.p - 1 - int(place)
    if part == "heads":
        return f"operations.head{level if architecture.sup else 0}.{rest}"
    if part == "halve":
        return f"operations.halve{level}.{rest}"
    if rest == "residual.weight":
        return f"operations.{part}{level}/{rest}"
    found = re.fullmatch(r"block\.operations\.(\d)_(\d)\.(0\.)?weight", rest)
    if found is None:
        return None  # batch normalisation
    source, target = int(found[1]), int(found[2])
    operation = operation_name(architecture.matrix[source][target])
    return f"operations.{part}{level}/{source}_{target}/{operation}.{found[3] or ''}weight"


def copied(network: nn.Module, supernet: Supernet, space: SegNAS, choice: dict[str, int]) -> set[str]:
    """Put the shared weights into a network that was built alone; names of those that it took."""
    shared, taken = supernet.state_dict(), set()
    for name, weight in network.state_dict().items():
        key = shared_name(name, space, choice)
        if key is not None:
            weight.copy_(shared[key])
            taken.add(key)
    return taken


@pytest.mark.parametrize("name", SEGNAS)
@settings(max_examples=40)
@given(data=st.data())
def test_a_network_alone_is_a_part_of_the_supernet(name: str, data: st.DataObject) -> None:
    space, task = made(name), Shape(channels=data.draw(st.integers(1, 2)))
    choice = data.draw(choices(space))
    torch.manual_seed(data.draw(st.integers(0, 99)))
    supernet, images = space.supernet(task).train(), torch.randn(2, task.channels, *task.size)
    try:
        network = space.build(choice, task).train()
    except InfeasibleArchitecture as error:
        with pytest.raises(InfeasibleArchitecture, match=re.escape(str(error))):
            supernet.steps(choice)
        return
    taken = copied(network, supernet, space, choice)
    output = supernet(images, choice)
    torch.testing.assert_close(network(images), output, rtol=1e-4, atol=1e-5)
    output.square().sum().backward()
    assert {n for n, weight in supernet.named_parameters() if weight.grad is not None} == taken


def test_shared_networks_are_judged_by_the_batch_alone() -> None:
    """No running statistics, which other networks would have moved: training and evaluation give the same."""
    space, images = made("segnas7", p=1), torch.randn(2, 2, 4, 7, 5)
    supernet, choice = space.supernet(Shape()), space.starting_choice()
    before = supernet.train()(images, choice)
    assert torch.equal(supernet.eval()(images, choice), before)
    assert not any(True for _ in supernet.buffers())
    normalisations = [m for m in supernet.modules() if isinstance(m, nn.BatchNorm3d)]
    assert all(m.weight is None and m.bias is None for m in normalisations)


def block_weights(inputs: int, outputs: int) -> int:
    """Of all operations on all edges of a block of up to four nodes, and the residual connection."""
    taps = 1 + 27 + 125 + 27 + 125
    projection = inputs * outputs * (inputs != outputs)
    return 3 * (inputs * outputs * taps + projection) + 3 * outputs * outputs * taps + projection


@pytest.mark.parametrize(("n", "p", "channels", "classes"), [(16, 4, 1, 20), (3, 2, 3, 2), (4, 1, 4, 2)])
def test_numbers_of_shared_weights(n: int, p: int, channels: int, classes: int) -> None:
    widths = [n * 2**level for level in range(p + 1)]
    expected = sum(map(block_weights, [channels, *widths], widths))
    expected += sum(block_weights(2 * width, width) + 2 * width * width for width in widths[:-1])
    expected += n * classes + classes
    space = SPACES["segnas7"](n=n, p=p)
    assert isinstance(space, SharesWeights)
    with torch.device("meta"):
        weights = list(space.supernet(Shape(channels, classes, (32, 32, 32))).parameters())
    assert sum(weight.numel() for weight in weights) == expected
    if n == 16:
        assert expected == 179_834_564


def used(space: SegNAS, **choice: int) -> set[str]:
    return {step.key for step in space.supernet(Shape()).steps({**space.starting_choice(), **choice})}


def test_what_networks_of_different_shapes_share() -> None:
    space = made("segnas11")
    plain = used(space, p=2, sup=0, res=0)
    assert used(space, p=2, sup=0, res=1) - plain == {
        f"{section}/residual" for section in ("encoder0", "encoder1", "encoder2", "decoder0", "decoder1")
    } | {"sum"}
    assert used(space, p=2, sup=1, res=0) - plain == {"head1", "deepen"}
    shallow = used(space, p=1, sup=0, res=0)
    assert shallow < plain
    assert {key.split("/")[0] for key in plain - shallow} == {"encoder2", "decoder1", "halve1"}


def test_equal_networks_use_equal_weights() -> None:
    """A skip behind an operation moves the operation; here both choices are one Conv(3,1)."""
    space = made("segnas7", p=1)
    supernet = space.supernet(Shape())
    one = {"nodes": 3, "op1": 2, "op2": 0, "op3": 6, "op4": 1, "op5": 1, "op6": 1}
    other = {"nodes": 2, "op1": 2, "op2": 3, "op3": 3, "op4": 3, "op5": 3, "op6": 3}
    assert supernet.steps(one) == supernet.steps(other)


def test_shared_weights_learn() -> None:
    """Two networks in turn, as in a search: the loss of both falls."""
    torch.manual_seed(0)
    space = made("segnas7", p=1)
    supernet = space.supernet(Shape())
    pair = [space.starting_choice(), {**space.starting_choice(), "nodes": 4, "op6": 3}]
    images = torch.randn(2, 2, 8, 8, 8)
    labels = (images[:, 0] > 0.5).long() + (images[:, 1] > 0.5).long()
    optimizer = torch.optim.SGD(supernet.parameters(), 0.1, momentum=0.9)

    def losses() -> list[Tensor]:
        return [nn.functional.cross_entropy(supernet(images, choice), labels) for choice in pair]

    before = [loss.item() for loss in losses()]
    for _ in range(30):
        optimizer.zero_grad()
        torch.stack(losses()).mean().backward()
        optimizer.step()
    assert all(after.item() < 0.6 * loss for after, loss in zip(losses(), before, strict=True))


def test_searched_channels_are_refused_with_advice() -> None:
    with pytest.raises(SettingsError, match=r"space\.n=16"):
        SPACES["segnas11"]().supernet(Shape(size=(32, 32, 32)))  # type: ignore[attr-defined]


def test_images_that_no_network_takes_are_refused() -> None:
    with pytest.raises(InfeasibleArchitecture, match="3D"):
        made("segnas7").supernet(Shape(size=(32, 32)))
    with pytest.raises(InfeasibleArchitecture, match="8 voxels"):
        made("segnas7", p=(3, 5)).supernet(Shape(size=(4, 16, 16)))


def test_poolings_that_leave_nothing_are_infeasible_and_have_no_weights() -> None:
    space = made("segnas11", p=(1, 6))
    supernet = space.supernet(Shape(size=(9, 8, 11)))
    assert {name.split("/")[0] for name in supernet.operations if "encoder" in name} == {
        f"encoder{level}" for level in range(4)
    }
    with pytest.raises(InfeasibleArchitecture, match="16 voxels"):
        supernet.steps({**space.starting_choice(), "p": 4})
