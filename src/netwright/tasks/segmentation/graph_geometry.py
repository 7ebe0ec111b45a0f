"""The geometry of volumes as operations of ONNX: where voxels lie, and interpolation between them.

It is that of `netwright.data.volumes`. All sizes are free: lengths are numbers of the graph. Coordinates are in double
precision, intensities in single precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from netwright.data.volumes.interpolation import SNAP
from netwright.data.volumes.preprocessing import PreprocessingSettings

DOUBLE, FLOAT, INT64 = ir.DataType.DOUBLE, ir.DataType.FLOAT, ir.DataType.INT64

Op = Any
"""`onnxscript.OpBuilder`: a method for each operation."""
Value = Any
"""`onnx_ir.Value`: with the operators of arithmetic."""


@dataclass(frozen=True)
class Steps:
    """How images are prepared, and what windows the network sees.

    Args:
        settings: of the preparation.
        window: the shape of a window; 1 along the axis of slices.
        slice_axis: perpendicular to the slices of a network for two dimensions.
        flat: images are pictures (rows, columns, channels), and have no voxel size.
    """

    settings: PreprocessingSettings
    window: tuple[int, int, int]
    slice_axis: int | None
    flat: bool


class Axis(NamedTuple):
    """``length`` voxels along an axis. The first lies at ``first`` among those of the image, each ``step`` further."""

    first: Value
    step: Value
    length: Value


def axes(op: Op, shape: Value, spacing: Value, steps: Steps) -> list[Axis]:
    """The voxels that the network sees of an image: see `netwright.data.volumes.interpolation.place`.

    Args:
        op: of the graph.
        shape: of the image (3,).
        spacing: of its voxels (3,) in mm.
        steps: see there.
    """
    settings = steps.settings
    assert settings.size is not None
    wanted = spacing if settings.spacing == "native" else doubles(op, settings.spacing)
    ratios = wanted / spacing
    scale = op.Where(op.Less(op.Abs(ratios - 1.0), SNAP), doubles(op, (1, 1, 1)), ratios)
    inner, size = op.Max(op.Round(shape / scale), doubles(op, (1, 1, 1))), doubles(op, settings.size)
    total, low = inner, doubles(op, (0, 0, 0))
    if settings.resize:
        stretch = shape / scale / size
        scale = scale * (op.ReduceMax(stretch) if settings.pad else stretch)
        total = inner = size
    elif settings.pad:
        total, low = op.Max(inner, size), op.Floor(op.Max(size - inner, low) / 2.0)
    first = (shape - 1.0) / 2.0 - scale * (low + (inner - 1.0) / 2.0)
    found = [Axis(*(op.Gather(values, axis) for values in (first, scale, total))) for axis in range(3)]
    if steps.slice_axis is not None:
        found[steps.slice_axis] = _without_padding(
            op, found[steps.slice_axis], op.Gather(shape, steps.slice_axis)
        )
    return found


def _without_padding(op: Op, axis: Axis, length: Value) -> Axis:
    """An axis cut to the positions in a scan of a length; where there are none, to the one in the middle."""
    begin = op.Max(op.Ceil((-0.5 - SNAP - axis.first) / axis.step), 0.0)
    end = op.Min(op.Floor((length - 0.5 + SNAP - axis.first) / axis.step) + 1.0, axis.length)
    begin = op.Where(op.Greater(end, begin), begin, op.Floor(axis.length / 2.0))
    return Axis(axis.first + axis.step * begin, axis.step, op.Max(end - begin, 1.0))


def interpolation(op: Op, length: Value, along: Value, step: Value) -> Value:
    """By what the voxels along an axis count at positions (positions, voxels): linear interpolation.

    See `netwright.data.volumes.interpolation.resample_axis`.

    Args:
        op: of the graph.
        length: how many voxels there are.
        along: positions.
        step: their distance. Where it is above 1, averages of several voxels.
    """
    last, wide = length - 1.0, op.Greater(step, 1.0)
    spots = op.Where(wide, along, op.Clip(along, doubles(op, 0), last))
    apart = counted(op, length) - op.Unsqueeze(spots, [1])
    share = op.Max(1.0 - op.Abs(apart) / op.Max(step, 1.0), 0.0)
    reach = op.Floor(along - step) + 1.0
    moment = op.ReduceSum(share * apart, [1], keepdims=0)
    spread = op.ReduceSum(share * apart * apart, [1], keepdims=0)
    even = op.And(op.And(wide, op.Greater(spread, 0.0)), op.GreaterOrEqual(reach, 0.0))
    even = op.And(even, op.LessOrEqual(reach + op.Floor(step * 2.0), last))
    lean = op.Where(even, moment / op.Where(even, spread, doubles(op, 1)), doubles(op, 0))  # ramps stay exact
    share = share * (1.0 - op.Unsqueeze(lean, [1]) * apart)
    share = share / op.Where(wide, op.Max(op.ReduceSum(share, [1], keepdims=1), SNAP), doubles(op, 1))
    share = share * op.Cast(op.Unsqueeze(inside(op, along, length), [1]), to=DOUBLE)
    return op.Cast(share, to=FLOAT)


def multiplied(op: Op, volume: Value, axis: int, shares: Value) -> Value:
    """A volume (channels, X, Y, Z) whose voxels along an axis are weighted sums of the old ones.

    Args:
        op: of the graph.
        volume: the old one.
        axis: from 0 to 2.
        shares: the weights (new, old).
    """
    order = [0, 1, 2, 3]
    order[axis + 1], order[3] = 3, axis + 1
    product = op.MatMul(op.Transpose(volume, perm=order), op.Transpose(shares, perm=[1, 0]))
    return op.Transpose(product, perm=order)


def widened(op: Op, volume: Value, axis: int, before: Value, length: Value, air: Value) -> Value:
    """A volume (channels, X, Y, Z) with air before and after it along an axis.

    Args:
        op: of the graph.
        volume: that is widened.
        axis: from 0 to 2.
        before: how many voxels are before it.
        length: of the result.
        air: their value, of each channel.
    """
    places, own = counted(op, length) - before, side(op, volume, axis)
    known = op.And(op.GreaterOrEqual(places, 0.0), op.Less(places, own))
    places = op.Cast(op.Clip(places, 0.0, own - 1.0), to=INT64)
    return op.Where(across(op, known, axis), op.Gather(volume, places, axis=axis + 1), air)


def counted(op: Op, length: Value) -> Value:
    """The numbers below a length."""
    return op.Range(op.Cast(0, to=DOUBLE), length, op.Cast(1, to=DOUBLE))


def side(op: Op, volume: Value, axis: int) -> Value:
    """The length of a volume along an axis.

    Args:
        op: of the graph.
        volume: (channels, X, Y, Z).
        axis: from 0 to 2.
    """
    return op.Cast(op.Gather(op.Shape(volume), axis + 1), to=DOUBLE)


def inside(op: Op, along: Value, length: Value) -> Value:
    """Which positions lie in the field of view.

    Args:
        op: of the graph.
        along: positions.
        length: how many voxels there are.
    """
    return op.And(op.GreaterOrEqual(along, -0.5 - SNAP), op.LessOrEqual(along, length - 0.5 + SNAP))


def across(op: Op, values: Value, axis: int) -> Value:
    """Values of positions along one axis, to be combined with (channels, X, Y, Z).

    Args:
        op: of the graph.
        values: of the positions.
        axis: from 0 to 2.
    """
    return op.Reshape(values, [-1 if one == axis else 1 for one in range(-1, 3)])


def doubles(op: Op, values: Any) -> Value:
    """A known number, or several, in double precision."""
    return op.Constant(value=ir.tensor(np.asarray(values, np.float64)))
