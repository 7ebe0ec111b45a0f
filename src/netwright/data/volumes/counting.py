"""Counts a volume piece by piece: intensities, label values, and a hash of the content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.volumes.labels import count_values

SAMPLED_VOXELS = 4096
"""How many voxels of each case and channel, evenly spread, the percentiles are estimated from."""

MOST_VALUES = 1 << 20
"""The most different values that are kept. A file with more values is not a label map."""

_Table = NDArray[np.uint64]


@dataclass
class IntensityCount:
    """The intensities of one channel of ``voxels`` voxels. Mean and squares are those of the finite voxels.

    Pieces are joined as Chan, Golub and LeVeque (1983) join samples, equation 1.5.
    """

    voxels: int
    seen: int = 0
    finite: int = 0
    mean: float = 0.0
    squares: float = 0.0
    minimum: float = float("inf")
    maximum: float = float("-inf")
    samples: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def broken(self) -> int:
        """The number of voxels that are NaN or infinite."""
        return self.seen - self.finite

    @property
    def variance(self) -> float:
        """The variance of the finite voxels."""
        return self.squares / self.finite

    @property
    def sample(self) -> NDArray[np.float32]:
        """Finite voxels, evenly spread."""
        return np.concatenate(self.samples)

    def add(self, values: NDArray[np.float32]) -> None:
        """Counts a piece of any shape. Pieces come in the order of the file."""
        flat = values.ravel(order="F")
        step = max(1, self.voxels // SAMPLED_VOXELS)
        start = -self.seen % step
        self.seen += flat.size
        chosen = flat[start::step]
        whole = bool(np.isfinite(flat).all())
        self.samples.append(chosen.copy() if whole else chosen[np.isfinite(chosen)])
        if not whole:
            flat = flat[np.isfinite(flat)]
        if not flat.size:
            return
        mean = float(flat.mean(dtype=np.float64))
        squares = float(flat.var(dtype=np.float64)) * flat.size
        apart, total = mean - self.mean, self.finite + flat.size
        self.squares += squares + apart**2 * self.finite * flat.size / total
        self.mean += apart * flat.size / total
        self.finite = total
        self.minimum = min(self.minimum, float(flat.min()))
        self.maximum = max(self.maximum, float(flat.max()))


@dataclass
class ValueCount:
    """How often each value of a label map occurs."""

    counts: dict[Any, int] = field(default_factory=dict)

    def add(self, values: NDArray[Any]) -> None:
        """Counts a piece of any shape."""
        if values.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                whole = values.astype(np.int32)
            values = whole if np.array_equal(whole, values) else values  # counted far quicker than sorted
        values_present, counts = count_values(values)
        for value, count in zip(values_present.tolist(), counts.tolist(), strict=True):
            key = value if value == value else "nan"
            if key in self.counts or len(self.counts) < MOST_VALUES:
                self.counts[key] = self.counts.get(key, 0) + count

    def arrays(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The values in order, NaN last, and how often each occurs."""
        keys = sorted(key for key in self.counts if key != "nan") + ["nan"] * ("nan" in self.counts)
        counts = np.array([self.counts[key] for key in keys], dtype=np.int64)
        return np.array([float("nan") if key == "nan" else key for key in keys]), counts


class ContentHash:
    """A 64-bit hash of an array (X, Y, Z). It depends on the values and their positions, not on the order of the
    pieces.

    It is a sum over all voxels: the mixed bits of the value, times one random odd number for each of its three indices.
    Two scans with the same voxels have the same hash, however their axes are stored.

    Args:
        shape: the shape in canonical axes.
        orientation: (3, 2): for each axis of the file, the canonical axis that it runs along, and 1 or -1.
    """

    def __init__(self, shape: Sequence[int], orientation: NDArray[np.float64]) -> None:
        self.value = 0
        self._tables: list[_Table] = []
        for axis, direction in orientation.tolist():
            table = np.random.default_rng(int(axis)).integers(0, 1 << 63, shape[int(axis)], np.uint64)
            table = table * np.uint64(2) + np.uint64(1)
            self._tables.append(table[::-1] if direction < 0 else table)

    def add(self, values: NDArray[np.float32], box: Sequence[slice]) -> None:
        """Adds a piece (x, y, z), which lies in a ``box`` of the file's axes."""
        bits = np.ascontiguousarray(values).view(np.uint32).astype(np.uint64)
        bits *= np.uint64(0x9E3779B97F4A7C15)
        bits ^= bits >> np.uint64(29)
        for table, part in zip(reversed(self._tables), reversed(box), strict=True):
            bits = bits @ table[part]
        self.value = (self.value + int(bits)) % (1 << 64)


def boxes(shape: Sequence[int], most: int) -> list[tuple[slice, ...]]:
    """Cuts an array into pieces of at most ``most`` values, in the order in which NIfTI stores them.

    The first axis is the fastest, so each piece is one continuous part of the file.
    """
    fixed = next(
        axis for axis in range(len(shape) + 1) if prod(shape[: axis + 1]) > most or axis == len(shape)
    )
    if fixed == len(shape):
        return [tuple(slice(0, length) for length in shape)]
    step = max(1, most // max(1, prod(shape[:fixed])))
    inner = tuple(slice(0, length) for length in shape[:fixed])
    cuts = [slice(first, min(first + step, shape[fixed])) for first in range(0, shape[fixed], step)]
    pieces = [(*inner, cut) for cut in cuts]
    for length in shape[fixed + 1 :]:
        pieces = [(*piece, slice(at, at + 1)) for at in range(length) for piece in pieces]
    return pieces
