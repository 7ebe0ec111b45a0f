"""Optuna's own suites for samplers, through every strategy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)

from netwright.strategies import STRATEGIES
from netwright.strategies.sampler import sampler as make_sampler


class TestEveryStrategy(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture(params=sorted(STRATEGIES))
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return lambda: make_sampler(request.param, seed=0)
