"""Any strategy on any space: the whole grid on a made-up objective, as a run would go through it."""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState

from netwright.settings import RunSettings, SpecSettings, parse_settings
from netwright.spaces import SPACES, make_space, takes_task
from netwright.spaces.base import Layered, Space
from netwright.spaces.kinds import KINDS, spaces_for
from netwright.strategies.makers import PROPOSERS, make_sampler
from netwright.strategies.sampler import StrategySampler
from netwright.strategies.view import dimensions_of

optuna.logging.set_verbosity(optuna.logging.ERROR)

NETWORKS = {
    "classification": "tiny_networks:classifier",
    "segmentation": "tiny_networks:segmenter",
    "inpainting": "tiny_networks:segmenter",
}
SEARCHED = [
    (name, task)
    for name, kind in KINDS.items()
    for task in kind.tasks
    if task != "inpainting" or "segmentation" not in kind.tasks  # where both are, they have one space
]
EARLY: dict[str, dict[str, Any]] = {
    "tpe": {"n_startup_trials": 4},
    "gp": {"n_startup_trials": 3},
    "nsga-ii": {"population_size": 4},
    "cma-es": {"population": 5},
    "policy-gradient": {"perturbations": 4},
    "own": {"code": "tiny_strategies:OneChange"},
}
"""Options that leave the random beginning early, or that are needed."""
STRATEGIES = {
    **{name: {"name": name, **EARLY.get(name, {})} for name in PROPOSERS},
    "q-learning published": {"name": "q-learning", "variant": "published", "exploration": 6},
    "policy-gradient pooled": {"name": "policy-gradient", "variant": "pooled"},
}
LARGE = ("googlenet", "unet", "vgg16")
"""Spaces of so many dimensions that a search takes seconds."""
COMBINATIONS = [
    pytest.param(
        *space, strategy, marks=[] if (i + j) % (12 if space[0] in LARGE else 4) == 0 else [pytest.mark.slow]
    )
    for i, space in enumerate(SEARCHED)
    for j, strategy in enumerate(STRATEGIES)
]
"""All pairs; those that are not slow have each space with several strategies, and each strategy on several spaces."""
TRIALS, FEW_TRIALS = 15, 5
SLOW = ("gp",)
"""Strategies that take seconds where there are very many dimensions."""


def settings_for(space: str, task: str, strategy: dict[str, Any]) -> RunSettings:
    settings = parse_settings(
        {
            "recipe": "none",
            "dataset": {"path": "."},
            "seed": 7,
            "space": {"name": space},
            "strategy": strategy,
        }
    )
    if not takes_task(settings.space):
        return settings
    options = {"channels": 1, "classes": 3, "size": [32, 32], "dense": task != "classification"}
    options |= {"network": NETWORKS[task]} if space == "layerwise" else {}
    options |= {"code": "tiny_spaces:Stack"} if space == "own" else {}
    return settings.model_copy(update={"space": SpecSettings(name=space, **options)})


def share(name: str, distribution: BaseDistribution, value: Any) -> float:
    """Made up: how far a value's place among its dimension's is from one that the name tells."""
    places = distribution.to_internal_repr(value)
    if isinstance(distribution, CategoricalDistribution):
        low, high = 0.0, len(distribution.choices) - 1.0
    else:
        low, high = distribution.low, distribution.high  # type: ignore[attr-defined]
    target = zlib.crc32(name.encode()) % 100 / 100
    return abs((places - low) / max(high - low, 1e-9) - target)


def proposals(settings: RunSettings, space: Space, trials: int) -> tuple[list[dict[str, Any]], optuna.Study]:
    """What a search asks for, every fifth candidate having no reward."""
    study = optuna.create_study(
        direction="maximize", sampler=make_sampler(settings.strategy, space, settings.seed)
    )
    distributions = space.distributions()
    for number in range(trials):
        trial = study.ask(distributions)
        if number % 5 == 2:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            far = [share(name, d, trial.params[name]) for name, d in distributions.items()]
            study.tell(trial, -sum(far) / len(far))
    return [trial.params for trial in study.get_trials(deepcopy=False)], study


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(("space_name", "task", "strategy"), COMBINATIONS)
def test_every_strategy_searches_every_space(space_name: str, task: str, strategy: str) -> None:
    settings = settings_for(space_name, task, STRATEGIES[strategy])
    space = make_space(settings.space)
    distributions = space.distributions()
    trials = FEW_TRIALS if strategy in SLOW else TRIALS
    proposed, study = proposals(settings, space, trials)
    assert len(proposed) == trials
    for choice in proposed:
        assert list(choice) == list(distributions)
        assert all(d._contains(d.to_internal_repr(choice[n])) for n, d in distributions.items())
        space.canonical(choice)
    assert len({tuple(choice.values()) for choice in proposed}) > trials / 2
    assert study.best_trial.state == TrialState.COMPLETE
    if strategy not in SLOW:
        assert proposals(settings, space, trials)[0] == proposed, "the seed tells everything"


@pytest.mark.parametrize("space_name", sorted(SPACES))
@pytest.mark.parametrize("variant", ["published", "coordinated"])
def test_agents_are_the_layers_or_a_chain_of_the_dimensions(space_name: str, variant: str) -> None:
    task = KINDS[space_name].tasks[0]
    settings = settings_for(space_name, task, {"name": "q-learning", "variant": variant})
    space = make_space(settings.space)
    sampler = make_sampler(settings.strategy, space, settings.seed)
    assert isinstance(sampler, StrategySampler)
    names = list(space.distributions())
    if isinstance(space, Layered):
        graph = space.agent_graph()
        assert [list(agent) for agent in sampler.strategy.settings["agents"]] == list(map(list, graph.agents))
        return
    state: Any = sampler.strategy.init(dimensions_of(space.distributions()))
    if variant == "published":
        tables = sampler.strategy.tables(state)  # type: ignore[attr-defined]
        assert [(t.row_names, t.column_names) for t in tables] == [
            ((one,), (other,)) for one, other in pairwise(names)
        ]
    else:
        assert state.layout.complete, "every pair of dimensions shares a table"


def test_each_space_says_what_it_is_for() -> None:
    assert list(KINDS) == list(SPACES)
    for task, dimensions in (
        ("segmentation", 3),
        ("segmentation", 2),
        ("classification", 2),
        ("inpainting", 2),
    ):
        assert spaces_for(task, dimensions)
