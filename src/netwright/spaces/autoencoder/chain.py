"""The encoder that a choice makes: the layers that are connected to the output layer, one behind the other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from netwright.spaces.base import Choice, Value

SKIP, DOWN = "skip", "down"


@dataclass(frozen=True)
class Layer:
    """A layer of the encoder, and the one of the decoder that mirrors it.

    ``number``: its place among all layers, the inactive ones included, from 1. ``kernel``: its width and height in
    pixels. ``down``: stride 2; else stride 1 and a skip connection. ``channels``: that it gives.
    """

    number: int
    kernel: int
    down: bool
    channels: int

    @property
    def type_name(self) -> str:
        """Of the six types of the paper's Section 4.2, for example ``3x3 skip``."""
        return type_name(self.kernel, self.down)


Chain = tuple[Layer, ...]
"""The active layers, from the image on."""


def type_name(kernel: int, down: bool) -> str:
    """The name of a type of layer, as choices have it."""
    return f"{kernel}x{kernel} {DOWN if down else SKIP}"


def sources(number: int, levels_back: int) -> tuple[int, ...]:
    """The layers that a layer can be connected to, 0 being the image: from max(0, number - b) to number - 1."""
    return tuple(range(max(0, number - levels_back), number))


def chain_of(choice: Choice) -> Chain:
    """The layers of a choice from the image to the output layer, found from the output's end."""
    found: list[Layer] = []
    number = int(choice["output.source"])
    while number:
        kernel, kind = str(choice[f"layer{number}.type"]).split(" ")
        channels = int(choice[f"layer{number}.channels"])
        found.append(Layer(number, int(kernel.partition("x")[0]), kind == DOWN, channels))
        number = int(choice.get(f"layer{number}.source", 0))  # the first layer has no choice
    return tuple(reversed(found))


def choice_of(chain: Chain) -> dict[str, Value]:
    """The choice whose layers 1, 2, ... are those of the chain, each connected to the one before."""
    choice: dict[str, Value] = {}
    for number, layer in enumerate(chain, start=1):
        choice[f"layer{number}.type"] = layer.type_name
        choice[f"layer{number}.channels"] = layer.channels
        if number > 1:
            choice[f"layer{number}.source"] = number - 1
    return {**choice, "output.source": len(chain)}


def map_sizes(chain: Collection[Layer], size: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Height and width of the image and of every layer's output.

    Half of an odd length is rounded up, so that downsampling stops at one pixel: there stride 2 does what stride 1
    does.
    """
    found = [tuple(size)]
    for layer in chain:
        found.append(tuple(-(-length // 2) for length in found[-1]) if layer.down else found[-1])
    return tuple(found)
