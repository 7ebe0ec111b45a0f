"""Where the foreground of prepared volumes lies: positions of some voxels of each class, kept beside the volumes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netwright.data.volumes.regions import IGNORED

MOST_POSITIONS = 1000
"""How many voxels of a class are kept of a case."""


def foreground_positions(label: NDArray[np.uint8], classes: int) -> list[NDArray[np.int64]]:
    """For each foreground class, the flat indices of some of its voxels, in order; the same in every call.

    All of them, where there are at most `MOST_POSITIONS`; otherwise so many, drawn at random.

    Args:
        label: class indices (X, Y, Z).
        classes: how many there are, background included.
    """
    flat = label.ravel()
    places = np.flatnonzero(flat)
    values = flat[places]
    chosen = []
    for index in range(1, classes):
        chosen.append(_some(places[values == index], index))
    return chosen


def labelled_positions(label: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Flat indices of some voxels that are not ignored, background among them, as `foreground_positions` has them.

    ``label``: class indices (X, Y, Z), or `IGNORED`.
    """
    return _some(np.flatnonzero(label.ravel() != IGNORED), 0)


def _some(places: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    if len(places) > MOST_POSITIONS:
        drawn = np.random.default_rng(seed).choice(len(places), MOST_POSITIONS, replace=False)
        places = places[np.sort(drawn)]
    return places.astype(np.int64)
