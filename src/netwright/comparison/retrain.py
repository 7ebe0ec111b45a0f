"""How a network that was found is trained anew: by the final comparison, and by ``netwright train``."""

from __future__ import annotations

from dataclasses import replace

from netwright.errors import SettingsError
from netwright.runs.data import SearchData
from netwright.settings import RunSettings
from netwright.training.config import TrainingProtocol

MOST_EPOCHS = 1000
"""Of a training that ends by its share of time."""

ON_ALL = "training+validation"


def cases_of(settings: RunSettings, data: SearchData) -> tuple[int, ...]:
    """Indices of the cases that a network is trained on once it has been found: never one of the test part."""
    return (*data.training, *data.validation) if settings.train.on == ON_ALL else data.training


def verdict_protocol(settings: RunSettings, share: float | None) -> TrainingProtocol:
    """The run's protocol with a share of wall time, or the comparison's epochs where there is none; the learning rate
    falls to 0, or goes as the recipe has it (``verdict.schedule``).

    Where the rate falls there is no patience, which would end a training before. Nothing is ended as hopeless: that
    spares a search time, but would leave the original, which is slower than most candidates, without a result
    (Iranfar et al. 2022, Section VII).
    """
    as_published = settings.verdict.schedule == "recipe"
    schedule = settings.train.schedule or settings.training.schedule if as_published else "cosine"
    return replace(
        settings.training,
        seconds=share,
        epochs=settings.verdict.epochs or MOST_EPOCHS,
        steps=None,
        schedule=schedule,
        early=None,
        patience=_patience(settings) if as_published and schedule != "cosine" else None,
    )


def train_protocol(settings: RunSettings, epochs: int | None, hours: float | None) -> TrainingProtocol:
    """The protocol of ``netwright train``.

    Args:
        settings: of the run.
        epochs: in place of those of the settings.
        hours: wall time, into which epochs and schedule are fitted, without patience; None: no limit.
    """
    training, own = settings.training, settings.train
    return replace(
        training,
        epochs=epochs or own.epochs or training.epochs,
        steps=None if epochs or own.epochs else training.steps,
        seconds=None if hours is None else hours * 3600.0,
        schedule=own.schedule or training.schedule,
        early=None,
        patience=_patience(settings) if hours is None else None,
        threads=settings.machine.threads * settings.machine.workers,
    )


def require_retraining(settings: RunSettings) -> None:
    """Refuse to train on validation cases where these are to judge the training.

    Raises:
        SettingsError: naming what they judge, and what to do.
    """
    if settings.train.on != ON_ALL:
        return
    judged = [
        f"{name} ({value}) goes by the validation cases. Set {name}={off}"
        for name, value, off in (
            ("training.patience", settings.training.patience, "null and train.epochs to a number"),
            ("train.patience", settings.train.patience, "null and train.epochs to a number"),
            ("postprocessing.crf", settings.postprocessing.crf, "false"),
        )
        if value
    ]
    if judged:
        raise SettingsError(
            f"train.on={ON_ALL} trains on the validation cases, too, but {judged[0]}, or train.on=training."
        )


def _patience(settings: RunSettings) -> int | None:
    return settings.train.patience or settings.training.patience
