"""Several searches on one study of a real PostgreSQL server: no trial is lost, and none is counted twice."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import sqlalchemy

from answering import Answering, settings_of, study_of, trained
from netwright.errors import StorageError
from netwright.execution.run_jobs import Done
from netwright.runs import leases, reconnecting
from netwright.runs import postgresql as backend
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
from netwright.training.files import CHECKPOINT
from netwright.training.outcome import Outcome
from postgresql_server import PASSWORD, PostgreSQL
from processes import line_of, wait_until

psycopg = pytest.importorskip("psycopg")
LEASE = 1.5


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


def require_whole(place: Place, trials: int) -> list[optuna.trial.FrozenTrial]:
    """The study has so many trials, numbered without gaps, and all are finished with a reward."""
    found = stored(place)
    assert [trial.number for trial in found] == list(range(trials))
    assert all(trial.state.is_finished() and trial.value is not None for trial in found)
    assert len({trial.system_attrs[reconnecting.TOKEN] for trial in found}) == trials
    return found


def test_one_search_gives_what_it_gives_in_a_run_folder(place: Place, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, budget={"trials": 8})
    alone = searched(tmp_path / "a", settings, open_storage(RunFolder(tmp_path)), Answering(reward_of))
    thread, _, errors = begun(place, tmp_path / "b", settings, reward_of)
    thread.join(60)
    assert errors == []
    expected = [(t.params, t.value, t.user_attrs[COMPLETION]) for t in alone.trials]
    assert [(t.params, t.value, t.user_attrs[COMPLETION]) for t in stored(place)] == expected
    assert len(expected) == 8


@pytest.mark.parametrize("count", ["all", "distinct"])
def test_two_searches_share_the_budget_exactly(place: Place, tmp_path: Path, count: str) -> None:
    settings = settings_of(tmp_path, budget={"trials": 16, "count": count})
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
    found = stored(place)
    assert [trial.number for trial in found] == list(range(len(found)))
    records = [record_of(trial) for trial in found]
    assert sum(count == "all" or record.cached_from is None for record in records) == 16
    assert {f"{r.number:04d}" for r in records if r.cached_from is None} == set(jobs)
    assert backend.drivers(place) == ()


KILLED = """
import sys, time
from datetime import datetime, timedelta
from pathlib import Path
from optuna.storages._rdb import storage
from answering import settings_of
from test_sharing import begun, reward_of
from netwright.runs.place import Place

class Late(datetime):
    @classmethod
    def now(cls, zone=None):
        return datetime.now(zone) + timedelta(hours=1)

wall, storage.datetime = time.time, Late
time.time = lambda: wall() + 3600

def answer(job):
    if job.folder.name == "0002":
        print("training", flush=True)
        time.sleep(600)
    return reward_of(job)

driver = Place(sys.argv[1], "study", float(sys.argv[2]))
begun(driver, Path(sys.argv[3]), settings_of(Path(sys.argv[3])), answer)[0].join()
"""


def test_a_trial_whose_lease_is_not_renewed_is_taken_up_and_its_late_result_is_dropped(
    place: Place, tmp_path: Path
) -> None:
    place, found = replace(place, lease_seconds=LEASE), []

    def answer(job: CandidateJob) -> Any:
        found.extend(path.read_bytes() for path in job.folder.glob("*"))
        return reward_of(job)

    with backend.driving(place, "a") as gone:
        gone.renew = lambda: None
        study = optuna.create_study(storage=gone.storage, study_name="study", direction="maximize")
        assert gone.ask(study, 1) is None, "there is no trial yet"
        trial = gone.ask(study, 0)
        left = RunFolder(tmp_path / "a").trial(0) / CHECKPOINT
        left.parent.mkdir(parents=True)
        left.write_bytes(b"as far as it came")
        trial.set_user_attr("folder", str(tmp_path / "a"))
        asked = time.monotonic()
        thread, executor, errors = begun(place, tmp_path / "b", settings_of(tmp_path), answer)
        thread.join(60)
        assert errors == []
        assert time.monotonic() - asked > LEASE
        assert "0000" in {job.folder.name for job in executor.jobs}
        assert found == [b"as far as it came"], "its training goes on"
        assert not gone.holds(trial._trial_id)
    require_whole(place, 12)


def test_drivers_make_trials_in_turns_but_none_waits_for_one_that_does_not_end(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    with backend.driving(place, "a") as one, backend.driving(place, "b") as other:

        def take() -> None:
            with other.turn():
                order.append("b")

        with one.turn():
            waiting = threading.Thread(target=take)
            waiting.start()
            time.sleep(0.5)
            order.append("a")
        waiting.join(30)
        assert order == ["a", "b"]
        study = optuna.create_study(storage=one.storage, study_name="study")
        with one.turn():
            assert one.ask(study, 0) is not None
            take()
        assert order.pop() == "b", "the turn is over with the trial, not with what is proposed for it"
        monkeypatch.setattr(leases, "TURN_SECONDS", 0.1)
        with one.turn():
            take()
        assert order == ["a", "b", "b"], "it goes on without its turn"
        one._engine.dispose()
        with one.turn():
            assert one.reserve("the end") is None, "the connection is there"


def test_a_result_that_is_stored_while_another_search_finishes_the_trial_is_dropped(
    place: Place, tmp_path: Path
) -> None:
    with backend.driving(place, "a") as one:
        holds = one.holds

        def lost_just_then(trial: int) -> bool:
            """Whether it holds the trial: yes, but then the server is away, and another search finishes the trial."""
            held = holds(trial)
            if trial not in finished:
                finished.add(trial)
                study = optuna.load_study(storage=backend.open_for_writing(place), study_name="study")
                store_outcome(study, optuna.Trial(study, trial), Outcome.from_dict(trained(0.25)), 0.25)
                study._storage._backend.engine.dispose()
            return held

        finished, executor = set(), Answering(reward_of)
        one.holds = lost_just_then
        searched(tmp_path, settings_of(tmp_path, budget={"trials": 4}), one.storage, executor, one)
    assert [trial.value for trial in require_whole(place, 4)] == [0.25] * 4
    assert len(executor.jobs) <= 4


def search_of(folder: Path, settings: RunSettings, driver: Driver) -> Search:
    """A search as one driver of a study makes it."""
    space = make_space(settings.space)
    study = study_of(settings, space, driver.storage)
    data = SearchData(folder, (0, 1), (2,))
    return Search(RunFolder(folder), settings, data, study, space, Answering(reward_of), driver)


def suspended(one: Driver, other: Driver, trial: int) -> optuna.Trial:
    """The trial of a driver that is away for longer than its lease, as the one has it that takes it up."""
    one.leave()
    assert other.take_up([trial]) == trial
    return optuna.Trial(optuna.load_study(storage=other.storage, study_name="study"), trial)


def test_who_wakes_while_it_finishes_a_trial_leaves_it_to_the_search_that_has_taken_it_up(
    place: Place,
) -> None:
    with backend.driving(place, "a") as one, backend.driving(place, "b") as other:
        study = optuna.create_study(storage=one.storage, study_name="study", direction="maximize")
        trial = one.ask(study, 0)
        taken = []

        def finish_late() -> None:
            taken.append(suspended(one, other, trial._trial_id))
            store_outcome(study, trial, Outcome.from_dict(trained(0.25)), 0.25)

        assert not finished_by(one, study, trial, finish_late)
        assert not stored(place)[0].state.is_finished()
        (again,) = taken
        store = partial(store_outcome, again.study, again, Outcome.from_dict(trained(0.75)), 0.75)
        assert finished_by(other, again.study, again, store)
    (found,) = stored(place)
    assert found.value == 0.75
    assert record_of(found).outcome == Outcome.from_dict(trained(0.75))


def test_a_trial_that_was_finished_since_one_looked_is_not_taken_up(place: Place) -> None:
    with backend.driving(place, "a") as one, backend.driving(place, "b") as other:
        study = optuna.create_study(storage=one.storage, study_name="study", direction="maximize")
        trials = [one.ask(study, number) for number in range(2)]
        study.tell(trials[0], 0.5)
        one.release(trials[0]._trial_id)
        seen = [trial._trial_id for trial in trials]
        assert other.take_up(seen) is None
        one.leave()
        assert other.take_up(seen[1:]) == seen[1]


def test_a_trial_that_waits_here_is_left_to_the_search_that_has_taken_it_up(
    place: Place, tmp_path: Path
) -> None:
    with backend.driving(place, "a") as one, backend.driving(place, "b") as other:
        search = search_of(tmp_path, settings_of(tmp_path), one)
        waiting = search._next_trial()
        search._unfinished.append(waiting)
        suspended(one, other, waiting._trial_id)
        assert search._next_trial().number == 1


def test_a_training_whose_trial_another_search_has_finished_goes_on_undisturbed_and_leaves_nothing(
    place: Place, tmp_path: Path
) -> None:
    with backend.driving(place, "a") as one, backend.driving(place, "b") as other:
        search = search_of(tmp_path, settings_of(tmp_path), one)
        job = search._next_job()
        folder = RunFolder(tmp_path).trial(0)
        folder.mkdir(parents=True)
        (folder / CHECKPOINT).write_bytes(b"as far as it came")
        taken = suspended(one, other, job.key.trial._trial_id)
        store_outcome(taken.study, taken, Outcome.from_dict(trained(0.25)), 0.25)
        search._meet_others()
        assert (folder / CHECKPOINT).exists(), "its worker writes this file"
        search._running.remove(job.key)
        search._finish(Done(job, trained(0.75)))
        assert not list(folder.glob(f"{CHECKPOINT}*"))
        assert search._counted == 1
    assert [trial.value for trial in stored(place)] == [0.25]


@pytest.mark.slow
def test_the_trial_of_a_killed_search_is_taken_up_when_its_lease_has_lapsed_though_its_clock_was_wrong(
    place: Place, tmp_path: Path
) -> None:
    place = replace(place, lease_seconds=LEASE)
    words = [sys.executable, "-c", KILLED, place.url, str(LEASE), str(tmp_path)]
    paths = {"PYTHONPATH": ":".join([str(Path(__file__).parent), *sys.path])}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env={"PGPASSWORD": PASSWORD, **paths}
    ) as one:
        assert line_of(one) == "training\n"
        first, executor, errors = begun(place, tmp_path / "b", settings_of(tmp_path), reward_of)
        wait_until(
            lambda: len(stored(place)) == 12 and sum(not t.state.is_finished() for t in stored(place)) == 1
        )
        time.sleep(2 * LEASE)
        assert first.is_alive(), "it waits for the other one, which renews its lease"
        assert "0002" not in {job.folder.name for job in executor.jobs}
        one.kill()
    first.join(60)
    assert errors == []
    assert [job.folder.name for job in executor.jobs][-1] == "0002"
    require_whole(place, 12)


def test_a_search_goes_on_when_the_server_was_stopped_and_started(
    place: Place, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, budget={"trials": 24})
    drivers = [begun(place, tmp_path / name, settings, reward_of) for name in "ab"]
    wait_until(lambda: len(stored(place)) > 2)
    postgresql.stop()
    time.sleep(0.5)
    postgresql.start()
    for thread, _, errors in drivers:
        thread.join(60)
        assert errors == []
    require_whole(place, 24)


def test_nothing_is_stored_twice_when_the_answer_to_a_commit_is_lost(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnecting, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr("optuna.storages._rdb.storage.random", SimpleNamespace(random=lambda: 0.01))
    lost, executor = Counter(), Answering(reward_of)
    with backend.driving(place, "here") as driver:
        engine, kinds = driver.storage.engine, []
        commit = engine.dialect.do_commit

        @sqlalchemy.event.listens_for(engine, "before_cursor_execute")
        def note(_: Any, __: Any, statement: str, *___: Any) -> None:
            words = " ".join(statement.split()[:3])
            kinds.append(words if words in ("INSERT INTO trials", "UPDATE trials SET") else "else")

        def do_commit(connection: Any) -> None:
            commit(connection)
            kind = next((kind for kind in kinds if kind != "else"), "else")
            kinds.clear()
            lost[kind] += 1
            if lost[kind] % 2 and (kind != "else" or lost[kind] % 5 == 0):
                lost[f"{kind}, its answer lost"] += 1
                raise psycopg.OperationalError("the server closed the connection unexpectedly")

        monkeypatch.setattr(engine.dialect, "do_commit", do_commit)
        searched(tmp_path, settings_of(tmp_path), driver.storage, executor, driver)
    assert lost["INSERT INTO trials, its answer lost"] == 6
    assert lost["UPDATE trials SET, its answer lost"] == 6
    require_whole(place, 12)
    assert len(executor.jobs) == len({job.folder.name for job in executor.jobs})


def test_a_server_that_stays_away_ends_the_search_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnecting, "AWAY_SECONDS", 0.3)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        engine = sqlalchemy.create_engine(f"postgresql+psycopg://a@127.0.0.1:{nobody.getsockname()[1]}/a")
        with pytest.raises(StorageError, match=r"lab has been away for .*refused.* 'netwright resume'"):
            reconnecting.persistently(engine.connect, "lab")


def test_a_task_for_one_is_done_by_one(place: Place) -> None:
    place = replace(place, lease_seconds=LEASE)
    with backend.driving(place, "a") as one:
        with backend.driving(place, "b") as other:
            assert one.reserve("comparison") is None
            assert "in a" in str(other.reserve("comparison"))
            assert len(backend.drivers(place)) == 2
        one.release(0)
    with backend.driving(place, "c") as later:
        assert later.reserve("comparison") is None, "those that have ended hold nothing"


def test_a_finished_study_that_goes_on_is_unfinished_for_all(place: Place) -> None:
    assert backend.register_run(place, "as begun", "{}")
    with backend.driving(place, "a") as one:
        one.finish()
    kept = backend.registered_run(place)
    assert kept is not None
    assert kept.finished == "a"
    backend.reopen(place, "with more hours")
    assert backend.registered_run(place) == backend.KeptRun("with more hours", "{}")
