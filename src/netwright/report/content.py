"""What a report shows, as plain data: the study fills it in, the report only draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from netwright.spaces.base import Diagram


@dataclass(frozen=True)
class TrialRow:
    """One candidate of the search. ``seconds`` is wall time; ``finished_at`` seconds since the search began.

    ``cached_from`` is the number of the trial that had trained the same network before.
    """

    number: int
    status: str
    reason: str
    choice: str
    reward: float | None
    parameters: int | None
    epochs: int
    planned_epochs: int
    seconds: float
    finished_at: float | None
    cached_from: int | None = None


@dataclass(frozen=True)
class Contestant:
    """One network of the final comparison, retrained and tested like the others.

    ``name``: "searched" for the winner, else for example "random", "unet3d", "vnet", "monai-unet". ``dice``:
    test case -> label name -> Dice on the original grid (NaN where absent from truth and prediction).
    ``curves``: name -> one value an epoch. ``status`` and ``reason`` as in `netwright.evaluation.outcome`.
    """

    name: str
    title: str
    description: str
    status: str
    reason: str
    parameters: int | None
    train_seconds: float
    epochs: int
    inference_ms: float | None
    dice: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curves: Mapping[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class OverlayCase:
    """A test case to show: one channel of the image and two label maps on one grid (X, Y, Z), RAS axes."""

    role: str
    name: str
    dice: float
    image: NDArray[np.float32]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    spacing: tuple[float, float, float]


@dataclass(frozen=True)
class ReportContent:
    """All that `render` needs. ``facts``: rows of a table (what was searched and how), in order.

    ``settings`` is the text of run.yaml. ``labels``: names of the foreground labels in order of value.
    ``contestants`` is empty, and ``overlays`` too, while the final comparison has not been run.
    ``reward_name``: what the trials' ``reward`` is, in words.
    """

    title: str
    run_name: str
    recipe: str
    facts: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]
    trials: tuple[TrialRow, ...]
    best_trial: int | None
    best_curves: Mapping[str, list[float]]
    diagrams: tuple[Diagram, ...]
    contestants: tuple[Contestant, ...]
    overlays: tuple[OverlayCase, ...]
    settings: str
    commands: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()
    reward_name: str = "validation Dice"
