"""The built-in networks against what their papers publish: parameters, layers, sizes, heads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, fx, nn

from netwright.errors import SettingsError
from netwright.recipes import RECIPES
from netwright.spaces.layerwise.first_weights import FirstWeights
from netwright.spaces.layerwise.makers import original
from netwright.spaces.layerwise.networks import VGG16, GoogLeNet, UNet
from netwright.spaces.layerwise.networks.layers import initialise

# Szegedy et al. 2015, Table 1, as printed: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj.
TABLE_1 = """
64 96 128 16 32 32
128 128 192 32 96 64
192 96 208 16 48 64
160 112 224 24 64 64
128 128 256 24 64 64
112 144 288 32 64 64
256 160 320 32 128 128
256 160 320 32 128 128
384 192 384 48 128 128
"""

NETWORKS: dict[str, Callable[..., nn.Module]] = {"vgg16": VGG16, "googlenet": GoogLeNet, "unet": UNet}


def count(network: nn.Module | Iterable[nn.Module]) -> int:
    modules = [network] if isinstance(network, nn.Module) else network
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def layers(network: nn.Module, *types: type[nn.Module]) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, types)]


def with_bias(inputs: int, outputs: int, kernel: int = 1) -> int:
    return inputs * outputs * kernel**2 + outputs


def first(result: Tensor | tuple[Tensor, ...]) -> Tensor:
    return result[0] if isinstance(result, tuple) else result


def on_meta(make: Callable[..., nn.Module], *arguments: object, **settings: object) -> nn.Module:
    with torch.device("meta"):
        return make(*arguments, **settings)


def test_vgg16_has_the_published_parameters() -> None:
    """138,357,544 for ImageNet: 13 convolutions, 5 poolings, dense layers of 4096, 4096 and 1000."""
    network = on_meta(VGG16, 3, 1000, (224, 224))
    assert count(network) == 138_357_544
    assert [len(layers(network, kind)) for kind in (nn.Conv2d, nn.MaxPool2d, nn.Linear)] == [13, 5, 3]
    assert not layers(network, nn.BatchNorm2d)


@pytest.mark.parametrize(("channels", "side", "features"), [(3, 32, 512), (1, 28, 512), (3, 64, 2048)])
def test_vgg16_has_one_dense_layer_before_the_output_on_small_images(
    channels: int, side: int, features: int
) -> None:
    network = on_meta(VGG16, channels, 10, (side, side))
    widths = (channels, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    convolutions = sum(with_bias(*pair, 3) for pair in pairwise(widths))
    assert count(network) == convolutions + with_bias(features, 4096) + with_bias(4096, 10)
    assert len(layers(on_meta(VGG16, channels, 10, (side, 65)), nn.Linear)) == 3


def test_vgg16_with_512_units_has_the_size_of_table_v() -> None:
    """60 MB for CIFAR-100, in float32."""
    assert round(count(on_meta(VGG16, 3, 100, (32, 32), units=512)) * 4 / 1e6) == 60


@pytest.mark.parametrize(
    ("side", "classes", "parameters"),
    [
        (224, 1000, 138_357_544),  # the 138 M of Table IV
        (224, 10, 138_357_544 - 990 * (4096 + 1)),
        (32, 100, 14_714_688 + with_bias(512, 512) + with_bias(512, 100)),  # the 60 MB of Table V
    ],
)
def test_the_recipe_s_vgg16_has_the_dense_layers_of_the_paper_for_either_size(
    side: int, classes: int, parameters: int
) -> None:
    shape = {"channels": 3, "classes": classes, "size": (side, side)}
    with torch.device("meta"):
        network = original("vgg16", units=RECIPES["marl-vgg16"].values["space"]["units"], **shape)
    assert count(network) == parameters


def test_googlenet_has_the_published_parameters() -> None:
    """The kernels of Table 1 with biases, 6,998,552 (6.8 million there), and two heads: 13,378,280 in all."""
    expected = with_bias(3, 64, 7) + with_bias(64, 64) + with_bias(64, 192, 3)
    inputs, at = 192, []
    for line in TABLE_1.split("\n")[1:-1]:
        one, three_reduced, three, five_reduced, five, pooled = map(int, line.split())
        expected += with_bias(inputs, one) + with_bias(inputs, pooled)
        expected += with_bias(inputs, three_reduced) + with_bias(three_reduced, three, 3)
        expected += with_bias(inputs, five_reduced) + with_bias(five_reduced, five, 5)
        inputs = one + three + five + pooled
        at.append(inputs)
    assert inputs == 1024
    expected += with_bias(inputs, 1000)
    heads = sum(
        with_bias(at[k], 128) + with_bias(128 * 4 * 4, 1024) + with_bias(1024, 1000) for k in (2, 5)
    )  # after 4a and 4d, on 4 x 4 pixels
    network = on_meta(GoogLeNet, 3, 1000, (224, 224))
    auxiliary = count([network.get_submodule("auxiliary1"), network.get_submodule("auxiliary2")])
    assert expected == 6_998_552
    assert (count(network) - auxiliary, auxiliary) == (expected, heads)
    assert count(network) == 13_378_280
    assert len(layers(network, nn.Conv2d)) == 3 + 9 * 6 + 2


def test_googlenet_with_batch_normalisation_is_the_common_implementation() -> None:
    """13,004,888: convolutions without biases but with scales and shifts, and, there, 3 x 3 for 5 x 5."""
    network = on_meta(GoogLeNet, 3, 1000, (224, 224), batch_norm=True)
    assert not layers(network, nn.LocalResponseNorm)
    fives = [layer for layer in layers(network, nn.Conv2d) if layer.kernel_size == (5, 5)]
    assert len(fives) == 9
    saved = sum(16 * layer.in_channels * layer.out_channels for layer in fives)
    assert count(network) - saved == 13_004_888


def test_googlenet_keeps_the_sizes_of_the_paper() -> None:
    """Table 1: 28 pixels in module 3a, 14 in 4a, 7 in 5a; smaller images are halved less often by the stem."""
    seen: dict[int, list[int]] = {}
    for side in (224, 112, 64, 32, 28):
        network = on_meta(GoogLeNet, 1, 10, (side, side)).eval()
        sizes: list[int] = []
        for name in ("3a", "4a", "5a"):
            network.get_submodule(f"inception.{name}").register_forward_pre_hook(
                lambda module, inputs, sizes=sizes: sizes.append(inputs[0].shape[-1])
            )
        network(torch.zeros(1, 1, side, side, device="meta"))
        seen[side] = sizes
    assert seen == {224: [28, 14, 7], 112: [14, 7, 4], 64: [16, 8, 4], 32: [16, 8, 4], 28: [14, 7, 4]}


@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (4, 3)])
def test_unet_has_22_convolutions_and_31_million_parameters(channels: int, classes: int) -> None:
    """Ronneberger et al. 2015, Fig. 1, with biases; 31,030,658 for one channel and two classes."""
    expected, inputs = 0, channels
    for kernels in (64, 128, 256, 512, 1024):
        expected += with_bias(inputs, kernels, 3) + with_bias(kernels, kernels, 3)
        inputs = kernels
    for kernels in (512, 256, 128, 64):
        expected += with_bias(2 * kernels, kernels, 2)
        expected += with_bias(2 * kernels, kernels, 3) + with_bias(kernels, kernels, 3)
    expected += with_bias(64, classes)
    network = on_meta(UNet, channels, classes, (64, 64))
    assert count(network) == expected
    assert expected == 31_030_658 or channels > 1
    sizes = [layer.kernel_size[0] for layer in layers(network, nn.Conv2d, nn.ConvTranspose2d)]
    assert (sizes.count(3), sizes.count(2), sizes.count(1)) == (18, 4, 1)


def test_unet_with_wider_up_convolutions_has_the_size_of_table_v() -> None:
    """138 MB in float32, four channels as in BRATS'18 or three as in ISIC'18."""
    for channels, classes in ((4, 4), (3, 2)):
        assert round(count(on_meta(UNet, channels, classes, (64, 64), up_kernel=3)) * 4 / 1e6) == 138


@pytest.mark.parametrize("up_kernel", [2, 3, 4, 5])
@pytest.mark.parametrize("size", [(16, 16), (35, 51), (1, 3), (28, 31), (63, 64)])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_unet_gives_the_size_that_it_got(up_kernel: int, size: tuple[int, int], batch_norm: bool) -> None:
    network = on_meta(UNet, 2, 3, size, up_kernel=up_kernel, batch_norm=batch_norm).eval()
    assert network(torch.zeros(2, 2, *size, device="meta")).shape == (2, 3, *size)


def test_unet_says_what_it_cannot_be() -> None:
    with pytest.raises(SettingsError, match="up_kernel"):
        UNet(1, 2, (40, 40), up_kernel=1)


@pytest.mark.parametrize("make", [VGG16, GoogLeNet])
@pytest.mark.parametrize("size", [(1, 5), (28, 28), (32, 32), (65, 40), (113, 112)])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_classifiers_take_images_of_any_size(
    make: Callable[..., nn.Module], size: tuple[int, int], batch_norm: bool
) -> None:
    for channels in (1, 5):
        network = on_meta(make, channels, 7, size, batch_norm=batch_norm)
        for mode in (True, False):
            result = network.train(mode)(torch.zeros(2, channels, *size, device="meta"))
            assert first(result).shape == (2, 7)


def test_auxiliary_heads_speak_in_training_only() -> None:
    network = on_meta(GoogLeNet, 1, 10, (28, 28))
    images = torch.zeros(2, 1, 28, 28, device="meta")
    results = network.train()(images)
    assert isinstance(results, tuple)
    assert [result.shape for result in results] == [(2, 10)] * 3
    assert isinstance(network.eval()(images), Tensor)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_parameter_learns_and_fx_reads_the_network(name: str) -> None:
    """Gradients reach all weights, and the traced network gives what the network gives, in both modes."""
    torch.manual_seed(0)
    network = NETWORKS[name](1, 3, (32, 32))
    images = torch.randn(2, 1, 32, 32)
    for mode in (True, False):
        network.train(mode)
        torch.manual_seed(1)
        results = network(images)
        torch.manual_seed(1)
        traced = fx.symbolic_trace(network)(images)
        torch.testing.assert_close(first(traced), first(results), rtol=0, atol=0)
        if mode:
            heads = results if isinstance(results, tuple) else (results,)
            torch.stack([head.square().mean() for head in heads]).sum().backward()
    silent = [
        key
        for key, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert silent == []


def test_first_weights_keep_the_strength_of_a_signal() -> None:
    """He et al. 2015: through ReLU layers, also transposed ones, the mean square stays where it is.

    Torch's own first weights leave about 6^-5 of it.
    """
    torch.manual_seed(0)
    plain = [
        nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, padding_mode="circular"), nn.ReLU()) for _ in range(3)
    ]
    up = [nn.ConvTranspose2d(32, 32, 2, stride=2), nn.ReLU()]
    dense = [nn.Flatten(), nn.Linear(32 * 8 * 8, 256), nn.ReLU()]
    network = nn.Sequential(*plain, *up, *dense)
    images = torch.randn(16, 32, 4, 4)
    ratios = []
    for _ in range(30):
        initialise(network)
        with torch.no_grad():
            ratios.append(network(images).square().mean() / images.square().mean())
    assert 0.8 < torch.stack(ratios).mean() < 1.25


def test_response_normalisation_is_that_of_caffe() -> None:
    """Krizhevsky et al. 2012, Section 3.3: b = a / (k + alpha / n sum of squares of 5 channels)^beta."""
    layer = GoogLeNet(1, 2, (28, 28)).norm1
    features = torch.randn(1, 6, 1, 1) * 100
    squares = nn.functional.pad(features.flatten().square(), (2, 2)).unfold(0, 5, 1).sum(-1)
    expected = features.flatten() / (1 + 1e-4 / 5 * squares) ** 0.75
    torch.testing.assert_close(layer(features).flatten(), expected)


class Chain(nn.Module):
    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, width, kernel)
        self.norm = nn.BatchNorm2d(width)
        self.up = nn.ConvTranspose2d(width, 3 * width, kernel, stride=2)
        self.dense = nn.Linear(width * 16, 2 * width)


def test_first_weights_follow_the_original_into_other_widths() -> None:
    """A network of other widths, initialised by the rule itself, and by what is read from the original."""
    torch.manual_seed(0)
    source, by_rule, rebuilt = Chain(24, 3), Chain(40, 5), Chain(40, 5)
    for network in (source, by_rule):
        initialise(network)
        nn.init.zeros_(network.norm.weight)  # as some residual networks do
    FirstWeights.read(source).apply(rebuilt)
    for name, parameter in rebuilt.named_parameters():
        expected = by_rule.get_parameter(name)
        assert parameter.std().item() == pytest.approx(expected.std().item(), rel=0.05), name
        assert parameter.mean().item() == pytest.approx(0, abs=0.02), name
    assert not rebuilt.norm.weight.any()


def test_first_weights_of_torch_stay_as_they_are() -> None:
    torch.manual_seed(0)
    source, fresh = Chain(64, 3), Chain(32, 3)
    before = {name: parameter.clone() for name, parameter in fresh.named_parameters()}
    FirstWeights.read(source).apply(fresh)
    for name, parameter in fresh.named_parameters():
        ratio = parameter / before[name] if before[name].any() else torch.ones(1)
        assert ratio.min() > 0.97, name
        assert ratio.max() < 1.03, name


class Unusual(nn.Linear):
    """Its class says how it begins, and says so again when it is rebuilt."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=5)
        nn.init.ones_(self.bias)


def test_first_weights_leave_layers_that_begin_in_their_own_way() -> None:
    source, fresh = nn.Sequential(Unusual(8, 50)), nn.Sequential(Unusual(8, 50), nn.LazyLinear(3))
    before = fresh[0].weight.clone()
    FirstWeights.read(source).apply(fresh)
    torch.testing.assert_close(fresh[0].weight, before)
    assert "1" not in FirstWeights.read(fresh).gains
