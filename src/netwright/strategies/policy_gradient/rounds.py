"""What a round of either variant leaves behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netwright.strategies.ladder import Levels


@dataclass(frozen=True, eq=False)
class Round:
    """A finished round: its policy (coordinates,), the means (coordinates, 3) of C_-, C_0, C_+ (NaN: empty), the
    moves (coordinates,) in steps, and the rewards (results,) that the means are of (NaN: none).
    """

    policy: Levels
    means: NDArray[np.float64]
    moves: Levels
    rewards: NDArray[np.float64]
