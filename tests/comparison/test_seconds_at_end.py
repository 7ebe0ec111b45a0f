"""How long the end of a race may take."""

from __future__ import annotations

from pathlib import Path

import pytest

from netwright.comparison.default_alone import seconds_alone
from netwright.comparison.seconds_at_end import choosing_seconds, seconds_to_finish
from simulated_race import settings_of


@pytest.mark.parametrize(("validation", "expected"), [(1.0, 108.0), (60.0, 250.0), (1000.0, 360.0)])
def test_there_is_time_to_compare_the_best_with_the_default(
    validation: float, expected: float, tmp_path: Path
) -> None:
    """For outputs of two networks, and half as long to spare, in three fifths of it; a tenth of the hours at most."""
    race = {"first_seconds": 30, "validation_seconds": validation}
    settings = settings_of(tmp_path, budget={"hours": 1.0}, race=race)
    assert choosing_seconds(settings) == pytest.approx(expected)
    assert seconds_to_finish(settings, 0.0, 1, 1) == pytest.approx(expected + 15)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("validation", "crf"), [(1.0, False), (600.0, False), (600.0, True)])
def test_the_default_alone_is_trained_at_least_as_long_as_the_race(
    validation: float, crf: bool, workers: int, tmp_path: Path
) -> None:
    """Also where tests take longer than what the race keeps for its end, a quarter of its hours."""
    race = {"first_seconds": 30, "validation_seconds": validation, "used_seconds": 20.0}
    settings = settings_of(
        tmp_path,
        budget={"hours": 1.0},
        race=race,
        machine={"workers": workers},
        postprocessing={"crf": crf, "minutes": 3.0},
    )
    trained = 3600.0 - 20.0 - seconds_to_finish(settings, validation, 20, 20)
    assert trained <= seconds_alone(settings, 20, 20) < 3600.0
    assert seconds_alone(settings, 20, 20) == pytest.approx(trained, abs=200)
