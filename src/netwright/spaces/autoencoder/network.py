"""The autoencoder as a list of steps: alone, and as a part of the supernet whose weights all of them share."""

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
class ConvolutionSpec:
    """One convolution of an autoencoder.

    ``part``: encoder, decoder or output. ``layer``: the encoder's layer that it is or mirrors; None: the output layer.
    ``inputs``: number of its input channels; None: those of the image.
    """

    part: str
    layer: Layer | None
    inputs: int | None

    def key(self, share: str) -> str:
        """The name of its weights, for example ``encoder3/5x5-down/64-from-128``; without channels for "slices"."""
        name = self.part
        if self.layer is not None:
            name += f"{self.layer.number}/{self.layer.type_name.replace(' ', '-')}"
        if share == SLICES:
            return f"{name}/from-image" if self.inputs is None else name
        outputs = "" if self.layer is None else f"{self.layer.channels}-"
        return f"{name}/{outputs}from-{self.inputs or 'image'}"

    def module(self, task: TaskShape) -> nn.Module:
        """The module with fresh random weights."""
        inputs = self.inputs or task.channels
        if self.layer is None:
            return Output(inputs, task.classes)
        outputs, kernel, down = self.layer.channels, self.layer.kernel, self.layer.down
        if self.part == ENCODER:
            return Encode(inputs, outputs, kernel, down=down)
        return DecodeUp(inputs, outputs, kernel) if down else DecodeSkip(inputs, outputs, kernel)


def build_network(chain: Chain, task: TaskShape, share: str) -> StepNetwork:
    """The network of a chain with its own weights. They have the same names as in `AutoencoderSupernet`.

    Args:
        chain: of layers.
        task: the input and output of the network.
        share: "exact" or "slices", as for the space; it decides the names of the weights.
    """
    _require_pictures(task)
    operations = {spec.key(share): spec.module(task) for spec in _specs_of(chain)}
    return StepNetwork(operations, network_steps(chain, share))


def network_steps(chain: Chain, share: str) -> Steps:
    """The steps of encoder, decoder and output layer."""
    steps: list[Step] = []
    for spec in _specs_of(chain):
        inputs: tuple[int, ...] = (len(steps) - 1,) if steps else (IMAGE,)
        options: tuple[int, ...] = ()
        if spec.layer is not None:
            if spec.part == ENCODER or spec.layer.down:
                options = (spec.layer.channels,)
            if spec.part == DECODER:
                number = chain.index(spec.layer)  # also the number of the encoder's step
                before = number - 1 if number > 0 else IMAGE
                # The features whose size is needed, or which are added.
                inputs += (before if spec.layer.down else number,)
        steps.append(Step(spec.key(share), inputs, options))
    return tuple(steps)


class AutoencoderSupernet(Supernet):
    """The shared weights of all autoencoders of a space.

    Args:
        layers: Nc, the number of the encoder's layers.
        channels: the numbers of channels that a layer can have.
        kernels: the kernels that a layer can have.
        levels_back: b, see `AutoencoderSpace`.
        task: channels, classes and size of the images.
        share: "exact" or "slices", see `netwright.spaces.autoencoder.AutoencoderSpace`.

    Raises:
        InfeasibleArchitecture: the images do not have two dimensions.
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
        for spec in _all_specs(layers, widths, kernels, levels_back):
            self.operations[spec.key(share)] = spec.module(task)

    def steps(self, choice: Choice) -> Steps:
        """The steps of a choice's network; never infeasible."""
        return network_steps(chain_of(choice), self.share)


def _specs_of(chain: Chain) -> Iterator[ConvolutionSpec]:
    """The convolutions of a chain, in order.

    The paper does not give the decoder's channels. Here a decoder layer has as many as the encoder layer that it
    mirrors, so that features added by a skip connection fit (as in RED-Net, Mao et al. 2016, and in the code of
    Suganuma et al. 2018). Its input is the output of the next layer's mirror; for the last layer it is that layer's own
    output.
    """
    inputs: int | None = None
    for layer in chain:
        yield ConvolutionSpec(ENCODER, layer, inputs)
        inputs = layer.channels
    for layer in reversed(chain):
        yield ConvolutionSpec(DECODER, layer, inputs)
        inputs = layer.channels
    yield ConvolutionSpec(OUTPUT, None, inputs)


def _all_specs(
    layers: int, channels: Sequence[int], kernels: Sequence[int], levels_back: int
) -> Iterator[ConvolutionSpec]:
    """The convolutions of all chains."""
    for number in range(1, layers + 1):
        before = sources(number, levels_back)
        possible_inputs: list[int | None] = [None] * (0 in before) + [*channels] * (max(before) > 0)
        for kernel, down, outputs in product(kernels, (False, True), channels):
            layer = Layer(number, kernel, down, outputs)
            yield from (ConvolutionSpec(ENCODER, layer, inputs) for inputs in possible_inputs)
            # No layer follows the last one, so its mirror takes its own output.
            behind = channels if number < layers else (outputs,)
            yield from (ConvolutionSpec(DECODER, layer, inputs) for inputs in behind)
    yield from (ConvolutionSpec(OUTPUT, None, inputs) for inputs in channels)
    if 0 in sources(layers + 1, levels_back):
        yield ConvolutionSpec(OUTPUT, None, None)


def _require_pictures(task: TaskShape) -> None:
    if len(task.size) != 2:
        raise InfeasibleArchitecture(f"Autoencoders are for 2D images, but the task's size is {task.size}.")
