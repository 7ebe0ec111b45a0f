"""Reports that the tests of this folder look at."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from made_up_marl_report import make_classification, make_marl_content
from made_up_report import MadeUpReport, make_block, make_content, make_network, render_report
from netwright.spaces.base import Diagram


@pytest.fixture(scope="session")
def content() -> MadeUpReport:
    return make_content()


@pytest.fixture(scope="session")
def marl() -> MadeUpReport:
    return make_marl_content()


@pytest.fixture(scope="session")
def images() -> MadeUpReport:
    return make_classification()


@pytest.fixture(scope="session")
def content_page(content: MadeUpReport) -> str:
    return render_report(content)


@pytest.fixture(scope="session")
def marl_page(marl: MadeUpReport) -> str:
    return render_report(marl)


@pytest.fixture(scope="session")
def images_page(images: MadeUpReport) -> str:
    return render_report(images)


@pytest.fixture(scope="session")
def block() -> Diagram:
    return make_block()


@pytest.fixture(scope="session", name="make_network")
def network_maker() -> Callable[[int], Diagram]:
    return make_network
