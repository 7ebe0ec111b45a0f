"""The rules of the fold: what any strategy owes anyone's Optuna study."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from netwright.errors import SettingsError
from netwright.strategies import STRATEGIES, Observation
from netwright.strategies.base import FIDELITY, Choice, Dimension, Stamp
from netwright.strategies.completion import COMPLETION, in_order_of_completion
from netwright.strategies.dimensions import choice_at
from netwright.strategies.sampler import StrategySampler, sampler
from netwright.strategies.view import dimensions_of
from processes import finish as end_of
from processes import line_of

optuna.logging.set_verbosity(optuna.logging.ERROR)

SPACE: dict[str, BaseDistribution] = {
    "width": IntDistribution(8, 32),
    "depth": IntDistribution(1, 64, log=True),
    "operation": CategoricalDistribution(("none", "skip", "convolution")),
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
    "dropout": FloatDistribution(0.0, 0.5),
    "scale": FloatDistribution(-1.0, 1.0, step=0.25),
}
MEMBERS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in STRATEGIES},
    # Ten members have so few reflections that one is drawn twice by chance, in one study of twenty.
    "controlled-random-search": ("controlled-random-search", {"population": 20}),
    "q-learning published": ("q-learning", {"variant": "published", "exploration": 12}),
    "policy-gradient pooled": ("policy-gradient", {"variant": "pooled"}),
}
"""Every strategy and variant, with settings that leave its beginning early."""
FEW = ("random", "q-learning", "cma-es", "policy-gradient")
"""One of each way to draw: at random, by agents, around a mean, from probabilities."""

Make = Callable[..., StrategySampler]
Params = list[dict[str, Any]]


@pytest.fixture(params=sorted(MEMBERS))
def make(request: pytest.FixtureRequest) -> Make:
    """A strategy's sampler."""
    name, settings = MEMBERS[request.param]
    return lambda seed=3, **more: sampler(name, seed, **settings, **more)


FILES = [
    pytest.param(member, kind, id=f"{member} {kind}", marks=[pytest.mark.slow] if slow else [])
    for member in sorted(MEMBERS)
    for kind, slow in (("journal", False), ("sqlite", member != "q-learning"))
]
"""Every strategy in a file; a database is ten times as slow, and the longest stamps are those of agents."""

QUICK_IN_A_DATABASE = [
    pytest.param(member, marks=[] if member == "q-learning" else [pytest.mark.slow])
    for member in sorted(MEMBERS)
]

kept = pytest.mark.parametrize(("make", "kind"), FILES, indirect=["make"])

SPACE_KNOWN_OR_NOT = [
    pytest.param(
        member, known, id=f"{member} {words}", marks=[] if known or member in FEW else [pytest.mark.slow]
    )
    for member in sorted(MEMBERS)
    for known, words in ((True, "given space"), (False, "inferred space"))
]


def storage_at(folder: Path, kind: str) -> BaseStorage:
    """A file of studies in a folder, opened as by a new process."""
    if kind == "sqlite":
        return optuna.storages.get_storage(f"sqlite:///{folder / 'study.db'}")
    return JournalStorage(JournalFileBackend(str(folder / "study.log")))


def value(params: Mapping[str, Any]) -> float | None:
    """A loss, or None: not feasible."""
    if params["operation"] == "none" and params["width"] > 24:
        return None
    distance = abs(params["width"] - 12) / 24 + abs(np.log10(params["rate"]) + 3) + params["dropout"]
    return float(distance + abs(params["scale"]) + abs(np.log2(params["depth"]) - 3))


def finish(study: optuna.Study, trial: optuna.Trial) -> None:
    found = value(trial.params)
    study.tell(trial, found, TrialState.PRUNED if found is None else TrialState.COMPLETE)


def go_on(study: optuna.Study, trials: int) -> Params:
    for _ in range(trials):
        finish(study, study.ask(SPACE))
    return [trial.params for trial in study.get_trials(deepcopy=False)]


def copied(trials: Sequence[FrozenTrial], with_sampler: StrategySampler, **more: Any) -> optuna.Study:
    study = optuna.create_study(sampler=with_sampler, **more)
    study.add_trials(trials)
    return study


def next_params(study: optuna.Study, fresh: StrategySampler) -> dict[str, Any]:
    """What a sampler without memory proposes for the next trial of a study, which is left as it is."""
    return copied(study.get_trials(deepcopy=False), fresh).ask(SPACE).params


class Recorder:
    """A strategy whose state is all that it was told; asks at random."""

    name = "recorder"
    settings: Mapping[str, Any] = {}

    def __init__(self) -> None:
        self.told = 0
        self.seen: list[Observation] = []
        self.pending: list[Stamp] = []

    def init(self, dimensions: Sequence[Dimension]) -> Any:
        return tuple(dimensions), ()

    def ask(
        self, state: Any, rng: np.random.Generator, pending: Sequence[Stamp] = ()
    ) -> tuple[Choice, Stamp]:
        dimensions, seen = state
        self.seen, self.pending = list(seen), list(pending)
        return choice_at(dimensions, rng.random(len(dimensions))), {"after": len(seen)}

    def tell(self, state: Any, observation: Observation) -> Any:
        self.told += 1
        return state[0], (*state[1], observation)


def recorded(study: optuna.Study) -> Recorder:
    """What a strategy would know if it were asked now."""
    recorder = Recorder()
    fresh = StrategySampler(recorder, 0, distributions=SPACE)
    copied(study.get_trials(deepcopy=False), fresh, direction=study.direction).ask(SPACE)
    return recorder


# resume


@pytest.mark.parametrize(("make", "known"), SPACE_KNOWN_OR_NOT, indirect=["make"])
def test_a_study_that_is_copied_at_any_point_goes_on_as_if_it_were_not(make: Make, known: bool) -> None:
    more = {"distributions": SPACE} if known else {}
    whole = optuna.create_study(sampler=make(**more))
    expected = go_on(whole, 60)
    for cut in (1, 2, 9, 10, 11, 30, 47, 59):
        resumed = copied(whole.get_trials(deepcopy=False)[:cut], make(**more))
        assert go_on(resumed, 60 - cut) == expected


@kept
def test_a_file_that_is_opened_again_goes_on_as_if_it_had_never_been_closed(
    make: Make, kind: str, tmp_path: Path
) -> None:
    expected = go_on(optuna.create_study(sampler=make()), 16)
    optuna.create_study(storage=storage_at(tmp_path, kind), study_name="s")
    for trials in (4, 7, 5):
        reopened = optuna.load_study(storage=storage_at(tmp_path, kind), study_name="s", sampler=make())
        continued = go_on(reopened, trials)
    assert continued == expected


@kept
@pytest.mark.parametrize("asked", [True, False], ids=["killed in training", "killed before the proposal"])
def test_a_killed_trial_that_waits_again_is_run_as_it_would_have_been(
    make: Make, kind: str, tmp_path: Path, asked: bool
) -> None:
    expected = go_on(optuna.create_study(sampler=make(distributions=SPACE)), 15)
    storage = storage_at(tmp_path, kind)
    study = optuna.create_study(storage=storage, study_name="s", sampler=make(distributions=SPACE))
    go_on(study, 12)
    if asked:
        study.ask(SPACE)
    else:
        study._storage.create_new_trial(study._study_id)
    storage = storage_at(tmp_path, kind)
    resumed = optuna.load_study(storage=storage, study_name="s", sampler=make(distributions=SPACE))
    (killed,) = resumed.get_trials(states=(TrialState.RUNNING,))
    resumed._storage.set_trial_state_values(killed._trial_id, TrialState.WAITING)
    assert go_on(resumed, 3) == expected


def test_a_pickled_sampler_goes_on(make: Make) -> None:
    expected = go_on(optuna.create_study(sampler=make()), 30)
    first = optuna.create_study(sampler=make())
    go_on(first, 15)
    restored = pickle.loads(pickle.dumps(first.sampler))
    assert go_on(copied(first.get_trials(), restored), 15) == expected


@pytest.mark.parametrize("make", QUICK_IN_A_DATABASE, indirect=True)
def test_the_memory_is_of_one_study_though_its_identifier_is_used_again(make: Make, tmp_path: Path) -> None:
    storage = optuna.storages.get_storage(f"sqlite:///{tmp_path / 'study.db'}")
    shared, found = make(), []
    for seed in (8, 9):
        other = optuna.create_study(sampler=make(seed))
        go_on(other, 12)
        study = optuna.create_study(storage=storage, study_name="s", sampler=shared)
        study.add_trials(other.get_trials())
        assert study.ask(SPACE).params == next_params(other, make())
        found.append(study._study_id)
        optuna.delete_study(study_name="s", storage=storage)
    assert found[0] == found[1]


# late, retried, and badly timed trials


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_results_in_any_order_are_folded_as_if_from_the_beginning(make: Make, seed: int) -> None:
    rng = np.random.default_rng(seed)
    study = optuna.create_study(sampler=make(distributions=SPACE))
    running: list[optuna.Trial] = []
    for _ in range(60):
        expected = next_params(study, make(distributions=SPACE))
        running.append(study.ask(SPACE))
        assert running[-1].params == expected
        while len(running) > 4 or (running and rng.random() < 0.3):
            finish(study, running.pop(rng.integers(len(running))))


class Clock(datetime):
    """The system's clock, which can be set."""

    offset = timedelta()

    @classmethod
    def now(cls, tz: Any = None) -> Clock:
        return cls.fromisoformat((datetime.now(tz) + cls.offset).isoformat())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    """The clock by which a storage in memory says when a trial was completed."""
    monkeypatch.setattr(Clock, "offset", timedelta())
    monkeypatch.setattr("optuna.storages._in_memory.datetime", Clock)
    return Clock


def out_of_order(study: optuna.Study, trials: int, at: Mapping[int, timedelta], clock: type[Clock]) -> Params:
    """Proposals of a study whose results come in another order than their trials, while the clock is set."""
    rng = np.random.default_rng(0)
    running: list[optuna.Trial] = []
    for number in range(trials):
        clock.offset = at.get(number, clock.offset)
        running.append(study.ask(SPACE))
        while len(running) > 3:
            finish(study, running.pop(rng.integers(len(running))))
    return [trial.params for trial in study.get_trials(deepcopy=False)]


def test_a_clock_that_is_set_back_changes_no_proposal(make: Make, clock: type[Clock]) -> None:
    hour = timedelta(hours=1)
    expected, *others = [
        out_of_order(optuna.create_study(sampler=make(distributions=SPACE)), 60, at, clock)
        for at in ({0: 0 * hour}, {0: 0 * hour, 25: -hour}, {0: 0 * hour, 20: hour, 40: -hour})
    ]
    for found in others:
        assert found == expected


def test_a_study_of_before_goes_on_though_the_clock_is_set_back(clock: type[Clock]) -> None:
    """Results without a number of their completion, which went by the clock, stand before those that have one."""
    study = optuna.create_study(sampler=StrategySampler(Recorder(), 0, distributions=SPACE))
    order = (2, 0, 3, 1)
    drawn = np.random.default_rng(0)
    trials = [
        optuna.create_trial(
            params=choice_at(dimensions_of(SPACE), drawn.random(len(SPACE))), distributions=SPACE, value=0.5
        )
        for _ in order
    ]
    for place, number in enumerate(order):
        trials[number].datetime_complete = datetime.now() + timedelta(seconds=place)
    study.add_trials(trials)
    assert [o.number for o in recorded(study).seen] == list(order), "by time where no trial has a number"
    clock.offset = timedelta(hours=-1)
    go_on(study, 3)
    assert [o.number for o in recorded(study).seen] == [*order, 4, 5, 6]


def test_each_completion_has_a_number_of_its_own() -> None:
    study = optuna.create_study(sampler=StrategySampler(Recorder(), 0, distributions=SPACE))
    running = [study.ask(SPACE) for _ in range(6)]
    for trial in running[::-1]:
        finish(study, trial)
    assert [trial.user_attrs[COMPLETION] for trial in study.trials] == [6, 5, 4, 3, 2, 1]
    crashed = study.ask(SPACE)
    study.tell(crashed, state=TrialState.FAIL)
    assert study.trials[-1].user_attrs[COMPLETION] == 7
    assert [o.number for o in recorded(study).seen] == [5, 4, 3, 2, 1, 0, 6]


def test_processes_that_know_of_each_other_s_results_count_on(tmp_path: Path) -> None:
    """Two samplers of one file: neither gives a number again that it can see, and both fold in one order."""
    url = f"sqlite:///{tmp_path / 'study.db'}"
    optuna.create_study(storage=url, study_name="s")
    one, other = (
        optuna.load_study(
            study_name="s", storage=url, sampler=StrategySampler(Recorder(), 0, distributions=SPACE)
        )
        for _ in range(2)
    )
    at_once = [one.ask(SPACE), other.ask(SPACE)]
    finish(one, at_once[0])
    finish(other, at_once[1])
    for study in (one, other, other, one):
        finish(study, study.ask(SPACE))
    assert [trial.user_attrs[COMPLETION] for trial in one.trials] == [1, 2, 3, 4, 5, 6]
    assert recorded(one).seen == recorded(other).seen


def test_equal_numbers_of_two_processes_are_ordered_by_the_trials() -> None:
    def trial(number: int, count: int, seconds: float) -> FrozenTrial:
        made = optuna.create_trial(value=0.0, user_attrs={COMPLETION: count})
        made.number, made.datetime_complete = number, datetime(2026, 1, 1) + timedelta(seconds=seconds)
        return made

    trials = [trial(0, 2, 0.0), trial(1, 3, 9.0), trial(2, 2, -9.0), trial(3, 1, 50.0)]
    for orders in permutations(trials):
        assert [t.number for t in in_order_of_completion(orders)] == [3, 0, 2, 1]


def test_a_trial_from_a_slow_clock_is_put_in_its_place(make: Make) -> None:
    study = optuna.create_study(sampler=make(distributions=SPACE))
    go_on(study, 25)
    middle = study.get_trials()[12]
    late = optuna.create_trial(params=middle.params, distributions=SPACE, value=0.25)
    late.datetime_complete = middle.datetime_complete - timedelta(microseconds=1)  # type: ignore[operator]
    study.add_trial(late)
    recorder = recorded(study)
    assert [o.number for o in recorder.seen] == [*range(12), 25, *range(12, 25)]
    expected = next_params(study, make(distributions=SPACE))
    assert study.ask(SPACE).params == expected


def test_a_retried_trial_does_no_harm(make: Make) -> None:
    study = optuna.create_study(sampler=make(distributions=SPACE))
    go_on(study, 20)
    for _ in range(4):
        crashed = study.ask(SPACE)
        study.tell(crashed, state=TrialState.FAIL)
        failed = study.get_trials()[-1]
        study.add_trial(
            optuna.create_trial(
                state=TrialState.WAITING,
                params={},
                distributions={},
                system_attrs={**failed.system_attrs, "fixed_params": failed.params},
            )
        )
        retried = study.ask(SPACE)
        assert retried.params == crashed.params
        finish(study, retried)
        expected = next_params(study, make(distributions=SPACE))
        trial = study.ask(SPACE)
        assert trial.params == expected
        finish(study, trial)


# what is told


def test_a_strategy_is_told_rewards_to_maximise_in_order_of_completion() -> None:
    for direction, sign in (("minimize", -1.0), ("maximize", 1.0)):
        study = optuna.create_study(
            sampler=StrategySampler(Recorder(), 0, distributions=SPACE), direction=direction
        )
        trials = [study.ask(SPACE) for _ in range(3)]
        for number in (2, 0, 1):
            study.tell(trials[number], float(number))
        seen = recorded(study).seen
        assert [o.number for o in seen] == [2, 0, 1]
        assert [o.reward for o in seen] == [sign * 2, 0, sign]
        assert [o.stamp for o in seen] == [{"after": 0}] * 3
        assert [o.choice for o in seen] == [trials[n].params for n in (2, 0, 1)]


def test_pruned_trials_count_and_failed_ones_teach_nothing() -> None:
    study = optuna.create_study(sampler=StrategySampler(Recorder(), 0, distributions=SPACE))
    without, within, failed = (study.ask(SPACE) for _ in range(3))
    study.tell(without, state=TrialState.PRUNED)
    within.report(0.5, 1)
    study.tell(within, state=TrialState.PRUNED)
    study.tell(failed, state=TrialState.FAIL)
    study.add_trial(optuna.create_trial(state=TrialState.FAIL, params=failed.params, distributions=SPACE))
    found = [(o.status, o.reward, bool(o.choice)) for o in recorded(study).seen]
    assert found == [("pruned", None, True), ("pruned", -0.5, True), ("failed", None, False)]


def test_a_strategy_is_told_the_fidelity_that_is_stored_with_a_trial() -> None:
    study = optuna.create_study(sampler=StrategySampler(Recorder(), 0, distributions=SPACE))
    for fidelity in (3, 60.5, None, "much"):
        trial = study.ask(SPACE)
        if fidelity is not None:
            trial.set_user_attr(FIDELITY, fidelity)
        study.tell(trial, 1.0)
    assert [o.fidelity for o in recorded(study).seen] == [3.0, 60.5, None, None]


def test_the_choice_of_a_failed_trial_makes_no_difference(make: Make) -> None:
    study = optuna.create_study(sampler=make(distributions=SPACE))
    go_on(study, 20)
    study.tell(study.ask(SPACE), state=TrialState.FAIL)
    expected = study.ask(SPACE).params
    *rest, failed = study.get_trials()[:21]
    failed.params = {**failed.params, "width": 8 if failed.params["width"] > 8 else 9}
    assert copied([*rest, failed], make(distributions=SPACE)).ask(SPACE).params == expected


def test_infeasible_trials_are_learned_from() -> None:
    study = optuna.create_study(sampler=sampler("controlled-random-search", 0, population=20))
    go_on(study, 200)
    pruned = [trial.state == TrialState.PRUNED for trial in study.get_trials(deepcopy=False)]
    assert sum(pruned[:50]) > 0
    assert sum(pruned[100:]) == 0


def test_enqueued_trials_are_folded_by_their_own_parameters(make: Make) -> None:
    study = optuna.create_study(sampler=make(distributions=SPACE))
    go_on(study, 12)
    study.enqueue_trial({"width": 12, "rate": 1e-3})
    study.enqueue_trial({**study.best_params, "operation": "skip", "dropout": 0.0})
    go_on(study, 2)
    partly, wholly = recorded(study).seen[-2:]
    assert (partly.choice["width"], partly.choice["rate"]) == (12, 1e-3)
    assert (wholly.choice["operation"], wholly.choice["dropout"], wholly.stamp) == ("skip", 0.0, None)
    go_on(study, 5)


def test_an_enqueued_optimum_draws_controlled_random_search() -> None:
    def spread(enqueued: bool) -> float:
        make = sampler("controlled-random-search", 0, population=20, distributions=SPACE)
        study = optuna.create_study(sampler=make)
        if enqueued:
            best = {"width": 12, "depth": 8, "operation": "skip", "rate": 1e-3, "dropout": 0.0, "scale": 0.0}
            study.enqueue_trial(best)
        go_on(study, 90)
        late = [t.value for t in study.get_trials(deepcopy=False)[50:] if t.value is not None]
        return float(np.median(late))

    assert spread(enqueued=True) < spread(enqueued=False)


def test_trials_of_other_parameters_are_passed_over() -> None:
    study = optuna.create_study(sampler=StrategySampler(Recorder(), 0, distributions=SPACE))
    go_on(study, 3)
    outside = {**study.get_trials()[0].params, "width": 64}
    wider = {**SPACE, "width": IntDistribution(8, 64)}
    study.add_trial(optuna.create_trial(params=outside, distributions=wider, value=0.0))
    partial = {"width": IntDistribution(8, 32)}
    study.add_trial(optuna.create_trial(params={"width": 9}, distributions=dict(partial), value=0.0))
    assert [o.number for o in recorded(study).seen] == [0, 1, 2]


def test_the_stamps_of_unfinished_trials_are_pending() -> None:
    recorder = Recorder()
    study = optuna.create_study(sampler=StrategySampler(recorder, 0, distributions=SPACE))
    trials = [study.ask(SPACE) for _ in range(3)]
    assert recorder.pending == [{"after": 0}] * 2
    finish(study, trials[0])
    study.enqueue_trial({"width": 10})
    study.ask(SPACE)
    assert recorder.pending == [{"after": 0}] * 2


def test_a_trial_is_not_pending_to_itself() -> None:
    recorder = Recorder()
    study = optuna.create_study(sampler=StrategySampler(recorder, 0, distributions=SPACE))
    trial_id = study._storage.create_new_trial(study._study_id)
    for _ in range(2):
        study.sampler.sample_relative(study, study._storage.get_trial(trial_id), SPACE)
        assert recorder.pending == []


def test_stamps_are_of_one_strategy_one_setting_and_one_space() -> None:
    study = optuna.create_study()
    keys = []
    for settings in ({}, {"population": 10}, {"cell_centres": True}, {}):
        study.sampler = sampler("controlled-random-search", 0, distributions=SPACE, **settings)
        go_on(study, 2)
        keys.append({key for t in study.trials[-2:] for key in t.system_attrs})
    narrow = {**SPACE, "width": IntDistribution(8, 16)}
    study.sampler = sampler("controlled-random-search", 0, distributions=narrow)
    study.tell(study.ask(narrow), 1.0)
    keys.append(set(study.trials[-1].system_attrs))
    assert all(len(key) == 1 for key in keys)
    assert keys[0] == keys[3]
    assert len(set.union(*keys)) == 4
    for trial in study.trials:
        (stamp,) = trial.system_attrs.values()
        assert json.loads(json.dumps(stamp)) == stamp


# pruners, workers, seeds


def test_a_pruner_hides_no_trial() -> None:
    recorder = Recorder()
    study = optuna.create_study(
        sampler=StrategySampler(recorder, 0, distributions=SPACE),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3),
    )

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_int("width", 8, 32)
        for step in range(9):
            trial.report(step + trial.number, step)
            trial.should_prune()
        for name, distribution in SPACE.items():
            trial._suggest(name, distribution)
        return 0.0

    study.optimize(objective, n_trials=12)
    assert [o.number for o in recorder.seen] == list(range(11))


def test_each_ask_folds_what_is_new_and_nothing_else() -> None:
    recorder = Recorder()
    study = optuna.create_study(sampler=StrategySampler(recorder, 0, distributions=SPACE))
    abandoned = study.ask(SPACE)
    for number in range(120):
        go_on(study, 1)
        assert recorder.told == number
    finish(study, abandoned)
    study.ask(SPACE)
    assert recorder.told == 121


def test_threads_propose_different_trials(make: Make) -> None:
    study = optuna.create_study(sampler=make(distributions=SPACE))

    def objective(trial: optuna.Trial) -> float:
        found = value({name: trial._suggest(name, d) for name, d in SPACE.items()})
        if found is None:
            raise optuna.TrialPruned
        return found

    study.optimize(objective, n_trials=80, n_jobs=4)
    finished = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    assert len(finished) == 80
    stamped = [(t, stamp) for t in finished for stamp in t.system_attrs.values()]
    # agents as published choose one set again and again, which is how they converge
    new = [t for t, stamp in stamped if stamp.get("kind") != "exploitation"]
    assert len(new) > 40
    assert len({json.dumps(t.params, sort_keys=True) for t in new}) == len(new)
    expected = next_params(study, make(distributions=SPACE))
    assert study.ask(SPACE).params == expected


WORKER = """
import sys
from test_sampler_contract import MEMBERS, go_on, optuna, sampler, storage_at
from pathlib import Path
for member in sys.argv[2:]:
    name, settings = MEMBERS[member]
    study = optuna.load_study(
        storage=storage_at(Path(sys.argv[1]), "sqlite"), study_name=member, sampler=sampler(name, 3, **settings)
    )
    print(member, flush=True)
    sys.stdin.readline()
    go_on(study, 8)
"""


@pytest.mark.cluster
@pytest.mark.parametrize(
    "members", [FEW, pytest.param(tuple(MEMBERS), marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_two_processes_with_one_seed_propose_different_trials(
    members: tuple[str, ...], tmp_path: Path
) -> None:
    """For each strategy in turn, which both begin at once."""
    storage = storage_at(tmp_path, "sqlite")
    for member in members:
        optuna.create_study(storage=storage, study_name=member)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), *members],
            cwd=Path(__file__).parent,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for member in members:
        assert [line_of(worker, 120) for worker in workers] == [f"{member}\n"] * 2
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
    for worker in workers:
        _, errors = end_of(worker)
        assert worker.returncode == 0, errors
    for member in members:
        trials = optuna.load_study(storage=storage, study_name=member).get_trials()
        assert len(trials) == 16
        assert len({json.dumps(trial.params, sort_keys=True) for trial in trials}) == 16, member


def test_the_seed_decides(make: Make) -> None:
    first, same, other = (go_on(optuna.create_study(sampler=make(seed)), 15) for seed in (5, 5, 6))
    assert first == same
    assert first != other
    drawn = [go_on(optuna.create_study(sampler=make(None)), 2) for _ in range(2)]
    assert drawn[0] != drawn[1]


def test_a_loss_and_its_negative_reward_are_searched_alike(make: Make) -> None:
    found = []
    for direction, sign in (("minimize", 1.0), ("maximize", -1.0)):
        study = optuna.create_study(sampler=make(), direction=direction)
        for _ in range(40):
            trial = study.ask(SPACE)
            study.tell(trial, sign * (value(trial.params) or 0.0))
        found.append([trial.params for trial in study.trials])
    assert found[0] == found[1]


# asking


def test_bare_trials_get_every_key_in_pythons_own_types(make: Make) -> None:
    space = {**SPACE, "fixed": IntDistribution(3, 3), "only": CategoricalDistribution(("one",))}
    study = optuna.create_study(sampler=make())
    trial = study._storage.get_trial(study._storage.create_new_trial(study._study_id))
    params = study.sampler.sample_relative(study, trial, space)
    assert set(params) == set(space)
    assert {name: type(v) for name, v in params.items()} == {
        "width": int,
        "depth": int,
        "operation": str,
        "rate": float,
        "dropout": float,
        "scale": float,
        "fixed": int,
        "only": str,
    }


def test_a_given_space_is_searched_from_the_first_trial_on() -> None:
    first = {"width": 9, "depth": 2, "operation": "skip", "rate": 1e-2, "dropout": 0.1, "scale": 0.5}
    make = sampler("controlled-random-search", 0, distributions=SPACE, first=first)
    study = optuna.create_study(sampler=make)
    assert study.ask(SPACE).params == pytest.approx(first)


def test_parameters_that_come_and_go_are_sampled_all_the_same(make: Make) -> None:
    study = optuna.create_study(sampler=make())

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        return x + (trial.suggest_int("y", 0, 5) if x < 0.5 else trial.suggest_float("z", 2, 3))

    study.enqueue_trial({"x": 0.2})  # both kinds are met, wherever a strategy begins
    study.enqueue_trial({"x": 0.8})
    study.optimize(objective, n_trials=40)
    assert len(study.get_trials(states=(TrialState.COMPLETE,))) == 40
    trial = study._storage.get_trial(study._storage.create_new_trial(study._study_id))
    assert list(study.sampler.infer_relative_search_space(study, trial)) == ["x"]


def test_the_shared_space_is_what_optuna_finds(make: Make) -> None:
    study = optuna.create_study(sampler=make())
    rng = np.random.default_rng(0)
    for _ in range(12):
        names = [name for name in SPACE if rng.random() < 0.85]
        study.tell(study.ask({name: SPACE[name] for name in names}), 1.0)
        found = study.sampler.infer_relative_search_space(study, study.get_trials()[-1])
        assert found == optuna.search_space.intersection_search_space(study.get_trials(deepcopy=False))


# errors


def test_an_unknown_strategy_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=f"'annealing'.*{', '.join(sorted(STRATEGIES))}"):
        sampler("annealing")


def test_an_unknown_setting_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        SettingsError,
        match=r"no option 'populaton'.*population \(number of members.*population, first, restart, cell_centres",
    ):
        sampler("controlled-random-search", populaton=9)
    with pytest.raises(SettingsError, match=r"random has no option 'population'. It has: none"):
        sampler("random", population=9)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(SettingsError, match="seed is -1"):
        sampler("random", -1)


def test_settings_that_do_not_fit_a_given_space_are_refused_at_once() -> None:
    with pytest.raises(SettingsError, match="population is 6, but 6 dimensions need at least 7"):
        sampler("controlled-random-search", 0, distributions=SPACE, population=6)
