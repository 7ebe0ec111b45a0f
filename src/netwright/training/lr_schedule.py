"""The share of the learning rate in the course of a training."""

from __future__ import annotations

import math


def cosine(step: int, steps: int, longest_warm_up: int) -> float:
    """The share of the learning rate at a step (the first is 0): up over ``longest_warm_up`` or 5 % of the steps,
    whichever is fewer, then down to zero along half a cosine (Loshchilov and Hutter 2017, equation 5).
    """
    warm_up = min(longest_warm_up, math.ceil(0.05 * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    progress = min(1.0, (step - warm_up) / max(1, steps - warm_up))
    return half_cosine(progress)


def half_cosine(progress: float) -> float:
    """The share of the learning rate where ``progress`` of a training, 0 to 1, is done: from 1 down to 0."""
    return 0.5 * (1 + math.cos(math.pi * progress))
