"""A candidate of a search, as a job for a worker: a small 3D network on a few phantoms."""

from __future__ import annotations

from pathlib import Path

from netwright.data import open_any
from netwright.data.samples.phantoms import write_sample
from netwright.data.volumes.cache import prepare
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.searches.jobs import CandidateJob
from netwright.settings import parse_settings
from netwright.spaces import make_space
from netwright.training.config import TrainingProtocol


def prepared_phantoms(root: Path) -> Path:
    """Six phantoms, prepared for training."""
    dataset = open_any(write_sample(root / "sample", cases=6, size=24))
    return prepare(dataset, PreprocessingSettings(), root / "cache").folder


def candidate_job(prepared: Path, folder: Path, *, filters: int, epochs: int) -> CandidateJob:
    """A training on a CPU that leaves a checkpoint after each step.

    Args:
        prepared: the data, as from `prepared_phantoms`.
        folder: of the trial.
        filters: the base number of filters.
        epochs: of the training.
    """
    settings = parse_settings(
        {
            "recipe": "segnas4",
            "dataset": {"path": str(prepared)},
            "space": {"name": "segnas4"},
            "strategy": {"name": "random"},
            "objective": "dice",
            "budget": {"trials": 1},
            "machine": {"checkpoint_seconds": 0.0},
        }
    )
    return CandidateJob(
        settings=settings,
        prepared=prepared,
        training=(0, 1, 2, 3),
        validation=(4, 5),
        choice={**make_space(settings.space).starting_choice(), "n": filters, "p": 1},
        reference=None,
        protocol=TrainingProtocol(epochs=epochs, batch_size=2, schedule="cosine", device="cpu"),
        seed=11,
        folder=folder,
        memory_limit_mb=None,
    )
