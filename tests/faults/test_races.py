"""Searches that share a race, as processes: one is killed, its part goes on in another, and the end is made once."""

from __future__ import annotations

import contextlib
import math
import os
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from fault_rounds import Rounds
from netwright.data.splits import Splits
from netwright.runs.candidates import TrainedCandidate, candidates_of
from netwright.runs.folder import RunFolder
from netwright.runs.own_databases import remember_database
from netwright.runs.place import place_of
from netwright.runs.storage import finished_elsewhere
from netwright.runs.trials import load_trials, record_of
from netwright.searches.race_trials import GONE, UNTIL
from processes import wait_until
from simulated_race import settings_of
from tabulated import LEASE, Drivers, kill
from whole_runs import Machine, require_nothing_left

pytestmark = pytest.mark.cluster
HOURS = 0.004
STEP = 0.1
"""Seconds of training between two checkpoints."""
TRAINED = "trained.txt"
"""In a trial's folder: the seconds of training in all at its beginning, and at each checkpoint."""
ENDS = "ends.txt"
"""In the folder of the trainings: a line for each time that the end was made."""


def trained(folder: Path, resume_from: Path | None, until: float, slowness: float) -> dict[str, Any]:
    """In a worker: a training that waits, leaves checkpoints, and gets better with time as a table says."""
    from netwright.training.checkpoint import load_values, save_checkpoint
    from netwright.training.fidelity import Fidelity
    from netwright.training.files import CHECKPOINT
    from netwright.training.outcome import Cost, Outcome, Status

    folder.mkdir(parents=True, exist_ok=True)
    sources = [path for path in (folder / CHECKPOINT, resume_from) if path is not None and path.exists()]
    seconds = load_values(sources[0])["seconds"] if sources else 0.0
    with (folder / TRAINED).open("a") as file:
        file.write(f"{seconds}\n")
        while seconds < until:
            time.sleep(STEP)
            seconds += STEP
            save_checkpoint(folder / CHECKPOINT, {}, {"seconds": seconds})
            file.write(f"{seconds}\n")
            file.flush()
    return Outcome(
        Status.COMPLETE,
        metrics={"dice": 1.0 - math.exp(-seconds / slowness)},
        cost=Cost(parameters=10),
        epochs=1,
        fidelity=Fidelity(seconds, "seconds"),
    ).to_dict()


class Table:
    """Worker processes whose trainings only wait."""

    def __init__(self) -> None:
        from netwright.execution.local import LocalExecutor

        self._inner = LocalExecutor(1, 1, None)

    def submit(self, function: Callable[..., Any], job: Any) -> Future[Any]:
        return self._inner.submit(
            trained, job.folder, job.resume_from, job.protocol.seconds, 2.0 + job.seed % 8
        )

    def shutdown(self) -> None:
        self._inner.shutdown()


def drive(root: Path, environment: dict[str, str], said: Path) -> None:
    """In a process of its own: the race of a run folder, then its end, which takes a second."""
    from netwright.api.sharing import is_finished, keep_in_step, once
    from netwright.files import write_json
    from netwright.runs.data import SearchData
    from netwright.runs.marks import COMPARING, FINISHED
    from netwright.runs.shared_trials import require_shared_trials
    from netwright.runs.storage import driving
    from netwright.searches.components import open_study
    from netwright.searches.multi_fidelity import MultiFidelitySearch
    from netwright.spaces import make_space

    os.setsid()
    os.environ.update(environment)
    with said.open("a") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    folder = RunFolder(root)
    if is_finished(folder):
        return

    def end() -> None:
        time.sleep(1.0)
        write_json(root / COMPARING, {"entries": [], "share_seconds": None})
        with (folder.trials / ENDS).open("a") as file:
            file.write(f"{root}\n")

    with folder.locked(), driving(folder) as driver, contextlib.closing(Closing(Table())) as table:
        keep_in_step(folder)
        require_shared_trials(folder)
        settings = folder.settings()
        study = open_study(folder, settings, driver.storage)
        data, space = SearchData(root, (0, 1), (2,)), make_space(settings.space)
        MultiFidelitySearch(folder, settings, data, study, space, table.inner, 1.0, driver=driver).run()
        if once(folder, driver, "end", end):
            driver.finish()
            write_json(root / FINISHED, {"finished": 0})


class Closing:
    """An executor that is shut down where a block ends."""

    def __init__(self, inner: Table) -> None:
        self.inner = inner

    def close(self) -> None:
        self.inner.shutdown()


def begin(fleet: Drivers, root: Path) -> BaseProcess:
    """A driver of `drive`, which does not outlive its test."""
    from tabulated import _SERVER

    environment = {n: os.environ[n] for n in ("PGPASSWORD", "NETWRIGHT_CACHE") if n in os.environ}
    said = fleet.outputs / f"output-{len(fleet.begun)}"
    process = _SERVER.Process(target=drive, args=(root, environment, said))
    process.start()
    fleet.begun.append((process, said))
    return process


@pytest.fixture
def database(database: str) -> str:
    remember_database(database)
    return database


def folders_of(url: str, study: str, tmp_path: Path, count: int) -> list[Path]:
    """Run folders that share a new race."""
    from netwright.api.joining import begin_study, join_study
    from netwright.runs.folder import create_run_folder
    from netwright.runs.shared_trials import make_shared_trials

    roots = [tmp_path / f"{study}-{letter}" for letter in "abc"[:count]]
    storage = {"url": url, "study": study, "lease_seconds": LEASE}
    settings = settings_of(
        tmp_path,
        storage=storage,
        budget={"hours": HOURS, "trials": 3},
        race={"first_seconds": 0.6},
        machine={"workers": 1},
        training={"device": "cpu"},
    )
    splits = Splits(("a", "b"), ("c",), ("d",))
    begun = begin_study(settings, splits, roots[0])
    assert begun is not None
    first = create_run_folder(roots[0], begun, splits)
    make_shared_trials(first.shared_trials)
    for root in roots[1:]:
        join_study(place_of(first), root, {"machine.workers": 1})
    return roots


def wait_for(folder: RunFolder, parts: int, drivers: list[BaseProcess]) -> None:
    """Waits until so many parts have begun, or every driver has ended."""
    files = f"*/{TRAINED}"
    wait_until(
        lambda: len(list(folder.trials.glob(files))) >= parts or not any(d.is_alive() for d in drivers)
    )


def steps_of(folder: RunFolder, number: int) -> list[float]:
    """The seconds of training at the beginning and at each checkpoint of a part."""
    file = folder.trial(number) / TRAINED
    return [float(line) for line in file.read_text().split()] if file.exists() else []


def require_no_part_twice(folder: RunFolder) -> tuple[TrainedCandidate, ...]:
    """Every training is one row of parts, each of which goes on where the one before ended, or was cut off."""
    trials = load_trials(folder)
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert all(trial.state.is_finished() for trial in trials)
    candidates = candidates_of(map(record_of, trials))
    for candidate in candidates:
        assert [p.continues for p in candidate.parts[1:]] == [p.number for p in candidate.parts[:-1]]
        reached, before = 0.0, 0.0
        for part in candidate.parts:
            steps = steps_of(folder, part.number)
            if steps:
                assert abs(steps[0] - reached) <= 1.5 * STEP, "it goes on from the last checkpoint"
                assert len(steps) == round((steps[-1] - steps[0]) / STEP) + 1, "and begins once"
                reached = steps[-1]
            if part.status == "complete":
                until = trials[part.number].user_attrs[UNTIL]
                assert steps[-1] <= max(until, before + 1.0) + 2 * STEP, "a part has a second at least"
                before = steps[-1]
    return candidates


@pytest.mark.parametrize(
    ("count", "workers"),
    [
        (2, False),
        pytest.param(2, True, marks=pytest.mark.slow),
        pytest.param(3, True, marks=pytest.mark.slow),
    ],
)
def test_the_part_of_a_killed_driver_goes_on_in_another_and_the_end_is_made_once(
    count: int,
    workers: bool,
    rounds: Rounds,
    chance: random.Random,
    database: str,
    fleet: Drivers,
    machine: Machine,
    tmp_path: Path,
) -> None:
    for number in rounds:
        roots = folders_of(database, f"race-{number}", tmp_path, count)
        folder = RunFolder(roots[0])
        drivers = [begin(fleet, root) for root in roots]
        wait_for(folder, chance.randrange(2, 6), drivers)
        time.sleep(chance.uniform(0, 0.5))
        kill(drivers[0], workers=workers)
        for driver in drivers[1:]:
            fleet.finish(driver)
        last = begin(fleet, roots[0])
        fleet.finish(last)
        candidates = require_no_part_twice(folder)
        assert len(candidates) <= 3
        lost = [p for c in candidates for p in c.parts if p.reason == GONE]
        assert len(lost) <= 1, "it had one worker"
        assert all(
            p.number < max(q.number for q in c.parts) for c in candidates for p in c.parts if p in lost
        )
        assert len((folder.trials / ENDS).read_text().split()) == 1
        assert finished_elsewhere(folder) is not None
        require_nothing_left(roots, fleet.sessions, machine)


def waits(fleet: Drivers, driver: BaseProcess) -> bool:
    """Whether a driver waits to see whether another one lives that makes the end."""
    said = next(said for one, said in fleet.begun if one is driver)
    return said.exists() and "Waiting up to" in said.read_text()


def test_a_driver_that_is_killed_while_it_makes_the_end_leaves_it_to_another(
    database: str, fleet: Drivers, tmp_path: Path
) -> None:
    roots = folders_of(database, "end", tmp_path, 2)
    folder = RunFolder(roots[0])
    drivers = [begin(fleet, root) for root in roots]
    wait_for(folder, 1, drivers)
    wait_until(lambda: any(waits(fleet, d) for d in drivers) or not any(d.is_alive() for d in drivers))
    waiting = next((d for d in drivers if waits(fleet, d)), None)
    if waiting is not None:  # on a machine that is busy it may be over already
        ending = next(d for d in drivers if d is not waiting)
        if ending.is_alive():
            os.kill(ending.pid or 0, signal.SIGKILL)
        fleet.finish(ending, -signal.SIGKILL)
    for driver in drivers:
        fleet.finish(driver, -signal.SIGKILL)
    assert 1 <= len((folder.trials / ENDS).read_text().split()) <= 2
    assert finished_elsewhere(folder) is not None
    require_no_part_twice(folder)
