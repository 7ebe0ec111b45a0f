"""The learning rate over the course of a training."""

from __future__ import annotations

import math


def cosine(step: int, steps: float, longest_warm_up: int) -> float:
    """The learning rate at a step (the first is 0), as a share of the full rate.

    It rises over ``longest_warm_up`` steps or 5 % of all steps, whichever is less. Then it falls to zero along half a
    cosine (Loshchilov and Hutter 2017, equation 5).

    Args:
        step: from 0.
        steps: of the whole training.
        longest_warm_up: in steps.
    """
    warm_up = min(longest_warm_up, math.ceil(0.05 * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    progress = min(1.0, (step - warm_up) / max(1, steps - warm_up))
    return half_cosine(progress)


def linear_warm_up(step: int, steps: int) -> float:
    """The learning rate at a step (the first is 0), as a share of the full rate, which it reaches after ``steps``."""
    return min(1.0, (step + 1) / steps) if steps else 1.0


def half_cosine(progress: float) -> float:
    """The share of the full learning rate at a ``progress`` of 0 to 1 of a training. It falls from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * progress))
