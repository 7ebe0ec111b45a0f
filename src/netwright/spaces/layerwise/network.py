"""A network that runs the steps of a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from netwright.spaces.layerwise.graph import (
    ByMode,
    Held,
    ImageDevice,
    Ref,
    Step,
    in_mode,
    map_arguments,
    needed_steps,
    refs_in,
)

Observer = Callable[[Step, Any], None]


class LayeredNetwork(nn.Module):
    """An ordinary module whose forward pass is a list of steps.

    In training mode it returns the logits, or with auxiliary heads the tuple (logits, auxiliary, ...). In
    evaluation mode it returns only the logits, and skips every step that they do not need.

    Args:
        steps: the steps of both modes, in order.
        training: names of the steps that give the output in training mode.
        evaluation: name of the step that gives the logits in evaluation mode.
        modules: by the dotted names that the steps use; the state dictionary has the same names.
        tensors: parameters and buffers that steps take directly, likewise.
        title: text that represents the network in messages.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        training: tuple[str, ...],
        evaluation: str,
        modules: Mapping[str, nn.Module],
        tensors: Mapping[str, Held],
        title: str = "network",
    ) -> None:
        super().__init__()
        self.title = title
        for path, module in modules.items():
            parent, name = _parent(self, path)
            parent.add_module(name, module)
        for path, held in tensors.items():
            parent, name = _parent(self, path)
            if held.parameter:
                trainable = held.value.requires_grad
                parent.register_parameter(name, nn.Parameter(held.value, requires_grad=trainable))
            else:
                parent.register_buffer(name, held.value, persistent=held.persistent)
        steps = list(steps)
        self._training_outputs = training
        self._evaluation_output = evaluation
        self._training_steps, self._evaluation_steps = (
            _with_last_uses(needed_steps([in_mode(step, training=mode) for step in steps], outputs), outputs)
            for mode, outputs in ((True, training), (False, (evaluation,)))
        )

    def forward(self, images: Tensor) -> Any:
        """Images (batch, channels, *spatial) to logits, in training mode with those of auxiliary heads."""
        return self.run(images)

    def run(self, images: Tensor, observe: Observer | None = None) -> Any:
        """The forward pass. ``observe`` is called with each step and its value."""
        values: dict[str, Any] = {}
        steps = self._training_steps if self.training else self._evaluation_steps
        for step, last_uses in steps:
            value = images if step.kind == "input" else self._do(step, values, images.device)
            values[step.name] = value
            if observe is not None:
                observe(step, value)
            for name in last_uses:  # free memory as in a plain forward pass
                del values[name]
        if not self.training:
            return values[self._evaluation_output]
        outputs = tuple(values[name] for name in self._training_outputs)
        return outputs if len(outputs) > 1 else outputs[0]

    def extra_repr(self) -> str:
        """The network that this one is a form of."""
        return self.title

    def _do(self, step: Step, values: Mapping[str, Any], device: torch.device) -> Any:
        if step.kind == "attribute":
            return reduce(getattr, str(step.target).split("."), self)
        args, kwargs = resolve((step.args, step.kwargs), values, self.training, device)
        if step.kind == "module":
            return reduce(getattr, str(step.target).split("."), self)(*args, **kwargs)
        return call(step, args, kwargs)


def copy_weights(source: nn.Module, rebuilt: nn.Module) -> tuple[str, ...]:
    """Copy parameters and buffers with equal names and shapes into a rebuilt network. Returns their names."""
    given, own = source.state_dict(), rebuilt.state_dict()
    copied = tuple(name for name, value in own.items() if name in given and given[name].shape == value.shape)
    with torch.no_grad():
        for name in copied:
            own[name].copy_(given[name])
    return copied


def call(step: Step, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Call a function or method.

    Args:
        step: with the function or the name of the method.
        args: for a method, with its object first.
        kwargs: by name.
    """
    if isinstance(step.target, str):
        return getattr(args[0], step.target)(*args[1:], **kwargs)
    return step.target(*args, **kwargs)


def resolve(arguments: Any, values: Mapping[str, Any], training: bool, device: torch.device) -> Any:
    """Arguments in which references are replaced by their values."""

    def value_of(item: Any) -> Any:
        if isinstance(item, Ref):
            return values[item.step]
        if isinstance(item, ByMode):
            return item.training if training else item.evaluation
        return device if isinstance(item, ImageDevice) else item

    return map_arguments(arguments, value_of)


def _parent(root: nn.Module, path: str) -> tuple[nn.Module, str]:
    """The module that contains ``path``, made if it does not exist, and the last part of the name."""
    *parents, name = path.split(".")
    module = root
    for part in parents:
        if part not in module._modules:
            module.add_module(part, nn.Module())
        module = getattr(module, part)
    return module, name


def _with_last_uses(steps: list[Step], outputs: tuple[str, ...]) -> list[tuple[Step, tuple[str, ...]]]:
    """Each step with the values that are not needed after it."""
    seen = set(outputs)
    program: list[tuple[Step, tuple[str, ...]]] = []
    for step in reversed(steps):
        names = [ref.step for ref in refs_in((step.args, step.kwargs))]
        last = tuple(name for name in dict.fromkeys((*names, step.name)) if name not in seen)
        seen.update(last)
        program.append((step, last))
    return program[::-1]
