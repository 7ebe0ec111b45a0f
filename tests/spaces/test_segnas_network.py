"""The U-shaped network: channels, sizes, options, closed forms, and one training step."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from netwright.errors import InfeasibleArchitecture
from netwright.spaces import SPACES
from netwright.spaces.segnas.block import illegality, operation_matrix
from netwright.spaces.segnas.network import Architecture, MegaBlock, SegNASNetwork


@dataclass(frozen=True)
class Shape:
    channels: int = 1
    classes: int = 3
    size: tuple[int, ...] = (16, 17, 20)


SEGNAS = ("segnas11", "segnas4", "segnas7")
CASCADE = operation_matrix(3, [2, 0, 2])


def make(
    n: int = 3,
    p: int = 2,
    *,
    sup: bool = False,
    res: bool = False,
    task: Shape | None = None,
    dropout: float = 0.0,
) -> SegNASNetwork:
    return SegNASNetwork(Architecture(n, p, sup, res, CASCADE), task or Shape(), dropout=dropout)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("sup", [False, True])
@pytest.mark.parametrize("res", [False, True])
def test_parameters_match_the_closed_form(sup: bool, res: bool) -> None:
    n, p, channels, classes = 5, 3, 2, 4
    widths = [n * 2**level for level in range(p + 1)]
    blocks = list(zip([channels, *widths[:-1]], widths, strict=True))
    blocks += [(2 * width, width) for width in widths[:-1]]
    expected = sum(27 * (first * second + second**2) + 4 * second for first, second in blocks)
    expected += sum(2 * width * width for width in widths[:-1])
    if res:
        expected += sum(first * second for first, second in blocks)
    heads = widths[:-1] if sup else [n]
    expected += sum(width * classes + classes for width in heads)
    network = make(n, p, sup=sup, res=res, task=Shape(channels, classes, (16, 16, 16)))
    assert count(network) == expected


def test_channels_double_at_each_pooling_and_halve_at_each_upsampling() -> None:
    network = make(n=3, p=3)
    shapes: list[tuple[int, ...]] = []

    def remember(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        shapes.append(tuple(output.shape[1:]))

    for module in network.modules():
        if isinstance(module, MegaBlock):
            module.register_forward_hook(remember)
    network(torch.randn(2, 1, 16, 17, 20))
    levels = [(3, 16, 17, 20), (6, 8, 8, 10), (12, 4, 4, 5), (24, 2, 2, 2)]
    assert shapes == [*levels, *levels[-2::-1]]


@pytest.mark.parametrize("p", [2, 3, 4, 5])
@pytest.mark.parametrize("sup", [False, True])
def test_any_size_comes_out_as_it_went_in(p: int, sup: bool) -> None:
    task = Shape(2, 4, (32, 33, 47))
    network = make(n=2, p=p, sup=sup, res=True, task=task).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 2, *task.size)).shape == (1, 4, *task.size)


def test_says_what_size_the_poolings_need() -> None:
    with pytest.raises(InfeasibleArchitecture, match=r"3 max poolings need at least 8 .* has 16 x 7 x 20"):
        make(p=3, task=Shape(size=(16, 7, 20)))
    with pytest.raises(InfeasibleArchitecture, match="3D"):
        make(task=Shape(size=(16, 16)))


def test_halving_before_upsampling_equals_halving_after() -> None:
    halve = nn.Conv3d(4, 2, 1, bias=False)
    features = torch.randn(1, 4, 3, 4, 2)
    up = nn.Upsample(size=(7, 8, 5), mode="nearest")
    torch.testing.assert_close(up(halve(features)), halve(up(features)))


def test_residual_connection_goes_around_block_and_dropout() -> None:
    mega_block = MegaBlock(CASCADE, 4, 4, residual=True, dropout=0.5).eval()
    features = torch.randn(1, 4, 5, 5, 5)
    torch.testing.assert_close(mega_block(features), mega_block.block(features) + features)
    widened = MegaBlock(CASCADE, 2, 4, residual=True, dropout=0.0)
    assert widened.residual is not None
    assert isinstance(widened.residual, nn.Conv3d)


def test_dropout_drops_whole_channels_of_the_block() -> None:
    torch.manual_seed(0)
    mega_block = MegaBlock(operation_matrix(2, [2]), 2, 64, residual=False, dropout=0.5)
    result = mega_block(torch.randn(1, 2, 6, 6, 6))
    silent = (result == 0).all(dim=(0, 2, 3, 4)).sum().item()
    assert 16 < silent < 48


def test_deep_supervision_reaches_every_level_of_the_decoder() -> None:
    network = make(p=3, sup=True)
    logits = network(torch.randn(2, 1, 16, 17, 20))
    assert len(network.heads) == 3
    logits.square().mean().backward()
    assert all(head.weight.grad is not None and head.weight.grad.abs().sum() > 0 for head in network.heads)


def test_logits_are_the_sum_of_linearly_upsampled_heads() -> None:
    """With the features of the finest level ignored, the coarse head's logits are its linear interpolation."""
    network = make(n=2, p=2, sup=True).eval()
    caught: list[Tensor] = []
    network.heads[0].register_forward_hook(lambda module, inputs, output: caught.append(output))
    with torch.no_grad():
        network.heads[1].weight.zero_()
        assert network.heads[1].bias is not None
        network.heads[1].bias.zero_()
        logits = network(torch.randn(1, 1, 16, 17, 20))
    reference = nn.Upsample(size=(16, 17, 20), mode="trilinear")(caught[0])
    torch.testing.assert_close(logits, reference)


@pytest.mark.parametrize("name", SEGNAS)
def test_every_starting_choice_learns_from_one_step(name: str) -> None:
    torch.manual_seed(0)
    task = Shape()
    space = SPACES[name]()
    network = space.build(space.starting_choice(), task)
    optimizer = torch.optim.NAdam(network.parameters(), lr=1e-3)
    images = torch.randn(2, 1, *task.size)
    labels = (images[:, 0] > 0).long()
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(parameter.grad is not None for parameter in network.parameters())


@settings(max_examples=25)
@given(st.lists(st.integers(0, 6), min_size=6, max_size=6), st.integers(2, 4), st.booleans(), st.booleans())
def test_any_legal_block_trains(genes: list[int], nodes: int, sup: bool, res: bool) -> None:
    space = SPACES["segnas11"](n=(2, 4), p=(1, 3))
    choice = {"n": 2, "p": 1, "sup": int(sup), "res": int(res), "nodes": nodes}
    choice |= {f"op{index}": gene for index, gene in enumerate(genes, start=1)}
    task = Shape(size=(4, 5, 4))
    if illegality(operation_matrix(nodes, genes)) is not None:
        with pytest.raises(InfeasibleArchitecture, match="Illegal block: node"):
            space.build(choice, task)
        return
    network = space.build(choice, task)
    logits = network(torch.randn(2, 1, *task.size))
    logits.square().mean().backward()
    assert logits.shape == (2, 3, *task.size)
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_channels_last_computes_the_same() -> None:
    network = make(p=2, sup=True, res=True).eval()
    images = torch.randn(1, 1, 16, 17, 20)
    with torch.no_grad():
        expected = network(images)
        last = network.to(memory_format=torch.channels_last_3d)
        result = last(images.to(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)


def test_exports() -> None:
    network = make(p=2, sup=True, res=True, dropout=0.05).eval()
    images = torch.randn(1, 1, 16, 17, 20)
    exported = torch.export.export(network, (images,))
    torch.testing.assert_close(exported.module()(images), network(images))
