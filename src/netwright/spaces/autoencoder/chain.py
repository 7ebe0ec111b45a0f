"""The encoder of a choice: the layers that are connected to the output layer, in order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from netwright.spaces.base import Choice, Value

SKIP, DOWN = "skip", "down"


@dataclass(frozen=True)
class Layer:
    """A layer of the encoder, and the layer of the decoder that mirrors it.

    ``number``: its number among all layers, inactive ones included, from 1. ``kernel``: its width and height in
    pixels. ``down``: True: stride 2; False: stride 1 and a skip connection. ``channels``: its output channels.
    """

    number: int
    kernel: int
    down: bool
    channels: int

    @property
    def type_name(self) -> str:
        """One of the six types in the paper's Section 4.2, for example ``3x3 skip``."""
        return type_name(self.kernel, self.down)


Chain = tuple[Layer, ...]
"""The active layers, starting at the image."""


def type_name(kernel: int, down: bool) -> str:
    """The name of a type of layer, as in choices.

    >>> type_name(5, down=True)
    '5x5 down'
    """
    return f"{kernel}x{kernel} {DOWN if down else SKIP}"


def sources(number: int, levels_back: int) -> tuple[int, ...]:
    """The layers that a layer can be connected to: from max(0, number - b) to number - 1, where 0 is the image.

    >>> sources(3, levels_back=2)
    (1, 2)
    """
    return tuple(range(max(0, number - levels_back), number))


def chain_of(choice: Choice) -> Chain:
    """The layers of a choice from the image to the output layer. They are followed backwards from the output."""
    layers: list[Layer] = []
    number = int(choice["output.source"])
    while number:
        kernel, kind = str(choice[f"layer{number}.type"]).split(" ")
        channels = int(choice[f"layer{number}.channels"])
        layers.append(Layer(number, int(kernel.partition("x")[0]), kind == DOWN, channels))
        number = int(choice.get(f"layer{number}.source", 0))  # the first layer has no choice
    return tuple(reversed(layers))


def choice_of(chain: Chain) -> dict[str, Value]:
    """The choice whose layers 1, 2, ... are those of the chain, each connected to the previous one."""
    choice: dict[str, Value] = {}
    for number, layer in enumerate(chain, start=1):
        choice[f"layer{number}.type"] = layer.type_name
        choice[f"layer{number}.channels"] = layer.channels
        if number > 1:
            choice[f"layer{number}.source"] = number - 1
    return {**choice, "output.source": len(chain)}


def map_sizes(chain: Collection[Layer], size: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Height and width of the image and of every layer's output.

    Half of an odd length is rounded up. So downsampling ends at one pixel, where stride 2 has the same effect as
    stride 1.
    """
    sizes = [tuple(size)]
    for layer in chain:
        sizes.append(tuple(-(-length // 2) for length in sizes[-1]) if layer.down else sizes[-1])
    return tuple(sizes)
