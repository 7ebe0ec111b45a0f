"""Which axes are halved from level to level, and along which a kernel is one voxel wide.

The rules are those of nnU-Net (Isensee et al., Nature Methods 2021): an axis with voxels at least twice as long as the
shortest edge is neither halved nor convolved along until the others have caught up. No axis becomes shorter
than three voxels (in nnU-Net four).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SHORTEST = 3
"""The fewest voxels that halving may leave of an axis."""


@dataclass(frozen=True)
class Resolution:
    """One resolution of an image.

    Args:
        size: in voxels.
        stride: from the next finer resolution, 1 or 2 for each axis.
        wide: for each axis whether a kernel has its full width along it.
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    wide: tuple[bool, ...]

    def kernel(self, width: int) -> tuple[int, ...]:
        """A kernel of so many voxels along the axes that are wide, and one along the others."""
        return tuple(width if wide else 1 for wide in self.wide)


def resolutions(size: Sequence[int], spacing: Sequence[float] | None, most: int) -> tuple[Resolution, ...]:
    """The resolutions of an image, from its own to the coarsest.

    Args:
        size: of the image in voxels; halving rounds up.
        spacing: edges of a voxel, in any unit; None: all alike.
        most: as many as this at most.

    >>> [level.size for level in resolutions((40, 56, 40), None, most=6)]
    [(40, 56, 40), (20, 28, 20), (10, 14, 10), (5, 7, 5), (3, 4, 3)]
    >>> [level.stride for level in resolutions((12, 64, 64), (5.0, 1.0, 1.0), most=4)]
    [(1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2)]
    """
    lengths, edges = tuple(size), tuple(spacing or (1.0,) * len(size))
    levels = [Resolution(lengths, (1,) * len(lengths), _wide(edges))]
    while len(levels) < most:
        long = [-(-length // 2) >= SHORTEST for length in lengths]
        shortest = min((edge for edge, can in zip(edges, long, strict=True) if can), default=0.0)
        stride = tuple(2 if can and edge < 2 * shortest else 1 for edge, can in zip(edges, long, strict=True))
        if 2 not in stride:
            break
        lengths = tuple(-(-length // step) for length, step in zip(lengths, stride, strict=True))
        edges = tuple(edge * step for edge, step in zip(edges, stride, strict=True))
        levels.append(Resolution(lengths, stride, _wide(edges)))
    return tuple(levels)


def _wide(edges: Sequence[float]) -> tuple[bool, ...]:
    return tuple(edge < 2 * min(edges) for edge in edges)
