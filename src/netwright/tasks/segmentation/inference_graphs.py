"""What lies between an image and the windows of a network, and between its outputs and labels, as graphs of ONNX.

Exports have them beside the network, so that whoever uses it need not program these steps again. They do what
`netwright.data.volumes` and `netwright.training.windows` do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from netwright.data.io.stored import TURNS
from netwright.data.volumes.preprocessing import AIR_PERCENTILE, PreprocessingSettings
from netwright.tasks.base import Graph
from netwright.tasks.segmentation.graph_geometry import (
    DOUBLE,
    FLOAT,
    INT64,
    Op,
    Steps,
    Value,
    across,
    axes,
    counted,
    doubles,
    inside,
    interpolation,
    multiplied,
    side,
    widened,
)
from netwright.tasks.shown_pictures import as_stored, of_tag, shown, stored_inputs
from netwright.training.windows import gaussian_weights

INT32, UINT8, UINT16 = ir.DataType.INT32, ir.DataType.UINT8, ir.DataType.UINT16

Shape = tuple[int | str, ...]
"""A name stands for a length that is free."""


def normalised(op: Op, values: Value, channel: int, settings: PreprocessingSettings) -> Value:
    """A channel (1, X, Y, Z): see `netwright.data.volumes.preprocessing.normalised`.

    Args:
        op: of the graph.
        values: of the channel.
        channel: its index.
        settings: of the preparation.
    """
    measured = settings.intensities_of(channel)
    if settings.normalise == "none":
        return values
    if measured is not None:
        low, high, centre, width = measured
        return (op.Clip(values, low, high) - centre) * (1 / width)
    nonzero = settings.foreground == "nonzero"
    within = op.Cast(op.Not(op.Equal(values, 0.0)), to=FLOAT) if nonzero else op.Abs(values) * 0.0 + 1.0
    within = op.Max(within, 1.0 - op.ReduceMax(within))  # all of it where there is nothing
    if settings.normalise == "minmax":
        known, infinite = op.Greater(within, 0.0), float("inf")
        middle = op.ReduceMin(op.Where(known, values, infinite), keepdims=0)
        difference = values - middle
        extent = op.ReduceMax(op.Where(known, values, -infinite), keepdims=0) - middle
    else:
        count = summed(op, within)
        difference = values - op.Cast(summed(op, values * within) / count, to=FLOAT)
        extent = op.Sqrt(summed(op, difference * difference * within) / count)
    extent = op.Cast(extent, to=DOUBLE)
    factor = op.Where(op.Greater(extent, 0.0), 1.0 / extent, doubles(op, 0))
    result = difference * op.Cast(factor, to=FLOAT)
    return result * op.Cast(op.Not(op.Equal(values, 0.0)), to=FLOAT) if nonzero else result


def summed(op: Op, values: Value) -> Value:
    """The sum of (1, X, Y, Z): of lines in single precision, of their sums in double precision."""
    return op.ReduceSum(op.Cast(op.ReduceSum(values, [3], keepdims=0), to=DOUBLE), keepdims=0)


def _air_of(op: Op, image: Value, settings: PreprocessingSettings) -> Value:
    """What lies beyond each channel (C, 1, 1, 1): see `netwright.data.volumes.preprocessing.air_of`."""
    values = op.Flatten(image, axis=1)
    if settings.pad_value == "zero":
        return op.Unsqueeze(op.ReduceMin(values, [1], keepdims=1) * 0.0, [2, 3])
    number = op.Gather(op.Shape(values), 1)
    at = (op.Cast(number, to=DOUBLE) - 1.0) * (AIR_PERCENTILE / 100)
    below = op.Cast(op.Floor(at), to=INT64)
    kept = op.Min(
        below + 2, number
    )  # only the lowest are sorted, up to the one after the place of the percentile
    lowest, _ = op.TopK(values, op.Unsqueeze(kept, [0]), axis=1, largest=0, _outputs=2)
    first, second = op.Gather(lowest, below, axis=1), op.Gather(lowest, op.Min(below + 1, kept - 1), axis=1)
    air = first + op.Cast(at - op.Floor(at), to=FLOAT) * (second - first)
    if settings.foreground == "nonzero":
        air = air * op.ReduceMin(op.Cast(op.Not(op.Equal(values, 0.0)), to=FLOAT), [1], keepdims=0)
    return op.Unsqueeze(air, [1, 2, 3])


def prepare(op: Op, image: Value, spacing: Value | None, steps: Steps, channels: int) -> tuple[Value, ...]:
    """An image in canonical axes, and the size of its voxels, become what the network sees, in windows.

    Gives the image (C, X, Y, Z), padded to at least a window; where windows begin (N, 3); the weight of each voxel of a
    window. With a first stage also the image at low resolution, with air around it, and the begin and the end of the
    image within its padding (2, 3).

    Args:
        op: of the graph.
        image: (C, X, Y, Z), of pictures (rows, columns, C).
        spacing: (3,); None: of pictures.
        steps: see there.
        channels: of the image.
    """
    settings = steps.settings
    if steps.flat:
        image = op.Unsqueeze(op.Transpose(flipped(op, image), perm=[2, 1, 0]), [3])
    spacing = doubles(op, (1, 1, 1)) if spacing is None else spacing
    each = [
        normalised(op, op.Gather(image, [channel], axis=0), channel, settings) for channel in range(channels)
    ]
    image = op.Concat(*each, axis=0)
    air = _air_of(op, image, settings)
    shape = op.Cast(op.Slice(op.Shape(image), [1], [4]), to=DOUBLE)
    placed = axes(op, shape, spacing, steps)
    known = None
    for axis, (first, step, length) in enumerate(placed):
        along, own = first + step * counted(op, length), side(op, image, axis)
        within = across(op, inside(op, along, own), axis)
        known = within if known is None else op.And(known, within)
        image = multiplied(op, image, axis, interpolation(op, own, along, step))
    image = op.Where(known, image, air)
    further: list[Value] = []
    own = op.Concat(*(op.Unsqueeze(length, [0]) for _, _, length in placed), axis=0)
    whole = op.Max(own, doubles(op, steps.window))
    before = op.Floor((whole - own) / 2.0)
    if settings.coarse_factors is not None:
        room = op.Concat(*(op.Unsqueeze(bound, [0]) for bound in (before, before + own)), axis=0)
        further = [_coarsened(op, image, air, settings.coarse_factors), room]
    for axis in range(3):
        image = widened(op, image, axis, op.Gather(before, axis), op.Gather(whole, axis), air)
    weights = op.Constant(value=ir.tensor(gaussian_weights(steps.window).numpy()))
    return image, _begins(op, whole, steps.window), weights, *further


def flipped(op: Op, picture: Value) -> Value:
    """A picture with its columns from right to left and its rows from the bottom up."""
    return op.Slice(picture, [-1, -1], [-(2**62), -(2**62)], [0, 1], [-1, -1])


def _begins(op: Op, whole: Value, window: Sequence[int]) -> Value:
    """Where windows begin (N, 3) that overlap by half: see `netwright.training.windows.starts`."""
    along = []
    for axis, size in enumerate(window):
        half, last = float(max(1, size // 2)), op.Gather(whole, axis) - float(size)
        along.append(op.Min(counted(op, op.Ceil(last / half) + 1.0) * half, last))
    grid = [
        op.Reshape(places, [-1 if one == axis else 1 for one in range(3)])
        for axis, places in enumerate(along)
    ]
    nothing = (grid[0] + grid[1] + grid[2]) * 0.0
    each = [op.Reshape(places + nothing, [-1, 1]) for places in grid]
    return op.Cast(op.Concat(*each, axis=1), to=INT64)


def _coarsened(op: Op, image: Value, air: Value, factors: Sequence[int]) -> Value:
    """Means of blocks: see `netwright.data.volumes.preprocessing.coarsened`; with a voxel of air at each end."""
    for axis, factor in enumerate(factors):
        length = side(op, image, axis)
        block = op.Floor(counted(op, length) / float(factor))
        blocks = op.Unsqueeze(counted(op, op.Ceil(length / float(factor))), [1])
        share = op.Cast(op.Equal(blocks, block), to=FLOAT)
        image = multiplied(op, image, axis, share / op.ReduceSum(share, [1], keepdims=1))
    for axis in range(3):
        image = widened(op, image, axis, 1.0, side(op, image, axis) + 2.0, air)
    return image


def cut(
    op: Op, prepared: Value, coarse: Value, room: Value, begin: Value, *, steps: Steps
) -> tuple[Value, ...]:
    """The inputs (1, 2 C, *window) of a network with a first stage: see `netwright.data.volumes.surroundings`.

    Args:
        op: of the graph.
        prepared: from `prepare`.
        coarse: from `prepare`.
        room: from `prepare`.
        begin: of the window (3,).
        steps: see there.
    """
    assert steps.settings.coarse_factors is not None
    for axis, (size, factor) in enumerate(zip(steps.window, steps.settings.coarse_factors, strict=True)):
        start = op.Gather(begin, axis)
        places = counted(op, float(size)) + op.Cast(start, to=DOUBLE)
        prepared = op.Gather(prepared, op.Cast(places, to=INT64), axis=axis + 1)
        own, end = (op.Gather(op.Gather(room, bound), axis) for bound in range(2))
        first = op.Max(op.Cast(start, to=DOUBLE), own)
        last = op.Min(op.Cast(start, to=DOUBLE) + float(size), end)
        along = places - first + ((first + last) / 2.0 - own) / float(factor) - (last - first) / 2.0 + 1.0
        within = op.And(op.GreaterOrEqual(places, first), op.Less(places, last))
        along = op.Where(within, along, doubles(op, 0))
        along = op.Clip(along, doubles(op, 0), side(op, coarse, axis) - 1.0)
        lower, upper = (
            op.Gather(coarse, op.Cast(at, to=INT64), axis=axis + 1)
            for at in (op.Floor(along), op.Ceil(along))
        )
        share = across(op, op.Cast(along - op.Floor(along), to=FLOAT), axis)
        coarse = lower + share * (upper - lower)
    return (op.Unsqueeze(op.Concat(prepared, coarse, axis=0), [0]),)


def label(
    op: Op,
    probabilities: Value,
    shape: Value,
    spacing: Value | None,
    steps: Steps,
    values: Sequence[int],
    *,
    regions: bool,
) -> tuple[Value, ...]:
    """The label of each voxel of an image.

    Args:
        op: of the graph.
        probabilities: (L, X, Y, Z) of what `prepare` gave.
        shape: of the image (3,), of pictures rows and columns.
        spacing: (3,); None: of pictures.
        steps: see there.
        values: the label value of each output.
        regions: outputs are probabilities by themselves; later ones are written over earlier ones.
    """
    if steps.flat:
        shape = op.Concat(op.Gather(shape, [1, 0]), [1], axis=0)
    spacing, shape = doubles(op, (1, 1, 1)) if spacing is None else spacing, op.Cast(shape, to=DOUBLE)
    shares, found = [], probabilities
    for axis, (first, step, length) in enumerate(axes(op, shape, spacing, steps)):
        before = op.Floor(op.Max(float(steps.window[axis]) - length, 0.0) / 2.0)
        found = op.Gather(found, op.Cast(counted(op, length) + before, to=INT64), axis=axis + 1)
        along = (counted(op, op.Gather(shape, axis)) - first) / step
        along = op.Clip(along, doubles(op, 0), length - 1.0)
        shares.append(interpolation(op, length, along, 1.0 / step))
    best = labels = None
    for at, value in enumerate(values):  # one after the other: all at once would need much memory
        one = op.Gather(found, [at], axis=0)
        for axis in range(3):
            one = multiplied(op, one, axis, shares[axis])
        chosen = op.Greater(one, 0.5 if regions or best is None else best)
        if labels is None:
            chosen, labels, best = (chosen if regions else op.GreaterOrEqual(one, one)), 0, one
        labels = op.Where(chosen, op.Cast(value, to=INT32), op.Cast(labels, to=INT32))
        best = op.Max(best, one)
    labels = op.Cast(op.Squeeze(labels, [0]), to=UINT8 if max(values) < 256 else UINT16)
    if steps.flat:
        labels = flipped(op, op.Transpose(op.Squeeze(labels, [2]), perm=[1, 0]))
    return (labels,)


def graphs(steps: Steps, channels: int, values: Sequence[int], *, regions: bool) -> dict[str, Graph]:
    """What an export has beside the network, by the names of files.

    Those of pictures take and give what files store: see `netwright.tasks.shown_pictures`.

    Args:
        steps: of the preparation.
        channels: of an image.
        values: the label value of each output of the network.
        regions: see `label`.
    """
    staged = steps.settings.coarse_factors is not None
    made = _of_pictures if steps.flat else _of_volumes
    names = ("prepared", "begins", "weights", *(("coarse", "room") if staged else ()))
    result = made(steps, channels, values, names, regions=regions)
    if staged:
        given = {
            "prepared": (FLOAT, (channels, "X", "Y", "Z")),
            "coarse": (FLOAT, (channels, "far_x", "far_y", "far_z")),
            "room": (DOUBLE, (2, 3)),
            "begin": (INT64, (3,)),
        }
        result["window"] = Graph(given, ("images",), lambda op, *inputs: cut(op, *inputs, steps=steps))
    return result


def _of_volumes(
    steps: Steps, channels: int, values: Sequence[int], names: tuple[str, ...], *, regions: bool
) -> dict[str, Graph]:
    """See `graphs`. ``names``: of what `prepare` gives."""
    spacing: dict[str, tuple[Any, Shape]] = {"spacing": (DOUBLE, (3,))}
    found: dict[str, tuple[Any, Shape]] = {
        "probabilities": (FLOAT, (len(values), "X", "Y", "Z")),
        "shape": (INT64, (3,)),
    }
    return {
        "prepare": Graph(
            {"image": (FLOAT, (channels, "x", "y", "z")), **spacing},
            names,
            lambda op, image, spacing: prepare(op, image, spacing, steps, channels),
        ),
        "finish": Graph(
            {**found, **spacing},
            ("labels",),
            lambda op, found, shape, spacing: label(
                op, found, shape, spacing, steps, values, regions=regions
            ),
        ),
    }


def _of_pictures(
    steps: Steps, channels: int, values: Sequence[int], names: tuple[str, ...], *, regions: bool
) -> dict[str, Graph]:
    """See `graphs`. ``names``: of what `prepare` gives."""

    def begin(op: Op, pixels: Value, white: Value, turned: Value) -> tuple[Value, ...]:
        picture, coloured = shown(op, pixels, white, turned, channels)
        found = prepare(op, picture, None, steps, channels)
        return (*found, coloured) if channels == 1 else found

    def finish(op: Op, probabilities: Value, shape: Value, turned: Value) -> tuple[Value, ...]:
        shape = op.Where(of_tag(op, turned, TURNS), op.Gather(shape, [1, 0]), shape)
        (labels,) = label(op, probabilities, shape, None, steps, values, regions=regions)
        return (op.Squeeze(as_stored(op, op.Unsqueeze(labels, [2]), turned, 1), [2]),)

    found: dict[str, tuple[Any, Shape]] = {
        "probabilities": (FLOAT, (len(values), "X", "Y", "Z")),
        "shape": (INT64, (2,)),
        "turned": (INT64, ()),
    }
    return {
        "prepare": Graph(stored_inputs(), (*names, *(("coloured",) if channels == 1 else ())), begin),
        "finish": Graph(found, ("labels",), finish),
    }
