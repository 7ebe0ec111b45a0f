"""Volumes read piece by piece, in the order in which they are stored, so that a large one takes little memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.formats import open_label, open_volume
from netwright.data.io.grid import Grid
from netwright.data.io.time_axis import require_time
from netwright.data.io.volume_file import VolumeFile
from netwright.data.volumes.counting import boxes

PIECE_VOXELS = 1 << 18
"""About how many voxels are in memory at a time."""


class Piece(NamedTuple):
    """Some ``values`` (x, y, z) of a channel, and the ``box`` that they fill, in the file's axes."""

    channel: int
    box: tuple[slice, ...]
    values: NDArray[Any]


def volume_shape(path: Path, time: int | None = None, image: Grid | None = None) -> tuple[int, ...]:
    """(X, Y, Z), or (X, Y, Z, C) where a file holds several volumes and no ``time`` of one is given.

    Args:
        path: of the file.
        time: of a volume in it, from 0.
        image: of a label map, the grid of its image.

    Raises:
        UnusableFile: the file is no readable volume, or ends before ``time``.
    """
    file = open_label(path, image)
    if time is not None:
        require_time(file, time)
    count = 1 if time is not None else file.time_points
    return file.shape[:3] if count == 1 else (*file.shape[:3], count)


def image_pieces(path: Path, time: int | None = None) -> Iterator[Piece]:
    """The voxels of an image as they are stored, channel after channel. A picture is read as a volume.

    Raises:
        UnusableFile: the file is damaged, or ends before ``time``.
    """
    return _pieces(open_volume(path), time, labels=False)


def label_pieces(path: Path, time: int | None = None, image: Grid | None = None) -> Iterator[Piece]:
    """The voxels of a label map as they are stored. A mask of a picture is read as a volume.

    Args:
        path: of the file.
        time: of the label map in it, from 0; None: all.
        image: the grid of its image; None: it is not known.

    Raises:
        UnusableFile: as `image_pieces`.
    """
    return _pieces(open_label(path, image), time, labels=True)


def _pieces(file: VolumeFile, time: int | None, *, labels: bool) -> Iterator[Piece]:
    if time is not None:
        require_time(file, time)
    with file.voxels(labels=labels) as voxels:
        channels = list(np.ndindex(*reversed(voxels.shape[3:])))
        if time is not None and file.time_points > 1:
            channels = channels[time : time + 1]
        for channel, index in enumerate(channels):
            for box in boxes(voxels.shape[:3], PIECE_VOXELS):
                yield Piece(channel, box, np.asanyarray(voxels[(*box, *reversed(index))]))
