"""The search loop against an executor whose futures end as the test says: every way that a candidate can go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from answering import Answering, killed, settings_of, study_of, trained
from netwright.errors import SettingsError, StorageError
from netwright.runs.data import SearchData
from netwright.runs.folder import RunFolder
from netwright.runs.trials import best_of, record_of
from netwright.searches.jobs import CandidateJob
from netwright.searches.loop import Search
from netwright.settings import BudgetSettings, RunSettings
from netwright.spaces import make_space
from netwright.strategies.base import FIDELITY
from netwright.training.files import CHECKPOINT
from netwright.training.outcome import Cost, Outcome, Status


@pytest.fixture
def storage() -> Iterator[optuna.storages.InMemoryStorage]:
    return optuna.storages.InMemoryStorage()


def make(
    tmp_path: Path, executor: Answering, storage: Any, settings: RunSettings | None = None
) -> tuple[Search, optuna.Study]:
    settings = settings or settings_of(tmp_path)
    space = make_space(settings.space)
    study = study_of(settings, space, storage)
    data = SearchData(tmp_path, (0, 1), (2,))
    return Search(RunFolder(tmp_path), settings, data, study, space, executor), study


def test_every_status_is_stored_with_its_reason_and_none_ends_the_search(
    tmp_path: Path, storage: Any
) -> None:
    statuses = [s for s in Status if s not in (Status.COMPLETE, Status.CRASHED)]

    def answer(job: CandidateJob) -> Any:
        number = int(job.folder.name)
        if number < len(statuses):
            return Outcome(statuses[number], f"because of {number}").to_dict()
        return trained(0.5 + number / 100)

    executor = Answering(answer)
    search, study = make(tmp_path, executor, storage)
    search.run()
    records = [record_of(t) for t in study.trials]
    assert len(records) == 12
    for number, status in enumerate(statuses):
        assert (records[number].status, records[number].reason) == (status, f"because of {number}")
        assert study.trials[number].state == TrialState.PRUNED
    assert study.best_value == max(r.reward for r in records if r.reward is not None)


def test_a_crash_is_retried_and_then_failed(tmp_path: Path, storage: Any) -> None:
    def answer(job: CandidateJob) -> Any:
        if job.folder.name == "0001":
            raise ValueError("a bug\nin two lines")
        return trained(0.5)

    executor = Answering(answer)
    search, study = make(tmp_path, executor, storage)
    search.run()
    tries = [job for job in executor.jobs if job.folder.name == "0001"]
    assert len(tries) == 3
    assert len({(job.seed, tuple(job.choice.items())) for job in tries}) == 1
    record = record_of(study.trials[1])
    assert (record.status, record.reason) == ("crashed", "ValueError: a bug")
    assert study.trials[1].state == TrialState.FAIL
    assert "in two lines" in (tmp_path / "trials" / "0001" / "log.txt").read_text()


def test_a_worker_killed_once_is_run_again_to_the_same_result(tmp_path: Path, storage: Any) -> None:
    first = {"0002": True}

    def answer(job: CandidateJob) -> Any:
        if first.pop(job.folder.name, False):
            raise killed()
        return trained(int(job.folder.name) / 100)

    search, study = make(tmp_path, Answering(answer), storage)
    search.run()
    assert record_of(study.trials[2]).status == "complete"
    assert record_of(study.trials[2]).reward == pytest.approx(0.02)


def test_a_full_disk_ends_the_search_with_its_own_error(tmp_path: Path, storage: Any) -> None:
    def answer(job: CandidateJob) -> Any:
        raise StorageError("no room")

    search, study = make(tmp_path, Answering(answer), storage)
    with pytest.raises(StorageError, match="no room"):
        search.run()
    assert study.trials[0].state == TrialState.RUNNING


def test_no_network_is_trained_twice(tmp_path: Path, storage: Any) -> None:
    small = settings_of(tmp_path, space={"name": "segnas4", "n": [8, 10], "p": 2}, budget={"trials": 30})
    executor = Answering(lambda job: trained(sum(map(int, job.choice.values())) / 100))
    search, study = make(tmp_path, executor, storage, small)
    search.run()
    trained_choices = [tuple(job.choice.items()) for job in executor.jobs]
    assert len(set(trained_choices)) == len(trained_choices) <= 8
    records = [record_of(t) for t in study.trials]
    assert len(records) == 30
    by_number = {r.number: r for r in records}
    for record in records:
        if record.cached_from is not None:
            origin = by_number[record.cached_from]
            assert (origin.reward, origin.choice, origin.cached_from) == (record.reward, record.choice, None)
    assert sum(r.cached_from is None for r in records) == len(trained_choices)


def test_what_was_trained_shortly_does_not_stand_for_a_longer_training(tmp_path: Path, storage: Any) -> None:
    def answer(job: CandidateJob) -> Any:
        return trained(0.5) | {"fidelity": {"amount": job.protocol.epochs, "unit": "epochs"}}

    def trained_with(epochs: int, trials: int) -> tuple[set[str], optuna.Study]:
        settings = settings_of(
            tmp_path,
            space={"name": "segnas4", "n": 8, "p": 2},
            budget={"trials": trials},
            training={"epochs": epochs},
        )
        executor = Answering(answer)
        search, study = make(tmp_path, executor, storage, settings)
        search.run()
        assert {job.protocol.epochs for job in executor.jobs} <= {epochs}
        return {str(sorted(job.choice.items())) for job in executor.jobs}, study

    first, _ = trained_with(3, 30)
    assert len(first) == 4, "all networks of the space"
    longer, study = trained_with(9, 60)
    assert longer == first
    reused = [t for t in study.trials[30:] if "cached_from" in t.user_attrs]
    assert reused
    assert all(t.user_attrs["cached_from"] >= 30 for t in reused)
    assert all(t.user_attrs[FIDELITY] == 9 for t in study.trials[30:])
    assert trained_with(3, 90)[0] == set(), "what was trained longer says as much"


def test_results_of_runs_that_noted_no_fidelity_are_reused(tmp_path: Path, storage: Any) -> None:
    settings = settings_of(tmp_path, space={"name": "segnas4", "n": 8, "p": 2}, budget={"trials": 30})
    make(tmp_path, Answering(lambda job: trained(0.5)), storage, settings)[0].run()
    later = Answering(lambda job: trained(0.5))
    make(tmp_path, later, storage, settings.model_copy(update={"budget": BudgetSettings(trials=60)}))[0].run()
    assert not later.jobs


def test_what_a_killed_worker_has_left_goes_with_its_candidate(tmp_path: Path, storage: Any) -> None:
    def answer(job: CandidateJob) -> Any:
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / CHECKPOINT).write_bytes(b"of a killed worker")
        if int(job.folder.name) == 1:
            raise killed()
        return trained(0.5)

    search, study = make(tmp_path, Answering(answer), storage, settings_of(tmp_path, budget={"trials": 3}))
    search.run()
    assert record_of(study.trials[1]).status in ("out_of_memory", "crashed")
    assert not list(tmp_path.rglob(CHECKPOINT))


class _Dying(RDBStorage):
    """A database whose search is killed just before a trial's end is stored."""

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Any = None) -> bool:
        if state.is_finished():
            raise _Killed
        return super().set_trial_state_values(trial_id, state, values)


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("end", ["finished", "lost", "overdue"])
def test_a_kill_before_the_result_is_stored_costs_no_checkpoint(tmp_path: Path, end: str) -> None:
    database = f"sqlite:///{tmp_path / 'study.db'}"

    def answer(job: CandidateJob) -> Any:
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / CHECKPOINT).write_bytes(b"of the worker")
        if end == "lost":
            raise killed()
        return trained(0.5)

    if end == "overdue":  # it was begun by an earlier process, and there is no time left for it
        make(tmp_path, Answering(answer), RDBStorage(database))[1].ask()
        (tmp_path / "trials" / "0000").mkdir(parents=True)
        (tmp_path / "trials" / "0000" / CHECKPOINT).write_bytes(b"of the worker")
    settings = settings_of(tmp_path, budget={"trials": 1, "hours": 1e-9 if end == "overdue" else 1.0})
    search, study = make(tmp_path, Answering(answer), _Dying(database), settings)
    with pytest.raises(_Killed):
        search.run()
    assert study.trials[0].state == TrialState.RUNNING, "it is trained again"
    assert len(list(tmp_path.rglob(CHECKPOINT))) == 1
    search, study = make(tmp_path, Answering(answer), RDBStorage(database), settings)
    search.run()
    assert [trial.state.is_finished() for trial in study.trials] == [True]
    assert not list(tmp_path.rglob(CHECKPOINT))


def test_a_kill_after_the_result_is_stored_leaves_no_checkpoint_for_good(
    tmp_path: Path, storage: Any
) -> None:
    make(tmp_path, Answering(lambda job: trained(0.5)), storage, settings_of(tmp_path, budget={"trials": 1}))[
        0
    ].run()
    (tmp_path / "trials" / "0000").mkdir(parents=True)
    (tmp_path / "trials" / "0000" / CHECKPOINT).write_bytes(b"of the worker")
    make(tmp_path, Answering(lambda job: trained(0.5)), storage, settings_of(tmp_path, budget={"trials": 2}))[
        0
    ].run()
    assert not list(tmp_path.rglob(CHECKPOINT))


def test_counting_only_distinct_networks(tmp_path: Path, storage: Any) -> None:
    few = settings_of(
        tmp_path,
        space={"name": "segnas4", "n": [8, 12], "p": 2},
        budget={"trials": 9, "count": "distinct"},
    )
    executor = Answering(lambda job: trained(0.5))
    search, study = make(tmp_path, executor, storage, few)
    search.run()
    assert len(executor.jobs) == 9
    assert len(study.trials) > 9


def test_a_space_that_is_used_up_ends_the_search(tmp_path: Path, storage: Any) -> None:
    tiny = settings_of(
        tmp_path,
        space={"name": "segnas4", "n": 8, "p": 2},
        budget={"trials": 100, "count": "distinct"},
    )
    executor = Answering(lambda job: trained(0.5))
    search, study = make(tmp_path, executor, storage, tiny)
    search.run()
    assert len(executor.jobs) == 4
    assert len(study.trials) < 400


def test_a_network_in_training_is_waited_for_and_not_trained_beside_itself(
    tmp_path: Path, storage: Any
) -> None:
    two = settings_of(
        tmp_path,
        space={"name": "segnas4", "n": 8, "p": 2, "sup": 0},
        machine={"workers": 2},
        budget={"trials": 6},
    )
    executor = Answering(lambda job: trained(0.5), hold=True)
    search, study = make(tmp_path, executor, storage, two)

    def tick() -> None:
        if executor.waiting:
            executor.release()

    search.run(tick)
    assert len(executor.jobs) == 2
    assert len(study.trials) == 6
    assert all(record_of(t).status == "complete" for t in study.trials)


def test_waiting_for_a_network_costs_no_more_trials_than_there_are_workers(
    tmp_path: Path, storage: Any
) -> None:
    collapsed = settings_of(
        tmp_path,
        space={"name": "segnas4", "n": 8, "p": 2, "sup": 0, "res": [0, 2]},
        machine={"workers": 3},
        budget={"trials": 300},
    )
    executor = Answering(lambda job: trained(0.5), hold=True)
    search, study = make(tmp_path, executor, storage, collapsed)
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.run(tick)
    assert len(executor.jobs) == 2
    assert len(study.trials) <= 2 + 2 * 3


def test_hours_end_the_search_and_what_runs_is_stopped(tmp_path: Path, storage: Any) -> None:
    brief = settings_of(tmp_path, budget={"trials": 1000, "hours": 1.5 / 3600})
    executor = Answering(lambda job: trained(0.5), hold=True)
    search, study = make(tmp_path, executor, storage, brief)
    search.run()
    assert [record_of(t).status for t in study.trials] == ["stopped"]
    again, _ = make(tmp_path, executor, storage, brief)
    again.run()
    assert len(study.trials) == 1, "the time that is spent counts over all processes"


def test_unfinished_trials_are_run_first_with_the_same_choice_and_seed(tmp_path: Path, storage: Any) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    holding = Answering(lambda job: trained(0.5), hold=True)
    search, study = make(tmp_path, holding, storage)
    with pytest.raises(KeyboardInterrupt):
        search.run(interrupt)
    assert study.trials[0].state == TrialState.RUNNING
    later = Answering(lambda job: trained(int(job.folder.name) / 100))
    resumed, study = make(tmp_path, later, storage)
    resumed.run()
    assert (later.jobs[0].seed, later.jobs[0].choice) == (holding.jobs[0].seed, holding.jobs[0].choice)
    assert len(study.trials) == 12
    straight, other = make(
        tmp_path,
        Answering(lambda job: trained(int(job.folder.name) / 100)),
        optuna.storages.InMemoryStorage(),
    )
    straight.run()
    assert [t.params for t in other.trials] == [t.params for t in study.trials]


def test_episodes_shrink_to_the_epochs_that_the_quickest_needed(tmp_path: Path, storage: Any) -> None:
    met = {0: 8, 1: 6, 2: 7, 3: 1}  # the trial -> the epoch in which its loss came under the threshold

    def answer(job: CandidateJob) -> Any:
        number = int(job.folder.name)
        return trained(0.5) | {"loss_met_epoch": met.get(number)}

    executor = Answering(answer)
    settings = settings_of(tmp_path, budget={"trials": 6, "fewest_epochs": 3}, training={"epochs": 10})
    search, _ = make(tmp_path, executor, storage, settings)
    search.run()
    epochs = {int(job.folder.name): job.protocol.epochs for job in executor.jobs}
    expected = {0: 10, 1: 8, 2: 6, 3: 6, 4: 3, 5: 3}
    assert epochs == {number: expected[number] for number in epochs}
    assert len(epochs) > 3, "networks met before are not trained again"


def test_an_episode_that_is_run_again_keeps_its_epochs(tmp_path: Path, storage: Any) -> None:
    settings = settings_of(
        tmp_path,
        budget={"trials": 4, "fewest_epochs": 3},
        training={"epochs": 10},
        machine={"workers": 2},
    )
    holding = Answering(lambda job: trained(0.5) | {"loss_met_epoch": 4}, hold=True)
    search, _ = make(tmp_path, holding, storage, settings)

    def once() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.run(once)
    given = {int(job.folder.name): job.protocol.epochs for job in holding.jobs}
    assert set(given.values()) == {10}
    again = Answering(holding.answer)
    make(tmp_path, again, storage, settings)[0].run()
    resumed = {int(job.folder.name): job.protocol.epochs for job in again.jobs}
    assert all(resumed[number] == 10 for number in given)
    assert {resumed[number] for number in resumed if number not in given} <= {4}


def test_a_network_whose_metric_no_case_defines_ranks_last(tmp_path: Path, storage: Any) -> None:
    def answer(job: CandidateJob) -> Any:
        number = int(job.folder.name)
        metrics = {} if number in (0, 3) else {"dice": number / 100}
        return Outcome(Status.COMPLETE, metrics=metrics, cost=Cost(parameters=10), epochs=1).to_dict()

    search, study = make(tmp_path, Answering(answer), storage, settings_of(tmp_path))
    search.run()
    records = [record_of(trial) for trial in study.trials]
    without = [record for record in records if record.outcome is not None and not record.outcome.metrics]
    assert {record.number for record in without} >= {0, 3}
    for record in without:
        assert (record.status, record.reward) == (Status.COMPLETE, None)
        assert record.reason == "no validation case has anything to score dice by"
        assert (
            study.trials[record.number].state == TrialState.PRUNED
        )  # which strategies rank last, and learn from
    best = best_of(records)
    assert best is not None
    assert best.number not in {record.number for record in without}


def test_a_network_over_a_limit_is_infeasible_and_never_the_best(tmp_path: Path, storage: Any) -> None:
    def answer(job: CandidateJob) -> Any:
        number = int(job.folder.name)
        cost = Cost(parameters=10 + number)
        return Outcome(Status.COMPLETE, metrics={"dice": number / 100}, cost=cost, epochs=1).to_dict()

    settings = settings_of(tmp_path, objective={"metric": "dice", "limits": ["parameters <= 14"]})
    search, study = make(tmp_path, Answering(answer), storage, settings)
    search.run()
    records = [record_of(t) for t in study.trials]
    over = [r for r in records if r.outcome is not None and (r.outcome.cost.parameters or 0) > 14]
    assert over
    for record in over:
        assert record.status == Status.INFEASIBLE
        assert "the limit is <= 14" in record.reason
    assert study.best_value == 0.04


def test_the_reward_weighs_what_a_network_costs(tmp_path: Path, storage: Any) -> None:
    def answer(job: CandidateJob) -> Any:
        cost = Cost(size_mb=float(job.folder.name))
        return Outcome(
            Status.COMPLETE, metrics={"dice": 0.5}, cost=cost, epochs=1, planned_epochs=2
        ).to_dict()

    objective = {
        "metric": "dice",
        "weight": 0.9,
        "percent": True,
        "per_epoch": True,
        "costs": {"size_mb": 0.1},
    }
    search, study = make(tmp_path, Answering(answer), storage, settings_of(tmp_path, objective=objective))
    search.run()
    for trial in study.trials:
        if trial.user_attrs.get("cached_from") is None:
            assert trial.value == pytest.approx(0.9 * 50 / 2 - 0.1 * trial.number)


PER_EPOCH = {"metric": "dice", "percent": True, "per_epoch": True}


def met_late(job: CandidateJob) -> Any:
    """Trained for ten epochs as given, over the loss threshold until the number of the trial; trial 0 for ever."""
    met = int(job.folder.name) or None
    return trained(0.5) | {"planned_epochs": 10, "loss_met_epoch": met}


def test_rewards_are_divided_by_the_epoch_at_which_each_met_the_threshold(
    tmp_path: Path, storage: Any
) -> None:
    settings = settings_of(tmp_path, objective=PER_EPOCH, budget={"trials": 5})
    search, study = make(tmp_path, Answering(met_late), storage, settings)
    search.run()
    for trial in study.trials:
        if trial.user_attrs.get("cached_from") is None:
            assert trial.value == pytest.approx(50 / (trial.number or 10))


@pytest.mark.parametrize("before", [True, False])
def test_a_search_goes_on_dividing_as_it_began(tmp_path: Path, storage: Any, before: bool) -> None:
    """``before``: begun when rewards were divided by the epochs given, which left no note in the study."""
    settings = settings_of(tmp_path, objective=PER_EPOCH, budget={"trials": 3})
    _, study = make(tmp_path, Answering(met_late), storage, settings)
    if before:
        old = study.ask(make_space(settings.space).distributions())
        study.tell(old, 5.0)
    else:
        make(
            tmp_path,
            Answering(met_late),
            storage,
            settings_of(tmp_path, objective=PER_EPOCH, budget={"trials": 1}),
        )[0].run()
    make(tmp_path, Answering(met_late), storage, settings)[0].run()
    assert len(study.trials) == 3
    for trial in study.trials[1:]:
        if trial.user_attrs.get("cached_from") is None:
            assert trial.value == pytest.approx(50 / (10 if before else trial.number))


def test_a_cost_that_the_machine_cannot_measure_ends_the_search_by_name(tmp_path: Path, storage: Any) -> None:
    def answer(job: CandidateJob) -> Any:
        return trained(0.5)

    objective = {"metric": "dice", "costs": {"parameters": 1e-6, "peak_memory_mb": 0.1}}
    search, study = make(tmp_path, Answering(answer), storage, settings_of(tmp_path, objective=objective))
    with pytest.raises(SettingsError, match=r"weighs peak_memory_mb, .*clear_refs.*predicted_memory_mb"):
        search.run()
    assert not any(trial.state.is_finished() for trial in study.trials)


@pytest.mark.parametrize("keep", ["best", "all"])
def test_the_weights_that_stay_are_those_of_the_best(tmp_path: Path, storage: Any, keep: str) -> None:
    rewards = {0: 0.4, 1: 0.6, 2: 0.5, 3: 0.6, 4: 0.7, 5: 0.1}

    def answer(job: CandidateJob) -> Any:
        job.folder.mkdir(parents=True)
        (job.folder / "weights.safetensors").write_bytes(b"weights")
        return trained(rewards.get(int(job.folder.name), 0.2))

    settings = settings_of(tmp_path, machine={"keep_weights": keep})
    search, study = make(tmp_path, Answering(answer), storage, settings)
    search.run()
    trained_ones = {t.number: t.value for t in study.trials if "cached_from" not in t.user_attrs}
    kept = {int(path.parent.name) for path in tmp_path.glob("trials/*/weights.safetensors")}
    best = max(trained_ones, key=lambda number: (trained_ones[number], -number))
    assert kept == ({best} if keep == "best" else set(trained_ones))
    assert len(trained_ones) > 3


def test_a_search_ends_when_the_agents_have_converged(tmp_path: Path, storage: Any) -> None:
    strategy = {"name": "q-learning", "variant": "published", "exploration": 3, "epsilon_decay": 0.0}
    settings = settings_of(tmp_path, strategy={**strategy, "convergence": 4}, budget={"trials": 200})
    search, study = make(tmp_path, Answering(lambda job: trained(0.5)), storage, settings)
    search.run()
    last = [tuple(trial.params.values()) for trial in study.trials[-4:]]
    assert len(set(last)) == 1, "the same set in four episodes running"
    assert len(study.trials) < 200
    assert "one and the same network" in study.user_attrs["ended"]


def test_a_search_ends_when_the_policy_rests(tmp_path: Path, storage: Any) -> None:
    strategy = {"name": "policy-gradient", "perturbations": 4, "rest": 3}
    settings = settings_of(tmp_path, strategy=strategy, budget={"trials": 200})
    search, study = make(tmp_path, Answering(lambda job: trained(0.5)), storage, settings)
    search.run()
    assert 3 * 4 <= len(study.trials) < 200, "three rounds in which nothing was better than anything"
    assert "the policy stayed" in study.user_attrs["ended"]
