"""Patches of volumes that are larger than a network's input: how many of each, and which are centred on foreground."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from netwright.data.loading.batches import CroppedVolumes

TURNS = 1 << 16
"""More than there are classes."""


@dataclass(frozen=True)
class Patches:
    """How volumes are trained on that have the voxels of several inputs.

    All other volumes come once in an epoch, cropped anywhere.

    Args:
        volumes: prepared.
        size: of the network's input.
        most: the most patches of a volume in an epoch.
        foreground: the share of patches that are centred on foreground.
        ignores: whether voxels are ignored. Other patches are then centred on labelled voxels, as in nnU-Net
            (``data_loader.py``).
    """

    volumes: CroppedVolumes
    size: tuple[int, ...]
    most: int
    foreground: float
    ignores: bool = False

    def count(self, index: int) -> int:
        """How many patches have the voxels of a volume, rounded: 1 for all that are hardly larger than one."""
        return patches_in(self.volumes.shape(index), self.size)

    def repeated(self, indices: Iterable[int]) -> tuple[int, ...]:
        """The indices, each as often as an epoch has patches of its volume."""
        return tuple(index for index in indices for _ in range(min(self.count(index), self.most)))

    def centres(self, indices: Iterable[int], generator: torch.Generator) -> ForegroundCentres | None:
        """Those of an epoch of these volumes; None where no patch is centred, and nothing is drawn.

        ``generator``: the only source of random numbers.
        """
        if not (self.foreground or self.ignores) or all(self.count(index) == 1 for index in set(indices)):
            return None
        return ForegroundCentres(self, generator)


class ForegroundCentres:
    """Which patches of one epoch are centred on foreground, and on which voxel.

    They are evenly spread over the epoch, and classes come in turn, both from a random beginning.

    Args:
        patches: of large volumes.
        generator: the only source of random numbers.
    """

    def __init__(self, patches: Patches, generator: torch.Generator) -> None:
        self._patches = patches
        self._generator = generator
        self._due = float(torch.rand((), generator=generator))
        self._turn = int(torch.randint(TURNS, (), generator=generator))

    def position(self, index: int) -> list[float] | None:
        """Of the next patch, as `netwright.data.loading.batches.windows` takes it; None: it may be anywhere.

        ``index``: of the volume.
        """
        patches = self._patches
        if patches.count(index) == 1:
            return None
        self._due += patches.foreground
        if self._due >= 1:
            self._due -= 1
            present = [voxels for voxels in patches.volumes.foreground(index) if len(voxels)]
            if present:
                self._turn += 1
                return self._around_one(index, present[(self._turn - 1) % len(present)])
        labelled = patches.volumes.labelled(index) if patches.ignores else ()
        return self._around_one(index, labelled) if len(labelled) else None

    def _around_one(self, index: int, voxels: Any) -> list[float]:
        """Of the patch of a volume around one of some voxels (n, axes)."""
        voxel = voxels[int(torch.randint(len(voxels), (), generator=self._generator))].tolist()
        return centred(voxel, self._patches.volumes.shape(index), self._patches.size)


def patches_in(shape: Sequence[int], size: Sequence[int]) -> int:
    """How many patches of ``size`` have as many voxels as a volume, rounded; at least 1.

    >>> patches_in((512, 512, 75), (240, 240, 36)), patches_in((43, 59, 47), (40, 56, 40))
    (9, 1)
    """
    return round(prod(max(length, wanted) / wanted for length, wanted in zip(shape, size, strict=True)))


def centred(voxel: Sequence[int], shape: Sequence[int], size: Sequence[int]) -> list[float]:
    """The position, as `netwright.data.loading.batches.windows` takes it, of the window with a voxel at its centre, or
    as near to it as the border of the volume allows.

    Args:
        voxel: its index along each axis.
        shape: of the volume.
        size: of the window.
    """
    rooms = [max(length - wanted, 0) for length, wanted in zip(shape, size, strict=True)]
    starts = [
        min(max(at - wanted // 2, 0), room) for at, wanted, room in zip(voxel, size, rooms, strict=True)
    ]
    return [(start + 0.5) / (room + 1) for start, room in zip(starts, rooms, strict=True)]
