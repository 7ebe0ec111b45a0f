"""One driver with its run folder: whatever is killed in it, the run ends as it would have."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from fault_rounds import Rounds
from tabulated import STOPPED, TRIALS, Drivers, at_a_random_moment, kill, kill_workers, reward_of
from whole_runs import Machine, finished_trials, require_nothing_left, require_whole

pytestmark = pytest.mark.cluster


def terminate(process: BaseProcess) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid or 0, signal.SIGTERM)
    process.join(60)


FAULTS = {
    "the driver": kill,
    "the driver and its workers": lambda process: kill(process, workers=True),
    "a worker": kill_workers,
    "SIGTERM": terminate,
}


@pytest.mark.parametrize(
    "fault",
    [
        "the driver and its workers",
        "SIGTERM",
        pytest.param("the driver", marks=pytest.mark.slow),
        pytest.param("a worker", marks=pytest.mark.slow),
    ],
)
def test_a_run_ends_as_if_nothing_had_happened(
    fault: str,
    rounds: Rounds,
    chance: random.Random,
    new_run: Callable[..., Path],
    fleet: Drivers,
    machine: Machine,
) -> None:
    straight = new_run("straight")
    fleet.conduct(straight)
    expected = [(r.choice, r.reward, r.status) for r in require_whole(straight, TRIALS)]
    assert all(reward == reward_of(choice) for choice, reward, _ in expected)
    for number in rounds:
        folder = new_run(f"round-{number}")
        driver = fleet.begin(folder)
        at_a_random_moment(chance, [folder], driver)
        FAULTS[fault](driver)
        kept = finished_trials(folder)
        if fault == "a worker":
            fleet.finish(driver)
        else:
            assert not driver.is_alive()
            # SIGTERM ends it at once where it comes before the search has begun, or after its end.
            assert driver.exitcode in (0, STOPPED, -signal.SIGKILL, -signal.SIGTERM)
            fleet.conduct(folder)
        records = require_whole(folder, TRIALS, kept)
        assert [(r.choice, r.reward, r.status) for r in records] == expected, number
        require_nothing_left([straight, folder], fleet.sessions, machine)
