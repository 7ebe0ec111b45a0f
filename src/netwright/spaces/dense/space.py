"""The hyperparameters of a densely connected encoder-decoder: 76 for five blocks of five layers.

Mortazi and Bagci 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from statistics import fmean
from typing import Any, ClassVar, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from torch import nn

from netwright.errors import SettingsError
from netwright.spaces.base import Choice, Diagram, TaskShape, Value
from netwright.spaces.dense.diagrams import block_diagram, network_diagram
from netwright.spaces.dense.network import POOLINGS, DenseEncoderDecoder, Layer
from netwright.spaces.dense.throughout import DenseThroughout

NETWORKS: dict[str, Callable[..., nn.Module]] = {"block": DenseEncoderDecoder, "network": DenseThroughout}
"""The network for each reach of the dense connections."""

Range = tuple[int, int, int]
"""Lowest and highest value, and the step between values (epsilon in the policy gradient)."""


@dataclass(frozen=True, kw_only=True)
class DenseSpace:
    """Filters, height and width of every layer, and the function of every pooling.

    The last layer has one filter per class, which is not searched. So there are 3 x 25 - 1 + 2 = 76 dimensions by
    default. Settings make the network narrower or shallower, for example ``filters=(4, 20, 4)``, ``kernels=(1, 5, 2)``
    for a CPU.

    Args:
        blocks: blocks of layers, an odd number: half of the others are above the one at the bottom, in the encoder,
            and half are in the decoder.
        layers: layers of each block.
        filters: filters of a layer: lowest, highest, step. The paper: y = 16 x + 16 with x from 1 to 12.
        kernels: height and width of the filters, odd numbers: lowest, highest, step. The paper: y = 2 x + 1 with x
            from 0 to 5.
        poolings: the pooling functions to choose from.
        dense_connections: which earlier layers a layer is connected to: those of its "block", or all of the "network",
            brought to its resolution by the poolings and upsamplings between.

    Raises:
        SettingsError: a value is out of range.
    """

    name: ClassVar[str] = "dense-encoder-decoder"
    table_columns: ClassVar[tuple[str, ...]] = ("layer", "filters", "height", "width")

    blocks: int = 5
    layers: int = 5
    filters: Range = (32, 208, 16)
    kernels: Range = (1, 11, 2)
    poolings: tuple[str, ...] = ("max", "average")
    dense_connections: Literal["block", "network"] = "block"

    def __post_init__(self) -> None:
        if type(self.blocks) is not int or self.blocks < 3 or self.blocks % 2 == 0:
            raise SettingsError(f"blocks must be odd and at least 3, but is {self.blocks!r}.")
        if type(self.layers) is not int or self.layers < 1:
            raise SettingsError(f"layers must be a whole number of at least 1, but is {self.layers!r}.")
        for name in ("filters", "kernels"):
            object.__setattr__(self, name, _checked_range(name, getattr(self, name)))
        if any(value % 2 == 0 for value in (self.kernels[0], self.kernels[0] + self.kernels[2])):
            raise SettingsError(f"kernels must be odd, (lowest, highest, even step), but is {self.kernels}.")
        if (
            not isinstance(self.poolings, list | tuple)
            or not set(self.poolings) <= set(POOLINGS)
            or not self.poolings
        ):
            raise SettingsError(f"poolings must be of {', '.join(POOLINGS)}, but is {self.poolings}.")
        if self.dense_connections not in NETWORKS:
            raise SettingsError(
                f"dense_connections must be one of {', '.join(NETWORKS)}, but is {self.dense_connections!r}."
            )

    def distributions(self) -> dict[str, BaseDistribution]:
        """``layer1.filters``, ``layer1.height``, ``layer1.width`` and so on; ``pool1`` follows the first block."""
        distributions: dict[str, BaseDistribution] = {}
        last = self.blocks * self.layers
        for number in range(1, last + 1):
            if number < last:
                distributions[f"layer{number}.filters"] = _distribution(self.filters)
            distributions[f"layer{number}.height"] = _distribution(self.kernels)
            distributions[f"layer{number}.width"] = _distribution(self.kernels)
            if number % self.layers == 0 and number // self.layers <= self.levels:
                distributions[f"pool{number // self.layers}"] = CategoricalDistribution(self.poolings)
        return distributions

    @property
    def levels(self) -> int:
        """The number of poolings, which is also that of upsamplings."""
        return (self.blocks - 1) // 2

    def starting_choice(self) -> dict[str, Value]:
        """Filters a quarter up their range, kernels of 3 x 3 or the nearest possible, the first pooling function."""
        low, high, step = self.filters
        filters = low + (high - low) // (4 * step) * step
        kernel = min(range(self.kernels[0], self.kernels[1] + 1, self.kernels[2]), key=lambda k: abs(k - 3))
        fallback = {"filters": filters, "height": kernel, "width": kernel}
        return {
            name: fallback.get(name.rpartition(".")[2], self.poolings[0]) for name in self.distributions()
        }

    def canonical(self, choice: Choice) -> dict[str, Value]:
        """The choice itself: every dimension shapes the network."""
        return {name: choice[name] for name in self.distributions()}

    def layers_of(self, choice: Choice, classes: int) -> tuple[tuple[Layer, ...], ...]:
        """Every block's layers; the last one has one filter per class."""
        layers = [
            Layer(
                int(choice.get(f"layer{number}.filters", classes)),
                int(choice[f"layer{number}.height"]),
                int(choice[f"layer{number}.width"]),
            )
            for number in range(1, self.blocks * self.layers + 1)
        ]
        return tuple(
            tuple(layers[start : start + self.layers]) for start in range(0, len(layers), self.layers)
        )

    def poolings_of(self, choice: Choice) -> tuple[str, ...]:
        """The function of every pooling."""
        return tuple(str(choice[f"pool{number}"]) for number in range(1, self.levels + 1))

    def build(self, choice: Choice, task: TaskShape) -> nn.Module:
        """The network: images (batch, channels, height, width) to logits (batch, classes, height, width).

        Raises:
            InfeasibleArchitecture: as `DenseEncoderDecoder`.
        """
        make = NETWORKS[self.dense_connections]
        return make(task, self.layers_of(choice, task.classes), self.poolings_of(choice))

    def describe(self, choice: Choice) -> str:
        """For example ``filters 32-208 (mean 118), kernels 1-11 (mean 5.8), pooling max, average``."""
        layers = [layer for block in self.layers_of(choice, 0) for layer in block]
        filters = [layer.filters for layer in layers[:-1]]
        kernels = [side for layer in layers for side in (layer.height, layer.width)]
        return (
            f"filters {min(filters)}-{max(filters)} (mean {fmean(filters):.0f}), "
            f"kernels {min(kernels)}-{max(kernels)} (mean {fmean(kernels):.1f}), "
            f"pooling {', '.join(self.poolings_of(choice))}"
        )

    def table(self, choice: Choice, classes: int) -> tuple[tuple[str, ...], ...]:
        """The network as in the paper's table: layer, filters, height, width; for a pooling only its function."""
        rows: list[tuple[str, ...]] = []
        number = 0
        poolings = self.poolings_of(choice)
        for index, block in enumerate(self.layers_of(choice, classes)):
            for layer in block:
                number += 1
                rows.append((f"layer {number}", str(layer.filters), str(layer.height), str(layer.width)))
            if index < self.levels:
                rows.append((f"pooling {index + 1}", poolings[index], "", ""))
        return tuple(rows)

    def diagrams(self, choice: Choice, task: TaskShape) -> tuple[Diagram, ...]:
        """A block as a graph, and the network as a U."""
        blocks = self.layers_of(choice, task.classes)
        throughout = self.dense_connections == "network"
        return (
            block_diagram(self.layers, throughout=throughout),
            network_diagram(blocks, self.poolings_of(choice), task, throughout=throughout),
        )

    def count_choices(self) -> int:
        """The number of combinations of all dimensions' values."""
        return prod(
            len(d.choices) if isinstance(d, CategoricalDistribution) else (d.high - d.low) // d.step + 1
            for d in self.distributions().values()
            if isinstance(d, CategoricalDistribution | IntDistribution)
        )


def _distribution(values: Range) -> IntDistribution:
    low, high, step = values
    return IntDistribution(low, high, step=step)


def _checked_range(name: str, given: Any) -> Range:
    """Three positive integers; the lowest plus a number of whole steps is the highest."""
    expected = f"{name}: expected (lowest, highest, step) of positive whole numbers"
    if not isinstance(given, list | tuple) or len(given) != 3 or not all(type(n) is int for n in given):
        raise SettingsError(f"{expected}, but got {given!r}.")
    low, high, step = given
    if low < 1 or step < 1 or high < low or (high - low) % step:
        raise SettingsError(f"{expected}, the highest a whole number of steps up, but got {given!r}.")
    return low, high, step
