"""Whether a search is long enough for its strategy to use what it has learned."""

from __future__ import annotations

import math
import warnings

import numpy as np

from netwright.errors import SettingsWarning
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.strategies.base import Exploring
from netwright.strategies.makers import make_sampler
from netwright.strategies.sampler import StrategySampler, dimensions_of


def exploration_episodes(settings: RunSettings) -> int | None:
    """The trials that the run's strategy draws at random before it goes by their rewards, counted from the run's seed;
    None where it has no such phase.
    """
    space = make_space(settings.space)
    proposer = make_sampler(settings.strategy, space, settings.seed)
    if not isinstance(proposer, StrategySampler) or not isinstance(proposer.strategy, Exploring):
        return None
    free = {
        name: distribution
        for name, distribution in space.distributions().items()
        if not distribution.single()
    }
    if not free:
        return None
    return proposer.strategy.exploration_episodes(dimensions_of(free), np.random.default_rng(settings.seed))


def expected_trials(settings: RunSettings) -> float:
    """How many trials the budget has room for: those given, or the shares of time that fit into its hours."""
    budget, share = settings.budget, settings.training.seconds
    trials = math.inf if budget.trials is None else float(budget.trials)
    if budget.hours is not None and share is not None:
        trials = min(trials, budget.hours * 3600.0 * settings.machine.workers / share)
    return trials


def exploration_words(trials: float, episodes: int | None) -> str | None:
    """What a user must know of a search whose exploration is longer than it is; None where it is not."""
    if episodes is None or trials > episodes:
        return None
    return (
        f"{trials:,.0f} trials are all exploration: this strategy needs about {episodes:,} random ones before its "
        f"agents use what they learned. Give more (--trials {_round(episodes)}, say), a shorter "
        "strategy.exploration, or strategy.variant=coordinated, which learns from the first trial on."
    )


def warn_of_exploration(settings: RunSettings) -> None:
    """Say so where the search is all exploration.

    Warns:
        SettingsWarning: it is.
    """
    words = exploration_words(expected_trials(settings), exploration_episodes(settings))
    if words is not None:
        warnings.warn(words, SettingsWarning, stacklevel=5)


def _round(episodes: int) -> int:
    """Some hundreds more, for the phase that follows (300 or so in Fig. 9 of Iranfar et al. 2022)."""
    return math.ceil((episodes + 300) / 100) * 100
