"""Trials and contestants as a report gets them, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrialRow:
    """One candidate of the search. ``seconds`` is wall time; ``finished_at`` seconds since the search began.

    ``cached_from`` is the number of the trial that had trained the same network before. ``phase``: of the
    strategy when it asked, "exploration" or "exploitation", where it has such phases.
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
    phase: str | None = None


@dataclass(frozen=True)
class Contestant:
    """One network of the final comparison, retrained and tested like the others.

    ``groups``: test case -> its patient, of cases that are several of one patient: intervals and tests then count
    patients.

    ``name``: "searched" for the winner, else for example "random", "unet3d", "vnet", "monai-unet". ``scores``:
    test case -> label name -> Dice on the original grid (NaN where absent from truth and prediction); for
    classification test image -> its true class -> 1 where it is recognised, else 0; for inpainting test image -> "psnr"
    and "ssim" -> its value. ``curves``: name -> one
    value an epoch. ``status`` and ``reason`` as in `netwright.training.outcome`. ``inference_ms``: of one
    input.

    ``role``: "original", "random network", "random search" or "searched" puts it into the table of costs beside the
    original, for which ``size_mb`` (1 MB = 1e6 bytes), ``training_batch_ms`` (a training step of one batch) and
    ``inference_batch_ms`` are there; what was not measured is None.

    ``details``: what the task's test told besides, by name, for the sections that the task gives of it, and
    ``folder``: where the network lies.
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
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curves: Mapping[str, list[float]] = field(default_factory=dict)
    role: str | None = None
    size_mb: float | None = None
    training_batch_ms: float | None = None
    inference_batch_ms: float | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
