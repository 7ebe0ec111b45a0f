"""How large prepared volumes are: voxels, what a patch sees of them, and the cache on disk."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from netwright.data.io.grid import Grid
from netwright.data.volumes.geometry import Shape, Spacing, resampled_shape
from netwright.data.volumes.preprocessing import PreprocessingSettings, coarse_shape
from netwright.data.volumes.targets import SMALL_VIEW, view


@dataclass(frozen=True)
class PreparedSizes:
    """The sizes of prepared volumes.

    Args:
        spacing: edges of a voxel in mm.
        shape: voxels of the median volume along each canonical axis, without padding.
        size: voxels of a network's input.
        cache_bytes: what all volumes take on disk.
        resized: whether every volume is resized to the input, which then sees all of it.
        low_resolution: how many times as long the voxels of a first stage are along each axis; None: there is none.
        patches: sizes that networks may be trained on, and the most of each in a batch; empty: that of the input.
    """

    spacing: Spacing
    shape: Shape
    size: Shape
    cache_bytes: int
    resized: bool = False
    low_resolution: Shape | None = None
    patches: tuple[tuple[Shape, int], ...] = ()

    @property
    def view(self) -> float:
        """The share of the median volume that an input sees."""
        return 1.0 if self.resized else view(self.size, self.shape)

    def lines(self) -> Iterator[tuple[str, str]]:
        """What a user should know before a search: a heading and a text each."""
        yield (
            "prepared",
            f"median volume {_times(self.shape)} voxels of {_times(self.spacing)} mm, input {_times(self.size)}, "
            f"cache {_megabytes(self.cache_bytes)}",
        )
        if self.patches:
            tried = ", ".join(f"{_times(size)} (at most {batch} in a batch)" for size, batch in self.patches)
            yield "trained", f"on patches of one of these sizes: {tried}"
        sees = f"an input sees {100 * self.view:.0f} % of the median volume"
        if self.low_resolution is not None:
            seen = view(self.size, self.shape, self.low_resolution)
            longer = [factor * edge for factor, edge in zip(self.low_resolution, self.spacing, strict=True)]
            yield (
                "patches",
                f"{sees}. Networks may have a first stage at low resolution, {_times(longer)} mm: its input of "
                f"{_times(self.size)} voxels sees {100 * seen:.0f} %",
            )
        elif self.view < SMALL_VIEW and self.shape[2] > 1:
            steps = (1 + step / 100 for step in itertools.count(1))
            enough = next(step for step in steps if view(self.size, self.shape, [step] * 3) >= SMALL_VIEW)
            coarser = [math.ceil(100 * edge * enough) / 100 for edge in self.spacing]
            yield (
                "patches",
                f"{sees}. Where a structure can only be told from its surroundings, larger voxels show more of them: "
                f"--set preprocessing.spacing=[{','.join(f'{edge:g}' for edge in coarser)}] for a quarter",
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
    return PreparedSizes(
        (edges[0], edges[1], edges[2]),
        (x, y, z),
        resolved.size,
        cache_bytes([resolved.geometry(grid).size for grid in grids], channels, resolved.coarse_factors),
        resolved.resize,
        resolved.coarse_factors,
    )


def cache_bytes(shapes: Iterable[Shape], channels: int, low_resolution: Shape | None) -> int:
    """What prepared volumes take on disk: images in single precision, also at low resolution, and labels.

    Args:
        shapes: of the volumes.
        channels: of the images.
        low_resolution: how many times as long voxels are there; None: there are no such images.
    """
    return sum(
        (4 * channels + 1) * prod(shape)
        + (4 * channels * prod(coarse_shape(shape, low_resolution)) if low_resolution else 0)
        for shape in shapes
    )


def _times(values: Sequence[float]) -> str:
    return " x ".join(f"{value:.3g}" if isinstance(value, float) else str(value) for value in values)


def _megabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
