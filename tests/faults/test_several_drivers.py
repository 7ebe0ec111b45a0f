"""Two drivers of one study in a database: whatever is killed or cut off, each trial is finished once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from cut import cable, namespace
from fault_rounds import Rounds
from postgresql_server import PostgreSQL
from tabulated import (
    LEASE,
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


def require_of_the_table(records: list[Any]) -> None:
    assert all(record.reward == reward_of(record.choice) for record in records)


@pytest.mark.parametrize(
    "fault",
    [
        "a driver",
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
    postgresql: PostgreSQL,
    fleet: Drivers,
    machine: Machine,
) -> None:
    for number in rounds:
        folders = study(f"{fault}-{number}".replace(" ", "-"))
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
        fleet.finish(other)
        if fault.startswith("a driver"):
            fleet.conduct(folders[0])
        else:
            fleet.finish(one)
        for folder in folders:
            require_of_the_table(require_whole(folder, TRIALS, kept))
        require_nothing_left(folders, fleet.sessions, machine)


@pytest.mark.parametrize("way", ["stall", pytest.param("drop", marks=pytest.mark.slow)])
def test_a_connection_that_is_cut_and_healed_costs_nothing(
    way: str,
    rounds: Rounds,
    many: bool,
    chance: random.Random,
    study: Study,
    postgresql: PostgreSQL,
    fleet: Drivers,
    machine: Machine,
) -> None:
    """It is cut for longer than a lease: the other driver takes the trials up, and what comes late is dropped."""
    for number in rounds:
        with cable(postgresql.port) as line:
            folders = study(f"{way}-{number}", (None, line.address))
            near, far = (fleet.begin(folder) for folder in folders)
            at_a_random_moment(chance, folders, near, far)
            getattr(line, way)()
            time.sleep(cut_seconds(many, number))
            line.heal()
            require_both_finish(fleet, near, far, folders)
        require_nothing_left(folders, fleet.sessions, machine)


@pytest.mark.slow
def test_a_network_whose_link_went_down_for_a_while_costs_nothing(
    rounds: Rounds,
    many: bool,
    chance: random.Random,
    study: Study,
    postgresql: PostgreSQL,
    fleet: Drivers,
    machine: Machine,
) -> None:
    with namespace() as elsewhere:
        for number in rounds:
            with cable(postgresql.port, elsewhere.HOST) as line:
                folders = study(f"link-{number}", (None, line.address))
                near = fleet.begin(folders[0])
                far = fleet.begin(folders[1], Conditions(namespace=elsewhere.path))
                at_a_random_moment(chance, folders, near, far)
                elsewhere.cut()
                time.sleep(cut_seconds(many, number))
                elsewhere.heal()
                require_both_finish(fleet, near, far, folders)
            require_nothing_left(folders, fleet.sessions, machine)


def cut_seconds(many: bool, number: int) -> float:
    """Longer than a lease; in the first of many rounds longer than TCP waits for an answer (`tcp_user_timeout`)."""
    return 40.0 if many and number == 0 else LEASE + 1.0


def require_both_finish(fleet: Drivers, near: BaseProcess, far: BaseProcess, folders: list[Path]) -> None:
    for driver in (near, far):
        fleet.finish(driver)
    for folder in folders:
        require_of_the_table(require_whole(folder, TRIALS))


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
        for folder in folders:
            require_of_the_table(require_whole(folder, TRIALS))
        require_nothing_left(folders, fleet.sessions, machine)
