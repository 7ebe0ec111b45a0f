"""Which axis of a value holds its channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from netwright.spaces.layerwise.adapters import axis_groups
from netwright.spaces.layerwise.graph import Step

LAST_AXIS_LAYERS = (nn.Linear, nn.LayerNorm, nn.RMSNorm)
RESHAPING = frozenset({"view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "follow_shape"})


def layer_axis(module: nn.Module, shape: tuple[int, ...]) -> int:
    """The axis that a layer takes as the channels, given the ``shape`` of its input in the original.

    A layer normalisation of one axis takes the last axis. A class derived from it may move the axes; then it is the
    second axis if that has the length of the normalisation.
    """
    if isinstance(module, nn.LayerNorm) and type(module) is not nn.LayerNorm and len(shape) > 2:
        return 1 if module.normalized_shape == (shape[1],) else len(shape) - 1
    return len(shape) - 1 if isinstance(module, LAST_AXIS_LAYERS) else min(1, len(shape) - 1)


def channel_axis(
    step: Step,
    value: Any,
    axis: int | None,
    before: tuple[int, ...] | None,
    after: tuple[int, ...] | None,
    modules: Mapping[str, nn.Module],
) -> int:
    """The channels' axis of a step's value; -1 if it has none.

    Args:
        step: the step.
        value: its result.
        axis: the channels' axis of its first operand.
        before: shape of that operand in the original.
        after: shape of the result in the original.
        modules: by name.
    """
    if not isinstance(value, Tensor) or value.ndim < 2:
        return -1
    if value.ndim == 2:
        return 1
    if step.kind == "module" and isinstance(modules[str(step.target)], LAST_AXIS_LAYERS) and before:
        return layer_axis(modules[str(step.target)], before)
    if axis is None or axis < 0 or before is None or after is None:
        return 1
    if step.operation == "permute":
        given = step.args[1] if isinstance(step.args[1], (tuple, list)) else step.args[1:]
        order: list[int] = [entry % len(before) for entry in given]
        return order.index(axis)
    if step.operation in ("transpose", "swapaxes", "swapdims"):
        first, second = (int(entry) % len(before) for entry in step.args[1:3])
        return second if axis == first else first if axis == second else axis
    if step.operation in RESHAPING or (step.kind == "module" and len(before) != len(after)):
        return _after_reshape(axis, before, after)
    return axis if len(before) == len(after) else 1


def _after_reshape(axis: int, before: tuple[int, ...], after: tuple[int, ...]) -> int:
    try:
        groups = axis_groups(before, after)
    except ValueError:
        return 1
    targets = next(targets for sources, targets in groups if axis in sources)
    return targets[0] if targets else 1
