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
from netwright.strategies.sampler import StrategySampler
from netwright.strategies.view import dimensions_of


def exploration_episodes(settings: RunSettings) -> int | None:
    """How many trials the run's strategy draws at random before it uses their rewards; None if it has no such phase.

    The number depends on the run's seed.
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
    """The trials of the budget, or as many as fit into its hours, whichever is less."""
    budget, share = settings.budget, settings.training.seconds
    trials = math.inf if budget.trials is None else float(budget.trials)
    if budget.hours is not None and share is not None:
        trials = min(trials, budget.hours * 3600.0 * settings.machine.workers / share)
    return trials


def exploration_words(trials: float, episodes: int | None) -> str | None:
    """A warning for a search that ends before its exploration; None for any other."""
    if episodes is None or trials > episodes:
        return None
    return (
        f"{trials:,.0f} trials are not enough: this strategy makes about {episodes:,} random ones before its "
        f"agents use what they learned. Give more (--trials {_round(episodes)}, say), a shorter "
        "strategy.exploration, or strategy.variant=coordinated, which learns from the first trial on."
    )


def warn_of_exploration(settings: RunSettings) -> None:
    """Warn if the whole search is exploration.

    Warns:
        SettingsWarning: it is.
    """
    words = exploration_words(expected_trials(settings), exploration_episodes(settings))
    if words is not None:
        warnings.warn(words, SettingsWarning, stacklevel=5)


def _round(episodes: int) -> int:
    """Adds 300 trials for the phase that follows (about as in Fig. 9 of Iranfar et al. 2022), and rounds up."""
    return math.ceil((episodes + 300) / 100) * 100
