"""Along which axis a value has its channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from netwright.spaces.layerwise.adapters import axis_groups
from netwright.spaces.layerwise.graph import Step

LAST_AXIS_LAYERS = (nn.Linear, nn.LayerNorm, nn.RMSNorm)
RESHAPING = frozenset({"view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "follow_shape"})


def layer_axis(module: nn.Module, rank: int) -> int:
    """The axis that a layer takes as the channels of a value of so many axes."""
    return rank - 1 if isinstance(module, LAST_AXIS_LAYERS) else min(1, rank - 1)


def channel_axis(
    step: Step,
    value: Any,
    axis: int | None,
    before: tuple[int, ...] | None,
    after: tuple[int, ...] | None,
    modules: Mapping[str, nn.Module],
) -> int:
    """The channels' axis of a step's value, -1 where it has none.

    Args:
        step: what was done.
        value: its result.
        axis: of the channels of its first operand.
        before: shape of that operand in the original, and
        after: of the result.
        modules: by name.
    """
    if not isinstance(value, Tensor) or value.ndim < 2:
        return -1
    if value.ndim == 2:
        return 1
    if step.kind == "module" and isinstance(modules[str(step.target)], LAST_AXIS_LAYERS):
        return value.ndim - 1
    if axis is None or axis < 0 or before is None or after is None:
        return 1
    if step.operation == "permute":
        order = step.args[1] if isinstance(step.args[1], (tuple, list)) else step.args[1:]
        return [entry % len(before) for entry in order].index(axis)
    if step.operation in ("transpose", "swapaxes", "swapdims"):
        first, second = (entry % len(before) for entry in step.args[1:3])
        return {first: second, second: first}.get(axis, axis)
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
