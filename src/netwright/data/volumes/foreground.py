"""Where the foreground of prepared volumes lies: positions of some voxels of each class, kept beside the volumes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
        of_class = places[values == index]
        if len(of_class) > MOST_POSITIONS:
            drawn = np.random.default_rng(index).choice(len(of_class), MOST_POSITIONS, replace=False)
            of_class = of_class[np.sort(drawn)]
        chosen.append(of_class.astype(np.int64))
    return chosen
