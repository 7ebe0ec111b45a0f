"""Volumes read piece by piece, in the order in which they are stored, so that a large one takes little memory."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.images import is_picture, read_mask, read_picture
from netwright.data.io.nifti import open_nifti
from netwright.data.io.time_axis import require_time
from netwright.data.volumes.counting import boxes

PIECE_VOXELS = 1 << 18
"""About so many voxels are in memory at a time."""


class Piece(NamedTuple):
    """``values`` (x, y, z) of a channel, which lie in a ``box`` of the file's axes."""

    channel: int
    box: tuple[slice, ...]
    values: NDArray[Any]


def volume_shape(path: Path, time: int | None = None) -> tuple[int, ...]:
    """(X, Y, Z), or (X, Y, Z, C) where a NIfTI file holds several volumes and no ``time`` of one is given.

    Raises:
        UnusableFile: the file is no readable NIfTI volume, or ends before ``time``.
    """
    shape = open_nifti(path).shape
    if time is not None:
        require_time(path, shape, time)
    count = 1 if time is not None else prod(shape[3:])
    return shape[:3] if count == 1 else (*shape[:3], count)


def image_pieces(path: Path, time: int | None = None) -> Iterator[Piece]:
    """The voxels of an image, as stored, channel after channel; of a picture those of its volume.

    Raises:
        UnusableFile: the file is damaged, or ends before ``time``.
    """
    if is_picture(path):
        pixels = read_picture(path).pixels
        columns_first = np.moveaxis(pixels, 0, 1)[:, :, None]
        return _of_array(columns_first if pixels.ndim == 3 else columns_first[..., None])
    return _of_nifti(path, time)


def label_pieces(path: Path, time: int | None = None) -> Iterator[Piece]:
    """The voxels of a label map, as stored; of a mask those of its volume.

    Raises:
        UnusableFile: as `image_pieces`.
    """
    return _of_array(read_mask(path).T[:, :, None, None]) if is_picture(path) else _of_nifti(path, time)


def _of_array(array: NDArray[Any]) -> Iterator[Piece]:
    for channel in range(array.shape[3]):
        for box in boxes(array.shape[:3], PIECE_VOXELS):
            yield Piece(channel, box, array[..., channel][box])


def _of_nifti(path: Path, time: int | None) -> Iterator[Piece]:
    file = open_nifti(path)
    rest: list[tuple[int, ...]] = list(np.ndindex(*reversed(file.shape[3:])))
    if time is not None:
        require_time(path, file.shape, time)
        rest = rest[time : time + 1] if len(file.shape) > 3 else rest
    with file.voxels() as voxels:
        for channel, index in enumerate(rest):
            for box in boxes(file.shape[:3], PIECE_VOXELS):
                yield Piece(channel, box, np.asanyarray(voxels[(*box, *reversed(index))]))
