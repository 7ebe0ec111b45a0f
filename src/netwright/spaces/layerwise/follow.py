"""Rewrites operations with fixed sizes so that they follow their input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from netwright.spaces.layerwise.adapters import (
    axis_groups,
    follow_parts,
    follow_repeats,
    follow_shape,
    follow_size,
)
from netwright.spaces.layerwise.graph import INPUT, LayerNetwork, Ref, Step, refs_in
from netwright.spaces.layerwise.network import call

RESHAPES = frozenset({"view", "reshape", "unflatten"})
SPLITS = frozenset({"split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk"})
REPEATS = frozenset({"expand", "repeat", "tile"})
CREATIONS = frozenset({"rand", "randn", "zeros", "ones", "full", "empty"})


def following_steps(step: Step, network: LayerNetwork, channels: int, shape: Sequence[int]) -> list[Step]:
    """The steps that do the same but follow their input; the step itself if it has no fixed size.

    Args:
        step: a function or method.
        network: the network that contains it.
        channels: axis of the channels of its first operand, or -1.
        shape: the current shape of its first operand.
    """
    operation = step.operation
    if operation in CREATIONS:
        return _created(step, network)
    sources = step.sources()
    before = network.shapes.get(sources[0]) if sources else None
    if before is None or not _is_operand(step, sources[0]):
        return [step]
    if operation in RESHAPES and _is_constant(step):
        return reshaped(step, network, channels)
    if operation == "interpolate" or operation.startswith("upsample_"):
        return _resized(step, network, before)
    if operation in REPEATS and _is_constant(step):
        return _repeated(step, network, before)
    if operation in SPLITS and _is_constant(step) and tuple(shape) != before:
        return _parted(step, before)
    return [step]


def reshaped(step: Step, network: LayerNetwork, channels: int) -> list[Step]:
    """The reshape with the relation between its axes instead of fixed numbers, if there is one.

    Args:
        step: the reshape.
        network: that was read.
        channels: the axis of the channels.
    """
    source = step.sources()[0]
    before, after = network.shapes[source], network.shapes[step.name]
    if before is None or after is None:
        return [step]
    try:
        groups = axis_groups(before, after)
    except ValueError:
        return [step]
    return [Step(step.name, "function", follow_shape, (Ref(source), groups, after, channels))]


def _resized(step: Step, network: LayerNetwork, before: Sequence[int]) -> list[Step]:
    """A size equal to the image's follows the image's; any other one keeps its ratio to the input's."""
    size = step.args[1] if len(step.args) > 1 else step.kwargs.get("size", step.kwargs.get("output_size"))
    if size is None or next(refs_in(size), None) is not None:
        return [step]
    spatial = len(before) - 2
    size = (size,) * spatial if isinstance(size, int) else tuple(size)
    image = network.example[2:]
    if size == tuple(image):
        target = (Ref(INPUT), tuple((1, 1) for _ in size))
    else:
        target = (step.args[0], tuple(zip(size, before[2:], strict=True)))
    helper = Step(f"{step.name}_size", "function", follow_size, target)
    if len(step.args) > 1:
        args = (step.args[0], Ref(helper.name), *step.args[2:])
        return [helper, replace(step, args=args)]
    key = "size" if "size" in step.kwargs else "output_size"
    return [helper, replace(step, kwargs={**step.kwargs, key: Ref(helper.name)})]


def _repeated(step: Step, network: LayerNetwork, before: Sequence[int]) -> list[Step]:
    numbers = step.args[1:] if isinstance(step.args[1], int) else step.args[1]
    added = len(numbers) - len(before)
    sizes: list[int | None] = []
    for axis, number in enumerate(numbers):
        length = before[axis - added] if axis >= added else 1
        if axis == 0 and number == network.example[0] and (added or length == 1):
            sizes.append(None)
        elif step.operation == "expand" and axis >= added and number == length:
            sizes.append(-1)
        else:
            sizes.append(number)
    helper = Step(f"{step.name}_sizes", "function", follow_repeats, (Ref(INPUT), tuple(sizes)))
    return [helper, replace(step, args=(step.args[0], Ref(helper.name)))]


def _created(step: Step, network: LayerNetwork) -> list[Step]:
    """A tensor created for the number of images in the example is created for the actual number instead."""
    sizes = step.args[0] if step.args and isinstance(step.args[0], (tuple, list)) else ()
    if not sizes or next(refs_in(sizes), None) is not None or sizes[0] != network.example[0]:
        return [step]
    helper = Step(f"{step.name}_sizes", "function", follow_repeats, (Ref(INPUT), (None, *sizes[1:])))
    return [helper, replace(step, args=(Ref(helper.name), *step.args[1:]))]


def _parted(step: Step, before: Sequence[int]) -> list[Step]:
    whole = torch.empty(before, device="meta")
    parts: tuple[Tensor, ...] = call(step, (whole, *step.args[1:]), step.kwargs)
    changed = [axis for axis in range(len(before)) if sum(part.shape[axis] for part in parts) == before[axis]]
    if not changed or not all(part.ndim == len(before) for part in parts):
        return [step]
    axis = next((a for a in changed if parts[0].shape[a] != before[a]), changed[0])
    lengths = tuple(part.shape[axis] for part in parts)
    return [Step(step.name, "function", follow_parts, (Ref(step.sources()[0]), lengths, axis))]


def _is_operand(step: Step, source: str) -> bool:
    return bool(step.args) and step.args[0] == Ref(source)


def _is_constant(step: Step) -> bool:
    """Whether all arguments but the first are numbers."""
    rest = (step.args[1:], dict(step.kwargs))
    return len(step.args) > 1 and next(refs_in(rest), None) is None and not _has_dtype(rest)


def _has_dtype(value: Any) -> bool:
    return isinstance(value[0][0], torch.dtype)
