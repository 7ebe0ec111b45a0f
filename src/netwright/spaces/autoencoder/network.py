"""The autoencoder as a list of steps: alone, and as a part of the network whose weights all of them share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from torch import nn

from netwright.errors import InfeasibleArchitecture
from netwright.nn.steps import IMAGE, Step, StepNetwork, Steps, Supernet
from netwright.spaces.autoencoder.chain import Chain, Layer, chain_of, sources
from netwright.spaces.autoencoder.layers import DecodeSkip, DecodeUp, Encode, Output
from netwright.spaces.base import Choice, TaskShape

ENCODER, DECODER, OUTPUT = "encoder", "decoder", "output"
EXACT, SLICES = "exact", "slices"


@dataclass(frozen=True)
class Place:
    """A convolution between its neighbours.

    ``part``: encoder, decoder or output. ``layer``: of the encoder, which it is or mirrors; None: the output layer.
    ``inputs``: channels that it takes; None: those of the image.
    """

    part: str
    layer: Layer | None
    inputs: int | None

    def key(self, share: str) -> str:
        """The name of its weights, for example ``encoder3/5x5-down/64-from-128``; with slices without channels."""
        name = self.part
        if self.layer is not None:
            name += f"{self.layer.number}/{self.layer.type_name.replace(' ', '-')}"
        if share == SLICES:
            return f"{name}/from-image" if self.inputs is None else name
        outputs = "" if self.layer is None else f"{self.layer.channels}-"
        return f"{name}/{outputs}from-{self.inputs or 'image'}"

    def module(self, task: TaskShape) -> nn.Module:
        """Freshly drawn."""
        inputs = self.inputs or task.channels
        if self.layer is None:
            return Output(inputs, task.classes)
        outputs, kernel, down = self.layer.channels, self.layer.kernel, self.layer.down
        if self.part == ENCODER:
            return Encode(inputs, outputs, kernel, down=down)
        return DecodeUp(inputs, outputs, kernel) if down else DecodeSkip(inputs, outputs, kernel)


def build_network(chain: Chain, task: TaskShape, share: str) -> StepNetwork:
    """The network of a chain with weights of its own, named as in `AutoencoderSupernet`."""
    _require_pictures(task)
    operations = {place.key(share): place.module(task) for place in _places_of(chain)}
    return StepNetwork(operations, network_steps(chain, share))


def network_steps(chain: Chain, share: str) -> Steps:
    """Encoder, decoder, output layer."""
    steps: list[Step] = []
    for place in _places_of(chain):
        inputs: tuple[int, ...] = (len(steps) - 1,) if steps else (IMAGE,)
        options: tuple[int, ...] = ()
        if place.layer is not None:
            if place.part == ENCODER or place.layer.down:
                options = (place.layer.channels,)
            if place.part == DECODER:
                number = chain.index(place.layer)  # of the encoder's step, too
                before = number - 1 if number > 0 else IMAGE
                # What it is to be as large as, or what is added.
                inputs += (before if place.layer.down else number,)
        steps.append(Step(place.key(share), inputs, options))
    return tuple(steps)


class AutoencoderSupernet(Supernet):
    """The shared weights of all autoencoders of a space.

    Args:
        layers: Nc, of the encoder.
        channels: that a layer can have.
        kernels: that a layer can have.
        levels_back: b.
        task: whose images they are for.
        share: "exact" or "slices", as `netwright.spaces.autoencoder.AutoencoderSpace` says.

    Raises:
        InfeasibleArchitecture: the images have not two dimensions.
    """

    def __init__(
        self,
        layers: int,
        channels: Sequence[int],
        kernels: Sequence[int],
        levels_back: int,
        task: TaskShape,
        share: str,
    ) -> None:
        super().__init__()
        _require_pictures(task)
        self.share = share
        widths = channels if share == EXACT else (max(channels),)
        for place in _all_places(layers, widths, kernels, levels_back):
            self.operations[place.key(share)] = place.module(task)

    def steps(self, choice: Choice) -> Steps:
        """The network of a choice; never infeasible."""
        return network_steps(chain_of(choice), self.share)


def _places_of(chain: Chain) -> Iterator[Place]:
    """The convolutions of a chain, in order.

    The paper leaves the decoder's channels open. Mirrored from a layer, the decoder's has that layer's own number, so
    that features added by a skip connection fit (as in RED-Net, Mao et al. 2016, and in the code of Suganuma et al.
    2018); what it takes is what the next layer's mirror gives, for the last layer its own output.
    """
    inputs: int | None = None
    for layer in chain:
        yield Place(ENCODER, layer, inputs)
        inputs = layer.channels
    for layer in reversed(chain):
        yield Place(DECODER, layer, inputs)
        inputs = layer.channels
    yield Place(OUTPUT, None, inputs)


def _all_places(
    layers: int, channels: Sequence[int], kernels: Sequence[int], levels_back: int
) -> Iterator[Place]:
    """The convolutions of all chains."""
    for number in range(1, layers + 1):
        before = sources(number, levels_back)
        found: list[int | None] = [None] * (0 in before) + [*channels] * (max(before) > 0)
        for kernel, down, outputs in product(kernels, (False, True), channels):
            layer = Layer(number, kernel, down, outputs)
            yield from (Place(ENCODER, layer, inputs) for inputs in found)
            # Behind the last layer comes none, so that its mirror takes what it gives itself.
            behind = channels if number < layers else (outputs,)
            yield from (Place(DECODER, layer, inputs) for inputs in behind)
    yield from (Place(OUTPUT, None, inputs) for inputs in channels)
    if 0 in sources(layers + 1, levels_back):
        yield Place(OUTPUT, None, None)


def _require_pictures(task: TaskShape) -> None:
    if len(task.size) != 2:
        raise InfeasibleArchitecture(f"Autoencoders are for 2D images, but the task's size is {task.size}.")
