"""A search whose trainings go on, against an executor that trains in no time on a clock of its own."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from answering import study_of
from netwright.errors import StrategyFailed
from netwright.execution.run_jobs import Done, Job
from netwright.report.collect.race import racers_of
from netwright.report.draw.race import race_sections
from netwright.report.sections import Sentences
from netwright.runs.candidates import TrainedCandidate
from netwright.runs.clock import SPENT
from netwright.runs.data import SearchData
from netwright.runs.folder import RunFolder
from netwright.runs.trials import network_key
from netwright.searches.jobs import CandidateJob
from netwright.searches.multi_fidelity import MultiFidelitySearch
from netwright.searches.race_view import joins_of, threads_at_end
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.strategies.base import FIDELITY
from netwright.training.checkpoint import save_checkpoint
from netwright.training.files import CHECKPOINT
from simulated_race import BESIDE, Simulated, settings_of

HOUR = 3600.0


def make(
    tmp_path: Path,
    executor: Simulated,
    settings: RunSettings | None = None,
    storage: Any = None,
    kept: float = 60.0,
) -> tuple[MultiFidelitySearch, optuna.Study]:
    settings = settings or settings_of(tmp_path)
    space = make_space(settings.space)
    study = study_of(settings, space, storage)
    data = SearchData(tmp_path, (0, 1), (2,))
    search = MultiFidelitySearch(
        RunFolder(tmp_path), settings, data, study, space, executor, kept, executor.now
    )
    return search, study


def searched(tmp_path: Path, **changes: Any) -> tuple[Simulated, tuple[TrainedCandidate, ...], optuna.Study]:
    executor = Simulated()
    search, study = make(tmp_path, executor, settings_of(tmp_path, **changes))
    search.run()
    return executor, search.candidates(), study


def test_the_default_is_known_by_its_choice_also_where_it_has_real_numbers(tmp_path: Path) -> None:
    space = {"name": "encoder-decoder", "channels": 1, "classes": 3, "size": [40, 56, 40]}
    strategy = {"name": "prior", "first": "start", "suggestions": "space"}
    for rate in (2.0, 0.3):
        named = {**space, "start": {"rate": rate}}
        folder = tmp_path / str(rate)
        _, candidates, _ = searched(folder, space=named, strategy=strategy)
        assert [candidate.number for candidate in candidates if candidate.default] == [0]
        assert candidates[0].choice["rate"] == rate
        networks = [candidate.parts[0].network for candidate in candidates]
        assert len(set(networks)) == len(networks), "one network is trained twice"


def test_the_time_is_used_and_what_comes_after_has_its_own(tmp_path: Path) -> None:
    begun = time.monotonic()
    executor, _, _ = searched(tmp_path)
    used = executor.seconds - begun
    assert HOUR - 60 - 45 <= used <= HOUR - 60 + 2 * BESIDE, "a part that would be too short is not begun"


def test_nothing_is_trained_twice(tmp_path: Path) -> None:
    executor, candidates, _ = searched(tmp_path)
    trained = sum(candidate.seconds for candidate in candidates)
    assert trained + BESIDE * len(executor.jobs) == pytest.approx(HOUR - 60, abs=45)
    assert any(len(candidate.parts) > 1 for candidate in candidates)


CPU = {"device": "cpu"}


def test_at_last_one_candidate_has_the_threads_of_all_workers(tmp_path: Path) -> None:
    executor, candidates, study = searched(tmp_path, training=CPU, machine={"workers": 3, "threads": 2})
    threads = [job.protocol.threads for job in executor.jobs]
    last = threads.index(6)
    assert set(threads[:last]) == {2}
    assert set(threads[last:]) == {6}
    assert len(threads) - last > 3
    timed = [
        part.outcome.cost.seconds_per_batch for one in candidates for part in one.complete if part.outcome
    ]
    assert set(timed) == {0.3}, "with the threads that all of them have"
    joined = {t.number for t in study.trials if t.user_attrs.get("joined")}
    assert joined == {int(job.folder.name) for job in executor.jobs[last:]}
    folder = RunFolder(tmp_path)
    records = [part for candidate in candidates for part in candidate.parts]
    racers = racers_of(folder, settings_of(tmp_path), records)
    assert sum(racer.joined for racer in racers) == len(joined)
    (section,) = race_sections(racers, "validation Dice")
    told = section.blocks[0]
    assert isinstance(told, Sentences)
    assert f"{len(joined)} parts had the threads of several workers" in told.texts[0]


@pytest.mark.parametrize("trials", [1, 2, 6, None])
@pytest.mark.parametrize("workers", [2, 3, 12])
def test_no_more_threads_are_used_than_there_are(tmp_path: Path, workers: int, trials: int | None) -> None:
    """Parts begin as `run_jobs` begins them, as many at once as there are workers."""
    budget = {"hours": 1.0, "trials": trials}
    settings = settings_of(tmp_path, training=CPU, machine={"workers": workers}, budget=budget)
    executor = Simulated()
    search, _ = make(tmp_path, executor, settings)
    jobs, running, most = search._jobs(), list[tuple[float, int, Job, Any]](), 0
    while True:
        while len(running) < workers and (job := next(jobs)) is not None:
            now = executor.seconds
            result = executor.submit(job.function, job.argument("cpu")).result()
            running.append((executor.seconds, job.key.trial.number, job, result))
            executor.seconds = now
            threads = [workers_of(part.key, settings) for *_, part, _ in running]
            assert sum(threads) <= workers
            most = max(most, *threads)
        if not running:
            break
        running.sort(key=lambda part: part[:2])
        executor.seconds, _, job, result = running.pop(0)
        search._finish(Done(job, result))
    assert most == joins_of(settings)
    assert search._remaining() < 45


def workers_of(part: Any, settings: RunSettings) -> int:
    """Whose threads a part has."""
    return joins_of(settings) if part.joined else 1


@pytest.mark.parametrize("rule", ["short-then-best", "freeze-thaw"])
def test_rules_that_join_no_workers_leave_each_its_threads(tmp_path: Path, rule: str) -> None:
    race = {"first_seconds": 30, "rule": rule}
    executor, _, _ = searched(tmp_path, training=CPU, machine={"workers": 2}, race=race)
    assert {job.protocol.threads for job in executor.jobs} == {1}


@pytest.mark.parametrize(
    ("workers", "threads", "joins"),
    [(1, 1, 1), (2, 1, 2), (8, 1, 8), (12, 1, 6), (16, 1, 8), (3, 4, 1), (4, 3, 2)],
)
def test_about_eight_threads_are_joined(tmp_path: Path, workers: int, threads: int, joins: int) -> None:
    machine = {"workers": workers, "threads": threads}
    assert joins_of(settings_of(tmp_path, training=CPU, machine=machine)) == joins


def test_workers_elsewhere_are_not_joined(tmp_path: Path) -> None:
    machine = {"workers": 3, "executor": "ray", "ray_address": "auto"}
    executor, _, _ = searched(tmp_path, training=CPU, machine=machine)
    assert {job.protocol.threads for job in executor.jobs} == {1}


def test_the_only_candidate_has_the_threads_of_all_workers_from_its_second_part_on(tmp_path: Path) -> None:
    budget = {"hours": 1.0, "trials": 1}
    executor, _, _ = searched(tmp_path, training=CPU, machine={"workers": 2}, budget=budget)
    assert [job.protocol.threads for job in executor.jobs] == [1, *[2] * (len(executor.jobs) - 1)]


def test_a_part_that_was_killed_goes_on_with_as_many_threads(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, training=CPU, machine={"workers": 2})
    storage = optuna.storages.InMemoryStorage()
    executor = Simulated()
    search, _ = make(tmp_path, executor, settings, storage)
    parts = search._jobs()
    while (job := next(parts)) is not None and not job.key.joined:
        search._finish(Done(job, executor.submit(job.function, job.argument("cpu")).result()))
    assert job is not None
    again, _ = make(tmp_path, Simulated(), settings, storage)
    again._read_storage()
    part = next(again._jobs())
    assert part is not None
    assert part.key.joined
    assert part.argument("cpu").protocol.threads == 2


def test_a_part_goes_on_from_the_checkpoint_of_the_one_before_which_is_then_removed(tmp_path: Path) -> None:
    executor, candidates, _ = searched(tmp_path)
    folders = {int(job.folder.name): job for job in executor.jobs}
    for candidate in candidates:
        for before, after in zip(candidate.parts, candidate.parts[1:], strict=False):
            job = folders[after.number]
            assert job.resume_from == RunFolder(tmp_path).trial(before.number) / CHECKPOINT
            assert job.seed == folders[candidate.number].seed
            assert not job.resume_from.exists()
        assert (RunFolder(tmp_path).trial(candidate.parts[-1].number) / CHECKPOINT).exists()


def test_an_observation_says_how_long_was_trained_for_it(tmp_path: Path) -> None:
    _, candidates, study = searched(tmp_path)
    for candidate in candidates:
        seconds = [study.trials[part.number].user_attrs[FIDELITY] for part in candidate.parts]
        assert seconds == sorted(seconds)
        assert candidate.seconds == seconds[-1]


def test_the_starting_choice_runs_along(tmp_path: Path) -> None:
    changes = {"strategy": {"name": "controlled-random-search", "population": 6, "first": "start"}}
    _, candidates, _ = searched(tmp_path, **changes)
    space = make_space(settings_of(tmp_path).space)
    assert space.canonical(candidates[0].choice) == space.canonical(space.starting_choice())


ONLY_DEFAULT: dict[str, Any] = {
    "strategy": {"name": "controlled-random-search", "population": 6, "first": "start"},
    "race": {"first_seconds": 30, "only_default": True},
}


@pytest.mark.parametrize("workers", [1, 3])
def test_where_only_the_default_is_trained_it_gets_all_the_hours(tmp_path: Path, workers: int) -> None:
    executor, candidates, _ = searched(tmp_path, **ONLY_DEFAULT, training=CPU, machine={"workers": workers})
    (default,) = candidates
    assert default.default
    assert default.seconds + BESIDE * len(executor.jobs) == pytest.approx(HOUR - 60, abs=45)
    records = list(default.parts)
    racers = racers_of(RunFolder(tmp_path), settings_of(tmp_path, **ONLY_DEFAULT), records)
    (section,) = race_sections(racers, "validation Dice", only_default="So few cases prove nothing.")
    told = section.blocks[0]
    assert isinstance(told, Sentences)
    assert told.texts[0] == "So few cases prove nothing."
    assert told.texts[1].startswith(f"1 training in {len(records)} parts.")


def test_where_the_default_cannot_be_trained_another_network_is(tmp_path: Path) -> None:
    executor = Simulated(lambda job: int(job.folder.name) == 0)
    search, _ = make(tmp_path, executor, settings_of(tmp_path, **ONLY_DEFAULT))
    search.run()
    default, other = search.candidates()
    assert "gone" in default.ended
    assert not other.default
    assert other.seconds > HOUR / 2


@pytest.mark.parametrize(
    ("machine", "cores", "compared", "tested"),
    [
        ({"workers": 3, "threads": 2}, 8, 6, 3),
        ({"workers": 3, "threads": 2}, 4, 4, 2),
        ({"workers": 3, "threads": 2}, 1, 2, 2),
        ({"workers": 1, "threads": 4}, 8, 4, 4),
        ({"workers": 64}, 64, 32, 32),
        ({"workers": 3, "threads": 2, "executor": "ray", "ray_address": "auto"}, 8, 2, 2),
    ],
)
def test_finalists_are_compared_and_tested_with_the_threads_of_all_workers(
    machine: dict[str, Any],
    cores: int,
    compared: int,
    tested: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("netwright.searches.race_view.available_cores", lambda: cores)
    settings = settings_of(tmp_path, training=CPU, machine=machine)
    assert threads_at_end(settings) == compared
    assert threads_at_end(settings, at_once=2) == tested


class KilledError(Exception):
    """Stands for the end of the process."""


def killed(
    tmp_path: Path, executor: Simulated, storage: str, jobs: int, settings: RunSettings
) -> optuna.Study:
    """The study of a search whose process ends when it has begun so many parts."""

    def kill(job: CandidateJob) -> bool:
        if len(executor.jobs) == jobs:
            raise KilledError
        return False

    executor.lost = kill
    search, study = make(tmp_path, executor, settings, storage)
    with pytest.raises(KilledError):
        search.run()
    return study


def test_repeated_proposals_that_were_killed_before_their_end_train_nothing(tmp_path: Path) -> None:
    """Trials are left as a process leaves them that is killed after the first, second, ... note that it makes."""
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    settings = settings_of(tmp_path, budget={"hours": 0.1})
    study = killed(tmp_path, Simulated(), storage, 4, settings)
    space, old = make_space(settings.space), study.trials[1]
    key = network_key(space.canonical(old.params))
    notes = {"network": key, "until_seconds": 30.0, "cached_from": 1}
    left = []
    for count in range(-1, len(notes) + 1):
        study.enqueue_trial(old.params)
        trial = study.ask()
        for name, distribution in space.distributions().items() if count >= 0 else ():
            trial._suggest(name, distribution)
        for name, value in list(notes.items())[: max(count, 0)]:
            trial.set_user_attr(name, value)
        left.append(trial.number)
    executor = Simulated()
    search, study = make(tmp_path, executor, settings, storage)
    search.run()
    assert executor.jobs
    assert not set(left) & {int(job.folder.name) for job in executor.jobs}
    keys = [candidate.parts[0].network for candidate in search.candidates()]
    assert len(set(keys)) == len(keys), "no network is two candidates"
    for ended in (study.trials[number] for number in left):
        assert ended.state == TrialState.COMPLETE
        assert ended.value == study.trials[ended.user_attrs["cached_from"]].value


def test_a_killed_search_goes_on_with_the_parts_that_were_in_training(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"

    settings = settings_of(tmp_path, budget={"hours": 0.2})
    first = Simulated()
    study = killed(tmp_path, first, storage, 9, settings)
    left = [t for t in study.get_trials() if t.state == TrialState.RUNNING]
    assert len(left) == 1
    second = Simulated()
    search, study = make(tmp_path, second, settings, storage)
    search.run()
    again = second.jobs[0]
    assert int(again.folder.name) == left[0].number
    before = first.jobs[8]
    assert replace(again, protocol=before.protocol, most_seconds=before.most_seconds) == before, (
        "the same part"
    )
    assert all(t.state.is_finished() for t in study.get_trials())


def test_a_part_that_was_killed_near_the_end_of_the_race_goes_on_from_its_own_checkpoint(
    tmp_path: Path,
) -> None:
    """The time left is added to what the part was trained for, not to what was before it."""
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    settings = settings_of(tmp_path, budget={"hours": 0.2, "trials": 1})
    whole = Simulated()
    make(tmp_path / "whole", whole, settings, optuna.storages.InMemoryStorage())[0].run()
    study = killed(tmp_path, Simulated(), storage, len(whole.jobs), settings)
    study.set_user_attr(SPENT, 0.2 * HOUR - 60.0 - 12.0)
    last, trained = whole.jobs[-1], whole.jobs[-1].protocol.seconds
    left = RunFolder(tmp_path).trial(int(last.folder.name))
    left.mkdir(parents=True, exist_ok=True)
    assert trained is not None
    save_checkpoint(left / CHECKPOINT, {}, {"budget": {"seconds": trained - 10}})
    second = Simulated()
    make(tmp_path, second, settings, storage)[0].run()
    again = second.jobs[0].protocol.seconds
    assert int(second.jobs[0].folder.name) == int(last.folder.name)
    assert again is not None
    assert trained - 10 < again <= trained


def test_a_strategy_of_ones_own_that_failed_and_was_mended_goes_on(tmp_path: Path) -> None:
    """What was trained before is trained no more, and no trial is left."""
    broken = tmp_path / "broken"
    (tmp_path / "failing_strategy.py").write_text(
        "import os\nfrom tiny_strategies import OneChange\nclass Mine(OneChange):\n    def tell(self, s, o):\n"
        f"        if o.number == 2 and os.path.exists({str(broken)!r}): raise OSError('no')\n"
        "        return super().tell(s, o)\n"
    )
    named = {"name": "own", "code": "failing_strategy:Mine", "folder": str(tmp_path)}
    settings = settings_of(tmp_path, strategy=named, budget={"hours": 0.5})
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    search, study = make(tmp_path, Simulated(), settings, storage)
    broken.touch()
    with pytest.raises(StrategyFailed, match=r"tell\(\) of failing_strategy:Mine failed: OSError: no"):
        search.run()
    before = {t.number: t.value for t in study.get_trials() if t.state == TrialState.COMPLETE}
    assert len(before) > 2
    broken.unlink()
    second = Simulated()
    search, study = make(tmp_path, second, settings, storage)
    search.run()
    assert not before.keys() & {int(job.folder.name) for job in second.jobs}
    assert before.items() <= {t.number: t.value for t in study.get_trials()}.items()
    assert all(t.state.is_finished() for t in study.get_trials())


def test_a_candidate_whose_worker_is_always_lost_ends_and_the_search_goes_on(tmp_path: Path) -> None:
    executor = Simulated(lambda job: int(job.folder.name) == 1)
    search, study = make(tmp_path, executor)
    search.run()
    lost = next(c for c in search.candidates() if c.number == 1)
    assert "gone" in lost.ended
    assert len(lost.parts) == 1
    assert study.trials[1].state == TrialState.FAIL
    assert len(search.candidates()) > 2


def test_of_a_candidate_that_cannot_go_on_no_checkpoint_is_kept(tmp_path: Path) -> None:
    continued: list[int] = []

    def lost(job: CandidateJob) -> bool:
        """Whoever goes on first is lost."""
        if job.resume_from is not None:
            continued.append(job.seed)
        return job.resume_from is not None and job.seed == continued[0]

    search, _ = make(tmp_path, Simulated(lost))
    search.run()
    (ended,) = (candidate for candidate in search.candidates() if candidate.ended)
    assert ended.latest is not None, "it has a network that may be used"
    kept = {number_of(path) for path in tmp_path.rglob(CHECKPOINT)}
    assert kept == {c.parts[-1].number for c in search.candidates() if not c.ended}


def number_of(path: Path) -> int:
    return int(path.parent.name)


def test_the_candidates_of_the_budget_share_all_of_the_time(tmp_path: Path) -> None:
    executor, candidates, _ = searched(tmp_path, budget={"hours": 1.0, "trials": 3})
    assert len(candidates) == 3
    assert sum(c.seconds for c in candidates) + BESIDE * len(executor.jobs) == pytest.approx(
        HOUR - 60, abs=45
    )


def test_a_candidate_that_was_cut_off_in_its_first_part_begins_again(tmp_path: Path) -> None:
    executor = Simulated()
    search, study = make(tmp_path, executor)
    space = make_space(settings_of(tmp_path).space)
    key = network_key(space.canonical(space.starting_choice()))
    stopped = {"status": "stopped", "reason": "the time was up", "network": key, "default": True}
    study.add_trial(
        optuna.trial.create_trial(
            state=TrialState.FAIL,
            params=space.starting_choice(),
            distributions=space.distributions(),
            user_attrs=stopped,
        )
    )
    search.run()
    assert executor.jobs[0].resume_from == RunFolder(tmp_path).trial(0) / CHECKPOINT
    assert executor.jobs[0].begin_again
    default = search.candidates()[0]
    assert default.number == 0
    assert default.seconds > 0
