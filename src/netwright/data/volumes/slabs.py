"""Class probabilities of a volume, slab by slab: those of all classes and voxels are never in memory together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.base import OnPart

HALF = 0.5
"""A region is where its probability is above this (nnU-Net, ``label_handling.py``)."""


@dataclass(frozen=True)
class Slabs:
    """Probabilities (K, X, Y, Z) in parts along an axis.

    The parts come in order and are computed when they are asked for, once. A part is valid until the next one is asked
    for, because its memory is used again.

    Args:
        shape: (X, Y, Z).
        axis: that the volume is cut along, from 0 to 2.
        parts: (K, X, Y, Z), each shorter than the volume along the axis.
        written: as in `labels_of`.
    """

    shape: tuple[int, int, int]
    axis: int
    parts: Iterator[NDArray[np.float32]]
    written: tuple[int, ...] = ()

    def planes(self) -> Iterator[NDArray[np.float32]]:
        """The parts as (planes, K, *other axes), one after the other."""
        return (np.moveaxis(part, 1 + self.axis, 0) for part in self.parts)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All probabilities (K, X, Y, Z), computed now."""
        return self.whole(np.float32 if dtype is None else dtype)

    def finite(self) -> Slabs:
        """The same, which raise `FloatingPointError` where a part that is read is not finite."""

        def parts() -> Iterator[NDArray[np.float32]]:
            for part in self.parts:
                if not np.isfinite(part.sum()):
                    raise FloatingPointError("the network's output is not finite")
                yield part

        return replace(self, parts=parts())

    def told(self, on_part: OnPart) -> Slabs:
        """The same, which tell with each part that is read how much of the volume is computed."""

        def parts() -> Iterator[NDArray[np.float32]]:
            done = 0
            for part in self.parts:
                done += part.shape[1 + self.axis]
                on_part(done / self.shape[self.axis])
                yield part

        return replace(self, parts=parts())

    def labels(self) -> NDArray[np.uint8]:
        """The class index of each voxel (X, Y, Z), by `labels_of`."""
        labels = np.empty(self.shape, np.uint8)
        planes = np.moveaxis(labels, self.axis, 0)
        start = 0
        for part in self.parts:
            stop = start + part.shape[1 + self.axis]
            planes[start:stop] = np.moveaxis(labels_of(part, self.written), self.axis, 0)
            start = stop
        return labels

    def whole(self, dtype: Any = np.float32) -> NDArray[Any]:
        """All probabilities in one array (K, X, Y, Z) of a type."""
        first = next(self.parts)
        whole: NDArray[Any] = np.empty((len(first), *self.shape), dtype)
        planes = np.moveaxis(whole, 1 + self.axis, 0)
        stop = first.shape[1 + self.axis]
        planes[:stop] = np.moveaxis(first, 1 + self.axis, 0)
        for part in self.parts:
            start, stop = stop, stop + part.shape[1 + self.axis]
            planes[start:stop] = np.moveaxis(part, 1 + self.axis, 0)
        return whole


def labels_of(scores: Iterable[NDArray[np.float32]], written: Sequence[int]) -> NDArray[np.uint8]:
    """The class index of each voxel.

    Args:
        scores: one array for each output of a network.
        written: the class index that is written where the probability of each output is above a half, later ones over
            earlier ones; 0 where none is. Empty: the outputs are classes that exclude one another, and the likeliest is
            taken.
    """
    if not written:
        return likeliest(scores)
    labels: NDArray[np.uint8] | None = None
    for index, score in zip(written, scores, strict=True):
        labels = np.zeros(score.shape, np.uint8) if labels is None else labels
        _write(index, labels, score > HALF)
    assert labels is not None
    return labels


def likeliest(scores: Iterable[NDArray[np.float32]]) -> NDArray[np.uint8]:
    """The index of the largest of several scores of one shape, voxel by voxel; the lowest index of equal ones.

    One score is in memory at a time. Where all are minus infinity or not a number, the index is 0.
    """
    each = iter(scores)
    best = np.fmax(next(each), -np.inf, dtype=np.float32)
    labels = np.zeros(best.shape, np.uint8)
    for index, score in enumerate(each, 1):
        _write(index, labels, score > best)
        np.fmax(best, score, out=best)
    return labels


def _write(index: int, labels: NDArray[np.uint8], where: NDArray[np.bool_]) -> None:
    """Write an index where it belongs. It takes a twentieth of the time of `numpy.copyto` with a mask."""
    np.multiply(labels, ~where, out=labels)
    np.maximum(labels, where.view(np.uint8) * np.uint8(index), out=labels)
