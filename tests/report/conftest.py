"""Reports that the tests of this folder look at."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from made_up_marl_report import make_classification, make_marl_content
from made_up_report import make_block, make_content, make_network
from netwright.report.content import ReportContent
from netwright.spaces.base import Diagram


@pytest.fixture(scope="session")
def content() -> ReportContent:
    return make_content()


@pytest.fixture(scope="session")
def marl() -> ReportContent:
    return make_marl_content()


@pytest.fixture(scope="session")
def images() -> ReportContent:
    return make_classification()


@pytest.fixture(scope="session")
def block() -> Diagram:
    return make_block()


@pytest.fixture(scope="session", name="make_network")
def network_maker() -> Callable[[int], Diagram]:
    return make_network
