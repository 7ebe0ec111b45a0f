"""Several searches on one study in a journal file: no trial is lost, and none is counted twice."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from answering import Answering, settings_of, study_of, trained
from netwright.runs import journal as backend
from netwright.runs.data import SearchData
from netwright.runs.drivers import Driver, finished_by
from netwright.runs.folder import RunFolder
from netwright.runs.place import Place
from netwright.runs.storage import open_storage
from netwright.runs.trials import record_of, store_outcome
from netwright.searches.jobs import CandidateJob
from netwright.searches.loop import Search
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.strategies.completion import COMPLETION
from netwright.training.outcome import Outcome
from processes import line_of, wait_until

pytestmark = pytest.mark.cluster
LEASE = 1.5
TRIALS = 12


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(f"journal://{tmp_path / 'lab.journal'}", "study", LEASE)
    assert backend.register_run(place, "", "")
    return place


def reward_of(job: CandidateJob) -> Any:
    """A result that depends on the choice alone, as a table of trained networks has it."""
    return trained(zlib.crc32(repr(sorted(job.choice.items())).encode()) % 1000 / 1000)


def searched(
    folder: Path, settings: RunSettings, storage: Any, executor: Answering, driver: Driver | None = None
) -> optuna.Study:
    """The study after a search in it."""
    space = make_space(settings.space)
    study = study_of(settings, space, storage)
    data = SearchData(folder, (0, 1), (2,))
    Search(RunFolder(folder), settings, data, study, space, executor, driver).run()
    return study


def begun(place: Place, folder: Path, settings: RunSettings, answer: Callable[[CandidateJob], Any]) -> Any:
    """A driver in a thread: the thread, the executor with its jobs, and the errors that it raised."""
    executor, errors = Answering(answer), []

    def drive() -> None:
        try:
            with backend.driving(place, str(folder)) as driver:
                searched(folder, settings, driver.storage, executor, driver)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=drive)
    thread.start()
    return thread, executor, errors


def stored(place: Place) -> list[optuna.trial.FrozenTrial]:
    with backend.reading(place) as copy:
        if not copy.get_all_studies():
            return []
        return copy.get_all_trials(copy.get_study_id_from_name(place.study))


def require_whole(place: Place, trials: int) -> None:
    """The study has so many trials, numbered without gaps, and all are finished with a reward."""
    found = stored(place)
    assert [trial.number for trial in found] == list(range(trials))
    assert all(trial.state.is_finished() and trial.value is not None for trial in found)


def test_one_search_gives_what_it_gives_in_a_run_folder(place: Place, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, budget={"trials": 8})
    alone = searched(tmp_path / "a", settings, open_storage(RunFolder(tmp_path)), Answering(reward_of))
    thread, _, errors = begun(place, tmp_path / "b", settings, reward_of)
    thread.join(60)
    assert errors == []
    expected = [(t.params, t.value, t.user_attrs[COMPLETION]) for t in alone.trials]
    assert [(t.params, t.value, t.user_attrs[COMPLETION]) for t in stored(place)] == expected
    assert len(expected) == 8


def test_two_searches_share_the_budget_exactly(place: Place, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, budget={"trials": TRIALS})
    gate = threading.Barrier(2)
    waited = threading.local()

    def answer(job: CandidateJob) -> Any:
        if not getattr(waited, "done", False):  # so that both have begun before either is far
            waited.done = gate.wait(60) is not None
        return reward_of(job)

    drivers = [begun(place, tmp_path / name, settings, answer) for name in "ab"]
    for thread, _, errors in drivers:
        thread.join(60)
        assert errors == []
    jobs = Counter(job.folder.name for _, executor, _ in drivers for job in executor.jobs)
    assert set(jobs.values()) == {1}, "each trial is trained once, by one of them"
    assert all(executor.jobs for _, executor, _ in drivers)
    records = [record_of(trial) for trial in stored(place)]
    assert {f"{r.number:04d}" for r in records if r.cached_from is None} == set(jobs)
    require_whole(place, TRIALS)
    assert backend.drivers(place) == ()


KILLED = """
import sys, time
from pathlib import Path
from answering import settings_of
from test_sharing_journal import begun, reward_of
from netwright.runs.place import Place

wall = time.time
time.time = lambda: wall() + 3600

def answer(job):
    if job.folder.name == "0002":
        print("training", flush=True)
        time.sleep(600)
    return reward_of(job)

place = Place(sys.argv[1], "study", float(sys.argv[2]))
begun(place, Path(sys.argv[3]), settings_of(Path(sys.argv[3])), answer)[0].join()
"""


def test_the_trial_of_a_killed_search_is_taken_up_when_its_lease_has_lapsed(
    place: Place, tmp_path: Path
) -> None:
    words = [sys.executable, "-c", KILLED, place.url, str(LEASE), str(tmp_path)]
    paths = {"PYTHONPATH": ":".join([str(Path(__file__).parent), *sys.path])}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=paths) as one:
        assert line_of(one) == "training\n"
        first, executor, errors = begun(place, tmp_path / "b", settings_of(tmp_path), reward_of)
        wait_until(
            lambda: (
                len(stored(place)) == TRIALS and sum(not t.state.is_finished() for t in stored(place)) == 1
            )
        )
        time.sleep(2 * LEASE)
        assert first.is_alive(), "it waits for the other one, which renews its lease"
        assert "0002" not in {job.folder.name for job in executor.jobs}
        one.kill()
    first.join(60)
    assert errors == []
    assert [job.folder.name for job in executor.jobs][-1] == "0002"
    require_whole(place, TRIALS)


def test_who_wakes_while_it_finishes_a_trial_leaves_it_to_the_search_that_has_taken_it_up(
    place: Place,
) -> None:
    with backend.driving(place, "a") as one, backend.driving(place, "b") as other:
        study = optuna.create_study(storage=one.storage, study_name="study", direction="maximize")
        trial = one.ask(study, 0)
        assert trial is not None

        def finish_late() -> None:
            one.leave()
            assert other.take_up([trial._trial_id]) == trial._trial_id
            store_outcome(study, trial, Outcome.from_dict(trained(0.25)), 0.25)

        assert not finished_by(one, study, trial, finish_late)
        assert not stored(place)[0].state.is_finished()
        same = optuna.load_study(storage=other.storage, study_name="study")
        again = optuna.Trial(same, trial._trial_id)
        outcome = Outcome.from_dict(trained(0.75))
        assert finished_by(other, same, again, lambda: store_outcome(same, again, outcome, 0.75))
    (found,) = stored(place)
    assert (found.value, record_of(found).outcome) == (0.75, outcome)
