"""Optuna's own suites for samplers, through every strategy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from netwright.strategies import STRATEGIES
from netwright.strategies.sampler import sampler as make_sampler


class TestEveryStrategy(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture(params=[*sorted(STRATEGIES), "q-learning published", "policy-gradient pooled"])
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        name, *variant = request.param.split()
        return lambda: make_sampler(name, seed=0, **({"variant": variant[0]} if variant else {}))
