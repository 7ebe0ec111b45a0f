"""Optuna's samplers as strategies of a run: nothing is lost in a kill, whoever is asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.testing.pytest_samplers import BasicSamplerTestCase
from optuna.trial import TrialState

from netwright.errors import SettingsError
from netwright.strategies import STRATEGIES
from netwright.strategies.optuna_samplers import OPTUNA_SAMPLERS, SeededSampler

optuna.logging.set_verbosity(optuna.logging.ERROR)
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

SPACE: dict[str, BaseDistribution] = {
    "width": IntDistribution(8, 32),
    "operation": CategoricalDistribution(("none", "skip", "convolution")),
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
    "one": IntDistribution(3, 3),
}
EARLY: dict[str, dict[str, Any]] = {
    "optuna-random": {},
    "tpe": {"n_startup_trials": 4},
    "gp": {"n_startup_trials": 4},
    "nsga-ii": {"population_size": 4},
}
"""Settings that leave the random beginning early."""
CLASSES = {"optuna-random": RandomSampler, "tpe": TPESampler, "gp": GPSampler, "nsga-ii": NSGAIISampler}

every = pytest.mark.parametrize("name", sorted(OPTUNA_SAMPLERS))


def make(name: str, seed: int = 3) -> SeededSampler:
    return SeededSampler(OPTUNA_SAMPLERS[name](**EARLY[name]), seed)


def open_study(path: Path, name: str, seed: int = 3) -> optuna.Study:
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))),
        study_name="s",
        sampler=make(name, seed),
        direction="maximize",
        load_if_exists=True,
    )


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    return {name: trial._suggest(name, distribution) for name, distribution in SPACE.items()}


def finish(study: optuna.Study, trial: optuna.Trial) -> None:
    params = suggest(trial)
    if trial.number % 5 == 3:
        study.tell(trial, state=TrialState.PRUNED)
    elif trial.number % 5 == 4:
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, -abs(params["width"] - 12) / 24 - 1000 * params["rate"])


def go_on(study: optuna.Study, until: int) -> list[dict[str, Any]]:
    while len(study.get_trials(deepcopy=False)) < until:
        finish(study, study.ask())
    return [trial.params for trial in study.get_trials(deepcopy=False)]


class TestOptunasOwnSuite(BasicSamplerTestCase):
    """Of the sampler that proposes parameters together and alone; the others are wrapped by the same lines."""

    @pytest.fixture(
        params=[
            pytest.param(name, marks=[] if name == "tpe" else [pytest.mark.slow])
            for name in sorted(OPTUNA_SAMPLERS)
        ]
    )
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return lambda: make(request.param, seed=0)


@every
def test_a_killed_search_goes_on_as_if_nothing_had_happened(name: str, tmp_path: Path) -> None:
    expected = go_on(open_study(tmp_path / "straight.log", name), 12)
    broken = tmp_path / "broken.log"
    go_on(open_study(broken, name), 5)
    open_study(broken, name).ask()  # proposed, and killed before any value was stored
    again = open_study(broken, name)
    finish(again, optuna.Trial(again, again.trials[-1]._trial_id))
    go_on(again, 8)
    suggest(open_study(broken, name).ask())  # killed while it was trained
    again = open_study(broken, name)
    finish(again, optuna.Trial(again, again.trials[-1]._trial_id))
    go_on(open_study(broken, name), 10)
    assert go_on(open_study(broken, name), 12) == expected


@every
def test_seeds_differ_and_repeat(name: str, tmp_path: Path) -> None:
    one, two = (go_on(open_study(tmp_path / f"{i}.log", name), 9) for i in range(2))
    assert one == two
    assert go_on(open_study(tmp_path / "other.log", name, seed=4), 9) != one
    assert len({tuple(params.values()) for params in one}) > len(one) / 2, "children may equal a parent"


@every
def test_several_workers_propose_different_candidates(name: str, tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.log", name)
    go_on(study, 9)
    workers = [open_study(tmp_path / "study.log", name) for _ in range(3)]
    proposed = [tuple(suggest(worker.ask()).values()) for worker in workers]
    assert len(set(proposed)) == 3


@every
def test_a_search_in_which_nothing_can_be_trained_goes_on(name: str) -> None:
    study = optuna.create_study(sampler=make(name), direction="maximize")
    for number in range(12):
        trial = study.ask()
        suggest(trial)
        study.tell(trial, state=TrialState.PRUNED if number < 9 else TrialState.FAIL)
    for _ in range(6):
        finish(study, study.ask())
    assert len(study.trials) == 18


@every
def test_options_are_optunas_with_its_defaults(name: str) -> None:
    theirs = inspect.signature(CLASSES[name]).parameters
    for option in inspect.signature(OPTUNA_SAMPLERS[name]).parameters.values():
        # None: True where there is one objective.
        default = True if option.name == "multivariate" else theirs[option.name].default
        assert option.default == default


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("tpe", {"n_startup_trials": -1}, "n_startup_trials is -1"),
        ("tpe", {"multivariate": "yes"}, "true or false"),
        ("tpe", {"n_ei_candidates": 0}, "at least 1"),
        ("gp", {"n_startup_trials": 2.5}, "whole number"),
        ("nsga-ii", {"population_size": 1}, "at least 2"),
        ("nsga-ii", {"mutation_prob": 1.5}, "from 0 to 1"),
        ("nsga-ii", {"crossover_prob": "often"}, "from 0 to 1"),
    ],
)
def test_wrong_values_are_named(name: str, options: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        OPTUNA_SAMPLERS[name](**options)


def test_no_name_stands_for_two_strategies() -> None:
    assert not set(OPTUNA_SAMPLERS) & set(STRATEGIES)
