"""The search space of symmetric convolutional autoencoders (PDAS 2019, Section 4.2 and Figure 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from statistics import fmean
from typing import Any, ClassVar, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution

from netwright.errors import SettingsError
from netwright.nn.steps import StepNetwork, Supernet
from netwright.spaces.autoencoder.chain import (
    Layer,
    chain_of,
    choice_of,
    sources,
    type_name,
)
from netwright.spaces.autoencoder.diagrams import network_diagram
from netwright.spaces.autoencoder.network import EXACT, SLICES, AutoencoderSupernet, build_network
from netwright.spaces.base import Choice, Diagram, TaskShape, Value

BASE_KERNEL = 3
"""The kernel of the paper's BASE, and of the output layer."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderSpace:
    """Type, channels and connection of every layer of the encoder. The decoder mirrors it.

    A layer has one of six types: a kernel of 1, 3 or 5, either with a skip connection at stride 1 ("3x3 skip") or
    without one at stride 2 ("3x3 down"). It is connected to one of the last few outputs, and so is the output layer.
    Layers that do not lead to the output layer are inactive, so the depth is searched, too. With 20 layers and 5 levels
    back a network has 4 to 20 layers.

    A layer of the encoder is a convolution and ReLU. Its mirror in the decoder is a transposed convolution with the
    same kernel, stride and channels. A skip connection adds the layer's output to it, and ReLU follows. The output
    layer is a transposed convolution of 3 x 3 with the image's channels and no ReLU. There is no bias and no
    normalisation: the paper mentions none, and the public code of Suganuma et al. 2018, on which it builds, has none.
    Sizes in the decoder are those of the encoder, odd ones, too. Downsampling ends at one pixel.

    During a search "the layers with different settings do not share weight parameters". The paper does not say whether
    numbers of channels are settings. Both readings are offered:

    - "exact": they are. A layer has its own weights for each number, type, output channels and input channels. With the
      defaults and images of three channels these are 540,376,256 weights (2.2 GB; momentum and gradients need the same
      again each, for those weights that have been used).
    - "slices": they are not, as in the authors' later public code (ASNG-NAS). A layer has its own weights for each
      number and type, for the largest number of channels; with fewer channels the first ones are used. These are 179
      million weights, each trained by nine times as many samples. Unlike in that code, weights are rescaled by the
      channels that are used. Otherwise the number of channels would determine how large a layer's values are at the
      beginning.

    A layer that takes the image has separate weights for it. A network that is built alone has only its own weights.

    On a CPU use for example ``channels=(8, 16, 32)``, ``layers=8``.

    Args:
        layers: the most layers of the encoder, Nc in the paper; the decoder mirrors it.
        channels: the numbers of channels that a layer can have.
        kernels: the kernel sizes that a layer can have, odd numbers of pixels; each with a skip connection, or without
            one and with stride 2.
        levels_back: how many of the outputs before it a layer can be connected to, b in the paper.
        share: which layers share weights in a search inside one training: "exact": layers with the same position, type
            and channels (540 million weights with the other defaults); "slices": layers with the same position and
            type, where those with fewer channels use a part of the weights (179 million).

    Raises:
        SettingsError: a value is out of range.
    """

    name: ClassVar[str] = "autoencoder"
    table_columns: ClassVar[tuple[str, ...]] = ("layer", "kernel", "stride", "channels", "skip connection")

    layers: int = 20
    channels: tuple[int, ...] = (64, 128, 256)
    kernels: tuple[int, ...] = (1, 3, 5)
    levels_back: int = 5
    share: Literal["exact", "slices"] = "exact"

    def __post_init__(self) -> None:
        for name in ("layers", "levels_back"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise SettingsError(f"{name} must be a whole number of at least 1, but is {value!r}.")
        for name in ("channels", "kernels"):
            object.__setattr__(self, name, _checked_numbers(name, getattr(self, name)))
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise SettingsError(f"kernels must be odd, but are {self.kernels}.")
        if self.share not in (EXACT, SLICES):
            raise SettingsError(f"share must be {EXACT!r} or {SLICES!r}, but is {self.share!r}.")

    def distributions(self) -> dict[str, BaseDistribution]:
        """``layer1.type``, ``layer1.channels``, ``layer2.type``, ``layer2.channels``, ``layer2.source`` and so on,
        ``output.source``. A source is the number of a layer, or 0 for the image.
        """
        types = [type_name(kernel, down) for kernel in self.kernels for down in (False, True)]
        distributions: dict[str, BaseDistribution] = {}
        for number in range(1, self.layers + 1):
            distributions[f"layer{number}.type"] = CategoricalDistribution(types)
            distributions[f"layer{number}.channels"] = CategoricalDistribution(self.channels)
            if number > 1:  # the first layer takes the image
                distributions[f"layer{number}.source"] = CategoricalDistribution(
                    sources(number, self.levels_back)
                )
        distributions["output.source"] = CategoricalDistribution(sources(self.layers + 1, self.levels_back))
        return distributions

    def starting_choice(self) -> dict[str, Value]:
        """Every second layer of the base: 10 of 20."""
        layer: dict[str, Value] = {"type": type_name(self._base_kernel, False), "channels": self.channels[0]}
        choice: dict[str, Value] = {}
        for name in self.distributions():
            owner, _, kind = name.partition(".")
            number = self.layers + 1 if owner == "output" else int(owner.removeprefix("layer"))
            choice[name] = layer[kind] if kind in layer else sources(number, self.levels_back)[-2:][0]
        return choice

    def base_choice(self, choice: Choice) -> tuple[str, dict[str, Value]]:
        """The paper's BASE, which is like RED-Net, with the depth of a choice's network.

        It has kernels of 3 x 3 (or the nearest that is searched), a skip connection at every layer, and the least
        number of channels that is searched, in the paper 64.
        """
        depth = len(chain_of(choice))
        chain = tuple(Layer(n, self._base_kernel, False, self.channels[0]) for n in range(1, depth + 1))
        return "the RED-Net-like network of the same depth", choice_of(chain)

    def canonical(self, choice: Choice) -> dict[str, Value]:
        """The active layers, numbered 1, 2, ..., each connected to the previous one.

        It builds the same network but need not be part of the space, because the output layer may be connected to a
        layer further back than the space allows. In the supernet it uses other weights than the choice itself.
        """
        return choice_of(chain_of(choice))

    def build(self, choice: Choice, task: TaskShape) -> StepNetwork:
        """The network: images (batch, channels, height, width) to images (batch, classes, height, width), of any size.

        Raises:
            InfeasibleArchitecture: the task's images do not have two dimensions.
        """
        return build_network(chain_of(choice), task, self.share)

    def supernet(self, task: TaskShape) -> Supernet:
        """The shared weights of all networks, freshly drawn.

        Raises:
            InfeasibleArchitecture: the task's images do not have two dimensions.
        """
        return AutoencoderSupernet(
            self.layers, self.channels, self.kernels, self.levels_back, task, self.share
        )

    def describe(self, choice: Choice) -> str:
        """For example ``7 layers, 3 down, channels 64-256 (mean 119), kernels 1-5 (mean 3.3)``."""
        chain = chain_of(choice)
        if not chain:
            return "no layers"
        channels, kernels = [layer.channels for layer in chain], [layer.kernel for layer in chain]
        return (
            f"{len(chain)} layer{'s' * (len(chain) > 1)}, {sum(layer.down for layer in chain)} down, "
            f"channels {min(channels)}-{max(channels)} (mean {fmean(channels):.0f}), "
            f"kernels {min(kernels)}-{max(kernels)} (mean {fmean(kernels):.1f})"
        )

    def table(self, choice: Choice, classes: int) -> tuple[tuple[str, ...], ...]:
        """The encoder, one row per layer; the decoder mirrors it."""
        return tuple(
            (
                f"layer {number}",
                str(layer.kernel),
                "2" if layer.down else "1",
                str(layer.channels),
                "" if layer.down else "yes",
            )
            for number, layer in enumerate(chain_of(choice), start=1)
        )

    def diagrams(self, choice: Choice, task: TaskShape) -> tuple[Diagram, ...]:
        """The encoder and the decoder side by side."""
        return (network_diagram(chain_of(choice), task),)

    def count_choices(self) -> int:
        """The number of combinations of all dimensions' values; most of them differ only in inactive layers."""
        return prod(
            len(distribution.choices)
            for distribution in self.distributions().values()
            if isinstance(distribution, CategoricalDistribution)
        )

    @property
    def _base_kernel(self) -> int:
        return min(self.kernels, key=lambda kernel: abs(kernel - BASE_KERNEL))


def _checked_numbers(name: str, given: Any) -> tuple[int, ...]:
    """Positive integers in rising order without repetition."""
    numbers = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else ()
    if not numbers or any(type(n) is not int or n < 1 for n in numbers) or max(Counter(numbers).values()) > 1:
        raise SettingsError(f"{name}: expected positive whole numbers, each of them once, but got {given!r}.")
    return tuple(sorted(numbers))
