"""Runs whose candidates cost nothing, to be hit by faults as often as ``--fault-rounds`` says."""

from __future__ import annotations

import faulthandler
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from conftest import Command
from fault_rounds import FAILED, Rounds, summary
from netwright.api import create_run
from netwright.planning.user_settings import UserSettings
from netwright.runs import postgresql as backend
from netwright.runs.folder import RunFolder
from netwright.runs.own_databases import remember_database
from netwright.runs.place import Place
from netwright.runs.storage import shared_backend
from postgresql_server import PostgreSQL
from real_trainings import OPTIONS
from tabulated import LEASE, TRIALS, Drivers, drivers
from whole_runs import Machine

Run = Callable[..., Path]
ROUND_SECONDS = 300
REPORT = pytest.StashKey[pytest.TestReport]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fault-rounds",
        type=int,
        help="how often each fault happens, at another moment each time; real trainings: a tenth of that",
    )
    parser.addoption(
        "--fault-log",
        type=Path,
        help="a file of the rounds that have passed; they are not tried again, so that the same command goes on",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Many rounds have more time, but not without an end."""
    rounds = config.getoption("--fault-rounds", None)
    for item in items if rounds else ():
        item.add_marker(pytest.mark.timeout(ROUND_SECONDS * rounds))


@pytest.fixture(scope="session")
def many(request: pytest.FixtureRequest) -> bool:
    """Whether the command line asks for many rounds. Then faults also last as long as they do in earnest."""
    return request.config.getoption("--fault-rounds", None) is not None


def rounds_of(request: pytest.FixtureRequest, chance: random.Random, share: int = 1) -> Iterator[Rounds]:
    """As many rounds as the command line says, divided by ``share``; else one."""
    wanted = int(request.config.getoption("--fault-rounds", None) or 1)
    log = request.config.getoption("--fault-log", None)
    rounds = Rounds(request.node.name, range(max(1, wanted // share)), chance, log)
    if (
        wanted > 1
    ):  # `faulthandler_timeout` would end all tests in the middle of a long one, which has its own limit
        faulthandler.cancel_dump_traceback_later()
    yield rounds
    report = request.node.stash.get(REPORT, None)
    if report is not None and report.failed:
        rounds.note(FAILED, str(report.longreprtext)[-2000:])


@pytest.fixture
def rounds(request: pytest.FixtureRequest, chance: random.Random) -> Iterator[Rounds]:
    """The rounds of a fault."""
    yield from rounds_of(request, chance)


@pytest.fixture
def trained_rounds(request: pytest.FixtureRequest, chance: random.Random) -> Iterator[Rounds]:
    """The rounds of a fault with real trainings."""
    yield from rounds_of(request, chance, share=10)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    if report.when == "call":
        item.stash[REPORT] = report
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    log = config.getoption("--fault-log", None)
    if log is not None:
        terminalreporter.section("rounds of faults, with those of earlier commands")
        terminalreporter.write_line("\n".join(summary(log)))


@pytest.fixture
def machine() -> Machine:
    """The machine before the test."""
    return Machine.now()


@pytest.fixture(scope="session")
def template(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has not begun. None of its networks is ever trained."""
    lease = {"storage.lease_seconds": LEASE}
    user = UserSettings(trials=TRIALS, epochs=1, workers=1, verdict_hours=0, seed=5, assignments=lease)
    folder = tmp_path_factory.mktemp("template") / "run"
    return create_run(dataset, "segnas4", user, folder).folder.root


@pytest.fixture
def new_run(template: Path, tmp_path: Path) -> Run:
    """Makes a run folder of its own: ``new_run(name, **settings by dotted name)``."""

    def make(name: str, **changes: object) -> Path:
        folder = shutil.copytree(template, tmp_path / name)
        RunFolder(folder).change_settings({"machine.hang_minutes": 10.0, **changes})
        return folder

    return make


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Drivers]:
    """The drivers of a test."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    with drivers(tmp_path) as fleet:
        yield fleet


@pytest.fixture(scope="session")
def straight(dataset: Path, netwright: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with real trainings that nothing has happened to."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    done = netwright("search", dataset, "-o", folder, *OPTIONS)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def _trainings(_postgresql: PostgreSQL) -> str:
    _postgresql.execute("CREATE DATABASE trainings")
    return "trainings"


@pytest.fixture
def trainings(postgresql: PostgreSQL, _trainings: str) -> str:
    """The URL of a database for studies with real trainings."""
    return postgresql.url(_trainings)


@pytest.fixture(scope="session")
def _database(_postgresql: PostgreSQL) -> str:
    _postgresql.execute("CREATE DATABASE faults")
    return "faults"


@pytest.fixture
def study(postgresql: PostgreSQL, _database: str, new_run: Run) -> Callable[..., list[Path]]:
    """Makes run folders that share a new study: ``study(name, addresses, **settings by dotted name)``.

    There is a folder for each address, at which it finds the server; None: where the server really is.
    """
    real = f"127.0.0.1:{postgresql.port}"

    def make(name: str, addresses: Sequence[str | None] = (None, None), **changes: object) -> list[Path]:
        folders = []
        for address, letter in zip(addresses, "abcd", strict=False):
            url = postgresql.url(_database).replace(real, address or real)
            remember_database(url)
            place = {"storage.url": url, "storage.study": name}
            folders.append(new_run(f"{name}-{letter}", **place, **changes))
        first = RunFolder(folders[0])
        own = Place(postgresql.url(_database), name)
        remember_database(own.url)
        assert backend.register_run(own, first.settings_file.read_text(), first.splits_file.read_text())
        return folders

    return make


@pytest.fixture
def journal(new_run: Run, tmp_path: Path) -> Callable[[str], list[Path]]:
    """Makes two run folders that share a new study in a journal file, by its name."""
    url = f"journal://{tmp_path / 'lab.journal'}"
    remember_database(url)

    def make(name: str) -> list[Path]:
        place = {"storage.url": url, "storage.study": name}
        folders = [new_run(f"{name}-{letter}", **place) for letter in "ab"]
        first = RunFolder(folders[0])
        texts = first.settings_file.read_text(), first.splits_file.read_text()
        assert shared_backend(url).register_run(Place(url, name), *texts)
        return folders

    return make


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Random moments, the same in each run of a test."""
    return random.Random(request.node.name)
