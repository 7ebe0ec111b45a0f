"""How long the end of a search whose trainings go on may take: the choice, the tests, and the report."""

from __future__ import annotations

import math

from netwright.comparison.tried_finalists import OUTPUTS_UNTIL
from netwright.settings import RunSettings

LARGEST_SHARE = 0.25
"""The largest share of the hours that is planned for the end of the run, without fitting CRFs."""
TESTED = 2
"""How many networks are tested at most: what was chosen, and the default."""
CHOOSING_SHARE, LARGEST_CHOOSING_SHARE = 0.03, 0.1
"""The share of the hours in which the finalists are compared on the validation cases, and the largest one, where two
networks take longer."""
COMPARED = 2.5
"""There is time for the outputs of the best and of the default, and for half as many to spare."""
REPORT_SECONDS = 15.0
"""About how long the report takes."""
TEST_FACTOR = 4.0
"""How many times as long a case takes in the test as in the validation, because it is also read and drawn."""


def choosing_seconds(settings: RunSettings) -> float:
    """The time in which the finalists are compared, in s."""
    hours, race = settings.budget.hours or 0.0, settings.race
    least = COMPARED * (0.0 if race is None else race.validation_seconds) / OUTPUTS_UNTIL
    return min(max(CHOOSING_SHARE * 3600.0 * hours, least), LARGEST_CHOOSING_SHARE * 3600.0 * hours)


def crf_seconds(settings: RunSettings, networks: int = TESTED) -> float:
    """How long it may take to fit a CRF to the networks that are tested, in s of wall time; 0 where none is fitted.

    Args:
        settings: of the run.
        networks: how many are tested.
    """
    return math.ceil(networks / settings.machine.workers) * (settings.postprocessing.most_seconds or 0.0)


def test_seconds(validation_seconds: float, validation: int, test: int) -> float:
    """About how long one network is tested, in s.

    Args:
        validation_seconds: of a validation of the default, in s.
        validation: the number of its cases.
        test: the number of test cases.
    """
    return TEST_FACTOR * validation_seconds * test / max(1, validation)


def seconds_to_finish(
    settings: RunSettings, validation_seconds: float, validation: int, test: int, networks: int = TESTED
) -> float:
    """About how long the choice, the tests and the report take, in s of wall time; without CRFs a quarter of the hours
    at most.

    Args:
        settings: of the run.
        validation_seconds: of a validation of the default, in s.
        validation: the number of its cases.
        test: the number of test cases.
        networks: how many are tested.
    """
    turns = math.ceil(networks / settings.machine.workers)
    tests = turns * test_seconds(validation_seconds, validation, test)
    whole = choosing_seconds(settings) + REPORT_SECONDS + tests
    most = LARGEST_SHARE * 3600.0 * (settings.budget.hours or 0.0)
    return min(whole, most) + crf_seconds(settings, networks)
