"""Reports that the tests of this folder look at."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from made_up_marl_report import make_classification, make_marl_content
from made_up_report import make_block, make_content, make_network
from netwright.report.content import ReportContent
from netwright.report.render import render_report
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
def content_page(content: ReportContent) -> str:
    return render_report(content)


@pytest.fixture(scope="session")
def marl_page(marl: ReportContent) -> str:
    return render_report(marl)


@pytest.fixture(scope="session")
def images_page(images: ReportContent) -> str:
    return render_report(images)


@pytest.fixture(scope="session")
def block() -> Diagram:
    return make_block()


@pytest.fixture(scope="session", name="make_network")
def network_maker() -> Callable[[int], Diagram]:
    return make_network
