"""Real trainings that are killed go on from their checkpoints, and end with the same weights bit for bit."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

import netwright as package
from conftest import Command
from fault_rounds import Rounds
from netwright.training.files import WEIGHTS
from netwright_tests import EXECUTABLE
from postgresql_server import PostgreSQL
from processes import Search, finish, searching, wait_until
from real_trainings import OPTIONS, TRIALS, in_training, require_same
from whole_runs import Machine, finished_trials, require_nothing_left, require_whole

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
]  # killed trainings of one driver: tests/cli/test_killed.py


@pytest.mark.parametrize("fault", ["the search", "its worker", "SIGTERM"])
def test_a_training_goes_on(
    fault: str,
    trained_rounds: Rounds,
    chance: random.Random,
    straight: Path,
    dataset: Path,
    netwright: Command,
    machine: Machine,
    tmp_path: Path,
) -> None:
    for number in trained_rounds:
        folder = tmp_path / f"run-{number}"
        with searching([EXECUTABLE, "search", dataset, "-o", folder, *OPTIONS]) as search:
            in_training(search, folder)
            time.sleep(chance.uniform(0, 0.3))
            hit(search, fault)
            kept = finished_trials(folder)
            if fault == "its worker":
                finish(search)
        if fault != "its worker":
            done = netwright("resume", folder)
            assert done.returncode == 0, done.stderr
        require_same(straight, folder, kept=kept)
        require_nothing_left([folder], [search.pid], machine)


def hit(search: Search, fault: str) -> None:
    if fault == "SIGTERM":
        search.send_signal(signal.SIGTERM)
        finish(search)
    elif fault == "the search":
        search.kill()
        finish(search)
    else:
        for worker in psutil.Process(search.pid).children():
            with contextlib.suppress(psutil.Error):
                worker.kill()


def test_the_training_of_a_killed_driver_goes_on_in_another_ones_folder(
    trained_rounds: Rounds,
    straight: Path,
    dataset: Path,
    netwright: Command,
    trainings: str,
    machine: Machine,
    tmp_path: Path,
) -> None:
    for number in trained_rounds:
        one, other = tmp_path / f"one-{number}", tmp_path / f"other-{number}"
        study = ("--storage", trainings, "--study", f"lab-{number}")
        words = [EXECUTABLE, "search", dataset, "-o", one, *OPTIONS, *study]
        with searching([*words, "--set", "storage.lease_seconds=1"]) as search:
            in_training(search, one)
            search.kill()
            finish(search)
        done = netwright("resume", *study, "-o", other, "--workers", 1)
        assert done.returncode == 0, done.stderr
        assert package.open_run(one).status().phase == "finished"
        assert netwright("resume", one).returncode == 0
        require_same(straight, one, other)
        require_nothing_left([one, other], [search.pid], machine)


def test_a_training_goes_on_while_the_server_of_its_study_is_stopped_and_started(
    trained_rounds: Rounds,
    chance: random.Random,
    straight: Path,
    dataset: Path,
    postgresql: PostgreSQL,
    trainings: str,
    machine: Machine,
    tmp_path: Path,
) -> None:
    for number in trained_rounds:
        folder = tmp_path / f"run-{number}"
        study = ("--storage", trainings, "--study", f"stopped-{number}")
        with searching([EXECUTABLE, "search", dataset, "-o", folder, *OPTIONS, *study]) as search:
            in_training(search, folder)
            postgresql.stop()
            time.sleep(chance.uniform(0, 3))
            postgresql.start()
            finish(search)
        require_same(straight, folder)
        require_nothing_left([folder], [search.pid], machine)


COMPARED = ("--set", "verdict.references=[monai-unet]", "--set", "verdict.epochs=3")
NETWORKS = ("winner", "verdict/random", "verdict/monai-unet")


@pytest.fixture(scope="module")
def compared(straight: Path, dataset: Path, netwright: Command) -> Path:
    """A run with a final comparison, to which nothing has happened."""
    folder = straight.with_name("compared")
    done = netwright("search", dataset, "-o", folder, *OPTIONS, "--verdict-hours", 1, *COMPARED)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_comparison_that_is_killed_ends_with_the_same_networks(
    trained_rounds: Rounds,
    chance: random.Random,
    compared: Path,
    dataset: Path,
    netwright: Command,
    machine: Machine,
    tmp_path: Path,
) -> None:
    for number in trained_rounds:
        folder = tmp_path / f"run-{number}"
        words = ["search", dataset, "-o", folder, *OPTIONS, "--verdict-hours", 1, *COMPARED]
        with searching([EXECUTABLE, *words]) as search:
            wait_until((folder / chance.choice(NETWORKS)).exists, search)
            time.sleep(chance.uniform(0, 1.5))
            search.kill()
            finish(search)
        done = netwright("resume", folder)
        assert done.returncode == 0, done.stderr
        require_whole(folder, TRIALS)
        for network in NETWORKS:
            mine, theirs = folder / network, compared / network
            assert (mine / WEIGHTS).read_bytes() == (theirs / WEIGHTS).read_bytes()
            scores = [json.loads((one / "result.json").read_text())["scores"] for one in (mine, theirs)]
            assert scores[0] == scores[1]
        require_nothing_left([folder], [search.pid], machine)
