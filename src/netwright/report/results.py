"""Trials and contestants as plain data for a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFAULT = "default"
"""The name of the default that was trained in the same race as what it is compared with."""
DEFAULT_ALONE = "default-alone"
"""The name of the default that was trained alone for as long as all of a search took."""


@dataclass(frozen=True)
class TrialRow:
    """One candidate of the search. ``seconds`` is wall time; ``finished_at`` counts seconds since the search began.

    ``cached_from`` is the number of the trial that had trained the same network before. ``phase`` is the strategy's
    phase when it proposed the candidate, "exploration" or "exploitation", where it has such phases.
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
class SeedTraining:
    """One of several trainings of a network, each with another seed.

    Args:
        seed: its number, from 1.
        status: as in `netwright.training.outcome`.
        validation: its metric on the validation cases; None where it has none.
        scores: as those of a `Contestant`.
        used: whether this one is the network that is used, and that sections with a single training show.
    """

    seed: int
    status: str
    validation: float | None
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    used: bool = False


@dataclass(frozen=True)
class Contestant:
    """One network of the final comparison, retrained and tested like the others.

    Args:
        name: "searched" for the winner, else for example "random", "unet3d", "vnet", "monai-unet".
        title: its name in tables and sentences.
        description: its architecture in words.
        status: as in `netwright.training.outcome`.
        reason: as in `netwright.training.outcome`.
        parameters: how many it has.
        train_seconds: the time of its training.
        epochs: the epochs of its training.
        inference_ms: for one input.
        scores: for segmentation test case -> label name -> Dice on the original grid (NaN where the label is absent
            from truth and prediction); for classification test image -> its true class -> 1 where it is recognised,
            else 0; for inpainting test image -> "psnr" and "ssim" -> its value.
            Of several trainings, their mean.
        curves: name -> one value an epoch.
        role: "original", "random network", "random search" or "searched" puts it into the table of costs beside the
            original. The next three fields are for that table; None: not measured.
        size_mb: of its weights; 1 MB = 1e6 bytes.
        training_batch_ms: for a training step of one batch.
        inference_batch_ms: for one batch.
        flops: for one input; None: not measured.
        groups: test case -> its patient, where several cases belong to one patient. Intervals and tests then count
            patients.
        details: further results of the task's test, by name, for the task's own sections.
        folder: where the network lies.
        trainings: of several with other seeds, each; else none. All but ``scores`` is that of the one that is used.
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
    flops: float | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    trainings: tuple[SeedTraining, ...] = ()
