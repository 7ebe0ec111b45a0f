"""Builds the steps of a network one by one, in the form that a choice needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from netwright.errors import InfeasibleArchitecture
from netwright.spaces.layerwise.adapters import Adapter, FarPadding, resize_output, scaled
from netwright.spaces.layerwise.axes import channel_axis, layer_axis
from netwright.spaces.layerwise.error_location import first_line
from netwright.spaces.layerwise.follow import RESHAPES, following_steps, reshaped
from netwright.spaces.layerwise.graph import (
    IN_PLACE_OPERATORS,
    INPUT,
    LayerNetwork,
    Ref,
    Step,
    layer_name,
    raw_name,
    with_sources,
)
from netwright.spaces.layerwise.layers import FITTED, SHAPE_KEEPING, Recipe, fit_layer, times
from netwright.spaces.layerwise.network import call, resolve

Values = Mapping[str, Mapping[str, int]]
Shape = tuple[int, ...]

ELEMENTWISE = frozenset(
    {"add", "sub", "subtract", "mul", "multiply", "div", "divide", "truediv", "true_divide", "floordiv"}
    | {"maximum", "minimum", "stack", "lerp", "expand_as", "by_mode"}
)
CONCATENATIONS = frozenset({"cat", "concat", "concatenate"})


class Builder:
    """A network that is being rebuilt. Every step is tried on the meta device when it is added.

    Args:
        network: the original.
        choice: values of the layers' hyperparameters, by layer.
        shape: of the images (batch, channels, *spatial), with a batch of at least two.

    Attributes:
        steps: in order.
        values: the result of each step, without contents.
        makers: functions that make the modules, by name.
        held: shapes of the parameters and buffers that steps take directly.
        outputs: for each original output step, the step that gives the output now.
    """

    def __init__(self, network: LayerNetwork, choice: Values, shape: Shape) -> None:
        self.network = network
        self.choice = choice
        self.shape = shape
        self.steps: list[Step] = []
        self.values: dict[str, Any] = {}
        self.makers: dict[str, Callable[[], nn.Module]] = {}
        self.held: dict[str, Shape] = {
            path: tuple(item.value.shape) for path, item in network.tensors.items()
        }
        self.outputs: dict[str, str] = {}
        self._axes: dict[str, int] = {}
        self._probes: dict[str, nn.Module] = {}
        # Axis and number of the channels that a module is made for, and what is padded at the far end before it.
        self._takes: dict[str, tuple[int, int, tuple[int, ...]]] = {}
        self._used: set[str] = set()  # steps whose values other steps take

    def take(self, step: Step) -> None:
        """Add an original step in the form that its inputs need.

        Raises:
            InfeasibleArchitecture: there is no such form.
        """
        if step.kind in ("input", "attribute"):
            self._do(step)
        elif step.kind == "module":
            self._take_module(step)
        elif step.operation in ELEMENTWISE and len(self._tensors(step)) > 1:
            self._do_or_restore(self._matched(step))
        elif step.operation in CONCATENATIONS:
            self._do_or_restore(self._joined(step))
        else:
            self._take_function(step)

    def finish(self, name: str) -> str:
        """The step for an output with its original channels, and its size in relation to the image's."""
        original, shape = self.network.shapes[name], tuple(self.values[name].shape)
        if original is None or len(original) != len(shape):
            raise InfeasibleArchitecture(f"Output {name}: has {len(shape)} axes instead of {original}.")
        if len(shape) > 1 and shape[1] != original[1]:
            name = self._adapted(name, name, f"{name}_output", channels=original[1])
        example = self.network.example
        if len(original) != len(example) or len(original) == 2:
            return name
        ratios = tuple((1, 1) if o == e else (o, e) for o, e in zip(original[2:], example[2:], strict=True))
        if tuple(scaled(self.shape[2:], ratios)) == shape[2:] and not self._stands_by:
            return name
        self._do(Step(f"{name}_resize", "function", resize_output, (Ref(name), Ref(INPUT), ratios)))
        return f"{name}_resize"

    @property
    def _stands_by(self) -> bool:
        """Whether resizes are added even where sizes agree, because torch.export reads sizes as constants."""
        return self.network.reader.startswith("torch.export")

    def _take_module(self, step: Step) -> None:
        target = str(step.target)
        original = self.network.modules[target]
        sources = self._tensors(step)
        if len(sources) != 1:
            self._add_module(target, Recipe(original))
            self._do_or_restore(step)
            return
        source = sources[0]
        value: Tensor = self.values[source]
        name = layer_name(step, self.network.modules)
        if target in self._takes and name == target:
            axis, channels, far_padding = self._takes[target]
            if value.ndim > axis and value.shape[axis] != channels:  # the weights are those of its first use
                fitted = self._adapted(source, source, f"{step.name}_adapter", channels=channels, axis=axis)
                step = with_sources(step, {source: fitted})
            self._do_or_restore(self._padded(step, far_padding))
            return
        axis = layer_axis(original, self._original(source) or tuple(value.shape))
        recipe = fit_layer(step.name, original, tuple(value.shape), axis, self.choice.get(name, {}))
        step = self._padded(step, recipe.far_padding)
        if name != target and isinstance(original, FITTED):  # without weights each use is a separate layer
            step = replace(step, target=name)
        elif name == target and recipe.attributes:
            self._takes[target] = (axis, value.shape[axis], recipe.far_padding)
        self._add_module(str(step.target), recipe)
        if isinstance(original, FITTED):
            self._do(step)
        else:
            self._do_or_restore(step)

    def _padded(self, step: Step, lengths: tuple[int, ...]) -> Step:
        """The layer's step; its input is padded at the far end if its kernel needs that."""
        if not lengths:
            return step
        weighted = any(True for _ in self.network.modules[str(step.target)].parameters())
        mode, (source,) = "constant" if weighted else "replicate", self._tensors(step)
        padded = self._free(f"{step.name}_padding")
        self._add_module(padded, lambda: FarPadding(lengths, mode))
        self._do(Step(padded, "module", padded, (Ref(source),)))
        return with_sources(step, {source: padded})

    def _take_function(self, step: Step) -> None:
        sources = step.sources()
        first = sources[0] if sources else ""
        shape = self.values[first].shape if first and isinstance(self.values[first], Tensor) else ()
        if step.operation in RESHAPES and self._mixes_images(step):
            self._do_or_restore(reshaped(step, self.network, self._axes.get(first, -1))[0])
            return
        for following in following_steps(step, self.network, self._axes.get(first, -1), shape):
            if following.name == step.name:
                self._do_or_restore(following)
            else:
                self._do(following)

    def _mixes_images(self, step: Step) -> bool:
        """Whether a reshape with fixed sizes no longer fits, or would move values between images."""
        source = step.sources()[0]
        before, after = self._original(source), self._original(step.name)
        if before is None or after is None or not before or not after or before[0] != after[0]:
            return False
        try:
            return bool(self._try(step).shape[0] != self.values[source].shape[0])
        except RuntimeError:
            return True

    def _do_or_restore(self, step: Step) -> None:
        """Add a step. If it cannot take other channels than before, they are restored before it."""
        try:
            self._do(step)
            return
        except InfeasibleArchitecture as error:
            reason, fitted = error, dict[str, str]()
            for source in self._tensors(step):
                original, axis = self.network.shapes.get(source), self._axes.get(source, -1)
                value: Tensor = self.values[source]
                if original is None or axis < 1 or len(original) != value.ndim:
                    continue
                if value.shape[axis] != original[axis]:
                    label = f"{step.name}_adapter{len(fitted) or ''}"
                    fitted[source] = self._adapted(source, source, label, channels=original[axis])
        try:
            self._do(with_sources(step, fitted))
        except InfeasibleArchitecture:
            raise reason from None

    def _matched(self, step: Step) -> Step:
        """An elementwise operation with fitted operands: see `netwright.spaces.layerwise.rebuild.rebuild`."""
        operands = [name for name in self._tensors(step) if self._original(name) is not None]
        features = [name for name in operands if self.network.step[name].kind != "attribute"] or operands
        if len(operands) < 2:
            return step
        depths, shapes = self.network.depths, {name: self._original(name) or () for name in operands}
        main = max(features, key=lambda name: (prod(shapes[name]), depths[name]))
        rebinds = raw_name(step.target) in IN_PLACE_OPERATORS  # after x += y nothing takes the first operand
        if step.in_place and not rebinds and operands[0] in features:
            main = operands[0]
        differing = [name for name in operands if name != main and self._mismatches(name, main)]
        fixed = [name for name in differing if self._is_fixed(name)] if rebinds or not step.in_place else []
        fitted = self._fitted_to_fixed(step, fixed, main)
        for name in differing:
            if name in fixed:
                continue
            attribute = self.network.step[name].kind == "attribute"
            if attribute and name not in self._used and not self._is_fixed(name):
                self._reshape_held(name, main)
            else:
                label = f"{step.name}_adapter{len(fitted) or ''}"
                axis = self._axes[main if self.values[name].ndim == self.values[main].ndim else name]
                channels, resizes = self._channels_of(main), self._differs_in_size(name, main, axis)
                fitted[name] = self._adapted(name, main, label, channels=channels, axis=axis, resizes=resizes)
        return with_sources(step, fitted)

    def _fitted_to_fixed(self, step: Step, fixed: list[str], main: str) -> dict[str, str]:
        """Adapters for fixed values: features get their original channels, the values get the features' size."""
        fitted: dict[str, str] = {}
        original, rank, axis = self._original(main) or (), self.values[main].ndim, self._axes[main]
        if len(original) == rank and any(rank - axis in self._mismatches(name, main) for name in fixed):
            fitted[main] = self._adapted(main, main, f"{step.name}_adapter", channels=original[axis])
        for name in fixed:
            if self.values[name].ndim == rank and self._differs_in_size(name, main, axis):
                label = f"{step.name}_adapter{len(fitted) or ''}"
                fitted[name] = self._adapted(name, main, label, channels=None, axis=axis, resizes=True)
        return fitted

    def _is_fixed(self, name: str) -> bool:
        """Whether a step gives a buffer with unequal values, which can have no other shape."""
        step = self.network.step[name]
        held = self.network.tensors[str(step.target)] if step.kind == "attribute" else None
        return held is not None and not held.parameter and held.deviation != 0

    def _joined(self, step: Step) -> Step:
        """A concatenation. Its operands get the size of the largest, and equal channels if these are not joined."""
        operands = [name for name in self._tensors(step) if self._original(name) is not None]
        if len(operands) < 2 or self.values[operands[0]].ndim < 2:
            return step
        rank = self.values[operands[0]].ndim
        given = step.args[1] if len(step.args) > 1 else step.kwargs.get("dim", step.kwargs.get("axis", 0))
        joined = given % rank if isinstance(given, int) else 1
        deepest = max(operands, key=lambda name: self.network.depths[name])
        axis = self._axes[deepest]
        sizes = [a for a in range(1, rank) if a != axis] if joined == axis else []
        main = max(operands, key=lambda name: prod(self.values[name].shape[a] for a in sizes))
        fitted: dict[str, str] = {}
        for name in operands:
            own = self.values[name].shape
            differs = any(own[a] != self.values[main].shape[a] for a in sizes)
            resizes = differs or bool(sizes and self._stands_by)
            channels = own[axis] if joined == axis else self.values[deepest].shape[axis]
            if (name != main and resizes) or own[axis] != channels:
                label = f"{step.name}_adapter{len(fitted) or ''}"
                fitted[name] = self._adapted(name, main, label, channels=channels, axis=axis, resizes=resizes)
        return with_sources(step, fitted)

    def _mismatches(self, name: str, main: str) -> list[int]:
        """Axes (1 is the last) that differ now but did not before, without being broadcast over the other's."""
        shapes = [self._original(name) or (), self._original(main) or ()]
        now = [self.values[name].shape, self.values[main].shape]
        axes = range(1, 1 + min(len(shape) for shape in (*shapes, *now)))
        values = {axis: tuple(shape[-axis] for shape in (*shapes, *now)) for axis in axes}
        return [
            axis
            for axis, (was, was_other, own, other) in values.items()
            if own != other and (was == was_other or own != 1)
        ]

    def _differs_in_size(self, name: str, main: str, axis: int) -> bool:
        """Whether axes other than the channels' differ, or could differ for images of another size."""
        rank = self.values[name].ndim
        if any(rank - other not in (0, axis) for other in self._mismatches(name, main)):
            return True
        own, other = self._original(name) or (), self._original(main) or ()
        return self._stands_by and rank > 2 and own[2:] == other[2:]

    def _adapted(
        self,
        name: str,
        main: str,
        label: str,
        *,
        channels: int | None,
        axis: int | None = None,
        resizes: bool = False,
    ) -> str:
        """A new step that fits a value to ``channels``, and with ``resizes`` also to the size of ``main``."""
        value: Tensor = self.values[name]
        label = self._free(label)
        axis = self._axes[name] if axis is None else axis
        own = value.shape[axis]
        wanted = own if channels is None or (own == 1 and self._is_spread(name, main, axis)) else channels
        differs = own != wanted or (resizes and value.shape[2:] != self.values[main].shape[2:])
        if differs and not value.is_floating_point():  # indices from a pooling, masks
            raise InfeasibleArchitecture(f"{label}: values of {value.dtype} cannot be projected or resized.")
        try:
            rank = value.ndim
            self._add_module(label, lambda: Adapter(own, wanted, axis, rank, resizes=resizes and rank > 2))
            arguments = (Ref(name), Ref(main)) if resizes and rank > 2 else (Ref(name),)
            self._do(Step(label, "module", label, arguments))
        except ValueError as error:
            raise InfeasibleArchitecture(f"{label}: {error}.") from error
        self._axes[label] = axis
        return label

    def _is_spread(self, name: str, main: str, axis: int) -> bool:
        """Whether one channel was broadcast over the other operand's channels in the original."""
        own, other = self._original(name), self._original(main)
        return own is not None and other is not None and own[axis] == 1 and other[axis] != 1

    def _reshape_held(self, name: str, main: str) -> None:
        """Give a parameter or constant that is combined with features their lengths, on axes where these agreed."""
        path = str(self.network.step[name].target)
        original, reference = self.network.shapes[name] or (), self._original(main) or ()
        shape = list(original)
        for axis in range(1, min(len(original), len(reference)) + 1):
            if original[-axis] == reference[-axis]:
                shape[-axis] = self.values[main].shape[-axis]
        self.held[path] = tuple(shape)
        self.values[name] = torch.empty(shape, dtype=self.values[name].dtype)

    def _channels_of(self, name: str) -> int | None:
        axis = self._axes[name]
        return int(self.values[name].shape[axis]) if axis > 0 else None

    def _original(self, name: str) -> Shape | None:
        return self.network.shapes.get(name)

    def _tensors(self, step: Step) -> list[str]:
        return [name for name in step.sources() if isinstance(self.values[name], Tensor)]

    def _free(self, label: str) -> str:
        """The label, or a similar one that no module has."""
        while label in self.makers or label in self.network.modules:
            label = f"{label}_"
        return label

    def _add_module(self, path: str, recipe: Recipe | Callable[[], nn.Module]) -> None:
        if path in self.makers:
            return
        if isinstance(recipe, Recipe):
            self._probes[path] = recipe.make(initialise=False).train()
            self.makers[path] = lambda: recipe.make(initialise=True)
        else:
            self._probes[path] = recipe().train()
            self.makers[path] = recipe

    def _do(self, step: Step) -> None:
        """Add a step and try it."""
        try:
            value = self._try(step)
        except InfeasibleArchitecture:
            raise
        except Exception as error:  # a layer may raise anything
            what = "Layer" if step.kind == "module" else "Operation"
            sizes = ", ".join(times(self.values[name].shape[1:]) for name in self._tensors(step))
            raise InfeasibleArchitecture(f"{what} {step.name} on {sizes}: {first_line(error)}") from error
        if isinstance(value, Tensor) and value.numel() == 0:
            raise InfeasibleArchitecture(f"Nothing is left of the image after {step.name}.")
        self.steps.append(step)
        self.values[step.name] = value
        self._used.update(step.sources())
        first = max(self._tensors(step), key=lambda name: self.values[name].numel(), default="")
        self._axes[step.name] = channel_axis(
            step,
            value,
            self._axes.get(first),
            self._original(first) or (tuple(self.values[first].shape) if first else None),
            self._original(step.name) or (tuple(value.shape) if isinstance(value, Tensor) else None),
            self._probes,
        )

    def _try(self, step: Step) -> Any:
        if step.kind == "input":
            return torch.empty(self.shape)
        if step.kind == "attribute":
            path = str(step.target)
            return torch.empty(self.held[path], dtype=self.network.tensors[path].value.dtype)
        args, kwargs = resolve((step.args, dict(step.kwargs)), self.values, True, torch.device("meta"))
        if step.kind == "module":
            module = self._probes[str(step.target)]
            return args[0] if type(module) in SHAPE_KEEPING else module(*args, **kwargs)
        return call(step, args, kwargs)
