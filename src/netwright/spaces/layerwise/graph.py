"""A network as a graph of operations between layers, in plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor, nn

StepKind = Literal["input", "module", "function", "method", "attribute"]
LayerKind = Literal["convolution", "up-convolution", "pooling", "dense"]

INPUT, OUTPUT = ".input", ".output"  # no layer has such a name
IN_EVALUATION = "_in_evaluation"  # ends the name of a step that exists in evaluation only, next to training's


@dataclass(frozen=True)
class Ref:
    """In arguments, represents the value of the step with this name."""

    step: str


@dataclass(frozen=True)
class ByMode:
    """In arguments, represents a constant that differs between training and evaluation."""

    training: Any
    evaluation: Any


def by_mode(value: Any, *others: Any) -> Any:
    """Its first operand. A step with this function has two, training's value and evaluation's, see `in_mode`."""
    return value


@dataclass(frozen=True)
class ImageDevice:
    """In arguments, represents the device of the images, where a reader saw the example's."""


@dataclass(frozen=True)
class TorchOperation:
    """An operation of PyTorch by its names. Unlike the operation itself it can be pickled."""

    namespace: str
    name: str
    overload: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the operation."""
        packet = getattr(getattr(torch.ops, self.namespace), self.name)
        return getattr(packet, self.overload)(*args, **kwargs)


@dataclass(frozen=True)
class Step:
    """One operation.

    ``name``: unique. For a module it is its dotted name (with ``@2`` at its second use), else the name of the
    surrounding module and the operation, for example ``layer1.0.add``. ``target``: the dotted name of a module, of a
    parameter or of a buffer, a function, or the name of a tensor's method. ``args`` and ``kwargs``: nested
    tuples, lists, dictionaries and slices of constants, `Ref` and `ByMode`.
    """

    name: str
    kind: StepKind
    target: str | Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def operation(self) -> str:
        """Plain name of the operation, the same for function, method, in-place and ATen form: ``add``."""
        return operation_name(self.target)

    @property
    def in_place(self) -> bool:
        """Whether the operation changes its first operand."""
        if self.kind in ("module", "input", "attribute"):
            return False
        name = raw_name(self.target)
        if name in IN_PLACE_OPERATORS or self.kwargs.get("inplace") is True:
            return True
        return name.endswith("_") and not name.endswith("__")

    def sources(self) -> tuple[str, ...]:
        """Names of the steps whose values this one takes, in order, without repetition."""
        return tuple(dict.fromkeys(ref.step for ref in refs_in((self.args, self.kwargs))))


@dataclass(frozen=True)
class Held:
    """A parameter or buffer that operations take directly.

    ``persistent``: whether it is in state_dict. ``mean`` and ``deviation``: of its values.
    """

    value: Tensor
    parameter: bool
    persistent: bool
    mean: float = 0.0
    deviation: float = 0.0


@dataclass(frozen=True)
class Layer:
    """A tunable layer. ``original`` holds the hyperparameters' values in the network that was read.

    A convolution has kernels, kernel_size and stride, an up-convolution kernels and kernel_size, a pooling layer
    pool_size, and a dense layer units. Values that are not free are left out: the output's channels, and the kernels of
    a depthwise convolution.
    """

    name: str
    kind: LayerKind
    original: Mapping[str, int]


@dataclass(frozen=True)
class LayerNetwork:
    """A network that was read from a module.

    ``steps``: in an order in which they can be run. ``training``: the steps whose values are the output in
    training mode, the logits first, then those of the auxiliary heads. ``evaluation``: the step that gives the logits
    in evaluation mode. ``modules``: those that the steps call, by dotted name, on the meta device.
    ``tensors``: parameters and buffers that the steps take directly. ``example``: shape of the input. ``shapes``:
    shapes of all steps' values for it, None for a value that is not a tensor. ``layers``: the tunable ones, in
    topological order. ``reader``: torch.fx or torch.export; with the latter, sizes that the module computes are
    constants.
    """

    title: str
    steps: tuple[Step, ...]
    training: tuple[str, ...]
    evaluation: str
    modules: Mapping[str, nn.Module]
    tensors: Mapping[str, Held]
    example: tuple[int, ...]
    shapes: Mapping[str, tuple[int, ...] | None]
    layers: tuple[Layer, ...]
    reader: str

    @cached_property
    def step(self) -> dict[str, Step]:
        """The steps by name."""
        return {step.name: step for step in self.steps}

    @property
    def outputs(self) -> tuple[str, ...]:
        """Every step that gives an output in any mode."""
        return tuple(dict.fromkeys((*self.training, self.evaluation)))

    @cached_property
    def depths(self) -> dict[str, int]:
        """The most modules on any path from the input to each step."""
        depths: dict[str, int] = {}
        for step in self.steps:
            before = max((depths[source] for source in step.sources()), default=0)
            depths[step.name] = before + (step.kind == "module")
        return depths

    def edges(self, layers: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
        """Pairs (i, j), i < j, where the output of ``layers[i]`` reaches ``layers[j]`` without passing another of them.

        If a layer with weights is used several times, an edge can point back to it. Such an edge is turned around, so
        that the graph has no cycle.
        """
        index = {name: position for position, name in enumerate(layers)}
        pairs = self.connections(layers)
        return tuple(sorted((index[i], index[j]) for i, j in pairs if i in index and j in index))

    def connections(self, layers: Sequence[str]) -> list[tuple[str, str]]:
        """The same by name, with `INPUT` and `OUTPUT` at the ends."""
        order = {INPUT: 0, **{name: position for position, name in enumerate(layers, start=1)}}
        reached: dict[str, frozenset[str]] = {}
        pairs: dict[tuple[str, str], None] = {}
        for step in self.steps:
            sources = frozenset[str]().union(*(reached[source] for source in step.sources()))
            own = INPUT if step.kind == "input" else layer_name(step, self.modules)
            if own in order:
                for other in sorted(sources - {own}, key=order.__getitem__):
                    pairs.setdefault((other, own) if order[other] < order[own] else (own, other))
                sources = frozenset((own,))
            reached[step.name] = sources
        for output in self.outputs:
            for source in sorted(reached[output], key=order.__getitem__):
                pairs.setdefault((source, OUTPUT))
        return list(pairs)


def calls_module(step: Step) -> bool:
    """Whether the step is a call of a module."""
    return step.kind == "module"


def layer_name(step: Step, modules: Mapping[str, nn.Module]) -> str:
    """Name of the layer that a step uses: one for all uses of a module with weights, else one per use."""
    if step.kind != "module" or not isinstance(step.target, str):
        return ""
    module = modules[step.target]
    # Not via state_dict: it copies meta tensors, which is impossible where tensors are fake.
    return step.target if any(True for _ in chain(module.parameters(), module.buffers())) else step.name


def refs_in(value: Any) -> Iterator[Ref]:
    """Every `Ref` in nested arguments."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from refs_in(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from refs_in(item)
    elif isinstance(value, slice):
        yield from refs_in((value.start, value.stop, value.step))


def map_arguments(value: Any, change: Callable[[Any], Any]) -> Any:
    """Nested arguments with every leaf changed; a named tuple keeps its class."""
    if isinstance(value, tuple):
        items = [map_arguments(item, change) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, list):
        return [map_arguments(item, change) for item in value]
    if isinstance(value, Mapping):
        return {key: map_arguments(item, change) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(*(map_arguments(item, change) for item in (value.start, value.stop, value.step)))
    return change(value)


def needed_steps(steps: tuple[Step, ...] | list[Step], outputs: tuple[str, ...]) -> list[Step]:
    """The steps that the outputs need, in order: their sources, and steps that change a needed value in place."""
    needed: set[str] = set(outputs)
    while True:
        before = len(needed)
        for step in reversed(steps):
            sources = step.sources()
            if step.in_place and sources and sources[0] in needed:
                needed.add(step.name)
            if step.name in needed:
                needed.update(sources)
        if len(needed) == before:
            return [step for step in steps if step.name in needed]


def with_sources(step: Step, names: Mapping[str, str]) -> Step:
    """The step with some of the values that it takes replaced."""
    if not names:
        return step
    args, kwargs = map_arguments(
        (step.args, dict(step.kwargs)),
        lambda item: Ref(names.get(item.step, item.step)) if isinstance(item, Ref) else item,
    )
    return replace(step, args=args, kwargs=kwargs)


def in_mode(step: Step, *, training: bool) -> Step:
    """The step in one mode: a choice `by_mode` takes only the value of that mode."""
    return (
        replace(step, args=step.args[:1] if training else step.args[1:]) if step.target is by_mode else step
    )


def raw_name(target: str | Callable[..., Any]) -> str:
    """Name of a function or method as it is called: ``add_``, ``iadd``, ``relu``."""
    if isinstance(target, str):
        return target
    if isinstance(target, TorchOperation):
        return target.name
    return str(getattr(target, "__name__", target))


def operation_name(target: str | Callable[..., Any]) -> str:
    """The same name for every form of an operation: ``add`` for add, add_, iadd and aten::add.Tensor."""
    name = raw_name(target)
    if name in IN_PLACE_OPERATORS:
        return name[1:]
    return name.strip("_") or name


IN_PLACE_OPERATORS = frozenset({"iadd", "isub", "imul", "itruediv", "ifloordiv", "ipow", "imod", "imatmul"})
