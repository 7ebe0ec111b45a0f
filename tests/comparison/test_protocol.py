"""How the networks of the final comparison are trained."""

from __future__ import annotations

from pathlib import Path

from netwright.comparison.retrain import share_seconds, verdict_protocol
from netwright.planning.user_settings import UserSettings
from planning.steps import resolve


def test_no_network_of_the_comparison_is_ended_before_its_share() -> None:
    early = {"training.early.batch_seconds": 0.1, "training.early.loss": 1.0, "training.patience": 7}
    settings = resolve(Path("dataset"), "marl-unet", UserSettings(assignments=early))
    assert settings.training.early is not None
    protocol = verdict_protocol(settings, 60.0)
    assert protocol.early is None
    assert (protocol.seconds, protocol.schedule, protocol.patience) == (60.0, "cosine", None)
    assert protocol.loss == settings.training.loss


def test_epochs_take_the_place_of_time() -> None:
    settings = resolve(Path("dataset"), "pdas-inpainting", UserSettings(assignments={"verdict.epochs": 20}))
    assert share_seconds(settings, 1.0, 3) is None
    protocol = verdict_protocol(settings, None)
    assert (protocol.seconds, protocol.steps, protocol.epochs, protocol.schedule) == (
        None,
        None,
        20,
        "cosine",
    )
    timed = resolve(Path("dataset"), "pdas-inpainting", UserSettings(workers=2))
    assert share_seconds(timed, 1.0, 3) == 1800.0
