"""A search on a Ray cluster that loses a node, its head, or the search itself."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fault_rounds import Rounds
from netwright.runs.folder import RunFolder
from netwright_tests import EXECUTABLE
from processes import finish, has_ended, run, searching, wait_until
from ray_cluster import RayCluster, ray_cluster
from real_trainings import OPTIONS, in_training, require_same
from tabulated import REFUSED, TRIALS, Drivers, at_a_random_moment, kill, reward_of, training_processes
from whole_runs import Machine, finished_trials, require_nothing_left, require_whole

SOON = (
    "from netwright.execution import ray_head\n"
    "ray_head.SILENT_SECONDS, ray_head.LOOK_SECONDS = 1.0, 0.2\n"
    "from netwright.cli import main\nmain()\n"
)
"""The command, which notices at once that the head is lost: these trainings are shorter than it would wait."""
pytestmark = [pytest.mark.cluster, pytest.mark.slow]  # a quick one: tests/execution/test_ray.py
NewRun = Callable[..., Path]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster(nodes=2) as started:
        yield started


def on(cluster: RayCluster) -> dict[str, Any]:
    return {"machine.executor": "ray", "machine.ray_address": cluster.address, "machine.workers": 2}


def require_ended(folder: Path, fleet: Drivers, machine: Machine, kept: list[Any]) -> None:
    """The run is whole, and its workers on the nodes have ended, too."""
    records = require_whole(folder, TRIALS, kept)
    assert all(record.reward == reward_of(record.choice) for record in records)
    for process in training_processes([folder]):
        wait_until(lambda number=process: has_ended(number))
    require_nothing_left([folder], fleet.sessions, machine)


@pytest.mark.parametrize("fault", ["a node", "the driver"])
def test_what_is_killed_on_ray_costs_nothing(
    fault: str,
    cluster: RayCluster,
    rounds: Rounds,
    chance: random.Random,
    new_run: NewRun,
    fleet: Drivers,
    machine: Machine,
) -> None:
    for number in rounds:
        folder = new_run(f"round-{number}", **on(cluster))
        driver = fleet.begin(folder)
        at_a_random_moment(chance, [folder], driver)
        if fault == "a node":
            cluster.kill(chance.choice(cluster.nodes))
            kept = finished_trials(folder)
            fleet.finish(driver)
            assert "[state-dump]" not in fleet.said(driver)
            cluster.add_node()
        else:
            kill(driver)
            kept = finished_trials(folder)
            fleet.conduct(folder)
        require_ended(folder, fleet, machine, kept)


def test_a_search_whose_head_is_killed_says_so_and_goes_on_in_another_cluster(
    rounds: Rounds, chance: random.Random, new_run: NewRun, fleet: Drivers
) -> None:
    for number in rounds:
        with ray_cluster(nodes=1) as cluster:
            machine = Machine.now()
            folder = new_run(f"round-{number}", **on(cluster))
            driver = fleet.begin(folder)
            at_a_random_moment(chance, [folder], driver)
            cluster.kill_head()
            kept = finished_trials(folder)
            if fleet.finish(driver, REFUSED) == REFUSED:
                said = fleet.said(driver)
                assert "[state-dump]" not in said
                assert "Ray cluster" in said
                assert "Start Ray" in said
        with ray_cluster(nodes=1) as cluster:
            RunFolder(folder).change_settings({"machine.ray_address": cluster.address})
            fleet.conduct(folder)
        require_ended(folder, fleet, machine, kept)


@pytest.mark.parametrize("fault", ["a node", "the head"])
def test_a_training_goes_on(
    fault: str,
    trained_rounds: Rounds,
    chance: random.Random,
    straight: Path,
    dataset: Path,
    tmp_path: Path,
) -> None:
    for number in trained_rounds:
        folder = tmp_path / f"run-{number}"
        with ray_cluster(nodes=1) as cluster:
            machine = Machine.now()
            there = ("--executor", "ray", "--ray-address", cluster.address)
            with searching(
                [sys.executable, "-c", SOON, "search", dataset, "-o", folder, *OPTIONS, *there]
            ) as search:
                in_training(search, folder)
                time.sleep(chance.uniform(0, 0.3))
                if fault == "a node":
                    cluster.kill(cluster.nodes[0])
                    cluster.add_node()
                    finish(search)
                else:
                    workers = cluster.workers()
                    cluster.kill_head()
                    said, _ = finish(search)
                    assert search.returncode == 1, said
                    assert "The head node of the Ray cluster" in " ".join(said.split())
                    wait_until(lambda found=workers: all(has_ended(worker) for worker in found))
        if fault == "the head":
            with ray_cluster(nodes=1) as cluster:
                done = run([EXECUTABLE, "resume", folder], env={**os.environ, "RAY_ADDRESS": cluster.address})
            assert done.returncode == 0, done.stderr
        require_same(straight, folder)
        require_nothing_left([folder], [search.pid], machine)
