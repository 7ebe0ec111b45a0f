"""What lies between the pixels in the file of a picture and the picture as it is shown, as operations of ONNX.

It is what `netwright.data.io.images.read_picture` does with what is transparent or turned, and what
`netwright.data.images.settings.converted` does with channels. Exports share it, whatever their task.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from netwright.data.io.stored import TURNS, turned_back

FLOAT, INT64 = ir.DataType.FLOAT, ir.DataType.INT64

TAGS = range(10)
"""Orientations from 1 to 8. Those beside them, which no file should have, stand for upright ones."""


def stored_inputs(prefix: str = "") -> dict[str, tuple[Any, tuple[int | str, ...]]]:
    """The inputs of a graph that takes a picture as its file stores it: their types and shapes, by name.

    Those are its pixels (rows, columns, channels), grey or in colours, each with or without opacity; the number that
    stands for white; and the tag of its orientation.

    Args:
        prefix: of the names, where a graph takes several pictures.
    """
    sides = tuple(f"{prefix}{side}" for side in ("rows", "columns", "stored"))
    return {
        f"{prefix}pixels": (FLOAT, sides),
        f"{prefix}white": (FLOAT, ()),
        f"{prefix}turned": (INT64, ()),
    }


def stored_sample(
    picture: NDArray[Any], opacity: NDArray[np.float32] | None, white: float, turned: int, prefix: str = ""
) -> dict[str, NDArray[Any]]:
    """What a graph is given for a made-up picture.

    Args:
        picture: (rows, columns, channels) as it is shown, but for its opacity.
        opacity: (rows, columns), from 0 to 1; None: the file stores none.
        white: the number that stands for white.
        turned: the tag of its orientation.
        prefix: see `stored_inputs`.
    """
    layers = picture.astype(np.float32)
    if opacity is not None:
        layers = np.concatenate([layers, np.rint(opacity * np.float32(white))[..., None]], axis=2)
    return {
        f"{prefix}pixels": turned_back(layers, turned),
        f"{prefix}white": np.array(white, np.float32),
        f"{prefix}turned": np.array(turned, np.int64),
    }


def shown(op: Any, pixels: Any, white: Any, turned: Any, channels: int) -> tuple[Any, Any]:
    """A picture (rows, columns, channels) as it is shown, and whether it has colours where one channel is wanted.

    What is transparent lies over black; grey among colours is repeated in each channel.

    Args:
        op: `onnxscript.OpBuilder`.
        pixels: see `stored_inputs`.
        white: see `stored_inputs`.
        turned: see `stored_inputs`.
        channels: of the result.
    """
    number = op.Gather(op.Shape(pixels), 2)
    transparent = op.Equal(op.Mod(number, 2), 0)
    last = op.Where(transparent, number - 1, number)
    visible = op.Slice(pixels, [0], op.Unsqueeze(last, [0]), [2])
    opacity = op.Gather(pixels, [-1], axis=2) / white
    laid = op.Where(transparent, op.Round(visible * opacity), visible)
    first = op.Gather(laid, [0], axis=2)
    coloured = op.Greater(op.ReduceMax(op.Abs(laid - first), keepdims=0), 0.0)
    picture = first if channels == 1 else op.Expand(laid, [1, 1, channels])
    return upright(op, picture, turned, channels), coloured


def upright(op: Any, picture: Any, turned: Any, channels: int) -> Any:
    """A stored picture (rows, columns, channels) as it is shown: see `netwright.data.io.stored.turned`.

    Args:
        op: `onnxscript.OpBuilder`.
        picture: the stored one.
        turned: the tag of its orientation.
        channels: of the picture.
    """
    rows, columns = (op.Gather(op.Shape(picture), axis) for axis in (0, 1))
    swapped = of_tag(op, turned, TURNS)
    height, width = op.Where(swapped, columns, rows), op.Where(swapped, rows, columns)
    down = _counted(op, height, of_tag(op, turned, (3, 4, 7, 8))) * op.Where(swapped, 1, columns)
    along = _counted(op, width, of_tag(op, turned, (2, 3, 6, 7))) * op.Where(swapped, columns, 1)
    places = op.Unsqueeze(down, [1]) + op.Unsqueeze(along, [0])
    return op.Gather(op.Reshape(picture, [-1, channels]), places, axis=0)


def as_stored(op: Any, picture: Any, turned: Any, channels: int) -> Any:
    """The inverse of `upright`. Arguments are those of `upright`."""
    inverse = [{6: 8, 8: 6}.get(tag, tag) for tag in TAGS]
    return upright(op, picture, op.Gather(_table(op, inverse), _known(op, turned)), channels)


def of_tag(op: Any, turned: Any, tags: tuple[int, ...]) -> Any:
    """Whether a picture has one of several orientations.

    Args:
        op: `onnxscript.OpBuilder`.
        turned: the tag of its orientation.
        tags: the orientations.
    """
    found = op.Gather(_table(op, [int(tag in tags) for tag in TAGS]), _known(op, turned))
    return op.Greater(found, 0)


def _known(op: Any, turned: Any) -> Any:
    return op.Max(op.Min(turned, TAGS[-1]), TAGS[0])


def _table(op: Any, values: list[int]) -> Any:
    return op.Constant(value=ir.tensor(np.array(values, np.int64)))


def _counted(op: Any, length: Any, backwards: Any) -> Any:
    """The numbers below a length, from the last one on where they are counted backwards."""
    numbers = op.Range(0, length, 1)
    return op.Where(backwards, length - 1 - numbers, numbers)
