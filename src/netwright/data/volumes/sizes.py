"""How large prepared volumes are: voxels, what a patch sees of them, and the cache on disk."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from netwright.data.io.grid import Grid
from netwright.data.volumes.geometry import Shape, Spacing, resampled_shape
from netwright.data.volumes.preprocessing import PreprocessingSettings

SMALL_VIEW = 0.25
"""A patch that sees a smaller share of the median volume may lack the context to tell what it sees (Isensee et al.,
Nature Methods 2021, take a low-resolution stage there)."""


@dataclass(frozen=True)
class PreparedSizes:
    """The sizes of prepared volumes.

    Args:
        spacing: edges of a voxel in mm.
        shape: voxels of the median volume along each canonical axis, without padding.
        size: voxels of a network's input.
        cache_bytes: what all volumes take on disk.
        resized: whether every volume is resized to the input, which then sees all of it.
    """

    spacing: Spacing
    shape: Shape
    size: Shape
    cache_bytes: int
    resized: bool = False

    @property
    def view(self) -> float:
        """The share of the median volume that an input sees."""
        return 1.0 if self.resized else self._view_of_voxels(1.0)

    def _view_of_voxels(self, factor: float) -> float:
        """The share that an input would see of voxels so many times as long."""
        return prod(
            min(factor * seen / whole, 1.0) for seen, whole in zip(self.size, self.shape, strict=True)
        )

    def lines(self) -> Iterator[tuple[str, str]]:
        """What a user should know before a search: a heading and a text each."""
        yield (
            "prepared",
            f"median volume {_times(self.shape)} voxels of {_times(self.spacing)} mm, input {_times(self.size)}, "
            f"cache {_megabytes(self.cache_bytes)}",
        )
        if self.view < SMALL_VIEW and self.shape[2] > 1:
            factors = (1 + step / 100 for step in itertools.count(1))
            enough = next(factor for factor in factors if self._view_of_voxels(factor) >= SMALL_VIEW)
            coarser = [math.ceil(100 * edge * enough) / 100 for edge in self.spacing]
            yield (
                "patches",
                f"an input sees {100 * self.view:.0f} % of the median volume. Where a structure can only be told from "
                "its surroundings, larger voxels show more of them: --set preprocessing.spacing="
                f"[{','.join(f'{edge:g}' for edge in coarser)}] for a quarter",
            )


def sizes_of(grids: Sequence[Grid], settings: PreprocessingSettings, channels: int) -> PreparedSizes:
    """The sizes of volumes that are prepared with some settings.

    Args:
        grids: of the files, one for each case; at least one.
        settings: of the preparation, resolved or not.
        channels: of the images.
    """
    resolved = settings.resolved(grids)
    spacing = None if isinstance(resolved.spacing, str) else resolved.spacing
    x, y, z = (
        np.median([resampled_shape(grid, spacing) for grid in grids], axis=0).round().astype(int).tolist()
    )
    edges = spacing or np.median([grid.spacing for grid in grids], axis=0).tolist()
    assert isinstance(resolved.size, tuple)
    voxels = sum(prod(resolved.geometry(grid).size) for grid in grids)
    return PreparedSizes(
        (edges[0], edges[1], edges[2]),
        (x, y, z),
        resolved.size,
        voxels * bytes_a_voxel(channels),
        resolved.resize,
    )


def bytes_a_voxel(channels: int) -> int:
    """What a voxel of a prepared volume takes on disk: its image in single precision, and its label."""
    return 4 * channels + 1


def _times(values: Sequence[float]) -> str:
    return " x ".join(f"{value:.3g}" if isinstance(value, float) else str(value) for value in values)


def _megabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
