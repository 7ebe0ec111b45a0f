"""Several searches share a race on a real PostgreSQL server: they decide as one would, and train nothing twice."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from answering import study_of
from netwright.execution.run_jobs import Done, Job
from netwright.runs import postgresql as backend
from netwright.runs.candidates import TrainedCandidate, candidates_of
from netwright.runs.data import SearchData
from netwright.runs.drivers import END, Driver
from netwright.runs.folder import RunFolder
from netwright.runs.place import Place
from netwright.runs.storage import shared_backend
from netwright.runs.trials import CONTINUES, record_of
from netwright.searches import multi_fidelity, race_trials
from netwright.searches.jobs import CandidateJob
from netwright.searches.multi_fidelity import MultiFidelitySearch
from netwright.searches.race_trials import GONE, UNTIL, await_others
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.training.checkpoint import save_checkpoint
from netwright.training.files import CHECKPOINT
from simulated_race import Simulated, settings_of

pytest.importorskip("psycopg")
KEPT = 20.0


def search_of(
    root: Path, settings: RunSettings, executor: Any, storage: Any = None, driver: Driver | None = None
) -> MultiFidelitySearch:
    """One of the searches of a study, in a folder that all of them share."""
    space = make_space(settings.space)
    study = study_of(settings, space, storage)
    data = SearchData(root, (0, 1), (2,))
    folder = RunFolder(root)
    return MultiFidelitySearch(folder, settings, data, study, space, executor, KEPT, executor.now, driver)


@dataclass
class Running:
    """A part in training on the simulated clock."""

    ends: float
    order: int
    search: MultiFidelitySearch
    job: Job
    result: Any


def simulate(searches: list[MultiFidelitySearch], workers: list[int], executor: Simulated) -> None:
    """Runs searches to their end on one clock. Whoever is idle looks for a part whenever one has ended."""
    jobs = [search._jobs() for search in searches]
    running: list[Running] = []
    while True:
        for search, asked, most in zip(searches, jobs, workers, strict=True):
            while sum(part.search is search for part in running) < most and (job := next(asked)) is not None:
                now = executor.seconds
                result = executor.submit(job.function, job.argument("cpu")).result()
                running.append(Running(executor.seconds, job.key.trial.number, search, job, result))
                executor.seconds = now
        if not running:
            return
        running.sort(key=lambda part: (part.ends, part.order))
        ended = running.pop(0)
        executor.seconds = ended.ends
        ended.search._finish(Done(ended.job, ended.result))


def parts_of(study: optuna.Study) -> list[tuple[Any, ...]]:
    """What was decided and what came of it, part by part."""
    return [
        (t.number, t.params, t.user_attrs.get(CONTINUES), round(t.user_attrs[UNTIL], 6), round(t.value, 9))
        for t in study.get_trials()
        if "cached_from" not in t.user_attrs
    ]


@pytest.fixture
def disk(tmp_path: Path) -> Place:
    """A study in a journal file, in place of the server."""
    place = Place(f"journal://{tmp_path / 'lab.journal'}", "study")
    assert shared_backend(place.url).register_run(place, "", "")
    return place


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("rule", "drivers", "where"),
    [
        ("asha", 2, "place"),
        ("asha", 3, "place"),
        ("asha", 3, "disk"),
        ("freeze-thaw", 2, "place"),
        ("short-then-best", 3, "place"),
    ],
)
def test_several_searches_decide_what_one_with_as_many_workers_would(
    rule: str, drivers: int, where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue(where)
    # What a part takes beside its training is what each search assumes at first, whoever trains it.
    race = {"first_seconds": 30, "rule": rule}

    def settings(workers: int) -> RunSettings:
        machine = {"workers": workers, "executor": "ray", "ray_address": "auto"}  # so that none are joined
        return settings_of(tmp_path, budget={"hours": 0.25}, race=race, machine=machine)

    executor = Simulated(beside=multi_fidelity.SECONDS_BESIDE)
    alone = search_of(tmp_path / "alone", settings(drivers), executor)
    simulate([alone], [drivers], executor)
    expected = parts_of(alone._study)
    assert any(part[2] is not None for part in expected)

    executor = Simulated(beside=multi_fidelity.SECONDS_BESIDE)
    with contextlib.ExitStack() as ended:
        searches = []
        for name in "abc"[:drivers]:
            driver = ended.enter_context(shared_backend(place.url).driving(place, name))
            driver.workers(1)
            searches.append(search_of(tmp_path / "shared", settings(1), executor, driver.storage, driver))
        simulate(searches, [1] * drivers, executor)
        assert parts_of(searches[0]._study) == expected
    assert Counter(job.folder.name for job in executor.jobs).most_common(1)[0][1] == 1


class Scaled:
    """Trains in threads, on a clock that runs faster than that of the wall. A checkpoint holds the seconds so far."""

    FACTOR = 40.0

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor()
        self._table = Simulated()
        self.jobs: list[CandidateJob] = []

    def now(self) -> float:
        return time.monotonic() * self.FACTOR

    def submit(self, function: Callable[..., Any], job: CandidateJob) -> Future[Any]:
        self.jobs.append(job)
        return self._threads.submit(self._train, function, job)

    def _train(self, function: Callable[..., Any], job: CandidateJob) -> Any:
        begun = self._table.seconds
        result = Simulated.submit(self._table, function, job).result()
        time.sleep(max(0.0, self._table.seconds - begun) / self.FACTOR)
        return result


def begun(
    place: Place, root: Path, settings: RunSettings
) -> tuple[threading.Thread, Scaled, list[Exception]]:
    """A search in a thread: the thread, its executor, and the errors that it raised."""
    executor, errors = Scaled(), list[Exception]()

    def drive() -> None:
        try:
            with backend.driving(place, f"{root}") as driver:
                search_of(root, settings, executor, driver.storage, driver).run()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=drive)
    thread.start()
    return thread, executor, errors


def candidates_in(place: Place) -> tuple[TrainedCandidate, ...]:
    with backend.reading(place) as copy:
        trials = copy.get_all_trials(copy.get_study_id_from_name(place.study))
    assert [t.number for t in trials] == list(range(len(trials)))
    assert all(t.state.is_finished() for t in trials)
    return candidates_of(map(record_of, trials))


def test_searches_at_the_same_time_train_no_part_twice_and_keep_the_number_of_candidates(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwright.searches.others.POLL_SECONDS", 0.05)
    settings = settings_of(tmp_path, budget={"hours": 0.15, "trials": 3}, machine={"workers": 1})
    searches = [begun(place, tmp_path, settings) for _ in range(3)]
    for thread, _, errors in searches:
        thread.join(120)
        assert errors == []
    jobs = Counter(job.folder.name for _, executor, _ in searches for job in executor.jobs)
    assert set(jobs.values()) == {1}, "each part is trained once, by one of them"
    assert all(executor.jobs for _, executor, _ in searches)
    candidates = candidates_in(place)
    assert len(candidates) == 3
    assert len({candidate.parts[0].network for candidate in candidates}) == 3
    for candidate in candidates:
        goes_on = [part.continues for part in candidate.parts[1:]]
        assert goes_on == [part.number for part in candidate.parts[:-1]], "one part after the other"
    assert backend.drivers(place) == ()


@pytest.mark.cluster
@pytest.mark.parametrize("where", ["place", "disk"])
def test_the_part_of_a_search_that_is_gone_is_made_again_from_what_it_left_and_its_late_result_is_dropped(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue(where)
    backend = shared_backend(place.url)
    machine = {"workers": 2, "executor": "ray", "ray_address": "auto"}  # so that none are joined
    settings = settings_of(tmp_path, budget={"hours": 0.25, "trials": 2}, machine=machine)
    executor = Simulated()
    with backend.driving(place, "a") as first, backend.driving(place, "b") as second:
        one = search_of(tmp_path, settings, executor, first.storage, first)
        other = search_of(tmp_path, settings, executor, second.storage, second)
        parts = one._jobs()
        while (job := next(parts)) is not None and CONTINUES not in job.key.trial.user_attrs:
            one._finish(Done(job, executor.submit(job.function, job.argument("cpu")).result()))
        assert job is not None
        lost, until = job.key.trial.number, job.key.until
        assert next(other._jobs()).key.root != job.key.root, "the part of one that lives is left to it"
        (begun_by_other,) = other._running

        first.leave()  # as when its lease has lapsed
        left = RunFolder(tmp_path).trial(lost) / CHECKPOINT
        left.parent.mkdir(parents=True)
        save_checkpoint(left, {}, {"seconds": job.key.before + 10.0})
        again = next(other._jobs())
        assert again is not None
        (new,) = (part for part in other._running if part is not begun_by_other)
        assert (new.root, new.until, new.before) == (job.key.root, until, job.key.before)
        assert again.argument("cpu").resume_from == left
        assert again.argument("cpu").folder != left.parent, "the other may still write into its folder"
        stopped = one._study.get_trials()[lost]
        assert (stopped.state, stopped.user_attrs["reason"]) == (TrialState.FAIL, GONE)

        result = executor.submit(again.function, again.argument("cpu")).result()
        late = executor.submit(job.function, job.argument("cpu")).result()
        one._finish(Done(job, late))
        assert one._study.get_trials()[lost].value is None, "it comes too late"
        assert left.exists(), "the new part may yet have to begin again from it"
        other._finish(Done(again, result))
        candidate = next(c for c in other.candidates() if c.number == new.root)
        assert candidate.seconds == pytest.approx(until)
        assert not left.exists(), "nothing goes on from it any more"


def test_a_candidate_whose_search_is_gone_before_its_choice_was_noted_begins_once(
    place: Place, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, budget={"hours": 0.25})
    with backend.driving(place, "a") as first, backend.driving(place, "b") as second:
        one = search_of(tmp_path, settings, Simulated(), first.storage, first)
        other = search_of(tmp_path, settings, Simulated(), second.storage, second)
        trial = one._trials.ask(one._trials.look())
        assert trial is not None
        name, distribution = next(iter(make_space(settings.space).distributions().items()))
        value = trial._suggest(name, distribution)
        assert next(other._jobs()) is None, "until the choice is known, nobody decides"
        assert one._trials.ask(other._trials.look()) is not None
        first.leave()
        job = next(other._jobs())
        assert job is not None
        assert (job.key.trial.number, job.key.choice[name]) == (0, value)


def test_who_looked_before_another_one_made_a_trial_makes_none(place: Place, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, budget={"hours": 0.25})
    with backend.driving(place, "a") as first, backend.driving(place, "b") as second:
        executor = Simulated()
        one = search_of(tmp_path, settings, executor, first.storage, first)
        other = search_of(tmp_path, settings, executor, second.storage, second)
        job = next(one._jobs())
        assert job is not None
        one._finish(Done(job, executor.submit(job.function, job.argument("cpu")).result()))
        look = other._trials.look()
        assert next(one._jobs()) is not None
        assert other._trials.go_on(look, look.of(0), 60.0, joined=False) is None
        assert other._trials.ask(look) is None
        assert len(one._study.get_trials()) == 2
        assert (first.workers(1), second.workers(3), first.workers(1)) == (1, 4, 4)
        second.leave()
        assert first.workers(1) == 1


def test_nobody_begins_a_part_while_another_one_makes_the_end(place: Place, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, budget={"hours": 0.25})
    with backend.driving(place, "a") as first, backend.driving(place, "b") as second:
        late = search_of(tmp_path, settings, Simulated(), second.storage, second)
        assert first.reserve(END) is None
        assert not first.ends_elsewhere()
        late.run()
        assert late.candidates() == ()
        first.leave()  # as when it was killed and its lease has lapsed
        assert next(late._jobs()) is not None
        first.finish()
        assert next(late._jobs()) is None, "nor when it is made"


def test_the_end_waits_for_parts_that_others_have_begun_and_ends_those_of_processes_that_are_gone(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path, budget={"hours": 0.25})
    with (
        backend.driving(place, "a") as first,
        backend.driving(place, "b") as second,
        backend.driving(place, "c") as gone,
    ):
        executor = Simulated()
        training, lost = (
            search_of(tmp_path, settings, executor, driver.storage, driver) for driver in (second, gone)
        )
        assert next(lost._jobs()) is not None
        job = next(training._jobs())
        assert job is not None
        assert first.reserve(END) is None
        gone.leave()
        waits: list[float] = []

        def finish(seconds: float) -> None:
            waits.append(seconds)
            training._finish(Done(job, executor.submit(job.function, job.argument("cpu")).result()))

        monkeypatch.setattr(race_trials.time, "sleep", finish)
        await_others(optuna.load_study(storage=first.storage, study_name="study"), first)
    assert len(waits) == 1
    gone_trial, trained = training._study.get_trials()
    assert (gone_trial.state, gone_trial.user_attrs["reason"]) == (TrialState.FAIL, GONE)
    assert trained.state == TrialState.COMPLETE
