"""Symmetric autoencoders: counts, networks against a plain reference, shared weights, sizes, first values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.nn.steps import Supernet
from netwright.spaces import SPACES, Space
from netwright.spaces.autoencoder import AutoencoderSpace
from netwright.spaces.autoencoder.layers import DecodeUp, Encode
from netwright.spaces.base import HasBase, SharesWeights, Tabled
from netwright.training.cost import dry_run

SHARES = ("exact", "slices")


@dataclass(frozen=True)
class Shape:
    channels: int = 3
    classes: int = 3
    size: tuple[int, ...] = (13, 9)


def small(share: str = "exact", **changes: Any) -> AutoencoderSpace:
    return AutoencoderSpace(
        **{"layers": 6, "channels": (2, 3, 4), "levels_back": 3, "share": share, **changes}
    )


@st.composite
def choices(draw: st.DrawFn, space: Space) -> dict[str, Any]:
    found = {}
    for name, distribution in space.distributions().items():
        assert isinstance(distribution, CategoricalDistribution)
        found[name] = draw(st.sampled_from(distribution.choices))
    return found


def chain(*layers: tuple[int, str, int]) -> dict[str, Any]:
    """A choice of layers one behind the other: kernel, "skip" or "down", channels."""
    choice: dict[str, Any] = {"output.source": len(layers)}
    for number, (kernel, kind, channels) in enumerate(layers, start=1):
        choice |= {
            f"layer{number}.type": f"{kernel}x{kernel} {kind}",
            f"layer{number}.channels": channels,
            f"layer{number}.source": number - 1,
        }
    return choice


def active(choice: Mapping[str, Any], layers: int) -> list[int]:
    """The layers that lead to the output layer, by going through all of them backwards."""
    found, wanted = [], choice["output.source"]
    for number in range(layers, 0, -1):
        if number == wanted:
            found.insert(0, number)
            wanted = choice.get(f"layer{number}.source", 0)
    return found


def copied(network: nn.Module, supernet: Supernet) -> nn.Module:
    """The network with the supernet's weights of the same names; of larger ones the part that it would use."""
    shared = supernet.state_dict()
    for name, weight in network.state_dict().items():
        whole = shared[name]
        inputs = 1 if "encoder" in name else 0  # of transposed convolutions they come first
        part = whole[tuple(slice(length) for length in weight.shape)]
        weight.copy_(part * math.sqrt(whole.shape[inputs] / weight.shape[inputs]))
    return network


def test_counts_of_the_paper() -> None:
    space = SPACES["autoencoder"]()
    sizes = [len(d.choices) for d in space.distributions().values() if isinstance(d, CategoricalDistribution)]
    assert (len(sizes), sum(sizes), sum(sizes) - len(sizes)) == (60, 274, 214)
    assert isinstance(space, AutoencoderSpace)
    assert space.count_choices() == 6**20 * 3**20 * (2 * 3 * 4) * 5**16 * 5
    assert "layer1.source" not in space.distributions()
    assert [len(space.distributions()[f"layer{n}.source"].choices) for n in range(2, 21)] == [  # type: ignore[attr-defined]
        min(n, 5) for n in range(2, 21)
    ]
    assert space.distributions()["layer7.source"] == CategoricalDistribution((2, 3, 4, 5, 6))
    assert space.distributions()["output.source"] == CategoricalDistribution((16, 17, 18, 19, 20))
    assert isinstance(space, SharesWeights)
    assert isinstance(space, HasBase)
    assert isinstance(space, Tabled)


def weight_counts(layers: int, channels: tuple[int, ...], back: int, image: int) -> dict[str, int]:
    """Of all shared weights with kernels of 1, 3, 5 and strides of 1, 2, term by term."""
    taps, total, largest = 2 * (1 + 9 + 25), sum(channels), max(channels)
    from_image = min(layers, back) * taps * image
    return {
        "exact": (layers - 1) * taps * total**2  # encoder: every layer but the first can follow another
        + from_image * total
        + (layers - 1) * taps * total**2  # decoder: every layer but the last can have another behind
        + taps * sum(c * c for c in channels)
        + 9 * image * total,
        "slices": (2 * layers - 1) * taps * largest**2 + from_image * largest + 9 * image * largest,
    }


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("changes", [{}, {"layers": 7, "channels": (2, 5), "levels_back": 3}])
def test_numbers_of_shared_weights(share: str, changes: dict[str, Any]) -> None:
    space = AutoencoderSpace(share=share, **changes)
    with torch.device("meta"):
        found = sum(weight.numel() for weight in space.supernet(Shape()).parameters())
    expected = weight_counts(space.layers, space.channels, space.levels_back, 3)[share]
    assert found == expected
    if not changes:
        assert found == {"exact": 540_376_256, "slices": 179_188_992}[share]


@pytest.mark.parametrize("share", SHARES)
@settings(max_examples=60)
@given(data=st.data())
def test_a_network_alone_is_a_part_of_the_supernet(share: str, data: st.DataObject) -> None:
    space = small(share, layers=data.draw(st.integers(1, 6)), levels_back=data.draw(st.integers(1, 4)))
    size = data.draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    choice, task = data.draw(choices(space)), Shape(size=size)
    torch.manual_seed(data.draw(st.integers(0, 99)))
    supernet, images = space.supernet(task), torch.randn(2, 3, *size)
    network = copied(space.build(choice, task), supernet)
    output = network(images)
    assert output.shape == images.shape
    torch.testing.assert_close(supernet(images, choice), output, rtol=1e-4, atol=1e-5)


def reference(weights: list[Tensor], layers: list[tuple[int, str, int]], images: Tensor) -> Tensor:
    """The autoencoder as the paper tells it, in plain steps; weights in the order of use."""
    remaining, values = iter(weights), [images]
    for kernel, kind, _ in layers:
        stride = 2 if kind == "down" else 1
        values.append(F.relu(F.conv2d(values[-1], next(remaining), stride=stride, padding=kernel // 2)))
    value = values[-1]
    for place in range(len(layers), 0, -1):
        kernel, kind, _ = layers[place - 1]
        above = values[place - 1]
        layer = nn.ConvTranspose2d(1, 1, kernel, 2 if kind == "down" else 1, kernel // 2, bias=False)
        layer.weight = nn.Parameter(next(remaining))
        value = layer(value, output_size=above.shape[2:])
        value = F.relu(value + values[place]) if kind == "skip" else F.relu(value)
    return F.conv_transpose2d(value, next(remaining), padding=1)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from([1, 3, 5]), st.sampled_from(["skip", "down"]), st.integers(1, 4)),
        max_size=6,
    ),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_networks_are_those_of_the_paper(layers: list[tuple[int, str, int]], size: tuple[int, int]) -> None:
    network = small().build(chain(*layers), Shape(channels=2, classes=1, size=size))
    images = torch.randn(2, 2, *size)
    for each in (images, torch.randn(1, 2, size[1] + 1, size[0])):  # of another size, too
        torch.testing.assert_close(network(each), reference(list(network.parameters()), layers, each))
    channels = [2, *(c for *_, c in layers)]
    kernels = [k for k, *_ in layers]
    encoder = sum(a * b * k * k for a, b, k in zip(channels, channels[1:], kernels, strict=False))
    behind = [*channels[2:], channels[-1]]
    decoder = sum(a * b * k * k for a, b, k in zip(behind, channels[1:], kernels, strict=False))
    output = 9 * (channels[1] if layers else 2)
    assert sum(p.numel() for p in network.parameters()) == encoder + decoder + output


@pytest.mark.parametrize("share", SHARES)
@settings(max_examples=25)
@given(data=st.data())
def test_only_the_path_gets_gradients(share: str, data: st.DataObject) -> None:
    space = small(share)
    choice = data.draw(choices(space))
    supernet = space.supernet(Shape())
    supernet(torch.rand(2, 3, 13, 9), choice).square().mean().backward()
    touched = {name for name, weight in supernet.named_parameters() if weight.grad is not None}
    assert touched == set(space.build(choice, Shape()).state_dict())
    assert {
        int(name.split("/")[0].removeprefix("operations.encoder")) for name in touched if "enc" in name
    } == {*active(choice, 6)}
    assert len(touched) == 2 * len(active(choice, 6)) + 1


def test_different_settings_share_no_weights() -> None:
    space = small(layers=2)
    one = chain((3, "skip", 2), (3, "skip", 4))
    others = {
        "kernel": chain((3, "skip", 2), (5, "skip", 4)),
        "stride": chain((3, "skip", 2), (3, "down", 4)),
        "channels": chain((3, "skip", 2), (3, "skip", 3)),
        "given channels": chain((3, "skip", 3), (3, "skip", 4)),
        "source": {**one, "layer2.source": 0},
    }

    def second(choice: Mapping[str, Any]) -> set[str]:
        return {name for name in space.build(choice, Shape()).state_dict() if "coder2" in name}

    for what, other in others.items():
        shared = second(one) & second(other)
        # The last layer's mirror takes what the layer gives, wherever that comes from.
        expected = (
            {"operations.decoder2/3x3-skip/4-from-4.weight"}
            if what in ("given channels", "source")
            else set()
        )
        assert shared == expected, what


@settings(max_examples=60)
@given(st.data())
def test_one_canonical_form_means_one_network(data: st.DataObject) -> None:
    space = small()
    choice, other = data.draw(choices(space)), data.draw(choices(space))
    canonical = space.canonical(choice)
    assert space.canonical(canonical) == canonical
    assert space.describe(canonical) == space.describe(choice)
    assert space.table(canonical, 3) == space.table(choice, 3)
    numbers = active(choice, 6)
    inactive = {n: v for n, v in other.items() if n.startswith("layer") and int(n[5]) not in numbers}
    assert space.canonical({**choice, **inactive}) == canonical
    networks = []
    for each in (choice, canonical):
        torch.manual_seed(0)
        networks.append(space.build(each, Shape()))
    images = torch.rand(1, 3, *Shape().size)
    assert torch.equal(networks[0](images), networks[1](images))


def test_depths_reach_from_four_to_twenty() -> None:
    space = AutoencoderSpace()
    far, near = ({**space.starting_choice()} for _ in range(2))
    for name, distribution in space.distributions().items():
        if name.endswith("source"):
            assert isinstance(distribution, CategoricalDistribution)
            far[name], near[name] = distribution.choices[0], distribution.choices[-1]
    assert [len(space.table(choice, 3)) for choice in (far, near, space.starting_choice())] == [4, 20, 10]


def test_the_start_is_within_the_space_and_the_base_is_like_red_net() -> None:
    space = AutoencoderSpace()
    start = space.starting_choice()
    assert list(start) == list(space.distributions())
    for name, distribution in space.distributions().items():
        assert isinstance(distribution, CategoricalDistribution)
        assert start[name] in distribution.choices
    rows = [(f"layer {number}", "3", "1", "64", "yes") for number in range(1, 11)]
    assert list(space.table(start, 3)) == rows
    title, base = space.base_choice(chain((5, "down", 256), (1, "skip", 128), (5, "down", 64)))
    assert "RED-Net" in title
    assert list(space.table(base, 3)) == rows[:3]
    network = space.build(base, Shape(size=(16, 16)))
    assert sum(p.numel() for p in network.parameters()) == 9 * (3 * 64 + 5 * 64 * 64 + 64 * 3)


@pytest.mark.parametrize(("kernels", "kernel"), [((1, 5), 1), ((5, 7), 5), ((1, 3), 3)])
def test_the_base_has_a_kernel_that_is_searched(kernels: tuple[int, ...], kernel: int) -> None:
    space = AutoencoderSpace(kernels=kernels)
    _, base = space.base_choice(space.starting_choice())
    assert {row[1] for row in space.table(base, 3)} == {str(kernel)}
    for name, distribution in space.distributions().items():
        assert isinstance(distribution, CategoricalDistribution)
        assert name == "output.source" or name not in base or base[name] in distribution.choices


def test_downsampling_stops_at_one_pixel() -> None:
    space = small()
    ten = chain(*[(3, "down", 2)] * 10)
    network = space.build(ten, Shape(size=(7, 1)))
    sizes = []
    for name, module in network.operations.items():
        if name.startswith("encoder"):
            module.register_forward_hook(lambda _, __, value: sizes.append(tuple(value.shape[2:])))
    assert network(torch.rand(1, 3, 7, 1)).shape == (1, 3, 7, 1)
    assert sizes == [(4, 1), (2, 1)] + [(1, 1)] * 8


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("width", [8, 32])
def test_values_and_gradients_keep_their_size_in_forty_layers(share: str, width: int) -> None:
    """Torch's own first weights, of a sixth of the variance, would leave 1e-14 of them."""
    torch.manual_seed(0)
    space = AutoencoderSpace(channels=(8, 32), share=share)
    shape, choice = Shape(size=(32, 32)), chain(*[(3, "skip", width)] * 20)
    supernet = space.supernet(shape)
    images = torch.rand(8, 3, 32, 32)
    output = supernet(images, choice)
    assert 0.1 < output.std().item() / images.std().item() < 10
    output.backward(torch.randn_like(output) / output.numel() ** 0.5)
    steps = supernet.steps(choice)
    norms = [supernet.operations[s.key].weight.grad.norm().item() for s in steps]  # type: ignore[union-attr,operator]
    assert 1e-4 < min(norms) < max(norms) < 1e2


@pytest.mark.parametrize(("kernel", "channels", "side"), [(3, 32, 256), (3, 256, 1), (5, 256, 1)])
def test_six_layers_down_keep_values_unless_taps_lie_outside(kernel: int, channels: int, side: int) -> None:
    """On one pixel one tap of k^2 is left: an encoder keeps 1 / k of the size, a decoder 2 / k, the output 1 / 3."""
    torch.manual_seed(0)
    space, choice = AutoencoderSpace(channels=(channels,)), chain(*[(kernel, "down", channels)] * 6)
    images = torch.rand(2, 3, side, side)
    output = space.build(choice, Shape(size=(side, side)))(images)
    expected = 1.0 if side > 1 else kernel**-6 * (2 / kernel) ** 6 / 3
    assert 1 / 4 < (output.square().mean() / images.square().mean()).sqrt().item() / expected < 4


def test_a_network_of_twenty_layers_learns() -> None:
    torch.manual_seed(0)
    space = AutoencoderSpace(channels=(4,))
    network = space.build(
        chain(*[(3, "down" if n == 4 else "skip", 4) for n in range(20)]), Shape(1, 1, (12, 12))
    )
    optimizer = torch.optim.SGD(network.parameters(), 0.025, momentum=0.9)
    waves = torch.linspace(0, 3, 12)
    truth = 0.5 + 0.5 * torch.sin(waves[:, None] + torch.rand(8, 1, 1, 1) * 6) * torch.cos(waves)
    images = truth * (torch.rand(truth.shape) < 0.2)
    for _ in range(60):
        loss = F.mse_loss(network(images), truth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
    assert loss.item() < 0.75 * truth.var().item()


@settings(max_examples=20)
@given(st.data())
def test_diagrams_show_every_layer_and_skip(data: st.DataObject) -> None:
    space = small()
    choice = data.draw(choices(space))
    (diagram,) = space.diagrams(choice, Shape())
    names = {node.name for node in diagram.nodes}
    rows = space.table(choice, 3)
    depth, skips = len(rows), sum(row[-1] == "yes" for row in rows)
    assert len(diagram.nodes) == len(names) == 2 * depth + 2
    assert all({edge.source, edge.target} <= names for edge in diagram.edges)
    drawn = sum(edge.dashed or "skip" in edge.label for edge in diagram.edges)
    assert drawn == skips
    assert len({(node.column, node.row) for node in diagram.nodes}) == len(names)


def test_cost_is_predicted_without_computing() -> None:
    space, choice = small(), chain((3, "skip", 3), (5, "down", 4))
    cost = dry_run(
        lambda task: space.build(choice, task),
        Shape(size=(16, 16)),
        2,
        loss=lambda output, labels: output.mean(),
    )
    assert cost.parameters == sum(p.numel() for p in space.build(choice, Shape()).parameters())
    by_hand = 2 * 256 * (9 * 3 * 3 + 25 * 3 * 4 / 4 + 25 * 4 * 4 / 4 + 9 * 4 * 3 + 9 * 3 * 3)
    assert cost.flops == pytest.approx(by_hand)


def test_words() -> None:
    space = small()
    choice = chain((3, "skip", 2), (5, "down", 4))
    assert space.describe(choice) == "2 layers, 1 down, channels 2-4 (mean 3), kernels 3-5 (mean 4.0)"
    assert space.describe({"output.source": 0}) == "no layers"
    assert space.table(choice, 3) == (("layer 1", "3", "1", "2", "yes"), ("layer 2", "5", "2", "4", ""))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layers": 0}, "layers must be a whole number"),
        ({"levels_back": True}, "levels_back must be"),
        ({"kernels": (2,)}, "odd"),
        ({"kernels": "3"}, "positive whole numbers"),
        ({"channels": (8, 8)}, "each of them once"),
        ({"channels": ()}, "positive whole numbers"),
        ({"share": "all"}, "'exact' or 'slices'"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        AutoencoderSpace(**changes)


def test_volumes_are_refused() -> None:
    for make in (small().supernet, lambda task: small().build(small().starting_choice(), task)):
        with pytest.raises(InfeasibleArchitecture, match="2D"):
            make(Shape(size=(8, 8, 8)))


@pytest.mark.parametrize("size", [6, 7])
def test_layers_of_one_pixel_that_halve_are_torch_s_own(size: int) -> None:
    """Forward alone: the gradient of torch's own layer is not safe on all processors."""
    images = torch.randn(2, 3, size, size)
    down, up = Encode(3, 5, 1, down=True), DecodeUp(5, 3, 1)
    encoded = down(images, 5)
    assert torch.allclose(encoded, F.conv2d(images, down.weight, stride=2).relu(), atol=1e-6)
    missing = size - (2 * encoded.shape[-1] - 1)
    expected = F.conv_transpose2d(encoded, up.weight, stride=2, output_padding=missing).relu()
    assert torch.allclose(up(encoded, images, 3), expected, atol=1e-6)
