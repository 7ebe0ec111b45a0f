"""What lies between the file of a picture and the input of a network, as a graph of ONNX.

It does what `netwright.data.images.settings` does, once the picture is as it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from netwright.data.images.settings import WHITE, PicturePreparation, stored
from netwright.data.images.settings import fitted as resized
from netwright.tasks.base import Graph, GraphSample
from netwright.tasks.shown_pictures import shown, stored_inputs, stored_sample

DOUBLE, FLOAT = ir.DataType.DOUBLE, ir.DataType.FLOAT
ROUNDING = 1e-9
"""A pixel at the very end of a triangle does not count, or a mask would grow by it."""


def graphs(preparation: Mapping[str, Any], channels: int, *, masked: bool = False) -> dict[str, Graph]:
    """What an export has beside the network, by the names of files.

    Args:
        preparation: of the training pictures, as it is saved.
        channels: of a picture.
        masked: a mask comes with each picture, white where it is missing.
    """
    known = PicturePreparation.from_dict(preparation)

    def prepare(op: Any, pixels: Any, white: Any, turned: Any, *mask: Any) -> tuple[Any, ...]:
        picture, coloured = shown(op, pixels, white, turned, channels)
        if known.depth == "uint16":
            picture = picture * (WHITE["uint16"] / white)  # white is white in 8 bits, too
        planes = fitted(op, op.Transpose(picture, perm=[2, 0, 1]), known)
        if known.depth != "float32":
            planes = op.Round(planes)
        factors = [1 / std if std > 0 else 0 for std in known.stds]
        means, scales = (
            op.Constant(value=ir.tensor(np.array(values, np.float32)[:, None, None]))
            for values in (known.means, factors)
        )
        planes = (planes - means) * scales
        if masked:
            missing = op.Greater(fitted(op, _missing(op, *mask), known), 0.0)
            planes = planes * op.Cast(op.Not(missing), to=FLOAT)
        images = op.Unsqueeze(planes, [0])
        return (images, coloured) if channels == 1 else (images,)

    given = {**stored_inputs(), **(stored_inputs("mask_") if masked else {})}
    return {"prepare": Graph(given, ("images", "coloured") if channels == 1 else ("images",), prepare)}


def _missing(op: Any, pixels: Any, white: Any, turned: Any) -> Any:
    """Where a mask is more white than black (1, rows, columns): 1, and 0 elsewhere."""
    drawn, _ = shown(op, pixels, white, turned, 3)
    missing = op.GreaterOrEqual(op.ReduceMean(drawn, [2], keepdims=0), white / 2.0)
    return op.Unsqueeze(op.Cast(missing, to=FLOAT), [0])


def samples(preparation: Mapping[str, Any], channels: int, *, masked: bool = False) -> Iterator[GraphSample]:
    """Made-up pictures, wide and high, turned, one of them partly transparent, with what the graph must give for them.

    Arguments are those of `graphs`.
    """
    known, random = PicturePreparation.from_dict(preparation), np.random.default_rng(0)
    white = WHITE[known.depth]
    for sizes, turned, transparent in (((1.7, 0.6), 6, False), ((0.5, 0.9), 3, known.depth != "float32")):
        shape = [max(2, round(length * size)) for length, size in zip(known.size, sizes, strict=True)]
        pixels = (random.random((*shape, channels), np.float32) * np.float32(white)).astype(known.depth)
        opacity: NDArray[np.float32] | None = None
        if transparent:
            opacity = np.ones(shape, np.float32)
            opacity[::2] = np.float32(white // 3) / np.float32(white)
        given = stored_sample(pixels, opacity, white, turned)
        if opacity is not None:
            pixels = np.rint(pixels * opacity[..., None]).astype(known.depth)
        expected = known.normalised(stored(pixels, channels, known.depth, known.settings))
        if masked:
            mask = np.zeros((*shape, 1), np.float32)
            mask[shape[0] // 2 :, shape[1] // 2 :] = 1
            given |= stored_sample(mask * 255, None, 255, turned, "mask_")
            missing = resized(mask, known.size, known.settings.fit)[..., 0] > 0
            expected = np.where(missing, np.float32(0), expected)
        yield GraphSample("prepare", given, {"images": expected[None]})


def fitted(op: Any, planes: Any, known: PicturePreparation) -> Any:
    """Planes (C, rows, columns) at the size of the input, resized as Pillow does: columns first.

    Args:
        op: `onnxscript.OpBuilder`.
        planes: in single precision.
        known: the preparation.
    """
    lengths = [op.Cast(op.Gather(op.Shape(planes), axis), to=DOUBLE) for axis in (1, 2)]
    inner = [op.Constant(value=ir.tensor(np.float64(size))) for size in known.size]
    if known.settings.fit == "pad":
        scale = op.Min(*(size / length for size, length in zip(inner, lengths, strict=True)))
        inner = [op.Max(op.Round(length * scale), 1.0) for length in lengths]
    rows, columns = (shares(op, *each) for each in zip(lengths, inner, known.size, strict=True))
    wide = op.MatMul(op.Cast(planes, to=DOUBLE), op.Transpose(columns, perm=[1, 0]))
    return op.Cast(op.MatMul(rows, op.Cast(op.Cast(wide, to=FLOAT), to=DOUBLE)), to=FLOAT)


def shares(op: Any, length: Any, inner: Any, size: int) -> Any:
    """By what pixels along an axis count in those of the input (size, length): a triangle, none in the padding.

    Args:
        op: `onnxscript.OpBuilder`.
        length: of the picture.
        inner: of the picture in the input, in the middle of which it lies.
        size: of the input.
    """
    places = op.Constant(value=ir.tensor(np.arange(size, dtype=np.float64)[:, None]))
    places = places - op.Floor((float(size) - inner) / 2.0)
    step = length / inner
    zero, one = (op.Constant(value=ir.tensor(np.float64(number))) for number in (0, 1))
    centres = op.Range(zero, length, one) + 0.5
    reach = 1.0 - op.Abs(centres - (places + 0.5) * step) / op.Max(step, 1.0)
    share = op.Where(op.Greater(reach, ROUNDING), reach, zero)
    within = op.And(op.GreaterOrEqual(places, 0.0), op.Less(places, inner))
    return op.Where(within, share / op.ReduceSum(share, [1], keepdims=1), zero)
