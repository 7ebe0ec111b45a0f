"""Two drivers of one study in a database: whatever is killed or cut off, each trial is finished once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from cut import Cable, cable, namespace
from fault_rounds import Rounds
from netwright.runs.trials import TrialRecord
from postgresql_server import PostgreSQL
from tabulated import (
    LEASE,
    REFUSED,
    TRIALS,
    Conditions,
    Drivers,
    at_a_random_moment,
    begun_trainings,
    kill,
    kill_workers,
    reward_of,
)
from whole_runs import Machine, finished_trials, require_nothing_left, require_whole

pytestmark = pytest.mark.cluster
Study = Callable[..., list[Path]]
HOUR = 3600.0


def require_of_the_table(folders: list[Path], kept: Iterable[TrialRecord] = ()) -> None:
    for folder in folders:
        records = require_whole(folder, TRIALS, kept)
        assert all(record.reward == reward_of(record.choice) for record in records)


def require_both_finish(
    fleet: Drivers, drivers: Iterable[BaseProcess], folders: list[Path], kept: Iterable[TrialRecord] = ()
) -> None:
    """Two drivers finish their study. One that began while the server was away was refused, and begins again."""
    for driver, folder in zip(drivers, folders, strict=True):
        if fleet.finish(driver, REFUSED) == REFUSED:
            assert "Is the server running" in fleet.said(driver)
            assert not any(folder.glob("trials/*")), "it gave up in the middle"
            fleet.conduct(folder)
    require_of_the_table(folders, kept)


@pytest.mark.parametrize(
    "fault",
    [
        "a driver",
        "a driver of a journal",
        "the server",
        pytest.param("a driver and its workers", marks=pytest.mark.slow),
        pytest.param("a worker", marks=pytest.mark.slow),
    ],
)
def test_what_is_killed_costs_nothing(
    fault: str,
    rounds: Rounds,
    chance: random.Random,
    study: Study,
    journal: Study,
    postgresql: PostgreSQL,
    fleet: Drivers,
    machine: Machine,
) -> None:
    make = journal if fault.endswith("journal") else study
    for number in rounds:
        folders = make(f"{fault}-{number}".replace(" ", "-"))
        one, other = (fleet.begin(folder) for folder in folders)
        at_a_random_moment(chance, folders, one, other)
        if fault == "the server":
            postgresql.stop()
            time.sleep(chance.uniform(0, 1))
            postgresql.start()
        elif fault == "a worker":
            kill_workers(one)
        else:
            kill(one, workers=fault.endswith("workers"))
        kept = finished_trials(folders[1])
        if fault.startswith("a driver"):
            fleet.finish(other)
            fleet.conduct(folders[0])
            require_of_the_table(folders, kept)
        else:
            require_both_finish(fleet, (one, other), folders, kept)
        require_nothing_left(folders, fleet.sessions, machine)


def suspend(process: BaseProcess, seconds: float) -> None:
    """Stops a process for a while, unless it has ended."""
    assert process.pid is not None
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGCONT)


@pytest.mark.parametrize("where", ["study", pytest.param("journal", marks=pytest.mark.slow)])
def test_a_driver_that_is_suspended_for_longer_than_a_lease_costs_nothing(
    where: str,
    rounds: Rounds,
    chance: random.Random,
    fleet: Drivers,
    machine: Machine,
    request: pytest.FixtureRequest,
) -> None:
    """The other one takes its trials up, and what comes of it when it wakes is dropped."""
    make = request.getfixturevalue(where)
    for number in rounds:
        folders = make(f"suspended-{where}-{number}")
        one, other = (fleet.begin(folder) for folder in folders)
        at_a_random_moment(chance, folders, one, other)
        suspend(one, LEASE + 1.0)
        require_both_finish(fleet, (one, other), folders)
        require_nothing_left(folders, fleet.sessions, machine)


@pytest.fixture
def require_no_loss(
    many: bool, chance: random.Random, study: Study, fleet: Drivers, machine: Machine
) -> Callable[..., None]:
    """One of two drivers is cut off from the server at a random moment, for longer than a lease, and healed.

    The other one takes its trials up, and what comes late is dropped.
    """

    def require(
        name: str,
        line: Cable,
        cut: Callable[[], None],
        heal: Callable[[], None],
        conditions: Conditions,
    ) -> None:
        folders = study(name, (None, line.address))
        near, far = fleet.begin(folders[0]), fleet.begin(folders[1], conditions)
        at_a_random_moment(chance, folders, near, far)
        cut()
        # The first of many is cut off for longer than TCP waits for an answer (`tcp_user_timeout`).
        time.sleep(40.0 if many and name.endswith("-0") else LEASE + 1.0)
        heal()
        require_both_finish(fleet, (near, far), folders)
        require_nothing_left(folders, fleet.sessions, machine)

    return require


@pytest.mark.parametrize("way", ["stall", pytest.param("drop", marks=pytest.mark.slow)])
def test_a_connection_that_is_cut_and_healed_costs_nothing(
    way: str, rounds: Rounds, postgresql: PostgreSQL, require_no_loss: Callable[..., None]
) -> None:
    for number in rounds:
        with cable(postgresql.port) as line:
            require_no_loss(f"{way}-{number}", line, getattr(line, way), line.heal, Conditions())


@pytest.mark.slow
def test_a_network_whose_link_went_down_for_a_while_costs_nothing(
    rounds: Rounds, postgresql: PostgreSQL, require_no_loss: Callable[..., None]
) -> None:
    with namespace() as elsewhere:
        there = Conditions(namespace=elsewhere.path)
        for number in rounds:
            with cable(postgresql.port, elsewhere.HOST) as line:
                require_no_loss(f"link-{number}", line, elsewhere.cut, elsewhere.heal, there)


def test_leases_go_by_the_clock_of_the_database(
    rounds: Rounds, chance: random.Random, study: Study, fleet: Drivers, machine: Machine
) -> None:
    """Two drivers whose clocks are two hours apart do not take one another's trials, unless one is killed."""
    for number in rounds:
        folders = study(f"clocks-{number}")
        clocks = chance.sample([HOUR, -HOUR], 2)
        long = {"long": (1, 2), "long_seconds": 3 * LEASE}
        drivers = [
            fleet.begin(f, Conditions(clock=clock, **long)) for f, clock in zip(folders, clocks, strict=True)
        ]
        if number % 2:
            at_a_random_moment(chance, folders, *drivers)
            kill(drivers[0])
            fleet.finish(drivers[1])
            fleet.conduct(folders[0])
        else:
            for driver in drivers:
                fleet.finish(driver)
            distinct = sum(record.cached_from is None for record in finished_trials(folders[0]))
            assert begun_trainings(folders) == distinct, "each network is trained once"
        require_of_the_table(folders)
        require_nothing_left(folders, fleet.sessions, machine)
