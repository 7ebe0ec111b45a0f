"""A network's layers as a search space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property

from optuna.distributions import BaseDistribution, CategoricalDistribution
from torch import Tensor, nn

from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.execution.interrupts import passes
from netwright.spaces.base import AgentGraph, Choice, Diagram, TaskShape, Value
from netwright.spaces.layerwise.diagrams import layer_diagram
from netwright.spaces.layerwise.error_location import first_line
from netwright.spaces.layerwise.fingerprint import fingerprint
from netwright.spaces.layerwise.first_weights import FirstWeights
from netwright.spaces.layerwise.graph import Layer, LayerNetwork
from netwright.spaces.layerwise.network import LayeredNetwork, copy_weights
from netwright.spaces.layerwise.reading import read_module
from netwright.spaces.layerwise.rebuild import plan, rebuild
from netwright.spaces.layerwise.values import HYPERPARAMETERS, Given, checked_values

__all__ = ["LayerwiseSpace", "copy_weights", "from_module"]

DEFAULT_FRACTIONS = (4, 2, 1)  # divisors of the original's kernels and units: a quarter, a half, all of them
DEFAULT_KERNEL_SIZES = (3, 5)


class LayerwiseSpace:
    """The hyperparameters of every tunable layer of a network, each a dimension ``layer.hyperparameter``.

    Args:
        network: the network to tune, as it was read.
        values: the values to search, by hyperparameter (kernels, kernel_size, stride, pool_size, units); a
            hyperparameter without values is not searched. None, the default: a quarter, a half and all of a layer's own
            kernels and units, and kernel sizes 3, 5 and its own, or only 1 where the layer has 1.
        frozen: patterns of layer names, as in `fnmatch`, that stay as they are.
        name: of the space.
        first_weights: how the weights of rebuilt networks are initialised; None: PyTorch's defaults.

    Raises:
        SettingsError: a value is out of range, a pattern matches no layer, or nothing is left to search.
    """

    def __init__(
        self,
        network: LayerNetwork,
        values: Given | None = None,
        frozen: Sequence[str] = (),
        name: str = "layerwise",
        first_weights: FirstWeights | None = None,
    ) -> None:
        self.network = network
        self._name = name
        self._first_weights = first_weights
        given = None if values is None else checked_values(values)
        _check_patterns(network, frozen)
        free = [x for x in network.layers if not any(fnmatchcase(x.name, pattern) for pattern in frozen)]
        self._values: dict[str, tuple[int, ...]] = {}
        self._layers: dict[str, tuple[str, ...]] = {}
        for layer in free:
            searched = _searched(layer, given)
            if searched:
                self._layers[layer.name] = tuple(searched)
                self._values.update(searched)
        if not self._values:
            raise SettingsError(f"{network.title} has no layer to tune: {_why_none(network, free, given)}")

    @property
    def name(self) -> str:
        """As in `netwright.spaces.SPACES`."""
        return self._name

    @cached_property
    def fingerprint(self) -> str:
        """The fingerprint of the network that was read: see `netwright.spaces.layerwise.fingerprint`."""
        return fingerprint(self.network)

    def distributions(self) -> dict[str, BaseDistribution]:
        """One categorical distribution of rising values per dimension, layers in topological order."""
        return {name: CategoricalDistribution(values) for name, values in self._values.items()}

    def agent_graph(self) -> AgentGraph:
        """One agent per searched layer, and an edge where one layer's output reaches another."""
        names = tuple(self._layers)
        return AgentGraph(names, tuple(self._layers.values()), self.network.edges(names))

    def original_choice(self) -> dict[str, Value]:
        """The values of the network that was read, even if they are not searched."""
        original = self._originals
        return {name: original[name] for name in self._values}

    def starting_choice(self) -> dict[str, Value]:
        """The searched values nearest to the original's; if these make no network, see `_nearest_feasible`."""
        return dict(self._start)

    def canonical(self, choice: Choice) -> dict[str, Value]:
        """Only the searched dimensions, in order."""
        return {name: int(choice[name]) for name in self._values if name in choice}

    def build(self, choice: Choice, task: TaskShape) -> LayeredNetwork:
        """The network for a choice of any positive values: images (batch, channels, *size) to logits.

        Values that the choice does not name stay as in the original. See
        `netwright.spaces.layerwise.rebuild.rebuild` for what follows a change, and how branches are fitted.

        Raises:
            InfeasibleArchitecture: the choice makes no network; the message says at which layer and why.
            SettingsError: the original network does not support this task, it has no hyperparameter of a name, or a
                value is not positive.
        """
        self._check_task(task)
        rebuilt = rebuild(self.network, self.layer_values(choice), task.channels, task.size)
        if self._first_weights is not None:
            self._first_weights.apply(rebuilt)
        return rebuilt

    def describe(self, choice: Choice) -> str:
        """For example ``22 layers, 16-128 kernels of 3-5, 2 with stride, pools of 2-3, 512 units``."""
        values = self.canonical({**self.original_choice(), **choice})
        searched = {
            key: [int(v) for name, v in values.items() if name.endswith(f".{key}")] for key in HYPERPARAMETERS
        }
        words = [f"{len(self._layers)} layers"]
        kernels, sizes = searched["kernels"], searched["kernel_size"]
        if kernels or sizes:
            words.append(
                (f"{_range(kernels)} " if kernels else "")
                + "kernels"
                + (f" of {_range(sizes)}" if sizes else "")
            )
        if strided := sum(value > 1 for value in searched["stride"]):
            words.append(f"{strided} with stride")
        words += [f"pools of {_range(searched['pool_size'])}"] if searched["pool_size"] else []
        words += [f"{_range(searched['units'])} units"] if searched["units"] else []
        return ", ".join(words)

    def diagrams(self, choice: Choice, task: TaskShape) -> tuple[Diagram, ...]:
        """The layers, their values and how they are connected."""
        self._check_task(task)
        values = self.layer_values(choice)
        builder = plan(self.network, values, task.channels, task.size)
        return (layer_diagram(self.network, values, builder, task),)

    def layer_values(self, choice: Choice) -> dict[str, dict[str, int]]:
        """The choice by layer, from hyperparameter to value; missing values are those of the original.

        Raises:
            SettingsError: the network has no hyperparameter of a name, or a value is not positive.
        """
        if unknown := [name for name in choice if name not in self._originals]:
            raise SettingsError(self._unknown(unknown[0]))
        values = {layer.name: dict(layer.original) for layer in self.network.layers}
        for name in self._values:
            if name in choice:
                layer, _, hyperparameter = name.rpartition(".")
                values[layer][hyperparameter] = _positive(name, choice[name])
        return values

    @cached_property
    def _originals(self) -> dict[str, int]:
        return {
            f"{layer.name}.{key}": value
            for layer in self.network.layers
            for key, value in layer.original.items()
        }

    @cached_property
    def _start(self) -> dict[str, Value]:
        return self._nearest_feasible()

    def _nearest_feasible(self) -> dict[str, Value]:
        """The nearest searched values. If they leave nothing of the image, strides and pools are the smallest.

        If that is not a network either, kernel sizes and kernels are the smallest, too.
        """
        original = self._originals
        choice: dict[str, Value] = {}
        for name, values in self._values.items():
            choice[name] = min(values, key=lambda value: abs(value - original[name]))
        channels, size = self.network.example[1], self.network.example[2:]
        for smallest in ((), ("stride",), ("stride", "pool_size"), ("stride", "pool_size", "kernel_size")):
            for name, values in self._values.items():
                if name.rpartition(".")[2] in smallest:
                    choice[name] = values[0]
            try:
                plan(self.network, self.layer_values(choice), channels, size)
                return choice
            except InfeasibleArchitecture as error:
                reason = str(error)
        raise SettingsError(
            f"{self.network.title}: even the smallest strides, pools and kernels of the values make no network "
            f"for images of size {size}: {reason} Give smaller values, or larger images."
        )

    def _unknown(self, name: str) -> str:
        near = get_close_matches(name, self._originals) or get_close_matches(name, self._originals, cutoff=0)
        return (
            f"{self.network.title} has no hyperparameter {name!r}. The nearest are {', '.join(near)}; "
            "`canonical` leaves out what is not the space's."
        )

    def _check_task(self, task: TaskShape) -> None:
        logits = self.network.shapes[self.network.training[0]] or ()
        if len(task.size) != len(self.network.example) - 2:
            raise SettingsError(
                f"{self.network.title} is a network for images of {len(self.network.example) - 2} dimensions, "
                f"but the task's size is {task.size}."
            )
        if len(logits) > 1 and logits[1] != task.classes:
            raise SettingsError(
                f"{self.network.title} gives {logits[1]} classes, but the task has {task.classes}. Make the "
                f"network with as many."
            )


def from_module(
    module: nn.Module,
    example_input: Tensor,
    values: Given | None = None,
    frozen: Sequence[str] = (),
    name: str = "layerwise",
) -> LayerwiseSpace:
    """The search space of a network's layers. The arguments are those of `read_module` and `LayerwiseSpace`.

    Rebuilt networks start with weights as strong as the module's: see `FirstWeights`.

    Raises:
        SettingsError: the module cannot be read (the message contains the line of its source), or a value is out of
            range.

    Example:
        >>> import torch
        >>> convolution, linear = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(8 * 64, 2)
        >>> network = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), linear)
        >>> from_module(network, torch.zeros(1, 1, 8, 8)).starting_choice()
        {'0.kernels': 8, '0.kernel_size': 3}
    """
    try:
        network = read_module(module, example_input)
    except BaseException as error:
        if isinstance(error, Exception) or passes(error):
            raise
        raise SettingsError(
            f"{type(module).__name__} ends the program where it is computed: {type(error).__name__}: "
            f"{first_line(error)} Take that out of its forward pass."
        ) from error
    return LayerwiseSpace(network, values, frozen, name, FirstWeights.read(module))


def _positive(name: str, value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingsError(f"{name} must be a positive integer, but is {value!r}.")
    return value


def _why_none(network: LayerNetwork, free: Sequence[Layer], given: Mapping[str, Sequence[int]] | None) -> str:
    """A message that says why nothing of a network is searched, and what to do."""
    if not network.layers:
        return (
            "none of its layers has a free hyperparameter. Expected convolutions, poolings or dense layers whose "
            "channels are not the output's: give a network that has some."
        )
    if not free:
        return f"every layer that could be ({len(network.layers)}) is frozen. Freeze fewer with space.frozen."
    keys = [key for key in HYPERPARAMETERS if any(key in layer.original for layer in free)]
    values = (
        "the default values leave these as they are" if given is None else "the values have none for these"
    )
    return (
        f"those that are not frozen ({len(free)}) have {', '.join(keys)}, and {values}. Give some, for example "
        f"space.values.{keys[0]}=[2,4]{'' if given is None else ', or leave space.values out'}."
    )


def _check_patterns(network: LayerNetwork, frozen: Sequence[str]) -> None:
    names = [layer.name for layer in network.layers]
    for pattern in frozen:
        if names and not any(fnmatchcase(name, pattern) for name in names):
            raise SettingsError(f"frozen: {pattern!r} fits none of the layers {', '.join(names)}.")


def _searched(layer: Layer, given: Mapping[str, tuple[int, ...]] | None) -> dict[str, tuple[int, ...]]:
    """The searched values of a layer's dimensions."""
    searched: dict[str, tuple[int, ...]] = {}
    for key, original in layer.original.items():
        values = given.get(key, ()) if given is not None else _default_values(key, original)
        if values:
            searched[f"{layer.name}.{key}"] = values
    return searched


def _default_values(key: str, original: int) -> tuple[int, ...]:
    """Empty if the original's value is the only one."""
    values = {original}
    if key in ("kernels", "units"):
        values = {max(1, original // fraction) for fraction in DEFAULT_FRACTIONS}
    elif key == "kernel_size" and original > 1:
        values = {original, *DEFAULT_KERNEL_SIZES}
    return tuple(sorted(values)) if len(values) > 1 else ()


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}-{high}"
