"""How long the end of a race may take."""

from __future__ import annotations

from pathlib import Path

import pytest

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
