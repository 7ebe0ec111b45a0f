"""The record of a finished round, in either variant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netwright.strategies.ladder import Levels


@dataclass(frozen=True, eq=False)
class Round:
    """A finished round.

    It holds the policy (coordinates,), the means (coordinates, 3) of C_-, C_0, C_+ (NaN: empty), the moves
    (coordinates,) in steps, and the rewards (results,) behind the means (NaN: none).
    """

    policy: Levels
    means: NDArray[np.float64]
    moves: Levels
    rewards: NDArray[np.float64]
