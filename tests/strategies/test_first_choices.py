"""Choices that are tried before the strategy is asked, by any sampler and across restarts."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import NSGAIISampler

from netwright.settings import SpecSettings
from netwright.strategies.makers import PROPOSERS, make_sampler

DISTRIBUTIONS = {
    "depth": IntDistribution(1, 9),
    "block": CategoricalDistribution(["plain", "residual"]),
    "rate": FloatDistribution(1e-3, 1.0, log=True),
    "kernel": CategoricalDistribution([3]),
}
FIRST = (
    {"depth": 7, "block": "residual", "rate": 0.0123456789, "kernel": 3},
    {"depth": 2, "block": "plain", "rate": 0.5, "kernel": 3},
)


class Space:
    def distributions(self):
        return DISTRIBUTIONS

    def starting_choice(self):
        return {"depth": 1, "block": "plain", "rate": 0.1, "kernel": 3}


def study_of(name, storage=None, first=FIRST):
    sampler = make_sampler(SpecSettings(name=name), Space(), 0, first)
    return optuna.create_study(
        storage=storage, sampler=sampler, direction="maximize", study_name="s", load_if_exists=True
    )


def asked(study):
    trial = study.ask()
    for name, distribution in DISTRIBUTIONS.items():
        trial._suggest(name, distribution)
    return trial


@pytest.mark.parametrize("name", sorted(set(PROPOSERS) - {"q-learning", "grid", "own"}))
def test_they_come_first_and_then_the_strategy_proposes(name):
    study = study_of(name)
    for expected in FIRST:
        trial = asked(study)
        assert trial.params == expected
        study.tell(trial, 0.5)
    for _ in range(3):
        trial = asked(study)
        assert trial.params.keys() == DISTRIBUTIONS.keys()
        study.tell(trial, 0.1)


@pytest.mark.parametrize("name", ["prior", "tpe"])
def test_a_search_that_was_killed_goes_on_with_the_next(name, tmp_path):
    """Also while the first one is still in training, and when the trials between were others."""
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    running = asked(study_of(name, storage))
    assert running.params == FIRST[0]
    study = study_of(name, storage)
    study.enqueue_trial({**FIRST[0], "depth": 3})
    assert asked(study).params["depth"] == 3
    assert asked(study_of(name, storage)).params == FIRST[1]
    assert asked(study_of(name, storage)).params not in FIRST


def test_the_best_of_them_is_where_a_strategy_starts():
    """A policy gradient that begins with the starting choice begins with the best of another run."""
    spec = SpecSettings(name="policy-gradient", first="start")
    assert make_sampler(spec, Space(), 0, FIRST).strategy.settings["first"] == FIRST[0]
    assert make_sampler(spec, Space(), 0).strategy.settings["first"] == Space().starting_choice()


def test_they_may_be_parents_in_a_genetic_algorithm():
    """Optuna chooses the parents from a generation, to which they belong, too."""
    sampler = make_sampler(SpecSettings(name="nsga-ii", population_size=4), Space(), 0, FIRST)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for _ in range(5):
        study.tell(asked(study), 0.5)
    generation = NSGAIISampler(population_size=4).get_population(study, 0)
    assert [trial.number for trial in generation] == [0, 1, 2, 3]
